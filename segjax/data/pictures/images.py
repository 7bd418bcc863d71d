"""Read one picture or one label image from a file; whatever would silently change its values is refused.

Read are PNG and TIFF of 1 to 64 bits, grey, RGB, any number of channels, palette and floating point, with any of the
lossless compressions; JPEG as picture, never as labels. Pictures and labels alike are turned as EXIF or TIFF say.
Where black and white change places (MINISWHITE), pictures are inverted, so that light is large. Labels keep the stored
values if ImageJ wrote them, as ImageJ shows these; others are refused, as programs disagree about them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped
from scipy import ndimage

from segjax.data.pictures.decoders import named, read_raster, stored_bits
from segjax.data.pictures.raster import Raster
from segjax.data.pictures.tiff_layout import Position
from segjax.types import InputError

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_LARGEST_LABEL = np.iinfo(np.int32).max
_NO_INTENSITY = 1e30  # beyond are the limits of float32 that programs write where there is no data


def read_picture(
    path: Path,
    *,
    scale: Literal["max", "dtype"] = "max",
    channels: int = 0,
    at: Position = (),
    bands: Sequence[str] = (),
) -> Float32[np.ndarray, "H W C"]:
    """One picture as float32 in [0, 1]; transparency is dropped, a palette becomes RGB.

    Args:
        path: PNG, TIFF or JPEG file.
        scale: "max" divides by the picture's own maximum (as both annotation-error papers did with microscope slices;
            12-bit data in a 16-bit file stays visible), "dtype" by the largest value that its bits can hold
            (float pictures must then be in [0, 1] already).
        channels: 0 leaves the channels as they are, 1 makes grey (ITU-R BT.601 luminance), 3 repeats grey.
        at: of a TIFF stack: which plane, as `segjax.data.pictures.stacks.planes_of` names it.
        bands: of a TIFF file: names or numbers (counted from 1) of the channels that are used; () for all.

    Returns:
        The picture. Pixels without data, by GDAL's tag or mask, have the values of the nearest pixel that has data.

    Raises:
        InputError: the file cannot be read, holds a stack, NaN, infinite or negative intensities, or its channels
            cannot be converted.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "picture.png")
    ...     Image.fromarray(np.array([[0, 50, 200]], np.uint8)).save(path)
    ...     read_picture(path).tolist()
    [[[0.0], [0.25], [1.0]]]
    """
    return read_picture_with_missing(path, scale=scale, channels=channels, at=at, bands=bands)[0]


def read_picture_with_missing(
    path: Path,
    *,
    scale: Literal["max", "dtype"] = "max",
    channels: int = 0,
    at: Position = (),
    bands: Sequence[str] = (),
) -> tuple[Float32[np.ndarray, "H W C"], Bool[np.ndarray, "H W"] | None]:
    """The picture as `read_picture` gives it, and where it has no data; None where it has data everywhere."""
    raster = read_raster(path, at, bands)
    with named(path):
        return picture_of(raster, raster.missing, scale, channels), raster.missing


def picture_of(
    raster: Raster, missing: Bool[np.ndarray, "H W"] | None, scale: Literal["max", "dtype"], channels: int
) -> Float32[np.ndarray, "H W C"]:
    """The intensities of a raster, filled where they are missing and scaled; see `read_picture`.

    Raises:
        InputError: as `read_picture` does, without the file's name.
    """
    pixels, largest = _intensities(raster)
    if pixels.size == 0:
        raise InputError("holds no pixels; export it again")
    if missing is not None:
        if missing.all():
            raise InputError("no pixel has data; give a picture that shows something, or correct its nodata value")
        rows, columns = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        pixels = pixels[rows, columns]
    _check_intensities(pixels)
    if scale == "dtype" and pixels.max() > largest:
        raise InputError(
            f"scale=dtype needs float intensities from 0 to 1, but the highest is {pixels.max()}; use scale=max"
        )
    image = pixels.astype(np.float32) / np.float32(largest if scale == "dtype" else float(pixels.max()) or 1.0)
    return convert_channels(image, channels or image.shape[-1])


def _intensities(raster: Raster) -> tuple[Shaped[np.ndarray, "H W C"], float]:
    """Values of which light is large, and the largest that the bits can hold."""
    if raster.palette is not None:
        if raster.pixels.max(initial=0) >= len(raster.palette):
            raise InputError(
                f"some pixels point beyond the {len(raster.palette)} colours of the palette; export it again"
            )
        return raster.palette[raster.pixels[..., 0]], 255.0
    kind = raster.pixels.dtype.kind
    largest = 1.0 if kind == "f" else float(2 ** (raster.bits - (kind == "i")) - 1)
    if raster.kind != "white_is_zero":
        return raster.pixels, largest
    if kind != "u":
        raise InputError(
            "stores white as 0, but these values have no maximum that black could be; save it again with black as 0"
        )
    return raster.pixels.dtype.type(largest) - raster.pixels, largest


def _check_intensities(pixels: Shaped[np.ndarray, "H W C"]) -> None:
    remedy = "if that means no data, say so in the file (gdal_edit.py -a_nodata {})"
    if not np.isfinite(pixels).all():
        raise InputError(f"holds NaN or infinite intensities; {remedy.format('nan')}, else replace them before use")
    if pixels.min() < 0 or pixels.max() > _NO_INTENSITY:
        smallest, largest = pixels.min(), pixels.max()
        if smallest < 0:
            reason, other = f"negative intensities (smallest {smallest})", "shift them all by the same number"
        else:
            reason, other = f"intensities that no light has (largest {largest})", "replace them"
        shown = f"{smallest if smallest < 0 else largest:.9g}"
        raise InputError(f"holds {reason}; {remedy.format(shown)}, else {other}")


def convert_channels(image: Float32[np.ndarray, "H W C"], channels: int) -> Float32[np.ndarray, "H W K"]:
    """The picture with 1 channel (luminance) or 3 (grey repeated); other changes raise InputError."""
    if image.shape[-1] == channels:
        return image
    if image.shape[-1] == 3 and channels == 1:
        return (image @ LUMINANCE)[..., None]
    if image.shape[-1] == 1 and channels == 3:
        return np.repeat(image, 3, axis=-1)
    raise InputError(f"cannot turn {image.shape[-1]} channels into {channels}; only grey and RGB are converted")


def read_labels(path: Path, *, at: Position = ()) -> Int32[np.ndarray, "H W"]:
    """One label image as int32, values as in the file; of a palette file the indices are the labels.

    Pixels without data, by GDAL's tag or mask, are 0. A file whose value for no data is 0 has data everywhere, as 0 is
    background.

    Args:
        path: PNG or TIFF file.
        at: of a TIFF stack: which plane, as `segjax.data.pictures.stacks.planes_of` names it.

    Raises:
        InputError: the file cannot be read, was compressed by a method that changes values (as JPEG), is a colour
            picture or a stack, stores white as 0 and is not ImageJ's, or holds values that are fractional, negative or
            above 2**31 - 1.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "labels.png")
    ...     Image.fromarray(np.array([[0, 1, 300]], np.uint16)).save(path)
    ...     read_labels(path).tolist()
    [[0, 1, 300]]
    """
    return read_labels_with_missing(path, at=at)[0]


def read_labels_with_missing(
    path: Path, *, at: Position = ()
) -> tuple[Int32[np.ndarray, "H W"], Bool[np.ndarray, "H W"] | None]:
    """The labels as `read_labels` gives them, and where the file has no data; None where it has data everywhere."""
    raster = read_raster(path, at)
    with named(path):
        missing = raster.missing if raster.missing is None or raster.pixels[raster.missing].any() else None
        return _labels(raster, missing), missing


def _labels(raster: Raster, missing: Bool[np.ndarray, "H W"] | None) -> Int32[np.ndarray, "H W"]:
    pixels = raster.pixels[..., 0]
    if raster.is_lossy:
        raise InputError(
            "labels were saved with lossy compression such as JPEG, which changes ids at every border; save them as "
            "PNG or TIFF from the original"
        )
    if raster.pixels.shape[-1] > 1 or raster.kind == "colour":
        raise InputError(
            f"colour picture ({raster.pixels.shape[-1]} channels) given as labels; save one channel of integer ids, "
            "or give colours=FILE.csv (columns colour, class) where each class has a colour"
        )
    if raster.kind == "white_is_zero" and not raster.is_imagej:
        raise InputError(
            "labels store white as 0 (MINISWHITE), so programs disagree about which value is background; save them "
            "with black as 0 (in Fiji: Image > Lookup Tables > Grays)"
        )
    if pixels.size == 0:
        raise InputError("holds no pixels; export it again")
    if missing is not None:
        pixels = np.where(missing, pixels.dtype.type(0), pixels)
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels).all() and (pixels == np.round(pixels)).all()):
        raise InputError("labels are not whole numbers; save integer ids (16-bit PNG or TIFF), never interpolate")
    if pixels.min() < 0 or pixels.max() > _LARGEST_LABEL:
        raise InputError(
            f"label values from {pixels.min()} to {pixels.max()}; ids must be from 0 (background) to {_LARGEST_LABEL}"
        )
    return pixels.astype(np.int32)


def is_8_bit(path: Path) -> bool:
    """Whether a label image stores 8 bits or fewer per pixel."""
    return stored_bits(path) <= 8
