"""One step: gradient accumulation, learning rates as data, and losses over a mapped axis."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from segjax.models import create
from segjax.training import LOSSES, StepConfig, make_steps
from segjax.training.losses import cross_entropy
from segjax.types import InputError

CONFIG = StepConfig(loss="cross_entropy", learning_rate=0.01)
NETWORK = create("msd", depth=2)
IMAGES = np.random.default_rng(0).random((4, 5, 6, 1), np.float32)
TARGETS = (IMAGES[..., 0] > 0.5).astype(np.int32)


def params_of(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]


@pytest.mark.slow
def test_a_step_is_that_of_adam():
    steps = make_steps(NETWORK, CONFIG)
    state = steps.init(jax.random.key(0), IMAGES)
    params, adam = state.params, optax.adam(CONFIG.learning_rate)
    opt_state = adam.init(params)
    for _ in range(3):
        gradient = jax.grad(
            lambda p: cross_entropy(NETWORK.apply({"params": p}, jnp.asarray(IMAGES)), jnp.asarray(TARGETS))
        )(params)
        updates, opt_state = adam.update(gradient, opt_state)
        params = optax.apply_updates(params, updates)
    for _ in range(3):
        state, _ = steps.train(state, IMAGES, TARGETS)
    for ours, theirs in zip(params_of(state), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_accumulated_batches_move_the_weights_like_one_large_batch():
    halves = make_steps(NETWORK, dataclasses.replace(CONFIG, accumulate=2))
    whole = make_steps(NETWORK, CONFIG)
    states = [steps.init(jax.random.key(0), IMAGES) for steps in (halves, whole)]
    before = params_of(states[0])
    for _ in range(2):
        states[0], _ = halves.train(states[0], IMAGES[:2], TARGETS[:2])
        held = params_of(states[0])
        assert all(np.array_equal(a, b) for a, b in zip(held, before, strict=True))
        states[0], _ = halves.train(states[0], IMAGES[2:], TARGETS[2:])
        before = params_of(states[0])
        states[1], _ = whole.train(states[1], IMAGES, TARGETS)
    for a, b in zip(params_of(states[0]), params_of(states[1]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "segnet"])
def test_a_step_that_computes_maps_twice_takes_less_memory_and_gives_the_same(name):
    images = np.random.default_rng(1).random((1, 64, 64, 1), np.float32)
    targets = (images[..., 0] > 0.5).astype(np.int32)
    planned, losses = [], []
    for remat in (False, True):
        steps = make_steps(create(name, width=8, levels=3, remat=remat), CONFIG)
        state = steps.init(jax.random.key(0), images)
        plan = steps.train.lower(state, images, targets).compile().memory_analysis()
        planned.append(plan.temp_size_in_bytes)
        losses.append(steps.train(state, images, targets)[1])
    assert planned[1] < 0.7 * planned[0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_the_learning_rate_is_data():
    steps = make_steps(NETWORK, CONFIG)
    states = [steps.init(jax.random.key(0), IMAGES, rate) for rate in (0.01, 0.03)]
    start = params_of(states[0])
    moved = [
        [a - b for a, b in zip(params_of(steps.train(state, IMAGES, TARGETS)[0]), start, strict=True)]
        for state in states
    ]
    for slow, fast in zip(*moved, strict=True):
        np.testing.assert_allclose(3 * slow, fast, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_over_a_mapped_axis_is_that_of_the_whole_batch(name):
    logits = jax.random.normal(jax.random.key(1), (4, 3, 5, 3))
    targets = jax.random.randint(jax.random.key(2), (4, 3, 5), -1, 3)
    parts = logits.reshape(2, 2, 3, 5, 3), targets.reshape(2, 2, 3, 5)
    spread = jax.vmap(lambda *part: LOSSES[name](*part, "data"), axis_name="data")(*parts)
    np.testing.assert_allclose(spread, jnp.broadcast_to(LOSSES[name](logits, targets), 2), rtol=1e-5)


@pytest.mark.parametrize("rate", [-1.0, 0.0, float("inf"), float("nan")])
def test_learning_rates_that_are_not_positive_numbers_are_refused(rate):
    with pytest.raises(InputError, match="learning_rate must be a positive number"):
        StepConfig(learning_rate=rate)


def test_accumulating_nothing_is_refused():
    with pytest.raises(InputError, match="accumulate must be at least 1"):
        StepConfig(accumulate=0)


UNKNOWN = """
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError
for config, option in ((StepConfig, {"loss": "hinge"}), (LoopConfig, {"stop": "never"})):
    try:
        config(**option)
    except InputError as error:
        print(error)
"""


def test_unknown_names_are_refused_with_those_there_are():
    # in a process of its own, because here the annotations are executed and refuse them first
    run = subprocess.run([sys.executable, "-c", UNKNOWN], capture_output=True, text=True, check=True)
    loss, stop = run.stdout.splitlines()
    assert loss.startswith("loss: unknown 'hinge'; choose one of dice, cross_entropy, ")
    assert stop == "stop: unknown 'never'; choose one of fixed, plateau"
