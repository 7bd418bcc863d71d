"""Maps from gradients with respect to the picture, and from biases: no layer has to be chosen.

Results are signed sums over the picture's channels, float32 [B, H, W].
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from segjax.maps.layers import Apply, Target
from segjax.maps.scaling import upsample

Image = Float[Array, "B H W C"]
FullMap = Float[Array, "B H W"]
Variables = Mapping[str, Any]


def guided_backprop(apply: Apply, variables: Variables, image: Image, target: Target) -> FullMap:
    """Gradient of the target, every ReLU letting only positive gradients pass.

    It sharpens edges of the picture whatever the classifier learned; see `segjax.evaluation` for the test of that.

    Source: Springenberg et al., ICLR workshop (2015).
    """
    return _gradient(apply, variables, image, target, guided=True).sum(-1)


def smooth_grad(
    key: Key[Array, ""],
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    samples: int = 32,
    noise: float = 0.15,
) -> FullMap:
    """SmoothGrad: mean gradient over copies of the picture with Gaussian noise.

    Args:
        noise: standard deviation, as a share of each picture's range of values.

    Source: Smilkov et al., arXiv:1706.03825 (2017).
    """
    deviation = noise * (jnp.max(image, (1, 2, 3), keepdims=True) - jnp.min(image, (1, 2, 3), keepdims=True))

    def add(total, key):
        noisy = image + deviation * jax.random.normal(key, image.shape, image.dtype)
        return total + _gradient(apply, variables, noisy, target), None

    total, _ = jax.lax.scan(add, jnp.zeros_like(image), jax.random.split(key, samples))
    return total.sum(-1) / samples


def integrated_gradients(
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    baseline: Float[Array, "#B #H #W #C"] | None = None,
    steps: int = 64,
) -> FullMap:
    """Integrated gradients: (x - x0) times the mean gradient on the straight line from the baseline x0 to x.

    A map sums to y(x) - y(x0), up to the error of the midpoint rule.

    Args:
        baseline: x0, broadcasting with the pictures; by default each picture's own mean, channel by channel. (On film
            black is not "nothing".)
        steps: points of the midpoint rule.

    Source: Sundararajan, Taly and Yan, ICML (2017).
    """
    start = own_mean(image) if baseline is None else baseline
    difference = image - start

    def add(total, share):
        return total + _gradient(apply, variables, start + share * difference, target), None

    total, _ = jax.lax.scan(add, jnp.zeros_like(image), (jnp.arange(steps) + 0.5) / steps)
    return jnp.sum(difference * total, -1) / steps


def full_gradients(
    apply: Apply, variables: Variables, image: Image, target: Target
) -> tuple[FullMap, dict[str, Float[Array, "B *_"]]]:
    """The parts that a piecewise linear network's target is the sum of: the picture's, and one per layer with a bias.

    y = sum of x dy/dx (over channels: the first result, [B, H, W]) + for every layer, sum of b dy/db, b the constant
    that the layer adds at every pixel (the second, in the layer's shape, [B, h, w, K] or [B, K]).

    Raises:
        InputError: the network has a normalisation that depends on the picture; it is not piecewise linear.

    Source: Srinivas and Fleuret, NeurIPS (2019), proposition 1.
    """
    _, constants = apply(variables, image, constants=True)

    def scored(picture, taps):
        return jnp.sum(target(apply(variables, picture, taps=taps)))

    taps = jax.tree.map(jnp.zeros_like, constants)
    by_picture, by_layer = jax.grad(scored, (0, 1))(image, taps)
    return jnp.sum(image * by_picture, -1), {name: constants[name] * part for name, part in by_layer.items()}


def full_grad(
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    psi: Callable[[Float[Array, "B h w K"]], Float[Array, "B h w K"]] = jnp.abs,
) -> FullMap:
    """FullGrad: psi of the picture's part plus, for every layer with pixels, psi of its part, summed over channels.

    Args:
        psi: what is done to each part before it is brought to the picture's size. The default, the magnitude, keeps
            layers in proportion; as published each is also scaled to [0, 1]: `min_max_magnitude`.

    Raises:
        InputError: as `full_gradients`.

    Source: Srinivas and Fleuret, NeurIPS (2019), equation 7.
    """
    picture, layers = full_gradients(apply, variables, image, target)
    total = psi(picture[..., None])[..., 0]
    for part in layers.values():
        if part.ndim == 4:
            total += upsample(psi(part).sum(-1), *image.shape[1:3])
    return total


def min_max_magnitude(part: Float[Array, "B h w K"]) -> Float[Array, "B h w K"]:
    """The magnitude of a layer's part, moved and stretched to [0, 1] over all its channels; 0 where it is constant."""
    size = jnp.abs(part)
    size = size - size.min((1, 2, 3), keepdims=True)
    highest = size.max((1, 2, 3), keepdims=True)
    return jnp.where(highest > 0, size / jnp.where(highest > 0, highest, 1), 0)


def own_mean(image: Image) -> Float[Array, "B 1 1 C"]:
    """Each picture's mean, channel by channel."""
    return image.mean((1, 2), keepdims=True)


def _gradient(apply, variables, image, target, **keywords):
    return jax.grad(lambda x: jnp.sum(target(apply(variables, x, **keywords))))(image)
