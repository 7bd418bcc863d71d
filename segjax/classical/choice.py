"""Pictures and annotations as every rung takes them, and what is chosen on them by the highest Dice."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Integer

from segjax.types import IGNORED, InputError

SURE = 6.9  # score of what is marked without a probability: that of 0.999
_LEAST = 1e-3  # probabilities are kept this far from 0 and 1


class Annotated(NamedTuple):
    """Pictures and what is known of them.

    Attributes:
        images: float32 [P, H, W, C].
        targets: int32 [P, H, W]; 1 object, 0 background, -1 not annotated.
    """

    images: Float32[np.ndarray, "P H W C"]
    targets: Int32[np.ndarray, "P H W"]

    @property
    def has_objects(self) -> bool:
        """Whether any object is annotated, so that something can be chosen by Dice."""
        return bool((self.targets == 1).any())

    def dice(self, masks: Bool[np.ndarray, "P H W"]) -> float:
        """Dice of masks over all annotated pixels together; 0 where no object is annotated."""
        is_true = self.targets == 1
        sizes = is_true.sum() + (masks & (self.targets != IGNORED)).sum()
        return float(2 * (masks & is_true).sum() / sizes) if is_true.any() else 0.0


def annotated(images: Float[np.ndarray, "P H W C"], targets: Integer[np.ndarray, "P H W"] | None) -> Annotated:
    """Pictures with their targets; None: nothing is annotated.

    Raises:
        InputError: no picture, or a target that is not -1, 0 or 1.
    """
    if not len(images):
        raise InputError("images: there is no picture; give at least one")
    shown = np.asarray(images, np.float32)
    if targets is None:
        return Annotated(shown, np.full(shown.shape[:3], IGNORED, np.int32))
    found = np.asarray(targets, np.int32)
    if unknown := sorted(set(np.unique(found).tolist()) - {IGNORED, 0, 1}):
        raise InputError(
            f"targets: {unknown[0]} is none of 1 (object), 0 (background) and -1 (not annotated); a baseline tells one "
            "class from all others"
        )
    return Annotated(shown, found)


def logits_of(scores: Iterable[Float[np.ndarray, "H W"]]) -> Float32[np.ndarray, "B H W 2"]:
    """Logits of background and object, by the log odds of an object at every pixel."""
    stacked = np.stack([*scores]).astype(np.float32)
    return np.stack([np.zeros_like(stacked), stacked], axis=-1)


def log_odds(probability: Any) -> Any:
    """Of probabilities, which are kept a little away from 0 and 1."""
    kept = np.clip(probability, _LEAST, 1 - _LEAST)
    return np.log(kept / (1 - kept))


def sampled(
    generator: np.random.Generator, targets: Int32[np.ndarray, "H W"], count: int
) -> tuple[Integer[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Places of up to `count` annotated pixels of a picture, as many of objects as of background where there are; and
    how many pixels each stands for. Of a picture without annotation, any pixels.
    """
    flat = targets.ravel()
    kinds = [np.flatnonzero(flat == kind) for kind in (0, 1)] if (flat != IGNORED).any() else [np.arange(flat.size)]
    kinds = sorted((kind for kind in kinds if len(kind)), key=len)
    places, weights, left = [], [], count
    for number, kind in enumerate(kinds):
        chosen = generator.permutation(kind)[: max(1, left // (len(kinds) - number))]
        places.append(np.sort(chosen))
        weights.append(np.full(len(chosen), len(kind) / len(chosen)))
        left -= len(chosen)
    return np.concatenate(places), np.concatenate(weights)


def best_level(
    probability: Float[np.ndarray, " N"], is_object: Bool[np.ndarray, " N"], weights: Float[np.ndarray, " N"]
) -> tuple[float, float]:
    """The level above which pixels are marked for the highest Dice, and this Dice; of equals the highest level.

    Pixels without any probability are never marked.

    Args:
        weights: how many pixels each one stands for.

    >>> best_level(np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, True, False, True]), np.ones(4))
    (0.1, 0.8571428571428571)
    """
    order = np.argsort(-probability, kind="stable")
    values, own = probability[order], weights[order]
    found, marked = np.cumsum(own * is_object[order]), np.cumsum(own)
    scores = 2 * found / (marked + found[-1])
    scores[:-1][values[:-1] == values[1:]] = 0.0  # equal ones are marked together or not at all
    scores[values <= 0] = 0.0
    last = int(np.argmax(scores))
    below = values[last + 1] if last + 1 < len(values) else 0.0
    return float((values[last] + below) / 2), float(scores[last])
