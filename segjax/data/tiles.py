"""Any source cut into square tiles: those that together cover every picture, or the middle one of each."""

from collections.abc import Callable
from functools import lru_cache
from math import ceil

import numpy as np

from segjax.types import InputError, Sample, Source, digest_of


def tile_starts(length: int, size: int) -> tuple[int, ...]:
    """Starts of the fewest tiles of `size` that cover `length` pixels: evenly spaced, the last flush with the end."""
    count = max(1, ceil(length / size))
    return tuple(int(start) for start in np.round(np.linspace(0, max(0, length - size), count)))


def cut(sample: Sample, y: int, x: int, size: int, label: int | None = None) -> Sample:
    """The size x size tile whose corner is (y, x); beyond the border the image is reflected, labels are 0 and ignored.

    Object ids and classes stay those of the whole picture, so that an object is the same one in every tile. The tile's
    image-level label is `label`.
    """
    image, labels = sample.image[y : y + size, x : x + size], sample.labels[y : y + size, x : x + size]
    missing = [(0, size - labels.shape[0]), (0, size - labels.shape[1])]
    ignored = None if sample.ignored is None else sample.ignored[y : y + size, x : x + size]
    if labels.shape != (size, size):
        ignored = np.pad(np.zeros(labels.shape, bool) if ignored is None else ignored, missing, constant_values=True)
    return Sample(
        image=np.pad(image, [*missing, (0, 0)], mode="reflect"),
        labels=np.pad(labels, missing),
        classes=sample.classes,
        group=sample.group,
        name=f"{sample.name}@{y},{x}",
        ignored=ignored,
        label=label,
        georeference=None if sample.georeference is None else sample.georeference.at(y, x),
    )


def middle_start(length: int, size: int) -> tuple[int, ...]:
    """Start of the one tile of `size` that lies in the middle of `length` pixels."""
    return (max(0, length - size) // 2,)


class TiledSource:
    """A source whose samples are square tiles of another one's pictures; see `tiled` and `cropped`."""

    def __init__(self, source: Source, size: int, option: str, starts: Callable[[int, int], tuple[int, ...]]) -> None:
        self._size, self._keeps_label = size, option == "crop"
        self._tiles = tuple(
            (index, y, x)
            for index, (height, width) in enumerate(picture_shapes(source))
            for y in starts(height, size)
            for x in starts(width, size)
        )
        # neighbouring tiles come from one picture, so the last one read is kept
        self._picture = lru_cache(maxsize=1)(source.__getitem__)
        self.spec = f"{source.spec}{'&' if '?' in source.spec else '?'}{option}={size}"
        self.digest = digest_of(source.digest, option, size)
        self.names = tuple(f"{source.names[index]}@{y},{x}" for index, y, x in self._tiles)
        self.groups = tuple(source.groups[index] for index, _, _ in self._tiles)
        self.shapes = ((size, size),) * len(self._tiles)
        self.class_names = source.class_names
        self.label_names = source.label_names if self._keeps_label else ()
        self.test_groups = source.test_groups
        self.coarsening = source.coarsening

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, index: int) -> Sample:
        picture, y, x = self._tiles[index]
        sample = self._picture(picture)
        return cut(sample, y, x, self._size, sample.label if self._keeps_label else None)


def tiled(source: Source, size: int) -> TiledSource:
    """Every picture cut into size x size tiles, named NAME@y,x, in the group of their picture.

    Tiles lie evenly spaced and the last is flush with the border, so they may overlap; smaller pictures are padded. A
    tile has no image-level label, as it need not show what its picture has it for; `with_presence` gives one.

    Raises:
        InputError: size below 1.
    """
    return _tiled(source, size, "tile", tile_starts)


def cropped(source: Source, size: int) -> TiledSource:
    """The size x size middle of every picture, named NAME@y,x; smaller pictures are padded, image-level labels kept.

    Raises:
        InputError: size below 1.
    """
    return _tiled(source, size, "crop", middle_start)


def _tiled(source: Source, size: int, option: str, starts: Callable[[int, int], tuple[int, ...]]) -> TiledSource:
    if size < 1:
        raise InputError(f"{option}={size}: must be at least 1 pixel; give for example {option}=256")
    return TiledSource(source, size, option, starts)


def picture_shapes(source: Source) -> tuple[tuple[int, int], ...]:
    """Height and width of every picture: the source's `shapes` where it knows them, else each picture is read once."""
    known = getattr(source, "shapes", None)
    return known if known is not None else tuple(source[index].labels.shape for index in range(len(source)))
