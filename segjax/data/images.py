"""Read one picture or one label image from a file; whatever would silently change its values is refused.

Read are PNG and TIFF of 1 to 32 bits, grey, RGB, RGBA, palette and floating point; JPEG as picture, never as labels.
"""

import os
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from jaxtyping import Float32, Int32, Shaped
from PIL import Image

from segjax.types import InputError

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGEST_LABEL = np.iinfo(np.int32).max
_LARGEST_16_BIT = np.iinfo(np.uint16).max


def read_picture(
    path: Path, *, scale: Literal["max", "dtype"] = "max", channels: int = 0
) -> Float32[np.ndarray, "H W C"]:
    """One picture as float32 in [0, 1]; transparency is dropped, a palette becomes RGB.

    Args:
        path: PNG, TIFF or JPEG file.
        scale: "max" divides by the picture's own maximum (as both annotation-error papers did with microscope slices;
            12-bit data in a 16-bit file stays visible), "dtype" by the largest value of the file's integer type
            (float pictures must then be in [0, 1] already).
        channels: 0 leaves the channels as they are, 1 makes grey (ITU-R BT.601 luminance), 3 repeats grey.

    Raises:
        InputError: the file cannot be read, holds a stack, NaN, infinite or negative intensities, or its channels
            cannot be converted.
    """
    pixels = _read_pixels(path, as_labels=False)
    if not np.isfinite(pixels).all():
        raise InputError(f"{path}: holds NaN or infinite intensities; replace them before use")
    if pixels.min() < 0:
        raise InputError(f"{path}: holds negative intensities (smallest {pixels.min()}); shift them to start at 0")
    if scale == "max":
        largest = float(pixels.max()) or 1.0
    else:
        largest = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "ui" else 1.0
        if pixels.max() > largest:
            raise InputError(
                f"{path}: scale=dtype needs float intensities in [0, 1], found {pixels.max()}; use scale=max"
            )
    image = pixels.astype(np.float32) / np.float32(largest)
    image = image if image.ndim == 3 else image[..., None]
    try:
        return convert_channels(image, channels or image.shape[-1])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def convert_channels(image: Float32[np.ndarray, "H W C"], channels: int) -> Float32[np.ndarray, "H W K"]:
    """The picture with 1 channel (luminance) or 3 (grey repeated); other changes raise InputError."""
    if image.shape[-1] == channels:
        return image
    if image.shape[-1] == 3 and channels == 1:
        return (image @ LUMINANCE)[..., None]
    if image.shape[-1] == 1 and channels == 3:
        return np.repeat(image, 3, axis=-1)
    raise InputError(f"cannot turn {image.shape[-1]} channels into {channels}; only grey and RGB are converted")


def read_labels(path: Path) -> Int32[np.ndarray, "H W"]:
    """One label image as int32, values as in the file; of a palette file the indices are the labels.

    Raises:
        InputError: the file cannot be read, was JPEG-compressed, is a colour picture or a stack, or holds values that
            are fractional, negative or above 2**31 - 1.
    """
    pixels = _read_pixels(path, as_labels=True)
    if pixels.ndim == 3:
        raise InputError(
            f"{path}: colour picture ({pixels.shape[-1]} channels) given as labels; save one channel of integer ids"
        )
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels).all() and (pixels == np.round(pixels)).all()):
        raise InputError(
            f"{path}: labels are not whole numbers; save integer ids (16-bit PNG or TIFF), never interpolate"
        )
    if pixels.min() < 0 or pixels.max() > _LARGEST_LABEL:
        raise InputError(
            f"{path}: label values from {pixels.min()} to {pixels.max()}; "
            f"ids must lie in 0..{_LARGEST_LABEL}, 0 for background"
        )
    return pixels.astype(np.int32)


def write_labels(path: Path, labels: Int32[np.ndarray, "H W"]) -> None:
    """Write a label image as compressed 16-bit TIFF in one step, so that a stopped process leaves no half file.

    Raises:
        InputError: an id below 0 or above 65535, or a disk that cannot be written.
    """
    if labels.min(initial=0) < 0 or labels.max(initial=0) > _LARGEST_16_BIT:
        raise InputError(f"{path}: ids from {labels.min()} to {labels.max()}; 16 bits hold 0..{_LARGEST_16_BIT}")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        tifffile.imwrite(unfinished, labels.astype(np.uint16), compression="zlib", photometric="minisblack")
        unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); free some space or choose another") from error
    finally:
        unfinished.unlink(missing_ok=True)


def is_8_bit(path: Path) -> bool:
    """Whether a readable label image stores 8 bits or fewer per pixel."""
    if _is_tiff(path):
        with tifffile.TiffFile(path) as file:
            return file.series[0].dtype.itemsize == 1
    with Image.open(path) as file:
        return file.mode in ("1", "L", "P")


def _read_pixels(path: Path, as_labels: bool) -> Shaped[np.ndarray, "H W *C"]:
    try:
        pixels = _read_tiff(path, as_labels) if _is_tiff(path) else _read_with_pillow(path, as_labels)
    except InputError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise InputError(f"{path}: cannot be read ({error}); save it again as PNG or TIFF") from error
    if pixels.size == 0:
        raise InputError(f"{path}: holds no pixels")
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels


def _is_tiff(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in _TIFF_STARTS
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _read_tiff(path: Path, as_labels: bool) -> Shaped[np.ndarray, "H W *C"]:
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        if as_labels and page.compression in (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.OJPEG):
            raise InputError(f"{path}: {_JPEG_REFUSAL}")
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not as_labels:
            return _read_with_pillow(path, as_labels)
        try:
            pixels = series.asarray()
        except ValueError as error:  # some compressions need a further package, which Pillow does without
            if "imagecodecs" not in str(error):
                raise
            return _read_with_pillow(path, as_labels)
        axes, has_alpha = series.axes, bool(page.extrasamples)
    kept = [axis for axis, size in enumerate(pixels.shape) if size > 1 or axes[axis] in "YX"]
    pixels, axes = pixels.reshape([pixels.shape[axis] for axis in kept]), "".join(axes[axis] for axis in kept)
    if axes == "YX":
        return pixels
    if axes in ("SYX", "CYX"):
        pixels, axes = np.moveaxis(pixels, 0, -1), "YX" + axes[0]
    if axes in ("YXS", "YXC", "YXQ"):
        return _without_alpha(pixels) if has_alpha or axes == "YXS" else pixels
    raise InputError(f"{path}: a stack of shape {pixels.shape} (axes {axes}); save every slice as its own picture")


_JPEG_REFUSAL = (
    "labels were JPEG-compressed, which changes ids at every border; save them as PNG or TIFF from the original"
)


def _read_with_pillow(path: Path, as_labels: bool) -> Shaped[np.ndarray, "H W *C"]:
    with Image.open(path, formats=("PNG", "TIFF", "JPEG", "MPO")) as file:
        if as_labels and file.format in ("JPEG", "MPO"):
            raise InputError(f"{path}: {_JPEG_REFUSAL}")
        stored = str(file.tile[0].args) if file.format == "PNG" and file.tile else ""
        if stored in ("RGB;16B", "RGBA;16B"):
            return _without_alpha(_read_16_bit_colour(path, file, stored))
        if stored == "LA;16B":
            raise InputError(f"{path}: 16-bit grey with transparency; save it without the transparency channel")
        if file.mode in ("1", "L", "I", "F", "RGB") or file.mode.startswith("I;16") or (file.mode == "P" and as_labels):
            pixels = np.asarray(file)
            # Pillow spreads 2- and 4-bit grey over 0..255; labels need the stored values
            return pixels // {"L;2": 85, "L;4": 17}.get(stored, 1) if as_labels else pixels
        if file.mode in ("LA", "RGBA"):
            return _without_alpha(np.asarray(file))
        return np.asarray(file.convert("RGB"))


def _read_16_bit_colour(path: Path, file: Image.Image, stored: str) -> Shaped[np.ndarray, "H W C"]:
    """All 16 bits of a colour PNG; Pillow gives the high bytes, and the low ones when told the other byte order."""
    high = np.asarray(file).astype(np.uint16)
    with Image.open(path) as again:
        again.tile = [again.tile[0]._replace(args=stored.replace("16B", "16L"))]
        low = np.asarray(again)
    return high * np.uint16(256) + low


def _without_alpha(pixels: Shaped[np.ndarray, "H W C"]) -> Shaped[np.ndarray, "H W *K"]:
    """Grey + alpha becomes [H, W], RGBA becomes RGB; anything else is returned as it is."""
    return {2: pixels[..., 0], 4: pixels[..., :3]}.get(pixels.shape[-1], pixels)
