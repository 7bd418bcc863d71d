"""Turn a Hugging Face copy of an annotated set (parquet) into a folder of pictures that studies read.

    python -m experiments.read_parquet train-*.parquet --to my_nuclei --group patient --not-judged Ambiguous
    python -m experiments.check 'folder:my_nuclei?class_names=class_names.csv&groups=groups.csv'

The command downloads nothing. Get the parquet files of a set from its page (for example RationAI/PanNuke or
RationAI/MoNuSAC) under its licence. Every row is a picture. Its annotation is a column with one mask per object
(--instances), mostly beside a column with the class of each object, counted from 0 (--categories), or it is a column
with a label image (--labels). Where masks overlap, the smaller object gets the pixels. Class names come from the files.

Copies by torch-em (HDF5) are not read. Save raw and labels/instances of each file as TIFF, with h5py and tifffile, into
the folders images and labels.

Exit code: 0 the folder is written, 2 a file or column is missing or cannot be read, and no folder is written.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import Bool
from PIL import Image

from segjax.data import write_labels
from segjax.data.formats.annotation import Piece, paint
from segjax.files import replacing, write_table
from segjax.types import InputError

_NOT_JUDGED = 255  # of class images
_BATCH = 16  # rows that are in memory at a time


@dataclass(frozen=True)
class Options:
    """Turns parquet files of a set into a folder of pictures.

    Attributes:
        files: Parquet files of one set.
        to: The folder to write; it must not exist yet.
        image: Column of the pictures.
        instances: Column with a list of masks, one per object.
        categories: Column with the class number of each object; "" if there is none.
        labels: Column with label images, instead of instances.
        group: Column with the patient, slide or other group of each picture. Studies never divide a group.
        not_judged: Name of a class whose pixels count neither as objects nor as background.
    """

    files: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE.parquet")]
    to: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    image: str = "image"
    instances: str = "instances"
    categories: str = "categories"
    labels: str = ""
    group: str = ""
    not_judged: str = ""

    @property
    def columns(self) -> list[str]:
        """Those that are read; a label image needs no masks."""
        annotation = [self.labels] if self.labels else [self.instances, self.categories]
        return [name for name in (self.image, *annotation, self.group) if name]


def convert(options: Options) -> int:
    """Write the folder and print what is in it; returns the exit code."""
    to = options.to
    try:
        if to.exists():
            raise InputError(f"{to}: exists already; choose a new folder")
        if not options.files:
            raise InputError("files: there are none; give one or more parquet files")
        if len({path.stem for path in options.files}) < len(options.files):
            raise InputError("files: two have the same name, which would begin the names of their pictures; rename one")
        with replacing(to) as unfinished:
            counts = _write(options, unfinished)
    except (InputError, OSError) as error:
        print(f"cannot be converted: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()))
    given = [f"{table}={table}.csv" for table in ("class_names", "groups") if (to / f"{table}.csv").exists()]
    print(f"use it as: --data 'folder:{to}{'?' if given else ''}{'&'.join(given)}'")
    return 0


def _write(options: Options, folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    names = _class_names(options)
    groups = []
    for name, row in _rows(options):
        image = _picture(name, row[options.image])
        labels, classes = _annotation(name, row, options, counts, image.size[::-1])
        _save(image, folder / "images" / f"{name}.png")
        write_labels(folder / "labels" / f"{name}.tif", labels)
        if names:
            values = np.array([0, *(_value(name, index, names, options.not_judged) for index in classes)], np.uint8)
            _save(Image.fromarray(values[labels]), folder / "classes" / f"{name}.png")
        if options.group:
            groups.append((name, row[options.group]))
        counts.update(pictures=1, objects=int(np.count_nonzero(np.unique(labels))))
    if names:
        judged = [(i, n) for i, n in enumerate(names, 1) if n != options.not_judged]
        write_table(folder / "class_names.csv", [("class", "name"), *judged])
    if groups:
        write_table(folder / "groups.csv", [("picture", "group"), *groups])
    return counts


def _rows(options: Options) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in options.files:
        file = _open(path)
        if missing := [name for name in options.columns if name not in file.schema_arrow.names]:
            raise InputError(
                f"{path}: has no column {missing[0]}, only {', '.join(file.schema_arrow.names)}; choose one of these"
            )
        number = 0
        for batch in file.iter_batches(_BATCH, columns=options.columns):
            for row in batch.to_pylist():
                yield f"{path.stem}_{number:06d}", row
                number += 1


def _open(path: Path) -> Any:
    if find_spec("pyarrow") is None:
        raise InputError("parquet files need pyarrow; run: pip install pyarrow")
    import pyarrow.parquet

    if not path.is_file():
        raise InputError(f"{path}: does not exist; correct the name")
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as parquet ({error}); download it again") from error


def _class_names(options: Options) -> list[str]:
    """Names of classes 0, 1, ... as the first file tells them; [] where objects have no class."""
    if options.labels or not options.categories:
        return []
    path = options.files[0]
    told = (_open(path).schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    column = json.loads(told).get("info", {}).get("features", {}).get(options.categories, {})
    kind = column[0] if isinstance(column, list) else column.get("feature", {})  # as they wrote lists before and now
    names = list(kind.get("names", ()))
    if not names:
        raise InputError(f"{path}: names no classes for column {options.categories}; give --categories ''")
    if options.not_judged and options.not_judged not in names:
        raise InputError(f"{path}: has no class {options.not_judged!r}, only {', '.join(names)}; correct --not-judged")
    return names


def _annotation(
    name: str, row: Mapping[str, Any], options: Options, counts: Counter[str], shape: tuple[int, int]
) -> tuple[np.ndarray, Sequence[int]]:
    """Label image and class number of each object from 0."""
    if options.labels:
        labels = np.asarray(_opened(name, row[options.labels])).astype(np.int32)
        if labels.shape != shape:
            raise InputError(
                f"{name}: its label image has the shape {labels.shape}, but its picture has {shape}; choose another "
                "column"
            )
        return labels, ()
    masks = [_mask(name, stored, shape) for stored in row[options.instances] or ()]
    classes = (row[options.categories] or ()) if options.categories else [0] * len(masks)
    if len(classes) != len(masks):
        raise InputError(f"{name}: has {len(masks)} masks, but {len(classes)} classes; download the file again")
    labels, overlapping, without = paint(shape, [Piece(0, 0, mask) for mask in masks])
    counts["pixels of several objects"] += overlapping
    counts["objects without a pixel of their own"] += len(without)
    return labels, classes


def _value(name: str, index: int | None, names: Sequence[str], not_judged: str) -> int:
    if index is None or not 0 <= index < len(names):
        raise InputError(f"{name}: class {index} is not one of the {len(names)} that the file names; download it again")
    return _NOT_JUDGED if names[index] == not_judged else index + 1


def _opened(name: str, stored: Any) -> Image.Image:
    content = stored.get("bytes") if isinstance(stored, dict) else stored
    if not isinstance(content, bytes):
        raise InputError(
            f"{name}: the file holds no picture, only its name; take files that hold the pictures themselves"
        )
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise InputError(f"{name}: holds a picture that cannot be read ({error}); download the file again") from error
    return image


def _picture(name: str, stored: Any) -> Image.Image:
    image = _opened(name, stored)
    return image if image.mode in ("L", "RGB", "I;16") else image.convert("RGB")


def _mask(name: str, stored: Any, shape: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    values = np.asarray(_opened(name, stored).convert("L"))
    if values.shape != shape or len(np.unique(values[values > 0])) > 1:
        raise InputError(
            f"{name}: a mask has {values.shape} pixels, or more than two values, or another size than its picture; "
            "download the file again"
        )
    return values > 0


def _save(image: Image.Image, path: Path) -> None:
    with replacing(path) as unfinished:
        image.save(unfinished, format="PNG")


if __name__ == "__main__":
    sys.exit(convert(tyro.cli(Options, description=__doc__)))
