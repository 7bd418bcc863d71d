"""Pictures with perfect labels, drawn from a seed: a virtual microscope, stained tissue, terrain. No file is read."""

from segjax.simulators.microscope import MicroscopeSource, open_microscope
from segjax.simulators.phantoms import COARSENINGS, last_sixth
from segjax.simulators.terrain import Backgrounds, TerrainSource, open_terrain
from segjax.simulators.tissue import TissueSource

__all__ = [
    "COARSENINGS",
    "Backgrounds",
    "MicroscopeSource",
    "TerrainSource",
    "TissueSource",
    "last_sixth",
    "open_microscope",
    "open_terrain",
]
