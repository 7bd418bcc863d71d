"""How many pixels change when the objects of real pictures are written in each format and read back.

    python -m experiments.benchmarks.round_trips /data/cells_instances
    python -m experiments.benchmarks.round_trips /data/cells_instances --to coco imagej --out results

A folder is converted as by `experiments.convert`, then opened again, and its label images are compared with those of
the folder given: a pixel counts as changed where it belongs to another object. `reported` is what the conversion said.
"""

import csv
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from experiments.harness.start import run_command
from segjax.data import open_source
from segjax.data.folders.conversion import convert_folder, spec_of
from segjax.data.formats import formats_of

COLUMNS = ("data", "format", "pictures", "objects", "objects_read", "pixels", "changed", "reported")
PLAIN = tuple(name for name in formats_of("write") if name not in ("vectors", "colours"))  # what any folder can become


def round_trips(
    data: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FOLDER")],
    to: tuple[str, ...] = PLAIN,
    out: Path | None = None,
) -> None:
    """Print a row per folder and format.

    Args:
        data: Folders, or specs of folders.
        to: Formats, as `python -m experiments.convert --help` lists them.
        out: Folder for round_trips.csv.
    """
    rows = [_row(folder, one) for folder in data for one in to]
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "round_trips.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


def _row(data: str, to: str) -> tuple[str | int, ...]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        source, losses = convert_folder(data, folder, to)
        own = spec_of(folder, to, source)
        again = open_source(own + ("&" if "?" in own else "?") + "empty=keep&channels=1")
        written, read = ([one[index].labels for index in range(len(one))] for one in (source, again))
    name = Path(data.removeprefix("folder:").partition("?")[0]).name
    changed = sum(int((one != other).sum()) for one, other in zip(written, read, strict=True))
    pixels, reported = sum(one.size for one in written), sum(loss.pixels_changed for loss in losses)
    return name, to, len(written), _objects(written), _objects(read), pixels, changed, reported


def _objects(labels: list[np.ndarray]) -> int:
    return sum(len(np.unique(one[one > 0])) for one in labels)


if __name__ == "__main__":
    run_command(lambda: tyro.cli(round_trips, description=__doc__))
