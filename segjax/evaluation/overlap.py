"""Pixel overlap of one class: sums that merge over pictures, and one ratio at the end."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float64, Int
from numpy.typing import ArrayLike

IGNORED = -1


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OverlapCounts:
    """True positive, false positive and false negative pixels; `a + b` merges two of them.

    `counts` gives int32, enough for any one picture; `pooled` continues in Python integers, which neither overflow nor
    round. Merge a whole test set with `pooled`, not by adding int32 arrays.
    """

    # Not typed as numbers: transformations of JAX also put shapes and shardings in their place.
    tp: Any
    fp: Any
    fn: Any

    def __add__(self, other: "OverlapCounts") -> "OverlapCounts":
        return OverlapCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def pooled(self) -> "OverlapCounts":
        """The sum over all pictures, on the host, as Python integers."""
        return OverlapCounts(*(int(np.sum(np.asarray(part), dtype=np.int64)) for part in (self.tp, self.fp, self.fn)))


def counts(
    prediction: Bool[Array | np.ndarray, "*B H W"],
    target: Bool[Array | np.ndarray, "*B H W"] | Int[Array | np.ndarray, "*B H W"],
) -> OverlapCounts:
    """Overlap counts of each picture, int32 [*B]; works under `jit` and `vmap`, and on NumPy arrays without a device.

    Args:
        prediction: True where the class was predicted.
        target: 1 (or True) is the class, -1 is ignored, every other value is background.
    """
    is_class = target == 1
    is_background = (target != 1) & (target != IGNORED)
    parts = (prediction & is_class, prediction & is_background, ~prediction & is_class)
    return OverlapCounts(*(part.sum(axis=(-2, -1), dtype=np.int32) for part in parts))


def dice(sums: OverlapCounts) -> Float64[np.ndarray, "*B"]:
    """Dice = 2 TP / (2 TP + FP + FN), in [0, 1], on the host; NaN where prediction and truth are both empty.

    Source: Dice, Ecology 26 (1945); Sørensen, Biologiske Skrifter 5 (1948).
    """
    tp, fp, fn = _as_float64(sums)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou(sums: OverlapCounts) -> Float64[np.ndarray, "*B"]:
    """Intersection over union = TP / (TP + FP + FN), in [0, 1], on the host; NaN where both are empty.

    Source: Jaccard, Bulletin de la Société Vaudoise des Sciences Naturelles 37 (1901).
    """
    tp, fp, fn = _as_float64(sums)
    return _ratio(tp, tp + fp + fn)


def _as_float64(sums: OverlapCounts) -> tuple[np.ndarray, ...]:
    # Exact up to 2^53 pixels, and int32 sums no longer wrap.
    return tuple(np.asarray(part, dtype=np.float64) for part in (sums.tp, sums.fp, sums.fn))


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Float64[np.ndarray, "*B"]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(numerator, denominator))
