"""A folder of annotated pictures in another format, with what was lost on the way."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from segjax.data.folders.annotation_files import picture_of
from segjax.data.folders.check import inspect_folder
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import CUTS, FolderOptions
from segjax.data.folders.stack_entries import write_plane
from segjax.data.folders.tables import first_few
from segjax.data.formats import FORMATS, Dtype, Manner
from segjax.data.formats.annotation import Annotation, Loss, Picture
from segjax.data.spec import parse_spec
from segjax.files import replacing, write_table
from segjax.types import InputError

REPORT = "loss.csv"
COUNTS = tuple(field.name for field in fields(Loss) if field.name != "notes")
Watch = Callable[[Iterator[Loss], int], Iterable[Loss]]  # losses as they come, and how many will come


def convert_folder(
    data: str,
    out: Path,
    to: str,
    dtype: Dtype = "smallest",
    watch: Watch = lambda losses, _: losses,
) -> tuple[FolderSource, list[Loss]]:
    """Write the pictures and annotations of a folder into a new one, which appears when all is written and read back.

    Pictures are copied byte for byte; planes of stacks become TIFF files. The losses are written beside, as loss.csv;
    so are the groups of the pictures and their image-level labels, where there are any.

    Args:
        data: a folder, or a spec of one.
        out: the new folder.
        to: a name of `FORMATS`.
        dtype: of label images.
        watch: passes the losses on, for example to show progress.

    Returns:
        The source that was read, and for each picture what reading and writing its annotation lost together.

    Raises:
        InputError: `out` is there already, the folder or its options are refused, the format cannot hold the
            annotations at all, or the disk cannot be written.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; choose a new folder")
    source, options = _open(data, to)
    with replacing(out) as unfinished:
        unfinished.mkdir()
        _copy_pictures(source, unfinished, to, options)
        write = FORMATS[to].write
        assert write is not None  # as the choices of the command say
        manner = Manner(source.class_names if source.has_classes else (), dtype)
        written = watch(write(unfinished, _Items(source), manner), len(source))
        losses = [_joined(before, after) for before, after in zip(source.losses, written, strict=True)]
        _write_report(unfinished / REPORT, source.names, losses)
        for table, (column, values) in _tables(source).items():
            rows = zip(source.names, values, strict=True)
            write_table(unfinished / f"{table}.csv", [("picture", column), *rows])
    return source, losses


def spec_of(out: Path, to: str, source: FolderSource) -> str:
    """What opens a folder that `source` was converted into, with the same classes in the same order."""
    given = {"colours": ["colours=colours.csv"]}.get(to, [])
    if source.has_classes:
        told = {"labels": ["class_names=class_names.csv"], "vectors": ["class_column=class"]}
        given = told.get(to, given)
    given += ["volumes=true"] if source.options.volumes == "true" else []
    given += [f"{table}={table}.csv" for table in _tables(source)]
    if source.label_names and "," not in "".join(source.label_names):
        given.append(f"label_names={','.join(source.label_names)}")
    return f"folder:{out}" + (f"?{'&'.join(given)}" if given else "")


def _tables(source: FolderSource) -> dict[str, tuple[str, Sequence[str]]]:
    """What is known of the pictures beside their objects: name of the table to its second column and the values."""
    tables: dict[str, tuple[str, Sequence[str]]] = {}
    if source.groups != source.names:
        tables["groups"] = ("group", source.groups)
    if source.label_names:
        numbers = [label for label in source.image_labels if label is not None]
        tables["image_labels"] = ("label", [source.label_names[number] for number in numbers])
    return tables


class _Items(Sequence[tuple[Picture, Annotation]]):
    """The annotations of a source, read on access, so that large sets need no memory."""

    def __init__(self, source: FolderSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: Any) -> Any:
        source, sample = self._source, self._source[index]
        classes = tuple(source.class_names[number - 1] for number in sample.classes) if source.has_classes else ()
        picture = picture_of(source.entries[index], source.shapes[index])
        return picture, Annotation(sample.labels, classes, sample.ignored)


def _open(data: str, to: str) -> tuple[FolderSource, FolderOptions]:
    """The folder, whose pictures need not be fit for training."""
    spec = parse_spec(data if data.startswith("folder:") else f"folder:{data}")
    if to != "labels" and spec.options.get("volumes") == "true":
        raise InputError(
            f"option volumes=true: {to} numbers the objects of each picture anew, so slices would not share them; "
            "leave the option out, or write labels"
        )
    if cuts := sorted(set(spec.options) & set(CUTS)):
        raise InputError(
            f"option {cuts[0]} would change the pictures, but they are converted as they are; leave it out"
        )
    path, options = Path(spec.name).expanduser(), FolderOptions.parse(spec.options)
    inspection = inspect_folder(path, options)
    if alone := [entry.name for entry, _ in inspection.pictures if entry.labels is None]:
        raise InputError(
            f"{path}: {first_few(alone)} have no labels, and their pixels would become background; add labels, or "
            "convert the other pictures alone"
        )
    problems = [problem for problem in inspection.problems if problem.spoils == "anything"]
    return FolderSource(path, options, data, replace(inspection, problems=problems)), options


def _copy_pictures(source: FolderSource, folder: Path, to: str, options: FolderOptions) -> None:
    for entry in source.entries:
        ending = ".tif" if entry.at else entry.image.suffix
        place = folder / FORMATS[to].pictures.format(name=entry.name, ending=ending)
        if entry.at:
            write_plane(place, entry, options)
            continue
        with replacing(place) as unfinished:
            shutil.copyfile(entry.image, unfinished)


def _joined(read: Loss, written: Loss) -> Loss:
    """What reading and writing one annotation lost together."""
    sums = {name: getattr(read, name) + getattr(written, name) for name in COUNTS}
    ends = {"objects_in": read.objects_in, "objects_out": written.objects_out}
    return replace(read, **(sums | ends), notes=(*read.notes, *written.notes))


def _write_report(path: Path, names: Sequence[str], losses: Sequence[Loss]) -> None:
    rows = [
        (name, *(getattr(loss, count) for count in COUNTS), "; ".join(loss.notes))
        for name, loss in zip(names, losses, strict=True)
    ]
    write_table(path, [("picture", *COUNTS, "notes"), *rows], is_for_people=True)
