"""What a head is compared with: the network itself trained on the shots, from its weights or from new ones."""

import dataclasses
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from segjax.fewshot.bank import Extractor
from segjax.training import Fit, LoopConfig, Pictures, StepConfig, Steps, TrainState, fit, make_steps
from segjax.types import InputError, Network

BASELINES = ("last_layer", "whole_network", "decoupled", "from_scratch")
EXTRACTOR_RATE = 0.1


def train_on_shots(
    key: Key[Array, ""], extractor: Extractor, shots: Pictures, step: StepConfig, loop: LoopConfig, baseline: str
) -> tuple[Fit, Steps]:
    """Train a network on the shots of a new type.

    The output layer is drawn anew, with two classes. There are no pictures to spare for validation: the epoch with the
    lowest loss on the shots themselves is kept.

    Args:
        shots: pictures and targets; 1 is the type.
        baseline: "last_layer": the extractor's other weights stay as they are; "whole_network": all weights move, from
            the extractor's; "decoupled": the same, the extractor's by a tenth of the learning rate of the output layer;
            "from_scratch": from new ones.

    Returns:
        The training, and the steps for `segjax.training.predict(steps, fit.variables, images)`.

    Raises:
        InputError: unknown baseline, or no shots.
    """
    steps = shot_steps(extractor, step, baseline)
    return fit(key, steps, shots, shots, loop), steps


def shot_steps(
    extractor: Extractor, config: StepConfig, baseline: str, extractor_rate: float = EXTRACTOR_RATE
) -> Steps:
    """The compiled steps of `train_on_shots`; make them once for many support sets of one size.

    Args:
        extractor_rate: learning rate of the extractor in "decoupled", as a share of that of the output layer, 0 to 1.

    Raises:
        InputError: unknown baseline, or a share out of range.
    """
    if not 0 <= extractor_rate <= 1:
        raise InputError(f"extractor_rate must be from 0 to 1, not {extractor_rate}")
    if baseline not in BASELINES:
        raise InputError(f"baseline: unknown {baseline!r}; choose one of {', '.join(BASELINES)}")
    share = {"last_layer": 0.0, "decoupled": extractor_rate}.get(baseline, 1.0)
    steps = _compiled_steps(extractor.network.clone(classes=2), config, share)
    if baseline == "from_scratch":
        return steps

    def init(key, images, learning_rate=config.learning_rate):
        state = steps.init(key, images, learning_rate)
        averages = {name: value for name, value in extractor.variables.items() if name != "params"}
        old = _keep(extractor.variables["params"], state.params), averages
        params, model_state = jax.tree.map(jnp.array, old)  # copies: a step gives its state away
        return dataclasses.replace(state, params=params, model_state=model_state)

    return dataclasses.replace(steps, init=init)


@lru_cache(maxsize=len(BASELINES))  # extractors of one network differ in their weights only, which are arguments
def _compiled_steps(network: Network, config: StepConfig, share: float) -> Steps:
    """Steps in which all but the output layer move by a share of the learning rate."""
    steps = make_steps(network, config)
    if share == 1:
        return steps

    @jax.jit
    def train(state: TrainState, images, targets):
        moved, loss = steps.train(state, images, targets)
        if share == 0:
            # what is put back needs no gradient, so XLA leaves the backward pass out below the last layer
            return jax.tree_util.tree_map_with_path(_last_layer_of, moved, state), loss
        # Adam's step does not depend on the learning rate, so a share of the step is the step of a share of the rate
        slowed = {
            name: new if _is_last(name) else jax.tree.map(lambda a, b: a + share * (b - a), state.params[name], new)
            for name, new in moved.params.items()
        }
        return dataclasses.replace(moved, params=slowed), loss

    return dataclasses.replace(steps, train=train)


def _last_layer_of(path: tuple[Any, ...], new: Any, old: Any) -> Any:
    """The new value for the output layer and for what belongs to no layer, the old one for the rest."""
    layers = [str(part.key) for part in path if isinstance(part, jax.tree_util.DictKey)]
    return new if not layers or any(map(_is_last, layers)) else old


def _keep(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new output layer on the old rest."""
    return {name: new[name] if _is_last(name) else old[name] for name in new}


def _is_last(layer: str) -> bool:
    """Whether the layer of this name is part of the output layer."""
    return layer.startswith("head")
