"""Convert a folder of annotated pictures into another format, and report per picture what the format could not hold.

    python -m experiments.convert my_rois my_coco --to coco
    python -m experiments.convert 'folder:my_set?annotations=sites.json' my_labels --to labels --labels-dtype int32

Reads what `folder:` reads: label images, ROI zips of ImageJ, GeoJSON of QuPath, COCO JSON, one mask file per object and
more. Pictures are copied as they are; planes of a TIFF stack (stacks=planes) become a TIFF file each. Objects that
overlap are painted by size, the largest first, so that none is hidden by a larger one; ids count from 1 again. The report is printed and written into the new folder as loss.csv.

The new folder appears when everything is written and read back. `python -m experiments.check` looks through it.

Exit code: 0 converted, 2 refused.
"""

import csv
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from segjax.data import CUTS, FolderOptions, parse_spec
from segjax.data.annotation_files import picture_of
from segjax.data.check import inspect_folder
from segjax.data.folder import FolderSource
from segjax.data.formats import FORMATS, Dtype, Manner, formats_of
from segjax.data.formats.annotation import Annotation, Loss, Picture
from segjax.data.stack_entries import write_plane
from segjax.types import InputError

REPORT = "loss.csv"
_COUNTS = [field.name for field in fields(Loss) if field.name != "notes"]
_PIPED_WIDTH = 160
_SHOWN = 40  # pictures in the printed table, those with a loss first
Target = Literal[tuple(formats_of("write"))]  # type: ignore[valid-type]


def convert(
    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="IN")],
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
    to: Target,
    labels_dtype: Dtype = "smallest",
) -> int:
    """Convert a folder; returns the exit code.

    Args:
        data: The folder, or a spec with options such as 'folder:PATH?annotations=FILE' (quote it for the shell).
        out: The new folder; it must not be there yet.
        to: The format, one of those listed below.
        labels_dtype: Of label images. napari opens int32 as labels and uint16 as a picture; smallest is uint16 where
            the ids fit.
    """
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    try:
        source, losses = convert_folder(data, out, to, labels_dtype, console)
    except InputError as error:
        console.print(f"[red]cannot be converted:[/red] {escape(str(error))}", soft_wrap=True)
        return 2
    console.print(_table(source.names, losses))
    console.print(f"written; the whole report is {out / REPORT}", soft_wrap=True)
    console.print(f"open it as: '{spec_of(out, to, source)}'", soft_wrap=True)
    return 0


def spec_of(out: Path, to: str, source: FolderSource) -> str:
    """What opens the new folder with the same classes in the same order."""
    told = {"labels": "class_names=class_names.csv", "colours": "colours=colours.csv"}
    options = [told[to]] if to == "colours" or (to == "labels" and source.has_classes) else []
    if source.has_classes and to == "vectors":
        options.append("class_column=class")
    return f"folder:{out}" + (f"?{'&'.join(options)}" if options else "")


class _Items(Sequence[tuple[Picture, Annotation]]):
    """The annotations of a source, read on access, so that large sets need no memory."""

    def __init__(self, source: FolderSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        source, sample = self._source, self._source[index]
        classes = tuple(source.class_names[number - 1] for number in sample.classes) if source.has_classes else ()
        picture = picture_of(source.entries[index], source.shapes[index])
        return picture, Annotation(sample.labels, classes, sample.ignored)


def convert_folder(
    data: str, out: Path, to: str, dtype: Dtype = "smallest", console: Console | None = None
) -> tuple[FolderSource, list[Loss]]:
    """Write everything into an unfinished folder, which takes its name at the end.

    Returns:
        The pictures that were converted, and for each what reading and writing its annotation lost.

    Raises:
        InputError: `out` is there already, the folder or its options are refused, the format cannot hold something
            without which it is of no use, or the disk cannot be written.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; choose a new folder")
    spec = parse_spec(data if data.startswith("folder:") else f"folder:{data}")
    if cuts := sorted(set(spec.options) & set(CUTS)):
        raise InputError(f"option {cuts[0]} changes the pictures, which are converted as they are; leave it out")
    path, options = Path(spec.name).expanduser(), FolderOptions.parse(spec.options)
    inspection = inspect_folder(path, options)
    problems = [problem for problem in inspection.problems if problem.spoils == "anything"]
    source = FolderSource(path, options, data, replace(inspection, problems=problems))
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(parents=True)
        for entry in source.entries:
            ending = ".tif" if entry.at else entry.image.suffix
            place = unfinished / FORMATS[to].pictures.format(name=entry.name, ending=ending)
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.at:
                write_plane(place, entry, options)
            else:
                shutil.copyfile(entry.image, place)
        losses = [
            _joined(before, after)
            for before, after in zip(source.losses, _written(source, unfinished, to, dtype, console), strict=True)
        ]
        _write_report(unfinished / REPORT, source.names, losses)
        unfinished.rename(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); free some space or choose another") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return source, losses


def _written(source: FolderSource, folder: Path, to: str, dtype: Dtype, console: Console | None) -> Iterator[Loss]:
    write = FORMATS[to].write
    assert write is not None  # as the choices say
    manner = Manner(source.class_names if source.has_classes else (), dtype)
    found = write(folder, _Items(source), manner)
    yield from track(found, f"writing {to}", total=len(source), console=console, transient=True)


def _joined(read: Loss, written: Loss) -> Loss:
    """What reading and writing one annotation lost together."""
    sums = {name: getattr(read, name) + getattr(written, name) for name in _COUNTS}
    ends = {"objects_in": read.objects_in, "objects_out": written.objects_out}
    return replace(read, **(sums | ends), notes=(*read.notes, *written.notes))


def _write_report(path: Path, names: Sequence[str], losses: Sequence[Loss]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["picture", *_COUNTS, "notes"])
        for name, loss in zip(names, losses, strict=True):
            rows.writerow([name, *(getattr(loss, count) for count in _COUNTS), "; ".join(loss.notes)])


def _table(names: Sequence[str], losses: Sequence[Loss]) -> Table:
    """A row per picture, those with a loss first, and the sums."""
    table = Table(title="what the conversion changed (objects that overlap: the largest is painted first)")
    for title in ("picture", *(count.replace("_", " ") for count in _COUNTS), "notes"):
        table.add_column(title, overflow="fold")
    order = sorted(range(len(names)), key=lambda index: not _has_lost(losses[index]))
    for index in order[:_SHOWN]:
        counts = [str(getattr(losses[index], count)) for count in _COUNTS]
        table.add_row(escape(names[index]), *counts, escape("; ".join(losses[index].notes)))
    if len(names) > _SHOWN:
        table.add_row(f"and {len(names) - _SHOWN} more")
    table.add_section()
    table.add_row("in all", *(str(sum(getattr(loss, count) for loss in losses)) for count in _COUNTS))
    return table


def _has_lost(loss: Loss) -> bool:
    return loss != Loss(loss.objects_in, loss.objects_in)


def _formats() -> str:
    return "\n".join(f"  {name}: {FORMATS[name].line}" for name in formats_of("write"))


if __name__ == "__main__":
    sys.exit(tyro.cli(convert, description=f"{__doc__}\nFormats:\n{_formats()}"))
