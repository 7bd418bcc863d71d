"""Networks as modules of Flax NNX, by its bridge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segjax.models import create


@pytest.fixture(scope="module")
def image():
    return jnp.asarray(np.random.default_rng(0).random((1, 8, 8, 1)), jnp.float32)


@pytest.fixture(scope="module")
def network():
    return create("unet", width=2, levels=1, norm="running")


@pytest.fixture
def model(network, image):
    return nnx.bridge.ToNNX(network, rngs=nnx.Rngs(0)).lazy_init(image)  # the line that the docstring of `create` gives


def test_a_module_of_nnx_gives_the_logits_and_gradients_of_the_network(network, model, image):
    variables = {"params": nnx.to_pure_dict(nnx.state(model, nnx.Param))}
    variables["batch_stats"] = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    np.testing.assert_allclose(model(image), network.apply(variables, image), rtol=1e-5)

    def loss(params):
        return jnp.sum(network.apply({**variables, "params": params}, image) ** 2)

    gradient = nnx.to_pure_dict(nnx.grad(lambda own: jnp.sum(own(image) ** 2))(model))
    expected = jax.grad(loss)(variables["params"])
    assert jax.tree.structure(gradient) == jax.tree.structure(expected)
    for own, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient)) > 0


def test_running_statistics_move_when_the_call_says_so(model, image):
    before = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    model(image, train=True, mutable=["batch_stats"])
    after = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    changes = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), before, after)
    assert min(jax.tree.leaves(changes)) > 0


def test_what_else_a_network_has_is_at_the_module_inside(network, model):
    assert model.to_nnx__module.receptive_field == network.receptive_field
    with pytest.raises(AttributeError, match="receptive_field"):
        _ = model.receptive_field
