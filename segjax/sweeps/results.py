"""What a file of results may hold, so that none is believed, or cut, that is not understood.

A spreadsheet may sort the rows, add a byte order mark, quotes or blank lines, and end lines in its own way: that has
the same meaning. Whatever else differs from what was written is refused with its line, and the file stays as it is.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from segjax.types import InputError

LAST_METRIC = "restarts"  # every trial's last row: its presence says that the trial's rows are whole
FIRST_COLUMNS = ("study", "data")
VALUE_COLUMNS = ("picture", "metric", "value", "status", "code")
STATUSES = ("ok", "collapsed", "diverged", "failed")
_REMEDY = (
    "the file was not changed; bring back a copy that no other program has saved, or save it as UTF-8 CSV with commas "
    "between columns and points in numbers"
)


class Results(NamedTuple):
    """The rows of a results file.

    Attributes:
        frame: rows of whole trials, in their order.
        text: the file.
        starts: of each of these rows, where its text begins, and where it ends.
        torn: where the rows begin of the one trial whose process was killed while it wrote them; None: there is none.
        ended: the factors of whole trials, with the line of each one's last row.
    """

    frame: pd.DataFrame
    text: str
    starts: Sequence[tuple[int, int]]
    torn: int | None
    ended: Mapping[tuple[Any, ...], int]


class _Record(NamedTuple):
    """A row: its line, counted from 1, where its text begins and ends, and its fields, None where quotes do not fit."""

    line: int
    start: int
    end: int
    fields: list[str] | None


def parse_results(
    path: Path, types: Mapping[str, Any], plan: Mapping[str, Any], known: Results | None = None
) -> Results:
    """Read the results file of a study; whoever may meet a process that writes it holds its lock.

    Args:
        path: `results.csv`; a file that is not there or empty has no rows.
        types: of the factors, by name.
        plan: its "study" and "data" are those of every row, and "sources" has the code of every row.
        known: what was read earlier; where whole trials were added since, only these are read.

    Raises:
        InputError: a line is not understood, or rows of finished trials are missing or doubled.
    """
    columns = (*FIRST_COLUMNS, *types, *VALUE_COLUMNS)
    allowed = {"study": {plan["study"]}, "data": {plan["data"]}, "status": STATUSES, "code": plan["sources"]}
    table = _Table(path, columns, types, allowed)
    text, is_cut = _decoded(path)
    if known is not None and not is_cut and (grown := _grown(known, text, table)) is not None:
        return grown
    records = list(_records(text))
    if not records or (is_cut and text != ",".join(columns) and ",".join(columns).startswith(text)):
        return Results(table.frame(table.values([])), text, [], 0 if records else None, {})
    _check_header(path, records[0].fields, columns)
    rows = records[1:]
    tail = rows.pop() if rows and is_cut and not table.holds(rows[-1]) else None
    if tail is not None and {"\n", "\r"} & set(text[tail.start :]):  # a quotation mark that is never closed
        raise table.refusal(tail.line, "its quotation marks do not fit")
    values = table.values(rows)
    keys = table.keys(values)
    ended = _ended(table, rows, values)
    first = next((index for index, key in enumerate(keys) if key not in ended), len(rows))
    if len(set(keys[first:])) > 1:
        raise table.refusal(rows[first].line, f"its trial has no row {LAST_METRIC}, and is not the last")
    if tail is not None:
        is_of_ended = table.key(tail) in ended
        if is_of_ended or (first == len(rows) > 0 and values["metric"][-1] != LAST_METRIC):
            raise table.refusal(tail.line, "the line is cut, but not by a process that was killed")
    torn = rows[first].start if first < len(rows) else None if tail is None else tail.start
    whole = [(row.start, row.end) for row in rows[:first]]
    return Results(table.frame({name: column[:first] for name, column in values.items()}), text, whole, torn, ended)


def parse_trials(path: Path, types: Mapping[str, Any]) -> pd.DataFrame:
    """A published table: a row per trial with its factors, replicate, status and code, then a column per metric.

    Args:
        path: of the file.
        types: of the factors, by name.

    Raises:
        InputError: the file cannot be read, lacks a factor of the trials, has a line that is not understood, or a trial
            twice.
    """
    text, is_cut = _decoded(path)
    records = list(_records(text))
    header = (records[0].fields or []) if records else []
    first = (*types, "replicate", "status", "code")
    if missing := [name for name in first if name not in header]:
        raise InputError(f"{path}: has no column {', '.join(missing)}; publish the run again")
    _check_header(path, header[: len(first)], first)
    metrics = {name: _number_or_nan for name in header[len(first) :]}
    table = _Table(path, tuple(header), {**types, **metrics}, {"status": STATUSES})
    if len(set(header)) < len(header) or any(name != name.strip() or not name for name in header):
        raise table.refusal(1, "names of columns are doubled, empty or have spaces around them")
    if is_cut:
        raise table.refusal(records[-1].line, "the line is cut: its end is missing")
    values = table.values(records[1:])
    seen: dict[tuple[Any, ...], int] = {}
    for row, key in zip(records[1:], zip(*(values[name] for name in types), strict=True), strict=True):
        if key in seen:
            raise table.refusal(row.line, f"the trial is in line {seen[key]} already")
        seen[key] = row.line
    return table.frame(values)


def _ended(table: "_Table", rows: Sequence[_Record], values: Mapping[str, Sequence[Any]]) -> dict[tuple[Any, ...], int]:
    """The factors of trials that have their last row, and its line."""
    ended: dict[tuple[Any, ...], int] = {}
    for row, key, metric in zip(rows, table.keys(values), values["metric"], strict=True):
        if metric == LAST_METRIC:
            if key in ended:
                raise table.refusal(row.line, f"the trial has its last row in line {ended[key]} already")
            ended[key] = row.line
    return ended


def _grown(known: Results, text: str, table: "_Table") -> Results | None:
    """Known results with the whole trials that were added to their file; None where anything else has changed."""
    size, lines = len(known.text), known.text.count("\n")
    if known.torn is not None or not known.ended or not known.text.endswith("\n") or not text.startswith(known.text):
        return None
    rows = [
        _Record(lines + line, size + start, size + end, fields) for line, start, end, fields in _records(text[size:])
    ]
    try:
        values = table.values(rows)
        ended = _ended(table, rows, values)
    except InputError:
        return None
    if not set(table.keys(values)) <= ended.keys() or ended.keys() & known.ended.keys():
        return None
    frame = pd.concat([known.frame, table.frame(values)], ignore_index=True)
    starts = [*known.starts, *((row.start, row.end) for row in rows)]
    return Results(frame, text, starts, None, {**known.ended, **ended})


class _Table:
    """Columns, and what may stand in them."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        types: Mapping[str, Callable[[str], Any]],
        allowed: Mapping[str, Collection[str]],
    ) -> None:
        self._path, self._columns, self._allowed = path, columns, allowed
        self._types = {name: types.get(name, float if name == "value" else str) for name in columns}
        self._factors = [name for name in columns if name in types]

    def refusal(self, line: int, problem: str) -> InputError:
        return InputError(f"{self._path}, line {line}: {problem}; {_REMEDY}")

    def holds(self, record: _Record) -> bool:
        """Whether a row is whole and understood."""
        try:
            self._check(record)
        except InputError:
            return False
        return True

    def values(self, records: Sequence[_Record]) -> dict[str, list[Any]]:
        """The columns, typed; InputError with the first line that is not understood."""
        try:
            width = len(self._columns)
            columns = list(zip(*(record.fields for record in records if record.fields), strict=True))
            if any(record.fields is None or len(record.fields) != width for record in records):
                raise ValueError
            found = dict(zip(self._columns, columns or [()] * width, strict=True))
            if any(not set(found[name]) <= set(known) for name, known in self._allowed.items()):
                raise ValueError
            return {name: list(map(self._types[name], column)) for name, column in found.items()}
        except ValueError:
            for record in records:
                self._check(record)
            raise

    def keys(self, values: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
        """The factors of every row."""
        return list(zip(*(values[name] for name in self._factors), strict=True))

    def key(self, record: _Record) -> tuple[Any, ...] | None:
        """The factors of a row that is cut; None where they are cut themselves."""
        last = self._columns.index(self._factors[-1]) if self._factors else 0
        if record.fields is None or len(record.fields) <= last + 1:
            return None
        named = dict(zip(self._columns, record.fields, strict=False))
        try:
            return tuple(self._types[name](named[name]) for name in self._factors)
        except ValueError:
            return None

    def frame(self, values: Mapping[str, list[Any]]) -> pd.DataFrame:
        """The columns as a table."""
        kinds = {name: kind if kind in (str, int) else float for name, kind in self._types.items()}
        return pd.DataFrame({name: pd.Series(list(values[name]), dtype=kinds[name]) for name in self._columns})

    def _check(self, record: _Record) -> None:
        fields = record.fields
        if fields is None:
            raise self.refusal(record.line, "its quotation marks do not fit")
        if len(fields) != len(self._columns):
            raise self.refusal(record.line, f"has {len(fields)} columns, not {len(self._columns)}")
        for name, field in zip(self._columns, fields, strict=True):
            if name in self._allowed and field not in self._allowed[name]:
                known = ", ".join(list(self._allowed[name])[:4])
                raise self.refusal(record.line, f"{name} {field!r} is not one of this run ({known})")
            try:
                self._types[name](field)
            except ValueError:
                raise self.refusal(record.line, f"{name} {field!r} is not a number") from None


def _check_header(path: Path, fields: Sequence[str] | None, columns: Sequence[str]) -> None:
    if fields is None or tuple(fields) != tuple(columns):
        found = ",".join(fields or [])
        shown = found if len(found) <= 200 else f"{found[:200]}..."
        raise InputError(f"{path}, line 1: the columns are {shown!r}, not {','.join(columns)!r}; {_REMEDY}")


def _decoded(path: Path) -> tuple[str, bool]:
    """The text of a file, and whether its last line has no end."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return "", False
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); move it away or choose another folder") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            line = content.count(b"\n", 0, error.start) + 1
            raise InputError(f"{path}, line {line}: is not text in UTF-8; {_REMEDY}") from error
        text = content[: error.start].decode("utf-8-sig") + "\N{REPLACEMENT CHARACTER}"
    return text, bool(text) and not text.endswith(("\n", "\r"))


def _records(text: str) -> Iterator[_Record]:
    """The rows of a CSV text without blank lines; after one that is not understood none comes."""
    position = 0

    def lines() -> Iterator[str]:
        nonlocal position
        for line in io.StringIO(text, newline=""):
            position += len(line)
            yield line

    reader = csv.reader(lines(), strict=True)
    while True:
        line, start = reader.line_num + 1, position
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield _Record(line, start, position, None)
            return
        if fields:
            yield _Record(line, start, position, fields)


def _number_or_nan(text: str) -> float:
    return float(text) if text else float("nan")
