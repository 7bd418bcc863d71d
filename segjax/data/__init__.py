"""Where pictures and labels come from: simulators, own folders, public sets; their splits, tiles and mixtures."""

from segjax.data.folders.check import check_folder
from segjax.data.folders.listing import Problem
from segjax.data.formats.files import write_labels
from segjax.data.patches import Batch, PatchConfig, Patches, on_devices
from segjax.data.pictures.images import read_labels, read_picture
from segjax.data.spec import open_source
from segjax.data.splits import Split, make_split

__all__ = [
    "Batch",
    "PatchConfig",
    "Patches",
    "Problem",
    "Split",
    "check_folder",
    "make_split",
    "on_devices",
    "open_source",
    "read_labels",
    "read_picture",
    "write_labels",
]
