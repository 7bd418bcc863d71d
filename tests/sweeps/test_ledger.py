"""Results are one sealed file per trial, survive damage and kills, and never mix configurations or code."""

import errno
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax import files
from segjax.sweeps import Row
from segjax.sweeps.ledger import read_failed
from segjax.sweeps.plan import read_plan
from segjax.types import InputError
from tests.tiny_ledger import TRIALS, Trial, add, open_ledger, plan_with, snapshot


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
        monkeypatch.setattr(os, "open", lambda path, *how, **at: is_fresh.append(path) or opened(path, *how, **at))
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


def test_a_folder_that_is_removed_or_moved_meanwhile_is_named(tmp_path):
    with open_ledger(tmp_path / "out") as ledger:
        add(ledger, TRIALS[0])
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        for work in (lambda: ledger.claim(TRIALS[1]), lambda: add(ledger, TRIALS[1])):
            with pytest.raises(InputError, match=r"out: was removed or moved while this process worked in it"):
                work()
    assert not (tmp_path / "out").exists()


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
