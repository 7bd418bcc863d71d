"""Layers and rules shared by the networks; each computes in the number format of its input.

Biases are added in float32, because their gradients are sums over all pixels.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from segjax.models.options import one_of
from segjax.models.probe import Named, Relu
from segjax.ops.convolution import convolve, strided_convolution, upsample_convolution
from segjax.ops.symbols import has_symbols
from segjax.types import InputError

NORM = one_of("batch", "running", "group", "none")
DTYPE = one_of("float32", "bfloat16")
Maps = dict[str, Float[Array, "B *rest"]]  # feature maps by name
# For products: sums in 32 bits, those of their gradients too, which on CPU would stop growing in 16.
IN_32_BITS: Any = {"preferred_element_type": jnp.float32}


def fan_in_uniform(fan_in: int) -> nn.initializers.Initializer:
    """Uniform on [-1 / sqrt(fan_in), 1 / sqrt(fan_in)], the default of PyTorch for kernels and biases."""
    bound = 1 / math.sqrt(fan_in)

    def initialise(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return initialise


class Norm(nn.Module):
    """Normalisation of each channel to mean 0 and variance 1 (epsilon 1e-5), then a learned scale and shift.

    Attributes:
        kind: "batch": statistics of the batch at hand, in training and in testing, no state; "running": those in
            training, their running averages (momentum 0.9, collection `batch_stats`) in testing; "group": statistics
            of each picture over groups of channels; "none": nothing is done.
        axis: name of a mapped axis (`jax.pmap`) that the batch is spread over; statistics are taken over all of it.
    """

    kind: str
    axis: str | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, present: Bool[Array, " B"] | None = None
    ) -> Float[Array, "B H W C"]:
        """With `present`, only the pictures that it marks count for statistics of the batch."""
        mask = None if present is None else present[:, None, None, None]
        if self.kind == "none":
            return x
        if self.kind == "group":
            return nn.GroupNorm(num_groups=math.gcd(x.shape[-1], 8), epsilon=1e-5, dtype=x.dtype, name="group")(x)
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        numbers = x.astype(jnp.promote_types(x.dtype, jnp.float32))  # sums over a batch need more digits than its maps
        statistics = self._running(numbers, train, mask) if self.kind == "running" else self._statistics(numbers, mask)
        mean, variance = statistics
        factor = scale.reshape(1, 1, 1, -1) * jax.lax.rsqrt(variance + 1e-5)
        return ((numbers - mean) * factor + bias.reshape(1, 1, 1, -1)).astype(x.dtype)

    def _running(self, x, train, mask):
        """Statistics of the batch in training, which move the running ones by a tenth; the running ones in testing."""
        shape = (1, 1, 1, x.shape[-1])
        averages = [
            self.variable("batch_stats", name, start, shape) for name, start in (("mean", jnp.zeros), ("var", jnp.ones))
        ]
        if not train:
            return [average.value for average in averages]
        found = self._statistics(x, mask)
        if not self.is_initializing():
            for average, value in zip(averages, found, strict=True):
                average.value = 0.9 * average.value + 0.1 * value
        return found

    def _statistics(self, x, mask):
        mean = self._mean(x, mask)
        return mean, self._mean(jnp.square(x - mean), mask)

    def _mean(self, x, mask):
        if self.axis is None:
            return x.mean((0, 1, 2), keepdims=True, where=mask)
        count = (x.shape[0] if mask is None else mask.sum()) * x.shape[1] * x.shape[2]
        total = x.sum((0, 1, 2), keepdims=True, where=mask)
        return jax.lax.psum(total, self.axis) / jax.lax.psum(jnp.asarray(count, x.dtype), self.axis)


class Block(nn.Module):
    """3x3 convolutions with zero padding, each followed by `Norm` and ReLU; `bias` and `initialise` as there."""

    widths: Sequence[int]
    norm: str
    axis: str | None = None
    bias: bool = True
    initialise: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, present: Bool[Array, " B"] | None = None
    ) -> Float[Array, "B H W F"]:
        for layer, width in enumerate(self.widths):
            x = Convolution(width, 3, bias=self.bias, initialise=self.initialise, name=f"conv{layer}")(x)
            x = Relu(name=f"relu{layer}")(Norm(self.norm, self.axis, name=f"norm{layer}")(x, train, present))
        return x


def block_maker(
    norm: str, axis: str | None, remat: bool, train: bool, present: Any, **options: Any
) -> Callable[..., Any]:
    """The function (widths, name, x) -> output of a `Block`; with `remat` its inner maps are computed twice."""
    layer = nn.remat(Block, static_argnums=(2,)) if remat else Block
    return lambda widths, name, x: layer(tuple(widths), norm, axis, **options, name=name)(x, train, present)


class Upsample(nn.Module):
    """Transposed 2x2 convolution of stride 2 that keeps the number of channels."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
        channels = x.shape[-1]
        initialise = fan_in_uniform(4 * channels)
        kernel = self.param("kernel", initialise, (2, 2, channels, channels))
        bias = self.param("bias", initialise, (channels,))
        return (upsample_convolution(x, kernel.astype(x.dtype)) + bias.reshape(1, 1, 1, -1)).astype(x.dtype)


class Convolution(nn.Module):
    """Convolution with zero padding.

    Attributes:
        width: channels of the output.
        size: odd; 1, 3 or 7.
        stride: every how manieth row and column is computed, from the first.
        bias: whether a number per channel is added.
        initialise: initialiser of the kernel (and a bias of zeros); None: both as PyTorch does.
    """

    width: int
    size: int
    stride: int = 1
    bias: bool = True
    initialise: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w F"]:
        channels = x.shape[-1]
        uniform = fan_in_uniform(self.size * self.size * channels)
        kernel = self.param("kernel", self.initialise or uniform, (self.size, self.size, channels, self.width))
        kernel = kernel.astype(x.dtype)
        # of sizes that are symbols, only convolutions alike show that both branches of a residual block have one size
        if self.size == 1 and (self.stride == 1 or not has_symbols(x)):
            out = jnp.einsum("bhwc,cf->bhwf", x[:, :: self.stride, :: self.stride], kernel[0, 0], **IN_32_BITS)
        elif self.size == 3 and self.stride == 1:
            out = convolve(x, kernel)
        else:
            out = strided_convolution(x, kernel, self.stride)
        if not self.bias:
            return out.astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros if self.initialise else uniform, (self.width,))
        return (out + bias.reshape(1, 1, 1, -1)).astype(x.dtype)


class Linear(nn.Module):
    """Weighted sums of everything that a picture has left, [B, ...] -> [B, F], initialised as `Convolution` is."""

    width: int
    bias: bool = True
    initialise: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B *rest"]) -> Float[Array, "B F"]:
        uniform = fan_in_uniform(math.prod(x.shape[1:]))
        kernel = self.param("kernel", self.initialise or uniform, (*x.shape[1:], self.width))
        out = jnp.tensordot(x, kernel.astype(x.dtype), axes=x.ndim - 1, **IN_32_BITS)
        if not self.bias:
            return out.astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros if self.initialise else uniform, (self.width,))
        return (out + bias[None]).astype(x.dtype)


def answer(logits: Array, maps: dict[str, Array], features: bool) -> Any:
    """What a network returns, in float32 whatever it computes in: logits, and with `features` the maps beside them."""
    return jax.tree.map(lambda x: x.astype(jnp.float32), (logits, maps) if features else logits)


def standardised(
    network: str,
    image: Float[Array, "B H W C"],
    mean: float | tuple[float, ...],
    std: float | tuple[float, ...],
) -> Float[Array, "B H W C"]:
    """(image - mean) / std as the layer "input"; each a number, or one per channel.

    Raises:
        InputError: another count of numbers than the picture has channels.
    """
    given = {"input_mean": mean, "input_std": std}
    centre, spread = (_per_channel(network, name, value, image.shape[-1]) for name, value in given.items())
    return Named(name="input")((image - centre) / spread, -centre / spread)


def _per_channel(network: str, name: str, value: Any, channels: int) -> Float[Array, "1 1 1 _"]:
    values = jnp.atleast_1d(jnp.asarray(value, jnp.float32))
    if values.size not in (1, channels):
        raise InputError(
            f"network {network}: {name} has {values.size} numbers, but the picture has {channels} channels"
        )
    return values.reshape(1, 1, 1, -1)


def check_size(network: str, image: Float[Array, "B H W C"], smallest: int, why: str) -> None:
    """Refuse pictures that are too small for the network.

    Raises:
        InputError: states the smallest size and what decides it.
    """
    height, width = image.shape[1:3]
    if height < smallest or width < smallest:  # not min(): sizes may be symbols, of which neither need be the smaller
        raise InputError(
            f"network {network}: pictures must be at least {smallest} x {smallest} pixels ({why}), "
            f"not {height} x {width}"
        )


def hourglass_receptive_field(down: Sequence[int], bottom: int, up: Sequence[int]) -> int:
    """Side in pixels of the largest window that one output pixel of a pooling and unpooling network depends on.

    Args:
        down: 3x3 convolutions before the pooling of each level, full resolution first.
        bottom: 3x3 convolutions at the lowest resolution.
        up: 3x3 convolutions after the unpooling of each level, full resolution first.
    """

    def side(pixel: int) -> int:
        first = last = pixel
        for count in up:
            first, last = (first - count) // 2, (last + count) // 2
        first, last = first - bottom, last + bottom
        for count in reversed(down):
            first, last = 2 * first - count, 2 * last + 1 + count
        return last - first + 1

    return max(side(pixel) for pixel in range(2 ** len(down)))
