"""Named steps that change a map's size, sign or scale. No map does any of them by itself.

A map that is scaled by its own maximum reaches 1 in a picture where there is nothing; one scaled by a number that holds
for the whole data set stays empty there, and one threshold serves all pictures.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from segjax.arguments import checked
from segjax.types import InputError

_REMEDY = "the classifier's weights or its gradients are not finite: train it with a lower learning rate"


@checked
def upsample(maps: Float[Array, "*B h w"], height: int, width: int) -> Float[Array, "*B {height} {width}"]:
    """Bilinear interpolation between the centres of a layer's cells; constant outside the outermost centres.

    >>> upsample(jnp.array([[0.0, 4.0]]), 1, 4).tolist()
    [[0.0, 1.0, 3.0, 4.0]]
    """
    return jax.image.resize(maps, (*maps.shape[:-2], height, width), "linear", antialias=False)


@checked
def positive(maps: Float[Array, "*B h w"]) -> Float[Array, "*B h w"]:
    """max(map, 0): the ReLU at the end of Grad-CAM and its relatives as published.

    >>> positive(jnp.array([[-1.0, 0.5]])).tolist()
    [[0.0, 0.5]]
    """
    return jax.nn.relu(maps)


@checked
def by_maximum(maps: Float[Array, "*B h w"]) -> Float[Array, "*B h w"]:
    """Each map divided by its own maximum where that is above 0, and 0 elsewhere; all NaN where it holds NaN.

    >>> by_maximum(jnp.array([[[-1.0, 2.0]], [[-1.0, 0.0]]])).tolist()  # two maps, the second of an empty picture
    [[[-0.5, 1.0]], [[0.0, 0.0]]]
    """
    highest = jnp.max(maps, (-2, -1), keepdims=True)
    is_empty = highest <= 0  # not `highest > 0`, which would make empty maps of those that are not finite
    return jnp.where(is_empty, 0, maps / jnp.where(is_empty, 1, highest))


@checked
def min_max(maps: Float[Array, "*B h w"]) -> Float[Array, "*B h w"]:
    """Each map moved and stretched to [0, 1] by its own extremes; 0 where constant, all NaN where it holds NaN.

    >>> min_max(jnp.array([[[-1.0, 0.0, 3.0]], [[2.0, 2.0, 2.0]]])).tolist()  # the second map is constant
    [[[0.0, 0.25, 1.0]], [[0.0, 0.0, 0.0]]]
    """
    lowest = jnp.min(maps, (-2, -1), keepdims=True)
    return by_maximum(maps - lowest)


def level_without(maps: ArrayLike, share: float = 0.99) -> float:
    """The level that a share of the pixels stays under in maps of pictures without the class.

    Such pictures are known from image-level labels alone. Subtracted from all maps of a data set (or divided by), the
    level gives them one zero (or one scale) that no outline was needed for.

    Raises:
        InputError: there is no map, or one with a value that is not finite, or the share is not in (0, 1).
    """
    values = np.asarray(maps)
    if not values.size:
        raise InputError("maps: no map shows a picture without the class, so no level can be set; give some such maps")
    if not 0 < share < 1:
        raise InputError(f"share must be above 0 and below 1, not {share}")
    check_finite(values)
    return float(np.quantile(values, share))


def check_finite(activation_map: ArrayLike) -> None:
    """Refuse a map of which no level and no mask can be made.

    Raises:
        InputError: a value is not finite.
    """
    values = np.asarray(activation_map)
    if broken := values.size - int(np.count_nonzero(np.isfinite(values))):
        raise InputError(f"map: {broken} of {values.size} values are not finite; {_REMEDY}")


def refuse_unusable(maps: ArrayLike, names: Sequence[str]) -> None:
    """Stop where a map has a value that is not a number, which a compiled function cannot.

    Args:
        maps: one per name.

    Raises:
        InputError: names the pictures.
    """
    is_broken = [not np.isfinite(one).all() for one in np.asarray(maps)]
    broken = [name for name, is_bad in zip(names, is_broken, strict=True) if is_bad]
    if broken:
        raise InputError(
            f"maps: those of {len(broken)} of {len(names)} pictures are not finite ({', '.join(broken[:5])}); {_REMEDY}"
        )
