"""Command line of study 1."""

import argparse
import sys

import tyro
from rich.console import Console

from experiments.annotation_errors.config import StudyConfig, defaults_of, resolve
from experiments.annotation_errors.pictures import check_recipes, open_study
from experiments.annotation_errors.report import write_report
from experiments.annotation_errors.study import FACTORS, STUDY, Trainer, cells_of, estimate, plan_of
from experiments.cli import run_command
from segjax.sweeps import Ledger, in_words, run_cells, share_of
from segjax.types import InputError


def main() -> None:
    """Parse, plan, run what is missing, write the report."""
    scale = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scale.add_argument("--scale", default="demo")
    defaults = defaults_of(scale.parse_known_args()[0].scale)
    config = resolve(tyro.cli(StudyConfig, prog="python -m experiments.annotation_errors", default=defaults))
    console = Console()
    if config.resume and not (config.out / "plan.json").exists():
        raise InputError(f"resume: there is nothing to go on with in {config.out}; leave --resume out to begin")
    console.print(f"reading {config.data}", markup=False, highlight=False)
    study = open_study(config)
    check_recipes(config, study)
    cells = cells_of(config, study)
    share = share_of(cells, config.share)
    if config.plan:
        for cell in share:
            console.print(str(cell), markup=False, highlight=False)
        seconds, megabytes = estimate(config, study, share)
        count, duration = len(share), in_words(seconds)
        console.print(f"{count} trainings, about {duration} here, {megabytes:.1f} MB of results; nothing was trained")
        return
    with Ledger(config.out, STUDY, FACTORS, plan_of(config, study, cells)) as ledger:
        trainer = Trainer(config, study)
        run_cells(share, trainer.run, ledger, lambda cell: str(cell["network"]), console, config.pack)
        left = len(ledger.missing(cells))
        if left:
            console.print(
                f"{left} of {len(cells)} cells are left to others; the last process to finish writes the report"
            )
            return
        command = " ".join(["python -m experiments.annotation_errors", *sys.argv[1:]])
        page = write_report(config, study, ledger.table(), command)
    console.print(f"report: {page}", markup=False, highlight=False)


if __name__ == "__main__":
    run_command(main)
