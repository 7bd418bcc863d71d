"""Curves that saturate: exact ones are found, gains follow the rule of intervals, and too few places are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.evaluation import interval
from segjax.evaluation.saturation import expected_gain, fit_saturating
from segjax.types import InputError

X = np.array([0.25, 0.5, 1.0, 2.0, 5.0, 20.0])


@settings(max_examples=25, deadline=None)
@given(st.floats(0.6, 0.99), st.floats(0.1, 0.5), st.floats(0.3, 1.5))
def test_exact_curves_are_found(top, drop, rate):
    found = fit_saturating(X, top - drop * (X / X[0]) ** -rate)
    assert found.at(40.0) == pytest.approx(top - drop * 160**-rate, abs=1e-3)


def test_a_flat_curve_gains_nothing_and_a_falling_one_falls():
    assert fit_saturating(X, np.full(6, 0.7)).at(100.0) == pytest.approx(0.7, abs=1e-6)
    falling = 0.6 + 0.2 * (X / X[0]) ** -0.5
    assert fit_saturating(X, falling).at(40.0) == pytest.approx(0.6 + 0.2 * 160**-0.5, abs=1e-3)
    noisy = np.stack([falling + off for off in (-0.01, 0.0, 0.02)])
    assert expected_gain(X, noisy, 1.0, 2.0).mean == pytest.approx(0.2 * (8**-0.5 - 4**-0.5), abs=1e-3)


def test_gains_of_replicates_with_curves_of_one_rate():
    # with one rate, the rise from 5 to 10 is linear in drop: its pseudo-values are the rises of the replicates
    drops = np.array([0.3, 0.35, 0.4, 0.45, 0.5, 0.41])
    values = np.stack([0.9 - drop * (X / X[0]) ** -0.5 for drop in drops])
    rises = drops * (20**-0.5 - 40**-0.5)
    found, expected = expected_gain(X, values, 5.0, 10.0), interval(rises)
    assert found == pytest.approx(expected, rel=1e-2, abs=1e-5)
    wider = expected_gain(X, values, 5.0, 10.0, overlap=0.5)
    assert wider == pytest.approx(interval(rises, overlap=0.5), rel=1e-2, abs=1e-5)


def test_few_replicates_have_no_interval():
    values = np.stack([0.9 - 0.4 * X**-0.5 / 2, np.full(6, np.nan)])
    found = expected_gain(X, values, 20.0, 40.0)
    assert found.n == 1 and np.isnan(found.low) and found.mean == pytest.approx(0.2 * (20**-0.5 - 40**-0.5), rel=1e-2)
    assert expected_gain(X, values[1:], 20.0, 40.0).n == 0


def test_what_no_curve_can_be_fitted_to_is_refused():
    with pytest.raises(InputError, match="x: a curve needs 4 different places, not 3"):
        fit_saturating(np.array([1.0, 2, 3, 3]), np.ones(4))
    for x, y in ((X, np.full(6, np.nan)), (X - 0.25, np.ones(6))):
        with pytest.raises(InputError, match="x, y: give finite values at places above 0"):
            fit_saturating(x, y)


def test_intervals_cover_the_true_gain():
    random, inside = np.random.default_rng(0), 0
    truth = 0.4 * (80**-0.6 - 160**-0.6)
    for _ in range(40):
        values = 0.9 - 0.4 * (X / X[0]) ** -0.6 + 0.01 * random.normal(size=(8, 6))
        found = expected_gain(X, values, 20.0, 40.0)
        inside += found.low <= truth <= found.high
    assert inside >= 34  # 38 of 40 are expected
