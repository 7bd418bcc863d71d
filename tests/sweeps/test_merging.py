"""The tables of a folder are made of the files of its trials, whatever has happened to either."""

import csv
import random
import shutil
import warnings
from dataclasses import dataclass

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.sweeps import Ledger, Row, merging
from segjax.sweeps.merging import collect
from segjax.sweeps.plan import read_plan
from segjax.types import InputError


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Nothing waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@dataclass(frozen=True)
class Trial:
    network: str
    seed: int
    level: float = 0.0


TYPES = {"network": str, "seed": int, "level": float}
PLAN = {"study": "tiny", "data": "folder:Käfer", "fingerprint": "a", "facts": {}, "sources": {}}
PLAN["opening"] = {"code": "1234e567", "commit": "c0ffee"}
TRIALS = [Trial(network, seed, 0.3) for seed in (0, 1, 2) for network in ("unet", "msd")]


def opened(out):
    return Ledger(out, Trial, PLAN)


def rows_of(trial):
    return [Row("dice", trial.seed + 0.5, "p, 1"), Row("dice", float("nan"), "p2"), Row("iou", 1e-9)]


def filled(out, trials=TRIALS):
    with opened(out) as ledger:
        for trial in trials:
            ledger.append(trial, rows_of(trial), 0, "ok")
        ledger.table(trials)
    return out


def same(one, other):
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of six trials in the order of the plan, that nothing happened to."""
    return filled(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it, with its times."""
    return shutil.copytree(whole, tmp_path / "run")


STEPS = st.lists(st.sampled_from(["merge", "open", "drop parquet", "drop csv", "fail", "other order"]), max_size=5)


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.permutations(TRIALS), STEPS, st.randoms(use_true_random=False))
def test_whoever_did_the_trials_when_the_table_has_the_same_bytes(whole, tmp_path_factory, trials, steps, chance):
    out = tmp_path_factory.mktemp("run")
    todo = [*trials, *steps]
    chance.shuffle(todo)
    ledger = opened(out)
    warnings.simplefilter("ignore" if "drop parquet" in steps else "error")
    for step in todo:
        if step == "open":
            ledger.__exit__()
            ledger = opened(out)
        elif step == "merge":
            ledger.table(TRIALS)
        elif step == "other order":
            ledger.table(trials)
        elif step == "fail":
            ledger.append(chance.choice(trials), [], 0, "failed", "no luck")
        elif isinstance(step, str):
            (out / step.replace("drop ", "results.")).unlink(missing_ok=True)
        else:
            ledger.append(step, rows_of(step), 0, "ok")
    found = ledger.table(TRIALS)
    ledger.__exit__()
    assert (out / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    assert same(found, collect(whole, TYPES, read_plan(whole)))
    assert "drop parquet" in steps or not list(out.glob("*changed*"))


def test_only_new_files_are_read_and_nothing_is_written_where_nothing_is_new(folder, monkeypatch):
    read, written = [], []

    def noting(names, function):
        def noted(path, *rest):
            names.append(path.name)
            return function(path, *rest)

        return noted

    monkeypatch.setattr(merging, "read_trial", noting(read, merging.read_trial))
    monkeypatch.setattr(merging, "write_file", noting(written, merging.write_file))
    with opened(folder) as ledger:
        assert same(ledger.table(TRIALS), ledger.table(TRIALS)) and (read, written) == ([], [])
        ledger.append(Trial("new", 0), [], 0, "ok")
        assert len(ledger.table([*TRIALS, Trial("new", 0)])) == len(TRIALS) * 4 + 1
        assert len(read) == 1 and written == ["results.parquet", "results.csv"]
        ledger.append(TRIALS[0], [], 0, "ok")  # as when a trial's file was deleted and made again
        assert len(ledger.table(TRIALS)) == (len(TRIALS) - 1) * 4 + 2


def test_a_folder_that_was_moved_or_copied_without_its_times_has_the_same_table(folder, tmp_path):
    before = (folder / "results.csv").read_bytes()
    shutil.copytree(folder, tmp_path / "copied", copy_function=shutil.copyfile)
    folder.rename(tmp_path / "moved")
    for name in ("copied", "moved"):
        with opened(tmp_path / name) as ledger:
            ledger.table(TRIALS)
        assert (tmp_path / name / "results.csv").read_bytes() == before


def test_trials_that_the_study_no_longer_has_follow_the_others(folder):
    with opened(folder) as ledger:
        found = ledger.table([TRIALS[5], TRIALS[0]])
    order = list(dict.fromkeys(zip(found["network"], found["seed"], strict=True)))
    assert order == [("msd", 2), ("unet", 0), ("msd", 0), ("msd", 1), ("unet", 1), ("unet", 2)]


def test_a_trial_whose_file_was_deleted_has_no_rows_and_is_missing(folder):
    with opened(folder) as ledger:
        next((folder / "trials").iterdir()).unlink()
        assert len(ledger.table(TRIALS)) == 5 * 4 and len(ledger.missing(TRIALS)) == 1


def crlf(content):
    return content.replace(b"\n", b"\r\n")


DAMAGES = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "cut at a line": lambda content: content[: content.index(b"\n") + 1],
    "zeros": lambda content: bytes(len(content)),
    "another value": lambda content: content.replace(b"1e-09", b"2e-09"),
    "line ends": crlf,
    "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "twice": lambda content: content * 2,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("has_parquet", [True, False])
def test_a_damaged_trial_is_set_aside_and_missing_again_and_the_others_stay(folder, damage, has_parquet):
    before = collect(folder, TYPES, read_plan(folder))
    if not has_parquet:
        for name in ("results.parquet", "results.csv"):
            (folder / name).unlink()
    path = sorted((folder / "trials").iterdir())[2]
    path.write_bytes(content := damage(path.read_bytes()))
    kept = path.with_name(f"{path.name}.damaged")
    with opened(folder) as ledger:
        with pytest.warns(UserWarning, match=rf"{path}: .*it is now {kept}, and its trial is missing again"):
            found = ledger.table(TRIALS)
        (again,) = ledger.missing(TRIALS)
        assert same(found, before[(before["network"] != again.network) | (before["seed"] != again.seed)])
        assert kept.read_bytes() == content and ledger.claim(again)
        ledger.append(again, rows_of(again), 0, "ok")
        assert same(ledger.table(TRIALS), before)


def test_a_trial_under_the_name_of_another_is_set_aside(folder):
    first, second = sorted((folder / "trials").iterdir())[:2]
    shutil.copyfile(first, second)
    with opened(folder) as ledger, pytest.warns(UserWarning, match=rf"{second}: holds the rows of another trial"):
        assert len(ledger.table(TRIALS)) == 5 * 4


def test_files_of_others_among_the_trials_are_no_trials(folder):
    name = next((folder / "trials").iterdir())
    for other in (f"{name.stem} copy.csv", f".{name.name}.swp", "notes.csv"):
        shutil.copyfile(name, name.with_name(other))
    with opened(folder) as ledger:
        assert len(ledger.table(TRIALS)) == 6 * 4


@pytest.mark.slow
def test_wherever_parquet_is_damaged_it_is_seen_or_has_the_same_rows(folder):
    before, content = collect(folder, TYPES, read_plan(folder)), (folder / "results.parquet").read_bytes()
    before, chance, seen = before.sort_values(list(TYPES), kind="stable"), random.Random(0), 0
    for number in range(120):
        damaged = bytearray(content)
        if number % 4 == 3:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        (folder / "results.parquet").write_bytes(damaged)
        with warnings.catch_warnings(record=True, action="always") as said:
            found = collect(folder, TYPES, read_plan(folder))
        assert same(found.sort_values(list(TYPES), kind="stable"), before), number
        if said:
            assert "results.parquet: is damaged" in str(said[0].message)
            assert (folder / "results.parquet.damaged").read_bytes() == damaged
            (folder / "results.parquet.damaged").unlink()
        seen += bool(said)
    assert seen > 60


def test_a_parquet_that_goes_while_it_is_read_counts_as_absent(folder, monkeypatch):
    def gone(path):
        monkeypatch.undo()
        path.unlink()
        return merging.read_file(path)

    monkeypatch.setattr(merging, "read_file", gone)
    assert len(collect(folder, TYPES, read_plan(folder))) == 6 * 4


def test_a_damaged_parquet_is_made_again(folder):
    before = (folder / "results.csv").read_bytes()
    (folder / "results.parquet").write_bytes(b"PAR1")
    with opened(folder) as ledger, pytest.warns(UserWarning, match=r"parquet: is damaged .*results\.parquet\.damaged"):
        ledger.table(TRIALS)
    assert (folder / "results.csv").read_bytes() == before
    assert pq.read_table(folder / "results.parquet").num_rows == 6 * 4


@pytest.mark.parametrize("has_news", [True, False])
def test_a_table_that_another_program_saved_is_kept_aside_and_written_anew(folder, has_news):
    path = folder / "results.csv"
    before = path.read_bytes()
    for number in (1, 2):
        path.write_bytes(changed := crlf(before) + b"number %d" % number)
        kept = folder / f"results.changed-{number}.csv"
        with opened(folder) as ledger:
            if has_news:
                ledger.append(TRIALS[0], rows_of(TRIALS[0]), 0, "ok")
            with pytest.warns(UserWarning, match=f"{path}: was changed by .* kept as {kept}, and a new"):
                ledger.table(TRIALS)
        assert kept.read_bytes() == changed and path.read_bytes() == before


@pytest.mark.parametrize("name", ["results.parquet", "results.csv"])
def test_a_process_that_ends_between_the_two_tables_does_no_harm(folder, monkeypatch, name):
    write = merging.write_file

    def killed(path, *rest):
        if path.name == name:
            raise KeyboardInterrupt
        write(path, *rest)

    with opened(folder) as ledger:
        ledger.append(Trial("new", 0), [], 0, "ok")
        monkeypatch.setattr(merging, "write_file", killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.table(TRIALS)
        monkeypatch.undo()
        assert len(ledger.table(TRIALS)) == 6 * 4 + 1
    assert (
        not list(folder.glob("*changed*"))
        and b"\ntiny,folder:K\xc3\xa4fer,new," in (folder / "results.csv").read_bytes()
    )


def test_no_text_is_a_formula_in_the_csv_and_all_is_as_it_was_in_the_table(tmp_path):
    names = ["=1+1", "@a", "+b", "-c", "\t=d", "\r=e", "-1", "f"]
    trials = [Trial(name, 0) for name in names]
    with opened(tmp_path) as ledger:
        for trial in trials:
            ledger.append(trial, [Row("dice", -0.5, trial.network)], 0, "ok")
        found = ledger.table(trials)
    assert found["network"][::2].tolist() == found["picture"][::2].tolist() == names
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        _, *cells = csv.reader(file)
    safe = ["'=1+1", "'@a", "'+b", "'-c", "'\t=d", "'\r=e", "-1", "f"]
    assert [row[2] for row in cells[::2]] == [row[5] for row in cells[::2]] == safe
    assert {row[7] for row in cells[::2]} == {"-0.5"}


def test_values_have_one_precision_and_may_be_unknown(tmp_path):
    rows = [Row("a", 1 / 3), Row("b", 123456.789), Row("c", 1), Row("d", float("nan")), Row("e", 1e-9)]
    with opened(tmp_path) as ledger:
        ledger.append(TRIALS[0], rows, 2, "ok")
        for found in (ledger.table(), ledger.table()):
            assert found["value"].isna().tolist() == [False, False, False, True, False, False]
    written = [line.split(",")[7] for line in (tmp_path / "results.csv").read_text().splitlines()[1:]]
    assert written == ["0.333333", "123457", "1", "nan", "1e-09", "2"]


def test_a_folder_is_collected_without_writing(folder):
    (folder / "results.csv").unlink()
    (folder / "results.parquet").unlink()
    assert len(collect(folder, TYPES, read_plan(folder))) == 6 * 4
    assert not list(folder.glob("results*"))


def test_results_of_another_study_are_refused_by_name(folder, tmp_path):
    with Ledger(tmp_path / "other", Trial, {**PLAN, "study": "huge"}) as other:
        other.append(TRIALS[0], [], 0, "ok")
        (wrong,) = (tmp_path / "other" / "trials").iterdir()
    shutil.copyfile(wrong, folder / "trials" / wrong.name)
    with opened(folder) as ledger, pytest.raises(InputError, match=f"{wrong.name}: holds results of another study"):
        ledger.table()
