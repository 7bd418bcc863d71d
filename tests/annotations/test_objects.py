import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.annotations import merging, splitting
from segjax.types import InputError

IDS = 31


def row_of_touching(count: int) -> np.ndarray:
    """`count` squares side by side in two slices: count - 1 touching pairs; one more square stands alone."""
    labels = np.zeros((2, 41, 48), np.int32)
    for index in range(count):
        labels[:, 2:8, 6 * index : 6 * index + 6] = index + 1
    labels[:, 12:18, 20:26] = count + 1
    return labels


LABELS = row_of_touching(7)


def parts(labels) -> list[set[int]]:
    """For every object of the result, the original ids that it covers."""
    return [set(np.unique(LABELS[labels == one]).tolist()) for one in np.unique(labels) if one]


@pytest.mark.parametrize(("rate", "merged"), [(0.0, 0), (0.34, 2), (0.5, 3), (1.0, 6)])
def test_merging_joins_the_truncated_number_of_touching_pairs(rate, merged):
    result = np.asarray(merging(jax.random.key(3), LABELS, rate, max_objects=IDS))
    np.testing.assert_array_equal(result > 0, LABELS > 0)
    # In a chain, every merged pair leaves one object less, and what is merged is consecutive.
    assert len(np.unique(result)) - 1 == 8 - merged
    for covered in parts(result):
        assert max(covered) - min(covered) == len(covered) - 1
    assert {8} in parts(result)
    if rate == 0:
        np.testing.assert_array_equal(result, LABELS)


def test_corners_do_not_touch():
    labels = np.zeros_like(LABELS)
    labels[:, :4, :4], labels[:, 4:, 4:] = 1, 2
    np.testing.assert_array_equal(merging(jax.random.key(0), labels, 1.0, max_objects=IDS), labels)


@pytest.mark.parametrize(("rate", "cut"), [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_splitting_halves_the_truncated_number_of_objects(rate, cut):
    result = np.asarray(splitting(jax.random.key(4), LABELS, rate, max_objects=IDS))
    assert len(np.unique(result)) - 1 == 8 + cut
    for label in range(1, 9):
        inside = result[label == LABELS]
        assert set(np.unique(inside)) <= {label, label + 8}
        if (inside == label + 8).any():
            assert 0.3 < (inside == label).mean() < 0.7
    np.testing.assert_array_equal(result[0], result[1])
    if rate == 0:
        np.testing.assert_array_equal(result, LABELS)


def test_the_cut_is_a_straight_line_through_the_centroid():
    rows, columns = np.mgrid[:41, :48]
    disc = np.stack(2 * [np.hypot(rows - 20, columns - 20) < 15]).astype(np.int32)
    for seed in range(3):
        result = np.asarray(splitting(jax.random.key(seed), disc, 1.0, max_objects=IDS))[0]
        first, second = ([(axis[result == one] - 20).mean() for axis in (rows, columns)] for one in (1, 2))
        # The halves of a disc of radius 15 have their centroids 4 r / (3 pi) = 6.4 to either side.
        np.testing.assert_allclose(np.hypot(*first), 6.4, atol=0.7)
        np.testing.assert_allclose(first, -np.array(second), atol=0.7)
        normal = np.array(second) / np.hypot(*second)
        side = normal[0] * (rows - 20) + normal[1] * (columns - 20)
        assert side[result == 1].max() < 1.5 and side[result == 2].min() > -1.5


@pytest.mark.parametrize("error", [merging, splitting])
def test_vmap_over_keys_and_strengths_equals_loop(error):
    keys, rates = jax.random.split(jax.random.key(1), 3), jnp.array([0.0, 0.4, 1.0])
    mapped = jax.jit(jax.vmap(lambda key, rate: error(key, LABELS, rate, max_objects=IDS)))(keys, rates)
    for key, rate, result in zip(keys, rates.tolist(), mapped, strict=True):
        np.testing.assert_array_equal(result, error(key, LABELS, rate, max_objects=IDS))


@pytest.mark.parametrize("error", [merging, splitting])
def test_wrong_input_is_refused(error):
    with pytest.raises(InputError, match=r"rate: 1\.4"):
        error(jax.random.key(0), LABELS, 1.4, max_objects=IDS)
    with pytest.raises(InputError, match="label id 8 is above max_objects=7"):
        error(jax.random.key(0), LABELS, 0.5, max_objects=7)
