import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.annotations.purchase import buy
from segjax.types import InputError

quick = settings(derandomize=True, deadline=None, max_examples=50)
KEY = jax.random.key(0)


@quick
@given(
    seed=st.integers(0, 99),
    costs=st.lists(st.floats(0.1, 100), min_size=1, max_size=12),
    share=st.floats(0, 1),
    weighted=st.booleans(),
)
def test_a_purchase_is_the_longest_beginning_that_the_budget_pays(seed, costs, share, weighted):
    key, prices = jax.random.key(seed), np.array(costs)
    foreground = np.linspace(0.1, 1, len(costs)) if weighted else None
    budget = prices.min() + share * (prices.sum() - prices.min())
    order = [p for p in buy(key, 2 * prices.sum(), prices, foreground).pictures if prices[p] <= budget]
    assert sorted(buy(key, 2 * prices.sum(), prices, foreground).pictures) == list(range(len(costs)))
    fits = [total <= budget for total in itertools.accumulate(costs[p] for p in order)]
    bought = buy(key, float(budget), prices, foreground)
    assert abs(len(bought.pictures) - sum(fits)) <= int(np.isclose(np.cumsum(prices[order]), budget).any())
    assert list(bought.pictures) == order[: len(bought.pictures)] and bought.pictures
    assert bought.seconds == tuple(costs[p] for p in bought.pictures)
    assert bought.spent == pytest.approx(sum(bought.seconds)) and bought.spent <= bought.budget


def test_what_does_not_fit_ends_the_purchase_and_what_never_fits_is_passed_over():
    firsts = {key: buy(jax.random.key(key), 1e9, np.array([60.0, 30.0, 200.0])).pictures for key in range(20)}
    key = next(key for key, order in firsts.items() if order == (2, 1, 0))
    assert buy(jax.random.key(key), 89, np.array([60.0, 30.0, 200.0])).pictures == (1,)
    assert buy(jax.random.key(key), 90, np.array([60.0, 30.0, 200.0])).pictures == (1, 0)
    key = next(key for key, order in firsts.items() if order == (0, 2, 1))
    assert buy(jax.random.key(key), 210, np.array([60.0, 30.0, 200.0])).pictures == (0,)


def test_a_lot_prefers_nobody_and_shares_of_foreground_set_the_odds():
    keys = jax.random.split(KEY, 2000)
    plain = np.bincount([buy(key, 1, np.ones(4)).pictures[0] for key in keys], minlength=4) / 2000
    np.testing.assert_allclose(plain, 0.25, atol=0.04)
    shares = np.array([0.1, 0.2, 0.7, 0.0])
    weighted = [buy(key, 4, np.ones(4), shares).pictures for key in keys]
    first = np.bincount([order[0] for order in weighted], minlength=4) / 2000
    np.testing.assert_allclose(first, shares, atol=0.04)
    assert {order[-1] for order in weighted} == {3}
    after = [order[1] for order in weighted if order[0] == 2]
    assert np.mean(np.array(after) == 1) == pytest.approx(2 / 3, abs=0.05)


def test_the_key_alone_decides():
    costs = np.arange(1, 9)
    assert buy(KEY, 20, costs) == buy(KEY, 20, costs)
    assert sorted(buy(KEY, 1.0, np.zeros(3)).pictures) == [0, 1, 2]  # a picture without anything to draw may be free
    assert len({buy(jax.random.key(seed), 20, costs).pictures for seed in range(8)}) > 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((19.0, np.array([30.0, 20.0])), "budget: 19 s buys nothing, as the cheapest picture costs 20 s; give more"),
        ((0, np.array([30.0])), "budget: 0 is not a budget"),
        ((float("nan"), np.array([30.0])), "budget: nan"),
        ((9, np.array([])), "costs: there are no pictures"),
        ((9, np.array([1.0, -1.0])), "costs: a picture has a negative price"),
        ((9, np.array([1.0, np.nan])), "costs: a picture has a negative price or none"),
        ((9, np.ones(2), np.array([0.5, 1.5])), "foreground: shares of pictures lie between 0 and 1"),
        ((9, np.ones(2), np.array([0.5, np.nan])), "foreground: shares"),
        ((9, np.ones(2), np.zeros(2)), "foreground: no picture has any"),
        ((9, np.ones(2), np.ones(3)), "foreground must be"),
    ],
)
def test_what_buys_nothing_is_refused_by_name(arguments, message):
    with pytest.raises(InputError, match=message):
        buy(KEY, *arguments)
