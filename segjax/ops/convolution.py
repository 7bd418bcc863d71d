"""Convolutions that stay fast in their gradients and under `vmap` over weights.

Mapped over weights, XLA makes one grouped convolution of several, which on CPU is 3 to 4 times slower than one after
the other (`experiments/benchmarks/results/packs.csv`). So the three convolutions of a layer (forward, gradient of the
picture, gradient of the kernel) each carry a batching rule of their own: `jax.custom_batching.custom_vmap` inside
`jax.custom_vjp`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from segjax.ops import winograd
from segjax.ops.symbols import has_symbols


@jax.custom_vjp
def convolve(
    x: Float[Array | np.ndarray, "B H W C"], kernel: Float[Array | np.ndarray, "3 3 C F"]
) -> Float[Array, "B H W F"]:
    """3x3 convolution with zero padding: out[p] = sum over taps t of x[p + t - 1] @ kernel[t]."""
    return _forward(x, kernel)


def _convolve_forward(x, kernel):
    return _forward(x, kernel), (x, kernel)


def _convolve_backward(residuals, gradient):
    x, kernel = residuals
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _forward(gradient, turned), _kernel_gradient(x, gradient)


convolve.defvjp(_convolve_forward, _convolve_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def strided_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "S S C F"], stride: int
) -> Float[Array, "B h w F"]:
    """Convolution of odd size S, S // 2 zeros around: out[p] = sum over t of x[stride p + t - S // 2] @ kernel[t]."""
    return _mapped(partial(_strided_way(x, kernel), stride=stride), shares_kernel=True)(x, kernel)


def _strided_forward(x, kernel, stride):
    return strided_convolution(x, kernel, stride), (x, kernel)


def _strided_backward(stride, residuals, gradient):
    x, kernel = residuals

    def of_picture(gradient, kernel):
        way, blank = _strided_way(gradient, kernel), jnp.zeros((gradient.shape[0], *x.shape[1:]), x.dtype)
        return jax.linear_transpose(lambda x: way(x, kernel, stride), blank)(gradient)[0]

    def of_kernel(x, gradient):
        way, blank = _strided_way(x, kernel), jnp.zeros(kernel.shape, kernel.dtype)
        return jax.linear_transpose(lambda kernel: way(x, kernel, stride), blank)(gradient)[0]

    return (
        _mapped(of_picture, shares_kernel=True)(gradient, kernel),
        _mapped(of_kernel, shares_kernel=False)(x, gradient),
    )


strided_convolution.defvjp(_strided_forward, _strided_backward)


def upsample_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array | np.ndarray, "2 2 C F"]
) -> Float[Array, "B 2*H 2*W F"]:
    """Transposed 2x2 convolution of stride 2: out[2 i + a, 2 j + b] = x[i, j] @ kernel[a, b].

    The windows do not overlap, so it is one matrix product and a rearrangement.
    """
    b, h, w, c = x.shape
    f = kernel.shape[-1]
    # As an einsum XLA gives the product pixels last, several times slower to rearrange.
    blocks = jnp.matmul(
        x.reshape(-1, c), kernel.transpose(2, 0, 1, 3).reshape(c, 4 * f), preferred_element_type=jnp.float32
    )
    blocks = blocks.astype(x.dtype).reshape(b, h, w, 2, 2, f)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, f)


# Backends where members of a pack are convolved one by one. On a GPU grouped convolutions are faster, as far as it was
# measured: a step of 8 small U-Nets (H200, TF32) takes 7.1 ms under plain vmap, 9.2 with a convolution per member, 24
# member after member.
APART = ("cpu",)


def _mapped(function: Callable[..., Array], shares_kernel: bool) -> Callable[..., Array]:
    """The function with a batching rule: one call per member on the backends of `APART`, elsewhere XLA's grouped one.

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
        if jax.default_backend() not in APART:
            return jax.vmap(function, axes)(first, second), True
        members = [
            mapped(*(part[m] if axis == 0 else part for part, axis in zip((first, second), axes, strict=True)))
            for m in range(size)
        ]
        return jnp.stack(members), True

    return mapped


class Limits(NamedTuple):
    """From which sizes on a 3x3 layer is computed in which way on CPU; the fastest in the table, else the plain one.

    Attributes:
        winograd: channels, in and out, from which on the forward convolution is Winograd's, where
        pixels: the batch has so many.
        winograd_gradient, pixels_gradient: the same for the kernel's gradient.
        product: channels, in and out, from which on the kernel's gradient is one product.
        band: pixels at a time in that product; none: all.
        few, some, out: pairs of columns are taken up to `few` channels in; or up to `some` in and `out` out.
        vector: channels that the processor handles at once; of other multiples the plain kernel gradient is slow.
    """

    winograd: int
    pixels: int
    winograd_gradient: int
    pixels_gradient: int
    product: int
    band: int | None
    few: int
    some: int
    out: int
    vector: int


# Milliseconds on 2 cores by (batch, side, C, F), memory in huge pages. JAX 0.10, AVX2:
#                        forward: plain  winograd  pairs     kernel gradient: plain  product  winograd
# (4, 64, 64, 64)                  14.5       6.9   14.2                       31.6     13.5      12.5
# (4, 32, 128, 128)                 8.2       5.8   11.1                       16.5      9.5       7.4
# (4, 16, 256, 256)                 8.7       7.6   16.0                       12.8      8.5       6.9
# (4, 8, 256, 256)                  4.3       5.8    5.7                        7.4      3.0       4.0
# (4, 128, 32, 32)                 16.7      14.3   20.9                       37.3     26.4      26.1
# (8, 32, 32, 32)                   2.2       2.2    2.7                        4.5      3.2       3.0
# (4, 128, 16, 32)                  9.5      14.6   12.4                       21.5     17.1      15.6
# (4, 256, 16, 16)                 23.9      47.4   24.4                       30.4     34.3      44.0
# (2, 256, 12, 12)                 15.5      17.8    6.5                       50.7     23.0      25.1
# (8, 128, 8, 8)                    3.5       5.3    2.2                        4.3      7.6       9.3
# (4, 256, 1, 16)                  17.1       8.7    3.7                        4.3     16.6      23.1
# Maps smaller than the kernel XLA takes pixel by pixel: (64, 2, 512, 512) forward plain 768, by product 5.6; both
# gradients of it 1496 and 20; gradient of the picture at stride 2, (16, 4, 256, 512), 73.5 and 0.8 (one core, AVX-512).
# With AVX-512:
#   forward, plain and Winograd: (4, 16, 256, 256) 2.7 and 5.4; (16, 14, 256, 256) 8.4 and 9.7; (4, 32, 256, 128) 5.5
#   and 5.7; (4, 64, 64, 64) 5.2 and 3.5; (16, 28, 256, 256) 37 and 31. Kernel gradients (4, 16, 256, 256) 4.0 and 2.7.
#   forward, plain and pairs: (4, 256, 16, 16) 6.2 and 7.3; (8, 128, 8, 8) 4.0 and 1.3.
OF_JAX_0_10 = Limits(32, 4096, 32, 1024, product=64, band=None, few=3, some=16, out=12, vector=8)
# From JAX 0.11 on YNNPACK, by which XLA convolves all but few channels, is up to twice as fast. JAX 0.12, AVX-512:
#                        forward: plain  winograd  pairs     kernel gradient: plain  product  in bands  winograd
# (4, 64, 64, 64)                   2.7       2.6      -                        5.6      5.7       4.9       5.8
# (4, 32, 128, 128)                 2.9       2.0      -                        6.5      4.4       4.0       3.0
# (4, 16, 256, 256)                 3.0       2.7      -                        5.0      3.1         -       2.8
# (4, 32, 256, 128)                 5.8       4.8      -                       12.4      7.8         -       6.1
# (4, 8, 256, 256)                  0.9       1.8      -                        1.3      1.0         -       1.2
# (4, 128, 32, 32)                  2.8       6.3      -                        7.4     10.6       6.2      10.3
# (8, 32, 32, 32)                   0.4       0.6      -                        0.9      0.7         -       0.7
# (4, 256, 32, 16)                 12.0         -    8.9                       23.2     31.9      13.6      33.5
# (4, 128, 64, 16)                  3.9         -    4.6                          -        -         -         -
# (4, 256, 16, 16)                  7.1      16.7    5.2                       12.9     15.6       8.3      22.3
# (8, 128, 8, 8)                    2.6         -    1.6                        2.1      2.3       1.5       4.7
# (4, 256, 4, 16)                   6.4         -    2.6                          -        -         -         -
# (4, 256, 1, 16)                   3.7         -    1.0                        1.3      7.1       4.5      10.4
# JAX 0.10 is slower in bands than at once: (4, 256, 16, 16) 28.7 and 15.3.
SINCE_JAX_0_11 = Limits(128, 4096, 128, 1024, product=4, band=8192, few=4, some=16, out=16, vector=1)
LIMITS = SINCE_JAX_0_11 if jax.__version_info__ >= (0, 11) else OF_JAX_0_10
COPIED_NUMBERS = 2**24  # up to so many in input and output together, of which Winograd and the product hold several


def _copies_fit(pixels: int, c: int, f: int) -> bool:
    return pixels * (c + f) <= COPIED_NUMBERS


def _is_small(x, size: int) -> bool:
    return min(x.shape[1:3]) < size


def _is_chosen_by_size(x) -> bool:
    """Whether there are several ways; a program that is exported for any size and backend takes the plain one."""
    return jax.default_backend() == "cpu" and not has_symbols(x)


def _strided_way(x, kernel) -> Callable[..., Array]:
    return _by_product if _is_chosen_by_size(x) and _is_small(x, len(kernel)) else _strided


def _forward_way(x, kernel) -> Callable[..., Array]:
    if not _is_chosen_by_size(x):
        return _plain
    _, _, c, f = kernel.shape
    pixels = x.size // c
    if _is_small(x, 3):
        return _by_product
    if x.dtype.itemsize < 4:
        return _plain  # the table is of float32; sums of Winograd's products need its digits
    if min(c, f) >= LIMITS.winograd and pixels >= LIMITS.pixels and _copies_fit(pixels, c, f):
        return winograd.convolve
    if x.shape[2] % 2 == 0 and (c <= LIMITS.few or (c <= LIMITS.some and f <= LIMITS.out)):
        return _by_pairs
    return _plain


def _kernel_gradient_way(x, gradient) -> Callable[..., Array]:
    c, f = x.shape[-1], gradient.shape[-1]
    pixels = x.size // c
    if jax.default_backend() != "cpu":
        return _plain_kernel_gradient
    if _is_small(x, 3):
        return _kernel_gradient_by_product
    if x.dtype.itemsize < 4:
        return _plain_kernel_gradient
    fits = _copies_fit(pixels, c, f)
    if min(c, f) >= LIMITS.winograd_gradient and pixels >= LIMITS.pixels_gradient and fits:
        return winograd.kernel_gradient
    slow = min(c, f) > LIMITS.vector and (c % LIMITS.vector or f % LIMITS.vector)
    if min(c, f) >= LIMITS.product or slow:
        # a loop would gather the pictures that a mesh spreads over devices
        if LIMITS.band and pixels > LIMITS.band and jax.device_count() == 1:
            return _kernel_gradient_in_bands
        if fits:
            return _kernel_gradient_by_product
    return _plain_kernel_gradient


def _plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_pairs(x, kernel):
    """Two neighbouring columns at a time, as one pixel of twice the channels: more work in fewer, wider products."""
    b, h, w, _ = x.shape
    f = kernel.shape[-1]
    pair = jnp.concatenate([jnp.pad(kernel, [(0, 0), (j, 1 - j), (0, 0), (0, 0)]) for j in range(2)], axis=-1)
    numbers = ("NHWC", "HWIO", "NHWC")
    out = jax.lax.conv_general_dilated(x, pair, (1, 2), ((1, 1), (1, 1)), dimension_numbers=numbers)
    return out.reshape(b, h, w, f)


def _strided(x, kernel, stride):
    margin = (kernel.shape[0] // 2,) * 2
    axes = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), (margin, margin), dimension_numbers=axes)


def _by_product(x, kernel, stride=1):
    """All taps side by side as channels, and one product."""
    size, margin = len(kernel), len(kernel) // 2
    padded = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = x.shape[1:3]
    taps = [padded[:, u : u + height : stride, v : v + width : stride] for u in range(size) for v in range(size)]
    return jnp.concatenate(taps, -1) @ kernel.reshape(-1, kernel.shape[-1])


def _plain_kernel_gradient(x, gradient):
    blank = jnp.zeros((3, 3, x.shape[-1], gradient.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda kernel: _plain(x, kernel), blank)(gradient)[0]


def _kernel_gradient_by_product(x, gradient):
    """All nine taps as one product of pictures shifted by columns with gradients shifted by rows."""
    wide, tall = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0))), jnp.pad(gradient, ((0, 0), (1, 1), (0, 0), (0, 0)))
    return _taps(wide, tall)


def _kernel_gradient_in_bands(x, gradient):
    """The same, summed over whole pictures or bands of rows, so few pixels that their copies stay in the caches."""
    pictures, height, width, c = x.shape
    together = max(
        n for n in range(1, pictures + 1) if pictures % n == 0 and (n == 1 or n * height * width <= LIMITS.band)
    )
    bands = -(-height // max(1, LIMITS.band // width))
    rows = -(-height // bands)
    missing = bands * rows - height
    wide = jnp.pad(x, ((0, 0), (0, missing), (1, 1), (0, 0)))
    tall = jnp.pad(gradient, ((0, 0), (1, 1 + missing), (0, 0), (0, 0)))

    def add(index, total):
        at = (index // bands * together, index % bands * rows, 0, 0)
        part = jax.lax.dynamic_slice(wide, at, (together, rows, *wide.shape[2:]))
        return total + _taps(part, jax.lax.dynamic_slice(tall, at, (together, rows + 2, *tall.shape[2:])))

    blank = jnp.zeros((3, 3, c, gradient.shape[-1]), x.dtype)
    return jax.lax.fori_loop(0, pictures // together * bands, add, blank)


def _taps(wide: Float[Array, "B H Wide C"], tall: Float[Array, "B Tall W F"]) -> Float[Array, "3 3 C F"]:
    """Kernel gradient of pictures with a column more on either side, and of gradients with a row more."""
    h, w, c, f = wide.shape[1], tall.shape[2], wide.shape[3], tall.shape[3]
    columns = jnp.stack([wide[:, :, v : v + w] for v in range(3)], 3).reshape(-1, 3 * c)
    rows = jnp.stack([tall[:, 2 - u : 2 - u + h] for u in range(3)], 3).reshape(-1, 3 * f)
    return (columns.T @ rows).reshape(3, c, 3, f).transpose(2, 0, 1, 3)


_forward = _mapped(lambda x, kernel: _forward_way(x, kernel)(x, kernel), shares_kernel=True)
_kernel_gradient = _mapped(lambda x, gradient: _kernel_gradient_way(x, gradient)(x, gradient), shares_kernel=False)
