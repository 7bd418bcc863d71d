"""From maps to masks: levels worked out by hand, completion on pictures with known edges, pieces and holes."""

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from segjax.maps.masks import COMPLETIONS, RULES, complete_seeds, contour_level, level_of, mask_of, seeds_of, tidied
from segjax.maps.scaling import level_without
from segjax.types import InputError


def scene(size=40, centre=(18, 22), radius=9):
    """A brighter disc on a darker ground with a little grain."""
    rows, columns = np.mgrid[:size, :size]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    disc = distance < radius
    grain = 0.02 * np.random.default_rng(0).standard_normal(disc.shape)
    return disc, (0.3 + 0.4 * disc + grain).astype(np.float32)[..., None], distance


def overlap(mask, other):
    return np.sum(mask & other) / np.sum(mask | other)


def test_levels_by_hand():
    found = np.array([[-1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 8.0, 10.0]])
    blank = np.zeros((2, 4, 1), np.float32)
    assert level_of("fixed", found, blank, 0.5) == pytest.approx(3.0)
    assert level_of("fixed", found, blank, 0.5, share=0.15) == pytest.approx(1.5)
    assert level_of("dataset", found, blank, 0.5) == 0.5
    # a quarter of the eight pixels: the two highest
    assert np.sum(found > level_of("percentile", found, blank, 0.5, area=0.25)) == 2
    assert level_of("otsu", found, blank, 0.5) == pytest.approx(threshold_otsu(np.maximum(found, 0)))
    assert np.sum(found > level_of("otsu", found, blank, 0.5)) == 2


@pytest.mark.parametrize("rule", ["fixed", "otsu", "percentile", "contour"])
def test_a_map_without_positive_values_gives_an_empty_mask(rule):
    found = -np.ones((6, 6))
    assert not np.any(found > level_of(rule, found, np.zeros((6, 6, 1), np.float32), 0.0))


def test_the_contour_level_ends_at_the_edge_where_the_map_goes_on():
    disc, image, distance = scene()
    found = np.exp(-((distance / 12) ** 2)) + 0.02  # a blurred map: half of its maximum is far outside
    assert overlap(found > contour_level(found, image), disc) > 0.95
    assert overlap(found > level_of("otsu", found, image, 0.0), disc) < 0.9
    flat = np.full(found.shape, 0.5, np.float32)[..., None]
    assert 0.1 <= contour_level(found, flat) / found.max() <= 0.9


def test_unknown_names_and_shares_are_refused():
    found, blank = np.eye(4), np.zeros((4, 4, 1), np.float32)
    with pytest.raises(InputError, match="rule: unknown 'guess'"):
        level_of("guess", found, blank, 0.0)
    with pytest.raises(InputError, match="shares must be above 0"):
        level_of("fixed", found, blank, 0.0, share=1.5)
    with pytest.raises(InputError, match="completion: unknown 'crf'"):
        complete_seeds(np.zeros((4, 4, 1), np.float32), found > 0, found <= 0, "crf")


def test_seeds_lie_half_way_to_the_maximum_on_both_sides_of_the_level():
    found = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    inside, outside = seeds_of(found, 4.0)  # half way to 6 is 5; as far below 4 is 3
    np.testing.assert_array_equal(inside, found >= 5)
    np.testing.assert_array_equal(outside, found <= 3)
    assert not any(seeds.any() for seeds in seeds_of(found, 6.0))


@pytest.mark.parametrize("completion", ["random_walk", "geodesic"])
def test_completion_ends_at_the_edge_of_the_picture(completion):
    disc, image, distance = scene()
    inside, outside = distance < 3, distance > 17
    assert overlap(inside, disc) < 0.2
    assert overlap(complete_seeds(image, inside, outside, completion), disc) > 0.9


@pytest.mark.parametrize("completion", ["random_walk", "geodesic"])
def test_seeds_keep_their_side_and_nothing_is_made_of_one_kind_alone(completion):
    _, image, distance = scene()
    inside, outside = distance < 3, distance > 12
    found = complete_seeds(image, inside, outside, completion)
    assert found[inside].all() and not found[outside].any()
    nothing = np.zeros_like(inside)
    np.testing.assert_array_equal(complete_seeds(image, inside, nothing, completion), inside)
    assert not complete_seeds(image, nothing, outside, completion).any()
    np.testing.assert_array_equal(complete_seeds(image, inside, ~inside, completion), inside)


def test_a_mask_is_completed_where_it_is_asked_for():
    disc, image, distance = scene()
    found = np.exp(-0.5 * (distance / 9) ** 2)  # too wide at its level
    level = 0.4
    plain = mask_of(image, found, level, "none")
    np.testing.assert_array_equal(plain, found > level)
    walked = mask_of(image, found, level, "random_walk")
    assert overlap(walked, disc) > overlap(plain, disc) + 0.1
    # no pixel is far enough below this level to be outside for sure
    np.testing.assert_array_equal(mask_of(image, found, -0.5, "random_walk"), np.ones_like(disc))


def test_small_pieces_and_holes_go():
    mask = np.zeros((8, 10), bool)
    mask[1:6, 1:6] = True
    mask[3, 3] = False  # a hole
    mask[1, 8], mask[2, 9] = True, True  # one piece of two pixels, by their corners
    expected = np.zeros_like(mask)
    expected[1:6, 1:6] = True
    np.testing.assert_array_equal(tidied(mask, 3), expected)
    expected[1, 8], expected[2, 9] = True, True
    np.testing.assert_array_equal(tidied(mask, 2), expected)
    assert not tidied(np.zeros_like(mask), 1).any()


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_no_level_and_no_mask_is_made_of_a_map_that_is_not_finite(broken):
    found, image = np.eye(6), np.zeros((6, 6, 1), np.float32)
    found[2, 3] = broken
    message = "map: 1 of 36 values are not finite.*lower learning rate"
    makers = [lambda rule=rule: level_of(rule, found, image, 0.5) for rule in RULES]
    makers += [lambda way=way: mask_of(image, found, 0.5, way) for way in COMPLETIONS]
    makers += [lambda: contour_level(found, image), lambda: seeds_of(found, 0.5), lambda: level_without(found)]
    for make in makers:
        with pytest.raises(InputError, match=message):
            make()
