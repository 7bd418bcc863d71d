"""Puzzle-CAM's and SEAM's terms: cases worked out by hand, gradients, plain training without them, and refusals."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create
from segjax.training import LoopConfig, Member, Pictures, StepConfig, fit_pack, make_steps
from segjax.training.consistency import (
    check_consistent,
    class_evidence,
    halved,
    halved_view,
    make_consistent_steps,
    map_difference,
    tiled_view,
)
from segjax.training.losses import cross_entropy
from segjax.training.packs import layout_of
from segjax.types import InputError

CONFIG = StepConfig(loss="cross_entropy", learning_rate=0.01, augment=True)
IMAGES = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
TARGETS = np.array([0, 1, 1, 0], np.int32)
SMALL = {  # ResNet-34 and -50 are ResNet-18 with more blocks
    "vgg16": {"width": 1, "head": "average", "norm": "running"},
    "resnet18": {"width": 1},
    "msd_classifier": {"depth": 2},
    "unet_classifier": {"width": 2, "levels": 1},
}


class Normalised(nn.Module):
    """Two maps by a convolution and a normalisation that keeps running averages."""

    map_stride = 1

    @nn.compact
    def __call__(self, image, train=False, features=False):
        convolved = nn.Conv(2, (3, 3), use_bias=False, name="conv")(image)
        maps = nn.relu(nn.BatchNorm(use_running_average=not train, name="norm")(convolved))
        pool = maps.mean((1, 2))
        logits = nn.Dense(2, name="head")(pool)
        return (logits, {"maps": maps, "pool": pool}) if features else logits


class Rows(nn.Module):
    """Maps: the picture, and how far from its upper border each pixel is, so that parts look other than the whole."""

    map_stride = 1

    @nn.compact
    def __call__(self, image, train=False, features=False):
        rows = jnp.broadcast_to(jnp.arange(image.shape[1], dtype=jnp.float32)[None, :, None, None], image.shape)
        maps = jnp.concatenate([image, rows], -1)
        pool = maps.mean((1, 2))
        logits = nn.Dense(2, use_bias=False, name="head")(pool)
        return (logits, {"maps": maps, "pool": pool}) if features else logits


HEAD = jnp.asarray([[0.5, 1.5], [0.25, -0.5]])  # evidence of class 1: 1 per brightness, -0.75 per row


@functools.cache
def steps_of(kind):
    network = Normalised()
    return make_steps(network, CONFIG) if kind == "plain" else make_consistent_steps(network, CONFIG, kind, ramp_up=1)


def leaves(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves((state.params, state.model_state))]


def started(steps, images=IMAGES):
    return steps.init(jax.random.key(0), images)


def test_evidence_of_a_class_is_what_its_weights_have_over_those_of_class_0():
    maps = jnp.asarray([1.0, 10.0]).reshape(1, 1, 1, 2)
    np.testing.assert_allclose(class_evidence(maps, HEAD).ravel(), [1 - 7.5])


def test_the_difference_is_of_the_class_shown_and_0_without_one():
    whole, seen = jnp.zeros((3, 1, 2, 2)), jnp.asarray([[[[1.0, -5.0], [3.0, 7.0]]]] * 3)
    # picture 0 shows nothing; picture 1 shows class 1, |1| and |3|; picture 2 class 2, |-5| and |7|
    np.testing.assert_allclose(map_difference(whole, seen, jnp.asarray([0, 1, 2])), (0 + 2 + 6) / 3)


def test_tiles_and_halves_of_a_picture():
    image = jnp.arange(16.0).reshape(1, 4, 4, 1)
    logits, maps = tiled_view(lambda tile: (tile.sum((1, 2)), tile), image)
    np.testing.assert_array_equal(maps, image)
    np.testing.assert_array_equal(logits, [[120 / 4]])
    expected = [[2.5, 4.5], [10.5, 12.5]]
    np.testing.assert_array_equal(halved(image)[0, ..., 0], expected)
    np.testing.assert_array_equal(halved_view(lambda view: (view.sum((1, 2)), view), image)[1][0, ..., 0], expected)


@pytest.mark.parametrize(("kind", "difference"), [("puzzle", 0.75 * 1.0), ("seam", 0.75 * 1.0)])
def test_the_loss_is_that_worked_out_by_hand(kind, difference):
    """Rows 0 1 2 3: tiles say 0 1 0 1, 0 0 2 2 from the truth; halves say 0 1 where the truth is 0.5 2.5."""
    images, targets = np.zeros((2, 4, 4, 1), np.float32), np.array([1, 0], np.int32)
    steps = make_consistent_steps(Rows(), StepConfig("cross_entropy", learning_rate=0.01), kind, ramp_up=4, weight=0.5)
    state = started(steps, images)
    state = type(state)(jnp.int32(2), {"head": {"kernel": jnp.array(HEAD)}}, *list(vars(state).values())[2:])
    truth = jnp.asarray(targets)  # only one of the two pictures shows class 1
    with jax.disable_jit():
        _, eager = steps.train(state, jnp.asarray(images), truth)
    _, loss = steps.train(state, images, targets)
    whole, view = (jnp.full((2, 2), rows) * HEAD[1:] for rows in (1.5, 0.5))
    alpha = {"puzzle": 4 * 2 / 4, "seam": 2}[kind]
    expected = cross_entropy(whole, truth) + 0.5 * (cross_entropy(view, truth) + alpha * difference / 2)
    np.testing.assert_allclose([loss, eager], expected, rtol=1e-6)


def test_a_weight_of_0_is_plain_training_bit_for_bit():
    plain, ours = steps_of("plain"), make_consistent_steps(Normalised(), CONFIG, "puzzle", ramp_up=1, weight=0.0)
    states = [started(plain), started(ours)]
    for _ in range(2):
        states = [steps.train(state, IMAGES, TARGETS)[0] for steps, state in zip((plain, ours), states, strict=True)]
    for a, b in zip(*map(leaves, states), strict=True):
        np.testing.assert_array_equal(a, b)


def test_running_averages_and_what_is_tested_are_those_of_whole_pictures():
    plain, ours = steps_of("plain"), steps_of("puzzle")
    (plainly, _), (state, loss) = (steps.train(started(steps), IMAGES, TARGETS) for steps in (plain, ours))
    for a, b in zip(*(jax.tree.leaves(one.model_state) for one in (plainly, state)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    moved = zip(*(jax.tree.leaves(one.params) for one in (plainly, state)), strict=True)
    assert np.isfinite(loss) and max(float(np.abs(a - b).max()) for a, b in moved) > 1e-4
    for a, b in zip(*(steps.validate(state.variables, IMAGES, TARGETS) for steps in (plain, ours)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["puzzle", "seam"])
def test_all_weights_learn_from_it(kind):
    state = started(steps_of(kind))
    start = leaves(state)
    moved, _ = steps_of(kind).train(state, IMAGES, TARGETS)
    assert all(np.any(a != before) for a, before in zip(leaves(moved), start, strict=True))


@pytest.mark.parametrize(("name", "kind"), [*((name, "puzzle") for name in SMALL), ("msd_classifier", "seam")])
def test_every_classifier_takes_it(name, kind):
    network, images = create(name, **SMALL[name]), jnp.zeros((3, 64, 64, 1))
    check_consistent(network, images.shape[1:])
    steps = make_consistent_steps(network, CONFIG, kind, ramp_up=1)
    state = jax.eval_shape(steps.init, jax.random.key(0), images)
    after, loss = jax.eval_shape(steps.train, state, images, jnp.ones(3, jnp.int32))
    assert loss.shape == () and jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.slow
def test_it_runs_in_a_pack_and_gives_the_same_numbers_in_one_step():
    members = [Member(jax.random.key(seed), Pictures(IMAGES, TARGETS), Pictures(IMAGES, TARGETS)) for seed in (0, 1)]
    loop = LoopConfig(batch_size=4, epochs=3, restarts=0)
    layouts = [layout_of(strategy, 2) for strategy in ("sequential", "vmap")]
    found = [dict(fit_pack(members, steps_of("puzzle"), loop, layout)) for layout in layouts]
    for index in (0, 1):
        np.testing.assert_allclose(found[0][index].losses, found[1][index].losses, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "side", "message"),
    [
        ("vgg16", {"width": 1}, 64, "network: it has no class activation map.*head=average"),
        ("unet", {"width": 1, "levels": 1}, 64, "network: it has no class activation map"),
        ("resnet18", {"width": 1}, 96, "half of 96x96 px is no whole number of cells.*multiples of 64 px"),
        ("vgg16", SMALL["vgg16"], 32, "halves are too small.*at least 32 x 32 pixels.*not 16 x 16"),
    ],
)
def test_what_has_no_second_view_is_refused(name, options, side, message):
    with pytest.raises(InputError, match=message):
        check_consistent(create(name, **options), (side, side, 1))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("puzzle", {"ramp_up": 0}, "ramp_up=0 must be 1 or more"),
        ("seam", {"weight": -1.0}, "weight=-1.0 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(kind, options, message):
    with pytest.raises(InputError, match=message):
        make_consistent_steps(create("msd_classifier", depth=2), CONFIG, kind, **{"ramp_up": 1, **options})
