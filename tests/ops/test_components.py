import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segjax.ops.components import components, largest_component

ROOT = Path(__file__).parents[2]
quick = settings(derandomize=True, deadline=None, max_examples=150)
DTYPES = (bool, np.uint8, np.uint16, np.int32, np.uint32, np.int64)


def in_row_major_order(pieces):
    """The same pieces, numbered by their first pixels."""
    ids, first = np.unique(pieces, return_index=True)
    ordered = ids[np.argsort(first)]
    numbers = np.zeros(ids.max(initial=0) + 1, int)
    numbers[ordered[ordered > 0]] = np.arange(1, (ordered > 0).sum() + 1)
    return numbers[pieces]


def by_scipy(labels):
    """Pieces of equal value, one value after the other."""
    found, total = np.zeros(labels.shape, int), 0
    for value in np.unique(labels[labels != 0]):
        pieces, count = ndimage.label(labels == value, np.ones((3,) * labels.ndim))
        found[pieces > 0] = pieces[pieces > 0] + total
        total += count
    return in_row_major_order(found)


def layouts(array):
    """The same numbers in row-major and column-major order, as every second pixel of a larger array, and read-only."""
    large = np.repeat(array, 2, -1)
    fixed = array.copy()
    fixed.flags.writeable = False
    return array, np.asfortranarray(array), large[..., ::2], fixed


def check(labels):
    expected = by_scipy(labels)
    for layout in layouts(labels):
        found = components(layout)
        assert found.dtype == np.int32
        if labels.ndim == 3 and labels.dtype != bool:  # whose order is not promised
            found = in_row_major_order(found)
        np.testing.assert_array_equal(found, expected)


def test_the_last_row_of_an_odd_width_invents_nothing():
    assert components(np.array([[0, 0, 0, 1]], bool)).tolist() == [[0, 0, 0, 1]]
    assert components(np.array([[0, 1, 0]], bool).T).tolist() == [[0], [1], [0]]


@pytest.mark.parametrize("height", range(1, 71))
def test_components_of_masks_of_all_sizes_are_those_of_scipy(height):
    generator = np.random.default_rng(height)
    for width in range(1, 71):
        mask = generator.random((height, width)) < generator.choice([0.05, 0.3, 0.5, 0.7, 0.95])
        expected, _ = ndimage.label(mask, np.ones((3, 3)))
        np.testing.assert_array_equal(components(mask), expected)


@quick
@given(
    shape=st.one_of(st.tuples(*[st.integers(1, 70)] * 2), st.tuples(*[st.integers(1, 12)] * 3)),
    dtype=st.sampled_from(DTYPES),
    values=st.integers(1, 6),
    filled=st.sampled_from([0.1, 0.4, 0.8, 1.0]),
    enlarged=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_components_of_any_dtype_and_layout_are_those_of_scipy(shape, dtype, values, filled, enlarged, seed):
    generator = np.random.default_rng(seed)
    drawn = generator.integers(1, values + 1, shape) * (generator.random(shape) < filled)
    for axis in range(len(shape)):
        drawn = np.repeat(drawn, enlarged, axis)
    check(drawn[tuple(map(slice, shape))].astype(dtype))


def test_there_may_be_more_components_than_16_bits_hold():
    mask = np.zeros((520, 520), bool)
    mask[::2, ::2] = True
    assert components(mask).max() == 260 * 260


def test_touching_objects_of_different_value_and_of_negative_value_are_apart():
    labels = np.array([[1, 2, 2], [0, 1, -3], [5, 0, -3]], np.int32)
    assert components(labels).tolist() == [[1, 2, 2], [0, 1, 3], [4, 0, 3]]


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (1, 14, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pictures_that_are_empty_or_one_pixel_wide_have_components(shape, dtype):
    labels = np.ones(shape, dtype)
    assert components(labels).tolist() == np.ones(shape, int).tolist()


@quick
@given(
    shape=st.one_of(st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.integers(1, 12)] * 3)),
    filled=st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_largest_component_is_the_first_of_the_largest_of_scipy(shape, filled, seed):
    mask = np.random.default_rng(seed).random(shape) < filled
    pieces, count = ndimage.label(mask, np.ones((3,) * len(shape)))
    areas = [int((pieces == number).sum()) for number in range(1, count + 1)]
    expected = pieces == areas.index(max(areas)) + 1 if areas else np.zeros(shape, bool)
    for layout in layouts(mask):
        np.testing.assert_array_equal(largest_component(layout), expected)


def test_labelling_is_called_in_one_place():
    calls = re.compile(
        r"\bcc3d\b|ndimage\.label\b|ndimage import .*\blabel\b|measure import .*\blabel\b|measure\.label\b"
    )
    sources = [path for folder in ("segjax", "experiments", "launch") for path in (ROOT / folder).rglob("*.py")]
    assert {str(path.relative_to(ROOT)) for path in sources if calls.search(path.read_text())} == {
        "segjax/ops/components.py"
    }
