"""What to do with noisy labels: repair them, add them as they are, or leave them out, by the rule of decisions."""

from typing import NamedTuple

from segjax.evaluation import Decision, Interval
from segjax.evaluation.claims import format_interval
from segjax.reports.places import LOOKS

REPAIRED, AS_THEY_ARE, NEITHER, UNDECIDED, TOO_FEW = LOOKS


class Compared(NamedTuple):
    """Networks trained on clean and repaired labels, on clean and noisy labels, and on clean labels alone."""

    over_clean: Decision
    over_noisy: Decision
    noisy_over_clean: Decision

    @property
    def look(self) -> str:
        """The answer, one of `segjax.reports.places.LOOKS`.

        Repairing is ahead where it is ahead of both others. Noisy labels gain as they are where they are ahead of clean
        labels alone, and repairing is not ahead of them. Neither gains where both are behind clean labels alone.
        """
        verdicts = [one.verdict for one in self]
        if "too few" in verdicts:
            return TOO_FEW
        if verdicts[:2] == ["ahead", "ahead"]:
            return REPAIRED
        if verdicts[2] == "ahead" and verdicts[1] != "ahead":
            return AS_THEY_ARE
        return NEITHER if verdicts[0] == verdicts[2] == "behind" else UNDECIDED


def points_of(decision: Decision) -> str:
    """A difference in points with its interval, where there is one."""
    return format_interval(Interval(*decision[:4]), 1)
