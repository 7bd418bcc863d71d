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
    facts = facts or {"depth": 1}
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


def test_failed_trials_are_done_again_when_the_folder_is_opened_again(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0], status="failed")
        add(ledger, TRIALS[1], status="collapsed")
        assert ledger.missing(TRIALS[:2]) == []
    with open_ledger(tmp_path) as ledger:
        assert ledger.missing(TRIALS[:2]) == [TRIALS[0]]
        assert set(ledger.table()["status"]) == {"collapsed"}


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"facts": {"depth": 2}}, r"another configuration \(depth: 1 there, 2 now\); choose another folder"),
        ({"facts": {"depth": 1, "loss": {"name": "focal", "alpha": None}}}, r"\(loss: none there, .*focal"),
        (
            {"facts": {"digest": "2"}, "data": "folder:b"},
            r"digest: none there, 2 now; .*data: .*hl60 there, folder:b now",
        ),
        ({"study": "huge"}, "results of the study tiny; choose another folder"),
    ],
)
def test_another_configuration_or_study_is_refused_and_nothing_is_overwritten(tmp_path, other, message):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=message):
        open_ledger(tmp_path, plan_with(**other), accept_code=True)
    assert snapshot(tmp_path) == before


OLD = {"segjax/a.py": "1", "segjax/b.py": "1", "tiny/gone.py": "1"}
NEW = {"segjax/a.py": "1", "segjax/b.py": "2", "tiny/new.py": "1"}


def test_other_code_is_refused_with_the_files_that_differ_and_nothing_is_overwritten(tmp_path):
    with open_ledger(tmp_path, plan_with(sources=OLD)) as ledger:
        add(ledger, TRIALS[0])
    before = snapshot(tmp_path)
    said = (
        r"other code \(commit c0ffee, this is decade; differing in segjax/b.py, tiny/gone.py, tiny/new.py\); "
        "choose another folder, or go on with --accept-code"
    )
    with pytest.raises(InputError, match=said):
        open_ledger(tmp_path, plan_with(sources=NEW, code="bbbbbbbb", commit="decade"))
    assert snapshot(tmp_path) == before


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
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=f"by an earlier version; check out its commit, {expected}, to read it"):
        open_ledger(tmp_path)
    assert {name: text for name, text in snapshot(tmp_path).items() if name != ".lock"} == before


def test_results_without_a_plan_and_a_broken_plan_are_refused(tmp_path):
    (tmp_path / "results.csv").write_text("something\n")
    with pytest.raises(InputError, match=r"no plan\.json"):
        open_ledger(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as the plan of a study"):
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
    with pytest.raises(InputError, match="a file is where a folder should be"):
        open_ledger(tmp_path / "file" / "runs")


def test_a_full_disk_loses_nothing(ledger, monkeypatch):
    add(ledger, TRIALS[0])
    before = ledger.path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"results.csv: No space left on device; free space there"):
        add(ledger, TRIALS[1])
    assert ledger.path.read_bytes() == before


def test_the_same_pictures_under_another_name_go_on_and_rows_keep_the_first_name(tmp_path):
    facts = {"digest": "0123"}
    with open_ledger(tmp_path, plan_with(facts, data="folder:six")) as ledger:
        add(ledger, TRIALS[0])
    with open_ledger(tmp_path, plan_with(facts, data="folder:./six/")) as ledger:
        add(ledger, TRIALS[1])
        assert set(ledger.table()["data"]) == {"folder:six"} == {read_plan(tmp_path)["data"]}


def test_a_folder_of_an_earlier_version_that_noted_how_the_data_were_spelled_goes_on(tmp_path):
    with open_ledger(tmp_path, plan_with({"data": "folder:six", "digest": "1"})) as ledger:
        add(ledger, TRIALS[0])
    with open_ledger(tmp_path, plan_with({"digest": "1"})) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[1:]


def test_a_process_with_other_code_may_join_one_that_runs(tmp_path):
    with open_ledger(tmp_path) as first, open_ledger(tmp_path, plan_with(code="bbbbbbbb"), accept_code=True) as second:
        add(second, TRIALS[0])
        add(first, TRIALS[1])
        assert first.table()["code"].tolist() == ["bbbbbbbb"] * 3 + ["aaaaaaaa"] * 3


NO_PLANS = {
    "list": b"[]", "number": b"3", "text": b'"plan"', "nothing": b"null", "empty": b"", "cut": b'{"study": "ti',
    "UTF-16": '{"study": "tiny"}'.encode("utf-16"), "cp1252": '{"study": "K\u00e4fer"}'.encode("cp1252"),
    "deep": b"[" * 100_000, "another object": b'{"openings": []}',
    "no openings": json.dumps(plan_with(openings=[])).encode(),
    "openings of something else": json.dumps(plan_with(openings=["yesterday"])).encode(),
    "facts of another type": json.dumps(plan_with(openings=[{"code": "a", "commit": "b"}]) | {"facts": 1}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", NO_PLANS.values(), ids=NO_PLANS)
def test_what_is_no_plan_is_refused_by_name_and_kept(tmp_path, content):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    (tmp_path / "plan.json").write_bytes(content)
    before = snapshot(tmp_path)
    for opening in (read_plan, open_ledger):
        with pytest.raises(InputError, match=r"plan\.json: .*; bring back a copy of it, or choose another folder"):
            opening(tmp_path)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["plan.json", "results.csv", ".lock"])
def test_a_folder_where_a_file_should_be_is_refused(tmp_path, name):
    open_ledger(tmp_path).__exit__()
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}|cannot be read|Is a directory"):
        open_ledger(tmp_path)


@pytest.mark.parametrize("kind", ["the folder", "the lock", "the plan"])
def test_a_disk_that_is_full_at_the_start_is_said(tmp_path, monkeypatch, kind):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    where = {"the folder": "pathlib.Path.mkdir", "the lock": "pathlib.Path.open", "the plan": "os.fsync"}
    monkeypatch.setattr(where[kind], full)
    with pytest.raises(InputError, match="No space left on device; free space there, then give the same command again"):
        open_ledger(tmp_path / "runs")
    assert not (tmp_path / "runs" / "plan.json").exists()
