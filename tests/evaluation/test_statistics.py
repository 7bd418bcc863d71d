from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from segjax.evaluation import mean_interval, paired_difference, rank_sum

few = settings(derandomize=True, deadline=None, max_examples=40)
scores = st.floats(0, 1, allow_nan=False, width=32)


def signed_rank_by_hand(differences):
    """Share of all sign patterns whose rank sum is at least as far from the middle as the one seen."""
    ranks = stats.rankdata(np.abs(differences))
    middle = ranks.sum() / 2
    seen = abs(ranks[np.array(differences) > 0].sum() - middle)
    patterns = [abs(ranks @ np.array(signs) - middle) for signs in product([0, 1], repeat=len(ranks))]
    return np.mean([value >= seen - 1e-9 for value in patterns])


def rank_sum_by_hand(a, b):
    ranks = stats.rankdata([*a, *b])
    middle = len(a) * (len(ranks) + 1) / 2
    seen = abs(ranks[: len(a)].sum() - middle)
    return np.mean([abs(sum(group) - middle) >= seen - 1e-9 for group in combinations(ranks, len(a))])


def test_hand_computed_interval():
    # Mean 3, s = sqrt(2.5), t(0.975, 4) = 2.776 from the printed table.
    interval = mean_interval([1, 2, 3, 4, 5])
    half = 2.776 * np.sqrt(2.5 / 5)
    assert interval[:3] == pytest.approx((3, 3 - half, 3 + half), abs=1e-3)
    assert interval.n == 5


@few
@given(st.lists(scores, min_size=2, max_size=12, unique=True))
def test_interval_is_scipys(values):
    interval = mean_interval(values)
    reference = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert interval == pytest.approx((np.mean(values), reference.low, reference.high, len(values)), abs=1e-9)


def test_interval_covers_the_mean_with_three_seeds():
    draws = np.random.default_rng(0).normal(0.9, 0.02, (2000, 3))
    covered = [interval.low <= 0.9 <= interval.high for interval in map(mean_interval, draws)]
    assert 0.93 < np.mean(covered) < 0.97


def test_missing_values_are_left_out_and_counted():
    assert mean_interval([0.5, np.nan, 0.7, np.nan, 0.9]) == mean_interval([0.5, 0.7, 0.9])
    assert mean_interval([0.5, np.nan, 0.7, np.nan, 0.9]).n == 3


def test_interval_of_one_none_and_equal_values():
    np.testing.assert_equal(mean_interval([0.25]), (0.25, np.nan, np.nan, 1))
    np.testing.assert_equal(mean_interval([]), (np.nan, np.nan, np.nan, 0))
    np.testing.assert_equal(mean_interval([np.nan]), (np.nan, np.nan, np.nan, 0))
    assert mean_interval([0.25] * 4) == (0.25, 0.25, 0.25, 4)


def test_paired_difference_of_five_seeds():
    a, b = [0.91, 0.93, 0.92, 0.95, 0.90], [0.81, 0.80, 0.85, 0.83, 0.86]
    difference = paired_difference(a, b)
    assert difference[:4] == pytest.approx(mean_interval(np.subtract(a, b)))
    assert difference.p == 2 / 2**5
    assert paired_difference(b, a).p == difference.p
    assert paired_difference(b, a).mean == -difference.mean


@pytest.mark.parametrize(
    "differences",
    [
        [3.0, -1.0, 4.0, 1.5, -5.0, 9.0, 2.0, 6.0],
        [1.0, 1.0, -1.0, 2.0, 2.0, 3.0],  # ties
        [-2.0],
    ],
)
def test_signed_rank_is_exact_for_few_pairs(differences):
    p = paired_difference(differences, np.zeros(len(differences))).p
    assert p == pytest.approx(signed_rank_by_hand(differences))


def test_pairs_without_a_difference():
    assert paired_difference([0.5, 0.6], [0.5, 0.6]) == (0.0, 0.0, 0.0, 2, 1.0)
    partly = paired_difference([1.0, 2.0, 3.0, 7.0], [0.0, 0.0, 0.0, 7.0])
    assert partly.n == 4
    assert partly.p == pytest.approx(signed_rank_by_hand([1.0, 2.0, 3.0]))


def test_many_tied_pairs_take_the_normal_approximation():
    difference = np.repeat([1.0, 2.0, -1.0], 20)
    expected = stats.wilcoxon(difference, method="asymptotic").pvalue
    assert paired_difference(difference, np.zeros(60)).p == pytest.approx(expected)


def test_missing_pairs_are_left_out():
    complete = paired_difference([1.0, 2.0, 4.0], [0.5, 0.25, 0.125])
    assert paired_difference([1.0, np.nan, 2.0, 7.0, 4.0], [0.5, 1.0, 0.25, np.nan, 0.125]) == complete
    np.testing.assert_equal(paired_difference([np.nan], [1.0]), (np.nan, np.nan, np.nan, 0, np.nan))


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="as many values"):
        paired_difference([1.0, 2.0], [1.0])


def test_rank_sum_is_exact_for_few_values():
    a, b = [0.91, 0.93, 0.92, 0.95, 0.70], [0.81, 0.80, 0.85, 0.94, 0.86, 0.60]
    assert rank_sum(a, b) == pytest.approx(rank_sum_by_hand(a, b))
    assert rank_sum(b, a) == pytest.approx(rank_sum(a, b))
    ten = np.arange(10.0)
    assert rank_sum(ten, ten + 100) == pytest.approx(2 / 184_756)  # 20 choose 10


def test_rank_sum_with_ties_missing_and_equal_values():
    a, b = [1.0, 2.0, 2.0, 3.0, np.nan], [2.0, 4.0, 5.0, 6.0]
    assert rank_sum(a, b) == pytest.approx(stats.ranksums(a[:4], b).pvalue, abs=0.06)
    assert rank_sum([0.5, 0.5], [0.5, 0.5, 0.5]) == 1.0
    assert np.isnan(rank_sum([], [1.0])) and np.isnan(rank_sum([1.0], [np.nan]))
