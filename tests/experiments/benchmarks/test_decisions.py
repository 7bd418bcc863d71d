"""The promise of the decision rule, by simulation: without a true difference it decides in at most 5 % of studies."""

import numpy as np
import pytest

from experiments.benchmarks.decisions import FEATURES, PICTURES, fold_split, overlap, scores, simulate

STUDIES = 2000


@pytest.mark.slow
@pytest.mark.parametrize("folds", [8, 10])
def test_the_rule_keeps_its_error_rate_and_the_best_rival_chosen_afterwards_does_not(folds):
    rates = simulate(0, STUDIES, folds, 10, rivals=20)
    assert rates["decide"].either <= 0.05 and rates["decide"].too_few == 0
    assert rates["best rival afterwards"].either > 0.1


def test_ten_seeds_on_four_folds_are_too_few():
    rates = simulate(0, 20, 4, 10, rivals=3)
    assert rates["decide"] == (0, 0, 0, 1)
    assert rates["best rival afterwards"].too_few == 0


def test_a_simulation_repeats():
    assert simulate(1, 20, 8, 10, 2) == simulate(1, 20, 8, 10, 2)


def test_splits_share_folds_and_never_test_on_training_pictures():
    tests = [set(fold_split(seed, 8)[1]) for seed in range(10)]
    assert tests[8] == tests[0] and tests[9] == tests[1]
    assert set().union(*tests) == set(range(PICTURES)) and sum(map(len, tests[:8])) == PICTURES
    assert all(not tests[seed] & set(fold_split(seed, 8)[0]) for seed in range(10))
    assert set(fold_split(0, 8)[0]) != set(fold_split(8, 8)[0])
    assert overlap(8) == 25 / 123  # 175 pictures outside the fold, 52 of them for validation


def test_values_are_those_of_least_squares_one_by_one():
    values = scores(np.random.default_rng(3), 2, 5, 2, 3)
    generator = np.random.default_rng(3)
    features = generator.standard_normal((2, PICTURES, FEATURES))
    truth = features.sum(2) / np.sqrt(FEATURES) + generator.standard_normal((2, PICTURES))
    order = generator.random((2, 3, FEATURES)).argsort(2)
    for study, seed, method in np.ndindex(values.shape):
        x, y, chosen = features[study], truth[study], order[study, method, : FEATURES // 2]
        train, test = fold_split(seed, 5)
        weights = np.linalg.lstsq(x[np.ix_(train, chosen)], y[train], rcond=None)[0]
        error = np.mean((x[np.ix_(test, chosen)] @ weights - y[test]) ** 2)
        assert values[study, seed, method] == pytest.approx(-error)
