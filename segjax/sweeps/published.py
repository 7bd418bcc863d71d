"""The table of a published run, `trials.csv`, which people may have opened and saved.

A spreadsheet may sort the rows, add a byte order mark, quotes or blank lines, and end lines in its own way: that has
the same meaning. Whatever else differs from what was written is refused with its line, and the file stays as it is.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segjax.files import read_file
from segjax.types import InputError

STATUSES = ("ok", "collapsed", "diverged", "failed")
_REMEDY = (
    "the file was not changed; bring back a copy that no other program has saved, or save it as UTF-8 CSV with commas "
    "between columns and points in numbers"
)


def parse_trials(path: Path, types: Mapping[str, Any]) -> pd.DataFrame:
    """A row per trial with its factors, replicate, status and code, then a column per metric.

    Args:
        path: of the file.
        types: of the factors, by name.

    Raises:
        InputError: the file cannot be read, lacks a factor of the trials, has a line that is not understood, or a trial
            twice.
        FileNotFoundError: there is none.
    """

    def refusal(line: int, problem: str) -> InputError:
        return InputError(f"{path}, line {line}: {problem}; {_REMEDY}")

    text = _decoded(path)
    (_, header), *records = list(_records(text, refusal)) or [(1, [])]
    first = (*types, "replicate", "status", "code")
    if missing := [name for name in first if name not in header]:
        raise InputError(f"{path}: has no column {', '.join(missing)}; publish the run again")
    if tuple(header[: len(first)]) != first:
        raise refusal(1, f"the columns begin with {','.join(header[: len(first)])!r}, not {','.join(first)!r}")
    if len(set(header)) < len(header) or any(name != name.strip() or not name for name in header):
        raise refusal(1, "names of columns are doubled, empty or have spaces around them")
    if not text.endswith(("\n", "\r")):
        raise refusal(records[-1][0] if records else 1, "the line is cut: its end is missing")
    kinds: dict[str, Any] = {**dict.fromkeys(first, str), **types}
    seen: dict[Sequence[Any], int] = {}
    rows = []
    for line, fields in records:
        if len(fields) != len(header):
            raise refusal(line, f"has {len(fields)} columns, not {len(header)}")
        named = dict(zip(header, fields, strict=True))
        if named["status"] not in STATUSES:
            raise refusal(line, f"status {named['status']!r} is not one of {', '.join(STATUSES)}")
        try:
            row = tuple(kinds.get(name, _number_or_nan)(field) for name, field in named.items())
        except ValueError as error:
            raise refusal(line, f"a value is not a number ({error})") from None
        if (before := seen.setdefault(row[: len(types)], line)) != line:
            raise refusal(line, f"the trial is in line {before} already")
        rows.append(row)
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    series = {
        name: pd.Series(list(column), dtype=kinds[name] if kinds.get(name) in (str, int) else float)
        for name, column in zip(header, columns, strict=True)
    }
    return pd.DataFrame(series)


def _decoded(path: Path) -> str:
    content = read_file(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: is not UTF-8 text; {_REMEDY}") from error


def _records(text: str, refusal: Callable[[int, str], InputError]) -> Iterator[tuple[int, list[str]]]:
    """The line and fields of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise refusal(line, "its quotation marks do not fit") from None
        if fields:
            yield line, fields


def _number_or_nan(text: str) -> float:
    return float(text) if text else float("nan")
