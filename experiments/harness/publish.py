"""From runs to committed results: values per trial, and the pages, charts and README's table that are made of them.

A published run is a folder `experiments/STUDY/results/NAME` with `trials.csv` (a row per trial: factors, replicate, and
the mean over pictures of every metric) and `run.json` (configuration, openings, digests). Runs of earlier versions that
kept no values per seed have `summary.csv` instead, which is shown as it is.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd

from experiments.harness.core_counts import mixture
from experiments.harness.cut_off import cut_off
from experiments.harness.page import claims_table, save_charts, undecided
from experiments.harness.provenance import ROOT, is_committed
from experiments.harness.rivals import rival_cautions
from experiments.harness.run import AnyStudy
from experiments.harness.study import Analysis
from segjax.data.spec import parse_spec
from segjax.evaluation.claims import Claim
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.files import read_json, write_file
from segjax.reports import words
from segjax.reports.words import data_name
from segjax.sweeps import Replicates, ResultTable
from segjax.sweeps.merging import collect
from segjax.sweeps.plan import read_plan
from segjax.types import InputError

BEGIN, END = "<!-- results: begin, made by python -m experiments.publish -->", "<!-- results: end -->"
NO_SEEDS = "It kept no values per seed, so no verdict can be given."
CHANGED = "It was run from a tree with uncommitted changes."
SHOWN: Mapping[str, Any] = {"config": dict, "openings": list}
ANALYSED: Mapping[str, Any] = {**SHOWN, "overlap": (int, float), "coarsening": (int, float)}
README_ROWS = 2  # of a run in README's table; its page has all
OWN = (":(exclude,glob)experiments/*/results/**", ":(exclude)README.md")


@dataclass(frozen=True)
class Published:
    """A published run: its folder, what `run.json` says, what came out (None for a run with `summary.csv`), and what
    the values say of how they were made."""

    folder: Path
    facts: Mapping[str, Any]
    found: Analysis | None
    made: Sequence[str] = ()

    @property
    def marks(self) -> list[str]:
        """What keeps it from being full evidence."""
        dirty = any(not is_committed(opening["commit"]) for opening in self.facts["openings"])
        lacks = [NO_SEEDS] if self.found is None else []
        return [*([CHANGED] if dirty else []), *lacks, *self.made]

    @property
    def notes(self) -> list[str]:
        """What else a reader must know: what the pictures told, and what was given when it was published."""
        return [*self.facts.get("cautions", []), *self._left_out(), *self.facts.get("notes", [])]

    def _left_out(self) -> list[str]:
        if not (seeds := self.facts.get("looked_at", [])):
            return []
        named = f"seed{'s' if len(seeds) > 1 else ''} {words.joined([str(seed) for seed in seeds])}"
        return [f"The numbers leave out {named}: their pictures were looked at while a method was designed."]


def results_folder(study: AnyStudy) -> Path:
    """Where a study's published runs are."""
    return ROOT / "experiments" / study.name / "results"


def check_tree() -> None:
    """Raises InputError where files other than results differ from the commit, or there is no repository."""
    command = ["git", "status", "--porcelain", "--", ".", *OWN]
    state = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if state.returncode:
        raise InputError(f"publish: {ROOT} is not a git checkout; publish from one")
    if state.stdout.strip():
        changed = ", ".join(line[3:] for line in state.stdout.splitlines()[:5])
        raise InputError(f"publish: the tree has uncommitted changes ({changed}); commit them first")


def take_run(study: AnyStudy, out: Path, name: str, notes: Sequence[str] = (), looked_at: Sequence[int] = ()) -> Path:
    """Copy the values of a run into a folder of published results, with notes for its page; returns the folder.

    Args:
        looked_at: seeds whose test pictures were looked at while a method was designed; no number counts them.

    Raises:
        InputError: the folder holds no finished trial, or another study, or no trial of a seed that was looked at.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise InputError(f"name: {name!r} must be small letters, digits and underscores, such as real_nuclei")
    plan = read_plan(out, {**ANALYSED, "replicates": list})
    if plan["study"] != study.name:
        raise InputError(f"{out} is a run of {plan['study']}, not of {study.name}")
    table = table_of_run(study, out, plan)
    if unknown := sorted({*looked_at} - {*table.frame["seed"]}):
        raise InputError(f"looked_at: {out} has no trials of seed {unknown[0]}; leave it out")
    folder = results_folder(study) / name
    table.write(folder / "trials.csv")
    kept = {key: value for key, value in plan.items() if key not in ("sources", "replicates")}
    kept |= {"notes": list(notes)} if notes else {}
    kept |= {"looked_at": sorted(looked_at)} if looked_at else {}
    write_file(folder / "run.json", json.dumps(kept, indent=1) + "\n")
    return folder


def table_of_run(study: AnyStudy, out: Path, plan: Mapping[str, Any]) -> ResultTable[Any]:
    """The table of a run, by whatever code it was made.

    Raises:
        InputError: the folder holds no finished trial.
    """
    rows = collect(out, get_type_hints(study.trial), plan)
    if rows.empty:
        raise InputError(f"{out}: no trial has ended yet; wait for the first")
    replicates = Replicates(tuple(plan["replicates"]), plan["overlap"])
    return ResultTable.from_rows(rows, study.trial, replicates, plan["coarsening"])


def published_runs(study: AnyStudy) -> list[Published]:
    """All published runs of a study, by name."""
    return [_published(study, path.parent) for path in sorted(results_folder(study).glob("*/run.json"))]


def table_in(study: AnyStudy, folder: Path, facts: Mapping[str, Any]) -> ResultTable[Any]:
    """The table of a published run."""
    return ResultTable.read(folder / "trials.csv", study.trial, facts["overlap"], facts["coarsening"])


def config_of(kind: type[Any], stored: Mapping[str, Any]) -> Any:
    """The configuration that a plan holds, the groups of options inside it too.

    Raises:
        InputError: it holds an option that this version lacks, or lacks one.
    """
    hints, values = get_type_hints(kind), dict(stored)
    for name, value in stored.items():
        if name not in hints:
            raise InputError(f"plan.json: this version has no option {name!r}; check out the commit that it names")
        if isinstance(value, Mapping):
            values[name] = config_of(hints[name], value)
        elif isinstance(value, list):
            values[name] = tuple(value)
        elif hints[name] is Path:
            values[name] = Path(value)
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"plan.json: its config lacks an option ({error}); restore it from a copy") from error


def write_results_page(study: AnyStudy, runs: Sequence[Published]) -> Path:
    """`results/README.md` of a study, with the charts that it shows; returns its path."""
    lines = [f"# Results of {study.name}", "", "Made from the values beside it by `python -m experiments.publish`.", ""]
    for run in runs:
        lines += _section(run)
    page = results_folder(study) / "README.md"
    write_file(page, "\n".join(lines).rstrip() + "\n")
    return page


def write_readme(readme: Path, runs: Sequence[Published]) -> None:
    """Replace README's table of results.

    Raises:
        InputError: README lacks the lines between which the table stands.
    """
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise InputError(f"{readme}: has no lines {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    write_file(readme, f"{before}{BEGIN}\n{_readme_table(runs)}{END}{after}")


def _published(study: AnyStudy, folder: Path) -> Published:
    has_trials = (folder / "trials.csv").exists()
    needed = ANALYSED if has_trials else SHOWN
    facts = read_json(folder / "run.json", "a published run", needed, "publish the run again")
    if not has_trials:
        return Published(folder, facts, None)
    config = config_of(study.config, facts["config"])
    table = table_in(study, folder, facts).without(facts.get("looked_at", []))
    made = [*mixture(table), *cut_off(table), *rival_cautions(table)]
    return Published(folder, facts, study.analyse(config, table), made)


def _section(run: Published) -> list[str]:
    """The answer first, then charts and numbers; where they come from last."""
    last = run.facts["openings"][-1]
    lines = [f"## {run.folder.name}: {_what(run)}", ""]
    lines += _answer(run, run.found) if run.found else _summary(run)
    lines += [f"- test sets: {len(set(_replicates(run)))}"]
    return [*lines, *(f"- {name}: `{last[name]}`" for name in ("command", "commit", "machine")), ""]


def _answer(run: Published, found: Analysis) -> list[str]:
    shown = () if CHANGED in run.marks else found.shown  # what cannot be repeated is not put on show
    charts = {stem: found.charts[stem] for stem in shown if stem in found.charts}
    for path in run.folder.glob("*.svg"):  # a picture that the page no longer shows would tell old numbers
        if path.stem not in charts:
            path.unlink()
    save_charts(run.folder, charts)
    lines = [f"**{found.verdict}**", *undecided(found.claims), *found.notes, *_marks(run), ""]
    for stem, chart in charts.items():
        lines += [
            f"![{chart.title}]({run.folder.name}/{stem}.svg)",
            "",
            f"*{chart.title}.* {chart.question}{'' if chart.question.endswith('?') else '.'} {chart.caption}",
            "",
        ]
    if found.claims:
        lines += [*markdown(claims_table(found.main or found.claims)), ""]
    if found.cautions:
        lines += ["Before you rely on this:", "", *(f"- {caution}" for caution in found.cautions), ""]
    for name, frame in found.tables.items():
        lines += _folded(words.METRIC_NAMES.get(name, name), frame)
    return lines


def _summary(run: Published) -> list[str]:
    """What a run shows that kept no values per seed."""
    lines = [*_marks(run), ""]
    for path in sorted(run.folder.glob("*.svg")):
        lines += [f"![{path.stem.replace('_', ' ')}]({run.folder.name}/{path.name})", ""]
    summary = pd.read_csv(run.folder / "summary.csv").rename(columns=words.METRIC_NAMES)
    if "network" in summary:
        summary["network"] = summary["network"].map(words.network_name)
    return [*lines, *_folded("All values", summary)]


def _marks(run: Published) -> list[str]:
    return [*(f"**{mark}**" for mark in run.marks), *(line for note in run.notes for line in ("", note))]


def _folded(heading: str, frame: pd.DataFrame) -> list[str]:
    return [f"<details><summary>{heading}</summary>", "", *markdown(frame), "", "</details>", ""]


def _replicates(run: Published) -> Sequence[str]:
    path = run.folder / "trials.csv"
    if not path.exists():
        return run.facts["test_sets"]
    trials = pd.read_csv(path, dtype={"replicate": str})
    return list(trials["replicate"][~trials["seed"].isin(run.facts.get("looked_at", []))])


def _what(run: Published) -> str:
    spec = run.facts["config"]["source"]["data"]
    return data_name(spec) if parse_spec(spec) else spec


def _readme_table(runs: Sequence[Published]) -> str:
    """Rows of every run's first main claims with a verdict, and a sentence for the others and for those without one.

    Where what is compared with is weak, all are others.
    """
    rows, few, others = [], 0, 0
    for run in runs:
        link = f"[{_what(run)}]({(run.folder.parent / 'README.md').relative_to(ROOT).as_posix()})"
        main = run.found.main if run.found else ()
        known = [claim for claim in main if claim.decision.verdict != "too few"]
        shown = known[: 0 if run.found and run.found.is_weak else README_ROWS]
        rows += [{"pictures": link, **_claim_row(claim)} for claim in shown]
        few, others = few + len(main) - len(known), others + len(known) - len(shown)
    lines = markdown(pd.DataFrame(rows)) if rows else []
    if others:
        lines += ["", f"The pages have {others} more {'comparison' if others == 1 else 'comparisons'} of these runs."]
    if few:
        have = "comparison has" if few == 1 else "comparisons have"
        lines += ["", f"{few} more {have} fewer than {REPLICATES_FOR_VERDICT} test sets, too few for a verdict."]
    return "".join(f"{line}\n" for line in lines)


def _claim_row(claim: Claim) -> dict[str, Any]:
    line = claims_table([claim]).iloc[0]
    return {
        "compared": f"{claim.subject} against {claim.rival}",
        "difference": f"{line['difference']} {claim.unit or claim.metric}",
        **{name: line[name] for name in ("95 % interval", "test sets", "verdict")},
    }


def markdown(frame: pd.DataFrame) -> list[str]:
    """A table as lines of Markdown."""
    rows = [["-" if pd.isna(value) else str(value) for value in row] for row in frame.itertuples(index=False)]
    return [f"| {' | '.join(map(str, row))} |" for row in (frame.columns, ["---"] * len(frame.columns), *rows)]
