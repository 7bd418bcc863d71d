"""Command line of the repair of a folder."""

import tyro
from rich.console import Console

from experiments.harness.start import run_command
from experiments.upgrade_folder.config import FolderConfig, check_folder_config
from experiments.upgrade_folder.pictures import open_folder
from experiments.upgrade_folder.repair import BATCH, NETWORK, Repair, Unit, folder_plan, units_of
from experiments.upgrade_folder.report import mistakes, write_review_page
from segjax.sweeps import Ledger, run_trials
from segjax.types import InputError

PROGRAM = "python -m experiments.upgrade_folder"


def main() -> None:
    """Check, train, upgrade what is missing, write the list of changes and the page."""
    config = tyro.cli(FolderConfig, prog=PROGRAM)
    check_folder_config(config)
    console = Console()
    folder = open_folder(config)
    repair = Repair(config, folder)
    train, held_out = len(repair.train_rows), len(repair.validation_rows)
    clean = f"clean labels: {train} {folder.units} to learn from, {held_out} held out"
    line = f"{clean}; noisy labels: {len(folder.noisy)} pictures to repair; errors: {mistakes(repair)}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    with Ledger(config.out, Unit, folder_plan(config, folder), config.accept_code) as ledger:
        run_trials([NETWORK], repair.learn, ledger, lambda unit: "network", console)
        if ledger.missing([NETWORK]):
            raise InputError(f"out: another process is training in {config.out}; wait for it, or choose another folder")
        repair.restore()
        run_trials(units_of(folder), repair.upgrade, ledger, repair.kind, console, BATCH)
        page = write_review_page(config, folder, repair, ledger.table())
    console.print(f"labels: {config.out / 'labels'}\nreview: {page}", markup=False, highlight=False)


if __name__ == "__main__":
    run_command(main)
