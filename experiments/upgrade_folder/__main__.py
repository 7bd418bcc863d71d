"""Command line of the repair of a folder."""

import sys

import tyro
from rich.console import Console

from experiments.harness.page import announce
from experiments.harness.start import LEFT_TO_OTHERS, SOME_FAILED, run_command
from experiments.upgrade_folder import training_sets
from experiments.upgrade_folder.config import FolderConfig, check_folder_config
from experiments.upgrade_folder.pictures import open_folder
from experiments.upgrade_folder.repair import BATCH, NETWORK, Repair, Unit, folder_plan, units_of
from experiments.upgrade_folder.report import mistakes, verdict, warnings, write_review_page
from experiments.upgrade_folder.training_sets import Comparison
from segjax.sweeps import Ledger, run_trials
from segjax.sweeps.ledger import failure_file
from segjax.types import InputError

PROGRAM = "python -m experiments.upgrade_folder"


def main() -> None:
    """Check, train, upgrade what is missing, write the list of changes and the page."""
    config = tyro.cli(FolderConfig, prog=PROGRAM)
    check_folder_config(config)
    console = Console()
    folder = open_folder(config)
    repair, comparison = Repair(config, folder), Comparison(config, folder)
    train, held_out = len(repair.train_rows), len(repair.validation_rows)
    clean = f"clean labels: {train} {folder.units} to learn from, {held_out} held out"
    line = f"{clean}; noisy labels: {len(folder.noisy)} pictures to repair; errors: {mistakes(repair)}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    units, folds = units_of(folder), training_sets.units_of(config)
    plan = {**folder_plan(config, folder), "trials": 1 + len(units) + len(folds)}
    with Ledger(config.out, Unit, plan, config.accept_code, retry_failed=True) as ledger:
        run_trials([NETWORK], repair.learn, ledger, lambda unit: "network", console)
        if ledger.missing([NETWORK]):
            raise InputError(f"out: another process is training in {config.out}; wait for it, or choose another folder")
        if not ledger.failed([NETWORK]):
            repair.restore()
            run_trials(units, repair.upgrade, ledger, repair.kind, console, BATCH)
            if ledger.missing(folds):
                line = training_sets.warning(config, folder, repair.seconds)
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            run_trials(folds, comparison.compare, ledger, lambda unit: "fold", console)
            results = ledger.table([NETWORK, *units, *folds])
            compared = comparison.found(results)
            page = write_review_page(config, folder, repair, results, compared)
            answers = [verdict(repair.held_out()), *([] if compared is None else [compared.verdict])]
            choice = [] if repair.choice is None else [str(repair.choice)]
            for line in (*map("warning: {}".format, warnings(repair, results)), *choice, *answers):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            console.print(f"labels: {config.out / 'labels'}", markup=False, highlight=False, soft_wrap=True)
            announce(page, console)
        failed, missing = ledger.failed([NETWORK, *units, *folds]), ledger.missing([*units, *folds])
    for unit in failed:
        line = f"failed: {unit.file}: {failure_file(config.out, unit)}; the same command tries it again"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if missing:
        console.print(
            f"{len(missing)} pictures or folds are left to other processes; give the same command again when they have "
            "ended"
        )
    if failed or missing:
        sys.exit(LEFT_TO_OTHERS if missing else SOME_FAILED)


if __name__ == "__main__":
    run_command(main)
