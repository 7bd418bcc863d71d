"""Pictures with perfect labels, drawn from a seed: a virtual microscope, stained tissue, terrain. No file is read."""

from segjax.simulators.microscope import MicroscopeSource, open_microscope
from segjax.simulators.terrain import TerrainSource, open_terrain
from segjax.simulators.tissue import TissueSource

__all__ = [
    "MicroscopeSource",
    "TerrainSource",
    "TissueSource",
    "open_microscope",
    "open_terrain",
]
