"""Applying an upgrade network: mask and probability of every pixel, for a batch, a whole set, or by tiles."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import groupby, islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from segjax.training import exact_tiling, predict_tiled
from segjax.training.state import Variables
from segjax.types import InputError, Network
from segjax.upgrade.learning import with_labels


class Upgraded(NamedTuple):
    """Upgraded annotation: `mask` bool [..., H, W], and `probability` float32 [..., H, W] in [0, 1] of an object."""

    mask: Any
    probability: Any


@lru_cache(maxsize=16)
def make_upgrade(network: Network) -> Callable[..., Upgraded]:
    """The pure compiled function upgrade(params, images, masks) of an upgrade network.

    It is compiled once per network and size of the pictures. It maps variables of the network (`Fit.variables`),
    pictures float32 [B, H, W, C] and noisy masks bool [B, H, W] to `Upgraded` with arrays [B, H, W]. Every picture
    is treated alone, so batch statistics are those of the picture.
    """

    @jax.jit
    def upgrade(params: Variables, images: Float[Array, "B H W C"], masks: Bool[Array, "B H W"]) -> Upgraded:
        def one(image, mask):
            return network.apply(params, with_labels(image, mask)[None])[0]

        return _upgraded(jax.vmap(one)(images, masks))

    return upgrade


def upgrade_set(
    network: Network,
    params: Variables,
    images: Sequence[Float32[np.ndarray, "_ _ C"]] | Float32[np.ndarray, "P H W C"],
    masks: Sequence[Bool[np.ndarray, "_ _"]] | Bool[np.ndarray, "P H W"],
    *,
    batch: int = 8,
    tile: int | None = None,
) -> Iterator[Upgraded]:
    """Upgrade pictures of any sizes, in their order; NumPy arrays [H, W] for each.

    Args:
        images: float32 [H, W, C] each; a sequence that reads its pictures when asked saves memory.
        masks: noisy masks, bool [H, W] each.
        batch: neighbours of equal size, or windows of one picture, that are computed at once; the last are filled up.
        tile: cut pictures into windows of this side, with the result of the whole picture (see `predict_tiled`).

    Raises:
        InputError: another number of masks than pictures, sizes that differ, a batch below 1, or a network that cannot
            be tiled.

    >>> from segjax.models import create
    >>> network = create("msd", depth=1)  # knows nothing yet: each pixel is an object with probability 1/2
    >>> variables = network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 2)))
    >>> images, masks = [np.zeros((6, 4, 1), np.float32)], [np.zeros((6, 4), bool)]
    >>> (upgraded,) = upgrade_set(network, variables, images, masks, batch=1)
    >>> upgraded.mask.shape, float(upgraded.probability.max())
    ((6, 4), 0.5)
    """
    if len(images) != len(masks):
        raise InputError(f"masks: there are {len(masks)} for {len(images)} pictures; give one for each")
    if batch < 1:
        raise InputError(f"batch must be at least 1, not {batch}")
    pairs = (_checked(index, images[index], masks[index]) for index in range(len(images)))
    if tile is not None:
        apply, exact = partial(_compiled(network), params), exact_tiling(network)
        for image, mask in pairs:
            seen = np.asarray(with_labels(image, mask))
            values = predict_tiled(apply, seen, tile=tile, batch=batch, **exact)
            yield Upgraded(*map(np.asarray, _upgraded(values)))
        return
    upgrade = make_upgrade(network)
    for _, alike in groupby(pairs, key=lambda pair: pair[0].shape):
        while chunk := list(islice(alike, batch)):
            filled = [*chunk, *[chunk[-1]] * (batch - len(chunk))]
            result = upgrade(params, *(np.stack(arrays) for arrays in zip(*filled, strict=True)))
            found = Upgraded(*map(np.asarray, result))
            for place in range(len(chunk)):
                yield Upgraded(found.mask[place], found.probability[place])


@lru_cache(maxsize=16)
def _compiled(network: Network) -> Callable[..., Any]:
    """(variables, images) -> logits: the same function for every set, so that windows of one size compile once."""
    return jax.jit(network.apply)


def _checked(index: int, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if image.shape[:2] != mask.shape:
        raise InputError(f"masks: number {index} has the size {mask.shape}, but its picture has {image.shape[:2]}")
    return image, mask


def _upgraded(logits: Any) -> Upgraded:
    return Upgraded(jnp.argmax(logits, -1) > 0, 1 - jax.nn.softmax(logits)[..., 0])
