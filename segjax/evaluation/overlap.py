"""Pixel overlap of one class: sums that merge over pictures, and one ratio at the end."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float64, Int
from numpy.typing import ArrayLike

from segjax.arguments import checked
from segjax.types import IGNORED


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


@checked
def counts(
    prediction: Bool[Array | np.ndarray, "*B H W"],
    target: Bool[Array | np.ndarray, "*B H W"] | Int[Array | np.ndarray, "*B H W"],
) -> OverlapCounts:
    """Overlap counts of each picture, int32 [*B]; works under `jit` and `vmap`, and on NumPy arrays without a device.

    Args:
        prediction: True where the class was predicted.
        target: 1 (or True) is the class, -1 is ignored, every other value is background.

    >>> prediction, truth = np.array([[True, True, False]]), np.array([[True, False, True]])
    >>> found = counts(prediction, truth)
    >>> int(found.tp), int(found.fp), int(found.fn)
    (1, 1, 1)
    """
    is_bool = target.dtype == bool
    is_class = target if is_bool else target == 1
    judged = prediction if is_bool else prediction & (target != IGNORED)
    tp = _pixels(prediction & is_class)
    return OverlapCounts(tp, _pixels(judged) - tp, _pixels(is_class) - tp)


def _pixels(mask: Bool[Array | np.ndarray, "*B H W"]) -> Int[Array | np.ndarray, "*B"]:
    """Set pixels of each picture, int32; sums of booleans are slow in NumPy and in XLA on CPU."""
    *batch, height, width = mask.shape
    flat = mask.reshape(*batch, height * width)
    if isinstance(flat, np.ndarray):
        found = [np.count_nonzero(picture) for picture in flat.reshape(-1, height * width)]
        return np.asarray(found, np.int32).reshape(batch)
    # four pixels make a word whose set bits are counted at once
    padded = jnp.pad(flat.astype(jnp.uint8), [(0, 0)] * len(batch) + [(0, -flat.shape[-1] % 4)])
    words = jax.lax.bitcast_convert_type(padded.reshape(*batch, -1, 4), jnp.uint32)
    return jax.lax.population_count(words).astype(jnp.int32).sum(-1)


@checked
def dice(sums: OverlapCounts) -> Float64[np.ndarray, "*B"]:
    """Dice = 2 TP / (2 TP + FP + FN), in [0, 1], on the host; NaN where prediction and truth are both empty.

    Source: Dice, Ecology 26 (1945); Sørensen, Biologiske Skrifter 5 (1948).

    >>> float(dice(counts(np.array([[True, True, False]]), np.array([[True, False, True]]))))
    0.5
    """
    tp, fp, fn = _as_float64(sums)
    return _ratio(2 * tp, 2 * tp + fp + fn)


@checked
def iou(sums: OverlapCounts) -> Float64[np.ndarray, "*B"]:
    """Intersection over union = TP / (TP + FP + FN), in [0, 1], on the host; NaN where both are empty.

    Source: Jaccard, Bulletin de la Société Vaudoise des Sciences Naturelles 37 (1901).

    >>> round(float(iou(counts(np.array([[True, True, False]]), np.array([[True, False, True]])))), 3)
    0.333
    """
    tp, fp, fn = _as_float64(sums)
    return _ratio(tp, tp + fp + fn)


def _as_float64(sums: OverlapCounts) -> tuple[np.ndarray, ...]:
    # Exact up to 2^53 pixels, and int32 sums no longer wrap.
    return tuple(np.asarray(part, dtype=np.float64) for part in (sums.tp, sums.fp, sums.fn))


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Float64[np.ndarray, "*B"]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(numerator, denominator))
