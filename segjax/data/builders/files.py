"""Find and read the files of public sets as their owners publish them."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import scipy.io
from jaxtyping import Bool, Int32, Integer, Shaped, UInt8

from segjax.data.pictures.decoders import read_raster
from segjax.data.pictures.images import read_picture
from segjax.data.pictures.stacks import Plane, planes_of
from segjax.files import check_regular
from segjax.types import InputError

_NOT_THEIRS = ("__MACOSX", ".")  # what unpacking on another system leaves


class Objects(NamedTuple):
    """Labels 1..N and the class of each; `unknown` are pixels of objects without a class."""

    labels: Int32[np.ndarray, "H W"]
    classes: Int32[np.ndarray, " N"]
    unknown: Bool[np.ndarray, "H W"]


def find(root: Path, tail: str) -> list[Path]:
    """Files and folders below (or at) `root` whose path ends with `tail`, in natural order.

    Parts of the tail are patterns with *, and upper and lower case count as the same.

    Raises:
        InputError: one of them is a pipe, device or socket.
    """
    found = [root.resolve()]
    for folder, folders, names in os.walk(root.resolve()):
        folders[:] = [name for name in folders if not name.startswith(_NOT_THEIRS)]
        found += [Path(folder, name) for name in (*folders, *names) if not name.startswith(_NOT_THEIRS)]
    matching = sorted((path for path in found if PurePath(str(path).lower()).match(tail.lower())), key=natural)
    for path in matching:
        if path.exists() and not path.is_dir():
            check_regular(path)
    return matching


def natural(path: Path) -> list[tuple[int, str]]:
    """A key for sorting in which 2 comes before 10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(path))]


def rgb(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An 8-bit picture in colour; grey is repeated, a fourth channel is dropped.

    Raises:
        InputError: the file cannot be read or is no picture of 1, 3 or 4 channels.
    """
    image = as_8_bit(path, read_picture(path, scale="dtype"))
    if image.shape[-1] not in (1, 3, 4):
        raise InputError(f"{path}: has {image.shape[-1]} channels, but it must be in grey or colour; get it again")
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image[..., :3]


def grey(path: Path) -> UInt8[np.ndarray, "H W"]:
    """An 8-bit picture in grey; of colour the luminance."""
    return as_8_bit(path, read_picture(path, scale="dtype", channels=1))[..., 0]


def as_8_bit(path: Path, image: np.ndarray) -> UInt8[np.ndarray, "H W C"]:
    """The stored values of a picture that was read as 0..1; what is no whole number of 255ths is rounded."""
    return np.rint(image * 255).astype(np.uint8)


def mask(path: Path) -> Bool[np.ndarray, "H W"]:
    """Where a picture of two values has the larger one, whichever it is (1, 255, white).

    Raises:
        InputError: the file cannot be read or holds more than two values.
    """
    image = read_picture(path, channels=0)[..., :3].max(-1)
    if not np.isin(image, (0, 1)).all():
        raise InputError(
            f"{path}: holds {len(np.unique(image))} values, but a mask has two, 0 and another one; get it again"
        )
    return image > 0


def stack(path: Path) -> Shaped[np.ndarray, "D H W"]:
    """All slices of a grey TIFF stack; the last ones asked for are kept in memory.

    Raises:
        InputError: the file cannot be read or is no stack of grey slices.
    """
    return _stack(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _stack(path: Path, _changed: int) -> Shaped[np.ndarray, "D H W"]:
    planes = planes_of(path)
    if len(planes) < 2:
        raise InputError(f"{path}: holds a single picture, but it must be a stack of grey slices; get it again")
    return np.stack([_slice(path, plane) for plane in planes])


def _slice(path: Path, plane: Plane) -> Shaped[np.ndarray, "H W"]:
    raster = read_raster(path, plane.at)
    if raster.kind != "grey" or raster.pixels.shape[-1] != 1:
        raise InputError(f"{path}: its slices are not plain grey pictures; get it again from the set's owners")
    return raster.pixels[..., 0]


def stack_shape(path: Path) -> tuple[int, int, int]:
    """Slices, height and width; a single slice is read."""
    planes = planes_of(path)
    height, width = _slice(path, planes[0]).shape
    return len(planes), height, width


def mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """These variables of a MATLAB file; a scalar or an empty array is a vector like any other.

    Raises:
        InputError: the file cannot be read, was saved as version 7.3, or lacks one of the variables.
    """
    try:
        found = scipy.io.loadmat(path, variable_names=names)
    except NotImplementedError as error:
        raise InputError(f"{path}: was saved by MATLAB 7.3, but the owners' files have version 5; get those") from error
    except Exception as error:
        raise InputError(f"{path}: cannot be read ({error}); get it again from the set's owners") from error
    if missing := [name for name in names if name not in found]:
        raise InputError(
            f"{path}: has no {missing[0]}, so it is not the set's own annotation file; get it from the set's owners"
        )
    return {name: found[name] for name in names}


def npy(path: Path) -> np.ndarray:
    """An array that stays on disk until a part of it is asked for; text and objects are not unpickled.

    Raises:
        InputError: the file is cut off, or no array.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get it again from the set's owners") from error


def npy_length(path: Path) -> int:
    """Length of an array's first axis, of whatever it is an array.

    Raises:
        InputError: the file is no array.
    """
    try:
        with path.open("rb") as file:
            read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            return read_header[np.lib.format.read_magic(file)[0]](file)[0][0]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get it again from the set's owners") from error


def whole(path: Path, values: Shaped[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
    """Ids as int64, whatever they were stored as.

    Raises:
        InputError: a value is no whole number, or negative.
    """
    rounded = np.rint(values)
    if not np.array_equal(rounded, values) or (rounded < 0).any():
        raise InputError(f"{path}: has ids that are not whole numbers from 0 on, so it was changed; get the file again")
    return rounded.astype(np.int64)


def objects(values: Integer[np.ndarray, "H W"], class_of: Mapping[int, int]) -> Objects:
    """Number ids of any size and with gaps 1..N; ids without a class become pixels that nobody judged."""
    ids, position = np.unique(np.append(values.ravel(), 0), return_inverse=True)
    position = position[:-1].reshape(values.shape)
    classes = np.array([class_of.get(int(value), 0) for value in ids], np.int32)
    classes[ids == 0] = 0
    numbers = np.where(classes > 0, np.cumsum(classes > 0), 0).astype(np.int32)
    labels = numbers[position]
    return Objects(labels, classes[classes > 0], (values != 0) & (labels == 0))


def most_frequent(values: Integer[np.ndarray, "H W"], kinds: Integer[np.ndarray, "H W"]) -> dict[int, int]:
    """Of every id the kind that most of its pixels have; ids whose pixels are mostly of no kind (0) are left out."""
    ids, position = np.unique(values, return_inverse=True)
    width = int(kinds.max(initial=0)) + 1
    counts = np.bincount(position.ravel() * width + kinds.ravel(), minlength=len(ids) * width).reshape(-1, width)
    return {int(i): int(kind) for i, kind in zip(ids, counts.argmax(1), strict=True) if i and kind}


def of_one_class(labels: Int32[np.ndarray, "..."]) -> Int32[np.ndarray, " N"]:
    """Classes of objects that are all alike."""
    return np.ones(int(labels.max(initial=0)), np.int32)


def one(root: Path, found: Sequence[Any], what: str) -> Any:
    """The only one that was found.

    Raises:
        InputError: there are several.
    """
    if len(found) > 1:
        raise InputError(
            f"{root}: holds several {what} ({found[0]}, {found[1]}); name the folder of one of them by --from"
        )
    return found[0]
