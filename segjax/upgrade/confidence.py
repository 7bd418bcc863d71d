"""Using how sure an upgrade network is: labels that ignore what it doubts, and training that counts pixels by it."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from segjax.training import StepConfig, Steps, make_steps, predict_logits
from segjax.training.augment import flip_and_turn
from segjax.training.state import Variables
from segjax.training.steps import compiled, loss_of, pure_step
from segjax.training.tiles import averaged
from segjax.types import IGNORED, InputError, Network

SURE = 0.8  # probability of the label that a pixel is given, from which on it is not ignored


class Weighted(NamedTuple):
    """Targets int32 [P, H, W] (-1 ignored), and how much each pixel counts, float32 [P, H, W] from 0 on."""

    target: Any
    weight: Any


def averaged_probability(
    network: Network, variables: Variables, seen: Float32[np.ndarray, "P H W C"]
) -> Float32[np.ndarray, "P H W"]:
    """Probability of an object, the mean over the flips and, of square pictures, quarter turns of what a network sees.

    It is near 0.5 where the looks do not agree. An upgrade network sees `with_labels`.
    """

    def of_object(view: Float32[np.ndarray, "P h w C"]) -> Float[Array, "P h w 1"]:
        return 1 - jax.nn.softmax(predict_logits(network, variables, view))[..., :1]

    return averaged(of_object, seen, flips=True, rotations=seen.shape[1] == seen.shape[2])[..., 0]


def ignore_unsure(probability: Float32[np.ndarray, "*shape"], sure: float = SURE) -> Int32[np.ndarray, "*shape"]:
    """Targets: 1 where an object is more likely than not, 0 elsewhere, -1 where that label is less likely than `sure`.

    Args:
        probability: of an object, in [0, 1].
        sure: 0.5 ignores nothing.

    Raises:
        InputError: `sure` is not from 0.5 to below 1.
    """
    if not 0.5 <= sure < 1:
        raise InputError(f"sure must be from 0.5 to below 1, not {sure}")
    is_unsure = np.maximum(probability, 1 - probability) < sure
    return np.where(is_unsure, IGNORED, probability > 0.5).astype(np.int32)


def confidence_weights(probability: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """|2 p - 1|: 0 where the label is a guess, 1 where it is certain."""
    return np.abs(2 * probability - 1).astype(np.float32)


def make_weighted_steps(network: Network, config: StepConfig) -> Steps:
    """Compiled steps as `make_steps`, but `train` takes `Weighted` targets; validation counts all pixels alike."""
    plain, loss = make_steps(network, config), loss_of(config)

    def weighted(logits, targets, axis=None):
        return loss(logits, targets.target, axis, weight=targets.weight)

    step = pure_step(network, config, loss=weighted)

    def train(state, images, targets):
        if config.augment:
            layers = jnp.stack([targets.target.astype(jnp.float32), targets.weight], axis=-1)
            images, layers = flip_and_turn(jax.random.fold_in(state.key, state.step), images, layers)
            targets = Weighted(layers[..., 0].astype(jnp.int32), layers[..., 1])
        return step(state, images, targets)

    return replace(plain, train=compiled(network, train, donate_argnums=0))
