"""What several formats ask of files of masks; label images and pictures, which appear whole or not at all."""

from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from jaxtyping import Float32, Int32
from PIL import Image

from segjax.data.pictures.limits import check_decoded
from segjax.files import check_regular, replacing
from segjax.types import InputError


def check_opaque(path: Path) -> str:
    """The mode of a picture file in Pillow's words, such as "L" or "RGB".

    Raises:
        InputError: the file cannot be read, or some of its pixels are transparent, so that their values are not what
            one sees.
    """
    check_regular(path)
    try:
        with Image.open(path, formats=("PNG", "TIFF", "JPEG", "MPO")) as file:
            check_decoded((*file.size[::-1], 4), 8, path.stat().st_size)
            alpha = file.convert("RGBA").getchannel("A").getextrema()[0] if file.has_transparency_data else 255
            mode = file.mode
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise InputError(f"{path}: cannot be read ({error}); save it again as PNG") from error
    if alpha != 255:
        raise InputError(f"{path}: some pixels are transparent; save it without transparency, as it should look")
    return mode


def check_size(path: Path, found: tuple[int, ...], shape: tuple[int, int]) -> None:
    """Refuse masks that are not as large as their picture.

    Raises:
        InputError: names both sizes.
    """
    if found != shape:
        raise InputError(
            f"{path}: is {found[0]} x {found[1]} pixels (height x width), but its picture is {shape[0]} x {shape[1]}; "
            "export both at the same size, masks without interpolation"
        )


def write_labels(
    path: str | Path, labels: Int32[np.ndarray, "H W"], dtype: Literal["uint16", "int32", "smallest"] = "smallest"
) -> None:
    """A label image as PNG (uint16 only) or compressed TIFF, values as they are.

    napari opens a file of int32 as labels and one of uint16 as a picture (napari #2899); the smallest is uint16 where
    all ids fit into it, else int32.

    Raises:
        InputError: ids below 0 or too large for the file, or a disk that cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels.tif")
    ...     write_labels(path, np.array([[0, 70_000]], np.int32))  # too large for uint16
    ...     tifffile.imread(path).dtype.name
    'int32'
    """
    path = Path(path)
    is_png, largest = path.suffix.lower() == ".png", int(labels.max(initial=0))
    fits = largest <= np.iinfo(np.uint16).max
    if labels.min(initial=0) < 0:
        raise InputError(f"{path}: has ids down to {labels.min()}; background must be 0, and objects count from 1")
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


def write_picture(path: Path, image: Float32[np.ndarray, "H W C"]) -> None:
    """A picture in [0, 1] as TIFF that other programs read, scaled by its maximum: 8 bits for RGB, 16 for all others.

    Raises:
        InputError: the disk cannot be written.
    """
    is_rgb = image.shape[-1] == 3
    kind = np.uint8 if is_rgb else np.uint16
    pixels = np.round(image * (np.iinfo(kind).max / (float(image.max()) or 1.0))).astype(kind)
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    photometric, planar = "rgb" if is_rgb else "minisblack", "contig" if pixels.ndim == 3 else None
    with replacing(path) as unfinished:
        tifffile.imwrite(
            unfinished, pixels, photometric=photometric, planarconfig=planar, compression="zlib", metadata=None
        )
