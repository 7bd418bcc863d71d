import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import distance

from segjax.evaluation import counts, dice, iou
from segjax.evaluation.overlap import OverlapCounts

masks = arrays(bool, (4, 5))
few = settings(derandomize=True, deadline=None, max_examples=50)


def as_ints(sums):
    return int(sums.tp), int(sums.fp), int(sums.fn)


def random_batch(pictures=6):
    rng = np.random.default_rng(0)
    return rng.random((pictures, 7, 5)) < 0.4, rng.integers(-1, 3, (pictures, 7, 5)).astype(np.int32)


def test_hand_computed_counts_with_ignored_pixels_and_another_class():
    prediction = np.array([[True, True, True, True], [False, False, False, True]])
    target = np.array([[1, 0, -1, 2], [1, 0, -1, 1]], np.int32)
    sums = counts(prediction, target)
    assert as_ints(sums) == (2, 2, 1)
    assert float(dice(sums)) == pytest.approx(4 / 7)
    assert float(iou(sums)) == pytest.approx(2 / 5)


def test_ignored_pixels_change_nothing():
    prediction, target = random_batch(1)
    flipped = np.where(target == -1, ~prediction, prediction)
    assert as_ints(counts(prediction[0], target[0])) == as_ints(counts(flipped[0], target[0]))


@pytest.mark.parametrize(
    ("prediction", "target", "expected"),
    [
        ([[False, False]], [[0, 0]], np.nan),  # both empty
        ([[False, False]], [[2, 0]], np.nan),  # only another class is present
        ([[True, False]], [[-1, 0]], np.nan),  # everything predicted is ignored
        ([[True, False]], [[0, 0]], 0.0),  # empty truth
        ([[False, False]], [[1, 0]], 0.0),  # empty prediction
        ([[True, False]], [[1, 0]], 1.0),
    ],
)
def test_empty_rule(prediction, target, expected):
    sums = counts(np.array(prediction), np.array(target, np.int32))
    np.testing.assert_equal([float(dice(sums)), float(iou(sums))], [expected, expected])


def test_numpy_device_jit_vmap_and_loop_agree():
    prediction, target = random_batch()
    loop = [as_ints(counts(p, t)) for p, t in zip(prediction, target, strict=True)]
    on_device = (jnp.asarray(prediction), jnp.asarray(target))
    for sums in (
        counts(prediction, target),
        counts(*on_device),
        jax.jit(counts)(*on_device),
        jax.jit(jax.vmap(counts))(*on_device),
    ):
        assert {part.dtype for part in (sums.tp, sums.fp, sums.fn)} == {np.dtype(np.int32)}
        assert list(zip(*(np.asarray(part).tolist() for part in (sums.tp, sums.fp, sums.fn)), strict=True)) == loop


def test_counts_are_a_pytree_that_transformations_may_fill_with_shapes():
    prediction, target = random_batch()
    shapes = jax.eval_shape(counts, prediction, target)
    assert [leaf.shape for leaf in jax.tree.leaves(shapes)] == [(6,)] * 3


def test_merging_pictures_equals_counting_one_large_picture():
    prediction, target = random_batch()
    whole = counts(prediction.reshape(-1, 5), target.reshape(-1, 5))
    halves = counts(prediction[:2], target[:2]).pooled() + counts(prediction[2:], target[2:]).pooled()
    assert halves == counts(prediction, target).pooled() == OverlapCounts(*as_ints(whole))


def test_pooling_neither_overflows_nor_rounds():
    large = np.full(5, 2**31 - 1, np.int32)
    sums = OverlapCounts(large, large, jnp.asarray(large)).pooled()
    assert as_ints(sums) == (5 * (2**31 - 1),) * 3
    merged = sums + OverlapCounts(2**60, 1, 0)
    assert merged.tp == 2**60 + 5 * (2**31 - 1)


def test_ratio_of_int32_counts_does_not_wrap():
    large = np.full(2, 2**31 - 1, np.int32)
    np.testing.assert_allclose(dice(OverlapCounts(large, large, large)), [0.5, 0.5])
    np.testing.assert_allclose(iou(OverlapCounts(large, large, large)), [1 / 3, 1 / 3])


@few
@given(masks, masks)
def test_against_scipy_and_properties(prediction, truth):
    sums = counts(prediction, truth)
    score, jaccard = float(dice(sums)), float(iou(sums))
    if not (prediction | truth).any():
        assert np.isnan(score) and np.isnan(jaccard)
        return
    assert score == pytest.approx(1 - distance.dice(prediction.ravel(), truth.ravel()))
    assert jaccard == pytest.approx(1 - distance.jaccard(prediction.ravel(), truth.ravel()))
    assert jaccard <= score
    swapped = counts(truth, prediction)
    assert (float(dice(swapped)), float(iou(swapped))) == (score, jaccard)


@few
@given(st.integers(1, 20), st.integers(0, 19))
def test_dice_of_omitting_k_of_n_equal_objects(n, k):
    truth = np.ones((n, 3), bool)
    prediction = np.arange(n)[:, None].repeat(3, axis=1) >= min(k, n)
    rate = min(k, n) / n
    assert float(dice(counts(prediction, truth))) == pytest.approx(2 * (1 - rate) / (2 - rate))
