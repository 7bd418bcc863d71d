"""Write files of annotations in one step, so that a stopped process or a full disk leaves no half file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from jaxtyping import Int32
from PIL import Image

from segjax.types import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when all is written; its folder is made.

    Raises:
        InputError: the disk cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); free some space or choose another") from error
    finally:
        unfinished.unlink(missing_ok=True)


def write_label_image(
    path: Path, labels: Int32[np.ndarray, "H W"], dtype: Literal["uint16", "int32", "smallest"] = "smallest"
) -> None:
    """A label image as PNG (uint16 only) or compressed TIFF, values as they are.

    napari opens a file of int32 as labels and one of uint16 as a picture (napari #2899); the smallest is uint16 where
    all ids fit into it, else int32.

    Raises:
        InputError: ids below 0 or too large for the file, or a disk that cannot be written.
    """
    is_png, largest = path.suffix.lower() == ".png", int(labels.max(initial=0))
    fits = largest <= np.iinfo(np.uint16).max
    if labels.min(initial=0) < 0:
        raise InputError(f"{path}: ids from {labels.min()}; background is 0 and objects count from 1")
    if dtype == "uint16" or is_png:
        if not fits or dtype == "int32":
            raise InputError(f"{path}: ids up to {largest} as {dtype}; 16 bits hold 0..65535, write int32 as .tif")
        dtype = "uint16"
    with replacing(path) as unfinished:
        if is_png:
            Image.fromarray(labels.astype(np.uint16)).save(unfinished, format="PNG")
        else:
            kind = np.uint16 if dtype == "uint16" or (dtype == "smallest" and fits) else np.int32
            tifffile.imwrite(unfinished, labels.astype(kind), compression="zlib", photometric="minisblack")
