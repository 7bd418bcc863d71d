"""Prediction of pictures that do not fit in memory, tile by tile, with the logits of the whole."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice, product
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from segjax.training.state import Variables
from segjax.types import InputError


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


@lru_cache(maxsize=16)
def _compiled(network: Any) -> Callable[..., Any]:
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
