"""Options of the command."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segjax.types import InputError


@dataclass(frozen=True)
class OutlineOptions:
    """Where the networks are, what they look at, and what is written."""

    scene: Path
    """A GeoTIFF."""
    out: Path
    """A new folder for found.html, mask.tif, sites.gpkg, sites.geojson and sites.csv."""
    run: Path | None = None
    """The --out folder of a finished run of study 4B, whose networks look at the scene. Its pictures must still be
    where they were. Train such networks where you have outlined sites of your region: they have seen how these look."""
    weights: str = ""
    """In place of --run: the name of trained weights that come with segjax, mounds, or a folder of such, as ./FOLDER.
    They need no pictures and no training. They learnt from simulated mounds on real CORONA ground, so that nothing is
    known of how they do on real sites."""
    learnt: str = ""
    """What the networks were trained on: maps, as MAP:RULE:COMPLETION (contour_cam:otsu:none); points, walked_points or
    boxes; outlines:5 (those of 5 sites); outlines (all of them). Default: the maps with the highest mean Dice."""
    threshold: float | None = None
    """A pixel belongs to a site where its probability is above this, from 0 to below 1. Default: the rule by which
    the networks were tested, with the level that was chosen for them (the mean, of several networks)."""
    smallest_hectares: float | None = None
    """Smaller pieces are left out, 0 keeps all. Default: half of the smallest site that the networks learnt from."""
    overlap: float = 0.5
    """Fraction of a window that it shares with its neighbour. More is slower and smoother."""
    force: bool = False
    """Apply the networks even where they failed on held-out pictures."""

    def check(self) -> None:
        """Raises InputError where an option cannot be, or the folder is not a new one; names the option."""
        if (self.run is None) == (not self.weights):
            raise InputError("run, weights: give one of the two, a finished run of study 4B or a folder of weights")
        if self.run is None and self.learnt:
            raise InputError("learnt: chooses among the networks of a run; give --run too, or leave it out")
        for name, value in (("threshold", self.threshold), ("overlap", self.overlap)):
            if value is not None and not 0 <= value < 1:
                raise InputError(f"{name} must be from 0 to below 1, not {value}")
        if self.smallest_hectares is not None and not 0 <= self.smallest_hectares < np.inf:
            raise InputError(f"smallest_hectares must be 0 or a number of hectares, not {self.smallest_hectares}")
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise InputError(f"out: {self.out} is not an empty folder; give another")
