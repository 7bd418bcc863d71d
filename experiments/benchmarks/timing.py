"""Ours and its rivals, timed in turn in one process; what all benchmarks share.

A benchmark is a table of contests: name -> function that makes the contest, so that only one at a time is in memory. In
every round of a contest each way of doing the work is timed once, one after the other, so that whatever else the
machine does meets all of them; the median over the rounds counts. Each turn begins with a call that is not timed (what
ran before has emptied the caches) and is long enough for the clock; calls that fill a turn alone go without it.
"""

import csv
import io
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

from experiments.harness.provenance import comment, provenance
from experiments.harness.start import run_command
from segjax.files import write_file
from segjax.training.parallel import cores
from segjax.types import InputError

Scale = Literal["full", "smoke"]
Call = Callable[[int], object]
Row = dict[str, str | int | float]

TURN_SECONDS = 0.2
MOST_CALLS = 50
RESULTS = Path("experiments/benchmarks/results")
_PIPED_WIDTH = 160


@dataclass(frozen=True)
class Contest:
    """One piece of work and the ways of doing it.

    Attributes:
        ours: way -> call; a call does the work once, returns when it is finished, and is given the number of the round.
        rivals: the same for the others; may be empty.
        facts: further columns of the table.
    """

    ours: Mapping[str, Call]
    rivals: Mapping[str, Call]
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


Contests = Mapping[str, Callable[[], Contest]]
Named = TypeVar("Named")


@dataclass(frozen=True)
class TimingOptions:
    rounds: int = 11
    """Number of times that every way is timed; the median counts."""
    threads: int | None = None
    """Number of cores for ours and for the rivals. Default: all cores that this process may use."""
    out: Path = RESULTS
    """Folder for the table, NAME.csv."""
    only: tuple[str, ...] = ()
    """Only contests whose name contains one of these, for example: --only "unet width=8" msd."""
    scale: Scale = "full"
    """smoke: tiny sizes, to see that everything runs; its times mean nothing."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"rounds must be at least 1, not {self.rounds}")


def command(name: str, description: str | None, contests: Callable[[Scale], Contests]) -> None:
    """A benchmark's command: reads the command line, measures, prints and writes the table."""

    def body() -> None:
        options = tyro.cli(TimingOptions, description=description)
        header = begin(name, options)
        keep = unfinished(name, header, options.out)
        report(name, header, measure(chosen(contests(options.scale), options.only), options.rounds, keep), options.out)

    run_command(body)


def begin(name: str, options: TimingOptions) -> dict[str, str]:
    """Put the number of cores in force, before any library starts its threads; returns the header of the table.

    Raises:
        InputError: as `limit_cores`.
    """
    limit_cores(options.threads)
    return header_of(name)


def limit_cores(threads: int | None) -> None:
    """Keep this process, and with it the threads it starts from now on, to as many cores; None changes nothing.

    Raises:
        InputError: there are fewer cores, or the system cannot limit a process.
    """
    if threads is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("threads: this system cannot bind a process to some cores; leave the option out")
    if not 1 <= threads <= cores():
        raise InputError(f"threads must be from 1 to {cores()}, the cores this process may use, not {threads}")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def chosen(contests: Mapping[str, Named], only: Sequence[str]) -> Mapping[str, Named]:
    """Those with one of the words in their name; all without words.

    Raises:
        InputError: none has; the message lists what there is.
    """
    kept = {name: make for name, make in contests.items() if not only or any(word in name for word in only)}
    if not kept:
        raise InputError(f"only: no contest has a name like {', '.join(only)}; choose from {'; '.join(contests)}")
    return kept


def measure(contests: Contests, rounds: int, keep: Callable[[Sequence[Row]], object] = lambda rows: None) -> list[Row]:
    """Rows of the table: one per contest and way, times in milliseconds per call; `keep` is given them as they grow.

    `ratio` is the median of the fastest rival over the median of this way: above 1, this way is faster than every
    rival; empty where there is no rival. `low_ms` and `high_ms` are the quartiles.
    """
    progress = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    for name, make in contests.items():
        progress.print(f"timing {name}", markup=False)
        rows += _rows(name, make(), rounds)
        keep(rows)
    return rows


def _rows(name: str, contest: Contest, rounds: int) -> list[Row]:
    calls = {("ours", way): call for way, call in contest.ours.items()}
    calls |= {("rival", way): call for way, call in contest.rivals.items()}
    repeats = {key: _repeats(call) for key, call in calls.items()}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for number in range(rounds):
        for key, call in calls.items():
            times[key].append(_turn(call, number, repeats[key]))
    medians = {key: statistics.median(values) for key, values in times.items()}
    fastest = min((median for (side, _), median in medians.items() if side == "rival"), default=None)
    rows = []
    for (side, way), median in medians.items():
        low, _, high = statistics.quantiles(times[side, way], n=4, method="inclusive") if rounds > 1 else [median] * 3
        row: Row = {"contest": name, "side": side, "way": way, "rounds": rounds}
        row |= {"median_ms": rounded(median), "low_ms": rounded(low), "high_ms": rounded(high)}
        rows.append(row | {"ratio": "" if fastest is None else rounded(fastest / median)} | dict(contest.facts))
    return rows


def _repeats(call: Call) -> int:
    """Calls per turn, judged by the second call; the first one compiles."""
    call(0)
    seconds = _turn(call, 0, 1) / 1000
    return max(1, min(MOST_CALLS, int(TURN_SECONDS / max(seconds, 1e-9))))


def _turn(call: Call, number: int, repeats: int) -> float:
    """Milliseconds per call."""
    if repeats > 1:
        call(number)
    start = time.perf_counter()
    for _ in range(repeats):
        call(number)
    return 1000 * (time.perf_counter() - start) / repeats


def rounded(value: float) -> float:
    """Four significant digits, which is more than a time has."""
    return float(f"{value:.4g}")


def header_of(name: str) -> dict[str, str]:
    """What a table of times has to say about itself: command, commit, machine and its load."""
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    command_line = shlex.join(["python", "-m", f"experiments.benchmarks.{name}", *sys.argv[1:]])
    return {**provenance(command_line), "load average at start": load}


def report(name: str, header: Mapping[str, str], rows: Sequence[Row], out: Path) -> Path:
    """Print the rows as a table and write them to OUT/NAME.csv under the header; returns the file."""
    columns = _columns(rows)
    table = Table(title=name, title_justify="left")
    for column in columns:
        is_text = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if is_text and column != "ratio" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    console.print(table)
    console.print(comment(header), markup=False, soft_wrap=True, end="")
    path = _write(out / f"{name}.csv", header, rows)
    _unfinished_path(name, out).unlink(missing_ok=True)
    console.print(f"written: {path}", markup=False, soft_wrap=True)
    return path


def unfinished(name: str, header: Mapping[str, str], out: Path) -> Callable[[Sequence[Row]], object]:
    """Writes the rows there are to OUT/NAME.unfinished.csv, which `report` takes away."""
    return lambda rows: _write(_unfinished_path(name, out), header, rows)


def _unfinished_path(name: str, out: Path) -> Path:
    return out / f"{name}.unfinished.csv"


def _write(path: Path, header: Mapping[str, str], rows: Sequence[Row]) -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=_columns(rows), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, comment(header) + text.getvalue())
    return path


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))
