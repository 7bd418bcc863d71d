"""Mixtures and tables of recipes."""

import numpy as np
import pytest

from segjax.annotations import Recipe
from segjax.types import InputError
from segjax.upgrade import mixture
from segjax.upgrade.recipes import MOST_RECIPES, borrowed_objects, recipe_table, rejected_objects


def test_a_mixture_is_every_combination_and_no_error():
    recipes = mixture(omission=(0.3, 0.6), bias=(2,))
    found = {(recipe.omission, recipe.bias) for recipe in recipes}
    assert found == {(o, b) for o in (0, 0.3, 0.6) for b in (0, 2)} and len(recipes) == 6
    assert {recipe.scope for recipe in recipes} == {"picture"}


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({}, "name at least one error"),
        ({"typo": (1,)}, "unknown error 'typo'"),
        ({"omission": tuple(np.linspace(0.1, 0.9, 8)), "bias": tuple(range(1, 8))}, "72 combinations"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(strengths, message):
    with pytest.raises(InputError, match=message):
        mixture(**strengths)


def test_tables_have_one_size_and_draw_only_the_given_recipes():
    table, weights = recipe_table([Recipe(omission=0.5), Recipe(bias=3)], weights=(1, 3))
    assert table.omission.shape == weights.shape == (MOST_RECIPES,)
    np.testing.assert_allclose(weights[:3], (0.25, 0.75, 0))
    assert weights.sum() == 1
    np.testing.assert_array_equal(table.bias[:2], (0, 3))


def test_errors_without_strength_have_a_place_in_the_table():
    plain, wide = recipe_table([Recipe(bias=1)])[0], recipe_table([Recipe(bias=1)], errors=("jitter", "polygon"))[0]
    assert not plain.has("jitter") and wide.has("jitter") and wide.has("polygon")
    assert wide.polygon.dtype == np.int32 and not wide.jitter.any()


def test_borrowed_objects_are_those_of_the_next_picture_turned_where_there_is_room():
    labels = np.zeros((2, 8, 8), np.int32)
    labels[0, 1:3, 1:3] = 1
    labels[1, 5:7, 5:7], labels[1, 1:3, 5:7], labels[1, 6, 1:4] = 1, 2, 3
    borrowed = borrowed_objects(labels)
    expected = np.zeros_like(labels)
    expected[0, 5:7, 1:3], expected[0, 1, 4:7] = 2, 3  # object 1 would lie on an object of the first picture
    np.testing.assert_array_equal(borrowed[0], expected[0])
    assert not borrowed[1].any()  # the only object of the first picture would lie on object 1
    assert not np.any((borrowed > 0) & (labels > 0))


def test_pieces_that_repair_took_out_are_foreign():
    noisy = np.zeros((2, 6, 9), bool)
    noisy[0, 1:3, 1:3] = noisy[0, 1:5, 5:8] = noisy[1, 0, :] = True
    repaired = noisy.copy()
    repaired[0, 1:3, 1:3] = False  # an object that was included
    repaired[0, 4, 5:8] = False  # an outline that is moved
    repaired[1] = False
    repaired[1, 0, :4] = True  # 4 of 9 pixels are left
    found = rejected_objects(noisy, repaired)
    expected = np.zeros(noisy.shape, bool)
    expected[0, 1:3, 1:3] = expected[1, 0, :] = True
    np.testing.assert_array_equal(found > 0, expected)
