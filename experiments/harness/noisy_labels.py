"""What to do with noisy labels: repair them, add them as they are, or leave them out, by the rule of decisions."""

from typing import Any, NamedTuple

from segjax.evaluation import Decision, Interval
from segjax.evaluation.claims import format_interval
from segjax.reports.charts import INK, STYLES

REPAIRED, AS_THEY_ARE, NEITHER = "repairing is ahead", "noisy labels gain as they are", "neither gains"
UNDECIDED, TOO_FEW = "not decided", "too few test sets"
_BLUE, _ORANGE, _PINK = STYLES[0][0], STYLES[4][0], STYLES[3][0]
# of each answer in a `segjax.reports.places.place_chart`; letters neither pure black nor white, which follow a page
LOOKS: dict[str, dict[str, Any]] = {
    REPAIRED: {"facecolor": _BLUE, "letters": "#fefefe"},
    AS_THEY_ARE: {"facecolor": _ORANGE, "hatch": "..", "letters": "#010101"},
    NEITHER: {"facecolor": _PINK, "hatch": "xx", "letters": "#010101"},
    UNDECIDED: {"facecolor": "none", "hatch": "///", "letters": INK},
    TOO_FEW: {"facecolor": "none", "linestyle": ":", "letters": INK},
}


class Compared(NamedTuple):
    """Networks trained on clean and repaired labels, on clean and noisy labels, and on clean labels alone."""

    over_clean: Decision
    over_noisy: Decision
    noisy_over_clean: Decision

    @property
    def look(self) -> str:
        """The answer, one of `LOOKS`.

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
