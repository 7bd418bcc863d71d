import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import regionprops

from segjax.annotations import Recipe, annotate, confusion, degrade
from segjax.annotations.annotators import boxes, correct, image_label, points, quick_recipe
from segjax.types import InputError

quick = settings(derandomize=True, deadline=None, max_examples=25)
IDS = 31


def squares() -> np.ndarray:
    """20 squares, the first two touching."""
    labels = np.zeros((40, 40), np.int32)
    for index in range(20):
        row, column = 10 * (index // 5) + 2, 8 * (index % 5) + 2
        labels[row : row + 4, column : column + 4] = index + 1
    labels[2:6, 6:14] = 2
    return labels


LABELS = squares()
CLASSES = np.arange(20) % 3 + 1
ALL = Recipe(omission=0.3, merge=1, split=0.4, polygon=6, jitter=1, markov=5, shift=2)


@pytest.mark.parametrize("scope", ["picture", "object"])
def test_what_is_marked_is_what_degrade_marks(scope):
    recipe = Recipe(**{**vars(ALL), "scope": scope, "outline_scope": None})
    for seed in range(3):
        key = jax.random.key(seed)
        mask = degrade(key, LABELS[None], Recipe(**{**vars(recipe), "scope": scope.replace("picture", "volume")}))
        np.testing.assert_array_equal(annotate(key, LABELS, recipe).labels > 0, mask[0])


def test_classes_stay_with_their_objects_through_every_error():
    one_class_each = np.arange(1, 21)
    plain = annotate(jax.random.key(1), LABELS, Recipe(split=1), one_class_each, max_objects=IDS)
    for one in range(1, 41):
        assert plain.classes[one - 1] == (one - 1) % 20 + 1
    both = annotate(jax.random.key(1), LABELS, Recipe(merge=1, split=1), one_class_each, max_objects=IDS)
    for one in np.unique(both.labels[both.labels > 0]):
        under = np.unique(LABELS[both.labels == one])
        assert both.classes[one - 1] == (1 if 2 in under else under.max())
    lost = annotate(jax.random.key(1), LABELS, Recipe(omission=0.5), one_class_each, max_objects=IDS)
    present = np.unique(lost.labels[lost.labels > 0])
    assert len(present) == 10 and (lost.classes[present - 1] == present).all()
    assert np.count_nonzero(lost.classes) == 10


def test_confusion_changes_a_count_of_classes_evenly_and_a_coin_where_asked():
    for seed in range(5):
        found = np.asarray(confusion(jax.random.key(seed), CLASSES, 0.3, 3))
        assert (found != CLASSES).sum() == 6 and set(found) <= {1, 2, 3}
    many = np.ones(3000, int)
    drawn = np.asarray(confusion(jax.random.key(0), many, 0.5, 4))
    assert (drawn != 1).sum() == 1500
    np.testing.assert_allclose(np.bincount(drawn)[2:], 500, atol=60)
    coins = [int((np.asarray(confusion(jax.random.key(s), many, 0.5, 4, independent=True)) != 1).sum()) for s in (0, 1)]
    assert coins[0] != coins[1] and all(1350 < count < 1650 for count in coins)
    with_gap = np.array([1, 0, 2, 0])
    assert (np.asarray(confusion(jax.random.key(0), with_gap, 1, 2)) == [2, 0, 1, 0]).all()
    np.testing.assert_array_equal(confusion(jax.random.key(0), CLASSES, 0, 3), CLASSES)


def test_a_recipe_confuses_classes_and_leaves_the_outlines():
    key = jax.random.key(0)
    plain = annotate(key, LABELS, Recipe(omission=0.2), CLASSES, max_objects=IDS)
    confused = annotate(key, LABELS, Recipe(omission=0.2, confusion=0.5), CLASSES, class_count=3, max_objects=IDS)
    np.testing.assert_array_equal(plain.labels, confused.labels)
    assert (plain.classes != confused.classes).sum() == 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: annotate(jax.random.key(0), LABELS, Recipe(bias=2)), "bias: cannot be drawn with ids"),
        (lambda: annotate(jax.random.key(0), LABELS, Recipe(inclusion=0.2)), "inclusion: cannot be drawn"),
        (lambda: annotate(jax.random.key(0), LABELS, Recipe(confusion=0.2)), "confusion: there are no classes"),
        (
            lambda: annotate(jax.random.key(0), LABELS, Recipe(), np.ones(3, int)),
            "classes: there are 3 for ids",
        ),
        (lambda: annotate(jax.random.key(0), LABELS, Recipe(confusion=0.2), CLASSES), "count: 0 leaves no other class"),
        (lambda: degrade(jax.random.key(0), LABELS, Recipe(confusion=0.2)), "confusion: a mask has no classes"),
        (lambda: confusion(jax.random.key(0), CLASSES, 0.2, 2), "classes: .*3 is above"),
        (lambda: confusion(jax.random.key(0), CLASSES, 1.2, 3), "rate: 1.2"),
        (lambda: quick_recipe(LABELS[None] * 0), "labels: no picture has an object"),
        (lambda: correct(LABELS, LABELS, 1.5), "iou: 1.5 is not"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_quick_annotator_errs_in_proportion_to_the_objects():
    disc = np.hypot(*(np.mgrid[:99, :99] - 49)) < 30
    found = quick_recipe(disc[None].astype(np.int32))
    assert found.jitter == pytest.approx(3, rel=0.02) and found.omission == 0.05


@quick
@given(seed=st.integers(0, 2**31))
def test_points_lie_in_the_inner_half_one_per_object(seed):
    labels = np.random.default_rng(seed).integers(0, 3, (5, 5)).repeat(7, 0).repeat(7, 1).astype(np.int32) * 4
    found = points(jax.random.key(seed), labels)
    assert sorted(found[found > 0]) == sorted(set(labels[labels > 0]))
    for one in found[found > 0]:
        depth = ndimage.distance_transform_edt(np.pad(labels == one, 1))[1:-1, 1:-1]
        assert depth[found == one] >= depth.max() / 2


@quick
@given(seed=st.integers(0, 2**31))
def test_boxes_are_those_of_scikit_image(seed):
    labels = np.random.default_rng(seed).integers(0, 4, (6, 7)).astype(np.int32) * 3
    found = boxes(labels)
    assert {one.label: one.bbox for one in regionprops(labels)} == dict(
        zip(found.ids.tolist(), map(tuple, found.corners.tolist()), strict=True)
    )


def test_painted_boxes_leave_the_smaller_on_top():
    labels = np.zeros((6, 6), np.int32)
    labels[0, :], labels[:, 0], labels[2:4, 2:4] = 1, 1, 2
    painted = boxes(labels).painted(6, 6)
    assert (painted[2:4, 2:4] == 2).all() and (painted == 1).sum() == 32
    assert boxes(labels * 0).painted(6, 6).sum() == 0


def test_an_image_label_names_the_classes_that_are_there():
    assert image_label(LABELS, CLASSES, 4).tolist() == [True, True, True, False]
    assert image_label(LABELS * 0, CLASSES, 2).tolist() == [False, False]


def test_a_correction_keeps_redraws_removes_and_draws():
    truth = np.zeros((20, 20), np.int32)
    truth[0:6, 0:6], truth[0:6, 10:16], truth[10:16, 0:6], truth[10:16, 10:13], truth[10:16, 13:16] = 3, 5, 7, 8, 9
    proposal = np.zeros_like(truth)
    proposal[0:6, 0:6] = 1  # as it is
    proposal[0:6, 11:14] = 2  # half of it: redrawn
    proposal[10:16, 10:16] = 4  # two in one: redrawn as one of them, the other is drawn
    proposal[18:20, 18:20] = 6  # nothing there
    found = correct(proposal, truth)
    np.testing.assert_array_equal(found.labels, truth)
    assert (found.kept, found.redrawn, found.removed, found.looked) == (1, 2, 1, 4)
    assert sorted(np.unique(found.drawn)) == [0, 7, 9]
    lenient = correct(proposal, truth, 0.5)
    assert (lenient.kept, lenient.redrawn) == (3, 0)
    assert (lenient.labels == 5).sum() == 18  # the proposed outline stays


@quick
@given(seed=st.integers(0, 2**31), iou=st.sampled_from([0.0, 0.5, 1.0]))
def test_corrected_labels_show_every_true_object_and_no_other(seed, iou):
    numbers = np.random.default_rng(seed)
    proposal, truth = numbers.integers(0, 4, (2, 4, 5)).repeat(2, 1).repeat(2, 2).astype(np.int32)
    found = correct(proposal, truth, iou)
    assert set(np.unique(found.labels)) <= set(np.unique(truth))
    assert found.looked == len(np.unique(proposal[proposal > 0]))
    assert found.kept + found.redrawn + len(np.unique(found.drawn[found.drawn > 0])) == len(np.unique(truth[truth > 0]))
    if iou == 1:
        np.testing.assert_array_equal(found.labels > 0, truth > 0)
    assert correct(truth, truth, 1.0).redrawn == 0
