"""What is measured in each picture while it is read: sizes of objects, a small copy, what lies along outlines."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from PIL import Image
from scipy import ndimage

from segjax.types import Sample, Source

REACH = 8  # pixels in each direction by which labels are moved to see where they fit best
THUMBNAIL = 32  # pixels of the edge of a picture's small copy
LARGEST_HELD = 2**31  # bytes of pictures that are kept in memory
_SMOOTHING = 1.0  # pixels, of the gradient
_MOST_POINTS, _FEWEST_POINTS = 2000, 20  # outline pixels of a picture that are looked at
_PROFILED = 500  # pictures, evenly spaced, whose outlines are looked at


@dataclass(frozen=True, eq=False)
class Seen:
    """What was measured in one picture.

    Attributes:
        shape: height, width and channels.
        content: hash of the picture's values.
        diameters: of each object, in pixels: of the disc of its area.
        classes: class of each object.
        judged: share of the pixels that somebody judged, 0..1.
        label: class of the whole picture, where there is one.
        thumbnail: the grey picture at 32 x 32 pixels.
        profile: gradient under the outlines in units of the picture's mean gradient, for labels moved by -8..8 rows and
            columns; None where there is too little to see.
    """

    shape: tuple[int, int, int]
    content: str
    diameters: Float64[np.ndarray, " N"]
    classes: Int32[np.ndarray, " N"]
    judged: float
    label: int | None
    thumbnail: Float32[np.ndarray, "h w"]
    profile: Float64[np.ndarray, "D E"] | None


class Observed:
    """A source that measures each picture when it is read for the first time.

    Attributes:
        seen: what was measured, by place in the source.
        held: the samples that were read, where they are kept.
    """

    def __init__(self, source: Source, keep: bool = False) -> None:
        """`keep`: samples stay in memory, so that nothing is read twice."""
        self._source, self._keep = source, keep
        self.spec, self.digest, self.coarsening = source.spec, source.digest, source.coarsening
        self.names, self.groups, self.test_groups = source.names, source.groups, source.test_groups
        self.class_names, self.label_names = source.class_names, source.label_names
        self.seen: dict[int, Seen] = {}
        self.held: dict[int, Sample] = {}
        step = max(1, len(source) // _PROFILED)
        self._is_profiled = lambda index: index % step == 0

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        if index in self.held:
            return self.held[index]
        sample = self._source[index]
        if index not in self.seen:
            self.seen[index] = look_at(sample, self._is_profiled(index))
        if self._keep:
            self.held[index] = sample
        return sample

    def all_seen(self) -> list[Seen]:
        """What was measured in every picture, after reading those that were not read yet."""
        for index in range(len(self)):
            if index not in self.seen:
                self[index]
        return [self.seen[index] for index in range(len(self))]


def look_at(sample: Sample, is_profiled: bool = True) -> Seen:
    """Measure one picture."""
    height, width, channels = sample.image.shape
    areas = np.bincount(sample.labels.ravel(), minlength=len(sample.classes) + 1)[1:]
    present = areas > 0
    grey = np.ascontiguousarray(sample.image.mean(-1), np.float32)
    return Seen(
        shape=(height, width, channels),
        content=hashlib.blake2b(sample.image.tobytes(), digest_size=16).hexdigest() if grey.std() > 0 else "",
        diameters=np.sqrt(4 * areas[present] / np.pi),
        classes=np.asarray(sample.classes, np.int32)[present],
        judged=1.0 if sample.ignored is None else 1.0 - float(sample.ignored.mean()),
        label=sample.label,
        thumbnail=small_copy(grey, THUMBNAIL),
        profile=profile_of(grey, sample.labels) if is_profiled else None,
    )


def small_copy(grey: Float32[np.ndarray, "H W"], edge: int) -> Float32[np.ndarray, "h w"]:
    """The picture as edge x edge means of its pixels, whatever its size and proportions."""
    return np.asarray(Image.fromarray(grey).resize((edge, edge), Image.Resampling.BOX))


def profile_of(grey: Float32[np.ndarray, "H W"], labels: Int32[np.ndarray, "H W"]) -> Float64[np.ndarray, "D E"] | None:
    """Mean gradient magnitude under the outlines, over that of the picture, with labels moved by -8..8 rows, columns.

    Outline pixels that could be moved out of the picture are left out.
    """
    rows, columns = np.nonzero(outlines_of(labels)[REACH:-REACH, REACH:-REACH])
    if len(rows) < _FEWEST_POINTS:
        return None
    if len(rows) > _MOST_POINTS:
        chosen = np.linspace(0, len(rows) - 1, _MOST_POINTS).astype(int)
        rows, columns = rows[chosen], columns[chosen]
    gradient = ndimage.gaussian_gradient_magnitude(grey, _SMOOTHING)
    mean = float(gradient.mean())
    if mean <= 0:
        return None
    steps = np.arange(2 * REACH + 1)
    moves = steps[:, None] * grey.shape[1] + steps
    places = rows * grey.shape[1] + columns
    under = gradient.ravel()[moves.reshape(-1, 1) + places].mean(1, dtype=np.float64)
    return under.reshape(moves.shape) / mean


def outlines_of(labels: Int32[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels of objects beside a pixel that is not of the same object."""
    differs = np.zeros(labels.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        unlike = labels[one] != labels[other]
        differs[one] |= unlike
        differs[other] |= unlike
    return differs & (labels > 0)


def memory_of(shape: tuple[int, int, int]) -> int:
    """Bytes that a study needs to hold a picture of this shape and its labels."""
    height, width, channels = shape
    return height * width * (4 * channels + 13)
