"""Whether a map depends on what the network has learned: parameters are shuffled, and the map should change.

Source: Adebayo et al., NeurIPS (2018).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key
from skimage.metrics import structural_similarity

from segjax.arguments import checked
from segjax.types import InputError


def shuffled_parameters(key: Key[Array, ""], params: Mapping[str, Any], layers: Sequence[str]) -> dict[str, Any]:
    """Parameters with the numbers of every array under the named top-level entries in random order.

    Each array keeps its distribution. Naming one more layer each time, from the head to the picture, with the same key,
    gives the cascading randomisation.

    Raises:
        InputError: an entry does not exist; the message lists those that do.

    >>> params = {"head": {"bias": jax.numpy.arange(8.0)}, "body": {"bias": jax.numpy.arange(8.0)}}
    >>> found = shuffled_parameters(jax.random.key(0), params, ["head"])
    >>> sorted(found["head"]["bias"].tolist()) == found["body"]["bias"].tolist()
    True
    """
    for name in layers:
        if name not in params:
            raise InputError(f"layers: {name!r} has no parameters; there are: {', '.join(params)}")

    def shuffle(path, leaf):
        if path[0].key not in layers:
            return leaf
        # a key of the array's own, whatever else is shuffled
        order = jax.random.fold_in(key, _number(jax.tree_util.keystr(path)))
        return jax.random.permutation(order, leaf.ravel()).reshape(leaf.shape)

    return jax.tree_util.tree_map_with_path(shuffle, dict(params))


@checked
def map_similarity(one: Float[np.ndarray, "H W"], other: Float[np.ndarray, "H W"]) -> dict[str, float]:
    """How alike two maps of a picture are: 1 is equal.

    "rank_correlation": Spearman's, in [-1, 1]; "absolute_rank_correlation": of magnitudes, so that a map that only
    changed its sign counts as equal; "structural_similarity": SSIM of magnitudes scaled to [0, 1], windows of 7 pixels.
    NaN where one of the maps is constant or not finite.

    Raises:
        InputError: a map is smaller than 7 pixels.

    >>> one = np.arange(64.0).reshape(8, 8)
    >>> round(map_similarity(one, one)["rank_correlation"], 6)
    1.0
    """
    if min(one.shape) < 7:
        raise InputError(f"maps must be at least 7 x 7 pixels to be compared, not {one.shape[0]} x {one.shape[1]}")
    from scipy import stats  # loading it takes as long as many commands

    names = ("rank_correlation", "absolute_rank_correlation", "structural_similarity")
    sizes = np.abs(one), np.abs(other)
    if not all(np.isfinite(part).all() and np.ptp(part) > 0 for part in (one, other, *sizes)):
        return dict.fromkeys(names, float("nan"))
    scaled = [(size - size.min()) / np.ptp(size) for size in sizes]
    values = (
        stats.spearmanr(one.ravel(), other.ravel()).statistic,
        stats.spearmanr(*(size.ravel() for size in sizes)).statistic,
        structural_similarity(*scaled, data_range=1.0),
    )
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _number(text: str) -> int:
    """A 31-bit number of a text, the same in every process."""
    return int.from_bytes(text.encode(), "big") % 2147483647
