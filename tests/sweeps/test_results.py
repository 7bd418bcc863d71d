"""A results file that was cut, sorted or saved by a spreadsheet: the same content, or refused and left as it is."""

import contextlib
import csv
import io
import random
import warnings
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.sweeps import Ledger, Replicates, ResultTable, Row, read_plan, read_results
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

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=6)
ROWS = st.lists(
    st.builds(Row, st.sampled_from(["dice", "surface_dice"]), st.sampled_from([0.5, float("nan"), 1e-9]), NAMES),
    max_size=4,
)
TRIALS = st.lists(
    st.tuples(st.builds(Trial, NAMES, st.integers(0, 3), st.sampled_from([0.0, 0.3])), ROWS),
    min_size=1, max_size=4, unique_by=lambda pair: pair[0],
)  # fmt: skip


def opened(out):
    return Ledger(out, Trial, PLAN)


def records(frame):
    """Rows as text, NaN equal to itself, whatever their order."""
    return sorted(map(str, frame.astype({"value": str}).itertuples(index=False)))


def filled(out, pairs, status="ok"):
    """A results folder of whole trials; gives the size of the file after the header and after each trial."""
    with opened(out) as ledger:
        sizes = [len(",".join(ledger.columns)) + 1]
        for trial, rows in pairs:
            ledger.append(trial, rows, 0, status)
            sizes.append(ledger.path.stat().st_size)
    return sizes


def content(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=100)
@given(TRIALS, st.data())
def test_wherever_a_file_is_cut_all_complete_trials_stay_and_the_rest_is_copied_first(tmp_path_factory, pairs, data):
    out = tmp_path_factory.mktemp("runs")
    sizes, path, trials = filled(out, pairs), out / "results.csv", [trial for trial, _ in pairs]
    frame = read_results(out, TYPES, read_plan(out))
    cut = data.draw(st.integers(0, sizes[-1]))
    path.write_bytes(torn := path.read_bytes()[:cut])
    complete = sum(size - 1 <= cut for size in sizes[1:])  # the last line may lack its end only
    is_torn = cut not in (0, *sizes, *(size - 1 for size in sizes))
    if complete and cut == sizes[complete] - 1:
        is_torn = False
    expected = frame.iloc[: sum(len(rows) + 1 for _, rows in pairs[:complete])]
    assert records(read_results(out, TYPES, read_plan(out))) == records(expected)  # also without opening
    said = pytest.warns(UserWarning, match=r"uncut-1\.csv") if is_torn else contextlib.nullcontext()
    with said, opened(out) as ledger:
        assert ledger.missing(trials) == trials[complete:]
        assert records(ledger.table()) == records(expected)
        for trial, rows in pairs[complete:]:
            ledger.append(trial, rows, 0, "ok")
        assert records(ledger.table()) == records(frame)
    copies = list(out.glob("results.uncut-*.csv"))
    assert [copy.read_bytes() for copy in copies] == ([torn] if is_torn else [])


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=100)
@given(TRIALS, st.randoms(use_true_random=False))
def test_in_whatever_order_rows_are_no_result_is_lost_and_done_trials_have_all_their_rows(
    tmp_path_factory, pairs, chance
):
    out = tmp_path_factory.mktemp("runs")
    filled(out, pairs)
    before = records(read_results(out, TYPES, read_plan(out)))
    header, *rest = (out / "results.csv").read_bytes().splitlines(keepends=True)
    chance.shuffle(rest)
    (out / "results.csv").write_bytes(header + b"".join(rest))
    with opened(out) as ledger:
        assert ledger.missing([trial for trial, _ in pairs]) == []
        assert records(ledger.table()) == before
        ledger.append(Trial("another", 9), [Row("dice", 1.0)], 0, "ok")
        assert len(ledger.table()) == len(before) + 2
    assert (out / "results.csv").read_bytes().startswith(header + b"".join(rest))


def saved(delimiter=",", **options):
    """What a spreadsheet makes of a file: read, and written in its own way."""

    def change(text, rows=lambda rows: rows):
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator="\n", **options).writerows(rows(list(csv.reader([*text]))))
        return out.getvalue()

    return lambda text: change(text.splitlines())


def cells(change):
    """Every row's fields changed."""
    return lambda text: "".join(
        ",".join(f'"{field}"' if "," in field else field for field in change(row)) + "\n"
        for row in csv.reader(text.splitlines())
    )


def lines(change):
    return lambda text: "".join(change(text.splitlines(keepends=True)))


SAME = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "BOM": lambda text: text.encode("utf-8-sig"),
    "BOM and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "all quoted": saved(quoting=csv.QUOTE_ALL),
    "sorted by value": lines(lambda rows: [rows[0], *sorted(rows[1:], key=lambda row: row.split(",")[-3])]),
    "sorted by metric": lines(lambda rows: [rows[0], *sorted(rows[1:], key=lambda row: row.split(",")[-4])]),
    "turned round": lines(lambda rows: [rows[0], *rows[:0:-1]]),
    "no last line end": lambda text: text.removesuffix("\n"),
    "blank line at the end": lambda text: text + "\n",
    "blank lines between": lambda text: text.replace("\n", "\n\n"),
    "capital exponent": lambda text: text.replace("1e-09", "1.00E-09"),
}
REFUSED = {
    "semicolons": saved(";"),
    "semicolons and decimal commas": lambda text: saved(";")(text).replace("0.5", "0,5"),
    "tabs": saved("\t"),
    "quoted decimal commas": lambda text: text.replace("0.5", '"0,5"'),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without mark": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "cp1252": lambda text: text.encode("cp1252"),
    "another column": cells(lambda row: [*row, "remark"]),
    "empty columns": cells(lambda row: [*row, "", ""]),
    "a column less": cells(lambda row: row[:-1]),
    "reordered columns": cells(lambda row: [row[1], row[0], *row[2:]]),
    "row numbers": lines(lambda rows: [f"{number},{row}" for number, row in enumerate(rows)]),
    "no header": lines(lambda rows: rows[1:]),
    "header sorted into the rows": lines(lambda rows: [*rows[1:4], rows[0], *rows[4:]]),
    "header twice": lines(lambda rows: [rows[0], *rows]),
    "title above": lambda text: "sep=,\n" + text,
    "trailing spaces": lambda text: text.replace("\n", " \n"),
    "spaces around": cells(lambda row: [f" {field}" for field in row]),
    "line of commas": lambda text: text + "," * 9 + "\n",
    "code as a number": lambda text: text.replace("1234e567", "1.234E+570"),
    "capital status": lambda text: text.replace(",ok,", ",OK,"),
    "seed as a decimal": lambda text: text.replace("unet,0,", "unet,0.0,"),
    "a last row deleted": lines(lambda rows: [row for number, row in enumerate(rows) if number != 3]),
    "a row in two": lines(lambda rows: [*rows[:3], rows[3].replace(",ok", "\n,ok"), *rows[4:]]),
    "a trial copied": lines(lambda rows: [*rows, *rows[1:4]]),
    "an open quote": lines(lambda rows: [*rows[:2], rows[2].replace("dice", '"dice', 1), *rows[3:]]),
    "an open quote and no last line end": lambda text: text.replace(",p", ',"p', 1).removesuffix("\n"),
    "two pieces of quotes": lambda text: text.replace("unet", '"un"et'),
    "cut after it was sorted": lambda text: SAME["sorted by metric"](text)[:-12],
    "something else": lambda text: "Dear diary\n",
    "something else without end": lambda text: "x",
}


@pytest.fixture
def finished(tmp_path):
    """Four trials of three rows."""
    rows = [Row("surface_dice", 0.5, "p1"), Row("dice", 1e-9, "p, 2")]
    trials = [Trial(network, seed, 0.3) for seed in (0, 1) for network in ("unet", "msd")]
    filled(tmp_path, [(trial, rows) for trial in trials])
    return tmp_path, trials


def changed(out, change):
    path = out / "results.csv"
    new = change(path.read_text(encoding="utf-8"))
    path.write_bytes(new if isinstance(new, bytes) else new.encode())


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_is_understood_has_the_same_meaning_and_new_rows_join_it(finished, change):
    out, trials = finished
    before = records(read_results(out, TYPES, read_plan(out)))
    changed(out, change)
    kept = content(out)["results.csv"]
    with opened(out) as ledger:
        assert records(ledger.table()) == before and ledger.missing(trials) == []
        assert content(out)["results.csv"] == kept
        ledger.append(Trial("new", 0), [], 0, "ok")
    with opened(out) as ledger:
        assert len(ledger.table()) == len(before) + 1 and ledger.missing([Trial("new", 0), *trials]) == []
    assert not list(out.glob("*uncut*"))


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_what_is_not_understood_is_refused_with_its_line_and_kept_as_it_is(finished, change):
    out, _ = finished
    with opened(out) as running:
        changed(out, change)
        before = content(out)
        attempts = (
            lambda: opened(out),
            running.table,
            lambda: running.append(Trial("new", 0), [], 0, "ok"),
            lambda: read_results(out, TYPES, read_plan(out)),
        )
        for attempt in attempts:
            with pytest.raises(InputError, match=r"results\.csv, line \d+: .*; the file was not changed; bring back"):
                attempt()
            assert content(out) == before


def test_the_line_is_that_of_the_file(finished):
    out, _ = finished
    good, bad = (f"msd,1,0.3,p1,surface_dice,{value}" for value in ("0.5", "half"))
    changed(out, lambda text: text.replace("\n", "\n\n", 2).replace(good, bad))
    with pytest.raises(InputError, match="line 13: value 'half' is not a number"):
        opened(out)


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_failed_trials_are_tried_again_from_a_file_that_a_spreadsheet_saved(finished, change):
    out, trials = finished
    failed, before = Trial("failed", 0), records(read_results(out, TYPES, read_plan(out)))
    with opened(out) as ledger:
        ledger.append(failed, [], 0, "failed")
    changed(out, change)
    with opened(out) as ledger:
        assert ledger.missing([failed, *trials]) == [failed]
        assert records(ledger.table()) == before
        ledger.append(failed, [Row("dice", 0.5)], 0, "ok")
        assert len(ledger.table()) == len(before) + 2


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from(["flip", "drop", "insert", "swap"]), st.integers(1, 3))
def test_a_damaged_file_is_refused_whole_or_loses_one_trial_after_a_copy(tmp_path_factory, seed, kind, times):
    out = tmp_path_factory.mktemp("runs")
    trials = [Trial("unet", seed, 0.3) for seed in range(4)]
    filled(out, [(trial, [Row("dice", 0.5, "p1")]) for trial in trials])
    path, chance = out / "results.csv", random.Random(seed)
    damaged = bytearray(path.read_bytes())
    for _ in range(times):
        place = chance.randrange(len(damaged))
        if kind == "flip":
            damaged[place] ^= 1 << chance.randrange(8)
        elif kind == "drop":
            del damaged[place]
        elif kind == "insert":
            damaged.insert(place, chance.choice(b'"\n\r,; \0a\xff'))
        else:
            damaged[place], damaged[-place] = damaged[-place], damaged[place]
    path.write_bytes(damaged)
    try:
        with warnings.catch_warnings(record=True, action="always") as said, opened(out) as ledger:
            assert len({tuple(map(str, row)) for row in ledger.table()[list(TYPES)].itertuples(index=False)}) >= 3
    except InputError:
        said = []
    said = [warning for warning in said if warning.category is UserWarning]
    assert said or path.read_bytes() == damaged
    copies = list(out.glob("*uncut*"))
    assert [copy.read_bytes() for copy in copies] == ([bytes(damaged)] if said else [])


def test_a_full_disk_while_the_copy_is_made_changes_nothing(finished, monkeypatch):
    out, _ = finished
    changed(out, lambda text: text[:-3])
    before = content(out)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(InputError, match=r"uncut-1\.csv: No space left on device"):
        opened(out)
    assert content(out) == before


TABLE_SAME = ("CRLF", "BOM", "BOM and CRLF", "all quoted", "turned round", "blank lines between", "capital exponent")
TABLE_REFUSED = (
    "semicolons", "semicolons and decimal commas", "tabs", "quoted decimal commas", "UTF-16", "UTF-16 without mark",
    "reordered columns", "row numbers", "no header", "header twice", "trailing spaces", "no last line end",
    "capital status", "title above", "a copied row", "cut", "cp1252",
)  # fmt: skip
TABLES = SAME | REFUSED | {"a copied row": lines(lambda rows: [*rows, rows[1]]), "cut": lambda text: text[:-2]}


@pytest.fixture
def published(finished, tmp_path_factory):
    out, _ = finished
    rows = read_results(out, TYPES, read_plan(out))
    path = tmp_path_factory.mktemp("published") / "trials.csv"
    ResultTable.from_rows(rows, Trial, Replicates(("sä", "b"))).write(path)
    return path


@pytest.mark.parametrize("name", (*TABLE_SAME, *TABLE_REFUSED))
def test_a_published_table_is_read_with_the_same_meaning_or_refused(published, name):
    def values():
        found = ResultTable.read(published, Trial, 0.0)
        return records(found.frame.assign(value=0.0)), found.values("dice", Trial("unet", 0, 0.3)).to_dict()

    before = values()
    new = TABLES[name](published.read_text(encoding="utf-8"))
    published.write_bytes(content := new if isinstance(new, bytes) else new.encode())
    if name in TABLE_SAME:
        assert values() == before
    else:
        with pytest.raises(InputError, match=r"trials\.csv"):
            values()
    assert published.read_bytes() == content
