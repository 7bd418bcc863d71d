"""Tables, figures and sentences of finished (or growing) runs of study 3, for keeping beside the code.

    python -m experiments.few_shot.results runs/few_shot_tissue runs/few_shot_rbc12 --out experiments/results/few_shot

Each folder gives types_SET.csv (per type and number of shots), methods_SET.csv (heads and rivals), draws_SET.csv
(median and quartiles of every cell of the grid) and the figures as SVG; all together give findings.md. The folders are
only read.
"""

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tyro

from experiments.cli import run_command
from experiments.committed import config_of, in_markdown, read_results, run_facts, set_name, write_table
from experiments.few_shot.answers import answers, question
from experiments.few_shot.config import StudyConfig, defaults_of, resolve
from experiments.few_shot.findings import Findings
from experiments.few_shot.grid import FACTORS
from experiments.few_shot.report import figures_of, methods_table
from experiments.provenance import provenance
from experiments.running import command_of
from segjax.reports import data_name


@dataclass(frozen=True)
class Config:
    """Which runs, and where to."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of results of study 3."""
    out: Path
    """Folder for the tables and figures."""


def draws_table(table: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles of the pooled Dice over the draws of every cell."""
    rows = table[(table["metric"] == "dice_pooled") & (table["status"] == "ok")]
    rows = rows.assign(value=rows["value"].astype(float))
    grouped = rows.groupby(list(FACTORS), sort=False)["value"]
    frame = grouped.agg(median="median", low=lambda v: v.quantile(0.25), high=lambda v: v.quantile(0.75), draws="count")
    return frame.reset_index()


def main() -> None:
    """Read the folders, write what they give.

    Raises:
        InputError: a folder holds no results.
    """
    config = tyro.cli(Config, prog="python -m experiments.few_shot.results", description=__doc__)
    facts = provenance(shlex.join(["python", "-m", "experiments.few_shot.results", *sys.argv[1:]]))
    config.out.mkdir(parents=True, exist_ok=True)
    lines = ["# Study 3: how few annotated pictures of a new cell type are enough", "", *in_markdown(facts), ""]
    for folder in config.folders:
        plan, table = read_results(folder)
        stored = config_of(StudyConfig, plan["config"])
        found, name = Findings(stored, table, stored.networks[0]), set_name(stored.data)
        usual = dataclasses.replace(defaults_of(stored.scale), out=stored.out, data=stored.data)
        own = run_facts(plan, command_of(plan, resolve(usual)))
        tables = {"types": found.type_table(), "methods": methods_table(found), "draws": draws_table(table)}
        for stem, frame in tables.items():
            write_table(config.out / f"{stem}_{name}.csv", frame, {**facts, **own})
        for heading, figure in figures_of(found).items():
            assert isinstance(figure.content, str)
            (config.out / f"{heading.lower().replace(' ', '_')}_{name}.svg").write_text(figure.content)
        lines += [f"## {data_name(stored.data)}", "", *in_markdown(own), "", question(found), ""]
        lines += [*(f"- {answer}" for answer in answers(found)), ""]
    (config.out / "findings.md").write_text("\n".join(lines))


if __name__ == "__main__":
    run_command(main)
