import numpy as np
import pytest

from segjax.evaluation import energy_in_mask, pixel_average_precision, pointing_game
from segjax.evaluation.localisation import choose_threshold, oracle_threshold
from segjax.types import InputError

RNG = np.random.default_rng(0)
TRUTHS = [RNG.random((9, 8)) < share for share in (0.2, 0.5, 0.0)]
MAPS = [np.round(RNG.standard_normal((9, 8)) + truth, 1) for truth in TRUTHS]  # rounded: values repeat
EMPTY = np.zeros((9, 8), bool)


def iou(mask, truth):
    union = np.sum(mask | truth)
    return np.sum(mask & truth) / union if union else 1.0


def test_pointing_game_looks_at_the_highest_pixel():
    truth = EMPTY.copy()
    truth[2, 3] = True
    found = np.zeros((9, 8))
    found[2, 3] = 1.0
    assert pointing_game(found, truth) == 1
    found[5, 7] = 2.0
    assert pointing_game(found, truth) == 0 == pointing_game(found, truth, 4.9)
    assert pointing_game(found, truth, 5.0) == 1
    assert np.isnan(pointing_game(found, EMPTY))


def test_energy_counts_positive_values():
    truth = np.array([[True, False], [True, False]])
    assert energy_in_mask(np.array([[3.0, 1.0], [-9.0, -2.0]]), truth) == 0.75
    assert energy_in_mask(-np.ones((2, 2)), truth) == 0
    assert np.isnan(energy_in_mask(np.ones((2, 2)), truth & False))


def test_pixel_average_precision_is_the_step_sum_of_precision_over_recall():
    values, is_object = np.concatenate([m.ravel() for m in MAPS]), np.concatenate([t.ravel() for t in TRUTHS])
    expected = recall = 0.0
    for level in sorted(set(values), reverse=True):
        is_found = values >= level
        hits = np.sum(is_found & is_object)
        expected += (hits / is_object.sum() - recall) * hits / is_found.sum()
        recall = hits / is_object.sum()
    assert pixel_average_precision(MAPS, TRUTHS) == pytest.approx(expected, rel=1e-12)
    assert pixel_average_precision([MAPS[0] * 0], [TRUTHS[0]]) == pytest.approx(TRUTHS[0].mean())
    assert np.isnan(pixel_average_precision(MAPS[2:], TRUTHS[2:]))


def test_a_threshold_is_the_best_of_its_pictures_and_says_how_many_they_were():
    found = choose_threshold(MAPS, TRUTHS, levels=1000)
    values = np.unique(np.concatenate([m.ravel() for m in MAPS]))
    best = max(np.mean([iou(m > level, t) for m, t in zip(MAPS, TRUTHS, strict=True)]) for level in values)
    assert found.pictures == 3 and found.iou == pytest.approx(best)
    at_level = np.mean([iou(m > found.level, t) for m, t in zip(MAPS, TRUTHS, strict=True)])
    assert at_level == pytest.approx(found.iou)
    with pytest.raises(InputError, match="no outlined picture"):
        choose_threshold([], [])


def test_the_oracle_is_the_best_of_every_threshold():
    for found, truth in zip(MAPS[:2], TRUTHS[:2], strict=True):
        levels = [-np.inf, *np.unique(found)]
        best = oracle_threshold(found, truth)
        assert best.iou == pytest.approx(max(iou(found > level, truth) for level in levels))
        assert iou(found > best.level, truth) == pytest.approx(best.iou)
    assert oracle_threshold(MAPS[0], ~EMPTY).iou == 1
    assert np.isnan(oracle_threshold(MAPS[2], EMPTY).iou)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_has_no_score(broken):
    """The broken pixel lies on the object, where the highest one would be a hit."""
    found, truth = MAPS[0].copy(), TRUTHS[0]
    found[tuple(np.argwhere(truth)[0])] = broken
    assert np.isnan(pointing_game(found, truth))
    assert np.isnan(energy_in_mask(found, truth))
    assert np.isnan(pixel_average_precision([MAPS[1], found], [TRUTHS[1], truth]))
    best = oracle_threshold(found, truth)
    assert np.isnan(best.level) and np.isnan(best.iou)
    with pytest.raises(InputError, match="threshold: a map has values that are not finite"):
        choose_threshold([MAPS[1], found], [TRUTHS[1], truth])
