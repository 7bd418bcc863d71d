import doctest
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from segjax.evaluation import decide, decision, interval
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT, holm
from segjax.types import InputError

few = settings(derandomize=True, deadline=None, max_examples=40)
values = st.integers(-100, 100).map(lambda hundredths: hundredths / 100)
overlaps = st.floats(0, 2)
rivals = st.builds(  # a shift, so that all verdicts occur
    lambda some, shift: [value + shift for value in some],
    st.lists(values, min_size=3, max_size=12),
    st.sampled_from([-0.75, 0.0, 0.75]),
)
families = st.lists(rivals, min_size=1, max_size=6)
NAN = float("nan")


def around(mean):
    """Five differences with this mean and variance 2.5, so that the variance of the mean is 2.5 (1/5 + overlap)."""
    return [mean - 2, mean - 1, mean, mean + 1, mean + 2]


def verdicts(family, overlap=0.0):
    return [found.verdict for found in decide(family, overlap=overlap)]


def decided(family, overlap=0.0):
    return np.isin(verdicts(family, overlap), ["ahead", "behind"])


def test_five_replicates_by_hand():
    # Standard error sqrt(2.5 / 5), t(0.975, 4) = 2.776 from the printed table.
    half = 2.776 * sqrt(0.5)
    found = interval(around(3))
    assert found == pytest.approx((3, 3 - half, 3 + half, 5), abs=1e-3)
    assert decide([around(3)])[0][:4] == found


def test_overlap_widens_interval_and_p_by_hand():
    # Variance of the mean 2.5 (1/5 + 1/4) = 9/8, t = 3 / sqrt(9/8) = sqrt(8). With 4 degrees of freedom
    # p = 1 - 3/4 u (1 - u^2 / 12), u = t / sqrt(1 + t^2 / 4): 1 - 7 sqrt(6) / 18 = 0.0474.
    (found,) = decide([around(3)], overlap=0.25)
    half = 2.776 * sqrt(9 / 8)
    assert found[:4] == pytest.approx((3, 3 - half, 3 + half, 5), abs=1e-3)
    assert found.p == pytest.approx(1 - 7 * sqrt(6) / 18) and found.verdict == "ahead"
    assert found[:4] == interval(around(3), overlap=0.25)


def test_too_much_overlap_by_hand():
    # Variance of the mean 2.5 (1/5 + 1) = 3, t^2 = 3, u^2 = 12/7: p = 1 - 9 sqrt(3/7) / 7 = 0.158.
    (found,) = decide([around(3)], overlap=1.0)
    assert found.p == pytest.approx(1 - 9 * sqrt(3 / 7) / 7) and found.verdict == "not decided"
    assert found.low < 0 < found.high


def test_family_by_hand():
    # t = mean / sqrt(1/2): uncorrected p 0.00481, 0.01324, 0.04742; Holm: times 3, times 2, times 1.
    found = decide([around(2), around(-4), around(3)])
    assert [one.p for one in found] == pytest.approx([0.04742, 3 * 0.004811, 2 * 0.01324], abs=2e-5)
    assert [one.verdict for one in found] == ["ahead", "behind", "ahead"]
    assert [one[:4] for one in found] == [interval(around(mean)) for mean in (2, -4, 3)]


def test_a_second_undecided_rival_undoes_a_verdict_but_not_the_interval():
    # t = 1 / sqrt(1/2): p 0.2302; the smaller p, 0.04742, is doubled.
    first, second = decide([around(2), around(1)])
    assert (first.p, second.p) == pytest.approx((2 * 0.04742, 0.2302), abs=2e-5)
    assert (first.verdict, second.verdict) == ("not decided", "not decided")
    assert first.low > 0


def test_below_five_replicates_there_is_the_mean_only():
    np.testing.assert_equal(tuple(decide([[0.5, 0.25, 0.25, 1.0]])[0]), (0.5, NAN, NAN, 4, NAN, "too few"))
    np.testing.assert_equal(tuple(interval([0.5, 0.25, 0.25, 1.0])), (0.5, NAN, NAN, 4))
    np.testing.assert_equal(tuple(decide([[NAN, NAN]])[0]), (NAN, NAN, NAN, 0, NAN, "too few"))
    np.testing.assert_equal(tuple(interval([])), (NAN, NAN, NAN, 0))
    assert REPLICATES_FOR_VERDICT == 5


def test_rivals_with_too_few_replicates_do_not_count_in_the_family():
    alone = decide([around(2)])
    assert decide([[9.0, 9.0, 9.0, 9.0], around(2), []])[1:2] == alone
    assert verdicts([[9.0, 9.0, 9.0, 9.0], around(2), []]) == ["too few", "ahead", "too few"]
    assert decide([]) == []


def test_missing_values_are_left_out_and_counted():
    assert decide([[NAN, *around(2), NAN]]) == decide([around(2)])
    assert decide([[*around(2)[:4], NAN]])[0][3:] == pytest.approx((4, NAN, "too few"), nan_ok=True)


def test_equal_differences():
    found = decide([[0.25] * 5, [-0.25] * 5, [0.0] * 5], overlap=0.5)
    assert found == [
        (0.25, 0.25, 0.25, 5, 0.0, "ahead"),
        (-0.25, -0.25, -0.25, 5, 0.0, "behind"),
        (0.0, 0.0, 0.0, 5, 1.0, "not decided"),
    ]


@pytest.mark.parametrize("given_values", [[1.0, np.inf], [[1.0, 2.0], [3.0, 4.0]], np.float64(1)])
def test_values_that_are_not_one_per_replicate_are_refused(given_values):
    with pytest.raises(InputError, match="one finite number or NaN per replicate"):
        decide([given_values])


@pytest.mark.parametrize("overlap", [-0.1, NAN, np.inf])
def test_impossible_overlap_is_refused(overlap):
    for call in (lambda: decide([around(1)], overlap=overlap), lambda: interval(around(1), overlap=overlap)):
        with pytest.raises(InputError, match="overlap"):
            call()


@few
@given(st.lists(values, min_size=5, max_size=30).filter(lambda some: len(set(some)) > 1))
def test_one_rival_without_overlap_is_scipys_t_test(differences):
    (found,) = decide([differences])
    reference = stats.ttest_1samp(differences, 0.0)
    bounds = reference.confidence_interval(0.95)
    expected = (np.mean(differences), bounds.low, bounds.high, len(differences), reference.pvalue)
    assert found[:5] == pytest.approx(expected, abs=1e-12, rel=1e-9)
    assert (found.verdict != "not decided") == (reference.pvalue <= 0.05) == (not bounds.low <= 0 <= bounds.high)


@few
@given(families, overlaps, st.randoms(use_true_random=False))
def test_order_of_replicates_and_of_rivals_does_not_matter(family, overlap, random):
    order = random.sample(range(len(family)), len(family))
    shuffled = decide([random.sample(family[i], len(family[i])) for i in order], overlap=overlap)
    for one, other in zip(shuffled, [decide(family, overlap=overlap)[i] for i in order], strict=True):
        assert one[:5] == pytest.approx(other[:5], abs=1e-9, nan_ok=True)
        assert one.verdict == other.verdict


@few
@given(families, overlaps)
def test_a_change_of_sign_swaps_ahead_and_behind(family, overlap):
    swapped = {"ahead": "behind", "behind": "ahead"}
    negated = decide([[-value for value in rival] for rival in family], overlap=overlap)
    for one, other in zip(decide(family, overlap=overlap), negated, strict=True):
        np.testing.assert_array_equal((other.mean, other.low, other.high), (-one.mean, -one.high, -one.low))
        np.testing.assert_array_equal(other.p, one.p)
        assert other.verdict == swapped.get(one.verdict, one.verdict)


@few
@given(families, overlaps, overlaps)
def test_more_overlap_never_decides_more(family, one, other):
    less, more = sorted((one, other))
    assert not (decided(family, more) & ~decided(family, less)).any()


@few
@given(families, rivals, overlaps)
def test_another_rival_never_makes_one_decided(family, rival, overlap):
    assert not (decided([*family, rival], overlap)[:-1] & ~decided(family, overlap)).any()


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.02, np.nan, 0.5]), [0.04, np.nan, 0.5])
    assert holm([]).size == 0


@few
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p_values):
    given_p, corrected = np.array(p_values), holm(p_values)
    assert (corrected >= given_p).all()
    assert (corrected <= np.minimum(given_p * len(p_values), 1)).all()
    assert (np.diff(corrected[np.argsort(given_p)]) >= 0).all()


def test_examples_in_docstrings():
    assert doctest.testmod(decision).failed == 0
