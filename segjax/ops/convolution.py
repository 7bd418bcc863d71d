"""Convolutions that stay fast in their gradients and under `vmap` over weights.

Mapped over weights, XLA makes one grouped convolution of several, which on CPU is 4 to 5 times slower than one after
the other (`experiments/results/benchmarks/packs.csv`). So the three convolutions of a layer (forward, gradient of the
picture, gradient of the kernel) each carry a batching rule of their own: `jax.custom_batching.custom_vmap` inside
`jax.custom_vjp`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

# Single-thread times of the weight gradient on CPU, ms, convolution against matrix product, by (batch, side, C, F):
# (4, 32, 128, 128) 12.4 / 7.8; (4, 32, 64, 128) 6.0 / 3.8; (4, 16, 256, 256) 7.9 / 7.0; (4, 64, 64, 64) 9.6 / 9.8;
# (4, 128, 32, 32) 11.4 / 39.7; (4, 256, 16, 16) 36.9 / 71.6; (8, 64, 16, 16) 2.0 / 2.6.
PRODUCT_CHANNELS = 64  # from here on, in and out, the matrix product is used on CPU


@jax.custom_vjp
def convolve(x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C F"]) -> Float[Array, "B H W F"]:
    """3x3 convolution with zero padding: out[p] = sum over taps t of x[p + t - 1] @ kernel[t]."""
    return _forward(x, kernel)


def _convolve_forward(x, kernel):
    return _forward(x, kernel), (x, kernel)


def _convolve_backward(residuals, gradient):
    x, kernel = residuals
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _forward(gradient, turned), _kernel_gradient(x, gradient)


convolve.defvjp(_convolve_forward, _convolve_backward)


def upsample_convolution(x: Float[Array, "B H W C"], kernel: Float[Array, "2 2 C F"]) -> Float[Array, "B 2*H 2*W F"]:
    """Transposed 2x2 convolution of stride 2: out[2 i + a, 2 j + b] = x[i, j] @ kernel[a, b].

    The windows do not overlap, so it is one matrix product and a rearrangement.
    """
    b, h, w, _ = x.shape
    blocks = jnp.einsum("bhwc,rscf->bhrwsf", x, kernel)
    return blocks.reshape(b, 2 * h, 2 * w, kernel.shape[-1])


def _mapped(function: Callable[..., Array], shares_kernel: bool) -> Callable[..., Array]:
    """The function with a batching rule: on CPU one call per member, elsewhere the grouped convolution of XLA.

    Args:
        shares_kernel: the second argument is a kernel; where it is not mapped, all pictures make one batch.
    """
    mapped = custom_vmap(function)

    @mapped.def_vmap
    def rule(size, is_mapped, first, second):
        if shares_kernel and is_mapped[0] and not is_mapped[1]:
            together = mapped(first.reshape(-1, *first.shape[2:]), second)
            return together.reshape(*first.shape[:2], *together.shape[1:]), True
        axes = tuple(0 if part else None for part in is_mapped)
        if jax.default_backend() != "cpu":
            return jax.vmap(function, axes)(first, second), True
        members = [
            mapped(*(part[m] if axis == 0 else part for part, axis in zip((first, second), axes, strict=True)))
            for m in range(size)
        ]
        return jnp.stack(members), True

    return mapped


def _plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _plain_kernel_gradient(x, gradient):
    channels = x.shape[-1], gradient.shape[-1]
    if jax.default_backend() == "cpu" and min(channels) >= PRODUCT_CHANNELS:
        return _kernel_gradient_by_product(x, gradient)
    blank = jnp.zeros((3, 3, *channels), x.dtype)
    return jax.linear_transpose(lambda kernel: _plain(x, kernel), blank)(gradient)[0]


def _kernel_gradient_by_product(x, gradient):
    """All nine taps as one product of pictures shifted by columns with gradients shifted by rows."""
    _, h, w, c = x.shape
    f = gradient.shape[-1]
    wide = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    tall = jnp.pad(gradient, ((0, 0), (1, 1), (0, 0), (0, 0)))
    columns = jnp.stack([wide[:, :, v : v + w] for v in range(3)], 3).reshape(-1, 3 * c)
    rows = jnp.stack([tall[:, 2 - u : 2 - u + h] for u in range(3)], 3).reshape(-1, 3 * f)
    return (columns.T @ rows).reshape(3, c, 3, f).transpose(2, 0, 1, 3)


_forward = _mapped(_plain, shares_kernel=True)
_kernel_gradient = _mapped(_plain_kernel_gradient, shares_kernel=False)
