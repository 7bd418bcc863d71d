"""Where pictures and labels come from: simulators, own folders, public sets; their splits, tiles and mixtures."""

from segjax.data.folders.check import check_folder
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import CUTS, FolderOptions
from segjax.data.folders.image_labels import with_presence
from segjax.data.folders.listing import Problem
from segjax.data.formats.files import write_labels
from segjax.data.ground.georeference import metres_per_pixel, read_georeference
from segjax.data.paste import paste, pasted
from segjax.data.patches import Batch, PatchConfig, Patches, class_target, on_devices
from segjax.data.pictures.images import read_labels, read_picture
from segjax.data.shots import pictures_by_class
from segjax.data.spec import open_source, parse_spec
from segjax.data.splits import Split, group_folds, make_split, read_sides, split_groups
from segjax.data.tiles import cropped, tiled

__all__ = [
    "CUTS",
    "Batch",
    "FolderOptions",
    "FolderSource",
    "PatchConfig",
    "Patches",
    "Problem",
    "Split",
    "check_folder",
    "class_target",
    "cropped",
    "group_folds",
    "make_split",
    "metres_per_pixel",
    "on_devices",
    "open_source",
    "parse_spec",
    "paste",
    "pasted",
    "pictures_by_class",
    "read_georeference",
    "read_labels",
    "read_picture",
    "read_sides",
    "split_groups",
    "tiled",
    "with_presence",
    "write_labels",
]
