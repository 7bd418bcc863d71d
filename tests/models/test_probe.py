"""Layers of every network seen, changed and differentiated from outside."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import Probe, create
from segjax.models.probe import guided_relu
from segjax.types import InputError

SMALL = {
    "unet": {"width": 2, "levels": 1, "norm": "running"},
    "segnet": {"width": 2, "levels": 1, "norm": "none"},
    "msd": {"depth": 3, "width": 2, "input_mean": 0.4},
}
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (2, 6, 5, 1)), jnp.float32)


@pytest.fixture(scope="module")
def small(random_variables):
    """Function of a name: a small network's probe and its variables."""

    @cache
    def build(name):
        network = create(name, **SMALL[name], remat=True)
        variables = random_variables(network, IMAGE, lowest=-0.2)
        if "batch_stats" in variables:
            variables["batch_stats"] = jax.tree.map(lambda x: x + 0.5, variables["batch_stats"])  # variances
        return Probe(network), variables

    return build


@pytest.mark.parametrize("name", SMALL)
def test_layers_are_those_of_the_network(small, name):
    apply, variables = small(name)
    logits, layers = apply(variables, IMAGE, features=True)
    plain, features = apply.network.apply(variables, IMAGE, features=True)
    np.testing.assert_allclose(apply(variables, IMAGE), plain, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(layers["head"], logits)
    assert set(features) < set(layers)
    for layer, feature in features.items():
        np.testing.assert_allclose(layers[layer], feature, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer"), [("unet", "down1/relu0"), ("segnet", "up0"), ("msd", "dense"), ("msd", "layers")]
)
def test_the_gradient_of_a_tap_is_that_of_the_layer(small, name, layer):
    apply, variables = small(name)
    shape = jax.eval_shape(lambda: apply(variables, IMAGE, features=True)[1][layer]).shape
    direction = jnp.asarray(np.random.default_rng(1).standard_normal(shape), jnp.float32)

    @jax.jit
    def score(step):
        return jnp.sum(apply(variables, IMAGE, taps={layer: step * direction})[..., 1] ** 2)

    step = 1e-2
    slope = (score(step) - score(-step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(score)(0.0), slope, rtol=5e-2)


def test_a_layer_can_be_erased(small):
    apply, variables = small("msd")
    _, layers = apply(variables, IMAGE, features=True)
    logits = apply(variables, IMAGE, taps={"dense": -layers["dense"]})
    np.testing.assert_allclose(logits, jnp.broadcast_to(variables["params"]["head_bias"], logits.shape), atol=1e-5)


def test_guided_gradients_pass_only_where_they_are_positive():
    x, g = jnp.array([-1.0, 2.0, 3.0, 0.0]), jnp.array([5.0, 5.0, -5.0, 5.0])
    value, back = jax.vjp(guided_relu, x)
    np.testing.assert_array_equal(value, [0, 2, 3, 0])
    np.testing.assert_array_equal(back(g)[0], [0, 5, 0, 0])


@pytest.mark.parametrize("name", SMALL)
def test_guided_changes_gradients_and_no_value(small, name):
    apply, variables = small(name)

    @jax.jit
    def gradient(guided_sign):
        def score(image, guided):
            return jnp.sum(apply(variables, image, guided=guided)[..., 1]) * guided_sign

        return [jax.grad(score)(IMAGE, guided) for guided in (False, True)]

    np.testing.assert_allclose(apply(variables, IMAGE, guided=True), apply(variables, IMAGE), rtol=1e-5, atol=1e-5)
    # of the two signs of a score, guided gradients are not each other's negative
    (plain, guided), (plain_negative, guided_negative) = gradient(1.0), gradient(-1.0)
    np.testing.assert_allclose(plain, -plain_negative, rtol=1e-5, atol=1e-6)
    assert not np.allclose(guided, -guided_negative, rtol=1e-2, atol=1e-4)


def test_constants_are_what_layers_give_for_nothing(small):
    apply, variables = small("unet")
    _, constants = apply(variables, IMAGE, constants=True)
    block = variables["params"]["down0"]
    np.testing.assert_allclose(constants["down0/conv0"][1, 2, 3], block["conv0"]["bias"], rtol=1e-6)
    average = variables["batch_stats"]["down0"]["norm0"]
    factor = block["norm0"]["scale"] / np.sqrt(average["var"][0, 0, 0] + 1e-5)
    expected = block["norm0"]["bias"] - average["mean"][0, 0, 0] * factor
    np.testing.assert_allclose(constants["down0/norm0"][0, 1, 1], expected, rtol=1e-4)
    assert "down0/relu0" not in constants and constants["head"].shape == (2, 6, 5, 2)


def test_probes_of_equal_networks_are_equal():
    network = create("msd", depth=3)
    assert Probe(network) == Probe(create("msd", depth=3)) != Probe(create("msd", depth=4))
    assert hash(Probe(network)) == hash(Probe(create("msd", depth=3)))


def test_a_tap_for_no_layer_is_refused_with_those_that_exist(small):
    apply, variables = small("msd")
    with pytest.raises(InputError, match="layer 'dens' does not exist; there are: input, layers, dense, head"):
        apply(variables, IMAGE, taps={"dens": jnp.zeros(())})
