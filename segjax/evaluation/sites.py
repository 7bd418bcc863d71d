"""Outlines judged on the ground: the same metrics in metres, and by the area of the site."""

import re
from importlib.util import find_spec

import numpy as np
from jaxtyping import Bool

from segjax.evaluation.boundary import boundary_f, hd95, surface_distances
from segjax.evaluation.overlap import counts, dice, iou
from segjax.types import Georeference, InputError

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


def metres_per_pixel(georeference: Georeference, shape: tuple[int, int] = (0, 0)) -> float | None:
    """Side of a pixel on the ground: the root of its area, in metres.

    In a UTM zone (EPSG:32601 to 32660, 32701 to 32760) the units of the system are taken for metres, as they are to
    0.1 %. In any other system the edges of one pixel are measured on the ellipsoid, which needs pyproj (extra `geo`).

    Args:
        shape: height and width of the picture, whose middle pixel is measured; else that at its first corner.

    Returns:
        None where the system is no UTM zone and pyproj is missing, does not know it, or finds no place on the ground.
    """
    if re.fullmatch(r"EPSG:32[67](0[1-9]|[1-5]\d|60)", georeference.crs):
        a, b, _, d, e, _ = georeference.transform
        return float(np.sqrt(abs(a * e - b * d)))
    return _geodesic_side(georeference.at(shape[0] // 2, shape[1] // 2)) if find_spec("pyproj") else None


def _geodesic_side(georeference: Georeference) -> float | None:
    """Root of the area of the first pixel on the ellipsoid of WGS84, in metres."""
    from pyproj import Geod, Transformer
    from pyproj.exceptions import ProjError  # of which an unknown system's is one

    a, b, c, d, e, f = georeference.transform
    try:
        to_wgs84 = Transformer.from_crs(georeference.crs, "EPSG:4326", always_xy=True)
        longitude, latitude = to_wgs84.transform([c, c + a, c + b], [f, f + d, f + e])
        corner = [longitude[0]] * 2, [latitude[0]] * 2
        azimuths, _, lengths = Geod(ellps="WGS84").inv(*corner, longitude[1:], latitude[1:])
    except ProjError:
        return None
    area = lengths[0] * lengths[1] * abs(np.sin(np.deg2rad(azimuths[0] - azimuths[1])))
    return float(np.sqrt(area)) if 0 < area < np.inf else None


def size_class(hectares: float) -> str:
    """The size class of a site: "< 0.5 ha", "0.5 to 2 ha", "2 to 8 ha" or "> 8 ha"; an edge belongs to the larger."""
    names = ("< 0.5 ha", "0.5 to 2 ha", "2 to 8 ha", "> 8 ha")
    return names[int(np.searchsorted(SIZE_EDGES, hectares, side="right"))]
