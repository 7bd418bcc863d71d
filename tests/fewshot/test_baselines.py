"""Networks trained on the shots: what moves, and what stays."""

import chex
import jax
import numpy as np
import pytest

from segjax.fewshot.baselines import shot_steps, train_on_shots
from segjax.training import LoopConfig, Pictures, StepConfig, predict
from segjax.types import InputError


@pytest.fixture(scope="module")
def shots():
    generator = np.random.default_rng(0)
    targets = np.zeros((2, 16, 16), np.int32)
    targets[0, 3:9, 4:10], targets[1, 8:14, 2:8] = 1, 1
    images = 0.7 * targets[..., None] + 0.1 * generator.random((2, 16, 16, 1))
    return Pictures(images.astype(np.float32), targets)


LAST = {"unet": {"head"}, "msd": {"head_kernel", "head_bias"}}
STEP = StepConfig(learning_rate=0.03)
LOOP = LoopConfig(epochs=4, batch_size=2, restarts=0)


def changed(before, after) -> set[str]:
    """First names of the parameters that differ."""
    return {
        name
        for name in after
        if any(
            a.shape != b.shape or not np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True)
        )
    }


@pytest.mark.parametrize("name", ["unet", "msd"])
def test_the_last_layer_alone_moves(name, tiny, shots):
    extractor = tiny(name, 0)
    steps = shot_steps(extractor, STEP, "last_layer")
    state = steps.init(jax.random.key(0), shots.images)
    start = jax.tree.map(np.array, state.params)
    for _ in range(2):
        state, _ = steps.train(state, shots.images, shots.targets)
    assert changed(start, state.params) == LAST[name]
    before, after = extractor.variables["params"], state.params
    assert not changed(before, {layer: after[layer] for layer in after if layer not in LAST[name]})


def test_a_last_layer_learns_the_shots(tiny, shots):
    result, steps = train_on_shots(jax.random.key(0), tiny("msd", 0), shots, STEP, LOOP, "last_layer")
    assert result.losses[-1, 1] < result.losses[0, 1]
    assert predict(steps, result.variables, shots.images).shape == shots.targets.shape


def test_the_whole_network_moves_from_where_it_was(tiny, shots):
    extractor = tiny("msd", 0)
    start, _ = train_on_shots(
        jax.random.key(0),
        extractor,
        shots,
        StepConfig(learning_rate=1e-9),
        LoopConfig(epochs=1, restarts=0),
        "whole_network",
    )
    np.testing.assert_allclose(
        start.variables["params"]["kernels"], extractor.variables["params"]["kernels"], atol=1e-6
    )
    result, _ = train_on_shots(jax.random.key(0), extractor, shots, STEP, LOOP, "whole_network")
    assert changed(extractor.variables["params"], result.variables["params"]) == set(result.variables["params"])


def test_decoupled_rates_are_the_whole_network_at_a_rate_of_one_and_the_last_layer_at_none(tiny, shots):
    extractor = tiny("unet", 0)

    def after(baseline, *rate):
        steps = shot_steps(extractor, STEP, baseline, *rate)
        state, _ = steps.train(steps.init(jax.random.key(0), shots.images), shots.images, shots.targets)
        return state.params

    whole, last, slow = after("whole_network"), after("last_layer"), after("decoupled", 0.25)
    chex.assert_trees_all_equal(after("decoupled", 1.0), whole)
    chex.assert_trees_all_equal(after("decoupled", 0.0), last)
    chex.assert_trees_all_equal(slow["head"], whole["head"])
    rest = ({name: value for name, value in params.items() if name != "head"} for params in (slow, whole, last))
    slow, whole, last = rest
    chex.assert_trees_all_close(slow, jax.tree.map(lambda to, start: start + (to - start) / 4, whole, last), atol=1e-6)


def test_a_share_of_the_rate_is_from_0_to_1(tiny):
    with pytest.raises(InputError, match="extractor_rate must be from 0 to 1"):
        shot_steps(tiny("msd", 0), STEP, "decoupled", 2.0)


def test_from_scratch_does_not_know_the_extractor(tiny, shots):
    one, other = (
        train_on_shots(jax.random.key(0), tiny("msd", seed), shots, STEP, LOOP, "from_scratch")[0] for seed in (0, 1)
    )
    chex.assert_trees_all_equal(one.variables, other.variables)


def test_an_unknown_baseline_is_refused(tiny, shots):
    with pytest.raises(InputError, match="baseline"):
        train_on_shots(jax.random.key(0), tiny("msd", 0), shots, STEP, LOOP, "distill")
