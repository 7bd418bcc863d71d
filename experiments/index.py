"""List the pages of a folder, with their verdicts, on one page: FOLDER/index.html.

    python -m experiments.index runs
    python -m experiments.index runs --open

Lists the pages in FOLDER and in the folders in it, newest first: reports of studies, cards of pictures, and pages of
the other commands. Each entry has the title, the verdict, the place, the time and a link, and says if trials are
missing. Studies that end later with --out FOLDER/NAME add themselves.

An index.html that this command did not write is never replaced.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.harness.start import run_command
from segjax.types import InputError


@dataclass(frozen=True)
class IndexOptions:
    """Which pages are listed."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """The folder that holds the --out folders of runs, such as runs."""
    open: bool = False
    """Also show the page in a browser, where there is a desktop."""


def main() -> None:
    """Write the page and name it as an address that terminals make clickable.

    Raises:
        InputError: there is no such folder, or its index.html is not ours.
    """
    options = tyro.cli(IndexOptions, prog="python -m experiments.index", description=__doc__)
    if not options.folder.is_dir():
        raise InputError(f"folder: {options.folder} is not a folder; give the one that holds the --out folders of runs")
    from segjax.reports.index import write_index  # a typing error is told without it

    count = write_index(options.folder)
    address = (options.folder.absolute() / "index.html").as_uri()
    pages = f"{count} page{'' if count == 1 else 's'}" if count else "no page yet; pages will be listed in this file"
    print(f"{pages}: {address}")
    if options.open and has_desktop():
        show(address)


def has_desktop() -> bool:
    """Whether a browser has a screen to appear on."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(address: str) -> None:
    """Open an address in the browser. Another process does so: a browser of the terminal would not return."""
    command, none = [sys.executable, "-m", "webbrowser", address], subprocess.DEVNULL
    subprocess.Popen(command, stdin=none, stdout=none, stderr=none, start_new_session=True)


if __name__ == "__main__":
    run_command(main)
