"""Compiled steps of one network: made once, used for every strength, seed, learning rate and restart of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import optax

from segjax.arguments import checked
from segjax.training.augment import flip_and_turn
from segjax.training.losses import LOSSES, Loss, LossName
from segjax.training.state import TrainState
from segjax.types import InputError, Network, check_least


@dataclass(frozen=True)
class StepConfig:
    """What a step of training does; compiled steps are made for one such configuration.

    Attributes:
        loss: soft Dice as published, cross entropy, their sum, or one that tolerates wrong labels.
        class_weights: weight of each class in the cross entropy, background first; () weighs all alike.
        learning_rate: step size of Adam, for trainings that name none of their own.
        accumulate: steps whose gradients are averaged before the weights move; saves memory, as the weights then follow
            `accumulate` times as many pictures as are held at once.
        augment: flips and quarter turns.
    """

    loss: LossName = "dice"
    class_weights: tuple[float, ...] = ()
    learning_rate: float = 1e-4
    accumulate: int = 1
    augment: bool = False

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, tuple(LOSSES))
        check_learning_rate(self.learning_rate)
        if self.class_weights and self.loss != "cross_entropy":
            raise InputError(
                f"class_weights: loss={self.loss} does not take them; use loss=cross_entropy, or leave them out"
            )
        if not all(0 < weight < float("inf") for weight in self.class_weights):
            raise InputError(f"class_weights must be positive numbers, not {self.class_weights}")
        check_least(self, accumulate=1)


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raises InputError where the value of a field is none of those known."""
    if value not in known:
        raise InputError(f"{name}: unknown {value!r}; choose one of {', '.join(known)}")


def check_learning_rate(value: float) -> None:
    """Raises InputError unless the step size is positive and finite."""
    if not isinstance(value, Real) or not 0 < value < float("inf"):
        raise InputError(f"learning_rate must be a positive number, not {value}")


def loss_of(config: StepConfig) -> Loss:
    """The loss (logits, targets, axis=None) -> scalar of a configuration."""
    loss = LOSSES[config.loss]
    return partial(loss, class_weights=config.class_weights) if config.class_weights else loss


@dataclass(frozen=True)
class Steps:
    """The compiled functions of one network under one configuration, see `make_steps`.

    Attributes:
        network: whose variables a training leaves; None: they are not those of one network.
    """

    init: Callable[..., TrainState]
    train: Callable[..., tuple[TrainState, jax.Array]]
    validate: Callable[..., tuple[jax.Array, jax.Array]]
    predict: Callable[..., jax.Array]
    network: Network | None = None


Added = Callable[..., jax.Array]  # (variables, images, targets, layers, step) -> what is added to the loss


@checked
def make_steps(network: Network, config: StepConfig, added: Added | None = None) -> Steps:
    """Compiled steps of a network that segments; for a classifier targets and class indices are [B].

    Args:
        added: what training adds to the loss, as of `pure_step`; validation does not.

    Returns:
        init(key, images [B, H, W, C], learning_rate=that of the configuration) -> TrainState;
        train(state, images, targets [B, H, W]) -> state, loss: one step of Adam; the old state is given away;
        validate(variables, images, targets) -> loss [B] and number of foreground pixels predicted [B];
        predict(variables, images) -> class indices int32 [B, H, W].
        Validation and prediction treat every picture alone, so batch statistics are those of the picture.

    >>> from segjax.models import create
    >>> steps = make_steps(create("msd", depth=1), StepConfig())
    >>> images, targets = jnp.zeros((2, 8, 8, 1)), jnp.zeros((2, 8, 8), jnp.int32).at[:, 4:].set(1)
    >>> state, loss = steps.train(steps.init(jax.random.key(0), images), images, targets)
    >>> int(state.step), round(float(loss), 3)  # before the step each pixel was an object with probability 1/2
    (1, 0.5)
    """
    loss = loss_of(config)
    step = pure_step(network, config, None, added)

    def train(state, images, targets):
        if config.augment:
            images, targets = flip_and_turn(jax.random.fold_in(state.key, state.step), images, targets)
        return step(state, images, targets)

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
    pure = initial_state(network, config)
    initial = jax.jit(pure, compiler_options=quick)

    def init(key, images, learning_rate=config.learning_rate):
        # always an argument, so that one compilation serves the default and every other learning rate;
        # where only shapes are asked for, `jax.jit` takes no compiler options
        return (pure if isinstance(images, jax.core.Tracer) else initial)(key, images, learning_rate)

    return Steps(
        init,
        compiled(network, train, donate_argnums=0),
        jax.jit(validate),
        jax.jit(predict),
        network,
    )


def compiled(network: Network, step: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`jax.jit` of a training step of the network, which keeps `remat`.

    XLA for CPU drops the barriers around what `remat` computes twice, then merges both and saves nothing.
    """
    merges = getattr(network, "remat", False) and jax.default_backend() == "cpu"
    return jax.jit(
        step, compiler_options={"xla_disable_hlo_passes": "cse_barrier_expander"} if merges else None, **options
    )


def initial_state(network: Network, config: StepConfig) -> Callable[..., TrainState]:
    """The pure function (key, images [B, H, W, C], learning_rate) -> TrainState."""
    optimizer = optimizer_of(config)

    def init(key, images, learning_rate):
        key_init, key_steps = jax.random.split(key)
        model_state = dict(network.init(key_init, images))
        params = model_state.pop("params")
        rate = jnp.asarray(learning_rate, jnp.float32)
        return TrainState(jnp.int32(0), params, model_state, optimizer.init(params), rate, key_steps)

    return init


def pure_step(
    network: Network,
    config: StepConfig,
    axis: str | None = None,
    added: Added | None = None,
    loss: Loss | None = None,
) -> Callable[..., tuple[TrainState, Any]]:
    """The pure function (state, images, targets, present=None) -> state, loss: one step of Adam, not augmented.

    Args:
        axis: name of a mapped axis (`jax.pmap`) that the batch is spread over, which the network must know too.
            Loss and gradient are then those of the whole batch, on every device.
        added: (variables, images, targets, layers {name: output}, step) -> scalar that is added to the loss; the layers
            are those that the network gives with features=True, and the step counts from 0.
        loss: in place of that of the configuration, as (logits, targets, axis) -> scalar.

    Of the step's arguments, `present` (bool [B]) marks the pictures that count for batch statistics; the targets of the
    others must be -1.
    """
    loss, optimizer = loss or loss_of(config), optimizer_of(config)

    def step(state, images, targets, present=None):
        options = {} if present is None else {"present": present}
        if added is not None:
            options["features"] = True
        # fold_in(key, step) itself draws the augmentation
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 1)
        if axis is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis))

        def objective(params):
            variables = {"params": params, **state.model_state}
            given, model_state = network.apply(
                variables, images, train=True, mutable=list(state.model_state), rngs={"dropout": key}, **options
            )
            if added is None:
                return loss(given, targets, axis), model_state
            logits, layers = given
            return loss(logits, targets, axis) + added(variables, images, targets, layers, state.step), model_state

        (value, model_state), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        if axis is not None:
            # the gradient of a sum over devices is a sum over devices: each holds its part times their number
            gradient = jax.lax.pmean(gradient, axis)
        updates, opt_state = optimizer.update(gradient, state.opt_state)
        params = jax.tree.map(lambda value, update: value - state.learning_rate * update, state.params, updates)
        return TrainState(state.step + 1, params, dict(model_state), opt_state, state.learning_rate, state.key), value

    return step


def optimizer_of(config: StepConfig) -> Any:
    """Adam without its step size, which is in the state."""
    adam = optax.scale_by_adam()
    return optax.MultiSteps(adam, config.accumulate) if config.accumulate > 1 else adam
