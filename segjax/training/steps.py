"""Compiled steps of one network: made once, used for every strength, seed and restart of a study."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from segjax.training.augment import flip_and_turn
from segjax.training.losses import LOSSES, LossName
from segjax.training.state import TrainState
from segjax.types import InputError


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        loss: soft Dice as published, cross entropy, or their sum.
        learning_rate: step size of Adam.
        batch_size: pictures per step.
        epochs: passes over the training pictures; an upper bound with stop="plateau".
        stop: "fixed" trains all epochs; "plateau" ends after `patience` epochs without 0.1 % lower validation loss.
        patience: epochs that stop="plateau" waits.
        augment: flips and quarter turns.
        shuffle: a new order in every epoch; the published runs kept one order.
        restarts: how often a run that only predicts background or diverges is begun again from another start.
    """

    loss: LossName = "dice"
    learning_rate: float = 1e-4
    batch_size: int = 1
    epochs: int = 20
    stop: Literal["fixed", "plateau"] = "fixed"
    patience: int = 10
    augment: bool = False
    shuffle: bool = True
    restarts: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"learning_rate must be a positive number, not {self.learning_rate}")
        for name, lowest in (("batch_size", 1), ("epochs", 1), ("patience", 1), ("restarts", 0)):
            if getattr(self, name) < lowest:
                raise InputError(f"{name} must be at least {lowest}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Steps:
    """The compiled functions of one network under one configuration; see `make_steps`."""

    init: Callable[..., TrainState]
    train: Callable[..., tuple[TrainState, jax.Array]]
    validate: Callable[..., tuple[jax.Array, jax.Array]]
    predict: Callable[..., jax.Array]


def make_steps(network: Any, config: TrainConfig) -> Steps:
    """Compiled steps of a network.

    Returns:
        init(key, images [B, H, W, C]) -> TrainState;
        train(state, images, targets [B, H, W]) -> state, loss: one step of Adam; the old state is given away;
        validate(variables, images, targets) -> loss [B] and number of foreground pixels predicted [B];
        predict(variables, images) -> class indices int32 [B, H, W].
        Validation and prediction treat every picture alone, so batch statistics are those of the picture.
    """
    loss = LOSSES[config.loss]
    optimizer = optax.adam(config.learning_rate)

    def init(key, images):
        key_init, key_steps = jax.random.split(key)
        model_state = dict(network.init(key_init, images))
        params = model_state.pop("params")
        return TrainState(jnp.int32(0), params, model_state, optimizer.init(params), key_steps)

    def train(state, images, targets):
        if config.augment:
            images, targets = flip_and_turn(jax.random.fold_in(state.key, state.step), images, targets)

        def objective(params):
            variables = {"params": params, **state.model_state}
            logits, model_state = network.apply(variables, images, train=True, mutable=list(state.model_state))
            return loss(logits, targets), model_state

        (value, model_state), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state)
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, dict(model_state), opt_state, state.key), value

    def alone(variables, image):
        return network.apply(variables, image[None])

    def validate(variables, images, targets):
        def one(image, target):
            logits = alone(variables, image)
            return loss(logits, target[None]), jnp.sum(jnp.argmax(logits, -1) > 0)

        return jax.vmap(one)(images, targets)

    def predict(variables, images):
        return jax.vmap(lambda image: jnp.argmax(alone(variables, image)[0], -1).astype(jnp.int32))(images)

    # drawing the initial weights runs once; optimising it takes XLA longer than compiling the training step
    quick = {"xla_backend_optimization_level": 0}
    return Steps(
        jax.jit(init, compiler_options=quick), jax.jit(train, donate_argnums=0), jax.jit(validate), jax.jit(predict)
    )
