"""The training loop: one compilation, sound stops, restarts, and resuming to the same bits."""

import dataclasses

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.training import LoopConfig, Pictures, StepConfig, fit, make_steps, predict
from segjax.training.fit import batch_order, in_batches
from segjax.types import InputError

STEP = StepConfig(learning_rate=0.1)
LOOP = LoopConfig(batch_size=2, epochs=30, restarts=2)
TRACES = []


class Pixelwise(nn.Module):
    """Logits from the pixel alone: enough to learn a threshold, quick to compile."""

    @nn.compact
    def __call__(self, image, *, train=False, features=False):
        TRACES.append(image.shape)
        return nn.Dense(2)(nn.tanh(nn.Dense(8)(image)))


class NeverObject(nn.Module):
    """Background everywhere, whatever is learned."""

    @nn.compact
    def __call__(self, image, *, train=False, features=False):
        return nn.Dense(2)(image) * 0.0 + jnp.asarray([9.0, 0.0]).reshape(1, 1, 1, 2)


class NotANumber(nn.Module):
    """Diverges at once."""

    @nn.compact
    def __call__(self, image, *, train=False, features=False):
        return nn.Dense(2)(image) * jnp.nan


def pictures(count, seed=0):
    images = np.random.default_rng(seed).random((count, 4, 6, 1), np.float32)
    return Pictures(images, (images[..., 0] > 0.5).astype(np.int32))


TRAIN, VALIDATION = pictures(5), pictures(3, 1)
STEPS = make_steps(Pixelwise(), STEP)


class Fed:
    """The training pictures in the order that `batch_order` gives, read batch by batch."""

    def first(self):
        return TRAIN.images[:2], TRAIN.targets[:2]

    def epoch(self, key, epoch, first):
        for rows in batch_order(key, epoch, len(TRAIN.images), LOOP)[first:]:
            yield TRAIN.images[rows], TRAIN.targets[rows]


@pytest.fixture(scope="module")
def uninterrupted():
    return fit(jax.random.key(3), STEPS, TRAIN, VALIDATION, LOOP)


def test_it_learns(uninterrupted):
    assert uninterrupted.status == "ok" and uninterrupted.restarts == 0
    assert uninterrupted.losses.shape == (LOOP.epochs, 2)
    assert uninterrupted.losses[-1, 0] < uninterrupted.losses[0, 0]
    test = pictures(9, 2)
    assert np.mean(predict(STEPS, uninterrupted.variables, test.images) == test.targets) > 0.8


def test_the_best_epoch_is_kept(uninterrupted):
    assert uninterrupted.best_epoch == np.argmin(uninterrupted.losses[:, 1])


def test_same_key_same_bits(uninterrupted):
    again = fit(jax.random.key(3), STEPS, TRAIN, VALIDATION, LOOP)
    other = fit(jax.random.key(4), STEPS, TRAIN, VALIDATION, LOOP)
    chex.assert_trees_all_equal(uninterrupted.variables, again.variables)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(uninterrupted.variables, other.variables)


def test_one_trace_serves_every_seed_and_strength():
    steps = make_steps(Pixelwise(), STEP)
    fit(jax.random.key(0), steps, TRAIN, VALIDATION, LOOP)
    TRACES.clear()
    for seed in (1, 2):
        flipped = TRAIN._replace(targets=1 - TRAIN.targets)
        fit(jax.random.key(seed), steps, flipped, VALIDATION, LOOP)
    assert TRACES == []


def test_a_stopped_run_goes_on_to_the_same_bits(uninterrupted, tmp_path):
    class Killed(Exception):
        pass

    def kill(share):
        if share > 0.6:
            raise Killed

    options = {"checkpoints": tmp_path, "checkpoint_epochs": 1}
    with pytest.raises(Killed):
        fit(jax.random.key(3), STEPS, TRAIN, VALIDATION, LOOP, on_epoch=kill, **options)
    shares = []
    resumed = fit(jax.random.key(3), STEPS, TRAIN, VALIDATION, LOOP, on_epoch=shares.append, **options)
    assert len(shares) < LOOP.epochs
    np.testing.assert_array_equal(resumed.losses, uninterrupted.losses)
    chex.assert_trees_all_equal(uninterrupted.variables, resumed.variables)


@pytest.mark.parametrize(("network", "status"), [(NeverObject(), "collapsed"), (NotANumber(), "diverged")])
def test_a_failed_run_is_restarted_and_named(network, status):
    loop = dataclasses.replace(LOOP, epochs=2)
    result = fit(jax.random.key(0), make_steps(network, STEP), TRAIN, VALIDATION, loop)
    assert result.status == status
    assert result.restarts == loop.restarts
    assert len(result.losses) == (1 if status == "diverged" else 2)


def test_plateau_stops_after_waiting():
    loop = dataclasses.replace(LOOP, stop="plateau", patience=2, epochs=50)
    steps = make_steps(Pixelwise(), StepConfig(learning_rate=1e-12))
    result = fit(jax.random.key(0), steps, TRAIN, VALIDATION, loop)
    assert len(result.losses) == 1 + 3  # the first epoch gains, the third one after it without gain is the last


def test_batches_cover_every_picture_and_depend_on_key_and_epoch_only():
    first = batch_order(jax.random.key(0), 0, 5, LOOP)
    assert first.shape == (3, 2) and set(first.ravel()) == set(range(5))
    np.testing.assert_array_equal(first, batch_order(jax.random.key(0), 0, 5, LOOP))
    assert not np.array_equal(first, batch_order(jax.random.key(0), 1, 5, LOOP))
    fixed = dataclasses.replace(LOOP, shuffle=False)
    np.testing.assert_array_equal(
        batch_order(jax.random.key(0), 0, 5, fixed), batch_order(jax.random.key(0), 1, 5, fixed)
    )


def test_prediction_batches_have_one_size():
    chunks = in_batches(np.arange(11))
    assert {len(chunk) for chunk in chunks} == {8}
    np.testing.assert_array_equal(np.concatenate(chunks)[:11], np.arange(11))


@pytest.mark.parametrize(("name", "least"), [("batch_size", 1), ("epochs", 1), ("patience", 1), ("restarts", 0)])
def test_numbers_below_the_least_are_refused_by_name(name, least):
    assert getattr(LoopConfig(**{name: least}), name) == least
    with pytest.raises(InputError, match=f"{name} must be at least {least}, not {least - 1}"):
        LoopConfig(**{name: least - 1})


def test_a_member_without_a_learning_rate_takes_that_of_the_steps():
    once = dataclasses.replace(LOOP, epochs=1)
    slow = make_steps(Pixelwise(), StepConfig(learning_rate=0.01))
    found = [
        fit(jax.random.key(0), steps, TRAIN, VALIDATION, once, **options)
        for steps, options in ((STEPS, {}), (slow, {"learning_rate": 0.1}), (slow, {}))
    ]
    np.testing.assert_array_equal(found[0].losses, found[1].losses)
    assert not np.array_equal(found[0].losses, found[2].losses)


def test_no_pictures_is_refused():
    with pytest.raises(InputError, match="no validation pictures"):
        fit(jax.random.key(0), STEPS, TRAIN, pictures(0), LOOP)


def test_pictures_that_are_read_while_training_give_the_bits_of_those_in_memory(uninterrupted):
    fed = fit(jax.random.key(3), STEPS, Fed(), VALIDATION, LOOP)
    chex.assert_trees_all_equal(fed.variables, uninterrupted.variables)
    np.testing.assert_array_equal(fed.losses, uninterrupted.losses)
