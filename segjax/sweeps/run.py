"""Working through the missing cells of a study, beside other processes, with progress and an honest time left."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from segjax.sweeps.cells import Cell
from segjax.sweeps.ledger import Ledger
from segjax.sweeps.pace import Pace
from segjax.types import InputError


@dataclass(frozen=True)
class Outcome:
    """What running a cell gave: rows (metric, value, picture), how it ended, and a line for people."""

    rows: Sequence[Mapping[str, object]]
    status: str
    restarts: int
    summary: str


RunPack = Callable[[Sequence[Cell], Callable[[float], None]], Iterable[tuple[int, Outcome]]]


def run_cells(
    cells: Sequence[Cell],
    run: RunPack,
    ledger: Ledger,
    kind: Callable[[Cell], str],
    console: Console,
    pack: int = 1,
) -> None:
    """Run every cell that the ledger lacks and no other process works on, and append its rows.

    Args:
        run: cells of one kind, and a function it calls with the share of their work done -> index and outcome of each,
            as they come. Where it raises, the cells without an outcome are recorded as failed.
        kind: what cells must have in common to be run in one pack; they are taken to last about as long.
        pack: most cells that are run at once.

    Raises:
        InputError: `run` raised it, or the results cannot be written.
    """
    missing = ledger.missing(cells)
    if len(missing) < len(cells):
        console.print(f"{len(cells) - len(missing)} of {len(cells)} cells are done already; {len(missing)} to do")
    with _Display(missing, ledger, kind, console) as display:
        while taken := _take(missing, ledger, kind, pack):
            display.begin(taken)
            try:
                for cell, outcome in _outcomes(taken, run, display.reach):
                    ledger.append(cell, outcome.rows, outcome.restarts, outcome.status)
                    display.ended(cell, outcome)
            finally:
                for cell in taken:
                    ledger.release(cell)
            missing = ledger.missing(missing)


def _take(missing: Sequence[Cell], ledger: Ledger, kind: Callable[[Cell], str], pack: int) -> list[Cell]:
    """Up to `pack` missing cells of one kind, claimed; none where other processes hold all that is missing."""
    taken: list[Cell] = []
    for cell in missing:
        if len(taken) < pack and (not taken or kind(cell) == kind(taken[0])) and ledger.claim(cell):
            taken.append(cell)
    return taken


def _outcomes(cells: Sequence[Cell], run: RunPack, on_share: Callable[[float], None]) -> Iterator[tuple[Cell, Outcome]]:
    """Exactly one outcome per cell."""
    waiting = dict(enumerate(cells))
    try:
        for index, outcome in run(cells, on_share):
            yield waiting.pop(index), outcome
        reason = "nothing came of it"
    except InputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    for cell in waiting.values():
        yield cell, Outcome((), "failed", 0, f"failed: {reason}")


class _Display:
    """A bar over the cells, those that others finish included, one over the running pack, and a line per cell."""

    def __init__(self, todo: Sequence[Cell], ledger: Ledger, kind: Callable[[Cell], str], console: Console) -> None:
        self._todo, self._ledger, self._kind, self._console = todo, ledger, kind, console
        self._pace, self._left = Pace(), list(todo)
        self._taken: Sequence[Cell] = ()
        self._own = 0  # cells that this process has finished
        self._in_pack = 0  # those of the running pack
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._cells = self._progress.add_task("cells", total=len(todo), left="")
        self._pack = self._progress.add_task("running", total=1.0, left="")

    def __enter__(self) -> "_Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, taken: Sequence[Cell]) -> None:
        """A pack starts."""
        self._taken, self._in_pack = taken, 0
        self._pace.begin(self._kind(taken[0]), len(taken))
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        self._progress.update(self._pack, description=f"{taken[0]}{others}", completed=0.0)

    def reach(self, share: float) -> None:
        """The running pack has done this share of its work."""
        self._pace.reach(share)
        self._progress.update(self._pack, completed=share)
        self._progress.update(self._cells, left=self._time_left())

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """A cell of the running pack has its outcome in the results."""
        self._own += 1
        self._in_pack += 1
        if self._in_pack == len(self._taken):
            self._pace.end()
        self._left = self._ledger.missing(self._todo)
        done, left = len(self._todo) - len(self._left), self._time_left()
        self._progress.update(self._cells, completed=done, left=left)
        line = f"[{done}/{len(self._todo)}] {cell}: {outcome.summary}; {left}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _time_left(self) -> str:
        waiting = Counter(self._kind(cell) for cell in self._left if cell not in self._taken)
        done = len(self._todo) - len(self._left)
        return self._pace.left(waiting, max(done, 1) / max(self._own, 1))
