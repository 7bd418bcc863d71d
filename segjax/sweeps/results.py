"""The files of ended trials, `trials/KEY.csv` and `trials/KEY.failed`: what they hold, and what is refused."""

import contextlib
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from segjax.files import Damaged, explained, read_sealed, sealed
from segjax.sweeps.trials import Trial, key_of, texts_of
from segjax.types import InputError

PRECISION = ".6g"  # of every value of every study
LAST_METRIC = "restarts"  # every trial's last row
FIRST_COLUMNS = ("study", "data")
VALUE_COLUMNS = ("picture", "metric", "value", "status", "code")
DONE, FAILED = ".csv", ".failed"  # ends of the names of files of trials
_NAME = re.compile(r"[0-9a-f]{16}\.(csv|failed)")


class Row(NamedTuple):
    """One value of a trial; `picture` is empty where pictures are pooled."""

    metric: str
    value: float
    picture: str = ""


def columns_of(types: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of results.csv for factors with these types."""
    return (*FIRST_COLUMNS, *types, *VALUE_COLUMNS)


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV with lines that end in a line feed; text with a line end of any kind stands in quotes."""
    lines: list[str] = []
    file = SimpleNamespace(write=lambda line: lines.append(f"{line[:-2]}\n"))
    csv.writer(file, lineterminator="\r\n").writerows(rows)  # older Pythons quote only what is in the line end
    return "".join(lines)


def trial_text(
    plan: Mapping[str, Any], trial: Trial, rows: Sequence[Row], restarts: int, status: str, code: str
) -> str:
    """The file of a trial: a header, its rows, the number of restarts as the last one, and a seal with the plan's
    fingerprint."""
    factors = texts_of(trial)
    first = [plan[name] for name in FIRST_COLUMNS]
    lines = [
        (*first, *factors.values(), row.picture, row.metric, format(float(row.value), PRECISION), status, code)
        for row in (*rows, Row(LAST_METRIC, restarts))
    ]
    return sealed(csv_text([columns_of(factors), *lines]), plan["fingerprint"])


def read_trial(path: Path, types: Mapping[str, Any], plan: Mapping[str, Any]) -> list[list[str]]:
    """The rows of a trial's file, as text.

    Args:
        path: `KEY.csv` or `KEY.failed`.
        types: of the factors, by name.
        plan: its "fingerprint", "study" and "data"; the pictures are called as in the plan.

    Raises:
        Damaged: the file is not as it was written, or is that of another trial.
        InputError: it belongs to another plan, or cannot be read.
        FileNotFoundError: there is none.
    """
    text, columns = read_sealed(path, plan["fingerprint"]), columns_of(types)
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    start, end = len(FIRST_COLUMNS), len(FIRST_COLUMNS) + len(types)
    if tuple(header) != columns or any(row[0] != plan["study"] for row in rows):
        raise InputError(f"{path}: holds results of another study; move it away")
    factors = rows[0][start:end]
    if key_of(dict(zip(types, factors, strict=True))) != path.stem or any(row[start:end] != factors for row in rows):
        raise Damaged(f"{path}: holds the rows of another trial; bring back a copy of it")
    return [[plan["study"], plan["data"], *row[start:]] for row in rows]


def ended_trials(folder: Path) -> dict[str, int]:
    """The files of ended trials in a results folder, with when each was written, in ns.

    Of a trial that has results, the file that says that it failed before is not among them.
    """
    times = {}
    for entry in _files(folder):
        with contextlib.suppress(FileNotFoundError):  # taken away just now
            times[entry.name] = entry.stat().st_mtime_ns
    return {name: time for name, time in times.items() if name.endswith(DONE) or f"{name[:16]}{DONE}" not in times}


def has_ended_trials(folder: Path) -> bool:
    """Whether there is the file of any ended trial in a results folder."""
    return next(_files(folder), None) is not None


def ended_names(folder: Path) -> set[str]:
    """Names of the files of ended trials, in one listing."""
    return {entry.name for entry in _files(folder)}


def _files(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with explained(folder), contextlib.suppress(FileNotFoundError), os.scandir(folder / "trials") as entries:
        yield from (entry for entry in entries if _NAME.fullmatch(entry.name))
