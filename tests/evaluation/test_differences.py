import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from segjax.evaluation import interval
from segjax.evaluation.differences import differences, rate
from segjax.types import InputError

quick = settings(derandomize=True, deadline=None, max_examples=40)


def canvas() -> np.ndarray:
    labels = np.zeros((30, 40), np.int32)
    labels[2:8, 2:8], labels[2:8, 12:18], labels[2:8, 18:24], labels[12:20, 2:10] = 1, 2, 3, 6
    labels[12:22, 20:30] = 9
    return labels


FIRST = canvas()


def test_every_kind_of_difference_counted_by_hand():
    second = np.zeros_like(FIRST)
    second[2:8, 12:24] = 4  # 2 and 3 merged
    second[12:20, 2:6], second[12:20, 6:10] = 5, 7  # 6 split
    second[12:22, 22:32] = 8  # 9 moved by two columns: 80 of 120 pixels
    second[25:28, 35:38] = 1  # additional; 1 is missing
    found = differences(FIRST, second, np.array([1, 1, 1, 0, 0, 1, 0, 0, 2]), np.array([1, 0, 0, 1, 1, 0, 1, 1]))
    counts = found._asdict()
    del counts["distances"]
    assert counts == dict(
        objects=5, same=1, touching=1, missing=1, additional=1, outline=1, other_class=1, merged=1, split=1
    )
    assert differences(FIRST, second).other_class is None


def test_half_of_the_smaller_object_links():
    second = np.zeros_like(FIRST)
    second[2:8, 5:11] = 1  # shares 18 of 36 pixels with object 1
    assert differences(FIRST, second).missing == 4
    second[2:8, 5] = 0
    second[2:8, 11] = 1  # 12 of 36
    found = differences(FIRST, second)
    assert (found.missing, found.additional) == (5, 1)


def test_equal_annotations_and_empty_ones():
    found = differences(FIRST, FIRST * 7)
    assert (found.same, found.missing, found.additional, found.outline, found.merged, found.split) == (5, 0, 0, 0, 0, 0)
    assert (found.distances == 0).all() and found.distances.size > 100
    empty = FIRST * 0
    assert differences(empty, FIRST).additional == differences(FIRST, empty).missing == 5
    assert differences(empty, empty).objects == 0


def test_distances_of_a_square_that_grew_or_shrank():
    square, grown, shrunk = (np.zeros((40, 40), np.int32) for _ in range(3))
    square[10:30, 10:30], grown[8:32, 8:32], shrunk[13:27, 13:27] = 1, 1, 1
    assert np.median(differences(square, grown).distances) == 2
    assert np.median(differences(square, shrunk).distances) == -3


def test_the_border_of_the_picture_is_no_outline():
    half, less = np.zeros((10, 12), np.int32), np.zeros((10, 12), np.int32)
    half[:, :6], less[:, :4] = 1, 1
    np.testing.assert_array_equal(differences(half, less).distances, np.full(10, -2.0))
    assert differences(np.ones((4, 4), np.int32), np.ones((4, 4), np.int32)).distances.size == 0


@quick
@given(seed=st.integers(0, 2**31))
def test_counts_equal_a_brute_force_search_over_linked_groups(seed):
    first, second = np.random.default_rng(seed).integers(0, 5, (2, 3, 4)).repeat(2, 1).repeat(2, 2)
    a, b = (set(np.unique(labels)) - {0} for labels in (first, second))
    links = {
        (i, j)
        for i in a
        for j in b
        if 2 * ((first == i) & (second == j)).sum() >= min((first == i).sum(), (second == j).sum())
    }
    missing = additional = merged = split = same = 0
    left = {("a", i) for i in a} | {("b", j) for j in b}
    while left:
        group, edge = set(), {left.pop()}
        while edge:
            group |= edge
            edge = {
                other
                for i, j in links
                for one, other in ((("a", i), ("b", j)), (("b", j), ("a", i)))
                if one in group and other not in group
            }
        left -= group
        n, m = (sum(side == kind for side, _ in group) for kind in "ab")
        missing, additional = missing + n * (m == 0), additional + m * (n == 0)
        merged, split, same = merged + (m > 0) * max(n - 1, 0), split + (n > 0 and m > 1), same + (n == m == 1)
    found = differences(first, second)
    expected = (missing, additional, merged, split, same)
    assert (found.missing, found.additional, found.merged, found.split, found.same) == expected


def test_a_rate_is_the_ratio_of_sums_with_the_wider_interval():
    events, chances = [3, 0, 2, 8, 1, 0], [30, 20, 10, 40, 25, 0]
    found = rate(events, chances)
    assert found.mean == pytest.approx(14 / 125) and found.n == 5
    values = [14 / 125 + (e - 14 / 125 * c) / 25 for e, c in zip(events[:5], chances[:5], strict=True)]
    over_pictures, wilson = interval(values), binomtest(14, 125).proportion_ci(method="wilson")
    assert found.low == pytest.approx(max(0, min(over_pictures.low, wilson.low)))
    assert found.high == pytest.approx(max(over_pictures.high, wilson.high))
    nothing = rate([0] * 6, [20] * 6)
    assert nothing[:2] == (0, 0) and nothing.high == pytest.approx(
        binomtest(0, 120).proportion_ci(method="wilson").high
    )
    assert rate([3], [20]).high == pytest.approx(binomtest(3, 20).proportion_ci(method="wilson").high)
    assert np.isnan(rate([0], [0]).mean) and rate([0], [0]).n == 0
    assert rate([30, 20], [10, 10]).mean == 2.5


@pytest.mark.slow
def test_the_interval_covers_the_true_rate_as_often_as_it_says():
    draws = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        chances = draws.integers(5, 60, 12)
        low, high = rate(draws.binomial(chances, 0.08).tolist(), chances.tolist())[1:3]
        covered.append(low <= 0.08 <= high)
    assert np.mean(covered) > 0.93


def test_classes_of_one_annotation_alone_are_refused():
    with pytest.raises(InputError, match="classes: only one of the annotations has any"):
        differences(FIRST, FIRST, np.ones(9, np.int64))
