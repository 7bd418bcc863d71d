"""A map on its picture, for people who want to see it."""

import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike

from segjax.types import InputError

# Vermilion and blue of Okabe and Ito (2008), which also those tell apart who do not see red and green.
FOR, AGAINST = (213, 94, 0), (0, 114, 178)
OPACITY = 0.7


def overlay(image: ArrayLike, activation_map: ArrayLike, scale: float | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """The picture under its map: orange where the map is positive, blue where it is negative, nothing where it is 0.

    >>> from PIL import Image
    >>> picture, found = np.full((2, 2, 1), 0.5), np.array([[1.0, 0.0], [0.0, -0.5]])
    >>> overlay(picture, found)[:, 0].tolist()
    [[187, 104, 38], [128, 128, 128]]
    >>> Image.fromarray(overlay(picture, found)).size  # .save("map.png")
    (2, 2)

    Args:
        image: one picture [H, W, C], one grey channel or three colours, values in [0, 1].
        activation_map: its map [H, W], signed, any scale.
        scale: the magnitude that is as strong as it gets; by default the largest of this map. Give one number for maps
            that are to be compared with each other.

    Returns:
        Red, green and blue, from 0 to 255.

    Raises:
        InputError: the picture has other channels or values, the map another size or a value that is not finite, or the
            scale is not above 0.
    """
    picture, found = np.asarray(image, np.float64), np.asarray(activation_map, np.float64)
    _check(picture, found, scale)
    highest = np.abs(found).max() if scale is None else scale
    share = OPACITY * np.clip(np.abs(found) / (highest or 1.0), 0, 1)[..., None]
    colour = np.where(found[..., None] > 0, FOR, AGAINST)
    return np.rint((1 - share) * 255 * picture + share * colour).astype(np.uint8)


def _check(picture, found, scale):
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise InputError(f"image: give one picture [H, W, 1] or [H, W, 3], not {list(picture.shape)}")
    if not picture.size or not (picture.min() >= 0 and picture.max() <= 1):
        raise InputError("image: its values must be from 0 to 1; undo what was done to them for the network")
    if found.shape != picture.shape[:2]:
        raise InputError(
            f"map: its size {list(found.shape)} must be that of the picture, {list(picture.shape[:2])}; "
            "segjax.maps.upsample brings it there"
        )
    if not np.isfinite(found).all():
        raise InputError("map: it has values that are not finite")
    if scale is not None and not scale > 0:
        raise InputError(f"scale must be above 0, not {scale}")
