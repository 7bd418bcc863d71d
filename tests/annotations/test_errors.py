import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segjax.annotations import bias, inclusion, omission
from segjax.annotations.errors import bias_per_object
from segjax.types import InputError

quick = settings(derandomize=True, deadline=None, max_examples=20)
SQUARE = np.ones((3, 3), bool)


def grid_of_squares(count: int, side: int = 4, pitch: int = 8) -> np.ndarray:
    """`count` equal squares in two slices, six in a row."""
    labels = np.zeros((2, 48, 48), np.int32)
    for index in range(count):
        row, column = pitch * (index // 6) + 2, pitch * (index % 6) + 2
        labels[:, row : row + side, column : column + side] = index + 1
    return labels


def ids_of(labels) -> set[int]:
    return set(np.unique(labels).tolist()) - {0}


def dice(one, other) -> float:
    one, other = np.asarray(one) > 0, np.asarray(other) > 0
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def spread(mask: np.ndarray, q: int, grows: bool) -> np.ndarray:
    if grows:
        return ndimage.binary_dilation(mask, SQUARE, iterations=q)
    return ndimage.binary_erosion(mask, SQUARE, iterations=q, border_value=1)


LABELS, EXTRA = grid_of_squares(20), np.roll(grid_of_squares(15, side=6), (3, 3), axis=(1, 2))


@pytest.mark.parametrize("k", range(11))
def test_omission_of_k_of_10_costs_what_the_formula_says(k):
    labels = grid_of_squares(10)
    left = omission(jax.random.key(k), labels, k / 10)
    assert len(ids_of(left)) == 10 - k
    r = k / 10
    assert dice(left, labels) == pytest.approx(2 * (1 - r) / (2 - r))


@quick
@given(seed=st.integers(0, 10_000), rate=st.floats(0, 1, width=32))
def test_omission_keeps_or_drops_whole_objects(seed, rate):
    left = np.asarray(omission(jax.random.key(seed), LABELS, rate))
    for label in ids_of(LABELS):
        kept = left[label == LABELS]
        assert (kept == label).all() or (kept == 0).all()
    assert ids_of(left) <= ids_of(LABELS)
    assert not left[LABELS == 0].any()


@quick
@given(seed=st.integers(0, 10_000), rate=st.floats(0, 1, width=32))
def test_inclusion_adds_whole_objects_on_background_only(seed, rate):
    result = np.asarray(inclusion(jax.random.key(seed), LABELS, EXTRA, rate))
    np.testing.assert_array_equal(result[LABELS > 0], LABELS[LABELS > 0])
    for label in ids_of(EXTRA):
        added = result[(label == EXTRA) & (LABELS == 0)]
        assert (added == label + 20).all() or (added == 0).all()
    assert not result[(LABELS == 0) & (EXTRA == 0)].any()


@pytest.mark.parametrize(("rate", "count"), [(0.0, 0), (0.1, 1), (0.3, 4), (0.7, 10), (1.0, 15)])
def test_inclusion_adds_the_truncated_number(rate, count):
    result = inclusion(jax.random.key(1), LABELS, EXTRA, rate)
    assert len(ids_of(result)) == 20 + count


def test_inclusion_costs_what_the_formula_says():
    labels, extra = grid_of_squares(12), np.roll(grid_of_squares(12), 24, axis=1)
    result = inclusion(jax.random.key(2), labels, extra, 0.5)
    assert dice(result, labels) == pytest.approx(2 / (2 + 0.5))


def test_bias_is_one_of_the_dilations_and_erosions_and_each_occurs():
    mask = np.pad(np.ones((1, 20, 20), bool), ((0, 0), (14, 14), (0, 28)))
    keys = jax.random.split(jax.random.key(0), 300)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: bias(key, mask, 3)))(keys))
    seen = []
    for q in (1, 2, 3):
        for grows in (True, False):
            expected = spread(mask[0], q, grows)[None]
            seen.append((drawn == expected).all(axis=(1, 2, 3)).sum())
    assert sum(seen) == 300
    # Six equally likely outcomes: 50 each, standard deviation 6.5.
    assert min(seen) > 20 and max(seen) < 85


def test_bias_shares_sign_and_strength_between_slices():
    mask = LABELS > 0
    for seed in range(4):
        drawn = np.asarray(bias(jax.random.key(seed), mask, 4))
        np.testing.assert_array_equal(drawn[0], drawn[1])


@quick
@given(seed=st.integers(0, 10_000), q_max=st.integers(0, 6))
def test_bias_grows_or_shrinks_but_not_both(seed, q_max):
    mask = LABELS > 0
    drawn = np.asarray(bias(jax.random.key(seed), mask, q_max))
    assert (drawn >= mask).all() or (drawn <= mask).all()
    assert (drawn == mask).all() == (q_max == 0)


def test_bias_per_object_has_its_own_sign_and_strength():
    labels = np.zeros((48, 48), np.int32)
    labels[10:30, 4:24], labels[10:30, 24:44] = 1, 2
    options = [(q, grows) for q in (1, 2) for grows in (True, False)]
    combined = {(a, b): spread(labels == 1, *a) | spread(labels == 2, *b) for a in options for b in options}
    seen = set()
    for seed in range(60):
        drawn = np.asarray(bias_per_object(jax.random.key(seed), jnp.asarray(labels), 2, max_objects=31))
        matches = [pair for pair, mask in combined.items() if (mask == drawn).all()]
        assert matches
        seen.update(matches)
    assert len(seen) > 12


def test_strength_zero_is_identity():
    key = jax.random.key(0)
    np.testing.assert_array_equal(omission(key, LABELS, 0), LABELS)
    np.testing.assert_array_equal(inclusion(key, LABELS, EXTRA, 0), LABELS)
    np.testing.assert_array_equal(bias(key, LABELS > 0, 0), LABELS > 0)


def test_vmap_over_keys_and_strengths_equals_loop_and_jit_equals_eager():
    keys = jax.random.split(jax.random.key(5), 4)
    rates, q_max = jnp.array([0.0, 0.3, 0.7, 1.0]), jnp.array([0, 1, 3, 6])
    dropped = jax.jit(jax.vmap(lambda key, rate: omission(key, LABELS, rate)))(keys, rates)
    added = jax.jit(jax.vmap(lambda key, rate: inclusion(key, LABELS, EXTRA, rate)))(keys, rates)
    biased = jax.jit(jax.vmap(lambda key, q: bias(key, LABELS > 0, q)))(keys, q_max)
    for index, key in enumerate(keys):
        np.testing.assert_array_equal(dropped[index], omission(key, LABELS, float(rates[index])))
        np.testing.assert_array_equal(added[index], inclusion(key, LABELS, EXTRA, float(rates[index])))
        np.testing.assert_array_equal(biased[index], bias(key, LABELS > 0, int(q_max[index])))


def test_ids_above_max_objects_are_refused_eagerly_and_kept_under_jit():
    labels = np.where(LABELS == 20, 2000, LABELS)
    with pytest.raises(InputError, match=r"2000.*max_objects=1023.*max_objects=2000"):
        omission(jax.random.key(0), labels, 0.5)
    left = jax.jit(lambda labels: omission(jax.random.key(0), labels, 1.0))(labels)
    assert ids_of(left) == {2000}
    assert len(ids_of(omission(jax.random.key(0), labels, 0.5, max_objects=2000))) == 10


def test_wrong_strengths_and_labels_are_refused():
    key = jax.random.key(0)
    with pytest.raises(InputError, match=r"rate: 1.4 is not a rate between 0 and 1"):
        omission(key, LABELS, 1.4)
    with pytest.raises(InputError, match="rate"):
        inclusion(key, LABELS, EXTRA, float("nan"))
    with pytest.raises(InputError, match="q_max: -1"):
        bias(key, LABELS > 0, -1)
    with pytest.raises(InputError, match=r"extra: label id 15 is above max_objects=14"):
        inclusion(key, LABELS, EXTRA, 0.5, max_objects=14)
    with pytest.raises(InputError, match="negative"):
        omission(key, -LABELS, 0.5)
