"""The page of a run, with the cautions that every reader needs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.harness.provenance import is_committed
from experiments.harness.study import Analysis, Context, Study
from segjax.evaluation import REPLICATES_FOR_VERDICT, Claim, sentence
from segjax.evaluation.claims import digits_of, format_test_sets
from segjax.files import PATIENCE, write_file
from segjax.reports import Illustration, write_page
from segjax.sweeps import ResultTable, read_plan
from segjax.types import Source


def write_study_page(
    study: Study[Any, Any, Any, Any],
    context: Context[Any, Any, Any],
    table: ResultTable[Any],
    trials: Sequence[Any] = (),
    missing: Sequence[Any] = (),
) -> Path:
    """Write OUT/report.html with the plan's configuration and origin, and OUT/figures; returns the page's path.

    Args:
        trials: all of the study.
        missing: those that have not ended.
    """
    config, plan = context.config, read_plan(context.config.run.out, sets_aside=True)
    found = study.analyse(config, table)
    figures = {**found.figures, **study.gallery(context)}
    save_figures(config.run.out / "figures", figures)
    page = config.run.out / "report.html"
    write_page(
        page,
        title=found.title,
        question=found.question,
        answers=answers(found),
        figures=figures,
        tables={
            **({"Missing trials": missing_table(trials, missing)} if missing else {}),
            **({"Decisions": claims_table(found.claims)} if found.claims else {}),
            **found.tables,
        },
        config=plan["config"],
        provenance=_origin(plan),
        warnings=[
            *_partial(trials, missing),
            *cautions(config, context.data.source, plan),
            *study.cautions(config, context.data),
            *found.cautions,
            *context.examples.cautions(),
        ],
        metrics=found.metrics,
        failures=table.failures() if found.failures is None else found.failures,
        headings=found.headings,
        glossary=found.glossary,
    )
    return page


def answers(found: Analysis) -> list[str]:
    """A sentence per main claim (per claim, where none is main) that could have a verdict, and one for all others."""
    said = [sentence(claim) for claim in found.main or found.claims if claim.decision.verdict != "too few"]
    if few := sum(claim.decision.verdict == "too few" for claim in found.claims):
        have, rest = ("comparison has", "difference") if few == 1 else ("comparisons have", "differences")
        said.append(
            f"{few} {have} fewer than {REPLICATES_FOR_VERDICT} test sets, too few for a verdict; the table of "
            f"decisions has the {rest}."
        )
    return said


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim, as pages and published results show them."""
    rows = []
    for claim in claims:
        found, digits = claim.decision, digits_of(claim.unit)
        known = found.low == found.low
        rows.append(
            {
                "subject": claim.subject,
                "against": claim.rival,
                "metric": f"{claim.metric}, {claim.unit}" if claim.unit else claim.metric,
                "difference": f"{found.mean:+.{digits}f}",
                "95 % interval": f"{found.low:+.{digits}f} to {found.high:+.{digits}f}" if known else "-",
                "p": f"{found.p:.3g}" if known else "-",
                "test sets": found.n,
                "verdict": found.verdict,
            }
        )
    return pd.DataFrame(rows)


def missing_table(trials: Sequence[Any], missing: Sequence[Any]) -> pd.DataFrame:
    """How many trials have not ended, of each value of the factors that vary and of all."""
    rows = [{"factor": "all", "value": "", "missing": len(missing), "trials": len(trials)}]
    for one in fields(trials[0]):
        every, lacking = (Counter(getattr(trial, one.name) for trial in some) for some in (trials, missing))
        if len(every) > 1:
            rows += [
                {"factor": one.name, "value": f"{value}", "missing": lacking[value], "trials": count}
                for value, count in every.items()
                if lacking[value]
            ]
    return pd.DataFrame(rows)


def _partial(trials: Sequence[Any], missing: Sequence[Any]) -> list[str]:
    if not missing:
        return []
    return [
        f"This page is partial: {len(missing)} of {len(trials)} trials have not ended. Means and verdicts are of the "
        "others, and will change."
    ]


def cautions(config: Any, source: Source, plan: Mapping[str, Any]) -> list[str]:
    """What a reader of any study's page has to know before believing it."""
    said, run = [], config.run
    if config.source.data.startswith("microscope:"):
        said.append("The pictures are simulated; the published ones came from another virtual microscope.")
    if config.source.data.startswith("terrain:"):
        said.append("The pictures are simulated; real settlements differ more from each other and from the ground.")
    if run.scale in ("smoke", "demo"):
        said.append(f"This is the {run.scale} scale: small networks, few pictures and few seeds, to see how it works.")
    sets = len(set(plan["replicates"]))
    if sets < REPLICATES_FOR_VERDICT:
        said.append(
            f"All seeds together have {format_test_sets(sets)}. Verdicts need {REPLICATES_FOR_VERDICT}, so none is "
            "given."
        )
        if not source.test_groups:
            said.append("--folds and --seeds with at least that number give every seed its own test pictures.")
    elif sets < run.seeds:
        said.append(f"{run.seeds} seeds share {sets} sets of test pictures; intervals count the sets.")
    if config.source.validation == "slice":
        said.append("Validation pictures share volumes with training pictures, as published.")
    codes = list(dict.fromkeys(opening["code"] for opening in plan["openings"]))
    if len(codes) > 1:
        said.append(f"The results were made by {len(codes)} versions of the code: {', '.join(codes)}.")
    if not all(is_committed(opening["commit"]) for opening in plan["openings"]):
        said.append("The code had uncommitted changes when this was run.")
    return said


def save_figures(folder: Path, figures: Mapping[str, Illustration]) -> None:
    """Every figure of a page as a file of its own, SVG or PNG, named after its heading."""
    for name, figure in figures.items():
        kind = "svg" if isinstance(figure.content, str) else "png"
        write_file(folder / f"{figure_stem(name)}.{kind}", figure.content, PATIENCE)


def figure_stem(heading: str) -> str:
    """The file name of a figure, without suffix."""
    return heading.lower().replace(" ", "_")


def _origin(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Where the numbers of a page come from."""
    last = plan["openings"][-1]
    return {
        "command": last["command"],
        "commit": ", ".join(dict.fromkeys(opening["commit"] for opening in plan["openings"])),
        "code": ", ".join(dict.fromkeys(opening["code"] for opening in plan["openings"])),
        "machine": last["machine"],
        "data digest": plan["facts"]["digest"],
        "configuration fingerprint": plan["fingerprint"],
        **last["versions"],
    }
