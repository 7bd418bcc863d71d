"""Command line of the segmentation of a new type."""

import tyro
from rich.console import Console

from experiments.harness.page import announce
from experiments.harness.provenance import opening, sources_of
from experiments.harness.start import run_command
from experiments.segment_new_type.config import NewTypeOptions
from experiments.segment_new_type.report import verdict, write_report
from experiments.segment_new_type.segment import segment_folder

NAME = "segment_new_type"


def main() -> None:
    """Learn the type, or load it, segment every picture, and write the page."""
    options = tyro.cli(NewTypeOptions, prog=f"python -m experiments.{NAME}")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    origin = opening(NAME, sources_of(NAME))  # before files are written
    segmented = segment_folder(options, console.print)
    page = write_report(options, segmented, origin)
    for line in segmented.cautions:
        console.print(f"warning: {line}")
    console.print(verdict(segmented))
    announce(page, console)


if __name__ == "__main__":
    run_command(main)
