"""How long does it take to claim and record a trial in a folder that many processes share, and how does that grow?

    python -m experiments.benchmarks.claims
    python -m experiments.benchmarks.claims --only workers

Four curves against the trials that a folder holds already: claiming one more, recording it (20 rows), listing what is
missing, and opening the folder; the points of all curves are measured in turn, round by round. The time per trial of 1
to 50 workers that begin at once on one folder and do nothing (`experiments.benchmarks.workers`). The time to open a
table of up to 1,000,000 rows (100 per trial) for the first time and again. Writes claims.csv and the figure claims.svg.
`exponent` is the a of cost ~ size^a, fitted to all points of a curve: 0 does not grow. Everything waits for the disk,
so a table holds for the disk it was made on.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pandas as pd
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Row, Scale, TimingOptions
from experiments.benchmarks.workers import PLAN, Trial
from experiments.harness.start import run_command
from segjax.files import write_file
from segjax.reports.charts import svg
from segjax.reports.growth import fitted_exponent, growth
from segjax.sweeps import Ledger
from segjax.sweeps import Row as Value

HELD: dict[Scale, tuple[int, ...]] = {"full": (500, 5_000, 50_000), "smoke": (5, 10)}
WORKERS: dict[Scale, tuple[int, ...]] = {"full": (1, 2, 5, 10, 20, 50), "smoke": (1, 2)}
SHARED: dict[Scale, int] = {"full": 500, "smoke": 20}  # trials that the workers share
ROWS: dict[Scale, tuple[int, ...]] = {"full": (10_000, 100_000, 1_000_000), "smoke": (200, 400)}
ROWS_OF_A_TRIAL, ROWS_OF_A_LONG_TRIAL = 20, 100
TURNS = 5  # trials claimed and recorded in a round
COSTS = {"median_ms": "milliseconds"}


@dataclass(frozen=True)
class ClaimsOptions(TimingOptions):
    sizes: tuple[int, ...] = ()
    """Numbers of trials that the folder holds already. Default: 500 5000 50000."""


def rows_of(trial: Trial, count: int) -> list[Value]:
    """Rows as a study has them: one per picture, and the last one that the ledger adds."""
    return [Value("dice", (trial.number + picture) % 997 / 997, f"picture-{picture}") for picture in range(count - 1)]


def filled(folder: Path, trials: int, rows: int) -> Path:
    """A results folder that holds so many trials."""
    # files are not waited for: what is only prepared need not survive a power cut
    with mock.patch("os.fsync"), Ledger(folder, Trial, PLAN) as ledger:
        for number in range(trials):
            ledger.append(Trial(number), rows_of(Trial(number), rows), 0, "ok")
    return folder


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def held_times(folder: Path, held: int, number: int) -> dict[str, list[float]]:
    """One round on a folder: opened, listed, and a few trials claimed and recorded; they leave the folder again."""
    times: dict[str, list[float]] = {"claim a trial": [], "record a trial": []}
    start = time.perf_counter()
    with Ledger(folder, Trial, PLAN) as ledger:
        times["open the folder"] = [1000 * (time.perf_counter() - start)]
        every = [Trial(other) for other in range(held)]
        times["list what is missing"] = [milliseconds(lambda: ledger.missing(every))]
        for turn in range(TURNS):
            trial = Trial(held + TURNS * number + turn)
            times["claim a trial"].append(milliseconds(lambda trial=trial: ledger.claim(trial)))
            values = rows_of(trial, ROWS_OF_A_TRIAL)
            times["record a trial"].append(
                milliseconds(lambda trial=trial, values=values: ledger.append(trial, values, 0, "ok"))
            )
            ledger.release(trial)
    return times


def held_rows(sizes: Sequence[int], rounds: int, folder: Path) -> list[Row]:
    """Four curves against the trials that a folder holds."""
    folders = {held: filled(folder / str(held), held, ROWS_OF_A_TRIAL) for held in sizes}
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(rounds):
        for held, place in folders.items():
            for curve, times in held_times(place, held, number).items():
                found.setdefault((curve, held), []).extend(times)
    rows = [row(curve, "trials there", held, times) for (curve, held), times in found.items()]
    return sorted(rows, key=lambda one: str(one["curve"]))


def worker_rows(scale: Scale, folder: Path) -> list[Row]:
    """The time per trial against the number of workers."""
    rows = []
    for workers in WORKERS[scale]:
        place, trials = folder / f"workers-{workers}", SHARED[scale]
        options = [str(place), "--workers", str(workers), "--trials", str(trials), "--seconds", "0"]
        command = [sys.executable, "-m", "experiments.benchmarks.workers", *options]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)
        per_second = found["trials_per_second"]
        new = row("trials by workers that do nothing", "workers", workers, [1000 / per_second])
        rows.append(new | {"per_second": per_second})
    return rows


def table_rows(scale: Scale, rounds: int, folder: Path) -> list[Row]:
    """The time to open a table for the first time and again, by another process' eyes."""
    rows = []
    for count in ROWS[scale]:
        place = filled(folder / f"rows-{count}", count // ROWS_OF_A_LONG_TRIAL, ROWS_OF_A_LONG_TRIAL)

        def opened(place=place, count=count) -> None:
            with Ledger(place, Trial, PLAN) as ledger:
                assert len(ledger.table()) == count

        rows.append(row("open a table for the first time", "rows", count, [milliseconds(opened)]))
        again = [milliseconds(opened) for _ in range(rounds)]
        rows.append(row("open a table again", "rows", count, again))
    return rows


def row(curve: str, quantity: str, size: int, times: Sequence[float]) -> Row:
    """A point of a curve: median and quartiles."""
    low, _, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [times[0]] * 3
    named = {"median_ms": statistics.median(times), "low_ms": low, "high_ms": high}
    first: Row = {"curve": curve, "quantity": quantity, "size": size, "measured": len(times)}
    return first | {name: timing.rounded(value) for name, value in named.items()}


def with_exponents(rows: Sequence[Row]) -> list[Row]:
    """The rows with the exponent of their curve."""
    found = {}
    for curve in {row["curve"] for row in rows}:
        points = [row for row in rows if row["curve"] == curve]
        found[curve] = fitted_exponent([row["size"] for row in points], [row["median_ms"] for row in points])  # type: ignore[misc]
    return [row | {"exponent": timing.rounded(found[row["curve"]])} for row in rows]


def main() -> None:
    def body() -> None:
        options = tyro.cli(ClaimsOptions, description=__doc__, default=replace(ClaimsOptions(), rounds=20))
        header = timing.begin("claims", options)
        with tempfile.TemporaryDirectory() as name:
            folder, scale, rounds = Path(name), options.scale, options.rounds
            parts = {
                "trials there": lambda: held_rows(options.sizes or HELD[scale], rounds, folder),
                "workers": lambda: worker_rows(scale, folder),
                "rows": lambda: table_rows(scale, rounds, folder),
            }
            rows = with_exponents([one for part in timing.chosen(parts, options.only).values() for one in part()])
        path = timing.report("claims", header, rows, options.out)
        write_file(path.with_suffix(".svg"), svg(growth(pd.DataFrame(rows), COSTS)))

    run_command(body)


if __name__ == "__main__":
    main()
