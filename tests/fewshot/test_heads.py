"""What every head has to keep, whatever it computes."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.fewshot import HEADS, create_head
from segjax.fewshot.heads import name_of
from segjax.fewshot.hidden import HiddenLayer, TwoHiddenLayers
from segjax.fewshot.linear import Logistic
from segjax.types import InputError

# few passes: rounding grows from pass to pass where there is more than one minimum
FEW = {"units": 3, "most_steps": 6}
OPTIONS = {"local_prototypes": {"window": 3}, "hidden_layer": FEW, "two_hidden_layers": FEW}
ALL = [create_head(name, **OPTIONS.get(name, {})) for name in HEADS]
TOLERANCE = {"rtol": 3e-3, "atol": 3e-3}
EVERYTHING = np.ones(5, np.float32)


@pytest.fixture(params=ALL, ids=list(HEADS))
def head(request):
    return request.param


@lru_cache
def compiled(head):
    """Fit and the scores of the same pictures; compiled once per head, which is most of the time of these tests."""

    @jax.jit
    def both(features, targets, weights, subset):
        params = head.fit(features, targets, weights, subset)
        return params, head.predict(params, features)

    return both


def scores_of(head, features, targets, weights, subset=EVERYTHING):
    return np.asarray(compiled(head)(features, targets, np.float32(weights), np.float32(subset))[1])


@pytest.mark.slow
def test_vmap_over_draws_and_subsets_is_the_loop(head, support):
    features, targets = support
    weights = np.float32([[1, 1, 0, 0], [0, 1, 1, 1]])
    subsets = np.float32([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0]])
    one = jax.vmap(lambda w, s: compiled(head)(features, targets, w, s)[1], (None, 0))
    found = jax.vmap(one, (0, None))(weights, subsets)
    expected = np.stack([[scores_of(head, features, targets, w, s) for s in subsets] for w in weights])
    np.testing.assert_allclose(found, expected, **TOLERANCE)


@pytest.mark.slow
def test_jit_is_eager(head, support):
    features, targets = (jnp.asarray(part) for part in support)
    eager = head.predict(head.fit(features, targets, jnp.ones(4), jnp.ones(5)), features)
    np.testing.assert_allclose(scores_of(head, features, targets, [1] * 4), eager, **TOLERANCE)


def test_a_picture_of_weight_0_and_ignored_pixels_do_not_count(head, support):
    features, targets = support
    weights = [1, 1, 1, 0]
    changed = np.where((targets < 0)[..., None], 7.0, features).astype(np.float32)
    changed[3] = -3
    found, expected = (scores_of(head, each, targets, weights) for each in (changed, features))
    kept = (targets >= 0)[:3]
    np.testing.assert_allclose(found[:3][kept], expected[:3][kept], **TOLERANCE)


def test_a_feature_outside_the_subset_does_not_count(head, support):
    features, targets = support
    subset = [1, 0, 1, 1, 0]
    changed = np.where(np.asarray(subset) > 0, features, features[::-1] * 2 + 1).astype(np.float32)
    found, expected = (scores_of(head, each, targets, [1] * 4, subset) for each in (changed, features))
    np.testing.assert_allclose(found, expected, **TOLERANCE)


def test_the_same_draw_gives_the_same_bits(head, support):
    first, second = (scores_of(head, *support, [1, 0, 1, 1]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_every_head_tells_the_type(head, support):
    features, targets = support
    scores = scores_of(head, features, targets, [1] * 4)
    below = np.mean(scores[targets == 1][:, None] > scores[targets == 0][None])
    # 0.5 is chance; prototypes know the means of the classes only
    assert below > 0.65  # the probability that a pixel of the type has the higher score than one of the background


def test_names_and_options():
    assert [name_of(head) for head in ALL] == list(HEADS)
    assert create_head("logistic", l2=0.1) == Logistic(0.1)
    with pytest.raises(InputError, match="unknown 'svm'"):
        create_head("svm")
    with pytest.raises(InputError, match="unknown option 'depth'"):
        create_head("ridge", depth=2)


def test_a_hidden_layer_learns_what_a_linear_one_cannot():
    x = np.random.default_rng(0).uniform(-1, 1, (1, 20, 20, 2)).astype(np.float32)
    targets = (x[..., 0] * x[..., 1] > 0).astype(np.int32)
    right = {
        type(head): np.mean((scores_of(head, x, targets, [1], [1, 1]) > 0) == (targets == 1))
        for head in (Logistic(), HiddenLayer(8), TwoHiddenLayers(8))
    }
    assert right[Logistic] < 0.7 and min(right[HiddenLayer], right[TwoHiddenLayers]) > 0.95


def test_two_hidden_layers_by_hand():
    # tanh(1 x + 0), tanh of both of them and a constant, their weighted sum
    params = {
        "first": jnp.float32([[1, 2], [0, 1]]),
        "between": jnp.float32([[1, 0], [0, 3], [1, -1]]),
        "second": jnp.float32([2, 5]),
        "bias": jnp.float32(0.5),
    }
    x = 0.3
    inner = np.tanh([x, 2 * x + 1])
    expected = np.tanh([inner[0] + 1, 3 * inner[1] - 1]) @ [2, 5] + 0.5
    found = TwoHiddenLayers(2).predict(params, np.full((1, 1, 1), x, np.float32))
    assert float(found[0, 0]) == pytest.approx(expected, abs=1e-5)
