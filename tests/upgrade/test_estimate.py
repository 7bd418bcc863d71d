"""Recipes estimated from pairs: what was drawn is found again."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from segjax.annotations import Recipe, degrade
from segjax.types import InputError
from segjax.upgrade import estimate_recipe
from segjax.upgrade.estimate import change_outline


def cells(seed, pictures=6, side=200, pitch=40, radius=(10, 15)):
    """Label maps with a disc of random radius and place in every field of a grid."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    labels = np.zeros((pictures, side, side), np.int32)
    for picture in labels:
        for number in range((side // pitch) ** 2):
            y, x = (np.array(divmod(number, side // pitch)) + 0.5) * pitch + generator.uniform(-2, 2, 2)
            inside = (rows - y) ** 2 + (columns - x) ** 2 <= generator.uniform(*radius) ** 2
            picture[inside] = number + 1
    return labels


CLEAN = cells(0)


def drawn(recipe, labels=CLEAN, foreign=None, seed=0):
    keys = jax.random.split(jax.random.key(seed), len(labels))
    others = [None] * len(labels) if foreign is None else foreign
    return np.stack([np.asarray(degrade(k, one, recipe, f)) for k, one, f in zip(keys, labels, others, strict=True)])


def test_omission_is_found_exactly():
    recipe = Recipe(omission=0.4, scope="picture")
    assert estimate_recipe(CLEAN, drawn(recipe)) == recipe


def test_the_bias_comes_from_the_largest_change_of_any_picture():
    masks = drawn(Recipe(bias=4))
    changes = [
        next(abs(q) for q in range(-4, 5) if np.array_equal(change_outline(labels > 0, q), mask))
        for labels, mask in zip(CLEAN, masks, strict=True)
    ]
    assert estimate_recipe(CLEAN, masks) == Recipe(bias=max(changes), scope="picture")  # m + m / 6 - 1 is below m
    one = estimate_recipe(CLEAN[:1], masks[:1])  # a single picture tells little: twice its change, less one
    assert one == Recipe(bias=max(changes[0], 2 * changes[0] - 1), scope="picture")


def test_errors_together_are_told_apart():
    foreign = np.roll(CLEAN, (20, 20), axis=(1, 2))
    foreign = np.where(CLEAN > 0, 0, foreign)
    recipe = Recipe(omission=0.4, inclusion=0.4, bias=3, scope="picture")
    found = estimate_recipe(CLEAN, drawn(recipe, foreign=foreign), foreign=foreign)
    assert abs(found.omission - 0.4) < 0.05
    assert abs(found.inclusion - 0.4) < 0.12
    assert found.bias in (2, 3)


def test_jitter_is_found_where_outlines_are_uneven():
    found = estimate_recipe(CLEAN, drawn(Recipe(jitter=2.0)))
    assert abs(found.jitter - 2.0) < 0.5 and found.omission == 0


def test_annotations_without_errors_give_a_recipe_without_errors():
    assert estimate_recipe(CLEAN, CLEAN > 0, foreign=np.roll(CLEAN, 20, 1)) == Recipe(scope="picture")


def test_pictures_of_which_nothing_was_drawn_count_as_omission():
    masks = CLEAN > 0
    masks[:3] = False
    assert estimate_recipe(CLEAN, masks) == Recipe(omission=0.5, scope="picture")


def test_an_empty_column_changes_nothing():
    generator = np.random.default_rng(0)
    for _ in range(60):
        smooth = ndimage.gaussian_filter(generator.standard_normal((23, 33)), 2)
        clean = ndimage.label(smooth > 0.05, np.ones((3, 3)))[0].astype(np.int32)
        noisy = np.roll(smooth > 0.03, 1)
        clean[:, -9:] = noisy[:, -9:] = 0  # so far that no outline reaches it
        given = clean[None], noisy[None]
        if clean.any():
            wide = (np.pad(one, ((0, 0), (0, 0), (0, 1))) for one in given)
            assert estimate_recipe(*given) == estimate_recipe(*wide)


@pytest.mark.parametrize("q", [-3, 2])
def test_outlines_change_as_bias_does(q):
    mask = CLEAN[0] > 0
    keys = (jax.random.key(seed) for seed in range(100))
    found = (np.asarray(degrade(key, CLEAN[0], Recipe(bias=abs(q)))) for key in keys)
    assert any(np.array_equal(change_outline(mask, q), one) for one in found)


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(InputError, match="a mask for each of the 6"):
        estimate_recipe(CLEAN, CLEAN[:2] > 0)
    with pytest.raises(InputError, match="at least one"):
        estimate_recipe(CLEAN[:0], CLEAN[:0] > 0)
    with pytest.raises(InputError, match="no picture has an object"):
        estimate_recipe(CLEAN * 0, CLEAN > 0)
