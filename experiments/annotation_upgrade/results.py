"""Tables, figures and sentences of finished (or growing) runs of study 2, for keeping beside the code.

    python -m experiments.annotation_upgrade.results runs/hl60 runs/nuclei --out experiments/results/annotation_upgrade

Each folder gives labels_SET.csv (labels before and after upgrading), methods_SET.csv (networks by how they were trained
and how far careful + upgraded is ahead), seeds_SET.csv (every pooled value) and the figures as SVG; all together give
findings.md. The folders are only read.
"""

import pandas as pd

from experiments.annotation_upgrade import config
from experiments.annotation_upgrade.answers import answers, question
from experiments.annotation_upgrade.config import StudyConfig
from experiments.annotation_upgrade.findings import Findings, method_name
from experiments.annotation_upgrade.grid import FACTORS, UPGRADE
from experiments.annotation_upgrade.report import figures_of
from experiments.cli import run_command
from experiments.committed import Kept, keep_results
from segjax.data import open_source, parse_spec
from segjax.evaluation import mean_interval

POOLED = ("label_dice", "upgraded_dice", "dice_pooled")


def labels_table(table: pd.DataFrame) -> pd.DataFrame:
    """Dice of test labels before and after, with the interval over seeds, per upgrade network and error."""
    factors = ["error", "learnt", "careful", "volumes", "careful_error"]
    rows = table[(table["method"] == UPGRADE) & table["metric"].isin(POOLED) & (table["status"] == "ok")]
    found = []
    for cell, group in rows.groupby(factors, sort=False):
        before, after = (mean_interval(group[group["metric"] == name]["value"]) for name in POOLED[:2])
        found.append((*cell, before.mean, after.mean, after.low, after.high, after.n))
    return pd.DataFrame(found, columns=[*factors, "before", "after", "low", "high", "seeds"])


def methods_table(found: Findings) -> pd.DataFrame:
    """Dice of networks by method, and how far careful + upgraded is ahead, in Dice points."""
    names = ["upgraded", *[name for name, _ in found.ahead()]]
    rows = []
    for name, row in zip(names, found.compared(), strict=True):
        ahead = row.behind or (float("nan"),) * 5
        rows.append((method_name(name, found.config), *row.dice, *ahead[:3], ahead[4]))
    rows += [(name, *interval, *(float("nan"),) * 4) for name, interval in found.predictions()[1:]]
    columns = ["method", "dice", "low", "high", "seeds", "upgraded_ahead", "ahead_low", "ahead_high", "wilcoxon_p"]
    return pd.DataFrame(rows, columns=columns)


def kept(options: StudyConfig, table: pd.DataFrame) -> Kept:
    """What is kept of a run."""
    # Own pictures are their own measure; they may lie elsewhere by now.
    coarsening = 1.0 if parse_spec(options.data).scheme == "folder" else open_source(options.data).coarsening
    found = Findings(options, table, options.networks[0], coarsening)
    pooled = table[table["metric"].isin(POOLED)][[*FACTORS, "metric", "value", "status"]]
    tables = {"labels": labels_table(table), "methods": methods_table(found), "seeds": pooled}
    return Kept(tables, figures_of(found), question(found), answers(found))


def main() -> None:
    """Read the folders, write what they give."""
    keep_results("annotation_upgrade", "Study 2: does repairing cheap annotations pay", __doc__, config, kept)


if __name__ == "__main__":
    run_command(main)
