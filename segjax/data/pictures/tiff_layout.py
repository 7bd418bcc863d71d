"""What lies where in a TIFF file: its planes by time, depth and channel, as OME, ImageJ and others write them.

Functions raise InputError without the file's name, which `segjax.data.pictures.decoders` puts before it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile, TiffPage

from segjax.types import InputError

Position = tuple[tuple[str, int], ...]  # axis and number, which counts from 1: (("t", 3), ("z", 12))
Series = Any  # tifffile.TiffPageSeries, of which a check of types at run time would read pages
# letters of tifffile's axes to ours; pages that nothing names are "p"
_AXES = {"T": "t", "Z": "z", "C": "c", "I": "p", "Q": "p"}
_IMAGEJ_PLACE = re.compile(r"^(?:[czt]:\d+/\d+\s*)+(?:-\s*)?")  # "c:1/2 z:3/10 - DAPI", as Bio-Formats writes it


@dataclass(frozen=True)
class Layout:
    """The planes of a TIFF file.

    Attributes:
        sizes: length of each axis over which the planes spread, slowest first: "t" time, "z" depth, "c" channel,
            "p" pages that nothing names. An axis of one plane is left out.
        pages: number of the page of every plane, in the order of `sizes`; of contiguous planes the first one's alone.
        offset: where in the file the values of contiguous planes begin, which one page describes; else None.
        mask: number of the page that says where the picture has data, as GDAL writes it; else None.
        names: names of the channels; () where the file gives none.
        is_imagej: ImageJ or Fiji wrote it.
    """

    sizes: tuple[tuple[str, int], ...]
    pages: tuple[int, ...]
    offset: int | None
    mask: int | None
    names: tuple[str, ...]
    is_imagej: bool

    @property
    def around(self) -> tuple[tuple[str, int], ...]:
        """The axes without channels: those over which pictures spread."""
        return tuple((axis, size) for axis, size in self.sizes if axis != "c")

    def planes(self, at: Position) -> list[int]:
        """Places in `pages` of the planes (one for each channel) at a position.

        Raises:
            InputError: the position lacks an axis, or is none of this file's.
        """
        around, numbers = dict(self.around), dict(at)
        if not around.keys() <= numbers.keys():
            raise InputError(f"{stack_text(around)}; {STACK_REMEDY}")
        if wrong := [f"{axis}{number}" for axis, number in at if not 1 <= number <= around.get(axis, 0)]:
            raise InputError(f"has no plane {','.join(wrong)}, as it is {stack_text(around)}; give another")
        places = [0]
        for axis, size in self.sizes:
            steps = range(size) if axis == "c" else [numbers[axis] - 1]
            places = [place * size + step for place in places for step in steps]
        return places


STACK_REMEDY = "give stacks=planes to use every plane as a picture, or save the plane that is meant as its own file"


def stack_text(sizes: Mapping[str, int]) -> str:
    """In words: "a stack of 3 time points x 12 depths"."""
    said = {"t": "time points", "z": "depths", "p": "pages"}
    planes = " x ".join(f"{size} {said[axis]}" for axis, size in sizes.items())
    return f"a stack of {planes}" if planes else "a single picture"


def layout_of(path: Path) -> Layout:
    """The planes of a TIFF file, known from its tags alone; kept until the file changes.

    Raises:
        InputError: several pictures that are no planes of one, planes that are missing or lie in other files, or axes
            that are not understood.
    """
    state = path.stat()
    return _layout_of(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _layout_of(path: Path, size: int, _time: int) -> Layout:
    with TiffFile(path) as file:
        series, masks = _the_series(file)
        if series.is_multifile:
            raise InputError("its planes lie in several files; save it as one file")
        if len(file.pages) > len(series) + len(masks) and not series.is_truncated:
            _check_nothing_is_left(path, len(series))
        sizes = _sizes(series)
        _check_promised(file, series, prod(sizes.values()))
        offset = None
        if series.is_truncated or (len(series) > 1 == len(file.pages)):
            offset = series.dataoffset
            pages: tuple[int, ...] = (0,)
            if offset is None or offset + prod(series.shape) * series.dtype.itemsize > size:
                raise InputError(f"should hold {prod(sizes.values())} planes, but some are missing; {_EXPORT}")
        else:
            pages = _page_numbers(series, prod(sizes.values()))
        names = _channel_names(file, sizes)
        return Layout(tuple(sizes.items()), pages, offset, masks[0] if masks else None, names, bool(file.is_imagej))


_EXPORT = "export it again, for example from Fiji"


def _the_series(file: TiffFile) -> tuple[Series, list[int]]:
    """The one series of full resolution, and the pages of masks of where it has data."""
    found, masks = [], []
    for series in file.series:
        for step, level in enumerate(series.levels):
            page = level.keyframe
            if page.is_mask:
                masks += [] if page.is_reduced else [page.index]
            elif not (page.is_reduced or (step and page.is_subifd)):
                found.append(level)
    if not found:
        raise InputError("cannot be read (it holds no picture); save it again as PNG or TIFF")
    if len(found) > 1:
        sizes = [f"{one.keyframe.imagewidth} x {one.keyframe.imagelength}" for one in found[:5]]
        raise InputError(
            f"holds {len(found)} different pictures ({', '.join(sizes)} pixels); save the one that you want as its "
            "own file"
        )
    return found[0], masks


def _check_nothing_is_left(path: Path, described: int) -> None:
    """Every page of full resolution is one of those that are described."""
    with TiffFile(path) as file:  # read anew, as pages of a series may be known by their place alone
        count = sum(not (isinstance(page, TiffPage) and (page.is_reduced or page.is_mask)) for page in file.pages)
    if count > described:
        raise InputError(f"holds {count} pages, but describes {described} as its picture; {_EXPORT}")


def _sizes(series: Series) -> dict[str, int]:
    """Our axes over which planes spread, and their lengths."""
    page = series.keyframe
    if page.imagedepth > 1:
        raise InputError(f"holds a volume of {page.imagedepth} depths in one page; {_EXPORT}")
    axes = [(axis, size) for axis, size in zip(series.axes, series.shape, strict=True)]
    leading, planes = [], prod(size for _, size in axes) // max(1, prod(page.shape))
    while axes and planes > 1 and planes % axes[0][1] == 0:
        leading.append(axes[0])
        planes //= axes.pop(0)[1]
    inner = [(axis, size) for axis, size in axes if size > 1 or axis in "YX"]
    order = "".join(axis for axis, _ in inner)
    is_known = order.replace("S", "C") in ("YX", "YXC", "CYX") or order in ("YXQ", "QYX", "YXI", "IYX")
    if planes != 1 or not is_known:
        raise InputError(f"has values along the axes {series.axes}, which are unknown; {_EXPORT}")
    sizes: dict[str, int] = {}
    for axis, size in [(axis, size) for axis, size in leading if size > 1]:
        if axis not in _AXES or _AXES[axis] in sizes:
            raise InputError(f"has planes along the axes {series.axes}, which are unknown; {_EXPORT}")
        sizes[_AXES[axis]] = size
    return sizes


def _check_promised(file: TiffFile, series: Series, planes: int) -> None:
    """As many planes as ImageJ's or tifffile's description promises."""
    described = file.imagej_metadata or {}
    promised = prod(max(1, int(described.get(name, 1))) for name in ("frames", "slices", "channels"))
    promised = max(promised, int(described.get("images", 1)))
    for shaped in file.shaped_metadata or ():
        shape, page = tuple(shaped.get("shape", ())), series.keyframe.shape
        if shape[-len(page) :] == page:
            promised = max(promised, prod(shape[: -len(page)]))
    if promised > planes * series.keyframe.samplesperpixel:
        raise InputError(f"should hold {promised} planes, but holds {planes}; {_EXPORT}")


def _page_numbers(series: Series, planes: int) -> tuple[int, ...]:
    if len(series) != planes or any(page is None for page in series):
        raise InputError(f"should hold {planes} planes, but some are missing; {_EXPORT}")
    return tuple(page.index for page in series)


def _channel_names(file: TiffFile, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Names of channels as OME-XML or ImageJ's labels of planes give them; () where any has none."""
    names: list[str] = []
    if file.is_ome:
        names = [
            element.get("Name", "")
            for element in ElementTree.fromstring(file.ome_metadata or "").iter()
            if element.tag.endswith("}Channel")
        ]
    elif file.is_imagej and (labels := (file.imagej_metadata or {}).get("Labels")):
        names = _imagej_names([_IMAGEJ_PLACE.sub("", label) for label in labels], sizes)
    return tuple(names) if all(names) and len(set(names)) == len(names) else ()


def _imagej_names(labels: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    """Labels of planes whose channel is the same are the channel's name where they agree."""
    channels = sizes.get("c", 1)
    after = prod(list(sizes.values())[list(sizes).index("c") + 1 :]) if channels > 1 else 1
    if len(labels) != prod(sizes.values()):
        return list(labels) if len(labels) == channels else []
    of_channel = [
        {label for place, label in enumerate(labels) if place // after % channels == c} for c in range(channels)
    ]
    return [texts.pop() if len(texts) == 1 else "" for texts in of_channel]
