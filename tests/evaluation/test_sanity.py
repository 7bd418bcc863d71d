import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.evaluation import map_similarity, shuffled_parameters
from segjax.types import InputError

PARAMS = {
    name: {"kernel": jnp.arange(12.0).reshape(3, 4) + start, "bias": jnp.arange(12.0) + start}
    for name, start in (("conv", 0), ("head", 100))
}


def test_only_the_named_layers_are_shuffled_and_keep_their_numbers():
    key = jax.random.key(0)
    both, head = shuffled_parameters(key, PARAMS, ["conv", "head"]), shuffled_parameters(key, PARAMS, ["head"])
    for leaf, name in ((head["head"]["kernel"], "kernel"), (head["head"]["bias"], "bias")):
        before = np.asarray(PARAMS["head"][name])
        assert leaf.shape == before.shape and not np.array_equal(leaf, before)
        np.testing.assert_array_equal(np.sort(leaf, axis=None), np.sort(before, axis=None))
    np.testing.assert_array_equal(head["conv"]["bias"], PARAMS["conv"]["bias"])
    np.testing.assert_array_equal(both["head"]["bias"], head["head"]["bias"])  # a cascade keeps what it has shuffled
    assert not np.array_equal(head["head"]["kernel"].ravel(), head["head"]["bias"])  # arrays have keys of their own
    with pytest.raises(InputError, match="'fc' has no parameters; there are: conv, head"):
        shuffled_parameters(key, PARAMS, ["fc"])


def test_similarity_of_maps():
    one = np.random.default_rng(0).standard_normal((12, 10))
    same = map_similarity(one, 2 * one)
    np.testing.assert_allclose(list(same.values()), 1)
    turned = map_similarity(one, -one)
    np.testing.assert_allclose(list(turned.values()), [-1, 1, 1])
    other = map_similarity(one, np.random.default_rng(1).standard_normal((12, 10)))
    assert all(abs(value) < 0.4 for value in other.values())
    assert all(np.isnan(value) for value in map_similarity(one, np.ones((12, 10))).values())
    with pytest.raises(InputError, match="at least 7 x 7 pixels to be compared, not 6 x 10"):
        map_similarity(one[:6], one[:6])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_maps_that_are_not_finite_are_like_no_other(broken):
    one = np.random.default_rng(0).standard_normal((12, 10))
    bad = one.copy()
    bad[5, 5] = broken
    for pair in ((one, bad), (bad, one), (bad, bad)):
        assert all(np.isnan(value) for value in map_similarity(*pair).values())
