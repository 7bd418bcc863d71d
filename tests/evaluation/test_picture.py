import numpy as np
import pytest
from scipy import ndimage

from segjax.evaluation.picture import METRICS, picture_metrics
from segjax.types import InputError

POOLED = {"dice_pooled", "label_dice"}


def two_squares(shift=0):
    labels = np.zeros((30, 40), np.int32)
    labels[4:12, 4 + shift : 12 + shift] = 300
    labels[16:24, 20 + shift : 28 + shift] = 70_000
    return labels


def test_every_name_of_a_picture_is_explained_and_every_explanation_used():
    assert set(picture_metrics(two_squares() > 0, two_squares(), 1.0)) == set(METRICS) - POOLED
    assert METRICS.keys() == {
        *("dice_pooled", "dice", "iou", "surface_dice", "hd95", "aji", "pq", "f1", "label_dice"),
    }


def test_a_perfect_prediction_has_the_best_value_of_every_metric():
    values = picture_metrics(two_squares() > 0, two_squares(), 0.0)
    assert values == {name: 1.0 if METRICS[name].better == "higher" else 0.0 for name in values}


@pytest.mark.parametrize("shape", [(128, 127), (127, 128), (127, 127), (1, 4)])
def test_a_perfect_prediction_is_perfect_at_any_width(shape):
    generator = np.random.default_rng(shape[1])
    for _ in range(20):
        mask = ndimage.binary_dilation(generator.random(shape) < 0.005, np.ones((3, 3)))
        mask[-1, -1] = True
        labels, _ = ndimage.label(mask, np.ones((3, 3)))
        values = picture_metrics(mask, labels, 0.0)
        assert values == {name: 1.0 if METRICS[name].better == "higher" else 0.0 for name in values}


def test_hand_computed_shift_by_two():
    values = picture_metrics(two_squares(2) > 0, two_squares(), 1.0)
    # Of each 8x8 square 6 of 8 columns stay. Of the 28 outline pixels the two rows of 8 have 6 in place and 1 one pixel
    # away; the column over the other square has its 2 end pixels one pixel from that square's rows. 14 + 2 in all.
    assert values["dice"] == pytest.approx(0.75)
    assert values["iou"] == values["aji"] == values["pq"] == pytest.approx(0.6)
    assert values["surface_dice"] == pytest.approx(16 / 28)
    assert values["hd95"] == 2.0
    assert values["f1"] == 1.0


@pytest.mark.parametrize(
    ("predicted", "true", "overlap", "hd95"),
    [(False, False, np.nan, np.nan), (True, False, 0.0, 50.0), (False, True, 0.0, 50.0)],
)
def test_empty_rule_of_every_metric(predicted, true, overlap, hd95):
    values = picture_metrics((two_squares() > 0) & predicted, two_squares() * int(true), 1.0)
    assert all(type(value) is float for value in values.values())
    np.testing.assert_equal(values, {name: hd95 if name == "hd95" else overlap for name in values})


def test_touching_true_objects_merge_in_the_prediction():
    labels = np.zeros((8, 12), np.int32)
    labels[2:6, 2:6], labels[2:6, 6:10] = 1, 2
    values = picture_metrics(labels > 0, labels, 1.0)
    assert (values["dice"], values["surface_dice"]) == (1.0, 1.0)
    assert (values["f1"], values["pq"], values["aji"]) == (0.0, 0.0, 0.5)


def test_a_negative_tolerance_is_refused():
    with pytest.raises(InputError, match="tolerance"):
        picture_metrics(two_squares() > 0, two_squares(), -1.0)
