"""Convert a folder of annotated pictures into another format, and report what the format could not hold.

    python -m experiments.convert my_rois my_coco --to coco
    python -m experiments.convert 'folder:my_set?annotations=sites.json' my_labels --to labels --labels-dtype int32

It reads whatever `folder:` reads: label images, ImageJ ROI zips, QuPath GeoJSON, COCO JSON, one mask file per object
and more. Pictures are copied unchanged. Each plane of a TIFF stack (stacks=planes) becomes a TIFF file. Overlapping
objects are painted by size, the largest first, so that no object hides a smaller one. Ids count from 1 again. The
report is printed, and written into the new folder as loss.csv. Groups and image-level labels are kept as groups.csv and
image_labels.csv.

The new folder appears once everything is written and read back. Check it with `python -m experiments.check`.

Exit code: 0 converted, 2 refused.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from segjax.data.folders.conversion import COUNTS, REPORT, convert_folder, spec_of
from segjax.data.formats import FORMATS, Dtype, formats_of
from segjax.data.formats.annotation import Loss
from segjax.types import InputError

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
        out: The new folder; it must not exist yet.
        to: The format, one of those listed above.
        labels_dtype: Number type of label images. napari opens int32 as labels and uint16 as a picture. smallest is
            uint16 where the ids fit.
    """
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    try:
        source, losses = convert_folder(
            data,
            out,
            to,
            labels_dtype,
            lambda found, count: track(found, f"writing {to}", count, console=console, transient=True),
        )
    except InputError as error:
        console.print(f"[red]cannot be converted:[/red] {escape(str(error))}", soft_wrap=True)
        return 2
    console.print(_table(source.names, losses))
    console.print(f"written; the whole report is in {out / REPORT}", soft_wrap=True)
    console.print(f"open it as: '{spec_of(out, to, source)}'", soft_wrap=True)
    return 0


def _table(names: Sequence[str], losses: Sequence[Loss]) -> Table:
    """A row per picture, those with a loss first, and the sums."""
    table = Table(title="changes by the conversion (of overlapping objects the largest is painted first)")
    for title in ("picture", *(count.replace("_", " ") for count in COUNTS), "notes"):
        table.add_column(title, overflow="fold")
    order = sorted(range(len(names)), key=lambda index: not _has_lost(losses[index]))
    for index in order[:_SHOWN]:
        counts = [str(getattr(losses[index], count)) for count in COUNTS]
        table.add_row(escape(names[index]), *counts, escape("; ".join(losses[index].notes)))
    if len(names) > _SHOWN:
        table.add_row(f"and {len(names) - _SHOWN} more")
    table.add_section()
    table.add_row("in all", *(str(sum(getattr(loss, count) for loss in losses)) for count in COUNTS))
    return table


def _has_lost(loss: Loss) -> bool:
    return loss != Loss(loss.objects_in, loss.objects_in)


def _formats() -> str:
    return "\n".join(f"  {name}: {FORMATS[name].line}" for name in formats_of("write"))


if __name__ == "__main__":
    sys.exit(tyro.cli(convert, description=f"{__doc__}\nFormats:\n{_formats()}"))
