"""The one rule when a difference is decided; every study, page and README line uses it.

Values are one per replicate, a distinct test set: average seeds that share their test pictures first. NaN means "has no
value" (an empty picture, a failed run): it is left out, and `n` says how many values were left.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy import special

from segjax.types import InputError

REPLICATES_FOR_VERDICT = 5
_LEVEL = 0.05

Verdict = Literal["ahead", "behind", "not decided", "too few"]


class Interval(NamedTuple):
    """A mean, the bounds of its 95 % interval (NaN where there are too few values) and the number of values."""

    mean: float
    low: float
    high: float
    n: int


class Decision(NamedTuple):
    """What replicates say of subject minus rival.

    Attributes:
        mean: mean difference; NaN without a value.
        low, high: 95 % interval of this difference alone, not widened for the family; NaN below five replicates.
        n: replicates that have a difference.
        p: two-sided p value, Holm-corrected over the family; NaN below five replicates.
        verdict: of the subject, where higher is better.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float
    verdict: Verdict


def interval(values: ArrayLike, *, overlap: float = 0.0) -> Interval:
    """Mean over replicates and its 95 % interval: mean -+ t(0.975, n - 1) s sqrt(1/n + overlap).

    s has n - 1 in its denominator. The bounds are NaN below five replicates and are not clipped to the metric's range.

    Args:
        values: [n], one per replicate; NaN is left out.
        overlap: n_test / n_train of one replicate where training sets of replicates overlap (folds of one data set), 0
            where they do not. n_train counts what is trained on, without pictures for validation.

    Source: Nadeau and Bengio, Machine Learning 52 (2003), the corrected resampled t-test.

    Raises:
        InputError: values are not one finite number or NaN per replicate, or overlap is negative or not finite.

    >>> [round(value, 2) for value in interval([1, 2, 3, 4, 5])]
    [3.0, 1.04, 4.96, 5]
    """
    return _interval(*_estimate(values, overlap))


def decide(family: Sequence[ArrayLike], *, overlap: float = 0.0) -> list[Decision]:
    """Verdicts on a subject against every rival of a family, in the family's order.

    The family is all comparisons that are looked at together: all rivals of a method, all maps beside ours. The best of
    several that is chosen afterwards counts as a comparison with all, so all are given and the best one's `Decision` is
    taken from the list. A difference is decided where the two-sided p value of the corrected resampled t-test (n - 1
    degrees of freedom, variance of the mean as in `interval`), Holm-corrected over the entries with five replicates or
    more, is at most 0.05. Equal differences in all replicates have p 0, or 1 where they are 0.

    Args:
        family: per rival [n] paired differences, subject minus rival, one per replicate; NaN is left out. Higher is
            better: the caller negates differences of a metric where lower is better.
        overlap: as in `interval`.

    Sources: Nadeau and Bengio, Machine Learning 52 (2003); Holm, Scandinavian Journal of Statistics 6 (1979).

    Raises:
        InputError: as `interval`.

    >>> [found.verdict for found in decide([[3, 4, 5, 4, 4], [1, -1, 2, -2, 0], [1, 2]])]
    ['ahead', 'not decided', 'too few']
    """
    estimates = [_estimate(values, overlap) for values in family]
    corrected = holm([_p_value(*estimate) for estimate in estimates])
    return [
        Decision(*_interval(*estimate), float(p), _verdict(estimate[0], p))
        for estimate, p in zip(estimates, corrected, strict=True)
    ]


def holm(p_values: ArrayLike) -> Float64[np.ndarray, " N"]:
    """p values corrected for being many, in their order: max over j <= i of (m - j + 1) p_(j), at most 1.

    NaN stays NaN and does not count among the m comparisons.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    corrected = np.array(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(corrected))
    order = known[np.argsort(corrected[known])]
    factors = np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * corrected[order]), 1.0)
    return corrected


def _estimate(values: ArrayLike, overlap: float) -> tuple[float, float, int]:
    """Mean, its standard error (NaN below five values) and the number of values."""
    try:
        given = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.array(np.inf)
    if given.ndim != 1 or np.isinf(given).any():
        raise InputError(f"values: give one finite number or NaN per replicate, not {values!r}")
    if not isinstance(overlap, Real) or not 0 <= overlap < np.inf:
        raise InputError(f"overlap: {overlap} is not a ratio of numbers of pictures; give n_test / n_train, or 0")
    known = given[~np.isnan(given)]
    n = known.size
    mean = float(known.mean()) if n else float("nan")
    if n < REPLICATES_FOR_VERDICT:
        return mean, float("nan"), n
    return mean, float(known.std(ddof=1) * np.sqrt(1 / n + overlap)), n


def _interval(mean: float, error: float, n: int) -> Interval:
    half = float(special.stdtrit(n - 1, 0.975)) * error if n >= REPLICATES_FOR_VERDICT else float("nan")
    return Interval(mean, mean - half, mean + half, n)


def _p_value(mean: float, error: float, n: int) -> float:
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(n - 1, -abs(mean) / error)) if n >= REPLICATES_FOR_VERDICT else float("nan")


def _verdict(mean: float, p: float) -> Verdict:
    if np.isnan(p):
        return "too few"
    if p > _LEVEL:
        return "not decided"
    return "ahead" if mean > 0 else "behind"
