"""Tables, figures and sentences of finished (or growing) runs of study 4A, for keeping beside the code.

    python -m experiments.activation_maps.results runs/mounds runs/wbc --out experiments/results/activation_maps

Each folder gives maps_SET.csv (all maps x classifiers), sizes_SET.csv (by the area of the site), seeds_SET.csv (values
of every seed) and the figures; all together give findings.md. The folders are only read.
"""

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.activation_maps.answers import answers, question
from experiments.activation_maps.config import StudyConfig, defaults_of, resolve
from experiments.activation_maps.findings import Findings
from experiments.activation_maps.grid import FACTORS
from experiments.activation_maps.report import figures_of
from experiments.cli import run_command
from experiments.committed import config_of, in_markdown, read_results, run_facts, seeds_table, set_name, write_table
from experiments.provenance import provenance
from experiments.running import command_of, save_figures
from segjax.reports import data_name


@dataclass(frozen=True)
class Config:
    """Which runs, and where to."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of results of study 4A."""
    out: Path
    """Folder for the tables and figures."""


def main() -> None:
    """Read the folders, write what they give.

    Raises:
        InputError: a folder holds no results.
    """
    config = tyro.cli(Config, prog="python -m experiments.activation_maps.results", description=__doc__)
    facts = provenance(shlex.join(["python", "-m", "experiments.activation_maps.results", *sys.argv[1:]]))
    config.out.mkdir(parents=True, exist_ok=True)
    lines = ["# Study 4A: what classifiers look at", "", *in_markdown(facts), ""]
    for folder in config.folders:
        plan, table = read_results(folder)
        stored = config_of(StudyConfig, plan["config"])
        usual = dataclasses.replace(defaults_of(stored.scale), out=stored.out, data=stored.data)
        own, found = run_facts(plan, command_of(plan, resolve(usual))), Findings(stored, table)
        name = set_name(stored.data)
        tables = {"maps": found.table(), "sizes": found.by_size(), "seeds": seeds_table(table, FACTORS)}
        for stem, frame in tables.items():
            write_table(config.out / f"{stem}_{name}.csv", frame, {**facts, **own})
        save_figures(config.out, {f"{heading}_{name}": figure for heading, figure in figures_of(found).items()})
        lines += [f"## {data_name(stored.data)}", "", *in_markdown(own), "", question(found), ""]
        lines += [*(f"- {answer}" for answer in answers(found)), ""]
    (config.out / "findings.md").write_text("\n".join(lines))


if __name__ == "__main__":
    run_command(main)
