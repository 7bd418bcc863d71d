"""Tables, figures and sentences of finished (or growing) runs of study 3, for keeping beside the code.

    python -m experiments.few_shot.results runs/few_shot_tissue runs/few_shot_rbc12 --out experiments/results/few_shot

Each folder gives types_SET.csv (per type and number of shots), methods_SET.csv (heads and rivals), draws_SET.csv
(median and quartiles of every cell of the grid) and the figures as SVG; all together give findings.md. The folders are
only read.
"""

import pandas as pd

from experiments.cli import run_command
from experiments.committed import Kept, keep_results
from experiments.few_shot import config
from experiments.few_shot.answers import answers, question
from experiments.few_shot.config import StudyConfig
from experiments.few_shot.findings import Findings
from experiments.few_shot.grid import FACTORS
from experiments.few_shot.report import figures_of, methods_table


def draws_table(table: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of the pooled Dice over the draws of every cell."""
    rows = table[(table["metric"] == "dice_pooled") & (table["status"] == "ok")]
    rows = rows.assign(value=rows["value"].astype(float))
    grouped = rows.groupby(list(FACTORS), sort=False)["value"]
    frame = grouped.agg(median="median", low=lambda v: v.quantile(0.25), high=lambda v: v.quantile(0.75), draws="count")
    return frame.reset_index()


def kept(options: StudyConfig, table: pd.DataFrame) -> Kept:
    """What is kept of a run."""
    found = Findings(options, table, options.networks[0])
    tables = {"types": found.type_table(), "methods": methods_table(found), "draws": draws_table(table)}
    return Kept(tables, figures_of(found), question(found), answers(found))


def main() -> None:
    """Read the folders, write what they give."""
    keep_results("few_shot", "Study 3: how few annotated pictures of a new cell type are enough", __doc__, config, kept)


if __name__ == "__main__":
    run_command(main)
