"""The mean teacher against plain training, against an average worked out beside it, and on unlabelled pictures."""

import jax
import numpy as np
import pytest

from segjax.models import create
from segjax.training import LoopConfig, Member, Pictures, StepConfig, fit_pack, make_steps
from segjax.training.mean_teacher import TEACHER, make_mean_teacher_steps
from segjax.training.packs import layout_of
from segjax.types import InputError

CONFIG = StepConfig(loss="cross_entropy", learning_rate=0.01)
NETWORK = create("msd", depth=2)
IMAGES = np.random.default_rng(0).random((4, 5, 6, 1), np.float32)
TARGETS = (IMAGES[..., 0] > 0.5).astype(np.int32)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_without_weight_and_noise_the_student_trains_alone_and_the_teacher_is_its_average():
    ours = make_mean_teacher_steps(NETWORK, CONFIG, ramp_up=1, weight=0.0, noise=0.0, decay=0.6)
    plain = make_steps(NETWORK, CONFIG)
    state, alone = ours.init(jax.random.key(0), IMAGES), plain.init(jax.random.key(0), IMAGES)
    average = leaves(alone.params)
    for step in range(4):
        state, _ = ours.train(state, IMAGES, TARGETS)
        alone, _ = plain.train(alone, IMAGES, TARGETS)
        kept = min(0.6, 1 - 1 / (step + 1))  # 0, 1/2, then 0.6
        average = [kept * old + (1 - kept) * new for old, new in zip(average, leaves(alone.params), strict=True)]
    for mine, theirs in zip(leaves(state.params), leaves(alone.params), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    for mine, expected in zip(leaves(state.model_state[TEACHER]), average, strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-5)
    taught = {"params": state.model_state[TEACHER]}
    np.testing.assert_array_equal(ours.predict(state.variables, IMAGES), plain.predict(taught, IMAGES))
    for mine, theirs in zip(
        ours.validate(state.variables, IMAGES, TARGETS), plain.validate(taught, IMAGES, TARGETS), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_pictures_without_any_label_still_teach_once_noise_parts_student_and_teacher():
    unknown = np.full_like(TARGETS, -1)
    moved = {}
    for noise in (0.0, 0.2):
        steps = make_mean_teacher_steps(create("unet", width=2, levels=1), CONFIG, ramp_up=1, noise=noise)
        state = steps.init(jax.random.key(0), IMAGES)
        before = leaves(state.params)
        state, loss = steps.train(state, IMAGES, unknown)
        state, loss = steps.train(state, IMAGES, unknown)
        moved[noise] = max(np.abs(a - b).max() for a, b in zip(before, leaves(state.params), strict=True))
        assert np.isfinite(loss)
    assert moved[0.0] == 0 and moved[0.2] > 0


def test_it_runs_in_a_pack_and_gives_the_same_numbers_in_one_step():
    members = [Member(jax.random.key(seed), Pictures(IMAGES, TARGETS), Pictures(IMAGES, TARGETS)) for seed in (0, 1)]
    loop = LoopConfig(batch_size=4, epochs=2, restarts=0)
    steps = make_mean_teacher_steps(NETWORK, CONFIG, ramp_up=2)
    losses = [dict(fit_pack(members, steps, loop, layout_of(strategy, 2))) for strategy in ("sequential", "vmap")]
    for index in (0, 1):
        np.testing.assert_allclose(losses[0][index].losses, losses[1][index].losses, rtol=1e-4)


def test_running_averages_are_refused():
    with pytest.raises(InputError, match="norm"):
        make_mean_teacher_steps(create("unet", width=2, levels=1, norm="running"), CONFIG, ramp_up=1)
