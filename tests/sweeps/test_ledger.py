"""Results are one sealed file per trial, survive damage and kills, and never mix configurations or code."""

import errno
import itertools
import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax import files
from segjax.sweeps import Ledger, Row, read_failed, read_plan
from segjax.sweeps import plan as plan_module
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
    plan = {"study": "tiny", "data": "microscope:hl60", "facts": facts, "fingerprint": str(facts).replace(" ", "")}
    return {**plan, "sources": sources or {}, "opening": {"code": code, "commit": commit}, **others}


def open_ledger(out, plan=None, **options):
    return Ledger(out, Trial, plan or plan_with(), **options)


def add(ledger, trial, status="ok", traceback=""):
    ledger.append(trial, ROWS, 0, status, traceback)


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


def test_results_that_a_network_disk_does_not_show_before_their_folder_is_opened_are_seen(tmp_path, monkeypatch):
    with open_ledger(tmp_path) as one, open_ledger(tmp_path) as other:
        assert other.missing(TRIALS) == TRIALS and one.claim(TRIALS[0]) and not other.claim(TRIALS[0])
        add(one, TRIALS[0])
        one.release(TRIALS[0])
        look, opened, is_fresh = Path.exists, os.open, []
        monkeypatch.setattr(os, "open", lambda path, *how: is_fresh.append(path) or opened(path, *how))
        shown = lambda path: path.parent.name != "trials" or path.parent in is_fresh  # noqa: E731
        monkeypatch.setattr(Path, "exists", lambda path: look(path) and shown(path))
        assert not other.claim(TRIALS[0])


def test_a_table_without_rows_has_all_columns(ledger):
    assert list(ledger.table().columns) == list(ledger.columns) and ledger.table().empty


def test_every_row_says_which_code_made_it(tmp_path):
    with open_ledger(tmp_path, plan_with(code="00000001")) as ledger:
        add(ledger, TRIALS[0])
    with open_ledger(tmp_path, plan_with(code="1234e567"), accept_code=True) as ledger:
        add(ledger, TRIALS[1])
        assert ledger.table(TRIALS)["code"].tolist() == ["00000001"] * 3 + ["1234e567"] * 3


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        with open_ledger(tmp_path_factory.mktemp("runs")) as ledger:
            yield ledger


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.integers(0, 10**6),
    st.floats(0, 1e6, allow_nan=False),
)
def test_a_trial_that_was_written_is_not_missing_and_its_text_comes_back(large, network, seed, level):
    trial = Trial(network, seed, level)
    add(large, trial)
    assert large.missing([trial]) == []
    assert large.missing([Trial(f"{network}.", seed, level)]) != []
    rows = large.table([trial])
    assert rows.loc[:2, ["network", "seed", "level"]].drop_duplicates().to_numpy().tolist() == [[network, seed, level]]


def test_text_that_looks_like_something_else_stays_text(ledger):
    names = ["1", "007", "1e5", "nan", "NA", "", "True", "None", "=1+1"]
    trials = [Trial(name, 0) for name in names]
    for trial, name in zip(trials, names, strict=True):
        ledger.append(trial, [Row("dice", 0.5, name)], 0, "ok")
    for table in (ledger.table(trials), ledger.table(trials)):  # from the files, and from Parquet
        assert table["network"][::2].tolist() == table["picture"][::2].tolist() == names


def test_a_number_is_the_same_however_it_is_given(ledger):
    add(ledger, Trial("unet", 0, 1))
    assert ledger.missing([Trial("unet", 0, 1.0), Trial("unet", False, 1)]) == []


def test_failed_trials_are_done_again_only_where_that_is_asked_for(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0], "failed", "Traceback: no luck")
        add(ledger, TRIALS[1], "collapsed")
        assert ledger.missing(TRIALS) == TRIALS[2:] and ledger.failed(TRIALS) == TRIALS[:1]
        assert not ledger.claim(TRIALS[0])
    (traceback,) = (tmp_path / "failures").iterdir()
    assert traceback.read_text() == "network unet, seed 0, level 0.3\n\nTraceback: no luck\n"
    with open_ledger(tmp_path) as ledger:
        assert ledger.missing(TRIALS) == TRIALS[2:] and ledger.failed(TRIALS) == TRIALS[:1] == read_failed(
            tmp_path, Trial
        )
        assert ledger.table(TRIALS)["status"].tolist() == ["failed"] * 3 + ["collapsed"] * 3
    with open_ledger(tmp_path, retry_failed=True) as ledger:
        assert ledger.missing(TRIALS) == [TRIALS[0], *TRIALS[2:]] and ledger.failed(TRIALS) == []
        assert traceback.exists() and ledger.claim(TRIALS[0])
        add(ledger, TRIALS[0])
        assert not traceback.exists() and read_failed(tmp_path, Trial) == []
        assert ledger.table(TRIALS)["status"].tolist() == ["ok"] * 3 + ["collapsed"] * 3


def test_of_the_processes_of_one_request_the_first_tries_failed_trials_again(tmp_path):
    def asked(request):
        plan = plan_with()
        return open_ledger(tmp_path, {**plan, "opening": {**plan["opening"], "request": request}}, retry_failed=True)

    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0], "failed")
    with asked("SLURM job 7") as first:
        assert TRIALS[0] in first.missing(TRIALS)
        with asked("SLURM job 7") as second:  # no trial has failed again: nothing to say
            assert TRIALS[0] in second.missing(TRIALS)
        add(first, TRIALS[0], "failed")
    with pytest.warns(UserWarning, match="1 failed trials are not tried again: SLURM job 7 has asked for it before"):
        requeued = asked("SLURM job 7")
    assert TRIALS[0] not in requeued.missing(TRIALS)
    with asked("SLURM job 8") as ledger:
        assert TRIALS[0] in ledger.missing(TRIALS)


def test_without_a_request_failed_trials_are_not_tried_again_while_others_work(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0], "failed")
        assert ledger.claim(TRIALS[1])
        with pytest.warns(UserWarning, match=f"others work in {tmp_path}; give --retry-failed again when"):
            beside = open_ledger(tmp_path, retry_failed=True)
        assert TRIALS[0] not in beside.missing(TRIALS)
    assert TRIALS[0] in open_ledger(tmp_path, retry_failed=True).missing(TRIALS)


def test_of_a_trial_that_failed_here_and_was_done_elsewhere_the_results_count(ledger):
    add(ledger, TRIALS[0])
    add(ledger, TRIALS[0], "failed")
    assert ledger.failed(TRIALS) == [] and ledger.table()["status"].tolist() == ["ok"] * 3


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_results_of_another_configuration_that_came_into_the_folder_are_refused_by_name(tmp_path):
    with open_ledger(tmp_path / "one") as ledger, open_ledger(tmp_path / "two", plan_with({"depth": 2})) as other:
        add(ledger, TRIALS[0])
        add(other, TRIALS[1])
        (wrong,) = (tmp_path / "two" / "trials").iterdir()
        wrong.rename(there := tmp_path / "one" / "trials" / wrong.name)
        with pytest.raises(
            InputError, match=rf"{there}: belongs to {{'depth':2}}, not to {{'depth':1}}; .*move it away"
        ):
            ledger.table()
        assert there.exists()


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
    for plan in (first, first, {**second, "config": {"depth": 1}, "trials": 4}):
        open_ledger(tmp_path, plan, accept_code=True).__exit__()
    kept = read_plan(tmp_path)
    assert kept["openings"] == [first["opening"], first["opening"], second["opening"]]
    assert kept["sources"] == {"aaaaaaaa": OLD, "bbbbbbbb": NEW}
    assert (kept["config"], kept["trials"]) == ({"depth": 1}, 4)
    assert {name: kept[name] for name in ("study", "data", "facts", "fingerprint")} == {
        name: first[name] for name in ("study", "data", "facts", "fingerprint")
    }


def test_the_last_opening_is_the_last_whatever_the_clocks_say(tmp_path):
    for when in ("2031", "2030", "2029"):
        opening = {"code": "aaaaaaaa", "commit": "c", "when": when}
        open_ledger(tmp_path, {**plan_with(), "opening": opening}).__exit__()
    assert [opening["when"] for opening in read_plan(tmp_path)["openings"]] == ["2031", "2030", "2029"]


@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_that_begin_a_folder_at_once_one_writes_the_plan_and_the_others_find_it(
    tmp_path, monkeypatch, has_links
):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr("os.link", no_links)
    plans = [plan_with({"depth": depth}) for depth in (1, 2) for _ in range(4)]

    def begin(plan):
        try:
            open_ledger(tmp_path, plan).__exit__()
        except InputError as error:
            return str(error)
        return plan["fingerprint"]

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(begin, plans))
    kept = read_plan(tmp_path)["fingerprint"]
    if has_links:
        assert said.count(kept) == 4 and sum("results of another configuration" in one for one in said) == 4
    assert kept in said and not list(tmp_path.glob("*.unfinished")) and not list(tmp_path.glob(".*.unfinished"))


@pytest.mark.parametrize(
    ("plan", "commit"),
    [
        ({"openings": [{"commit": "0ld"}, {"code": "a", "commit": "e55d1bf"}]}, "e55d1bf"),
        ({"commit": "3d4f586"}, "3d4f586"),
        ({}, "unknown"),
        ({"openings": "yesterday"}, "unknown"),
    ],
)
def test_folders_of_earlier_versions_are_refused_with_the_commit_that_reads_them(tmp_path, plan, commit):
    (tmp_path / "plan.json").write_text(json.dumps({"study": "tiny", "fingerprint": "a", "facts": {}, **plan}))
    (tmp_path / "results.csv").write_text("study\n")
    before = snapshot(tmp_path)
    for opening in (open_ledger, read_plan):
        with pytest.raises(InputError, match=f"by an earlier version; check out its commit, {commit}, to read it"):
            opening(tmp_path)
    assert snapshot(tmp_path) == before


def test_folders_of_later_versions_and_folders_without_results_are_refused(tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps({"layout": 3}))
    with pytest.raises(InputError, match="by a later version; update segjax"):
        open_ledger(tmp_path)
    with pytest.raises(InputError, match="name the --out folder of a study"):
        read_plan(tmp_path / "nowhere")
    (tmp_path / "plan.json").unlink()
    (tmp_path / "results.csv").write_text("something\n")
    with pytest.raises(InputError, match=r"no plan\.json"):
        open_ledger(tmp_path)


NO_PLANS = {
    "list": b"[]", "number": b"3", "text": b'"plan"', "nothing": b"null", "empty": b"", "cut": b'{"study": "ti',
    "UTF-16": '{"study": "tiny"}'.encode("utf-16"), "cp1252": '{"study": "K\u00e4fer"}'.encode("cp1252"),
    "deep": b"[" * 100_000, "another object": b'{"a": 1}',
    "unsealed": json.dumps({**plan_with(), "layout": 2}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", NO_PLANS.values(), ids=NO_PLANS)
def test_a_damaged_plan_is_named_and_the_command_that_made_the_folder_makes_it_again(tmp_path, content):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    whole = (tmp_path / "plan.json").read_bytes()
    (tmp_path / "plan.json").write_bytes(content)
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"plan\.json: .*the command that made the folder makes it again"):
        read_plan(tmp_path)
    assert snapshot(tmp_path) == before
    with (
        pytest.warns(UserWarning, match=r"plan\.json: .*it is kept as .*plan\.json\.damaged; a new one was written"),
        open_ledger(tmp_path) as again,
    ):
        assert again.missing(TRIALS) == TRIALS[1:] and len(again.table()) == 3
    assert (tmp_path / "plan.json").read_bytes() == whole
    assert (tmp_path / "plan.json.damaged").read_bytes() == content


def test_a_plan_that_another_process_has_just_made_again_is_not_set_aside(tmp_path, monkeypatch):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    path = tmp_path / "plan.json"
    whole = path.read_bytes()
    path.write_bytes(b"cut")

    def slow(folder):
        monkeypatch.undo()
        path.write_bytes(whole)  # the faster process
        return True

    monkeypatch.setattr(plan_module, "has_ended_trials", slow)
    open_ledger(tmp_path).__exit__()
    assert path.read_bytes() == whole and not list(tmp_path.glob("*.damaged*"))


def test_a_plan_that_goes_while_it_is_read_counts_as_absent(tmp_path, monkeypatch):
    open_ledger(tmp_path).__exit__()
    whole, read = (tmp_path / "plan.json").read_bytes(), plan_module.read_json

    def gone(path, *others):
        monkeypatch.undo()
        path.unlink()
        return read(path, *others)

    monkeypatch.setattr(plan_module, "read_json", gone)
    open_ledger(tmp_path).__exit__()
    assert (tmp_path / "plan.json").read_bytes() == whole


@pytest.mark.filterwarnings("ignore:.*plan.json")
def test_many_processes_that_find_a_damaged_plan_at_once_keep_one_copy_and_make_one_plan(tmp_path):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    path = tmp_path / "plan.json"
    whole = path.read_bytes()
    for _ in range(5):
        path.write_bytes(b"cut")
        with ThreadPoolExecutor(8) as pool:
            for opened in pool.map(lambda _: open_ledger(tmp_path), range(8)):
                opened.__exit__()
    assert path.read_bytes() == whole
    assert [one.read_bytes() for one in tmp_path.glob("plan.json.damaged*")] == [b"cut"] * 5


@pytest.mark.parametrize("content", NO_PLANS.values(), ids=NO_PLANS)
def test_what_is_no_plan_in_a_folder_without_our_results_is_kept(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(InputError, match=r"plan\.json: "):
        open_ledger(tmp_path)
    assert snapshot(tmp_path) == {"plan.json": content}


@pytest.mark.parametrize("lost", ["gone", "damaged"])
def test_a_lost_plan_is_made_again_for_the_configuration_of_the_results_only(tmp_path, lost):
    with open_ledger(tmp_path) as ledger:
        add(ledger, TRIALS[0])
    plan = tmp_path / "plan.json"
    plan.unlink() if lost == "gone" else plan.write_bytes(plan.read_bytes()[:20])
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"holds results of another configuration, and its plan\.json is damaged or"):
        open_ledger(tmp_path, plan_with({"depth": 2}))
    assert snapshot(tmp_path) == before
    with warnings.catch_warnings(action="ignore"), open_ledger(tmp_path) as ledger:
        assert len(ledger.table()) == 3


def test_a_folder_that_is_removed_or_moved_meanwhile_is_named(tmp_path):
    with open_ledger(tmp_path / "out") as ledger:
        add(ledger, TRIALS[0])
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        for work in (lambda: ledger.claim(TRIALS[1]), lambda: add(ledger, TRIALS[1])):
            with pytest.raises(InputError, match=r"out: was removed or moved while this process worked in it"):
                work()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", ["openings", "code"])
def test_a_damaged_note_is_set_aside_and_named_and_the_rest_goes_on(tmp_path, folder):
    for _ in range(2):
        with open_ledger(tmp_path, plan_with(sources=OLD)) as ledger:
            add(ledger, TRIALS[0])
    note = sorted((tmp_path / folder).iterdir())[-1]
    note.write_bytes(note.read_bytes().replace(b"a", b"b", 1))
    before, what = snapshot(tmp_path), {"openings": "the note of an opening", "code": "the hashes of a version"}[folder]
    with pytest.warns(UserWarning, match=rf"{note}: is not {what}.*; no result depends on it, and it was left out$"):
        assert len(read_plan(tmp_path)["openings"]) == (1 if folder == "openings" else 2)
    assert snapshot(tmp_path) == before
    with (
        pytest.warns(UserWarning, match=rf"left out; it is kept as {note}\.damaged"),
        open_ledger(tmp_path, plan_with(sources=OLD)) as ledger,
    ):
        assert ledger.missing(TRIALS) == TRIALS[1:]
    assert read_plan(tmp_path)["sources"] == {"aaaaaaaa": OLD}


def test_a_page_sets_aside_the_damaged_note_of_an_earlier_opening(tmp_path):
    for _ in range(2):
        open_ledger(tmp_path).__exit__()
    note = sorted((tmp_path / "openings").iterdir())[0]
    note.write_bytes(b"")
    with pytest.warns(UserWarning, match=rf"left out; it is kept as {note}\.damaged"):
        assert len(read_plan(tmp_path, sets_aside=True)["openings"]) == 1
    assert len(read_plan(tmp_path)["openings"]) == 1 and not note.exists()


def test_a_finished_trial_cannot_be_claimed_and_one_that_was_given_back_can(ledger):
    assert ledger.claim(TRIALS[0])
    add(ledger, TRIALS[0])
    ledger.release(TRIALS[0])
    assert not ledger.claim(TRIALS[0])
    assert ledger.claim(TRIALS[1])
    ledger.release(TRIALS[1])
    assert ledger.claim(TRIALS[1])


def test_what_others_ended_since_the_last_listing_is_seen_and_then_not_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr("segjax.sweeps.ledger.BETWEEN_LISTINGS", 0)
    with open_ledger(tmp_path) as ledger, open_ledger(tmp_path) as other:
        assert ledger.missing(TRIALS) == TRIALS
        for trial in TRIALS[:3]:
            add(other, trial)
        asked, take = [], ledger._claims.take
        monkeypatch.setattr(ledger._claims, "take", lambda name: (asked.append(name), take(name))[1])
        assert [ledger.claim(trial) for trial in TRIALS] == [False, False, False, True] and len(asked) == 2


def test_a_claim_and_an_ended_trial_list_nothing_and_read_no_results(tmp_path, monkeypatch):
    with open_ledger(tmp_path) as ledger:
        ledger.claim(TRIALS[3])  # makes the folders
        add(ledger, TRIALS[3])
        seen = []

        def noted(function):
            return lambda path, *rest, **options: (seen.append(str(path)), function(path, *rest, **options))[1]

        for name in ("os.scandir", "os.listdir"):
            monkeypatch.setattr(name, noted(getattr(os, name.partition(".")[2])))
        monkeypatch.setattr(files, "read_file", noted(files.read_file))
        for trial in TRIALS[:2]:
            assert ledger.claim(trial)
            add(ledger, trial)
            ledger.release(trial)
        monkeypatch.undo()
    folders = {path.removeprefix(str(tmp_path)) for path in seen}
    assert not {folder for folder in folders if folder.rstrip("/").endswith(("trials", "taken", "openings", ".csv"))}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file is where a folder should be"):
        open_ledger(tmp_path / "file" / "runs")


def test_a_full_disk_is_waited_for_and_loses_nothing(ledger, monkeypatch):
    add(ledger, TRIALS[0])
    before, sync, full = snapshot(ledger.out), os.fsync, itertools.count()
    monkeypatch.setattr(files, "_BETWEEN_TRIES", 0.01)

    def fsync(descriptor):
        if next(full) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.warns(UserWarning, match=r"trials/.*\.csv: the disk is full"):
        add(ledger, TRIALS[1])
    assert ledger.missing(TRIALS) == TRIALS[2:]
    monkeypatch.setattr("segjax.sweeps.ledger.PATIENCE", 0.0)
    full = itertools.count(-(10**6))
    between = snapshot(ledger.out)
    with pytest.raises(InputError, match=r"\.csv: No space left on device; free space there"):
        add(ledger, TRIALS[2])
    assert snapshot(ledger.out) == between and before.items() <= between.items()


def test_the_same_pictures_under_another_name_go_on_and_rows_keep_the_first_name(tmp_path):
    facts = {"digest": "0123"}
    with open_ledger(tmp_path, plan_with(facts, data="folder:six")) as ledger:
        add(ledger, TRIALS[0])
    with open_ledger(tmp_path, plan_with(facts, data="folder:./six/")) as ledger:
        add(ledger, TRIALS[1])
        assert set(ledger.table()["data"]) == {"folder:six"} == {read_plan(tmp_path)["data"]}


def test_a_process_with_other_code_may_join_one_that_runs(tmp_path):
    with open_ledger(tmp_path) as first, open_ledger(tmp_path, plan_with(code="bbbbbbbb"), accept_code=True) as second:
        add(second, TRIALS[0])
        add(first, TRIALS[1])
        assert first.table(TRIALS)["code"].tolist() == ["bbbbbbbb"] * 3 + ["aaaaaaaa"] * 3


@pytest.mark.parametrize("name", ["plan.json", "results.csv", "results.parquet"])
def test_a_folder_where_a_file_should_be_is_refused_by_name(tmp_path, name):
    open_ledger(tmp_path).__exit__()
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: "), open_ledger(tmp_path) as ledger:
        ledger.table()


@pytest.mark.parametrize("kind", ["the folder", "the plan"])
def test_a_disk_that_is_full_at_the_start_is_said(tmp_path, monkeypatch, kind):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    where = {"the folder": "pathlib.Path.mkdir", "the plan": "os.fsync"}
    monkeypatch.setattr(where[kind], full)
    with pytest.raises(InputError, match="No space left on device; free space there, then give the same command again"):
        open_ledger(tmp_path / "runs")
    assert not (tmp_path / "runs" / "plan.json").exists()
