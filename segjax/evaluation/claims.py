"""What a comparison says: subject, rival, metric and decision, as a row of a table and as one sentence."""

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


def sentence(claim: Claim) -> str:
    """The comparison in words; every number comes from the decision."""
    found, digits = claim.decision, digits_of(claim.unit)
    names = f"{claim.subject} and {claim.rival}"
    sets = counted(found.n)
    if found.verdict == "too few":
        return f"{names} differ by {_signed(found.mean, claim)} in {claim.metric}: {sets}, too few for a verdict."
    if found.verdict == "not decided":
        bounds = f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
        return (
            f"{names} are not told apart in {claim.metric}: {_signed(found.mean, claim)} "
            f"(95 % interval {bounds}, {sets})."
        )
    low, high = sorted((abs(found.low), abs(found.high))) if found.low * found.high > 0 else (found.low, found.high)
    amount = f"{abs(found.mean):.{digits}f} {claim.unit}".strip()
    return (
        f"{claim.subject} is {found.verdict}{' of' if found.verdict == 'ahead' else ''} {claim.rival} by {amount} in "
        f"{claim.metric} (95 % interval {low:.{digits}f} to {high:.{digits}f}, {sets})."
    )


def shown(value: Interval, digits: int = 3) -> str:
    """A mean with its interval, where there are enough test sets for one; "-" without any."""
    if not value.n:
        return "-"
    bounds = f" ({value.low:.{digits}f} to {value.high:.{digits}f})" if value.low == value.low else ""
    return f"{value.mean:.{digits}f}{bounds}"


def counted(replicates: int) -> str:
    """ "1 test set", "5 test sets"."""
    return f"{replicates} test set" + ("" if replicates == 1 else "s")


def digits_of(unit: str) -> int:
    """Digits after the point that a unit is shown with."""
    return 1 if unit.endswith("points") else 3


def _signed(value: float, claim: Claim) -> str:
    return f"{value:+.{digits_of(claim.unit)}f} {claim.unit}".strip()
