"""Losses over logits [B, H, W, K] and targets int32 [B, H, W]: class index per pixel, -1 ignored.

Cross entropy also takes logits [B, K] and targets [B] of whole pictures.

With `axis`, the name of a mapped axis (`jax.pmap`), the batch is spread over that axis; the loss is of the whole. With
`weight`, float [B, H, W] from 0 on, every sum and mean over pixels counts each pixel so many times.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from segjax.arguments import checked
from segjax.types import InputError

LossName = Literal["dice", "cross_entropy", "both", "generalized_cross_entropy", "symmetric_cross_entropy"]
Loss = Callable[..., Float[Array, ""]]

_TINY = 1e-7  # keeps the ratio finite where every pixel is ignored


@checked
def soft_dice(
    logits: Float[Array, "B H W K"],
    target: Int[Array, "B H W"],
    axis: str | None = None,
    weight: Float[Array, "B H W"] | None = None,
) -> Float[Array, ""]:
    """1 - 2 sum(p y) / (sum p + sum y) over all pixels of the batch, averaged over the classes but the background.

    Vadineanu et al., MIDL 2022: p is the softmax probability of the class, y its indicator; no smoothing term.

    >>> logits = jnp.zeros((1, 1, 4, 2))  # each of 4 pixels is an object with probability 1/2
    >>> round(float(soft_dice(logits, jnp.array([[[1, 1, 0, 0]]]))), 3)  # 1 - 2 * 1 / (2 + 2)
    0.5
    """
    known = (target >= 0)[..., None]
    probability = jnp.where(known, jax.nn.softmax(logits), 0.0)[..., 1:]
    truth = jax.nn.one_hot(target, logits.shape[-1])[..., 1:]
    pixels = (0, 1, 2)
    own = 1.0 if weight is None else weight[..., None]
    overlap = _over(axis, jnp.sum(own * probability * truth, pixels))
    size = _over(axis, jnp.sum(own * probability, pixels) + jnp.sum(own * truth, pixels))
    return jnp.mean(1.0 - 2.0 * overlap / (size + _TINY))


@checked
def cross_entropy(
    logits: Float[Array, "B *pixels K"],
    target: Int[Array, "B *pixels"],
    axis: str | None = None,
    class_weights: tuple[float, ...] = (),
    weight: Float[Array, "B *pixels"] | None = None,
) -> Float[Array, ""]:
    """Mean of -log softmax(logits)[target] over the pixels that are not ignored; 0 where all are.

    With `class_weights`, one per class, the mean is weighted by the weight of each pixel's target, as in PyTorch.

    Raises:
        InputError: the count of weights is not that of the classes.

    >>> logits = jnp.log(jnp.array([[[[0.75, 0.25], [0.5, 0.5]]]]))  # of 2 pixels, whose classes are 0 and unknown
    >>> round(float(cross_entropy(logits, jnp.array([[[0, -1]]]))), 3)  # -log 0.75
    0.288
    """
    if not class_weights:
        return -_mean_over_known(_log_probability(logits, target), target, axis, weight)
    if len(class_weights) != logits.shape[-1]:
        raise InputError(f"class_weights has {len(class_weights)} numbers for {logits.shape[-1]} classes")
    of_class = jnp.asarray(class_weights, logits.dtype)[jnp.maximum(target, 0)]
    weight = of_class if weight is None else of_class * weight
    return -_mean_over_known(_log_probability(logits, target), target, axis, weight)


def balanced_weights(targets: Int[np.ndarray, "P *pixels"], classes: int) -> tuple[float, ...]:
    """Class weights P / (K n_k) that make every class count alike, of targets with n_k of class k.

    Raises:
        InputError: a class does not occur.
    """
    counts = np.bincount(targets[targets >= 0].ravel(), minlength=classes)
    if len(counts) > classes or not counts.all():
        raise InputError(
            f"class_weights: every class from 0 to {classes - 1} must occur in the targets, but their counts are "
            f"{', '.join(map(str, counts))}; give pictures of every class"
        )
    return tuple(float(counts.sum() / (classes * count)) for count in counts)


@checked
def generalized_cross_entropy(
    logits: Float[Array, "B H W K"],
    target: Int[Array, "B H W"],
    axis: str | None = None,
    q: float = 0.7,
    weight: Float[Array, "B H W"] | None = None,
) -> Float[Array, ""]:
    """Mean of (1 - p^q) / q over the pixels that are not ignored; 0 where all are.

    p is the softmax probability of the target. The loss lies between cross entropy (q towards 0) and the mean absolute
    error (q = 1), which tolerates wrong labels.

    Source: Zhang and Sabuncu, NeurIPS 2018, equation 6; q = 0.7 as there.
    """
    value = (1.0 - jnp.exp(q * _log_probability(logits, target))) / q
    return _mean_over_known(value, target, axis, weight)


@checked
def symmetric_cross_entropy(
    logits: Float[Array, "B H W K"],
    target: Int[Array, "B H W"],
    axis: str | None = None,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    weight: Float[Array, "B H W"] | None = None,
) -> Float[Array, ""]:
    """alpha CE + beta RCE; the reverse cross entropy RCE = -sum_k p_k log y_k is -log_zero (1 - p) of the target class.

    Mean over the pixels that are not ignored; 0 where all are.

    Source: Wang et al., ICCV 2019, equations 5 to 7; log 0 = -4, alpha = 0.1 and beta = 1 as there for CIFAR-10.
    """
    log_probability = _log_probability(logits, target)
    reverse = -log_zero * (1.0 - jnp.exp(log_probability))
    return _mean_over_known(beta * reverse - alpha * log_probability, target, axis, weight)


@checked
def dice_and_cross_entropy(
    logits: Float[Array, "B H W K"],
    target: Int[Array, "B H W"],
    axis: str | None = None,
    weight: Float[Array, "B H W"] | None = None,
) -> Float[Array, ""]:
    """Sum of `soft_dice` and `cross_entropy`.

    >>> logits = jnp.zeros((1, 1, 4, 2))  # each of 4 pixels is an object with probability 1/2
    >>> round(float(dice_and_cross_entropy(logits, jnp.array([[[1, 1, 0, 0]]]))), 3)  # 0.5 + log 2
    1.193
    """
    return soft_dice(logits, target, axis, weight) + cross_entropy(logits, target, axis, weight=weight)


def _log_probability(logits, target):
    """log softmax(logits)[target] of every pixel, [B, H, W]; of class 0 where the pixel is ignored."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.maximum(target, 0)[..., None], axis=-1)[..., 0]


def _mean_over_known(values, target, axis, weight):
    known = target >= 0
    if weight is None:
        total = _over(axis, jnp.sum(jnp.where(known, values, 0.0)))
        return total / jnp.maximum(_over(axis, jnp.sum(known)), 1)
    weight = jnp.where(known, weight, 0.0)
    counted = _over(axis, jnp.sum(weight))
    return _over(axis, jnp.sum(weight * values)) / jnp.where(counted > 0, counted, 1.0)


def _over(axis, total):
    return total if axis is None else jax.lax.psum(total, axis)


LOSSES: dict[str, Loss] = {
    "dice": soft_dice,
    "cross_entropy": cross_entropy,
    "both": dice_and_cross_entropy,
    "generalized_cross_entropy": generalized_cross_entropy,
    "symmetric_cross_entropy": symmetric_cross_entropy,
}
