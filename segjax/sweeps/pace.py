"""How long the trials that are left will take: a range where it is rough, and no number where nothing is known."""

import time
from collections.abc import Callable, Mapping, Sequence

UNKNOWN, NONE_LEFT = "time left not known yet", "no trial left"
_ALIKE = 1.3  # two ends of a range that differ by less are said as one number
Span = tuple[float, float | None]  # seconds at least, and at most; None where that is not known


class Pace:
    """Measures packs of trials by kind and adds up the time left.

    A pack is trained, which is reported by shares, and then its trials are measured and end one by one. The first pack
    of a kind also compiles: before the first report, and before its first trial ends. Later packs take between their
    time without the compilation and their time with it, until a second one has shown how long they take.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._first: dict[
            str, tuple[float, float]
        ] = {}  # seconds per trial of the first pack: without compilation, with
        self._sizes: dict[str, int] = {}  # trials of the first pack
        self._later: dict[str, list[float]] = {}  # of every other pack
        self._training: dict[str, float] = {}  # seconds per trial between two reports
        self._opening: dict[str, float] = {}  # seconds of measuring the first trial of a pack, which others profit from
        self._measuring: dict[str, list[float]] = {}  # of measuring each of the others
        self._kind, self._trials, self._ended, self._share = "", 0, 0, 0.0

    def begin(self, kind: str, trials: int) -> None:
        """A pack of this many trials starts."""
        self._kind, self._trials, self._ended, self._share = kind, trials, 0, 0.0
        self._began = self._before = self._clock()
        self._report: tuple[float, float] | None = None  # time and share of the first report

    def reach(self, share: float) -> None:
        """The trainings of the running pack are done to this share, 0 to 1."""
        self._before, self._share = self._clock(), share
        if self._report is None:
            self._report = self._before, share
        elif share > self._report[1]:
            gained, seconds = share - self._report[1], self._before - self._report[0]
            self._training[self._kind] = seconds / gained / self._trials

    def end(self) -> None:
        """A trial of the running pack has its outcome."""
        now, kind = self._clock(), self._kind
        if self._ended:
            self._measuring.setdefault(kind, []).append(now - self._before)
        else:
            self._opening[kind] = now - self._before
        self._before, self._ended = now, self._ended + 1
        if self._ended < self._trials:
            return
        whole = (now - self._began) / self._trials
        if kind in self._first:
            self._later.setdefault(kind, []).append(whole)
        else:
            least = self._training.get(kind, 0.0) + self._of_measuring()[0]
            self._first[kind], self._sizes[kind] = (min(least, whole), whole), self._trials
        self._trials = 0

    def left(self, waiting: Mapping[str, int], speed: float = 1.0) -> str:
        """Time left, in words.

        Args:
            waiting: how many trials of each kind are to do, without those of the running pack.
            speed: how many times as many trials get done as this process does; above 1 where others work along.
        """
        counts = {kind: count for kind, count in waiting.items() if count}
        if not self._trials and not counts:
            return NONE_LEFT
        spans = [self._running(), *(_times(self._of_trial(kind), count) for kind, count in counts.items())]
        return _said(_times(_sum(spans), 1 / speed))

    def _running(self) -> Span:
        """Of the running pack."""
        if not self._trials:
            return 0.0, 0.0
        kind, is_new = self._kind, self._kind not in self._first
        training: Span = (0.0, 0.0)
        if self._share < 1 and not self._ended:
            if kind in self._training:
                seconds = self._training[kind] * self._trials * (1 - self._share)
                training = (
                    (seconds if self._report else 0.0),
                    seconds,
                )  # without a report it may have been trained before
            elif is_new:
                training = 0.0, None
        opening = 0.0 if self._ended else self._opening.get(kind, 0.0)
        others = self._trials - max(self._ended, 1)
        measuring: Span = (0.0, None) if is_new and self._ended < 3 else _times(self._of_measuring(), others)
        return _sum([training, (opening, opening), measuring])

    def _of_measuring(self) -> Span:
        """Of measuring one trial of the running kind that is not the first of its pack."""
        measured = self._measuring.get(self._kind) or [self._opening[self._kind]]
        return min(measured), max(measured)

    def _of_trial(self, kind: str) -> Span:
        """Of one trial of a kind that waits."""
        if later := self._later.get(kind):
            return _middle(later)
        if kind in self._first:
            return self._first[kind]
        if kind == self._kind and self._trials:
            return self._training.get(kind, 0.0), None
        if len(self._first) < 2:
            return 0.0, None
        # a kind that never ran here is taken to be like the others on average
        trials = sum(self._sizes.values())
        least, most = (sum(self._first[one][end] * self._sizes[one] for one in self._first) / trials for end in (0, 1))
        return least, most


def _middle(values: Sequence[float]) -> Span:
    """The range of values without the lowest and the highest quarter."""
    ordered, quarter = sorted(values), len(values) // 4
    return ordered[quarter], ordered[-1 - quarter]


def _times(span: Span, factor: float | int) -> Span:
    return span[0] * factor, None if span[1] is None else span[1] * factor


def _sum(spans: Sequence[Span]) -> Span:
    most = [most for _, most in spans if most is not None]
    return sum(least for least, _ in spans), sum(most) if len(most) == len(spans) else None


def _said(span: Span) -> str:
    least, most = span
    if most is None:
        return f"at least {in_words(least)} left" if least >= 1 else UNKNOWN
    if most < max(_ALIKE * least, 1):
        return f"about {in_words(max((least + most) / 2, 1))} left"
    return f"{in_words(least)} to {in_words(most)} left" if least >= 1 else f"at most {in_words(most)} left"


def in_words(seconds: float | int) -> str:
    """A duration for people: seconds under two minutes, minutes under two hours, hours above."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
