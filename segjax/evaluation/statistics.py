"""Means with intervals, paired and unpaired comparisons.

Values are one per seed (or per picture). NaN means "has no value" (an empty picture, a failed run): it is left out, and
`n` says how many values were left.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy import stats

from segjax.evaluation.decision import Interval

_EXACT_UP_TO = 50


class Difference(NamedTuple):
    """Mean of paired differences, the bounds of its 95 % interval, the number of pairs, and the test's p value."""

    mean: float
    low: float
    high: float
    n: int
    p: float


def mean_interval(values: ArrayLike) -> Interval:
    """Mean and its 95 % interval by Student's t: mean -+ t(0.975, n - 1) s / sqrt(n), s with n - 1 in its denominator.

    Sound from two values on where seeds scatter about normally (the quantile is 12.7 for two values, 2.8 for five); the
    bounds are not clipped to the metric's range. NaN values are left out; without any value the mean is NaN too, n 0.

    Source: Student, Biometrika 6 (1908).
    """
    known = _known(values)
    n = known.size
    mean = float(known.mean()) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    half = float(stats.t.ppf(0.975, n - 1) * known.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: ArrayLike, b: ArrayLike) -> Difference:
    """Mean of a - b over pairs (same seed, same picture), its interval as in `mean_interval`, and a two-sided p value.

    The p value is Wilcoxon's signed-rank test of a - b, pairs without a difference left out: exact up to 50 pairs
    without ties and up to 13 with ties, by the normal approximation above that. It is 1 where no pair differs, NaN
    without pairs. Exact values are at least 2 / 2^n: five seeds never give less than 0.0625. Pairs with a NaN are left
    out.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945).

    Raises:
        ValueError: a and b are not equally long.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"pairs need as many values on both sides, not {first.shape} and {second.shape}")
    difference = _known(first - second)
    changed = difference[difference != 0]
    if changed.size:
        p = float(stats.wilcoxon(changed).pvalue)
    elif difference.size:
        p = 1.0
    else:
        p = float("nan")
    return Difference(*mean_interval(difference), p)


def rank_sum(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p value of Wilcoxon's rank-sum test for unpaired values (the Mann-Whitney U test).

    Exact up to 50 values a side without ties, by the normal approximation with continuity correction otherwise; 1 where
    all values are equal, NaN where a side has no value. NaN values are left out.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945); Mann and Whitney, Annals of Mathematical Statistics 18 (1947).
    """
    first, second = _known(a), _known(b)
    if not (first.size and second.size):
        return float("nan")
    everything = np.concatenate([first, second])
    distinct = np.unique(everything).size
    if distinct == 1:
        return 1.0
    exact = distinct == everything.size and max(first.size, second.size) <= _EXACT_UP_TO
    return float(stats.mannwhitneyu(first, second, method="exact" if exact else "asymptotic").pvalue)


def _known(values: ArrayLike) -> Float64[np.ndarray, " N"]:
    given = np.asarray(values, dtype=np.float64)
    return given[~np.isnan(given)]
