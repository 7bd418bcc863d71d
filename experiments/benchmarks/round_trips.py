"""How many pixels change when the objects of real pictures are written in each format and read back?

    python -m experiments.benchmarks.round_trips /data/cells_instances
    python -m experiments.benchmarks.round_trips /data/cells_instances --to coco imagej --out results

A folder is converted as by `experiments.convert` and opened again. Its label images are compared with those of the
folder given. A pixel counts as changed if it belongs to another object. `reported` are the changes that the conversion
listed.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.benchmarks.timing import RESULTS, Row, header_of, report
from experiments.harness.start import run_command
from segjax.data import open_source
from segjax.data.folders.conversion import convert_folder, spec_of
from segjax.data.formats import formats_of

PLAIN = tuple(name for name in formats_of("write") if name not in ("vectors", "colours"))  # what any folder can become


def round_trips(
    data: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="FOLDER")],
    to: tuple[str, ...] = PLAIN,
    out: Path = RESULTS,
) -> None:
    """Print a row per folder and format, and keep them as OUT/round_trips.csv.

    Args:
        data: Folders, or specs of folders.
        to: Formats, as `python -m experiments.convert --help` lists them.
        out: Folder for the table.
    """
    report("round_trips", header_of("round_trips"), [_row(folder, one) for folder in data for one in to], out)


def _row(data: str, to: str) -> Row:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        source, losses = convert_folder(data, folder, to)
        own = spec_of(folder, to, source)
        again = open_source(own + ("&" if "?" in own else "?") + "empty=keep&channels=1")
        written, read = ([one[index].labels for index in range(len(one))] for one in (source, again))
    return {
        "data": Path(data.removeprefix("folder:").partition("?")[0]).name,
        "format": to,
        "pictures": len(written),
        "objects": _objects(written),
        "objects_read": _objects(read),
        "pixels": sum(one.size for one in written),
        "changed": sum(int((one != other).sum()) for one, other in zip(written, read, strict=True)),
        "reported": sum(loss.pixels_changed for loss in losses),
    }


def _objects(labels: list[np.ndarray]) -> int:
    return sum(len(np.unique(one[one > 0])) for one in labels)


if __name__ == "__main__":
    run_command(lambda: tyro.cli(round_trips, description=__doc__))
