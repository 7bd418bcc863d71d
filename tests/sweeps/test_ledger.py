"""Results grow trial by trial, survive a kill at any byte, and never mix configurations or code."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.sweeps import Ledger, Row, read_plan
from segjax.types import InputError


@dataclass(frozen=True)
class Trial:
    network: str
    seed: int
    level: float = 0.0


TRIALS = [Trial(network, seed, 0.3) for seed in (0, 1) for network in ("unet", "msd")]
ROWS = (Row("dice", 0.5, "p,1"), Row("dice_pooled", 0.25))


def plan_with(facts=None, sources=None, code="aaaaaaaa", commit="c0ffee", **others):
    """A plan; the fingerprint follows the facts."""
    facts = facts or {"data": "x"}
    plan = {"study": "tiny", "data": "microscope:hl60", "facts": facts, "fingerprint": str(facts)}
    return {**plan, "sources": sources or {}, "opening": {"code": code, "commit": commit}, **others}


def open_ledger(out, plan=None, **options):
    return Ledger(out, Trial, plan or plan_with(), **options)


def add(ledger, trial, status="ok"):
    ledger.append(trial, ROWS, restarts=0, status=status)


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path) as opened:
        yield opened


def test_rows_come_back_and_only_missing_trials_are_left(ledger):
    assert ledger.missing(TRIALS) == TRIALS
    add(ledger, TRIALS[1])
    assert ledger.missing(TRIALS) == [TRIALS[0], *TRIALS[2:]]
    table = ledger.table()
    assert list(table.columns) == [
        "study", "data", "network", "seed", "level", "picture", "metric", "value", "status", "code"
    ]  # fmt: skip
    assert table["picture"].tolist() == ["p,1", "", ""]
    assert table["metric"].tolist() == ["dice", "dice_pooled", "restarts"]
    assert table["value"].tolist() == [0.5, 0.25, 0.0]


def test_a_table_without_rows_has_all_columns(ledger):
    assert list(ledger.table().columns) == list(ledger.columns) and ledger.table().empty


def test_every_row_says_which_code_made_it(tmp_path):
    with open_ledger(tmp_path, plan_with(code="00000001")) as ledger:
        add(ledger, TRIALS[0])
    with open_ledger(tmp_path, plan_with(code="1234e567"), accept_code=True) as ledger:
        add(ledger, TRIALS[1])
        assert ledger.table()["code"].tolist() == ["00000001"] * 3 + ["1234e567"] * 3


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0"), max_size=20),
    st.integers(0, 10**6),
    st.floats(0, 1e6, allow_nan=False),
)
def test_a_trial_that_was_written_is_not_missing(tmp_path_factory, network, seed, level):
    trial = Trial(network, seed, level)
    with open_ledger(tmp_path_factory.mktemp("runs")) as ledger:
        add(ledger, trial)
        assert ledger.missing([trial]) == []
        assert ledger.missing([Trial(f"{network}.", seed, level)]) != []


def test_text_that_looks_like_something_else_stays_text(ledger):
    for name in ("1", "007", "1e5", "nan", "NA", "", "True"):
        ledger.append(Trial(name, 0), [Row("dice", 0.5, name)], 0, "ok")
    table = ledger.table()
    assert (
        table["network"][::2].tolist() == table["picture"][::2].tolist() == ["1", "007", "1e5", "nan", "NA", "", "True"]
    )


def test_values_have_one_precision_and_may_be_unknown(ledger):
    rows = [Row("a", 1 / 3), Row("b", 123456.789), Row("c", 1), Row("d", float("nan")), Row("e", 1e-9)]
    ledger.append(TRIALS[0], rows, 2, "ok")
    written = [line.split(",")[7] for line in ledger.path.read_text().splitlines()[1:]]
    assert written == ["0.333333", "123457", "1", "nan", "1e-09", "2"]
    assert ledger.table()["value"].isna().tolist() == [False, False, False, True, False, False]


def test_a_file_cut_at_any_byte_loses_only_the_unfinished_trial(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
        whole = ledger.path.read_bytes()
        add(ledger, TRIALS[1])
        both = ledger.path.read_bytes()
    for size in range(len(whole), len(both)):
        (tmp_path / "results.csv").write_bytes(both[:size])
        with open_ledger(tmp_path) as ledger:
            assert ledger.missing(TRIALS) == TRIALS[1:]
            assert ledger.path.read_bytes() == whole


def test_rows_after_a_cut_do_not_mix_with_what_a_killed_process_left(ledger):
    add(ledger, TRIALS[0])
    one = ledger.path.read_bytes()
    add(ledger, TRIALS[1])
    two = ledger.path.read_bytes()
    for size in range(len(two)):
        ledger.path.write_bytes(two[:size])
        add(ledger, TRIALS[1])
        assert ledger.missing(TRIALS[:2]) == ([] if size >= len(one) else [TRIALS[0]])
        assert ledger.path.read_bytes() == (two if size >= len(one) else two.replace(one[two.index(b"\n") + 1 :], b""))


def test_failed_trials_are_done_again_when_the_folder_is_opened_again(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0], status="failed")
        add(ledger, TRIALS[1], status="collapsed")
        assert ledger.missing(TRIALS[:2]) == []
    with open_ledger(tmp_path) as ledger:
        assert ledger.missing(TRIALS[:2]) == [TRIALS[0]]
        assert set(ledger.table()["status"]) == {"collapsed"}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"facts": {"data": "y"}}, r"another configuration \(differing in data\); choose another folder"),
        ({"study": "huge"}, "results of the study tiny; choose another folder"),
        ({"fingerprint": "b"}, "differing in its data"),
    ],
)
def test_another_configuration_or_study_is_refused_and_nothing_is_overwritten(tmp_path, other, message):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    before = content(tmp_path)
    with pytest.raises(InputError, match=message):
        open_ledger(tmp_path, plan_with(**other), accept_code=True)
    assert content(tmp_path) == before


OLD = {"segjax/a.py": "1", "segjax/b.py": "1", "tiny/gone.py": "1"}
NEW = {"segjax/a.py": "1", "segjax/b.py": "2", "tiny/new.py": "1"}


def test_other_code_is_refused_with_the_files_that_differ_and_nothing_is_overwritten(tmp_path):
    with open_ledger(tmp_path, plan_with(sources=OLD)) as ledger:
        add(ledger, TRIALS[0])
    before = content(tmp_path)
    said = (
        r"other code \(commit c0ffee, this is decade; differing in segjax/b.py, tiny/gone.py, tiny/new.py\); "
        "choose another folder, or go on with --accept-code"
    )
    with pytest.raises(InputError, match=said):
        open_ledger(tmp_path, plan_with(sources=NEW, code="bbbbbbbb", commit="decade"))
    assert content(tmp_path) == before


def test_other_code_that_was_accepted_goes_on_and_the_first_code_is_refused_then(tmp_path):
    with open_ledger(tmp_path, plan_with(sources=OLD)) as ledger:
        add(ledger, TRIALS[0])
    other = plan_with(sources=NEW, code="bbbbbbbb", commit="decade")
    with open_ledger(tmp_path, other, accept_code=True) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[1:]
    with open_ledger(tmp_path, other) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[1:]
    with pytest.raises(InputError, match="commit decade, this is c0ffee"):
        open_ledger(tmp_path, plan_with(sources=OLD))


def test_other_code_may_begin_a_folder_that_has_no_results_yet(tmp_path):
    open_ledger(tmp_path, plan_with(sources=OLD)).__exit__()
    with open_ledger(tmp_path, plan_with(sources=NEW, code="bbbbbbbb")) as ledger:
        assert ledger.missing(TRIALS) == TRIALS


def test_the_plan_keeps_every_opening_and_the_sources_of_every_code(tmp_path):
    first, second = plan_with(sources=OLD), plan_with(sources=NEW, code="bbbbbbbb", commit="decade")
    for plan in (first, first, second):
        open_ledger(tmp_path, plan, accept_code=True).__exit__()
    kept = read_plan(tmp_path)
    assert kept["openings"] == [first["opening"], first["opening"], second["opening"]]
    assert kept["sources"] == {"aaaaaaaa": OLD, "bbbbbbbb": NEW}
    assert {name: kept[name] for name in ("study", "data", "facts", "fingerprint")} == {
        name: first[name] for name in ("study", "data", "facts", "fingerprint")
    }


@pytest.mark.parametrize(("said", "expected"), [({"commit": "3d4f586"}, "3d4f586"), ({}, "unknown")])
def test_folders_of_earlier_versions_are_refused_with_the_commit_that_reads_them(tmp_path, said, expected):
    (tmp_path / "plan.json").write_text(json.dumps({"study": "tiny", "fingerprint": "a", "facts": {}, **said}))
    before = content(tmp_path)
    with pytest.raises(InputError, match=f"by an earlier version; check out its commit, {expected}, to read it"):
        open_ledger(tmp_path)
    assert {name: text for name, text in content(tmp_path).items() if name != ".lock"} == before


def test_results_without_a_plan_and_a_broken_plan_are_refused(tmp_path):
    (tmp_path / "results.csv").write_text("something\n")
    with pytest.raises(InputError, match=r"no plan\.json"):
        open_ledger(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="not readable"):
        open_ledger(tmp_path)
    with pytest.raises(InputError, match="name the --out folder of a study"):
        read_plan(tmp_path / "nowhere")


def test_a_finished_trial_cannot_be_claimed(ledger):
    assert ledger.claim(TRIALS[0])
    add(ledger, TRIALS[0])
    ledger.release(TRIALS[0])
    assert not ledger.claim(TRIALS[0])
    assert ledger.claim(TRIALS[1])


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        open_ledger(tmp_path / "file" / "runs")


def test_a_full_disk_loses_nothing(ledger, monkeypatch):
    add(ledger, TRIALS[0])
    before = ledger.path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        add(ledger, TRIALS[1])
    assert ledger.path.read_bytes() == before
