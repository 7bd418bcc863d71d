"""From probabilities to sites: which pieces are large enough, their outlines, places and files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32
from skimage.segmentation import clear_border

from experiments.outline_sites.networks import SiteRun
from segjax.data.formats.layers import WGS84, moved
from segjax.data.ground.geofiles import write_mask
from segjax.data.ground.outlines import Outline, outlines_of, write_outlines
from segjax.data.ground.scene import Scene
from segjax.files import write_file
from segjax.maps import tidied
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
        mask: where sites are.
        outlines: of the sites, the surest first.
        dropped: pieces that were left out since they are too small.
    """

    mask: Bool[np.ndarray, "H W"]
    outlines: list[Outline]
    dropped: int

    @property
    def hectares(self) -> float:
        """Of all sites together."""
        return sum(outline.hectares for outline in self.outlines)


def smallest_site(run: SiteRun, asked: float | None, metres: float) -> Smallest:
    """What was asked for, or half of the smallest site that the run's pictures show as a whole.

    Sites that a picture's border cuts do not count, unless all are cut. The default is never below the pixels that the
    run itself drops.

    Args:
        metres: side of the scene's pixels, for pictures of which the size of pixels is not known.
    """
    if asked is not None:
        return Smallest(asked, "as --smallest-hectares says")
    areas = [np.bincount(labels.ravel())[1:] for picture in run.domain.labels for labels in (clear_border(picture),)]
    whole = np.concatenate(areas)
    if not whole.any():
        whole = np.concatenate([np.bincount(picture.ravel())[1:] for picture in run.domain.labels])
    half, least = whole[whole > 0].min() / 2, run.config.minimum_area
    hectares = max(half, least) * (run.metres or metres) ** 2 / 1e4
    said = f"{least} pixels, as in the run" if half < least else "half of the smallest outlined site of the run"
    return Smallest(float(hectares), said)


def sites_in(
    probability: Float32[np.ndarray, "H W"], scene: Scene, threshold: float, smallest: Smallest, metres: float
) -> Found:
    """The pieces above the threshold that are large enough, with their holes filled; nothing where there are no data.

    Args:
        metres: side of the scene's pixels on the ground.
    """
    # holes without data are filled too, so that these are taken out again
    labels = components(tidied((probability > threshold) & scene.known, 1) & scene.known)
    is_kept = np.bincount(labels.ravel()) * metres**2 / 1e4 >= smallest.hectares
    is_kept[0] = False
    mask = is_kept[labels]
    outlines = outlines_of(mask, probability, scene.georeference, scene.path.stem)
    by_score = sorted(outlines, key=lambda outline: -outline.score)
    return Found(mask, by_score, int(labels.max(initial=0) - is_kept.sum()))


def table_of(found: Found, scene: Scene) -> pd.DataFrame:
    """A row per site, the surest first: number, a point within it in the scene's system and in degrees, area, score."""
    import shapely

    shapes = np.array([outline.shape for outline in found.outlines], object)
    points = shapely.point_on_surface(shapes)
    degrees = moved(points, scene.georeference.crs, WGS84)[0]
    return pd.DataFrame(
        {
            "site": np.arange(1, len(shapes) + 1),
            f"x, {scene.georeference.crs}": [f"{x:.9g}" for x in shapely.get_x(points)],
            f"y, {scene.georeference.crs}": [f"{y:.9g}" for y in shapely.get_y(points)],
            "longitude": [f"{x:.6f}" for x in shapely.get_x(degrees)],
            "latitude": [f"{y:.6f}" for y in shapely.get_y(degrees)],
            "hectares": [f"{outline.hectares:.3f}" for outline in found.outlines],
            "score": [f"{outline.score:.3f}" for outline in found.outlines],
        }
    )


def write_sites(folder: Path, found: Found, scene: Scene) -> None:
    """mask.tif, sites.gpkg, sites.geojson and sites.csv.

    Raises:
        InputError: the folder cannot be written.
    """
    write_mask(folder / "mask.tif", found.mask, scene.georeference, scene.known)
    write_outlines(folder, found.outlines, [scene.georeference.crs])
    write_file(folder / "sites.csv", table_of(found, scene).to_csv(index=False, lineterminator="\n"))
