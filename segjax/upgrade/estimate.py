"""What is wrong with noisy labels, estimated from a few pictures that have clean labels as well."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32
from scipy import ndimage

from segjax.annotations import Recipe
from segjax.arguments import checked
from segjax.evaluation import counts, dice, overlaps
from segjax.ops.components import components
from segjax.types import InputError

COVERED = 0.25  # share of an object that a noisy mask must mark for the object not to count as omitted
_SQUARE = np.ones((3, 3), bool)
_SMALLEST_JITTER = 0.5  # pixels; rounding to pixels alone gives outlines that much


class _Pair(NamedTuple):
    """What one picture annotated twice tells."""

    objects: int
    kept: int
    q: int  # repetitions of the 3x3 square that make the kept objects most like their noisy mask; below 0: erosions
    distances: Any  # signed, of the noisy outline to that of the changed objects, in pixels, less their mean
    false_pixels: int
    foreign_pixels: int


@checked
def estimate_recipe(
    clean: Int32[np.ndarray, "P H W"],
    noisy: Bool[np.ndarray, "Q H W"],
    *,
    foreign: Int32[np.ndarray, "P H W"] | None = None,
    scope: str = "picture",
) -> Recipe:
    """The recipe under which noisy masks like these are likely: omission, inclusion, bias and jitter.

    An object is omitted when no connected piece of the noisy mask marks a quarter of it. The kept objects are
    dilated or eroded with the 3x3 square until they are most like the mask (by Dice). From the largest number of
    repetitions m over n pictures the bias is m + m / n - 1, the unbiased estimate of the end of a uniform distribution
    (rounded, and at least m); the standard deviation of the distance that remains between the outlines is the jitter
    (below half a pixel: none). Inclusion is the area that is marked beyond the kept objects, without what a 3x3 opening
    removes, over that of the foreign objects after the same dilation or erosion.

    Args:
        clean: ids of the objects, 0 background.
        noisy: masks of the same pictures, as the annotator drew them.
        foreign: objects that inclusion will take from; without them inclusion is 0.
        scope: of the recipe.

    Raises:
        InputError: no pictures, shapes that differ, or labels without any object.

    >>> clean = np.zeros((1, 9, 20), np.int32)
    >>> clean[0, 3:6, 3:6], clean[0, 3:6, 13:16] = 1, 2
    >>> noisy = np.zeros((1, 9, 20), bool)
    >>> noisy[0, 2:7, 2:7] = True  # the first object a pixel too large, the second left out
    >>> recipe = estimate_recipe(clean, noisy)
    >>> recipe.omission, recipe.bias
    (0.5, 1)
    """
    if clean.shape != noisy.shape or len(clean) == 0:
        raise InputError(f"noisy: give a mask for each of the {len(clean)} clean label maps, and at least one")
    if not clean.any():
        raise InputError(
            "clean: no picture has an object, but errors show only where there are objects; give other pictures"
        )
    nothing = np.zeros(clean.shape[1:], np.int32)
    pairs = [
        _compare(labels, mask, nothing if foreign is None else foreign[index])
        for index, (labels, mask) in enumerate(zip(clean, noisy, strict=True))
        if labels.any()
    ]
    foreign_pixels = sum(pair.foreign_pixels for pair in pairs)
    jitter = float(np.std(np.concatenate([pair.distances for pair in pairs])))
    repetitions = [abs(pair.q) for pair in pairs if pair.kept] or [0]
    most = max(repetitions)
    inclusion = min(sum(pair.false_pixels for pair in pairs) / foreign_pixels, 1.0) if foreign_pixels else 0.0
    return Recipe(
        omission=round(1 - sum(pair.kept for pair in pairs) / sum(pair.objects for pair in pairs), 3),
        inclusion=round(inclusion, 3),
        bias=max(most, round(most + most / len(repetitions) - 1)),
        jitter=round(jitter, 2) if jitter >= _SMALLEST_JITTER else 0.0,
        scope=scope,
    )


def _compare(labels: np.ndarray, mask: np.ndarray, foreign: np.ndarray) -> _Pair:
    pieces = components(mask)
    table = overlaps(pieces, labels)
    is_marked = table.shared >= COVERED * table.truth_area[table.truth]
    ids, piece_ids = np.unique(labels[labels > 0]), np.unique(pieces[pieces > 0])
    kept_ids = ids[np.unique(table.truth[is_marked])]
    kept = np.isin(labels, kept_ids)
    drawn = np.isin(pieces, piece_ids[np.unique(table.prediction[is_marked])])
    q = _repetitions(kept, drawn) if len(kept_ids) else 0
    changed = change_outline(kept, q)
    beyond = ndimage.binary_opening(mask & ~changed, _SQUARE)
    others = ndimage.binary_opening(change_outline(foreign > 0, q) & ~changed, _SQUARE)
    return _Pair(len(ids), len(kept_ids), q, _distances(changed, drawn), int(beyond.sum()), int(others.sum()))


def change_outline(mask: Bool[np.ndarray, "H W"], q: int) -> Bool[np.ndarray, "H W"]:
    """The mask dilated (q above 0) or eroded (below) |q| times with the 3x3 square; the border never erodes."""
    if q == 0 or not mask.any():
        return mask
    if q > 0:
        return ndimage.binary_dilation(mask, _SQUARE, q)
    return ndimage.binary_erosion(mask, _SQUARE, -q, border_value=1)


def _repetitions(kept: np.ndarray, drawn: np.ndarray) -> int:
    """The q for which `change_outline` comes nearest to what was drawn; the smallest of equals."""
    best, best_dice = 0, float(dice(counts(kept, drawn)))
    for sign in (1, -1):
        q = sign
        # one step may be worse by chance, two are not
        while abs(q) <= abs(best) + 2:
            found = float(dice(counts(change_outline(kept, q), drawn)))
            if found > best_dice:
                best, best_dice = q, found
            q += sign
    return best


def _distances(changed: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Signed distances of the outline of `drawn` to that of `changed`, less their mean; positive outside."""
    if not changed.any() or changed.all() or not drawn.any():
        return np.zeros(0)
    signed = ndimage.distance_transform_edt(~changed) - ndimage.distance_transform_edt(changed)
    found = signed[drawn & ~ndimage.binary_erosion(drawn, border_value=1)]
    return found - found.mean() if found.size else found
