"""Working through the missing cells of a study, with progress and an honest time left."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from segjax.sweeps.cells import Cell
from segjax.sweeps.ledger import Ledger
from segjax.types import InputError


@dataclass(frozen=True)
class Outcome:
    """What running a cell gave: rows (metric, value, picture), how it ended, and a line for people."""

    rows: Sequence[Mapping[str, object]]
    status: str
    restarts: int
    summary: str


RunCell = Callable[[Cell, Callable[[float], None]], Outcome]


def run_cells(
    cells: Sequence[Cell], run: RunCell, ledger: Ledger, kind: Callable[[Cell], str], console: Console
) -> None:
    """Run every cell that the ledger lacks and append its rows; a cell that raises is recorded as failed.

    Args:
        run: a cell, and a function it calls with the share of its work done -> its outcome.
        kind: cells of one kind take about as long (time left = sum over cells left of the mean time of their kind).
    """
    missing = ledger.missing(cells)
    if len(missing) < len(cells):
        console.print(f"{len(cells) - len(missing)} of {len(cells)} cells are done already; {len(missing)} to do")
    seconds: dict[str, list[float]] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as progress:
        overall = progress.add_task("cells", total=len(missing), left="")
        current = progress.add_task("this cell", total=1.0, left="")
        for position, cell in enumerate(missing):
            progress.update(current, description=str(cell), completed=0.0)
            began = time.monotonic()
            outcome = _run_one(cell, lambda share: progress.update(current, completed=share), run)
            ledger.append(cell, outcome.rows, outcome.restarts, outcome.status)
            seconds.setdefault(kind(cell), []).append(time.monotonic() - began)
            left = time_left([kind(other) for other in missing[position + 1 :]], seconds)
            progress.update(overall, advance=1, left=f"{left} left")
            console.print(
                f"[{position + 1}/{len(missing)}] {cell}: {outcome.summary}; {left} left", markup=False, highlight=False
            )


def time_left(kinds: Sequence[str], seconds: Mapping[str, Sequence[float]]) -> str:
    """Time that cells of these kinds will take by the median of those done; of an unseen kind, by the median of all."""
    every = [value for values in seconds.values() for value in values]
    total = sum((_median(seconds.get(kind) or every) for kind in kinds), start=0.0)
    return in_words(total)


def in_words(seconds: float | int) -> str:
    """A duration for people: seconds under two minutes, minutes under two hours, hours above."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _median(values: Sequence[float]) -> float:
    # the first of a kind carries the compilation, so the mean would promise too much time for long
    return sorted(values)[len(values) // 2] if len(values) > 2 else min(values)


def _run_one(cell: Cell, on_share: Callable[[float], None], run: RunCell) -> Outcome:
    try:
        return run(cell, on_share)
    except InputError:
        raise
    except Exception as error:
        return Outcome((), "failed", 0, f"failed: {type(error).__name__}: {error}")
