"""Training of classifiers by the rules of every other network: one number per picture instead of one per pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.evaluation.classification import mean_roc_auc
from segjax.models import create
from segjax.training import LoopConfig, Member, Pictures, StepConfig, fit, fit_pack, make_steps, predict, predict_logits
from segjax.training.packs import Layout
from segjax.training.steps import pure_step
from segjax.types import InputError

STEP = StepConfig(loss="cross_entropy", class_weights=(0.3, 0.7), learning_rate=0.02, augment=True)
LOOP = LoopConfig(batch_size=4, epochs=12)


def pictures(count, seed):
    """A third of the pictures hold a bright square somewhere."""
    rng = np.random.default_rng(seed)
    images = rng.random((count, 12, 12, 1), np.float32)
    labels = (np.arange(count) % 3 == 0).astype(np.int32)
    for image, label in zip(images, labels, strict=True):
        y, x = rng.integers(0, 8, 2)
        image[y : y + 4, x : x + 4] += 2.0 * label
    return Pictures(images, labels)


@pytest.fixture(scope="module")
def trained():
    network = create("msd_classifier", depth=3)
    steps = make_steps(network, STEP)
    train, validation = pictures(24, 0), pictures(12, 1)
    return network, steps, fit(jax.random.key(0), steps, train, validation, LOOP)


def test_a_classifier_learns_and_is_scored_on_other_pictures(trained):
    network, steps, result = trained
    test = pictures(30, 2)
    assert result.status == "ok"
    logits = predict_logits(network, result.variables, test.images)
    assert logits.shape == (30, 2)
    assert mean_roc_auc(logits, test.targets) > 0.95
    np.testing.assert_array_equal(predict(steps, result.variables, test.images), logits.argmax(1))


def test_a_pack_gives_what_one_training_gives(trained):
    _, steps, result = trained
    member = Member(jax.random.key(0), pictures(24, 0), pictures(12, 1))
    packed = dict(fit_pack([member, member], steps, LOOP, Layout(workers=2)))
    for fitted in packed.values():
        np.testing.assert_array_equal(fitted.losses, result.losses)


@pytest.mark.slow
def test_dropout_draws_anew_with_every_step_and_repeats_with_the_key(random_variables_of_vgg):
    network, state, images, labels = random_variables_of_vgg
    step = jax.jit(pure_step(network, StepConfig(loss="cross_entropy")))
    _, first = step(state, images, labels)
    _, again = step(state, images, labels)
    later = jax.tree.map(lambda leaf: leaf, state)
    later = type(state)(jnp.int32(1), *(getattr(later, n) for n in list(vars(later))[1:]))
    _, other = step(later, images, labels)
    assert first == again and first != other


@pytest.fixture
def random_variables_of_vgg():
    network = create("vgg16", width=1)
    images = jnp.asarray(np.random.default_rng(0).random((2, 32, 32, 1), np.float32))
    state = make_steps(network, StepConfig(loss="cross_entropy")).init(jax.random.key(0), images)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(0, 0.3, leaf.shape), jnp.float32), state.params)
    state = type(state)(state.step, params, *(getattr(state, name) for name in list(vars(state))[2:]))
    return network, state, images, jnp.array([0, 1])


def test_class_weights_are_for_cross_entropy_and_positive():
    with pytest.raises(InputError, match="loss=dice does not take them; use loss=cross_entropy"):
        StepConfig(class_weights=(0.1, 0.9))
    with pytest.raises(InputError, match="class_weights must be positive numbers"):
        StepConfig(loss="cross_entropy", class_weights=(0.0, 1.0))
