"""Convolutions against those of the library: value, gradients, and every transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.ops import convolution
from segjax.ops.convolution import convolve, strided_convolution, upsample_convolution

LAYOUT = ("NHWC", "HWIO", "NHWC")


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def library(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)


def loop(function, *arguments, mapped):
    """What vmap must equal: the function called for one member at a time."""
    size = next(len(a) for a, axis in zip(arguments, mapped, strict=True) if axis == 0)
    pick = lambda a, axis, m: a[m] if axis == 0 else a  # noqa: E731
    return jnp.stack(
        [function(*(pick(a, axis, m) for a, axis in zip(arguments, mapped, strict=True))) for m in range(size)]
    )


@pytest.mark.parametrize("shape", [(2, 5, 4, 3, 2), (1, 1, 7, 1, 4), (3, 2, 2, 2, 1)])
def test_convolving_equals_the_library(assert_same_gradients, shape):
    b, h, w, c, f = shape
    assert_same_gradients(convolve, library, normal(0, b, h, w, c), normal(1, 3, 3, c, f))


@pytest.mark.parametrize(("size", "stride", "shape"), [(3, 2, (5, 6)), (7, 2, (9, 8)), (3, 2, (1, 2)), (5, 3, (8, 7))])
def test_strided_convolving_equals_the_library(assert_same_gradients, size, stride, shape):
    def theirs(x, kernel):
        margin = ((size // 2, size // 2),) * 2
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), margin, dimension_numbers=LAYOUT)

    ours = lambda x, kernel: strided_convolution(x, kernel, stride)  # noqa: E731
    assert_same_gradients(ours, theirs, normal(0, 2, *shape, 3), normal(1, size, size, 3, 4))
    assert strided_convolution(normal(0, 2, *shape, 3), normal(1, size, size, 3, 4), stride).shape[1:3] == tuple(
        -(-length // stride) for length in shape
    )


# One shape per formulation on CPU, forward and gradient of the kernel, by what XLA is good at.
WAYS = {
    "OF_JAX_0_10": {
        "winograd, winograd": (4, 32, 32, 32, 40),
        "winograd, winograd at an odd size": (3, 41, 39, 32, 32),
        "plain, winograd": (3, 19, 21, 32, 32),
        "plain, product": (2, 5, 3, 64, 64),
        "plain, product of a width that is no multiple of a vector": (2, 5, 6, 12, 20),
        "product, product of maps smaller than the kernel": (3, 2, 5, 24, 40),
        "pairs of columns, plain": (2, 5, 6, 8, 8),
        "pairs of columns of a grey picture": (2, 4, 6, 1, 16),
    },
    "SINCE_JAX_0_11": {
        "winograd, winograd": (4, 32, 32, 128, 129),
        "plain, winograd": (4, 16, 16, 128, 129),
        "plain, product": (2, 5, 3, 64, 64),
        "plain, bands of rows, the last not full": (2, 101, 99, 5, 4),
        "plain, bands of whole pictures": (12, 31, 33, 4, 6),
        "plain, a row of more than a band": (1, 3, 8200, 4, 4),
        "product, product of maps smaller than the kernel": (3, 2, 5, 24, 40),
        "pairs of columns, plain": (2, 4, 6, 1, 16),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize(("limits", "way"), [(limits, way) for limits, ways in WAYS.items() for way in ways])
def test_every_formulation_equals_the_library(monkeypatch, assert_same_gradients, limits, way):
    monkeypatch.setattr(convolution, "LIMITS", getattr(convolution, limits))
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    jax.clear_caches()  # compiled with the limits of the test before
    b, h, w, c, f = WAYS[limits][way]
    pixels = b * h * w
    x, kernel = normal(0, b, h, w, c), normal(1, 3, 3, c, f) / c
    assert_same_gradients(convolve, library, x, kernel, atol=2e-4 * max(1, pixels / 4096) ** 0.5)


FORMULATIONS = {
    convolution._by_pairs,
    convolution._by_product,
    convolution._plain,
    convolution.winograd.convolve,
    convolution._kernel_gradient_by_product,
    convolution._plain_kernel_gradient,
    convolution.winograd.kernel_gradient,
}


@pytest.mark.parametrize("limits", WAYS)
def test_the_shapes_above_take_every_formulation(monkeypatch, limits):
    monkeypatch.setattr(convolution, "LIMITS", getattr(convolution, limits))
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    taken = set()
    for b, h, w, c, f in WAYS[limits].values():
        x, kernel, gradient = jnp.zeros((b, h, w, c)), jnp.zeros((3, 3, c, f)), jnp.zeros((b, h, w, f))
        taken |= {convolution._forward_way(x, kernel), convolution._kernel_gradient_way(x, gradient)}
        with monkeypatch.context() as patch:
            patch.setattr(jax, "default_backend", lambda: "gpu")
            assert convolution._forward_way(x, kernel) is convolution._plain
            assert convolution._kernel_gradient_way(x, gradient) is convolution._plain_kernel_gradient
    in_bands = {convolution._kernel_gradient_in_bands} if convolution.LIMITS.band else set()
    assert taken == FORMULATIONS | in_bands


def test_no_loop_over_pictures_is_made_that_may_lie_on_several_devices(monkeypatch):
    monkeypatch.setattr(convolution, "LIMITS", convolution.SINCE_JAX_0_11)
    x = jnp.zeros(WAYS["SINCE_JAX_0_11"]["plain, bands of whole pictures"][:4])
    ways = {}
    for devices in (1, 2):
        monkeypatch.setattr(jax, "device_count", lambda devices=devices: devices)
        ways[devices] = convolution._kernel_gradient_way(x, x)
    assert ways == {1: convolution._kernel_gradient_in_bands, 2: convolution._kernel_gradient_by_product}


@pytest.mark.parametrize("mapped", [(0, 0), (0, None), (None, 0)])
def test_mapping_equals_a_loop_in_value_and_gradient(assert_same_gradients, mapped):
    shapes = (2, 4, 5, 3), (3, 3, 3, 2)
    x, kernel = (
        normal(seed, *((3,) if axis == 0 else ()), *shape)
        for seed, (axis, shape) in enumerate(zip(mapped, shapes, strict=True))
    )
    ours = jax.vmap(convolve, mapped)
    assert_same_gradients(ours, lambda *a: loop(library, *a, mapped=mapped), x, kernel)


def test_gradients_of_mapped_members_equal_a_loop():
    x, kernel = normal(0, 3, 2, 4, 5, 3), normal(1, 3, 3, 3, 3, 2)
    gradient = jax.grad(lambda x, kernel: jnp.sum(jnp.sin(convolve(x, kernel))), (0, 1))
    expected = jax.grad(lambda x, kernel: jnp.sum(jnp.sin(library(x, kernel))), (0, 1))
    mapped = jax.jit(jax.vmap(gradient))(x, kernel)
    for member in range(3):
        for a, b in zip(mapped, expected(x[member], kernel[member]), strict=True):
            np.testing.assert_allclose(a[member], b, rtol=2e-4, atol=2e-4)


def test_mapping_twice_over_members_and_pictures():
    x, kernel = normal(0, 2, 3, 1, 4, 4, 2), normal(1, 2, 3, 3, 2, 2)
    ours = jax.vmap(jax.vmap(convolve, (0, None)))(x, kernel)
    for member in range(2):
        for picture in range(3):
            np.testing.assert_allclose(
                ours[member, picture], library(x[member, picture], kernel[member]), rtol=1e-4, atol=1e-4
            )


def test_a_shared_kernel_makes_one_batch_of_mapped_pictures():
    text = str(jax.make_jaxpr(jax.vmap(convolve, (0, None)))(normal(0, 8, 1, 4, 4, 2), normal(1, 3, 3, 2, 2)))
    assert text.count("conv_general_dilated") == 1


def test_no_grouped_convolution_is_made_on_cpu():
    members = normal(0, 4, 1, 4, 4, 2), normal(1, 4, 3, 3, 2, 2)
    text = str(jax.make_jaxpr(jax.vmap(jax.grad(lambda k, x: convolve(x, k).sum())))(*members[::-1]))
    assert "feature_group_count=1" in text and "feature_group_count=4" not in text and "group_count=8" not in text


def test_elsewhere_the_library_maps_to_a_grouped_convolution(monkeypatch):
    monkeypatch.setattr(convolution, "APART", ())
    x, kernel = normal(0, 3, 2, 4, 5, 3), normal(1, 3, 3, 3, 3, 2)
    ours = jax.vmap(lambda x, k: convolve(x, k))
    assert "feature_group_count=3" in str(jax.make_jaxpr(ours)(x, kernel))
    np.testing.assert_allclose(ours(x, kernel), loop(library, x, kernel, mapped=(0, 0)), rtol=1e-4, atol=1e-4)


def test_pmap_and_checkpoint(assert_same_gradients):
    x, kernel = normal(0, 2, 2, 4, 4, 2), normal(1, 3, 3, 2, 2)
    np.testing.assert_allclose(
        jax.pmap(convolve, in_axes=(0, None))(x, kernel),
        loop(library, x, kernel, mapped=(0, None)),
        rtol=1e-4,
        atol=1e-4,
    )
    assert_same_gradients(jax.checkpoint(convolve), library, x[0], kernel)


def test_upsampling_equals_the_transposed_convolution_of_the_library(assert_same_gradients):
    def transposed(x, kernel):
        # the library slides the kernel turned by 180 degrees
        return jax.lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "VALID", dimension_numbers=LAYOUT)

    x, kernel = normal(0, 2, 3, 5, 4), normal(1, 2, 2, 4, 3)
    assert_same_gradients(upsample_convolution, transposed, x, kernel)
