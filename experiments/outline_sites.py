"""Outlines of sites on a georeferenced scene, by the networks of a run of study 4B.

    python -m experiments.outline_sites --run runs/sites --scene scene.tif --out runs/found

The scene is a GeoTIFF of any size. The networks look at overlapping windows of the size that they were trained on. The
scene must have as many bands as the run's pictures, and pixels within 10 % of theirs in size on the ground, where both
are known. The command writes three files. `mask.tif` is in the scene's own coordinate system and has a nodata
value where the scene has no data. `sites.gpkg` has outlines along the pixels' edges in the same system, with score and
hectares, and a style by which QGIS shows them as outlines. `sites.geojson` has the same outlines in WGS84. Both are
valid and empty where no site was found.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float32
from rich.console import Console

from experiments.harness.classifiers import LabelledDomain
from experiments.harness.options import overlaid
from experiments.harness.publish import config_of, table_of_run
from experiments.harness.start import run_command
from experiments.harness.store import TrainingStore
from experiments.site_segmentation.analysis import best_of, learnt_by
from experiments.site_segmentation.grid import FROM_MAPS, Config, Trial
from experiments.site_segmentation.study import STUDY, SiteTrainer
from segjax.data import metres_per_pixel, parse_spec
from segjax.data.ground.geofiles import check_geo, write_mask
from segjax.data.ground.outlines import outlines_of, write_outlines
from segjax.data.ground.scene import Scene, open_scene, picture_of
from segjax.maps import tidied
from segjax.sweeps import ResultTable, read_plan
from segjax.training import predict_blended
from segjax.types import InputError

LARGEST_DIFFERENCE = 0.1  # of the scene's pixels from the run's, as a fraction of these


@dataclass(frozen=True)
class OutlineOptions:
    """Where the networks are, what they look at, and what is written."""

    run: Path
    """The --out folder of a finished run of study 4B; its pictures must still be where they were."""
    scene: Path
    """A GeoTIFF."""
    out: Path
    """Folder for mask.tif, sites.gpkg and sites.geojson."""
    learnt: str = ""
    """What the networks learnt from: MAP:RULE:COMPLETION, such as contour_cam:otsu:none; points, walked_points or
    boxes; outlines:5 (outlines of 5 sites); outlines (all of them). Default: the maps with the highest mean Dice."""
    threshold: float = 0.5
    """Probability above which a pixel is site."""
    overlap: float = 0.5
    """Fraction of a window that it has in common with its neighbour."""


def check_scene(scene: Scene, config: Config, domain: LabelledDomain) -> None:
    """Refuse a scene that is not like the pictures of the run.

    Raises:
        InputError: another number of bands, or pixels of another size on the ground.
    """
    own, here = domain.images.shape[3], len(scene.bands)
    is_converted = "channels" in parse_spec(config.source.data).options and {own, here} == {1, 3}
    if own != here and not is_converted:
        raise InputError(
            f"{scene.path}: has {here} band(s), but the networks learnt from pictures of {own}; "
            f"give a scene of {own}, chosen for example with gdal_translate -b 1"
        )
    sizes = [metres for place in domain.places if place is not None and (metres := metres_per_pixel(place))]
    found = metres_per_pixel(scene.georeference, scene.known.shape)
    if not sizes or found is None:
        return
    usual = float(np.median(sizes))
    if abs(found / usual - 1) > LARGEST_DIFFERENCE:
        a, b, _, d, e, _ = scene.georeference.transform
        wanted = f"{np.sqrt(abs(a * e - b * d)) * usual / found:.6g}"  # in units of the scene's coordinate system
        raise InputError(
            f"{scene.path}: has pixels of {found:.3g} m, but the run's pictures have pixels of {usual:.3g} m; "
            f"resample the scene, for example with gdalwarp -tr {wanted} {wanted} -r average"
        )


def learnt_of(table: ResultTable[Trial], network: str, learnt: str) -> Trial:
    """The trial of seed 0 that learnt from it, or from the maps with the highest mean Dice.

    Raises:
        InputError: nothing learnt from it, or no network from maps; the message lists what there is.
    """
    known = learnt_by(table, network)
    chosen = best_of(table, [one for one in known if (one.learnt == learnt if learnt else one.method == FROM_MAPS)])
    if chosen is None:
        names = ", ".join(dict.fromkeys(one.learnt for one in known))
        raise InputError(f"learnt: no network of the run learnt from {learnt or 'maps'}; choose one of {names}")
    return chosen


def probability_of(options: OutlineOptions, scene: Scene) -> Float32[np.ndarray, "H W"]:
    """Of a site at every pixel: the mean of the networks of all seeds.

    Raises:
        InputError: the run or the scene cannot be read, the run is of another study, or the scene not like its own.
    """
    plan = read_plan(options.run)
    if (study := plan["study"]) != STUDY.name:
        raise InputError(f"run: {options.run} is of the study {study}; name the --out folder of a run of {STUDY.name}")
    config = overlaid(config_of(Config, plan["config"]), {"run": {"out": options.run}})
    spec = parse_spec(config.source.data)  # brightness is read as that of the run's own pictures
    if "shrink" in spec.options:
        raise InputError(
            f"run: {options.run} learnt from pictures with shrink=, but scenes are not shrunk; give another run"
        )
    learnt = learnt_of(table_of_run(STUDY, options.run, plan), config.segmentation.networks[0], options.learnt)
    domain = STUDY.read(config)
    check_scene(scene, config, domain)
    as_maximum = spec.scheme == "folder" and spec.options.get("scale", "max") == "max"
    image = picture_of(scene, "max" if as_maximum else "dtype", domain.images.shape[3])
    trainer, tile = SiteTrainer(config, domain), domain.images.shape[1]
    store, network = TrainingStore(config.run, trainer), trainer.network(learnt.network)
    overlap = round(options.overlap * tile)
    found = [
        predict_blended(network, store.load(replace(learnt, seed=seed)).variables, image, tile, overlap)[..., 1]
        for seed in range(config.run.seeds)
    ]
    return np.asarray(np.mean(found, 0), np.float32)


def main() -> None:
    """Read, look, write.

    Raises:
        InputError: an option, a run or a scene that cannot be used, or a missing extra.
    """
    options = tyro.cli(OutlineOptions, prog="python -m experiments.outline_sites", description=__doc__)
    console = Console(highlight=False, markup=False)
    check_geo()
    for name, value in (("threshold", options.threshold), ("overlap", options.overlap)):
        if not 0 <= value < 1:
            raise InputError(f"{name} must be from 0 to below 1, not {value}")
    scene = open_scene(options.scene)
    probability = probability_of(options, scene)
    # twice, as holes are filled, those without data too
    mask = tidied((probability > options.threshold) & scene.known, 1) & scene.known
    outlines = outlines_of(mask, probability, scene.georeference, options.scene.stem)
    write_mask(options.out / "mask.tif", mask, scene.georeference, scene.known)
    write_outlines(options.out, outlines, [scene.georeference.crs])
    hectares = sum(outline.hectares for outline in outlines)
    console.print(f"{len(outlines)} sites of {hectares:.1f} ha in all: {options.out / 'sites.gpkg'}", soft_wrap=True)


if __name__ == "__main__":
    run_command(main)
