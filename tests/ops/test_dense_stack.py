"""The dense stack against the convolutions of the library, in value and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate

from segjax.models.probe import guided_relu
from segjax.ops import dense_stack
from segjax.ops.dense_stack import dense_dilated_stack, dense_stack_columns

LAYOUT = ("NHWC", "HWIO", "NHWC")


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def plain_stack(x, kernels, biases, dilations, relu=jax.nn.relu):
    """Concatenation, reflected padding and the dilated convolution of the library."""
    stack, width, column = x.transpose(1, 2, 3, 0), kernels.shape[0] // 9, 0
    for layer, dilation in enumerate(dilations):
        channels = stack.shape[-1]
        kernel = kernels[:, column : column + channels].reshape(3, 3, width, channels).transpose(0, 1, 3, 2)
        column += channels
        padded = jnp.pad(stack, ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0)), mode="reflect")
        grown = jax.lax.conv_general_dilated(
            padded, kernel, (1, 1), "VALID", rhs_dilation=(dilation, dilation), dimension_numbers=LAYOUT
        )
        bias = biases[layer * width : (layer + 1) * width].reshape(width, *(biases.shape[1:] or (1, 1, 1)))
        stack = jnp.concatenate([stack, relu(grown + jnp.moveaxis(bias, 0, -1))], axis=-1)
    return stack.transpose(3, 0, 1, 2)


# 4 is the largest dilation that 5 pixels allow
@pytest.mark.slow
@pytest.mark.parametrize(("channels", "width", "dilations"), [(1, 1, (1, 2, 3, 4, 1)), (3, 2, (4, 1, 3))])
def test_dense_stack_equals_concatenated_convolutions(assert_same_gradients, monkeypatch, channels, width, dilations):
    # so that few layers reach over several allocations of the stack
    monkeypatch.setattr(dense_stack, "ROWS", 4)
    x = normal(0, channels, 2, 5, 8)
    columns = dense_stack_columns(channels, len(dilations), width)
    kernels, biases = 0.2 * normal(1, 9 * width, columns), 0.1 * normal(2, len(dilations) * width)
    assert_same_gradients(
        lambda *a: dense_dilated_stack(*a, dilations), lambda *a: plain_stack(*a, dilations), x, kernels, biases
    )


def test_biases_may_differ_from_pixel_to_pixel_and_gradients_be_guided(assert_same_gradients, monkeypatch):
    monkeypatch.setattr(dense_stack, "ROWS", 4)
    dilations = (1, 2, 3, 1)
    x, kernels = normal(0, 1, 2, 5, 6), 0.3 * normal(1, 9, dense_stack_columns(1, 4, 1))
    for biases, guided in ((0.1 * normal(2, 4, 2, 5, 6), False), (0.1 * normal(2, 4), True)):
        relu = guided_relu if guided else jax.nn.relu
        assert_same_gradients(
            lambda *a, g=guided: dense_dilated_stack(*a, dilations, g),
            lambda *a, r=relu: plain_stack(*a, dilations, r),
            x,
            kernels,
            biases,
        )


def test_one_layer_equals_mirrored_correlation():
    x, kernel = normal(0, 1, 1, 6, 7), normal(1, 9, 1)
    spread = np.zeros((5, 5), np.float32)
    spread[::2, ::2] = np.asarray(kernel).reshape(3, 3)
    expected = correlate(np.asarray(x)[0, 0], spread, mode="mirror")
    result = jax.jit(lambda x: dense_dilated_stack(x, kernel, jnp.array([0.25]), (2,)))(x)
    np.testing.assert_allclose(result[1, 0], np.maximum(expected + 0.25, 0), rtol=1e-5, atol=1e-5)


def test_stack_is_the_same_mapped_over_weights():
    dilations = (1, 2, 3)
    x, kernels, biases = normal(0, 1, 1, 5, 6), normal(1, 3, 9, 6), normal(2, 3, 3)

    def gradient(kernels, biases):
        return jax.grad(lambda *a: jnp.sum(dense_dilated_stack(x, *a, dilations) ** 2), (0, 1))(kernels, biases)

    mapped, gradient = jax.jit(jax.vmap(gradient))(kernels, biases), jax.jit(gradient)
    for member in range(3):
        alone = gradient(kernels[member], biases[member])
        for a, b in zip(mapped, alone, strict=True):
            np.testing.assert_allclose(a[member], b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("per_pixel", [False, True])
def test_stack_is_the_same_mapped_over_pictures_and_then_over_weights(per_pixel):
    dilations = (1, 2, 3)
    x, kernels = normal(0, 4, 2, 3, 5, 6), normal(1, 2, 9, 9)
    biases = normal(2, 2, 3, *((3, 5, 6) if per_pixel else ()))

    def gradient(x, kernels, biases):
        return jax.value_and_grad(lambda *a: jnp.sum(dense_dilated_stack(*a, dilations) ** 2))(x, kernels, biases)

    over_pictures = jax.vmap(gradient, (0, None, None))
    mapped, gradient = jax.jit(jax.vmap(over_pictures, (None, 0, 0)))(x, kernels, biases), jax.jit(gradient)
    for member in range(2):
        for picture in range(4):
            alone = gradient(x[picture], kernels[member], biases[member])
            for a, b in zip(mapped, alone, strict=True):
                np.testing.assert_allclose(a[member, picture], b, rtol=1e-4, atol=1e-3)


def test_pictures_that_are_mapped_make_one_batch():
    stack = jax.vmap(lambda x: dense_dilated_stack(x, normal(1, 9, 6), normal(2, 3), (1, 2, 3)))
    products = [
        line for line in str(jax.make_jaxpr(stack)(normal(0, 8, 1, 1, 5, 6))).splitlines() if "dot_general" in line
    ]
    assert products and all(":f32[9,240]" in line for line in products)
