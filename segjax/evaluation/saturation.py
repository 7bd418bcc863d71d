"""What more annotation would gain: a curve that saturates through measured values, and its rise from here to there."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import curve_fit

from segjax.evaluation.decision import Interval, interval
from segjax.types import InputError

LEAST_POINTS = 4  # one more than the curve has parameters
_LOWEST, _HIGHEST = (-1.0, -2.0, 0.01), (1.0, 2.0, 4.0)  # of top, drop and rate


class Saturating(NamedTuple):
    """The curve top - drop (x / first)^-rate: `top` is never reached, and `drop` below it is the value at `first`.

    With a negative drop it falls.
    """

    top: float
    drop: float
    rate: float
    first: float

    def at(self, x: float | int) -> float:
        """The value at x."""
        return float(self.top - self.drop * (x / self.first) ** -self.rate)


def fit_saturating(x: Float[np.ndarray, " B"], y: Float[np.ndarray, " B"]) -> Saturating:
    """The inverse power law that is nearest to values by least squares.

    Args:
        x: what was spent, above 0, at `LEAST_POINTS` different places or more.
        y: values, at most 1, such as Dice.

    Source of the curve: Figueroa et al., BMC Medical Informatics and Decision Making 12 (2012) 8.

    Raises:
        InputError: too few places, a place that is not positive, or a value that is not finite.

    >>> found = fit_saturating(np.array([1.0, 2, 4, 8]), 0.9 - 0.4 * np.array([1.0, 2, 4, 8]) ** -0.5)
    >>> [round(part, 3) for part in found]
    [0.9, 0.4, 0.5, 1.0]
    """
    if len(np.unique(x)) < LEAST_POINTS:
        raise InputError(f"x: a curve needs {LEAST_POINTS} different places, not {len(np.unique(x))}; give more")
    if not (np.isfinite(y).all() and np.isfinite(x).all() and (x > 0).all()):
        raise InputError("x, y: give finite values at places above 0")
    first, rise = float(x.min()), float(np.ptp(y))
    ends = float(y[np.argmin(x)]), float(y[np.argmax(x)])
    start = (ends[1], ends[1] - ends[0], 0.5) if ends[1] < ends[0] else (float(y.max()) + 0.1 * rise, 1.1 * rise, 0.5)
    found, _ = curve_fit(
        lambda place, top, drop, rate: top - drop * place**-rate,
        x / first,
        y,
        np.clip(start, _LOWEST, _HIGHEST),
        bounds=(_LOWEST, _HIGHEST),
    )
    return Saturating(float(found[0]), float(found[1]), float(found[2]), first)


def expected_gain(
    x: Float[np.ndarray, " B"],
    values: Float[np.ndarray, "R B"],
    start: float | int,
    end: float | int,
    *,
    overlap: float = 0.0,
) -> Interval:
    """How much the curve through the means over replicates rises from `start` to `end`, with its 95 % interval.

    `segjax.evaluation.interval` counts `gains_by_replicate`.

    Args:
        values: a row per replicate; rows with a NaN are left out.
        overlap: as of `interval`.

    Raises:
        InputError: as `fit_saturating`.

    >>> x = np.array([1.0, 2, 4, 8])
    >>> round(expected_gain(x, np.tile(0.9 - 0.4 / x, (5, 1)), 8, 16).mean, 3)
    0.025
    """
    return interval(gains_by_replicate(x, values, start, end), overlap=overlap)


def gains_by_replicate(
    x: Float[np.ndarray, " B"], values: Float[np.ndarray, "R B"], start: float | int, end: float | int
) -> list[float]:
    """The rise of `expected_gain` as a value per replicate without a NaN: the pseudo-values of the jackknife.

    The replicates are left out in turn. The pseudo-values are n f - (n - 1) f_i, of which f is the rise with all
    replicates and f_i that without replicate i.

    Source: Tukey, Annals of Mathematical Statistics 29 (1958) 614.

    Raises:
        InputError: as `fit_saturating`.

    >>> x = np.array([1.0, 2, 4, 8])
    >>> [round(gain, 3) for gain in gains_by_replicate(x, np.tile(0.9 - 0.4 / x, (2, 1)), 8, 16)]
    [0.025, 0.025]
    """
    known = values[np.isfinite(values).all(1)]

    def rise(rows: np.ndarray) -> float:
        curve = fit_saturating(x, rows.mean(0))
        return curve.at(end) - curve.at(start)

    count = len(known)
    if count < 2:
        return [rise(known)] if count else []
    every = rise(known)
    without = [rise(np.delete(known, place, axis=0)) for place in range(count)]
    return [count * every - (count - 1) * one for one in without]
