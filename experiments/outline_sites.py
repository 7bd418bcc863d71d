"""Outlines of sites on a georeferenced scene, by the networks of a run of study 4B.

    python -m experiments.outline_sites --run runs/sites --scene scene.tif --out runs/found

The scene (a GeoTIFF of any size) is looked at in overlapping windows of the size that the networks were trained on; its
pixels should be as large on the ground. Written are `mask.tif`, in the scene's own coordinate system, and
`sites.geojson`, outlines in WGS84 with score and hectares, valid and empty where no site was found.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float32
from rich.console import Console

from experiments.classifiers import read_labelled
from experiments.cli import run_command
from experiments.committed import config_of, read_results
from experiments.running import say
from experiments.site_segmentation.config import StudyConfig
from experiments.site_segmentation.findings import DICE, Findings, Learnt
from experiments.site_segmentation.grid import make_cells
from experiments.site_segmentation.study import Trainer
from segjax.data import parse_spec, read_georeference, read_picture
from segjax.data.geofiles import check_geo, outlines_of, write_geojson, write_mask
from segjax.maps import tidied
from segjax.training import predict_blended
from segjax.types import InputError


@dataclass(frozen=True)
class Options:
    """Where the networks are, what they look at, and what is written."""

    run: Path
    """The --out folder of a finished run of study 4B; its pictures must still be where they were."""
    scene: Path
    """A GeoTIFF."""
    out: Path
    """Folder for mask.tif and sites.geojson."""
    learnt: str = ""
    """What the networks learnt from, as the table of the run's page calls it; default: the maps that did best there."""
    threshold: float = 0.5
    """Probability above which a pixel is site."""
    overlap: float = 0.5
    """Share of a window that neighbouring windows have in common."""


def learnt_of(found: Findings, network: str, name: str) -> Learnt:
    """What is called so, or the maps with the highest mean Dice.

    Raises:
        InputError: nothing is called so, or no network was trained on maps; the message lists what there is.
    """
    counts = (*found.config.outlines, 0)
    everything = [*found.maps(network), *found.cheap(network), *(found.outlined(network, n) for n in counts)]
    known = [one for one in everything if found.interval(DICE, **one.factors).n]
    chosen = [one for one in known if one.name == name] if name else [one for one in known if "map" in one.factors]
    if not chosen:
        raise InputError(f"learnt: nothing of that kind in the run; choose one of: {'; '.join(o.name for o in known)}")
    return max(chosen, key=lambda one: found.interval(DICE, **one.factors).mean)


def probability_of(options: Options) -> Float32[np.ndarray, "H W"]:
    """Of a site at every pixel: the mean of the networks of all seeds.

    Raises:
        InputError: the run or the scene cannot be read.
    """
    plan, table = read_results(options.run)
    config = config_of(StudyConfig, plan["config"])
    spec = parse_spec(config.data)  # brightness is read as that of the run's own pictures
    if "shrink" in spec.options:
        raise InputError(f"run: {options.run} learnt from pictures with shrink=; a scene is looked at as it is")
    learnt = learnt_of(Findings(config, table), config.networks[0], options.learnt)
    domain = read_labelled(config)
    as_maximum = spec.scheme == "folder" and spec.options.get("scale", "max") == "max"
    image = read_picture(options.scene, scale="max" if as_maximum else "dtype", channels=domain.images.shape[3])
    trainings, tile = Trainer(config, domain).trainings, domain.images.shape[1]
    cells = [cell for cell in make_cells(config) if all(cell[name] == value for name, value in learnt.factors.items())]
    network, overlap = trainings.network(config.networks[0]), round(options.overlap * tile)
    found = [
        predict_blended(network, trainings.load(cell).variables, image, tile, overlap)[..., 1]
        for cell in cells
        if cell["outlines"] == learnt.factors.get("outlines", 0)
    ]
    return np.asarray(np.mean(found, 0), np.float32)


def main() -> None:
    """Read, look, write.

    Raises:
        InputError: an option that cannot be used, a scene without coordinate system, or a missing extra.
    """
    options = tyro.cli(Options, prog="python -m experiments.outline_sites", description=__doc__)
    console = Console()
    check_geo()
    for name, value in (("threshold", options.threshold), ("overlap", options.overlap)):
        if not 0 <= value < 1:
            raise InputError(f"{name} must be from 0 to below 1, not {value}")
    georeference = read_georeference(options.scene)
    if georeference is None:
        raise InputError(f"{options.scene}: not a GeoTIFF, so it has no place on the ground; give one")
    probability = probability_of(options)
    mask = tidied(probability > options.threshold, 1)
    outlines = outlines_of(mask, probability, georeference, options.scene.stem)
    write_mask(options.out / "mask.tif", mask, georeference)
    write_geojson(options.out / "sites.geojson", outlines)
    hectares = sum(outline.hectares for outline in outlines)
    say(console, f"{len(outlines)} sites of {hectares:.1f} ha in all: {options.out / 'sites.geojson'}")


if __name__ == "__main__":
    run_command(main)
