"""Working through the missing trials of a study, beside other processes, with progress and an honest time left."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from segjax.files import refusal
from segjax.sweeps.ledger import Ledger
from segjax.sweeps.results import Row
from segjax.sweeps.pace import Pace
from segjax.sweeps.trials import AnyTrial, Trial, described
from segjax.types import InputError


@dataclass(frozen=True)
class Outcome:
    """What running a trial gave.

    Attributes:
        rows: its values; at least one, unless it failed.
        summary: a line for people.
        status: how its training ended: "ok", "collapsed", "diverged" or "failed".
        restarts: how often its training was begun again.
        examples: arrays of a few pictures, for the report.
    """

    rows: Sequence[Row]
    summary: str
    status: str = "ok"
    restarts: int = 0
    examples: Mapping[str, np.ndarray] = field(default_factory=dict)


RunPack = Callable[[Sequence[Any], Callable[[float], None]], Iterable[tuple[int, Outcome]]]


def run_trials(
    trials: Sequence[AnyTrial],
    run: RunPack,
    ledger: Ledger,
    kind: Callable[[Any], str],
    console: Console,
    pack: int = 1,
) -> None:
    """Run every trial that the ledger lacks and no other process works on, and append its rows.

    Args:
        run: trials of one kind, and a function it calls with the share of their work done -> index and outcome of each,
            as they come. Where it raises, the trials without an outcome are recorded as failed.
        kind: what trials must have in common to be run in one pack; they are taken to last about as long.
        pack: most trials that are run at once.

    Raises:
        InputError: `run` raised it, or the results cannot be written.
    """
    missing = ledger.missing(trials)
    if len(missing) < len(trials):
        console.print(f"{len(trials) - len(missing)} of {len(trials)} trials are done already; {len(missing)} to do")
    with _Display(missing, ledger, kind, console) as display:
        while taken := _take(missing, ledger, kind, pack):
            display.begin(taken)
            try:
                for trial, outcome in _outcomes(taken, run, display.reach):
                    ledger.append(trial, outcome.rows, outcome.restarts, outcome.status)
                    display.ended(trial, outcome)
            finally:
                for trial in taken:
                    ledger.release(trial)
            missing = ledger.missing(missing)


def _take(missing: Sequence[AnyTrial], ledger: Ledger, kind: Callable[[Any], str], pack: int) -> list[AnyTrial]:
    """Up to `pack` missing trials of one kind, claimed; none where other processes hold all that is missing."""
    taken: list[AnyTrial] = []
    for trial in missing:
        if len(taken) < pack and (not taken or kind(trial) == kind(taken[0])) and ledger.claim(trial):
            taken.append(trial)
    return taken


def _outcomes(
    trials: Sequence[AnyTrial], run: RunPack, on_share: Callable[[float], None]
) -> Iterator[tuple[AnyTrial, Outcome]]:
    """Exactly one outcome per trial."""
    waiting = dict(enumerate(trials))
    try:
        for index, outcome in run(trials, on_share):
            yield waiting.pop(index), outcome
        reason = "nothing came of it"
    except InputError:
        raise
    except OSError as error:  # a full disk is no trial's fault
        if (said := refusal(error)) is not None:
            raise said from error
        reason = f"{type(error).__name__}: {error}"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    for trial in waiting.values():
        yield trial, Outcome((), f"failed: {reason}", "failed")


class _Display:
    """A bar over the trials, those that others finish included, one over the running pack, and a line per trial."""

    def __init__(self, todo: Sequence[Trial], ledger: Ledger, kind: Callable[[Any], str], console: Console) -> None:
        self._todo, self._ledger, self._kind, self._console = todo, ledger, kind, console
        self._pace, self._left = Pace(), list(todo)
        self._taken: Sequence[Trial] = ()
        self._own = 0  # trials that this process has finished
        self._in_pack = 0  # those of the running pack
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._trials = self._progress.add_task("trials", total=len(todo), left="")
        self._pack = self._progress.add_task("running", total=1.0, left="")

    def __enter__(self) -> "_Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, taken: Sequence[Trial]) -> None:
        """A pack starts."""
        self._taken, self._in_pack = taken, 0
        self._pace.begin(self._kind(taken[0]), len(taken))
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        self._progress.update(self._pack, description=f"{described(taken[0])}{others}", completed=0.0)

    def reach(self, share: float) -> None:
        """The running pack has done this share of its work."""
        self._pace.reach(share)
        self._progress.update(self._pack, completed=share)
        self._progress.update(self._trials, left=self._time_left())

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """A trial of the running pack has its outcome in the results."""
        self._own += 1
        self._in_pack += 1
        if self._in_pack == len(self._taken):
            self._pace.end()
        self._left = self._ledger.missing(self._todo)
        done, left = len(self._todo) - len(self._left), self._time_left()
        self._progress.update(self._trials, completed=done, left=left)
        line = f"[{done}/{len(self._todo)}] {described(trial)}: {outcome.summary}; {left}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _time_left(self) -> str:
        waiting = Counter(self._kind(trial) for trial in self._left if trial not in self._taken)
        done = len(self._todo) - len(self._left)
        return self._pace.left(waiting, max(done, 1) / max(self._own, 1))
