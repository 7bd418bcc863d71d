"""The stored values of any PNG, TIFF or JPEG file, refused where they differ from what the file promises.

TIFF is decoded by tifffile with imagecodecs (`segjax.data.pictures.tiff`), PNG and JPEG by Pillow, whatever the file's
name ends with. There is no second decoder that would be tried when the first one fails.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from segjax.data.pictures.limits import check_decoded
from segjax.data.pictures.raster import Kind, Raster
from segjax.data.pictures.tiff import read_tiff, tiff_bits
from segjax.data.pictures.tiff_layout import Position
from segjax.files import check_regular
from segjax.types import InputError

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
}
_ORIENTATION = 0x0112  # tag of EXIF
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PNG_PALETTE = 3
_DENSEST = 1040  # bytes that one byte of a deflate stream can stand for at most


def read_raster(path: Path, at: Position = (), bands: Sequence[str] = ()) -> Raster:
    """One picture of a file.

    Args:
        path: PNG, TIFF or JPEG file.
        at: of a TIFF stack: which plane, as `segjax.data.pictures.stacks.planes_of` names it.
        bands: of a TIFF file: names or numbers (counted from 1) of the channels, in the order wanted; () for all.

    Raises:
        InputError: names the file and what is wrong: it cannot be read, is no picture, holds several, or what was
            decoded is not what its header or tags promise.
    """
    with named(path):
        if (kind := file_kind(path)) == "TIFF":
            return read_tiff(path, at, bands)
        if at or bands:
            raise InputError(f"a {kind} file has neither planes nor named channels; leave out the option")
        return _read_png(path) if kind == "PNG" else _read_jpeg(path)


def stored_bits(path: Path) -> int:
    """Bits per value that the header or tags of a picture file promise; raises InputError as `read_raster` does."""
    with named(path):
        kind = file_kind(path)
        return tiff_bits(path) if kind == "TIFF" else _png_header(path)[2] if kind == "PNG" else 8


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whatever is raised inside becomes an InputError that begins with the file."""
    try:
        yield
    except InputError as error:
        said = str(error)
        raise InputError(said if said.startswith(f"{path}: ") else f"{path}: {said}") from error.__cause__
    except Exception as error:  # decoders raise nearly anything on damaged files
        reason = str(error) or type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); save it again as PNG or TIFF") from error


def file_kind(path: Path) -> str:
    """ "PNG", "TIFF" or "JPEG", by the first bytes of the file."""
    check_regular(path)
    with path.open("rb") as file:
        start = file.read(8)
    kind = next((kind for known, kind in _STARTS.items() if start.startswith(known)), None)
    if kind is None:
        what = "is empty" if not start else "is no PNG, TIFF or JPEG file, whatever its name says"
        raise InputError(f"cannot be read: it {what}; export the picture again as PNG or TIFF")
    return kind


def _png_header(path: Path) -> tuple[int, int, int, int]:
    """Width, height, bits per value and colour type."""
    with path.open("rb") as file:
        width, height, bits, colour_type = struct.unpack(">16xIIBB", file.read(26))
    if colour_type not in _PNG_CHANNELS or bits not in (1, 2, 4, 8, 16):
        raise InputError(f"damaged: a PNG of colour type {colour_type} and {bits} bits; export it again")
    return width, height, bits, colour_type


def _read_png(path: Path) -> Raster:
    width, height, bits, colour_type = _png_header(path)
    channels = _PNG_CHANNELS[colour_type]
    if width * height * bits * channels > 8 * _DENSEST * path.stat().st_size:
        raise InputError(f"promises {width} x {height} pixels, more than the file can hold; export it again")
    check_decoded((height, width, channels), bits, path.stat().st_size)
    with PngImageFile(path) as file:  # not Image.open, which refuses large pictures and reads other formats
        if (frames := getattr(file, "n_frames", 1)) > 1:
            raise InputError(f"is an animation of {frames} pictures; save the one that you want as its own file")
        stored = str(file.tile[0].args) if file.tile else ""
        pixels = _png_values(path, file, stored)
        palette = file.getpalette("RGB") if colour_type == _PNG_PALETTE else None
        orientation = file.getexif().get(_ORIENTATION, 1)
    if pixels.shape != (height, width, channels) or pixels.max(initial=0) >= 2**bits:
        raise InputError(
            f"decoded as {pixels.shape} of {pixels.dtype}, but its header promises {height} x {width} x {channels} of "
            f"{bits} bits; export it again"
        )
    colours = None if palette is None else np.array(palette, np.uint8).reshape(-1, 3)
    without_alpha = pixels[..., : channels - 1] if colour_type in (4, 6) else pixels
    kind: Kind = "colour" if colour_type in (2, 6) else "grey" if colours is None else "palette"
    return Raster(without_alpha, bits, kind, colours).upright(orientation)


def _png_values(path: Path, file: PngImageFile, stored: str) -> Shaped[np.ndarray, "H W C"]:
    """Values as stored; Pillow spreads 2- and 4-bit grey over 0..255 and drops the low byte of 16-bit colour."""
    if stored == "LA;16B":
        raise InputError("16-bit grey with transparency; save it without the transparency channel")
    pixels = np.asarray(file)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if stored in ("RGB;16B", "RGBA;16B"):
        with PngImageFile(path) as again:  # told the other byte order, it drops the high byte
            again.tile = [again.tile[0]._replace(args=stored.replace("16B", "16L"))]
            return pixels.astype(np.uint16) * np.uint16(256) + np.asarray(again)
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    return pixels // np.uint8({"L;2": 85, "L;4": 17}[stored]) if stored in ("L;2", "L;4") else pixels


def _read_jpeg(path: Path) -> Raster:
    with JpegImageFile(path) as file:
        width, height = file.size
        if width * height > 8 * _DENSEST * path.stat().st_size:
            raise InputError(f"promises {width} x {height} pixels, more than the file can hold; export it again")
        if file.mode not in ("L", "RGB"):
            raise InputError(f"its colours are {file.mode}, made for printing; save it as RGB or grey")
        check_decoded((height, width, len(file.mode)), 8, path.stat().st_size)
        pixels, orientation = np.asarray(file), _orientation(file)
        kind: Kind = "grey" if file.mode == "L" else "colour"
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return Raster(pixels, 8, kind, is_lossy=True).upright(orientation)


def _orientation(file: ImageFile) -> int:
    """What EXIF or XMP says of the sides of a picture; 1 where nothing is said."""
    return int(file.getexif().get(_ORIENTATION, 1))
