"""Prediction of pictures that do not fit in memory, tile by tile, with the logits of the whole."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice, product
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from segjax.training.state import Variables
from segjax.types import InputError, Network


def predict_tiled(
    network: Any, variables: Variables, image: Float32[np.ndarray, "H W C"], tile: int, batch: int = 1
) -> Float32[np.ndarray, "H W K"]:
    """Logits of one picture, computed in overlapping windows of one size and equal to those of the whole picture.

    Each window shows `tile` pixels and around them the receptive field of the network, which starts on the network's
    pooling grid and is cut where the picture ends, so that borders are treated as in the whole picture.

    Args:
        tile: side in pixels of what each window adds to the result; memory grows with (tile + receptive field)**2.
        batch: windows that are computed at once.

    Raises:
        InputError: tile or batch below 1, or a network whose normalisation takes statistics of the whole picture.
    """
    if tile < 1:
        raise InputError(f"tile must be at least 1 pixel, not {tile}")
    if batch < 1:
        raise InputError(f"batch must be at least 1, not {batch}")
    if network.norm in ("batch", "group"):
        raise InputError(
            f"norm: tiles cannot be predicted with norm={network.norm!r}, which takes statistics of the whole picture; "
            'train the network with norm="running" or "none"'
        )
    apply = _compiled(network)
    halo = network.receptive_field // 2 + 1
    rows, columns = (list(_windows(length, tile, halo, network.stride)) for length in image.shape[:2])
    logits = np.empty((*image.shape[:2], network.classes), np.float32)
    windows = iter(product(rows, columns))
    while chunk := list(islice(windows, batch)):
        places = [tuple(window for window, _ in pair) for pair in chunk]
        filled = [*places, *places[-1:] * (batch - len(places))]  # one size, so that one compilation serves all
        found = np.asarray(apply(variables, np.stack([image[place] for place in filled])))
        for pair, one in zip(chunk, found, strict=False):
            inside = tuple(slice(kept.start - window.start, kept.stop - window.start) for window, kept in pair)
            logits[tuple(kept for _, kept in pair)] = one[inside]
    return logits


def predict_blended(
    network: Network,
    variables: Variables,
    image: Float32[np.ndarray, "H W C"],
    tile: int,
    overlap: int,
    batch: int = 8,
    on_share: Callable[[float], None] = lambda share: None,
) -> Float32[np.ndarray, "H W K"]:
    """Softmax probabilities of one large picture from overlapping windows of the size that the network was trained on.

    Unlike `predict_tiled` it takes any network: each window is treated as a picture of its own, and where windows
    overlap their probabilities are averaged, weighted by the distance from the window's border.

    Args:
        tile: side of a window in pixels; a picture smaller than that is reflected at its border.
        overlap: least pixels that neighbouring windows share.
        batch: windows that are computed at once.
        on_share: called after each of these with the share of the windows that is done.

    Raises:
        InputError: an overlap that is not from 0 to below the tile, or tile or batch below 1.
    """
    if tile < 1 or batch < 1:
        raise InputError(f"tile and batch must be at least 1, not {tile} and {batch}")
    if not 0 <= overlap < tile:
        raise InputError(f"overlap must be from 0 to {tile - 1} pixels (below the tile), not {overlap}")
    height, width = image.shape[:2]
    whole = np.pad(image, [(0, max(0, tile - height)), (0, max(0, tile - width)), (0, 0)], mode="reflect")
    ramp = np.minimum(np.arange(1, tile + 1), np.arange(tile, 0, -1)).astype(np.float32)
    weight = np.minimum(ramp[:, None], ramp[None])[..., None] / ramp.max()
    places = list(product(*(_overlapping(size, tile, overlap) for size in whole.shape[:2])))
    window = jax.ShapeDtypeStruct((1, tile, tile, image.shape[-1]), np.float32)
    classes = jax.eval_shape(network.apply, variables, window).shape[-1]
    total, weights = (np.zeros((*whole.shape[:2], count), np.float32) for count in (classes, 1))
    for start in range(0, len(places), batch):
        chunk = places[start : start + batch]
        filled = [*chunk, *chunk[-1:] * (batch - len(chunk))]  # one size, so that one compilation serves all
        stacked = np.stack([whole[y : y + tile, x : x + tile] for y, x in filled])
        for (y, x), one in zip(chunk, np.asarray(_probabilities(network)(variables, stacked)), strict=False):
            total[y : y + tile, x : x + tile] += weight * one
            weights[y : y + tile, x : x + tile] += weight
        on_share((start + len(chunk)) / len(places))
    total /= weights  # in place: of a large scene there is no room for another copy
    return total[:height, :width]


def _overlapping(length: int, tile: int, overlap: int) -> list[int]:
    """Starts of the fewest windows that cover a length and share so many pixels; the last is flush with the end."""
    count = 1 + -(-(length - tile) // (tile - overlap))
    return [int(start) for start in np.round(np.linspace(0, length - tile, count))]


@lru_cache(maxsize=16)
def _probabilities(network: Network) -> Callable[..., Any]:
    """Each window alone, so that batch statistics are those of the window."""
    return jax.jit(
        jax.vmap(lambda variables, image: jax.nn.softmax(network.apply(variables, image[None])[0]), (None, 0))
    )


@lru_cache(maxsize=16)
def _compiled(network: Network) -> Callable[..., Any]:
    """The same function for every picture, so that windows of one size are compiled once."""
    return jax.jit(network.apply)


def _windows(length: int, tile: int, halo: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Windows of one size along an axis, and the part of the result that each gives; starts are multiples of `stride`.

    The size leaves the remainder that the whole length leaves, so that the last window is flush with the end.
    """
    size = tile + 2 * halo + 2 * stride
    size += (length - size) % stride
    if size >= length:
        yield slice(0, length), slice(0, length)
        return
    for first in range(0, length, tile):
        last = min(first + tile, length)
        start = min(max(0, (first - halo) // stride * stride), length - size)
        yield slice(start, start + size), slice(first, last)
