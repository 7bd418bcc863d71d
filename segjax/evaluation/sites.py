"""Outlines judged on the ground: the same metrics in metres, and by the area of the site."""

import numpy as np
from jaxtyping import Bool

from segjax.evaluation.boundary import boundary_f, hd95, surface_distances
from segjax.evaluation.overlap import counts, dice, iou
from segjax.types import InputError

TOLERANCES = (2.0, 4.0, 8.0)
SIZE_EDGES = (0.5, 2.0, 8.0)
"""Hectares between the size classes."""


def outline_metrics(
    prediction: Bool[np.ndarray, "H W"],
    truth: Bool[np.ndarray, "H W"],
    metres_per_pixel: float | None = None,
    tolerances: tuple[float, ...] = TOLERANCES,
) -> dict[str, float]:
    """IoU, Dice, boundary F at each tolerance ("boundary_f_2px", ...) and HD95 ("hd95_px") of one mask.

    With `metres_per_pixel` also "hd95_m" and the true area "area_ha". Empty masks as in the metrics.

    Args:
        metres_per_pixel: length of a pixel's side on the ground, as `metres_per_pixel` gives it. (A pixel of Web
            Mercator is shorter on the ground than its coordinates say, by the cosine of the latitude.)
        tolerances: in pixels; for a tolerance in metres divide by `metres_per_pixel`.

    Raises:
        InputError: a tolerance or the size of a pixel is not a positive number.
    """
    outlines, pixels = surface_distances(prediction, truth), counts(prediction, truth)
    found = {"iou": float(iou(pixels)), "dice": float(dice(pixels))}
    found |= {f"boundary_f_{tolerance:g}px": boundary_f(outlines, tolerance) for tolerance in tolerances}
    found["hd95_px"] = hd95(outlines)
    if metres_per_pixel is not None:
        found |= {
            "hd95_m": found["hd95_px"] * metres_per_pixel,
            "area_ha": area_in_hectares(truth, metres_per_pixel),
        }
    return found


def area_in_hectares(mask: Bool[np.ndarray, "H W"], metres_per_pixel: float) -> float:
    """Area of a mask in hectares (10,000 square metres).

    Raises:
        InputError: the size of a pixel is not a positive number.
    """
    if not 0 < metres_per_pixel < np.inf:
        raise InputError(f"metres_per_pixel must be a positive number, not {metres_per_pixel}")
    return float(np.count_nonzero(mask)) * metres_per_pixel**2 / 10_000


def size_class(hectares: float) -> str:
    """The size class of a site: "< 0.5 ha", "0.5 to 2 ha", "2 to 8 ha" or "> 8 ha"; an edge belongs to the larger."""
    names = ("< 0.5 ha", "0.5 to 2 ha", "2 to 8 ha", "> 8 ha")
    return names[int(np.searchsorted(SIZE_EDGES, hectares, side="right"))]
