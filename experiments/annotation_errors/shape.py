"""Tables and figures of finished (or growing) runs of study 1, beside the published curves.

    python -m experiments.annotation_errors.shape runs/hl60 runs/granulocytes --out results
    python -m experiments.annotation_errors.shape runs/mine --out results

Each folder gives dose_response_SET.csv and .svg. Two folders, of HL60-like and of granulocyte-like nuclei, also give
shape.csv and shape.md: does the run show what the published study found? The folders are only read.
"""

import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tyro

from experiments.annotation_errors.config import defaults_of, resolve
from experiments.annotation_errors.report import plotted, published_kind
from experiments.annotation_errors.study import STUDY
from experiments.cli import run_command
from experiments.provenance import comment, provenance
from experiments.running import command_of
from segjax.data import open_source, parse_spec
from segjax.reports import (
    STATEMENTS,
    data_name,
    dose_response,
    findings,
    published,
    sentence,
    set_findings,
    summary,
    svg,
)
from segjax.reports.shape import SETS, Finding
from segjax.types import InputError

METRICS = {"dice_pooled": "dice", "label_dice": "label_dice"}


@dataclass(frozen=True)
class Config:
    """Which runs, and where to."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """One folder of results, or two: of HL60-like and of granulocyte-like nuclei, in any order."""
    out: Path
    """Folder for the tables and figures."""


@dataclass(frozen=True)
class Run:
    """A folder of results: its configuration, commit, machine, rows, and the pixels of its pictures."""

    config: Mapping[str, Any]
    commit: str
    machine: str
    table: pd.DataFrame
    coarsening: float

    @property
    def kind(self) -> str | None:
        """The published set it stands for."""
        return published_kind(self.config["data"])

    @property
    def name(self) -> str:
        """The set in file names: letters, digits, - and _."""
        return self.kind or re.sub(r"\W+", "_", data_name(self.config["data"])).strip("_")


def read_run(folder: Path) -> Run:
    """Read `plan.json` and `results.csv` of a study.

    Raises:
        InputError: one of them is missing or has no rows.
    """
    for name in ("plan.json", "results.csv"):
        if not (folder / name).exists():
            raise InputError(f"{folder}: there is no {name}; name the --out folder of a study")
    plan = json.loads((folder / "plan.json").read_text())
    config = plan["config"]
    table = pd.read_csv(folder / "results.csv")
    if table.empty:
        raise InputError(f"{folder}/results.csv: no training has finished yet; wait for the first")
    own_foreign = "inclusion" in config["errors"] and config["extra"] is None
    # Own pictures are their own measure; they may lie elsewhere by now.
    coarsening = 1.0 if parse_spec(config["data"]).scheme == "folder" else open_source(config["data"]).coarsening
    return Run(config, plan["commit"], plan["machine"], plotted(table, own_foreign), coarsening)


def study_command(config: Mapping[str, Any]) -> str:
    """The command of a study from its stored configuration: what differs from the defaults of its scale."""
    usual = dataclasses.replace(defaults_of(config["scale"]), out=Path(config["out"]), data=config["data"])
    return command_of({"study": STUDY, "config": config}, resolve(usual))


def doses(run: Run) -> pd.DataFrame:
    """Mean, 95 % interval and seeds of the pooled Dice and of the faulty labels' own Dice, per cell of the grid."""
    cell = ["network", "error", "level"]
    parts = [
        summary(run.table, metric)
        .set_index(cell)
        .rename(columns={"mean": f"{name}_mean", "low": f"{name}_low", "high": f"{name}_high", "n": f"{name}_seeds"})
        for metric, name in METRICS.items()
    ]
    frame = pd.concat(parts, axis=1).reset_index()
    if run.kind:
        paper = published(run.kind).rename(columns={"dice": "published_mean", "sd": "published_sd"})
        frame = frame.merge(paper.drop(columns="data"), on=cell, how="left")
    return frame


def write_doses(run: Run, out: Path, facts: Mapping[str, str]) -> None:
    """dose_response_SET.csv and .svg."""
    stem = f"dose_response_{run.name}"
    _write_csv(out / f"{stem}.csv", doses(run), {**facts, **facts_of(run)})
    beside = published(run.kind) if run.kind else None
    title = f"What annotation errors cost: {data_name(run.config['data'])}"
    (out / f"{stem}.svg").write_text(
        svg(dose_response(run.table, published=beside, title=title, coarsening=run.coarsening))
    )


def facts_of(run: Run) -> dict[str, str]:
    """Command, commit and machine of a study."""
    return {
        f"study {run.name}": study_command(run.config),
        f"commit of {run.name}": run.commit,
        f"machine of {run.name}": run.machine,
    }


def write_shape(large: Run, small: Run, out: Path, facts: Mapping[str, str]) -> None:
    """shape.csv and shape.md of a run of HL60-like and one of granulocyte-like nuclei."""
    found = [*findings(large.table, "hl60"), *findings(small.table, "granulocytes")]
    found += set_findings(large.table, small.table)
    found.sort(key=lambda finding: list(STATEMENTS).index(finding.statement))
    facts = {**facts, **facts_of(large), **facts_of(small)}
    unit = {"unit": "Dice points (0.01); losses against the same seed without the error; 95 % intervals, Student's t"}
    _write_csv(out / "shape.csv", pd.DataFrame(found, columns=Finding._fields), {**facts, **unit})
    lines = ["# Study 1 against the published shape", "", *(f"- {name}: `{fact}`" for name, fact in facts.items()), ""]
    for statement, text in STATEMENTS.items():
        lines += [f"**({statement})** {text}", ""]
        for finding in found:
            if finding.statement == statement:
                spoken = sentence(finding, (small if finding.set == "granulocytes" else large).coarsening)
                lines.append(f"- {SETS[finding.set]}: {spoken}")
        lines.append("")
    lines += ["Numbers are in Dice points (0.01).", ""]
    lines += [f"| {' | '.join(row)} |" for row in _markdown(found)]
    (out / "shape.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Read the folders, write what they give.

    Raises:
        InputError: a folder holds no results, or two folders are not one of each set.
    """
    config = tyro.cli(Config, prog="python -m experiments.annotation_errors.shape", description=__doc__)
    runs = [read_run(folder) for folder in config.folders]
    kinds = {run.kind: run for run in runs}
    if len(runs) != 1 and not (len(runs) == 2 and set(kinds) == {"hl60", "granulocytes"}):
        raise InputError("folders: give one, or two of which one holds microscope:hl60 and one microscope:granulocytes")
    facts = provenance(shlex.join(["python", "-m", "experiments.annotation_errors.shape", *sys.argv[1:]]))
    config.out.mkdir(parents=True, exist_ok=True)
    for run in runs:
        write_doses(run, config.out, facts)
    if len(runs) == 2:
        write_shape(kinds["hl60"], kinds["granulocytes"], config.out, facts)


def _write_csv(path: Path, frame: pd.DataFrame, facts: Mapping[str, str]) -> None:
    path.write_text(comment(facts) + frame.to_csv(index=False, float_format="%.5g", lineterminator="\n"))


def _markdown(found: Sequence[Finding]) -> Iterator[tuple[str, ...]]:
    yield Finding._fields
    yield ("---",) * len(Finding._fields)
    for finding in found:
        numbers = (finding.ours_mean, finding.interval_low, finding.interval_high)
        shown = ("-" if pd.isna(number) else f"{number:.1f}" for number in numbers)
        beside = "-" if pd.isna(finding.published) else f"{finding.published:.1f}"
        names = (finding.statement, finding.set, finding.network, finding.error, f"{finding.level:g}")
        yield (*names, *shown, str(finding.seeds), beside, finding.came_out)


if __name__ == "__main__":
    run_command(main)
