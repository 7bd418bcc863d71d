"""The level at which networks of study 4B mark a site: what it keeps, and by which pictures it is chosen."""

import numpy as np
import pytest

from experiments.site_segmentation.operating import LEVELS, Point, chosen_point, sure_pixels
from segjax.maps.masks import tidied


def picture(*pieces, side=40):
    """Probabilities with square pieces: (row, column, side, probability)."""
    found = np.full((side, side), 0.1, np.float32)
    for row, column, size, value in pieces:
        found[row : row + size, column : column + size] = value
    return found


def test_the_plain_point_marks_all_above_a_half():
    probability = np.random.default_rng(0).random((40, 40), np.float32)
    np.testing.assert_array_equal(Point().mask(probability, 4), tidied(probability > 0.5, 4))


def test_a_piece_needs_enough_pixels_above_the_level_and_keeps_its_whole_outline():
    probability = picture((2, 2, 10, 0.6), (4, 4, 3, 0.95), (20, 20, 10, 0.6), (22, 22, 2, 0.95))
    found = Point(0.9, 9).mask(probability, 1)
    expected = np.zeros((40, 40), bool)
    expected[2:12, 2:12] = True
    np.testing.assert_array_equal(found, expected)
    assert not Point(0.9, 10).mask(probability, 1).any()
    assert Point(0.9, 4).mask(probability, 1).sum() == 200 and Point(0.9, 4).mask(probability, 101).sum() == 0


def test_a_picture_below_the_gate_is_empty():
    probability = picture((2, 2, 10, 0.9))
    assert Point(gate=0.4).mask(probability, 1, 0.4).any() and not Point(gate=0.4).mask(probability, 1, 0.3).any()


def test_pixels_above_a_level_are_counted_by_piece():
    pieces = np.array([[1, 1, 0], [0, 2, 2]])
    probability = np.array([[0.6, 0.9, 0.9], [0.1, 0.5, 0.7]], np.float32)
    np.testing.assert_array_equal(sure_pixels(pieces, probability, 0.5), [1, 2, 1])
    np.testing.assert_array_equal(sure_pixels(pieces, probability, 0.8), [1, 1, 0])


def choice(sites, others, **options):
    probability, has_site = np.stack([*sites, *others]), np.array([True] * len(sites) + [False] * len(others))
    options = {"minimum_area": 1, "false_alarms": 0.1} | options
    point = chosen_point(probability, has_site, **options)
    marked = np.array([point.mask(one, options["minimum_area"]).any() for one in probability])
    return point, marked[has_site].mean(), int(marked[~has_site].sum())


@pytest.mark.parametrize(("others", "allowed"), [(5, 0), (18, 0), (19, 1), (29, 2), (99, 9)])
def test_one_more_false_alarm_would_still_be_within_the_share(others, allowed):
    generator = np.random.default_rng(others)
    sides = generator.permutation(np.arange(others) % 30 + 1)
    empty = [picture((1, 1, side, 0.6 + 0.3 * generator.random())) for side in sides]
    assert choice([picture((1, 1, 35, 0.8))], empty)[2] <= allowed
    distinct = [picture((0, 0, 1 + side // 3, 0.6), (0, 0, 1, 0.5 + side / 250)) for side in range(others)]
    _, found, alarms = choice([picture((1, 1, 39, 0.6))], distinct)
    assert alarms <= allowed and found == 1 and allowed / others <= 0.1
    if allowed:  # one pixel fewer would mark more
        assert (allowed + 1) / (others + 1) <= 0.1 + 1e-9


def test_the_level_is_that_at_which_most_sites_are_found():
    small_and_sure = [picture((5, 5, 4, 0.96)) for _ in range(10)]
    large_and_vague = [picture((5, 5, 12, 0.75)) for _ in range(20)]
    point, found, alarms = choice(small_and_sure, large_and_vague)
    assert (point.level, point.pixels, found, alarms) == (0.8, 1, 1.0, 0)
    point, found, alarms = choice(large_and_vague, small_and_sure)  # now size tells them apart, at the first level
    assert (point.level, point.pixels, found, alarms) == (LEVELS[0], 17, 1.0, 0)


def test_false_alarms_are_avoided_at_the_cost_of_a_standard_error_of_the_sites():
    sites = [picture((5, 5, 6, 0.85))] * 88 + [picture((5, 5, 6, 0.6))] * 12
    others = [picture((5, 5, 6, 0.75))] * 9 + [picture()] * 90
    point, found, alarms = choice(sites, others)
    assert (point.level, found, alarms) == (0.5, 1.0, 9)  # no error where all sites are found
    sites = [picture((5, 5, 6, 0.85))] * 88 + [picture((5, 5, 6, 0.6))] * 2 + [picture()] * 10
    point, found, alarms = choice(sites, others)
    assert (point.level, found, alarms) == (0.8, 0.88, 0)  # 0.9, and its standard error 0.03


def test_a_level_below_a_half_is_that_of_the_outlines_too():
    faint = [picture((5, 5, 8, 0.3), (6, 6, 2, 0.45)) for _ in range(10)]
    point, found, alarms = choice(faint, [picture() for _ in range(20)])
    assert (point.level, point.outline, found, alarms) == (0.35, 0.35, 1.0, 0)
    assert Point(0.2).mask(faint[0], 1).sum() == 64 and Point(0.9).outline == 0.5
    assert Point(0.9, is_outline=True).outline == 0.9


def test_the_classifier_may_empty_pictures_that_the_network_cannot_tell_apart():
    alike = [picture((5, 5, 5, 0.9)) for _ in range(20)]
    assert choice(alike, alike)[1] == 0
    probability, has_site = np.stack(alike * 2), np.arange(40) < 20
    presence = np.where(has_site, 0.8, np.linspace(0.1, 0.6, 40))
    point = chosen_point(probability, has_site, 1, 0.1, presence)
    marked = np.array([point.mask(one, 1, has).any() for one, has in zip(probability, presence, strict=True)])
    assert 0.1 < point.gate <= 0.8 and marked[has_site].all() and marked[~has_site].mean() <= 0.1


def test_pictures_of_one_kind_leave_the_plain_point():
    site = picture((5, 5, 5, 0.9))[None]
    assert chosen_point(site, np.array([True]), 1, 0.1) == Point()
    assert chosen_point(site[:0], np.zeros(0, bool), 1, 0.1) == Point()
