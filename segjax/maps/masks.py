"""From a map to a mask without any outline: a level, completion on the picture, components and holes.

Pictures are known to show the class, or not, from image-level labels; only those that do get a mask.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.graph import MCP_Geometric
from skimage.segmentation import random_walker

from segjax.maps.contour import edge_weights
from segjax.maps.scaling import check_finite
from segjax.ops.components import components
from segjax.types import InputError

RULES = ("fixed", "otsu", "percentile", "dataset", "contour")
COMPLETIONS = ("none", "random_walk", "geodesic")

Map = Float[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]
Image = Float[np.ndarray, "H W C"]

STIFFNESS = 130.0  # of the random walk: how strongly a change of brightness holds it up
EDGE_COST = 20.0  # of a geodesic path, in pixels of plain ground, per mean change of brightness beyond the mean


def level_of(
    rule: str, activation_map: Map, image: Image, dataset: float, share: float = 0.3, area: float = 0.05
) -> float:
    """The level above which a map's pixels are object.

    "fixed": `share` of the map's maximum; "otsu": between the two classes of its positive values that differ most;
    "percentile": what a share `area` of the picture is above; "dataset": one level for all pictures; "contour": see
    `contour_level`. A map without positive values has an infinite level, so that its mask is empty.

    Args:
        image: the picture, which "contour" looks at.
        dataset: the level of the rule "dataset", such as `segjax.maps.scaling.level_without` of pictures
            without the class.
        share: in (0, 1).
        area: in (0, 1).

    Raises:
        InputError: an unknown rule, a share out of range, or a map with a value that is not finite.

    Source: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979).
    """
    if not (0 < share < 1 and 0 < area < 1):
        raise InputError(f"level: shares must be above 0 and below 1, not {share} and {area}")
    check_finite(activation_map)
    highest = float(activation_map.max())
    if rule == "dataset":
        return float(dataset)
    if highest <= 0:
        return float("inf")
    if rule == "fixed":
        return share * highest
    if rule == "percentile":
        return float(np.quantile(activation_map, 1 - area))
    if rule == "otsu":
        positive = np.maximum(activation_map, 0)
        return float(threshold_otsu(positive)) if np.ptp(positive) > 0 else float("inf")
    if rule == "contour":
        return contour_level(activation_map, image)
    raise InputError(f"rule: unknown {rule!r}; choose one of {', '.join(RULES)}")


def contour_level(activation_map: Map, image: Image) -> float:
    """The level of a map that separates it best along edges of the picture.

    Of 33 levels from 0.1 to 0.9 of the maximum, which must be positive, the one with the largest

        (m1 - m0) sqrt(a (1 - a))  (1 - mean of w_pq over the neighbours p, q that it separates),

    m1 and m0 the map's means above and below the level, a the share of the pixels above it: Otsu's criterion, times
    the share of the contour that lies on edges (`edge_weights` of the picture).

    Raises:
        InputError: the map has a value that is not finite.

    Source: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979), for the first factor.
    """
    check_finite(activation_map)
    across, down = (np.asarray(weights[0]) for weights in edge_weights([jnp.asarray(image[None], jnp.float32)]))
    levels = np.linspace(0.1, 0.9, 33) * float(activation_map.max())

    def quality(level):
        above = activation_map > level
        weights = np.concatenate([across[above[:, 1:] != above[:, :-1]], down[above[1:] != above[:-1]]])
        if not weights.size:
            return 0.0
        share = above.mean()
        apart = (activation_map[above].mean() - activation_map[~above].mean()) * np.sqrt(share * (1 - share))
        return apart * (1 - weights.mean())

    return float(levels[np.argmax([quality(level) for level in levels])])


def seeds_of(activation_map: Map, level: float) -> tuple[Mask, Mask]:
    """Pixels that are object for sure, half way from the level up to the maximum, and those that are as far below it.

    Both empty where nothing is above the level.

    Raises:
        InputError: the map has a value that is not finite.
    """
    check_finite(activation_map)
    highest = float(activation_map.max())
    if not highest > level:
        return np.zeros(activation_map.shape, bool), np.zeros(activation_map.shape, bool)
    reach = (highest - level) / 2
    return activation_map >= level + reach, activation_map <= level - reach


def complete_seeds(image: Image, inside: Mask, outside: Mask, completion: str) -> Mask:
    """Every pixel between the seeds given to one of the two, by what the picture shows.

    "random_walk": to the seeds that a walk from the pixel, held up by changes of brightness, reaches first with the
    larger probability; "geodesic": to those to which the cheapest path leads, changes of brightness being dear;
    "none": what is not inside is outside. Without seeds of one kind nothing is completed: the inside seeds are the
    result.

    Raises:
        InputError: an unknown completion.

    Source: Grady, IEEE Transactions on Pattern Analysis and Machine Intelligence 28 (2006); Bai and Sapiro, ICCV
    (2007).
    """
    if completion not in COMPLETIONS:
        raise InputError(f"completion: unknown {completion!r}; choose one of {', '.join(COMPLETIONS)}")
    is_open = ~(inside | outside)
    if completion == "none" or not (inside.any() and outside.any() and is_open.any()):
        return inside.copy()
    smooth = ndimage.gaussian_filter(image.astype(np.float64), (1, 1, 0))
    if completion == "geodesic":
        change = np.sqrt(sum(ndimage.sobel(smooth, axis) ** 2 for axis in (0, 1)).mean(-1))
        costs = 1.0 + EDGE_COST * np.maximum(change / max(float(change.mean()), 1e-12) - 1, 0)
        near, far = (MCP_Geometric(costs).find_costs(np.argwhere(seeds))[0] for seeds in (inside, outside))
        return near < far
    markers = np.where(inside, 1, np.where(outside, 2, 0))
    spread = max(float(smooth.std()), 1e-6)
    scaled = (smooth - smooth.mean()) / (6 * spread)
    solver = {"mode": "cg_j", "tol": 1e-5, "prob_tol": 1e-2}  # the default is too coarse for maps of any shape
    walked = random_walker(scaled, markers, STIFFNESS, channel_axis=-1, **solver)
    return walked == 1


def mask_of(image: Image, activation_map: Map, level: float, completion: str, minimum_area: int = 1) -> Mask:
    """The mask of one picture: pixels above the level, or what its seeds are completed to, tidied.

    Raises:
        InputError: an unknown completion, or a map with a value that is not finite.
    """
    check_finite(activation_map)
    mask = activation_map > level
    if completion != "none":
        inside, outside = seeds_of(activation_map, level)
        if inside.any() and outside.any():
            mask = complete_seeds(image, inside, outside, completion)
    return tidied(mask, minimum_area)


def tidied(mask: Mask, minimum_area: int) -> Mask:
    """Without 8-connected components of fewer than `minimum_area` pixels, and without holes."""
    labels = components(mask)
    areas = np.bincount(labels.ravel())
    kept = (areas >= minimum_area)[labels] & (labels > 0)
    return ndimage.binary_fill_holes(kept)
