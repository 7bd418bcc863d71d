"""Working through the missing trials of a study, beside other processes, with progress and an honest time left."""

import contextlib
import itertools
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from segjax import interruption
from segjax.files import refusal
from segjax.sweeps.ledger import BETWEEN_LISTINGS, Ledger
from segjax.sweeps.pace import Pace
from segjax.sweeps.results import Row
from segjax.sweeps.slices import place, told
from segjax.sweeps.trials import AnyTrial, Trial, described, fingerprint, trial_key
from segjax.types import InputError

LISTING_SECONDS = 5.0  # between two looks at what others have finished, at least
PAUSE_SECONDS = 1.0  # between two tries to take what others hold


@dataclass(frozen=True)
class Outcome:
    """What running a trial gave.

    Attributes:
        rows: its values; at least one, unless it failed.
        summary: a line for people.
        status: how its training ended: "ok", "collapsed", "diverged" or "failed".
        restarts: how often its training was begun again.
        examples: arrays of a few pictures, for the report.
        traceback: where it failed.
    """

    rows: Sequence[Row]
    summary: str
    status: str = "ok"
    restarts: int = 0
    examples: Mapping[str, np.ndarray] = field(default_factory=dict)
    traceback: str = ""


RunPack = Callable[[Sequence[Any], Callable[[float], None]], Iterable[tuple[int, Outcome | Exception]]]


def run_trials(
    trials: Sequence[AnyTrial],
    run: RunPack,
    ledger: Ledger,
    kind: Callable[[Any], str],
    console: Console,
    pack: int = 1,
) -> None:
    """Run every trial that has not ended and that no other process works on, and write its results.

    At the end, what processes that are known to be alive work on is left to them: another one of this machine, or one
    that gives a sign of life after there was nothing else to do. Any other is waited for until it gives one, or counts
    as dead. The processes of a slice all call this with the same trials; process 0 claims for all.

    Args:
        run: trials of one kind, and a function it calls with the share of their work done -> index and outcome of each,
            as they come, or the error that ended it alone. Where it raises, the trials without an outcome are recorded
            as failed.
        kind: what trials must have in common to be run in one pack; they are taken to last about as long.
        pack: most trials that are run at once.

    Raises:
        InputError: `run` raised it, or the results cannot be written.
        Stopped: a stop was asked for.

    >>> import dataclasses, pathlib, tempfile
    >>> Tiny = dataclasses.make_dataclass("Tiny", [("level", float)], frozen=True)
    >>> trials, opening = [Tiny(0.0), Tiny(0.25)], {"code": "0", "commit": "0"}
    >>> plan = {"study": "tiny", "data": "none", "fingerprint": "0", "facts": {}, "sources": {}, "opening": opening}
    >>> def measure(pack, on_share):
    ...     return [(place, Outcome([Row("dice", 1 - one.level)], "done")) for place, one in enumerate(pack)]
    >>> with tempfile.TemporaryDirectory() as folder, Ledger(pathlib.Path(folder), Tiny, plan) as ledger:
    ...     run_trials(trials, measure, ledger, kind=lambda one: "any", console=Console(quiet=True))
    ...     ledger.missing(trials), ledger.table(trials).query("metric == 'dice'")["value"].tolist()
    ([], [1.0, 0.75])
    """
    missing = _missing_of_slice(trials, ledger)
    if len(missing) < len(trials):
        console.print(f"{len(trials) - len(missing)} of {len(trials)} trials are done already; {len(missing)} to do")
    kinds = {trial: kind(trial) for trial in missing}
    packs = _packs(kinds, ledger, pack) if place()[1] == 1 else _packs_of_slice(kinds, ledger, pack)
    with _Display(kinds, ledger, console) as display, contextlib.closing(packs):
        for taken in packs:
            display.begin(taken)
            for trial, outcome in _outcomes(taken, run, display.reach):
                ledger.append(trial, outcome.rows, outcome.restarts, outcome.status, outcome.traceback)
                display.ended(trial, outcome)


def _missing_of_slice(trials: Sequence[AnyTrial], ledger: Ledger) -> list[AnyTrial]:
    """Trials that have not ended, as process 0 sees it.

    Raises:
        InputError: process 0 has other trials.
    """
    missing, first = told(lambda: ([trial_key(one) for one in ledger.missing(trials)], _fingerprint_of(trials)))
    if first != _fingerprint_of(trials):
        raise InputError(f"process {place()[0]} has other trials than process 0; give all processes the same options")
    keys = set(missing)
    return [trial for trial in trials if trial_key(trial) in keys]


def _fingerprint_of(trials: Sequence[Trial]) -> str:
    return fingerprint({"trials": [trial_key(one) for one in trials]})


def _packs_of_slice(kinds: Mapping[AnyTrial, str], ledger: Ledger, pack: int) -> Generator[list[AnyTrial], None, None]:
    """This process's shares of the packs that process 0 claims for all, until it finds no more."""
    (number, count), order = place(), list(kinds)
    numbers = {trial: index for index, trial in enumerate(order)}
    with contextlib.closing(_packs(kinds, ledger, min(pack, len(kinds)) * count)) as claimed:
        while taken := told(lambda: [numbers[trial] for trial in next(claimed, [])]):
            if share := [order[index] for index in taken[number::count]]:
                yield share
            told(lambda: None)  # all have ended: process 0 may give the claims back


def _packs(kinds: Mapping[AnyTrial, str], ledger: Ledger, pack: int) -> Generator[list[AnyTrial], None, None]:
    """Packs of claimed trials, until all have ended or are left to others; a claim is given back after its pack."""
    open_trials, is_idle = list(kinds), False
    while open_trials:
        waiting, found = _Waiting(open_trials, kinds), False
        while taken := _take(waiting, ledger, pack):
            found = True
            try:
                yield taken
            finally:
                for trial in taken:
                    ledger.release(trial)
            interruption.check()
        open_trials = ledger.missing(open_trials)
        if not found:
            if not is_idle:
                ledger.doubt_others()  # whoever lived an hour ago may be dead
            open_trials = [one for one in open_trials if not ledger.is_left_to_others(one)]
            if open_trials:
                time.sleep(PAUSE_SECONDS)
        is_idle = not found
        interruption.check()


class _Waiting(Generic[AnyTrial]):
    """Trials that nobody has tried to take in this round: in the order of the plan, and by kind."""

    def __init__(self, trials: Sequence[AnyTrial], kinds: Mapping[AnyTrial, str]) -> None:
        self._kinds, self._order, self._tried = kinds, deque(trials), set[AnyTrial]()
        self._by_kind: dict[str, deque[AnyTrial]] = {}
        for trial in trials:
            self._by_kind.setdefault(kinds[trial], deque()).append(trial)

    def first_kind(self) -> str | None:
        """The kind of the first trial; None where none is left."""
        while self._order and self._order[0] in self._tried:
            self._tried.remove(self._order.popleft())
        return self._kinds[self._order[0]] if self._order else None

    def of_kind(self, kind: str) -> Iterator[AnyTrial]:
        """The trials of a kind, which then count as tried."""
        while self._by_kind[kind]:
            trial = self._by_kind[kind].popleft()
            self._tried.add(trial)
            yield trial


def _take(waiting: _Waiting[AnyTrial], ledger: Ledger, pack: int) -> list[AnyTrial]:
    """Up to `pack` trials of one kind, claimed; none where other processes hold all that there are."""
    while (kind := waiting.first_kind()) is not None:
        free = (trial for trial in waiting.of_kind(kind) if ledger.claim(trial))
        if taken := list(itertools.islice(free, pack)):
            return taken
    return []


def _outcomes(
    trials: Sequence[AnyTrial], run: RunPack, on_share: Callable[[float], None]
) -> Iterator[tuple[AnyTrial, Outcome]]:
    """Exactly one outcome per trial."""
    waiting = dict(enumerate(trials))
    try:
        for index, outcome in run(trials, on_share):
            yield waiting.pop(index), _failure(outcome) if isinstance(outcome, Exception) else outcome
            interruption.check()
        failure = Outcome((), "failed: nothing came of it", "failed", traceback="nothing came of it")
    except Exception as error:
        failure = _failure(error)
    for trial in waiting.values():
        yield trial, failure


def _failure(error: Exception) -> Outcome:
    """The outcome of a trial that an error ended; raises what is no trial's fault."""
    interruption.check()  # libraries make errors of their own of a stop
    if isinstance(error, InputError):
        raise error
    said = refusal(error) if isinstance(error, OSError) else None
    if said is not None:  # a full disk
        raise said from error
    reason, trace = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
    return Outcome((), f"failed: {reason}", "failed", traceback=trace)


class _Display:
    """A bar over the trials, those that others finish included, one over the running pack, and a line per trial."""

    def __init__(self, kinds: Mapping[Any, str], ledger: Ledger, console: Console) -> None:
        """`kinds` has the trials to do, with their kinds."""
        self._kinds, self._ledger, self._console = kinds, ledger, console
        self._pace, self._left = Pace(), dict.fromkeys(kinds)
        self._waiting = Counter(kinds.values())  # of what is left, those that are not in the running pack
        self._taken: Sequence[Trial] = ()
        self._own = 0  # trials that this process has finished
        self._next_look = 0.0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._trials = self._progress.add_task("trials", total=len(kinds), left="")
        self._pack = self._progress.add_task("running", total=1.0, left="")

    def __enter__(self) -> "_Display":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._look()
            self._progress.update(self._trials, completed=len(self._kinds) - len(self._left))
        self._progress.stop()

    def begin(self, taken: Sequence[Trial]) -> None:
        """A pack starts."""
        self._taken = taken
        kind = self._kinds[taken[0]]
        self._waiting[kind] = max(self._waiting[kind] - len(taken), 0)
        self._pace.begin(kind, len(taken))
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
        self._pace.end()
        self._left.pop(trial, None)
        if time.monotonic() > self._next_look:
            self._look()
        total, left = len(self._kinds), self._time_left()
        done = total - len(self._left)
        self._progress.update(self._trials, completed=done, left=left)
        line = f"[{done}/{total}] {described(trial)}: {outcome.summary}; {left}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _look(self) -> None:
        """See what others have done."""
        began = time.monotonic()
        self._left = dict.fromkeys(self._ledger.missing(self._left))
        self._waiting = Counter(self._kinds[one] for one in self._left.keys() - {*self._taken})
        ended = time.monotonic()
        self._next_look = ended + max(LISTING_SECONDS, BETWEEN_LISTINGS * (ended - began))

    def _time_left(self) -> str:
        done = len(self._kinds) - len(self._left)
        return self._pace.left(self._waiting, max(done, 1) / max(self._own, 1))
