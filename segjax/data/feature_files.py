"""Features of pictures that another program computed: one file .npy or .npz per picture."""

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from segjax.files import check_regular, explained
from segjax.types import InputError

_SUFFIXES = (".npy", ".npz")
_NAMED = 3  # in a message


@dataclass(frozen=True, eq=False)
class FeatureFiles:
    """The features of the pictures of a source. A file is read when it is asked for; .npy is mapped into memory.

    Attributes:
        paths: a file for each picture, in the order of the pictures.
        shape: (h, w, K) of every file.
        digest: 16 hexadecimal digits that change with any value.
    """

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]
    digest: str

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Float[np.ndarray, "h w K"]:
        return _array(self.paths[index])


def open_features(folder: Path, names: Sequence[str], size: tuple[int, int]) -> FeatureFiles:
    """Find the features of every picture, and read them all once to refuse what cannot be used.

    Args:
        folder: has NAME.npy or NAME.npz for every picture; a name with "/" lies in a folder. An array [h, w, K] of
            float16, float32 or float64 is a grid over the whole picture of any stride, row by row; an .npz has one.
        names: of the pictures.
        size: (H, W) of all pictures.

    Raises:
        InputError: names the folder or file: a picture without a file or with two, a file of no picture, one that
            cannot be read, another type, rank, aspect or shape, or values that are NaN or infinite.
    """
    paths = _paths_of(folder, names)
    digest, shape = hashlib.sha256(), (0, 0, 0)
    for path in paths:
        values = _array(path)
        _check_grid(path, values, size)
        if path == paths[0]:
            shape = values.shape
        if values.shape != shape:
            raise InputError(
                f"{path}: has the shape {values.shape}, but {paths[0].name} has {shape}; write all files with one "
                "model, from pictures of one size"
            )
        _check_values(path, values)
        digest.update(f"{values.dtype.str} {values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return FeatureFiles(paths, shape, digest.hexdigest()[:16])


def _paths_of(folder: Path, names: Sequence[str]) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the folder of the feature files")
    with explained(folder):
        files = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.name[0] != ".")
    found: dict[str, Path] = {}
    for path in files:
        name = path.relative_to(folder).as_posix().removesuffix(path.suffix)
        if name in found:
            raise InputError(f"{folder}: the picture {name} has two files ({found[name].name}, {path.name}); keep one")
        found[name] = path
    missing, extra = [name for name in names if name not in found], sorted(found.keys() - set(names))
    others = f"files of no picture: {_some([str(found[name].relative_to(folder)) for name in extra])}; "
    if missing:
        raise InputError(
            f"{folder}: pictures without features: {_some(missing)}; {others if extra else ''}write NAME.npy for every "
            f"picture of the study, such as {missing[0]}.npy"
        )
    if extra:
        raise InputError(f"{folder}: {others}move them away, or read all pictures that they belong to")
    return tuple(found[name] for name in names)


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''} ({len(names)})"


def _array(path: Path) -> np.ndarray:
    check_regular(path)
    try:
        with explained(path):
            if path.suffix == ".npy":
                return np.lib.format.open_memmap(path, mode="r")
            with path.open("rb") as file, np.lib.npyio.NpzFile(file) as archive:
                if len(archive.files) != 1:
                    shown = ", ".join(archive.files) or "none"
                    raise InputError(f"{path}: has {len(archive.files)} arrays ({shown}); write one array to each file")
                if isinstance(values := archive[archive.files[0]], np.ndarray):
                    return values
                raise ValueError("its file is no array")
    except InputError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as an array ({error}); write it again with numpy.save") from error


def _check_grid(path: Path, values: np.ndarray, size: tuple[int, int]) -> None:
    """Raises InputError unless it is [h, w, K] of floats, of a size that one stride gives for the picture."""
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise InputError(f"{path}: holds {values.dtype}; write float16, float32 or float64")
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(
            f"{path}: has the shape {values.shape}; write an array [h, w, K]: rows, columns, and K features, without "
            "a batch and without class tokens"
        )
    (rows, columns, _), (height, width) = values.shape, size
    # some stride s gives height / s rows and width / s columns, both rounded down, to the nearest, or up
    is_alike = any(
        height * (columns - up) < width * (rows + 1 - up) and width * (rows - up) < height * (columns + 1 - up)
        for up in (0, 0.5, 1)
    )
    if rows > height or columns > width or not is_alike:
        raise InputError(
            f"{path}: has the shape {values.shape}, a grid of {rows} x {columns} for a picture of {height} x {width} "
            "pixels; write [h, w, K], features last, with h : w as in the picture and at most as many rows"
        )


def _check_values(path: Path, values: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        wrong = values.size - int(np.isfinite(np.asarray(values, np.float32)).sum())
    if wrong:
        raise InputError(
            f"{path}: {wrong} of {values.size} values are NaN or infinite; compute them again (above 65504 it takes "
            "float32, not float16)"
        )
