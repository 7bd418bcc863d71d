"""Whether a map says what the classifier's score depends on: pixels are removed by the map's order, the score watched.

`score` is any function from pictures [B, H, W, C] to one number per picture, usually the class probability. All these
numbers depend on how many pixels are removed at once and on what is put in their place: both are arguments, and belong
in the results. A map with a value that is not finite has no order: its picture's numbers are NaN. Everything may be
compiled.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from segjax.arguments import checked
from segjax.ops.fill import fill_from_neighbours
from segjax.types import InputError

Score = Callable[[Array], Array]
Image = Float[Array, "B H W C"]
Substrate = Float[Array, "#B #H #W #C"]
Maps = Float[Array, "B H W"]

TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Curve(NamedTuple):
    """Scores after every step [S + 1, B], the first without any, and the area under them [B] (mean by trapezoids)."""

    scores: Float[Array, "S B"]
    area: Float[Array, " B"]


class Road(NamedTuple):
    """Score minus that of the whole picture [S, B], after each share of pixels was removed.

    Attributes:
        most_first: the map's highest pixels removed.
        least_first: its lowest.
    """

    most_first: Float[Array, "S B"]
    least_first: Float[Array, "S B"]

    @property
    def combined(self) -> Float[Array, " B"]:
        """Mean over shares of (least first - most first) / 2: above 0 where the map is faithful."""
        return jnp.mean(self.least_first - self.most_first, 0) / 2


@checked
def deletion(score: Score, image: Image, maps: Maps, substrate: Substrate, steps: int = 50) -> Curve:
    """The picture's pixels replaced by the substrate's, the map's highest first; low areas are good.

    Args:
        substrate: broadcasts with the pictures; published with zeros.
        steps: equal shares of the pixels.

    Source: Petsiuk, Das and Saenko, BMVC (2018).

    >>> image = jnp.array([4.0, 3.0, 2.0, 1.0]).reshape(1, 2, 2, 1)
    >>> deletion(lambda images: images.sum((1, 2, 3)), image, image[..., 0], 0 * image, steps=4).scores[:, 0].tolist()
    [10.0, 6.0, 3.0, 1.0, 0.0]
    """
    return _exchange(score, substrate, image, maps, steps)


@checked
def insertion(score: Score, image: Image, maps: Maps, substrate: Substrate, steps: int = 50) -> Curve:
    """The substrate's pixels replaced by the picture's, the map's highest first; high areas are good.

    Args:
        substrate: broadcasts with the pictures; published with a strongly blurred picture.
        steps: equal shares of the pixels.

    Source: Petsiuk, Das and Saenko, BMVC (2018).

    >>> image = jnp.array([4.0, 3.0, 2.0, 1.0]).reshape(1, 2, 2, 1)
    >>> insertion(lambda images: images.sum((1, 2, 3)), image, image[..., 0], 0 * image, steps=4).scores[:, 0].tolist()
    [0.0, 4.0, 7.0, 9.0, 10.0]
    """
    return _exchange(score, image, substrate, maps, steps)


@checked
def road(
    key: Key[Array, ""],
    score: Score,
    image: Image,
    maps: Maps,
    shares: tuple[float, ...] = TENTHS,
    noise: float = 0.01,
) -> Road:
    """ROAD: removed pixels are filled in from those around them, so that their shape tells the classifier little.

    Args:
        score: of each picture; it is given 2 B at a time, the more and the less important pixels removed.
        shares: of the pixels that are removed, each above 0 and below 1.
        noise: standard deviation of what is added to filled pixels, in the picture's unit.

    Raises:
        InputError: a share is out of range.

    Source: Rong et al., ICML (2022).

    >>> image = jnp.arange(64.0).reshape(1, 8, 8, 1) / 64
    >>> found = road(jax.random.key(0), lambda images: images.mean((1, 2, 3)), image, image[..., 0], shares=(0.5,))
    >>> found.combined.shape, bool(found.combined[0] > 0)
    ((1,), True)
    """
    if not all(0 < share < 1 for share in shares):
        raise InputError(f"shares must be above 0 and below 1, not {shares}")
    ranks = _ranks(maps)
    pixels = maps.shape[1] * maps.shape[2]
    whole = score(image)

    def after(given):
        share, key = given
        count = jnp.round(share * pixels).astype(jnp.int32)
        grain = noise * jax.random.normal(key, image.shape, image.dtype)

        def without(removed):
            return jnp.where(removed[..., None], fill_from_neighbours(image, removed) + grain, image)

        # both at once: a classifier's weights may be far larger than what they are multiplied with
        scores = score(jnp.concatenate([without(ranks < count), without(ranks >= pixels - count)]))
        first, last = jnp.split(scores, 2)
        return _where_usable(maps, first - whole), _where_usable(maps, last - whole)

    return Road(*jax.lax.map(after, (jnp.asarray(shares), jax.random.split(key, len(shares)))))


class Confidence(NamedTuple):
    """The score of whole pictures and of what their maps leave of them, [B] each, both in [0, 1]."""

    whole: Float[Array, " B"]
    masked: Float[Array, " B"]

    @property
    def drop(self) -> Float[Array, " B"]:
        """max(whole - masked, 0) / whole; its mean over pictures is the average drop."""
        return jnp.maximum(self.whole - self.masked, 0) / self.whole

    @property
    def gain(self) -> Float[Array, " B"]:
        """max(masked - whole, 0) / (1 - whole); its mean is the average gain. Source: Zhang et al., (2023)."""
        return jnp.maximum(self.masked - self.whole, 0) / (1 - self.whole)

    @property
    def increase(self) -> Float[Array, " B"]:
        """1 where masked > whole, else 0, NaN where one of them is; its mean is the increase in confidence."""
        return jnp.where(
            jnp.isnan(self.masked + self.whole), jnp.nan, (self.masked > self.whole).astype(self.whole.dtype)
        )


@checked
def confidence(probability: Score, image: Image, maps: Maps) -> Confidence:
    """The class probability before and after the picture is multiplied by its map.

    Args:
        maps: scaled to [0, 1].

    Source: average drop and increase in confidence of Chattopadhyay et al., WACV (2018).

    >>> image, maps = jnp.full((1, 2, 2, 1), 0.5), jnp.array([[[1.0, 0.0], [1.0, 0.0]]])
    >>> found = confidence(lambda images: images.mean((1, 2, 3)), image, maps)
    >>> float(found.whole[0]), float(found.masked[0]), float(found.drop[0])
    (0.5, 0.25, 0.5)
    """
    return Confidence(probability(image), _where_usable(maps, probability(image * maps[..., None])))


def _exchange(score, incoming, image, maps, steps):
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps must be a whole number of at least 1, not {steps!r}")
    ranks = _ranks(maps)
    pixels = maps.shape[1] * maps.shape[2]
    counts = jnp.round(jnp.arange(steps + 1) * (pixels / steps)).astype(jnp.int32)
    scores = jax.lax.map(lambda count: score(jnp.where((ranks < count)[..., None], incoming, image)), counts)
    scores = _where_usable(maps, scores)
    return Curve(scores, jnp.mean((scores[1:] + scores[:-1]) / 2, 0))


def _where_usable(maps: Maps, scores: Float[Array, "*S B"]) -> Float[Array, "*S B"]:
    """The scores of pictures whose maps are finite, NaN for the others."""
    is_usable = jnp.isfinite(maps).all((1, 2))
    return jnp.where(jnp.broadcast_to(is_usable, scores.shape), scores, jnp.nan)


def _ranks(maps: Maps) -> Int[Array, "B H W"]:
    """0 for the highest pixel of each map, 1 for the next; equal ones in row-major order."""
    flat = -maps.reshape(maps.shape[0], -1)
    return jnp.argsort(jnp.argsort(flat, -1, stable=True), -1).reshape(maps.shape)
