"""What is particular to SegNet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create


@pytest.mark.parametrize("published_head", [True, False])
def test_published_head_is_normalised_and_never_negative(random_variables, published_head):
    network = create("segnet", width=4, levels=1, published_head=published_head)
    image = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    variables = random_variables(network, image)
    logits = jax.jit(network.apply)(variables, image)
    assert bool(logits.min() >= 0) == published_head
    assert ("norm0" in variables["params"]["head"]) == published_head


def test_a_value_returns_to_the_pixel_it_was_pooled_from(random_variables):
    """With one level the decoder's first map is non-zero only where the encoder's map has its maxima."""
    network = create("segnet", width=4, levels=1, norm="none", published_head=False)
    image = jax.random.normal(jax.random.key(0), (1, 6, 6, 1))
    variables = random_variables(network, image)
    taps = variables["params"]["up0"]["conv0"]
    centre = jnp.zeros_like(taps["kernel"]).at[1, 1].set(jnp.eye(4))
    variables["params"]["up0"]["conv0"] = {"kernel": centre, "bias": jnp.zeros_like(taps["bias"])}
    _, maps = jax.jit(lambda v: network.apply(v, image, features=True))(variables)
    down, up = np.asarray(maps["down0"]), np.asarray(maps["up0"])
    assert up.any()
    np.testing.assert_array_equal(up[up > 0], down[up > 0])
    windows = down.reshape(1, 3, 2, 3, 2, 4).max((2, 4))
    np.testing.assert_allclose(up.reshape(1, 3, 2, 3, 2, 4).sum((2, 4)), windows)


def test_channels_are_the_published_ones():
    image = jnp.zeros((1, 32, 32, 1))
    shapes = jax.eval_shape(
        lambda key: create("segnet").init_with_output(key, image, features=True)[0][1], jax.random.key(0)
    )
    channels = [shape.shape[-1] for shape in shapes.values()]
    assert sorted(channels) == sorted([64, 128, 256, 512, 512, 512, 256, 128, 64, 64])
