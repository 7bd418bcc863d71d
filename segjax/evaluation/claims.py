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
    if not found.n:
        return f"{claim.subject} and {claim.rival} have no result in common."
    sets = format_test_sets(found.n)
    amount = f"{abs(found.mean):.{digits}f}{f' {claim.unit}' if claim.unit else ''}"
    by = amount if claim.unit.startswith(claim.metric) else f"{amount} in {claim.metric}"
    place = "behind" if found.mean < 0 else "ahead of"
    if found.verdict == "too few":
        return f"{claim.subject} is {place} {claim.rival} by {by} on {sets}, too few for a verdict."
    low, high = found.low, found.high
    if found.verdict == "not decided":
        bounds = f"{low:+.{digits}f} to {high:+.{digits}f}"
        return (
            f"{claim.subject} and {claim.rival} are not told apart: {claim.subject} is {place.removesuffix(' of')} by "
            f"{by} on average (95 % interval {bounds}, {sets})."
        )
    low, high = sorted((abs(low), abs(high)))
    bounds = f"{low:.{digits}f} to {high:.{digits}f}"
    return f"{claim.subject} is {place} {claim.rival} by {by} (95 % interval {bounds}, {sets})."


def format_interval(value: Interval, digits: int = 3) -> str:
    """A mean with its interval, where there are enough test sets for one; "-" without any."""
    if not value.n:
        return "-"
    bounds = f" ({value.low:.{digits}f} to {value.high:.{digits}f})" if value.low == value.low else ""
    return f"{value.mean:.{digits}f}{bounds}"


def format_test_sets(replicates: int) -> str:
    """A number of test sets in words: "1 test set", "5 test sets"."""
    return f"{replicates} test set" + ("" if replicates == 1 else "s")


def digits_of(unit: str) -> int:
    """Digits after the point that a unit is shown with."""
    return 1 if unit.endswith("points") else 3


def _signed(value: float, claim: Claim) -> str:
    return f"{value:+.{digits_of(claim.unit)}f} {claim.unit}".strip()
