"""What a comparison says: subject, rival, metric and decision, and short forms of numbers."""

from typing import NamedTuple

from segjax.evaluation.decision import Decision, Interval


class Claim(NamedTuple):
    """One comparison.

    Attributes:
        subject, rival: what is compared with what, as nouns.
        metric: name of what is measured, for people.
        decision: of subject minus rival, in the unit; higher is better.
        unit: "Dice points" (0.01), or empty where the metric has none.
    """

    subject: str
    rival: str
    metric: str
    decision: Decision
    unit: str = ""


def format_interval(value: Interval, digits: int = 3) -> str:
    """A mean with its interval, where there are enough test sets for one; "-" without any."""
    if not value.n:
        return "-"
    bounds = f" ({value.low:z.{digits}f} to {value.high:z.{digits}f})" if value.low == value.low else ""
    return f"{value.mean:z.{digits}f}{bounds}"


def format_test_sets(replicates: int) -> str:
    """A number of test sets in words: "1 test set", "5 test sets"."""
    return f"{replicates} test set" + ("" if replicates == 1 else "s")


def digits_of(unit: str) -> int:
    """Digits after the point that a unit is shown with."""
    return 1 if unit.endswith("points") else 3
