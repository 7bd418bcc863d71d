"""The grid against its fits one by one, its counts against those of evaluation, and its traces."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.evaluation import counts
from segjax.fewshot.draws import draw_support
from segjax.fewshot.grid import FeatureSet, best_threshold, fit_grid
from segjax.fewshot.linear import Logistic, Ridge
from segjax.fewshot.moments import class_moments, relevance, support_moments
from segjax.types import InputError

VARIANCE = np.float32([1, 5, 2, 4, 3])
EVERY = np.ones(6, bool)


@pytest.fixture
def pool(clouds):
    return FeatureSet(*clouds(0, pictures=6))


@pytest.fixture
def query(clouds):
    return FeatureSet(*clouds(1, pictures=3))


@dataclass(frozen=True)
class Counted(Ridge):
    """Ridge regression that counts how often it is traced."""

    traces: ClassVar[list[int]] = []

    def fit(self, *arguments):
        self.traces.append(1)
        return super().fit(*arguments)


@pytest.mark.slow
def test_a_grid_is_its_fits_one_by_one(pool, query):
    draws = draw_support(jax.random.key(3), EVERY, (1, 3), 3)
    head, features = Logistic(), (2, 5)
    found = fit_grid(jax.random.key(0), head, pool, query, draws, features, "variance", VARIANCE)
    fit = jax.jit(head.fit)
    for draw in range(3):
        for place, shots in enumerate(draws.shots):
            chosen = draws.support(draw, shots)
            weights = np.zeros(6, np.float32)
            weights[chosen] = 1
            for number, count in enumerate(features):
                subset = np.float32([0, 1, 0, 1, 0] if count == 2 else [1] * 5)
                params = fit(pool.features, pool.targets, weights, subset)
                expected = counts(np.asarray(head.predict(params, query.features)) > 0, query.targets)
                for name in ("tp", "fp", "fn"):
                    part = getattr(found.at_zero, name)[draw, place, number]
                    # a pixel whose score is nearly 0 may fall on either side
                    np.testing.assert_allclose(part, getattr(expected, name), atol=1)
                scores = head.predict(params, pool.features)
                best = best_threshold(scores, pool.targets, jnp.asarray(weights))
                np.testing.assert_allclose(found.thresholds[draw, place, number], best, atol=0.02)


@pytest.mark.slow
def test_one_trace_serves_all_draws_and_how_many_go_together_changes_nothing(pool, query):
    Counted.traces.clear()
    draws = draw_support(jax.random.key(0), EVERY, (1, 2), 5, nested=False)
    arguments = (jax.random.key(0), Counted(), pool, query, draws, (1, 3), "random", VARIANCE)
    first = fit_grid(*arguments)
    assert len(Counted.traces) == 1
    other = draw_support(jax.random.key(9), EVERY, (1, 2), 4, nested=False)
    fit_grid(jax.random.key(5), Counted(), pool, query, other, (1, 3), "random", VARIANCE)
    assert len(Counted.traces) == 1
    together = fit_grid(*arguments, together=2)
    assert first.at_zero.tp.shape == (5, 2, 2, 3)
    chex.assert_trees_all_close(first, together, rtol=1e-3, atol=1)
    chex.assert_trees_all_equal(first, fit_grid(*arguments))


@pytest.mark.slow
@pytest.mark.parametrize("selection", ["random", "relevance"])
def test_small_subsets_are_fitted_apart_and_nothing_else_changes(selection, pool, query):
    draws = draw_support(jax.random.key(4), EVERY, (1, 3), 2)
    fit = partial(fit_grid, jax.random.key(7), Logistic(), pool, query, draws, selection=selection, variance=VARIANCE)
    together = fit(counts=(5, 1, 4))  # 1 is small beside 5, and stands in the middle
    for place, count in enumerate((5, 1, 4)):
        alone = fit(counts=(count,))
        for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(one[:, :, place], other[:, :, 0], rtol=1e-3, atol=1)


def test_relevant_features_are_chosen_on_the_shots_alone(pool, query):
    draws = draw_support(jax.random.key(1), EVERY, (2,), 2)
    found = fit_grid(jax.random.key(0), Ridge(), pool, query, draws, (2,), "relevance", VARIANCE)
    for draw in range(2):
        chosen = draws.support(draw, 2)
        own = pool.features[chosen], pool.targets[chosen]
        score = relevance(support_moments(class_moments(*own), jnp.ones(2), jnp.ones(5)))
        subset = np.isin(np.arange(5), np.argsort(-score)[:2]).astype(np.float32)
        params = Ridge().fit(*own, jnp.ones(2), subset)
        expected = counts(np.asarray(Ridge().predict(params, query.features)) > 0, query.targets)
        np.testing.assert_allclose(found.at_zero.tp[draw, 0, 0], expected.tp, atol=1)


def test_the_best_threshold_is_the_best_of_those_tried(support):
    _, targets = support
    scores = np.random.default_rng(0).normal(size=targets.shape).astype(np.float32) + (targets == 1) - 2
    found = float(best_threshold(scores, targets, jnp.float32([1, 1, 1, 0])))

    def quality(threshold):
        above, known = scores[:3] > threshold, targets[:3] >= 0
        of_type = targets[:3] == 1
        return 2 * (above & of_type).sum() / ((above & known).sum() + of_type.sum())

    low, high = scores[:3][targets[:3] == 0].mean(), scores[:3][targets[:3] == 1].mean()
    tried = [0.0, *(low + np.linspace(0, 1.5, 23) * (high - low))]
    np.testing.assert_allclose(quality(found), max(map(quality, tried)), rtol=1e-6)
    assert quality(found) > quality(0.0) + 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": (6,)}, "a bank of 5"),
        ({"counts": (0,)}, "a bank of 5"),
        ({"selection": "best"}, "selection"),
        ({"fill": 0}, "does not show the type"),
        ({"fill": 1}, "background"),
        ({"fill": -1}, "ignored"),
    ],
)
def test_impossible_grids_are_refused(change, message, pool, query):
    change = dict(change)
    if "fill" in change:
        pool = pool._replace(targets=np.full_like(pool.targets, change.pop("fill")))
    draws = draw_support(jax.random.key(0), EVERY, (1,), 1)
    arguments = {"support": pool, "query": query, "draws": draws, "counts": (1,), "selection": "first"}
    with pytest.raises(InputError, match=message):
        fit_grid(jax.random.key(0), Ridge(), **(arguments | {"variance": VARIANCE} | change))
