"""Prepare a public set of annotated pictures, which you have downloaded, for the studies.

    python -m experiments.prepare                                 # lists the sets: licence, address, files
    python -m experiments.prepare lizard --from ~/Downloads/lizard
    python -m experiments.few_shot --data tfds:lizard?tile=256 ...

The command downloads nothing. Get a set from its owners under their licence, unpack it, and give its folder. Files are
found at any depth below that folder, and are not changed. The set is written once, without TensorFlow, to a folder of
prepared sets: --to, else TFDS_DATA_DIR, else ~/tensorflow_datasets. Faults of a set are printed and kept with it. If
the command is stopped, run it again; studies do not accept an unfinished set.

Exit code: 0 the set can be used, 2 files are missing, damaged or wrong.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segjax.data.builders import PUBLIC_SETS, PublicSet, description, prepare_files
from segjax.data.prepared import data_dir, tfds
from segjax.types import InputError

_PIPED_WIDTH = 160


def prepare(
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SET")] = "",
    files: Annotated[Path | None, tyro.conf.arg(name="from", metavar="DIR")] = None,
    to: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
) -> int:
    """Write a set and print its contents and faults; returns the exit code.

    Args:
        name: The set. Without it, all sets are listed.
        files: The folder with the owners' files, unpacked.
        to: The folder of prepared sets.
    """
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    try:
        if not name and files is None:
            _list(console)
            return 0
        kind = _kind(name)
        if files is None:
            raise InputError(f"{name}: give the folder with its files as --from DIR\n{kind.CARD}")
        folder = data_dir(None if to is None else str(to))
        was_there = (folder / name / str(kind.VERSION)).exists()
        written = _prepare(kind, files.expanduser(), folder)
    except InputError as error:
        console.print(f"[red]cannot be prepared:[/red] {escape(str(error))}", soft_wrap=True)
        return 2
    _report(console, name, description(written))
    again = "exists already and is kept; to prepare it again, first remove" if was_there else "written to"
    console.print(f"{again} {written}", markup=False, soft_wrap=True)
    option = "" if to is None else f"?dir={str(to).replace('%', '%25').replace('&', '%26')}"
    console.print(f"use it as: --data 'tfds:{name}{option}'", markup=False, soft_wrap=True)
    return 0


def _kind(name: str) -> type[PublicSet]:
    if name not in PUBLIC_SETS:
        raise InputError(f"{name!r} is not among the sets: {', '.join(PUBLIC_SETS)}")
    return PUBLIC_SETS[name]


def _list(console: Console) -> None:
    for name, kind in PUBLIC_SETS.items():
        console.print(f"[bold]{name}[/bold]")
        for line in str(kind.CARD).splitlines():
            console.print(f"  {escape(line)}", soft_wrap=True)
    console.print("\nprepare one with: python -m experiments.prepare SET --from DIR", markup=False)


def _prepare(kind: type[PublicSet], files: Path, folder: Path) -> Path:
    tfds.disable_progress_bar()
    columns = TextColumn(kind.name), BarColumn(), MofNCompleteColumn(), TextColumn("pictures"), TimeRemainingColumn()
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        task = progress.add_task(kind.name, total=None)
        return prepare_files(
            kind, files, folder, lambda done, total: progress.update(task, completed=done, total=total)
        )


def _report(console: Console, name: str, described: Mapping[str, Any]) -> None:
    console.print(f"{name}: {described['licence']}", markup=False, soft_wrap=True)
    for split, rows in described["pictures"].items():
        groups, objects = len({row[1] for row in rows}), sum(row[4] for row in rows)
        console.print(f"  {split}: {len(rows):,} pictures in {groups:,} groups, {objects:,} objects", markup=False)
    console.print(f"  classes: {', '.join(described['class_names'])}", markup=False, soft_wrap=True)
    console.print(f"  digest: {described['digest']}", markup=False)
    for remark in described["remarks"]:
        console.print(f"[yellow]remark:[/yellow] {escape(remark)}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(tyro.cli(prepare, description=__doc__))
