"""From probabilities to sites: which pieces are large enough, their outlines, places and files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int32

from experiments.outline_sites.networks import Finder
from experiments.site_segmentation.operating import Point
from segjax.data.ground.geofiles import crs_of, write_mask
from segjax.data.ground.outlines import Outline, outlines_of, places_of, write_outlines
from segjax.data.ground.scene import Scene
from segjax.files import write_file
from segjax.maps.masks import tidied
from segjax.ops.components import components


class Smallest(NamedTuple):
    """The smallest site that is kept.

    Attributes:
        hectares: its area.
        reason: where that comes from, in words.
    """

    hectares: float
    reason: str


class Found(NamedTuple):
    """What was found in a scene.

    Attributes:
        sites: number of the site that a pixel belongs to, 0 elsewhere; 1 is the surest.
        outlines: of the sites, in the order of their numbers.
        dropped: pieces that were left out since they are too small.
        unsure: further pieces that were left out since too few of their pixels are above the level.
    """

    sites: Int32[np.ndarray, "H W"]
    outlines: list[Outline]
    dropped: int
    unsure: int = 0

    @property
    def hectares(self) -> float:
        """Of all sites together."""
        return sum(outline.hectares for outline in self.outlines)


def smallest_site(run: Finder, asked: float | None, metres: float) -> Smallest:
    """What was asked for, or the limit that the networks bring along.

    Args:
        metres: side of the scene's pixels, for pictures of which the size of pixels is not known.
    """
    if asked is not None:
        return Smallest(asked, "as --smallest-hectares says")
    pixels, reason = run.smallest
    return Smallest(float(pixels * (run.metres or metres) ** 2 / 1e4), reason)


def sites_in(
    probability: Float32[np.ndarray, "H W"], scene: Scene, point: Point, smallest: Smallest, metres: float
) -> Found:
    """The pieces that count as sites and are large enough, with their holes filled; nothing where there are no data.

    Args:
        metres: side of the scene's pixels on the ground.
    """
    # holes without data are filled too, so that these are taken out again
    labels = components(tidied((probability > point.outline) & scene.known, 1) & scene.known)
    is_kept = np.bincount(labels.ravel()) * metres**2 / 1e4 >= smallest.hectares
    large = int(is_kept[1:].sum())
    is_kept &= point.keeps(labels, probability)
    outlines = outlines_of(is_kept[labels], probability, scene.georeference, scene.path.stem)
    outlines.sort(key=lambda outline: -outline.score)
    places = places_of(outlines, scene.georeference)
    pieces = labels[places.rows, places.columns]
    numbers = np.zeros(len(is_kept), np.int32)
    numbers[pieces] = np.arange(1, len(outlines) + 1)
    return Found(numbers[labels], outlines, len(is_kept) - 1 - large, large - int(is_kept.sum()))


def table_of(found: Found, scene: Scene) -> pd.DataFrame:
    """A row per site, the surest first: number, area, score, a point within it in degrees and the scene's system."""
    places, crs = places_of(found.outlines, scene.georeference), scene.georeference.crs
    digits = 6 if crs_of(scene.georeference).is_geographic else 1
    return pd.DataFrame(
        {
            "site": np.arange(1, len(found.outlines) + 1),
            "hectares": [f"{outline.hectares:.3f}" for outline in found.outlines],
            "score": [f"{outline.score:.3f}" for outline in found.outlines],
            "longitude": [f"{x:.6f}" for x in places.longitude],
            "latitude": [f"{y:.6f}" for y in places.latitude],
            f"x, {crs}": [f"{x:.{digits}f}" for x in places.x],
            f"y, {crs}": [f"{y:.{digits}f}" for y in places.y],
        }
    )


def write_sites(folder: Path, found: Found, scene: Scene) -> None:
    """mask.tif, sites.gpkg, sites.geojson and sites.csv.

    Raises:
        InputError: the folder cannot be written.
    """
    write_mask(folder / "mask.tif", found.sites > 0, scene.georeference, scene.known)
    write_outlines(folder, found.outlines, [scene.georeference.crs])
    write_file(folder / "sites.csv", table_of(found, scene).to_csv(index=False, lineterminator="\n"))
