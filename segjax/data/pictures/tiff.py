"""Planes of TIFF files, decoded by tifffile with imagecodecs and compared with what the tags promise.

Functions raise InputError without the file's name, which `segjax.data.pictures.decoders` puts before it.
"""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, SAMPLEFORMAT, TiffFile, TiffPage

from segjax.data.pictures.limits import check_decoded
from segjax.data.pictures.raster import Kind, Raster
from segjax.data.pictures.tiff_layout import Layout, Position, layout_of
from segjax.types import InputError

_JPEG = (COMPRESSION.JPEG, COMPRESSION.OJPEG, COMPRESSION.ALT_JPEG)
_LOSSLESS = {
    *(COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.DEFLATE, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.PACKBITS),
    *(COMPRESSION.ZSTD, COMPRESSION.ZSTD_DEPRECATED, COMPRESSION.LZMA, COMPRESSION.LERC, COMPRESSION.PNG),
    *(COMPRESSION.CCITTRLE, COMPRESSION.CCITTFAX3, COMPRESSION.CCITTFAX4, COMPRESSION.CCIRLEW),
}
_KINDS: dict[int, tuple[Kind, int]] = {  # photometric interpretation to kind and values per pixel
    PHOTOMETRIC.MINISWHITE: ("white_is_zero", 1),
    PHOTOMETRIC.MINISBLACK: ("grey", 1),
    PHOTOMETRIC.RGB: ("colour", 3),
    PHOTOMETRIC.YCBCR: ("colour", 3),
    PHOTOMETRIC.PALETTE: ("palette", 1),
}
_FORMATS = {SAMPLEFORMAT.UINT: "u", SAMPLEFORMAT.INT: "i", SAMPLEFORMAT.IEEEFP: "f", SAMPLEFORMAT.VOID: "u"}
_EXPORT = "export it again as TIFF"


_PADDING = 64  # bits that a writer may add to a strip or tile


class _Promise(NamedTuple):
    """What the tags of a page say of its values.

    Attributes:
        shape: height, width and values per pixel.
        bits: bits per value.
        form: "u", "i" or "f": unsigned, signed, floating.
        kind: as of `Raster`.
        kept: which values of a pixel are no transparency.
    """

    shape: tuple[int, int, int]
    bits: int
    form: str
    kind: Kind
    kept: tuple[int, ...]


def read_tiff(path: Path, at: Position, bands: Sequence[str]) -> Raster:
    """The plane at a position; see `segjax.data.pictures.decoders.read_raster`."""
    layout = layout_of(path)
    places = layout.planes(at)
    with TiffFile(path) as file:
        page = _page(file, layout.pages[0])
        promise = _promise(page)
        check_decoded((len(places), *promise.shape), promise.bits, file.filehandle.size)
        channels = [_values(path, file, layout, place, promise) for place in places]
        if len(channels) > 1 and (len(promise.kept) > 1 or promise.kind == "palette"):
            raise InputError(
                f"{len(channels)} channels, each with its own colours; save every channel as a file of its own"
            )
        pixels = np.concatenate(channels, -1)
        missing = _missing(page, pixels)
        if layout.mask is not None:
            mask = _page(file, layout.mask)
            is_known = _decoded(file, mask, _promise(mask, is_mask=True))[..., 0] > 0
            missing = ~is_known if missing is None else missing | ~is_known
        if bands:
            pixels = pixels[..., [_band(band, layout.names, pixels.shape[-1]) for band in bands]]
        kind = "grey" if bands and promise.kind == "colour" else promise.kind
        palette = _palette(page) if kind == "palette" else None
        is_lossy = page.compression not in _LOSSLESS
        raster = Raster(pixels, promise.bits, kind, palette, missing, is_lossy, layout.is_imagej)
        return raster.upright(int(page.tags.valueof("Orientation", 1)))


def tiff_bits(path: Path) -> int:
    """Bits per value that the tags promise."""
    with TiffFile(path) as file:
        return _promise(_page(file, layout_of(path).pages[0])).bits


def _page(file: TiffFile, number: int) -> TiffPage:
    page = file.pages[number]
    assert isinstance(page, TiffPage)  # as this file's series were never asked for
    return page


def _promise(page: TiffPage, *, is_mask: bool = False) -> _Promise:
    """What the tags say, where it can be held."""
    count = page.samplesperpixel
    if is_mask:
        return _Promise((page.imagelength, page.imagewidth, count), int(page.bitspersample), "u", "grey", (0,))
    if isinstance(page.bitspersample, tuple) or not isinstance(page.sampleformat, int):
        raise InputError(f"its channels have different numbers of bits ({page.bitspersample}); {_EXPORT}")
    if page.sampleformat not in _FORMATS:
        raise InputError("holds complex numbers; save the magnitude or the phase as its own file")
    kind, colours = _KINDS.get(page.photometric, ("grey", 0))
    is_converted = page.compression in _JPEG and page.planarconfig == 1 and not page.extrasamples
    if not colours or (page.photometric == PHOTOMETRIC.YCBCR and not is_converted):
        raise InputError(f"its colours are {_name(page.photometric)}, not intensities of light; save it as RGB or grey")
    extra = [*page.extrasamples, *[EXTRASAMPLE.UNSPECIFIED] * count][: max(0, count - colours)]
    if count < colours or len(page.extrasamples) > len(extra):
        raise InputError(f"does not fit its tags ({_name(page.photometric)} with {count} values per pixel); {_EXPORT}")
    if kind == "palette" and (page.colormap is None or extra):
        raise InputError(f"should have a palette of colours, but has none that fits; {_EXPORT}")
    alphas = {colours + place for place, what in enumerate(extra) if what != EXTRASAMPLE.UNSPECIFIED}
    kept = tuple(place for place in range(count) if place not in alphas)
    form = _FORMATS[SAMPLEFORMAT(page.sampleformat)]
    return _Promise((page.imagelength, page.imagewidth, count), int(page.bitspersample), form, kind, kept)


def _name(value: int) -> str:
    """Of one of the enumerations of tifffile, or the number where it has no name."""
    return str(getattr(value, "name", value))


def _values(path: Path, file: TiffFile, layout: Layout, place: int, promise: _Promise) -> Shaped[np.ndarray, "H W C"]:
    """One plane without transparency."""
    if layout.offset is None:
        page = _page(file, layout.pages[place])
        if _promise(page) != promise:
            raise InputError(
                f"page {layout.pages[place] + 1} differs in size, bits or colours from the first; {_EXPORT}"
            )
        return _decoded(file, page, promise)[..., promise.kept]
    page = _page(file, layout.pages[0])
    kind = np.dtype(page.dtype).newbyteorder(file.byteorder)
    start = layout.offset + place * prod(promise.shape) * kind.itemsize
    pixels = np.fromfile(path, kind, prod(promise.shape), offset=start).astype(kind.newbyteorder("="))
    return _channels_last(pixels.reshape(page.shape), page)[..., promise.kept]


def _decoded(file: TiffFile, page: TiffPage, promise: _Promise) -> Shaped[np.ndarray, "H W C"]:
    """All values of a page, as many and as large as promised."""
    _check_segments(file, page)
    try:
        pixels = page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error) and "COMPRESSION" not in str(error):
            raise
        remedy = "save it again as TIFF with LZW or without compression"
        raise InputError(
            f"uses the compression {_name(page.compression)}, which cannot be read here; {remedy}"
        ) from error
    pixels = _channels_last(pixels, page)
    pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    too_large = pixels.dtype.kind == "u" and promise.bits < 64 and int(pixels.max(initial=0)) >> promise.bits
    fits = pixels.dtype.kind == promise.form and 8 * pixels.dtype.itemsize >= promise.bits
    if pixels.shape != promise.shape or too_large or not fits:
        raise InputError(
            f"decoded as {pixels.shape} of {pixels.dtype}, but its tags promise {promise.shape} of "
            f"{promise.bits} bits; {_EXPORT}"
        )
    return pixels


def _channels_last(pixels: Shaped[np.ndarray, "..."], page: TiffPage) -> Shaped[np.ndarray, "H W C"]:
    if page.axes == "SYX":
        return np.moveaxis(pixels, 0, -1)
    return pixels if page.axes == "YXS" else pixels[..., None]


def _check_segments(file: TiffFile, page: TiffPage) -> None:
    """All strips or tiles are there and lie inside the file."""
    expected = prod(page.chunked)
    if not len(page.dataoffsets) == len(page.databytecounts) == expected:
        raise InputError(f"has {len(page.dataoffsets)} of {expected} strips or tiles; {_EXPORT}")
    size = file.filehandle.size
    if any(start + count > size for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise InputError("cannot be read: the end of the file is missing; copy or export it again")
    values = prod(page.chunks)
    check_decoded(page.chunks, page.bitspersample, size)
    if page.compression == COMPRESSION.NONE and 8 * max(page.databytecounts) > values * page.bitspersample + _PADDING:
        raise InputError(f"holds more values than its {page.imagewidth} x {page.imagelength} pixels need; {_EXPORT}")


def _missing(page: TiffPage, pixels: Shaped[np.ndarray, "H W C"]) -> Bool[np.ndarray, "H W"] | None:
    """Where all channels have the value that GDAL's tag gives to pixels without data; None where none has."""
    text = str(page.tags.valueof("GDAL_NODATA", "")).strip(" \0").replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        if text:
            raise InputError(
                f"its nodata value {text!r} is not a number; correct it with gdal_edit.py -a_nodata"
            ) from None
        return None
    if pixels.dtype.kind == "f":
        with np.errstate(over="ignore"):
            is_missing = np.isnan(pixels) if np.isnan(value) else pixels == pixels.dtype.type(value)
    elif value.is_integer() and np.iinfo(pixels.dtype).min <= value <= np.iinfo(pixels.dtype).max:
        is_missing = pixels == pixels.dtype.type(int(value))
    else:
        return None
    is_missing = is_missing.all(-1)
    return is_missing if is_missing.any() else None


def _palette(page: TiffPage) -> UInt8[np.ndarray, "N 3"]:
    """Colours of 8 bits; old programs wrote them as such, others in the high byte of 16 bits."""
    colours = np.asarray(page.colormap).T
    return (colours if colours.max() < 256 else colours >> 8).astype(np.uint8)


def _band(band: str, names: Sequence[str], count: int) -> int:
    """Place of the channel of a name or number."""
    if len(names) == count and band in names:
        return names.index(band)
    if band.isascii() and band.isdigit() and 1 <= int(band) <= count:
        return int(band) - 1
    known = f", or {', '.join(names)}" if len(names) == count else ""
    raise InputError(f"has no channel {band!r}; give numbers of 1..{count}{known}")
