"""How long the trials that are left will take, without promising the compilation of the first ones over and over."""

import time
from collections.abc import Callable, Mapping

UNKNOWN = "time left not known yet"


class Pace:
    """Measures packs of trials by kind and adds up the time left.

    The first pack of a kind carries its compilation. Until a second one has ended, trials of that kind count by the
    rate between two reports of progress within the first one, which come after the compilation.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._whole: dict[str, list[float]] = {}  # seconds per trial of every ended pack
        self._rough: dict[str, float] = {}  # seconds per trial, from reports within the first pack
        self._kind, self._trials, self._share = "", 0, 0.0

    def begin(self, kind: str, trials: int) -> None:
        """A pack of this many trials starts."""
        self._kind, self._trials, self._share = kind, trials, 0.0
        self._began = self._clock()
        self._first: tuple[float, float] | None = None  # time and share of the first report

    def reach(self, share: float) -> None:
        """The running pack has done this share of its work, 0 to 1."""
        now, self._share = self._clock(), share
        if self._first is None:
            self._first = now, share
        elif share > self._first[1]:
            self._rough[self._kind] = (now - self._first[0]) / (share - self._first[1]) / self._trials

    def end(self) -> None:
        """The running pack is done."""
        self._whole.setdefault(self._kind, []).append((self._clock() - self._began) / self._trials)
        self._trials = 0

    def left(self, waiting: Mapping[str, int], speed: float = 1.0) -> str:
        """Time left, in words.

        Args:
            waiting: how many trials of each kind are to do, without those of the running pack.
            speed: how many times as many trials get done as this process does; above 1 where others work along.
        """
        counts: dict[str, float] = {**waiting}
        if self._trials:
            counts[self._kind] = counts.get(self._kind, 0) + self._trials * (1 - self._share)
        known = {kind: seconds for kind in (*self._whole, *self._rough) if (seconds := self._seconds(kind)) is not None}
        if not known and any(counts.values()):
            return UNKNOWN
        unseen = sum(known.values()) / max(len(known), 1)  # a kind that never ran here counts like the others
        return f"{in_words(sum(known.get(kind, unseen) * count for kind, count in counts.items()) / speed)} left"

    def _seconds(self, kind: str) -> float | None:
        later = sorted(self._whole.get(kind, ())[1:])
        return later[len(later) // 2] if later else self._rough.get(kind)


def in_words(seconds: float | int) -> str:
    """A duration for people: seconds under two minutes, minutes under two hours, hours above."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
