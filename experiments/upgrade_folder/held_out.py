"""What repair does to labels of held-out pictures, in which errors were drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32

from segjax.evaluation import counts, decide, dice
from segjax.evaluation.claims import Claim


class Example(NamedTuple):
    """One held-out picture with one draw of errors: clean, noisy and repaired labels."""

    image: Float32[np.ndarray, "H W C"]
    clean: Int32[np.ndarray, "H W"]
    noisy: Bool[np.ndarray, "H W"]
    repaired: Bool[np.ndarray, "H W"]


class HeldOut(NamedTuple):
    """Dice of the labels of each held-out picture (or group of pictures), the pixels of all draws summed first.

    Attributes:
        names: of the pictures or groups.
        before, after: of noisy and of repaired labels against clean ones; NaN where none marks anything.
        examples: the first draw of the first picture of each.
    """

    names: tuple[str, ...]
    before: Float[np.ndarray, " G"]
    after: Float[np.ndarray, " G"]
    examples: tuple[Example, ...]

    @property
    def means(self) -> tuple[float, float]:
        """Before and after."""
        return float(np.nanmean(self.before)), float(np.nanmean(self.after))

    @property
    def claim(self) -> Claim:
        """Repaired against noisy labels."""
        (decision,) = decide([100 * (self.after - self.before)])
        return Claim("repaired labels", "noisy labels", "Dice", decision, "points")


def judge(
    groups: Sequence[str],
    images: Float32[np.ndarray, "P H W C"],
    clean: Int32[np.ndarray, "P H W"],
    noisy: Bool[np.ndarray, "P H W"],
    repaired: Bool[np.ndarray, "P H W"],
) -> HeldOut:
    """Compare labels before and after repair, group by group."""
    names = tuple(dict.fromkeys(groups))
    places = [[place for place, group in enumerate(groups) if group == name] for name in names]

    def dice_of(masks):
        found = counts(masks, clean > 0)
        return np.array([float(dice(jax.tree.map(lambda part, own=own: part[own], found).pooled())) for own in places])

    firsts = [own[0] for own in places]
    examples = tuple(Example(images[one], clean[one], noisy[one], repaired[one]) for one in firsts)
    return HeldOut(names, dice_of(noisy), dice_of(repaired), examples)
