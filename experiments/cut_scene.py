"""Cut georeferenced scenes into tiles with and without known sites, for networks to learn from.

    python -m experiments.cut_scene scene.tif --sites sites.gpkg --out tiles
    python -m experiments.cut_scene north.tif south.tif --sites points.shp --radius 75 --tile 128 --out tiles

You need a scene, which is a GeoTIFF of any size, and a file of known sites: polygons, or points with --radius, as
GeoPackage, Shapefile or GeoJSON in any coordinate system. The command writes a folder that every study opens.

What you get. The command cuts --per-site tiles around each site. Each of them is moved by a random part of its side
(--jitter), so that no network can learn that sites are in the middle. For each of these tiles it cuts --without tiles
in which every pixel is at least --distance metres from all sites, also from those beyond the scene. No tile holds
pixels without data. Ground counts as "no site" wherever your file has none: choose scenes that were searched well.

How it is divided. The scene is divided into blocks of --block by --block tiles. A tile lies in one block and shows no
site of another, so networks are tested on blocks that they never saw. Give several small scenes, or a smaller --block,
where fewer than about ten blocks have a site. Ground that several scenes show is cut from the first of them only.

Files: images/ (in the bands and bit depth of the scene, with their place on the ground), labels/ (the number of the
site at every pixel, placed likewise), groups.csv (the block of each tile), image_labels.csv (site or none), sites.csv
(what became of every site). A pixel belongs to a site where the site covers its centre, or with --all-touched wherever
the site touches it. The same --seed gives the same tiles. Look at some in QGIS, beside the sites, before you train.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from experiments.harness.start import run_command
from segjax.data.formats.vectors import Options
from segjax.data.ground.cut_scene import CUT, CutScene, cut_scenes, fates_of
from segjax.data.ground.geofiles import check_geo
from segjax.data.ground.georeference import metres_per_pixel
from segjax.data.ground.site_tiles import Cutting
from segjax.data.pictures.images import is_8_bit
from segjax.types import InputError

FEWEST_BLOCKS = 3  # with a site: to train, to validate and to test


@dataclass(frozen=True)
class CutOptions:
    """Scenes, sites, and how tiles are cut."""

    scenes: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """GeoTIFF scenes."""
    sites: Path
    """GeoPackage, Shapefile or GeoJSON of the known sites."""
    out: Path
    """A new folder."""
    tile: int = 256
    """Side of a tile in pixels."""
    block: int = 4
    """Side of a block in tiles."""
    per_site: int = 2
    """Tiles around each site."""
    jitter: float = 0.25
    """Largest distance from the middle of a tile to the middle of its site along each axis, as a fraction of the side
    of the tile, at most 0.5."""
    without: int = 3
    """Tiles without a site for each tile with one."""
    distance: float = 500.0
    """Least distance of tiles without a site from every site, in metres."""
    seed: int = 0
    """Number from which the tiles are drawn; another seed gives other tiles."""
    layer: str = ""
    """Layer of the file of sites. It must be given where there are several."""
    radius: float = 0.0
    """Radius of a site that is a point, in metres."""
    all_touched: bool = False
    """Give a site every pixel that it touches, not only those whose centre it covers."""


def spec_of(out: Path, done: list[CutScene]) -> str:
    """What a study opens the folder by; 8-bit pictures keep the brightness that they have in the scene."""
    scale = "&scale=dtype" if all(is_8_bit(one.scene.path) for one in done) else ""
    return f"folder:{out}?groups=groups.csv&image_labels=image_labels.csv&label_names=none,site{scale}"


def lines_of(one: CutScene) -> list[str]:
    """What was cut from a scene, and what was not, for people."""
    height, width = one.scene.known.shape
    metres = metres_per_pixel(one.scene.georeference, (height, width))
    around = [tile for tile in one.plan.tiles if tile.site is not None]
    others = len(one.plan.tiles) - len(around)
    unknown = 100 * (1 - float(np.mean(one.scene.known)))
    room = f" ({one.plan.wanted} were asked for, but there is no room for more)" if others < one.plan.wanted else ""
    return [
        f"{one.scene.path}: {width} x {height} pixels of {metres:.3g} m, {unknown:.0f} % without data",
        f"  tiles around {_count(len({tile.site for tile in around}), 'site')}: {len(around)}",
        f"  tiles without a site: {others}{room}",
        f"  blocks: {len(one.groups)}, of which {len(one.groups_with_site)} have a site",
        *(f"  {note}" for note in one.notes),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def main() -> None:
    """Cut, and say what became of the sites.

    Raises:
        InputError: an option, a scene or the sites cannot be used, or the extra is missing.
    """
    options = tyro.cli(CutOptions, prog="python -m experiments.cut_scene", description=__doc__)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    check_geo()
    if not options.scenes:
        raise InputError("scenes: none given; name one or more GeoTIFF files")
    names = ("tile", "block", "per_site", "jitter", "without", "distance", "seed")
    cutting = Cutting(**{name: getattr(options, name) for name in names})
    sites = Options(layer=options.layer, radius=options.radius, all_touched=options.all_touched)
    done = []
    for one in cut_scenes(options.scenes, options.sites, sites, cutting, options.out):
        done.append(one)
        console.print("\n".join(lines_of(one)))
    fates = Counter(fates_of(done).values())
    console.print(f"{options.sites}: {_count(fates.total(), 'site')}, of which {fates.pop(CUT, 0)} have tiles")
    for reason, count in fates.most_common():
        console.print(f"  without a tile: {count} {reason}")
    blocks = sum(len(one.groups_with_site) for one in done)
    spec = spec_of(options.out, done)
    console.print(f"look at the tiles:  python -m experiments.check '{spec}'")
    learn = f"python -m experiments.site_segmentation --data '{spec}' --label site --out runs/own"
    few = f"blocks with a site: {blocks}; training, validation and testing need one each, so give a smaller --block"
    console.print(few if blocks < FEWEST_BLOCKS else f"train networks:     {learn}")


if __name__ == "__main__":
    run_command(main)
