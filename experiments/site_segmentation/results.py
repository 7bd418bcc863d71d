"""Tables, figures and sentences of finished (or growing) runs of study 4B, for keeping beside the code.

    python -m experiments.site_segmentation.results runs/mounds --out experiments/results/site_segmentation

Each folder gives networks_SET.csv (by what they learnt from), seeds_SET.csv (values of every seed) and the figures; all
together give findings.md. The folders are only read.
"""

import pandas as pd

from experiments.cli import run_command
from experiments.committed import Kept, keep_results, seeds_table
from experiments.site_segmentation import config
from experiments.site_segmentation.answers import answers, question
from experiments.site_segmentation.config import StudyConfig
from experiments.site_segmentation.findings import Findings
from experiments.site_segmentation.grid import FACTORS
from experiments.site_segmentation.report import figures_of


def kept(options: StudyConfig, table: pd.DataFrame) -> Kept:
    """What is kept of a run."""
    found = Findings(options, table)
    tables = {"networks": found.table(), "seeds": seeds_table(table, FACTORS)}
    return Kept(tables, figures_of(found), question(found), answers(found))


def main() -> None:
    """Read the folders, write what they give."""
    keep_results("site_segmentation", "Study 4B: site outlines from image-level labels", __doc__, config, kept)


if __name__ == "__main__":
    run_command(main)
