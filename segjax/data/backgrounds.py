"""Real pictures that become the ground of `terrain:mounds`."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from segjax.data.pictures.images import PICTURE_SUFFIXES, read_picture
from segjax.simulators.terrain import Backgrounds
from segjax.types import InputError


def read_backgrounds(path: str, sheets: int, pixels: int) -> Backgrounds:
    """The pictures of a folder as grey, divided among the sheets in the order of their names.

    Raises:
        InputError: no such folder, fewer pictures than sheets, or one with an edge below `pixels`.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"terrain:mounds: backgrounds={folder} is not a folder; give one with real pictures")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)
    if len(files) < sheets:
        raise InputError(
            f"terrain:mounds: backgrounds={folder} holds {len(files)} pictures for {sheets} sheets; "
            "every sheet needs one of its own: give more pictures or fewer sheets"
        )
    tiles = [read_picture(file, scale="dtype", channels=1)[..., 0] for file in files]
    for file, tile in zip(files, tiles, strict=True):
        if min(tile.shape) < pixels:
            size = f"{tile.shape[1]} x {tile.shape[0]}"
            raise InputError(f"{file}: {size} pixels are too few for pixels={pixels}; give pixels={min(tile.shape)}")
    cuts = np.linspace(0, len(tiles), sheets + 1).astype(int)
    return Backgrounds(str(folder), [tiles[first:last] for first, last in pairwise(cuts)])
