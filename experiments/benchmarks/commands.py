"""How long commands take, each in a process of its own, from its start to its end; and the tables of such runs."""

import csv
import io
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.provenance import ROOT, comment
from segjax.files import read_file, write_file
from segjax.types import InputError

_OWN = ("commit", "machine")  # of each row


class Timed(NamedTuple):
    """A command that ended well.

    Attributes:
        seconds: by the clock.
        processor_seconds: of all its threads, which other work on the machine lengthens less.
        said: the end of what it printed.
    """

    seconds: float
    processor_seconds: float
    said: str


def timed(name: str, options: Sequence[str]) -> Timed:
    """Run `python -m experiments.NAME` with some options.

    Raises:
        InputError: what the command says where it fails.
    """
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *options],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    seconds, since = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise InputError(f"{name}: {done.stderr.strip()}")
    return Timed(seconds, since.ru_utime + since.ru_stime - used.ru_utime - used.ru_stime, done.stdout[-1000:])


def add_row(
    path: Path, origin: Mapping[str, str], row: Mapping[str, Any], order: Callable[[Mapping[str, Any]], Any]
) -> None:
    """Write a row into a table; the others stay, each with the commit and the machine that it was measured with.

    Args:
        origin: as `experiments.harness.provenance.provenance` says it.
        order: of the rows; a row of the same order as the new one is replaced.
    """
    whole = {**row, **{name: origin[name] for name in _OWN}}
    rows = {order(one): one for one in [*_rows_of(path), whole]}
    text = io.StringIO()
    writer = csv.DictWriter(text, list(whole), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[place] for place in sorted(rows))
    write_file(path, comment({name: value for name, value in origin.items() if name not in _OWN}) + text.getvalue())


def _rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a table that is there; none where there is no table."""
    if not path.exists():
        return []
    lines = read_file(path).decode().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
