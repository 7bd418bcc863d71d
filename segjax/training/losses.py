"""Losses over logits [B, H, W, K] and targets int32 [B, H, W]: class index per pixel, -1 ignored.

With `axis`, the name of a mapped axis (`jax.pmap`), the batch is spread over that axis; the loss is of the whole.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

LossName = Literal["dice", "cross_entropy", "both"]
Loss = Callable[..., Float[Array, ""]]

_TINY = 1e-7  # keeps the ratio finite where every pixel is ignored


def soft_dice(
    logits: Float[Array, "B H W K"], target: Int[Array, "B H W"], axis: str | None = None
) -> Float[Array, ""]:
    """1 - 2 sum(p y) / (sum p + sum y) over all pixels of the batch, averaged over the classes but the background.

    Vadineanu et al., MIDL 2022: p is the softmax probability of the class, y its indicator; no smoothing term.
    """
    known = (target >= 0)[..., None]
    probability = jnp.where(known, jax.nn.softmax(logits), 0.0)[..., 1:]
    truth = jax.nn.one_hot(target, logits.shape[-1])[..., 1:]
    pixels = (0, 1, 2)
    overlap = _over(axis, jnp.sum(probability * truth, pixels))
    size = _over(axis, jnp.sum(probability, pixels) + jnp.sum(truth, pixels))
    return jnp.mean(1.0 - 2.0 * overlap / (size + _TINY))


def cross_entropy(
    logits: Float[Array, "B H W K"], target: Int[Array, "B H W"], axis: str | None = None
) -> Float[Array, ""]:
    """Mean of -log softmax(logits)[target] over the pixels that are not ignored; 0 where all are."""
    known = target >= 0
    log_probability = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.maximum(target, 0)[..., None], axis=-1)[
        ..., 0
    ]
    total = _over(axis, jnp.sum(jnp.where(known, log_probability, 0.0)))
    return -total / jnp.maximum(_over(axis, jnp.sum(known)), 1)


def dice_and_cross_entropy(
    logits: Float[Array, "B H W K"], target: Int[Array, "B H W"], axis: str | None = None
) -> Float[Array, ""]:
    """Sum of `soft_dice` and `cross_entropy`."""
    return soft_dice(logits, target, axis) + cross_entropy(logits, target, axis)


def _over(axis, total):
    return total if axis is None else jax.lax.psum(total, axis)


LOSSES: dict[str, Loss] = {"dice": soft_dice, "cross_entropy": cross_entropy, "both": dice_and_cross_entropy}
