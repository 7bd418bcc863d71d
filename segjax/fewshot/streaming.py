"""Fits to support sets whose features do not fit in memory: they are computed again for every pass, one at a time."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from segjax.fewshot.bank import FeatureBank
from segjax.fewshot.heads import Head, name_of
from segjax.fewshot.linear import Logistic, log_loss_parts
from segjax.fewshot.minimise import newton_advance, newton_goes_on, newton_start
from segjax.fewshot.moments import MomentsHead, Params
from segjax.types import InputError


def fit_streamed(
    head: Head, bank: FeatureBank, images: Sequence[np.ndarray], targets: Sequence[Int32[np.ndarray, "_ _"]]
) -> Params:
    """What `head.fit` gives for the features of some pictures, which may differ in size, holding those of one.

    Heads that are a function of the class moments take one pass over the pictures. The logistic perceptron takes
    Newton's method, one pass per step, whatever its `solver`.

    Raises:
        InputError: another head.
    """
    if isinstance(head, MomentsHead):
        moments = jnp.asarray(bank.moments(images, targets))
        return head.fit_moments(moments, jnp.ones(len(images)))
    if isinstance(head, Logistic):
        return _logistic(head, bank, images, targets)
    raise InputError(
        f"head {name_of(head)} needs the features of all shots at once, but they do not fit into memory; give fewer "
        "or smaller shots, or use the head logistic, ridge, prototype or cosine"
    )


def _logistic(head: Logistic, bank: FeatureBank, images, targets) -> Params:
    pixels = np.array([sum(int((target == index).sum()) for target in targets) for index in (0, 1)])
    share = 0.5 if head.balanced else pixels[1] / pixels.sum()
    of_class = 1 / (2 * pixels) if head.balanced else np.full(2, 1 / pixels.sum())
    everything = jnp.ones(len(bank))
    parts = jax.jit(log_loss_parts)

    def evaluate(point):
        sums = None
        for image, target in zip(images, targets, strict=True):
            rows = np.where(target < 0, 0.0, of_class[np.maximum(target, 0)]).astype(np.float32)
            found = parts(point, bank.features(image), jnp.asarray(target), rows, everything)
            sums = found if sums is None else jax.tree.map(jnp.add, sums, found)
        return head.add_penalty(point, *sums)

    state = newton_start(jnp.zeros(len(bank) + 1).at[-1].set(np.log(share / (1 - share))))
    state = first = newton_advance(state, *evaluate(state.candidate))
    while newton_goes_on(state, first.loss, head.most_steps, head.tolerance):
        state = newton_advance(state, *evaluate(state.candidate))
    return {"weights": state.point[:-1], "bias": state.point[-1]}
