"""Upgrade networks see a fresh noisy mask at every read; networks here are such that the loss tells which."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.annotations import Recipe
from segjax.training import LoopConfig, Member, StepConfig, fit, fit_pack
from segjax.training.packs import Layout
from segjax.types import InputError
from segjax.upgrade import clean_pictures, make_upgrade_steps, mixture, upgrade_network
from segjax.upgrade.learning import noisy_masks, with_labels

STEP = StepConfig(learning_rate=1e-9)
LOOP = LoopConfig(batch_size=4, epochs=3, restarts=0)
SURE = 100.0  # a logit whose softmax is 0 or 1 in float32
TRACES = []


class Echo(nn.Module):
    """Predicts the label channel as it is, so that the soft Dice loss is 1 - Dice of the mask it was shown."""

    @nn.compact
    def __call__(self, image, train=False):
        TRACES.append(image.shape)
        still = self.param("still", nn.initializers.zeros, ())
        foreground = SURE * (image[..., -1] - 0.5) + still
        return jnp.stack([-foreground, foreground], axis=-1)


class Agreement(nn.Module):
    """Predicts an object where the picture equals the mask."""

    @nn.compact
    def __call__(self, image, train=False):
        still = self.param("still", nn.initializers.zeros, ())
        foreground = SURE * (0.5 - jnp.abs(image[..., 0] - image[..., 1])) + still
        return jnp.stack([-foreground, foreground], axis=-1)


class Pixelwise(nn.Module):
    """Logistic regression on the channels of each pixel."""

    @nn.compact
    def __call__(self, image, train=False):
        return nn.Dense(2)(image)


STEPS = make_upgrade_steps(Echo(), STEP, max_objects=15)


def squares(count, pictures=4):
    """`count` squares of 2x2 pixels on a diagonal."""
    labels = np.zeros((pictures, 4 * count, 4 * count), np.int32)
    for number in range(count):
        start = 4 * number + 1
        labels[:, start : start + 2, start : start + 2] = number + 1
    return labels


def pictures_of(labels, recipes, **options):
    return clean_pictures(np.zeros((*labels.shape, 1), np.float32), labels, recipes, **options)


def validation_losses(steps, data):
    state = steps.init(jax.random.key(0), data.images)
    return np.asarray(steps.validate(state.variables, *data)[0])


def test_the_default_unet_with_one_grey_channel_has_the_published_number_of_parameters():
    labels = np.ones((1, 32, 32), np.int32)
    images = np.zeros((1, 32, 32, 1), np.float32)
    network = upgrade_network("unet", images, labels)
    shapes = jax.eval_shape(network.init, jax.random.key(0), with_labels(images, labels > 0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 14_788_418


def test_msd_is_given_the_mean_and_deviation_of_every_channel():
    images = np.random.default_rng(0).random((3, 12, 12, 2), np.float32)
    labels = np.zeros((3, 12, 12), np.int32)
    labels[:, :3] = 1  # a quarter: mean 1/4, deviation sqrt(3)/4
    network = upgrade_network("msd", images, labels, depth=2)
    np.testing.assert_allclose(network.input_mean, (*images.mean((0, 1, 2)), 0.25), rtol=1e-5)
    np.testing.assert_allclose(network.input_std, (*images.std((0, 1, 2)), np.sqrt(3) / 4), rtol=1e-5)
    given = upgrade_network("msd", images, labels, depth=2, input_mean=0.5)
    assert given.input_mean == 0.5 and given.input_std == 1.0


@pytest.mark.parametrize(
    ("recipe", "loss"),
    [
        (Recipe(omission=0.5), 1 - 2 / 3),  # 2 of 4 equal squares: 2 * 2 / (2 + 4)
        (Recipe(omission=0.25), 1 - 6 / 7),
        (Recipe(inclusion=1.0), 1 - 2 / 3),  # as many foreign pixels as true ones: 2 / (2 + 1)
        (Recipe(omission=0.5, inclusion=0.5), 1 - 1 / 2),
    ],
)
def test_validation_is_shown_what_the_recipe_says(recipe, loss):
    labels = squares(4)
    data = pictures_of(labels, recipe, foreign=labels[:, :, ::-1])
    losses = validation_losses(STEPS, data)
    np.testing.assert_allclose(losses, loss, atol=1e-6)


def test_validation_shows_the_same_masks_every_time_and_others_with_another_seed():
    labels, steps = squares(6), make_upgrade_steps(Agreement(), STEP, max_objects=7)
    images = (labels % 2 == 1).astype(np.float32)[..., None]  # tells which objects were omitted
    seen = [
        validation_losses(steps, clean_pictures(images, labels, Recipe(omission=0.5), draws=5, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert len(seen[0]) == 20 and len(np.unique(seen[0])) > 1
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


@pytest.mark.slow
def test_noisy_masks_are_those_that_the_network_is_shown():
    labels = squares(4)
    data = pictures_of(labels, mixture("volume", omission=(0.25, 0.5, 0.75)), foreign=labels, draws=3)
    masks = np.asarray(noisy_masks(None, data.targets, max_objects=15))
    overlap = np.sum(masks & (data.targets.labels > 0), (1, 2)) / (masks.sum((1, 2)) + 16)
    np.testing.assert_allclose(validation_losses(STEPS, data), 1 - 2 * overlap, atol=1e-6)
    others = noisy_masks(jax.random.split(jax.random.key(3), 12), data.targets, max_objects=15)
    assert not np.array_equal(others, masks)


def losses_of_steps(steps, data, count, key=0):
    state = steps.init(jax.random.key(key), data.images)
    losses = []
    for _ in range(count):
        state, loss = steps.train(state, *data)
        losses.append(float(loss))
    return losses


def test_every_training_step_draws_afresh_and_the_same_key_draws_the_same():
    labels = squares(4)
    data = pictures_of(labels, mixture("volume", omission=(0.25, 0.5, 0.75)), foreign=labels)
    first = losses_of_steps(STEPS, data, 6)
    assert len(set(first)) > 3
    assert losses_of_steps(STEPS, data, 6) == first
    assert losses_of_steps(STEPS, data, 6, key=1) != first


def test_one_trace_serves_every_strength_error_mixture_and_seed():
    labels = squares(4)
    recipes = [
        Recipe(omission=0.5),
        Recipe(omission=0.75, inclusion=0.25, bias=1),
        mixture("volume", omission=(0.2, 0.5), inclusion=(0.5,), bias=(1, 2)),
    ]
    members = [
        Member(jax.random.key(seed), *[pictures_of(labels, recipe, foreign=labels[:, ::-1])] * 2, learning_rate=0.1)
        for seed, recipe in enumerate(recipes)
    ]
    list(fit_pack(members[:1], STEPS, LOOP, Layout()))
    TRACES.clear()
    assert sorted(dict(fit_pack(members, STEPS, LOOP, Layout()))) == [0, 1, 2]
    assert TRACES == []


@pytest.mark.slow
def test_members_with_recipes_of_their_own_share_a_step():
    labels = squares(4)
    members = [
        Member(jax.random.key(seed), *[pictures_of(labels, Recipe(omission=rate), foreign=labels)] * 2)
        for seed, rate in enumerate((0.25, 0.5, 0.75))
    ]
    together = dict(fit_pack(members, STEPS, LOOP, Layout(1, 3)))
    for index, rate in enumerate((0.25, 0.5, 0.75)):
        np.testing.assert_allclose(together[index].losses, 1 - 2 * (1 - rate) / (2 - rate), atol=1e-6)


def test_foreign_objects_are_turned_with_the_picture():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (4, 9, 9)).astype(np.int32)
    foreign = generator.integers(0, 3, (4, 9, 9)).astype(np.int32)
    images = ((labels > 0) | (foreign > 0)).astype(np.float32)[..., None]
    data = clean_pictures(images, labels, Recipe(inclusion=1.0), foreign=foreign)
    config = dataclasses.replace(STEP, augment=True)
    steps = make_upgrade_steps(Agreement(), config, max_objects=3)
    everywhere = 1 - 2 * labels.sum() / (labels.size + labels.sum())  # every pixel agrees
    np.testing.assert_allclose(losses_of_steps(steps, data, 8), everywhere, atol=1e-6)
    wrong = data._replace(targets=dataclasses.replace(data.targets, foreign=foreign[:, ::-1]))
    assert np.abs(np.subtract(losses_of_steps(steps, wrong, 8), everywhere)).min() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rounding", "scope", "dice"),
    [("down", "volume", [1.0]), ("random", "volume", [0.0, 1.0]), ("down", "object", [0.0, 1.0])],
)
def test_random_rounding_and_coins_keep_the_mean_rate_where_pictures_show_few_objects(rounding, scope, dice):
    data = pictures_of(squares(1, pictures=1), Recipe(omission=0.3, scope=scope), draws=400)
    steps = make_upgrade_steps(Echo(), STEP, max_objects=1, rounding=rounding)
    shown = 1 - validation_losses(steps, data)
    np.testing.assert_allclose(np.unique(shown.round(5)), dice, atol=1e-6)
    if len(dice) == 2:
        assert 0.62 < shown.mean() < 0.78  # 0.7, standard error 0.023


@pytest.mark.parametrize(("rounding", "added"), [("down", 2), ("published", 3)])
def test_published_rounding_leaves_out_at_least_one_foreign_object(rounding, added):
    foreign = squares(4, pictures=1)
    recipe = Recipe(inclusion=0.7, inclusion_rounding="up")
    table = clean_pictures(np.zeros((*foreign.shape, 1), np.float32), foreign, recipe, foreign=foreign)
    for rate, count in ((0.7, added), (1.0, 3 if rounding == "published" else 4)):
        rates = np.full_like(table.targets.recipes.inclusion, rate)
        clean = dataclasses.replace(
            table.targets,
            labels=np.zeros_like(foreign),
            recipes=dataclasses.replace(table.targets.recipes, inclusion=rates),
        )
        mask = np.asarray(noisy_masks(None, clean, max_objects=7, rounding=rounding))
        assert len(set(np.unique(foreign[mask])) - {0}) == count


def test_training_learns_to_fill_in_what_was_omitted():
    generator = np.random.default_rng(1)
    labels = squares(4, pictures=8)
    images = (0.2 * generator.random((*labels.shape, 1)) + 0.8 * (labels > 0)[..., None]).astype(np.float32)
    config = StepConfig(learning_rate=0.1, augment=True)
    steps = make_upgrade_steps(Pixelwise(), config, max_objects=15)
    data = clean_pictures(images, labels, Recipe(omission=0.5))
    result = fit(jax.random.key(0), steps, data, data, LoopConfig(batch_size=4, epochs=40))
    assert result.status == "ok"
    assert result.losses[:, 1].min() < 0.1 < 1 / 3  # a third is the loss of leaving labels as they are


@pytest.mark.parametrize(
    ("labels", "recipes", "options", "message"),
    [
        (squares(2) * 0, Recipe(omission=0.5), {}, "labels: empty in every picture"),
        (squares(2) * 0 + 1, Recipe(omission=0.5), {}, "labels: full in every picture"),
        (squares(2), Recipe(inclusion=0.5), {}, "inclusion needs foreign objects"),
        (squares(2), Recipe(inclusion=0.5), {"foreign": squares(2) * 0}, "inclusion needs foreign objects"),
        (squares(2), Recipe(), {}, "none of them has an error"),
        (squares(2), [Recipe(omission=0.1)] * 65, {}, "1 to 64, not 65"),
        (squares(2), [], {}, "1 to 64, not 0"),
        (squares(2), [Recipe(bias=1), Recipe(bias=1, scope="object")], {}, "scopes must be one"),
        (squares(2), Recipe(bias=1), {"weights": (1, 2)}, "weights: give 1 numbers"),
        (squares(2), Recipe(bias=1), {"weights": (0,)}, "not all 0"),
        (squares(2), Recipe(bias=1), {"draws": 0}, "draws must be at least 1"),
    ],
)
def test_what_cannot_be_learnt_is_refused(labels, recipes, options, message):
    with pytest.raises(InputError, match=message):
        pictures_of(labels, recipes, **options)
