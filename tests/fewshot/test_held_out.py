"""Shots that were held out are judged as if they had never been annotated."""

import numpy as np
import pytest

from segjax.evaluation import f1, overlaps
from segjax.fewshot import FeatureBank, Objects, fit_new_type
from segjax.fewshot.held_out import folds_of, held_out
from segjax.fewshot.linear import Logistic, Ridge
from segjax.fewshot.segment import Shots
from segjax.types import InputError
from tests.fewshot.test_segment import dishes


@pytest.fixture(scope="module")
def shots():
    return dishes(3, 0)


@pytest.fixture(scope="module")
def bank(tiny, shots):
    return FeatureBank.standardised([tiny("msd", 0)], shots[0])


@pytest.mark.parametrize(
    ("head", "objects"),
    [
        (Logistic(tolerance=1e-7), Objects()),
        (Ridge(), Objects("border")),
        (Ridge(), Objects(threshold="zero", most_bytes=1)),
    ],
)
def test_a_shot_that_is_left_out_teaches_nothing(head, objects, bank, shots):
    images, masks = shots
    one = Shots(bank, images, masks, head, objects).learn(without=(1,))
    other = fit_new_type(bank, images[::2], masks[::2], head, objects)
    np.testing.assert_allclose(one.scores(bank, images[1]), other.scores(bank, images[1]), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(one.segment(bank, images[1]), other.segment(bank, images[1]))


def test_each_shot_is_judged_by_what_the_others_teach(bank, shots):
    images, masks = shots
    masks = [masks[0], np.where(np.arange(masks[1].shape[1]) < 14, -1, masks[1]).astype(np.int32), masks[2]]
    every = Shots(bank, images, masks)
    found = list(held_out(every, folds_of("abc")))
    assert [(one.place, one.fold) for one in found] == [(0, 0), (1, 1), (2, 2)]
    for one in found:
        learnt = every.learn(without=(one.place,))
        labels, truth = learnt.segment(bank, images[one.place]), masks[one.place]
        np.testing.assert_array_equal(one.labels, labels)
        judged = truth >= 0
        marked, true = (labels > 0)[judged], (truth > 0)[judged]
        assert one.dice == pytest.approx(2 * (marked & true).sum() / (marked.sum() + true.sum())) and one.dice > 0.8
        assert one.f1 == f1(overlaps(np.where(judged, labels, 0), np.where(judged, truth, 0)))
        assert one.confidence == learnt.find(bank, images[one.place]).confidence


def test_groups_are_held_out_whole_in_at_most_ten_folds():
    assert folds_of("abca") == ((0, 3), (1,), (2,))
    assert folds_of("aaa") == folds_of("") == ()
    many = folds_of([f"{number // 2}" for number in range(26)])
    assert len(many) == 10 and many[2] == (4, 5, 24, 25) and sorted(sum(many, ())) == list(range(26))


def test_nothing_is_learnt_from_nothing(bank, shots):
    with pytest.raises(InputError, match="without: no shot is left"):
        Shots(bank, *shots).learn(without=range(3))
    images, masks = shots
    full = [masks[0], *(np.ones_like(mask) for mask in masks[1:])]
    with pytest.raises(InputError, match="no shot has a background pixel"):
        Shots(bank, images, full).learn(without=(0,))
