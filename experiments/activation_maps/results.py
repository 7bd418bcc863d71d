"""Tables, figures and sentences of finished (or growing) runs of study 4A, for keeping beside the code.

    python -m experiments.activation_maps.results runs/mounds runs/wbc --out experiments/results/activation_maps

Each folder gives maps_SET.csv (all maps x classifiers), sizes_SET.csv (by the area of the object, where the ground
metres are known), seeds_SET.csv (values of every seed) and the figures; all together give findings.md.
The folders are only read.
"""

import pandas as pd

from experiments.activation_maps import config
from experiments.activation_maps.answers import answers, question
from experiments.activation_maps.config import StudyConfig
from experiments.activation_maps.findings import Findings
from experiments.activation_maps.grid import FACTORS
from experiments.activation_maps.report import figures_of
from experiments.cli import run_command
from experiments.committed import Kept, keep_results, seeds_table


def kept(options: StudyConfig, table: pd.DataFrame) -> Kept:
    """What is kept of a run."""
    found = Findings(options, table)
    tables = {"maps": found.table(), "sizes": found.by_size(), "seeds": seeds_table(table, FACTORS)}
    tables = {name: frame for name, frame in tables.items() if len(frame)}
    return Kept(tables, figures_of(found), question(found), answers(found))


def main() -> None:
    """Read the folders, write what they give."""
    keep_results("activation_maps", "Study 4A: what classifiers look at", __doc__, config, kept)


if __name__ == "__main__":
    run_command(main)
