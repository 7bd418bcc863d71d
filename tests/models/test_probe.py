"""Layers of every network seen, changed and differentiated from outside."""

from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import Probe, create
from segjax.models.probe import Relu, guided_relu
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
    with pytest.raises(InputError, match="layer 'dens' does not exist; choose one of: input, layers, dense, head"):
        apply(variables, IMAGE, taps={"dens": jnp.zeros(())})


class Shared(nn.Module):
    """A convolution and its ReLU, both called twice, the second time on a smaller picture."""

    @nn.compact
    def __call__(self, image):
        conv, relu = nn.Conv(3, (3, 3), name="shared"), Relu(name="relu")
        small = nn.avg_pool(relu(conv(image)), (2, 2), (2, 2))
        small = nn.Conv(1, (1, 1), name="narrow")(small)
        return nn.Dense(2, name="head")(relu(conv(small)).mean((1, 2)))


@pytest.fixture(scope="module")
def shared():
    image = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (2, 6, 4, 1)), jnp.float32)
    return Probe(Shared()), Shared().init(jax.random.key(1), image), image


def test_every_call_of_a_layer_is_a_layer(shared):
    apply, variables, image = shared
    _, layers = apply(variables, image, features=True)
    assert {name: layer.shape for name, layer in layers.items()} == {
        "shared#1": (2, 6, 4, 3),
        "relu#1": (2, 6, 4, 3),
        "narrow": (2, 3, 2, 1),
        "shared#2": (2, 3, 2, 3),
        "relu#2": (2, 3, 2, 3),
        "head": (2, 2),
    }
    conv = nn.Conv(3, (3, 3))
    inside = {"params": variables["params"]["shared"]}
    np.testing.assert_allclose(layers["shared#1"], conv.apply(inside, image), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layers["shared#2"], conv.apply(inside, layers["narrow"]), rtol=1e-5, atol=1e-6)


def test_a_tap_of_one_call_leaves_the_others_alone(shared):
    apply, variables, image = shared
    _, before = apply(variables, image, features=True)
    logits, after = apply(variables, image, features=True, taps={"relu#2": jnp.ones((2, 3, 2, 3))})
    np.testing.assert_array_equal(after["relu#1"], before["relu#1"])
    np.testing.assert_allclose(after["relu#2"], before["relu#2"] + 1, rtol=1e-6)
    np.testing.assert_allclose(logits, before["head"] + variables["params"]["head"]["kernel"].sum(0)[None], rtol=1e-5)


def test_a_tap_of_a_layer_that_is_called_twice_is_refused_with_its_calls(shared):
    apply, variables, image = shared
    message = "layer 'shared' is called 2 times; choose one of its calls: shared#1, shared#2"
    with pytest.raises(InputError, match=message):
        apply(variables, image, taps={"shared": jnp.zeros(())})
    with pytest.raises(InputError, match="layer 'narrow#1' does not exist"):
        apply(variables, image, taps={"narrow#1": jnp.zeros(())})


def test_constants_of_every_call_are_given(shared):
    apply, variables, image = shared
    _, constants = apply(variables, image, constants=True)
    assert [*constants] == ["shared#1", "narrow", "shared#2", "head"]
    assert constants["shared#2"].shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(constants["shared#2"][0, 0, 0], variables["params"]["shared"]["bias"])
