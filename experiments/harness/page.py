"""The page of a run, with the cautions that every reader needs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from experiments.harness.core_counts import mixture
from experiments.harness.cut_off import cut_off
from experiments.harness.provenance import is_committed
from experiments.harness.rivals import rival_cautions
from experiments.harness.study import Context, Study
from segjax.evaluation.claims import Claim, digits_of, format_test_sets
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.files import PATIENCE, write_file
from segjax.reports import Chart, Page, svg, write_page
from segjax.reports.index import refresh_index
from segjax.reports.page import index_beside
from segjax.sweeps import ResultTable
from segjax.sweeps.plan import read_plan
from segjax.types import InputError, Source

SHARED = ("compared", "measured as", "test sets")  # columns of decisions whose one value a heading can say


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
    save_charts(config.run.out / "figures", found.charts)
    charts = list(found.charts.items())
    path = config.run.out / "report.html"
    main = list(found.main or found.claims)
    title, decisions = shared_in_title(claims_table(main))
    page = Page(
        title=found.title,
        question=found.question,
        verdict=found.verdict,
        notes=[*_partial(trials, missing), *undecided(found.claims), *found.notes],
        lead=charts[0][1] if charts else None,
        priced=found.priced,
        table=decisions,
        table_title=title,
        charts=dict(charts[1:]),
        cautions=[
            *cautions(config, context.data.source, plan),
            *mixture(table),
            *cut_off(table),
            *rival_cautions(table),
            *study.cautions(config, context.data),
            *found.cautions,
            *context.examples.cautions(),
        ],
        galleries=study.gallery(context),
        tables={
            **({"Missing trials": missing_table(trials, missing)} if missing else {}),
            **({"All differences": claims_table(found.claims)} if len(found.claims) > len(main) else {}),
            **found.tables,
        },
        metrics=found.metrics,
        glossary=found.glossary,
        failures=table.failures() if found.failures is None else found.failures,
        config=plan["config"],
        provenance=_origin(plan),
        missing=f"{len(missing)} of {len(trials)} trials" if missing else "",
        index=index_beside(path),
    )
    write_page(path, page)
    return path


def announce(page: Path, console: Console) -> None:
    """Name a page that was just written, and list it in the index page of the folder above where that has one."""
    console.print(f"report: {page}", soft_wrap=True)
    try:
        refresh_index(page.absolute().parent.parent)
    except InputError as error:  # the page itself is there
        console.print(f"the report is not listed: {error}", soft_wrap=True)


def undecided(claims: Sequence[Claim]) -> list[str]:
    """One sentence for all comparisons that have too few test sets for a verdict."""
    few = [claim.decision.n for claim in claims if claim.decision.verdict == "too few"]
    if not few:
        return []
    all_of_them = len(few) == len(claims)
    which = "No difference is decided" if all_of_them else f"{len(few)} of {len(claims)} differences are not decided"
    have = f"{'is' if max(few) == 1 else 'are'} {format_test_sets(max(few))}"
    return [f"{which}: a verdict needs {REPLICATES_FOR_VERDICT} test sets, and there {have}."]


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """A row per claim, as pages and published results show them; without intervals where no claim has one."""
    rows = []
    for claim in claims:
        found, digits = claim.decision, digits_of(claim.unit)
        known = found.low == found.low
        rows.append(
            {
                "compared": claim.subject,
                "against": claim.rival,
                "measured as": _measure(claim),
                "difference": f"{found.mean:+z.{digits}f}" if found.n else "-",
                "95 % interval": f"{found.low:+z.{digits}f} to {found.high:+z.{digits}f}" if known else "-",
                "p": f"{found.p:.3g}" if known else "-",
                "test sets": found.n,
                "verdict": found.verdict,
            }
        )
    table = pd.DataFrame(rows)
    if rows and (table["verdict"] == "too few").all():
        return table.drop(columns=["95 % interval", "p", "verdict"])
    return table


def shared_in_title(table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """A heading for a table of claims with what all its rows share, and the columns in which they differ."""
    shared = [name for name in SHARED if len(table) > 1 and table[name].nunique() == 1]
    values = [table[name].iloc[0] for name in shared]
    said = [
        format_test_sets(int(value)) if name == "test sets" else value
        for name, value in zip(shared, values, strict=True)
    ]
    heading = "Decisions" if "verdict" in table else "Differences"
    return ": ".join([heading, *([", ".join(said)] if said else [])]), table.drop(columns=shared)


def _measure(claim: Claim) -> str:
    """Metric and unit, without saying one twice: "Dice points"."""
    if claim.unit.startswith(claim.metric):
        return claim.unit
    return f"{claim.metric}, {claim.unit}" if claim.unit else claim.metric


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
    if config.source.data.startswith("microscope:tissue"):
        said.append("The pictures are simulated; real tissue varies more.")
    elif config.source.data.startswith("microscope:"):
        said.append("The pictures are simulated; the published ones came from another virtual microscope.")
    if config.source.data.startswith("terrain:"):
        said.append("The pictures are simulated; real settlements differ more from each other and from the ground.")
    if run.scale in ("smoke", "demo"):
        said.append(f"This is the {run.scale} scale: small networks, few pictures and few seeds, to see how it works.")
    said += shared_test_sets(config, source, plan["replicates"])
    if config.source.validation == "slice":
        said.append("Validation pictures share volumes with training pictures, as published.")
    codes = list(dict.fromkeys(opening["code"] for opening in plan["openings"]))
    if len(codes) > 1:
        said.append(f"The results were made by {len(codes)} versions of the code: {', '.join(codes)}.")
    if not all(is_committed(opening["commit"]) for opening in plan["openings"]):
        said.append("The code had uncommitted changes when this was run.")
    return said


def shared_test_sets(config: Any, source: Source, replicates: Sequence[str]) -> list[str]:
    """What to know where seeds share test sets; `replicates` names the test set of every seed."""
    seeds, sets = config.run.seeds, len(set(replicates))
    is_simulated = config.source.data.startswith(("microscope:", "terrain:"))
    if sets < min(seeds, REPLICATES_FOR_VERDICT) and (is_simulated or not source.test_groups):
        option = "--replicates" if is_simulated else "--folds"
        remedy = f"Give as many {option} as --seeds, and each seed has test pictures of its own."
        return [f"All {seeds} seeds together have {format_test_sets(sets)}. {remedy}"]
    return [f"{seeds} seeds share {format_test_sets(sets)}. Intervals count test sets."] if sets < seeds else []


def save_charts(folder: Path, charts: Mapping[str, Chart]) -> None:
    """Every chart of a page as an SVG file of its own."""
    for stem, chart in charts.items():
        write_file(folder / f"{stem}.svg", svg(chart.wide), PATIENCE)


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
