"""Networks that compute with 16 bits: near those with 32, and float32 in everything that is kept or returned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from segjax.models import CLASSIFIERS, NETWORKS, create
from segjax.models.layers import Convolution, Linear, Upsample
from segjax.types import InputError

ENCODED = "unet+resnet18"
SMALL = {
    "unet": {"width": 4, "levels": 2, "norm": "running"},
    "segnet": {"width": 4, "levels": 2, "norm": "group", "published_head": False},
    "msd": {"depth": 4, "input_mean": 0.6, "input_std": 0.02},
    "vgg16": {"width": 4, "head": "hidden", "dropout": 0.0},
    "resnet18": {"width": 4, "norm": "group"},
    "resnet34": {"width": 4, "norm": "none"},
    "resnet50": {"width": 4, "norm": "running"},
    "msd_classifier": {"depth": 4},
    "unet_classifier": {"width": 4, "levels": 2, "pooling": "rank"},
    ENCODED: {"width": 4, "encoder": "resnet18"},
}
SHALLOW = {"unet": {"width": 4, "levels": 1}, "segnet": {"width": 4, "levels": 1}, "msd": {"depth": 3}}
# low contrast, as pictures have that are standardised
IMAGES = jnp.asarray(0.6 + 0.02 * np.random.default_rng(0).standard_normal((2, 32, 32, 1)), jnp.float32)


def both(name):
    return [create(name.partition("+")[0], **SMALL[name], dtype=dtype) for dtype in ("float32", "bfloat16")]


def test_every_network_is_tested():
    assert set(SMALL) == {*NETWORKS, *CLASSIFIERS, ENCODED}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_what_a_network_returns_and_keeps_is_float32(name):
    network = both(name)[1]
    variables = jax.eval_shape(network.init, jax.random.key(0), IMAGES)
    answer = jax.eval_shape(
        lambda own, x: network.apply(own, x, train=True, features=True, mutable=["batch_stats"]), variables, IMAGES
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, answer))} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", SMALL)
def test_products_are_of_16_bits(name):
    plain, halved = (
        products(jax.make_jaxpr(network.apply)(jax.eval_shape(network.init, jax.random.key(0), IMAGES), IMAGES).jaxpr)
        for network in both(name)
    )
    assert set(plain) == {jnp.dtype("float32")} and len(plain) == len(halved) >= 4
    # pooling by rank and the head behind class maps of full resolution stay float32
    in_32_bits = 2 if name == "unet_classifier" else 1 if name == "msd_classifier" else 0
    assert halved.count(jnp.dtype("float32")) == in_32_bits


def products(jaxpr: core.Jaxpr) -> list:
    """Number formats of what is multiplied in all products and convolutions, of inner functions too."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            found.append(equation.invars[0].aval.dtype)
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if inner := getattr(part, "jaxpr", part if isinstance(part, core.Jaxpr) else None):
                    found += products(inner)
    return found


def without_zeros(variables):
    noise = np.random.default_rng(1)
    return jax.tree.map(lambda x: x + 0.05 * noise.random(x.shape).astype(np.float32), variables)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("resnet34", "resnet50", ENCODED)])
def test_logits_are_near_those_of_32_bits(name):
    networks = both(name)
    variables = without_zeros(jax.jit(networks[0].init)(jax.random.key(0), IMAGES))
    logits, near = (jax.jit(network.apply)(variables, IMAGES) for network in networks)
    assert 0 < distance(near, logits) < 0.2  # normalisation over few pixels magnifies rounding


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_gradient_is_near_that_of_32_bits(name):
    gradients = []
    for dtype in ("float32", "bfloat16"):
        network = create(name, **SHALLOW[name], norm="none", dtype=dtype)
        params = without_zeros(jax.jit(network.init)(jax.random.key(0), IMAGES))["params"]
        score = lambda own, network=network: jax.nn.log_softmax(network.apply({"params": own}, IMAGES))[..., 1].mean()  # noqa: E731
        gradients.append(jax.jit(jax.grad(score))(params))
    errors = jax.tree.leaves(jax.tree.map(distance, gradients[1], gradients[0]))
    assert max(errors) < 0.25, errors


def distance(found, expected):
    """Relative to the length of what is expected."""
    return float(jnp.linalg.norm(jnp.ravel(found - expected)) / jnp.linalg.norm(jnp.ravel(expected)))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Convolution(1, 3), (1, 20, 20, 1)),
        (Convolution(1, 1), (1, 20, 20, 1)),
        (Upsample(), (1, 20, 20, 1)),
        (Linear(1), (400, 1)),
        (create("msd", depth=1, dtype="bfloat16"), (1, 20, 20, 1)),
    ],
)
def test_gradients_of_biases_are_summed_in_32_bits(layer, shape):
    """In 16 bits a sum of ones would stop at 256."""
    x = jnp.ones(shape, jnp.bfloat16)
    params = layer.init(jax.random.key(0), x)["params"]
    answer = jax.eval_shape(layer.apply, {"params": params}, x)
    gradient = jax.grad(lambda own: layer.apply({"params": own}, x).astype(jnp.float32).sum())(params)
    np.testing.assert_array_equal(gradient.get("bias", gradient.get("head_bias")), answer.size // answer.shape[-1])


def test_other_formats_are_refused():
    with pytest.raises(InputError, match="dtype must be one of 'float32', 'bfloat16', not 'float16'"):
        create("unet", dtype="float16")
