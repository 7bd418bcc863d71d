"""Maps that take a layer apart: its pixels are points with a coordinate per channel, and a few directions explain them.

Each picture is taken apart by itself.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.maps.cam import turned
from segjax.maps.layers import Apply, Target, in_chunks, layer_outputs, layers_and_gradients
from segjax.types import InputError

FITTED = 1024  # pixels; the kernel's matrix has the square of it
ROWS = 4096  # pixels that are projected at once
STEPS = 100

Image = Float[Array, "B H W C"]
Map = Float[Array, "B h w"]
Variables = Mapping[str, Any]


class Factors(NamedTuple):
    """A layer as the sum of a few concepts, each a map times a direction; nothing is negative.

    Attributes:
        maps: where each concept is, [h, w, N].
        directions: which channels it is made of, of length 1, [N, K]; all 0 where the layer has fewer concepts.
    """

    maps: Float[Array, "h w N"]
    directions: Float[Array, "N K"]


def kpca_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str, fitted: int = FITTED) -> Map:
    """KPCA-CAM: projection of each pixel's channels, their means removed, on the first component of kernel PCA.

    The kernel of two pixels is tanh(a b / K + 1), K the number of channels. The target is not used: the map shows what
    varies most. It is turned so that the largest magnitude is positive.

    Args:
        fitted: a layer of more pixels is fitted on about as many, on a regular grid, and all are projected.

    Source: Karmani et al., IEEE MMSP (2024); kernel and its constants as in the package grad-cam.
    """
    activations = layer_outputs(apply, variables, image, [layer])[layer].astype(jnp.float32)
    return jax.lax.map(partial(_first_kernel_component, fitted=fitted), activations)


def deep_feature_factorisation(
    apply: Apply, variables: Variables, image: Image, target: Target, layer: str, concepts: int = 4
) -> Map:
    """Deep feature factorisation: the concept that speaks most for the target, as what each cell contributes to it.

    max(A, 0) is factorised into `concepts` maps W and directions D (`factorise`). A concept's contribution is (w D) W,
    w = mean(g) as in Grad-CAM; the map is that of the concept with the largest sum. All contributions together are
    Grad-CAM of the factorised layer. The paper has no target: it shows W of every concept.

    Raises:
        InputError: `concepts` is under 1.

    Source: Collins, Achanta and Süsstrunk, ECCV (2018).
    """
    _, layers, gradients = layers_and_gradients(apply, variables, image, target, [layer])
    activations = jax.nn.relu(layers[layer].astype(jnp.float32))
    maps, directions = jax.lax.map(partial(factorise, concepts=concepts), activations)
    weights = jnp.einsum("bnk,bk->bn", directions, gradients[layer].mean((1, 2)).astype(jnp.float32))
    contributions = maps * weights[:, None, None]
    best = jnp.argmax(contributions.sum((1, 2)), -1)
    return jnp.take_along_axis(contributions, best[:, None, None, None], -1)[..., 0]


def factorise(activations: Float[Array, "h w K"], concepts: int = 4) -> Factors:
    """Non-negative matrix factorisation of a layer of one picture: A about sum over concepts of map times direction.

    The directions begin as the pixels of a successive projection, which finds the concepts where each has a pixel of
    its own. Then maps and directions are fitted in turn, 100 times, one concept after the other (HALS). Nothing is
    drawn at random.

    Args:
        activations: nowhere negative.

    Raises:
        InputError: `concepts` is under 1.

    Source: Araújo et al., Chemometrics and Intelligent Laboratory Systems 57 (2001), for the beginning; Cichocki and
        Phan, IEICE Transactions E92-A (2009), for the rest.
    """
    if concepts < 1:
        raise InputError(f"concepts must be 1 or more, not {concepts}")
    height, width, channels = activations.shape
    pixels = activations.reshape(-1, channels)

    def fit(_, factors):
        maps, directions = factors
        maps = _fitted(maps, pixels @ directions.T, directions @ directions.T)
        return maps, _fitted(directions.T, pixels.T @ maps, maps.T @ maps).T

    start = jnp.zeros((len(pixels), concepts), pixels.dtype), _extreme_pixels(pixels, concepts)
    maps, directions = jax.lax.fori_loop(0, STEPS, fit, start)
    lengths = jnp.linalg.norm(directions, axis=-1)
    return Factors((maps * lengths[None]).reshape(height, width, concepts), directions / _divisor(lengths)[:, None])


def _extreme_pixels(pixels: Float[Array, "P K"], count: int) -> Float[Array, "{count} K"]:
    """The longest pixel, then the one with the longest part at right angles to those chosen, and so on."""

    def choose(rest, _):
        lengths = jnp.linalg.norm(rest, axis=-1)
        place = jnp.argmax(lengths)
        axis = rest[place] / _divisor(lengths[place])
        return rest - jnp.outer(rest @ axis, axis), place

    _, places = jax.lax.scan(choose, pixels, length=count)
    return pixels[places]


def _fitted(
    factors: Float[Array, "P N"], products: Float[Array, "P N"], squares: Float[Array, "N N"]
) -> Float[Array, "P N"]:
    """Each column in turn as the non-negative least squares fit with the others held."""

    def fit(column, found):
        change = (products[:, column] - found @ squares[:, column]) / _divisor(squares[column, column])
        return found.at[:, column].set(jax.nn.relu(found[:, column] + change))

    return jax.lax.fori_loop(0, factors.shape[1], fit, factors)


def _first_kernel_component(activations: Float[Array, "h w K"], fitted: int) -> Float[Array, "h w"]:
    height, width, channels = activations.shape
    centred = activations - activations.mean((0, 1), keepdims=True)
    step = math.ceil(math.sqrt(height * width / fitted))
    some = centred[min(step, height) // 2 :: step, min(step, width) // 2 :: step].reshape(-1, channels)

    def kernel(pixels):
        # tanh(x + 1) - tanh(1), so that small values are not rounded away; centring removes the constant
        at_one, part = math.tanh(1), jnp.tanh(pixels @ some.T / channels)
        return part * (1 - at_one**2) / (1 + at_one * part)

    plain = kernel(some)
    by_pixel, overall = plain.mean(0, keepdims=True), plain.mean()
    values, vectors = jnp.linalg.eigh(plain - by_pixel - by_pixel.T + overall)
    largest = jax.nn.relu(values[-1])
    direction = jnp.where(largest > 0, vectors[:, -1] / jnp.sqrt(_divisor(largest)), 0)

    def project(pixels):
        found = kernel(pixels)
        return (found - found.mean(-1, keepdims=True) - by_pixel + overall) @ direction

    return turned(in_chunks(project, centred.reshape(-1, channels), ROWS)).reshape(height, width)


def _divisor(value: Float[Array, "*S"]) -> Float[Array, "*S"]:
    """The value, and 1 where it is 0: what is divided by it is 0 there."""
    return jnp.where(value > 0, value, 1)
