"""The study's report page: verdict, curves before and after, the "does it pay" chart, galleries, all numbers."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.annotation_upgrade.answers import answers, question
from experiments.annotation_upgrade.config import StudyConfig
from experiments.annotation_upgrade.findings import SEEDS_FOR_INTERVAL, Findings, error_name
from experiments.annotation_upgrade.grid import FACTORS, UPGRADE, make_cells
from experiments.kept_trainings import name_of
from experiments.pictures import Domain
from experiments.running import cautions, write_study_page
from segjax.evaluation import METRICS, Metric, mean_interval
from segjax.reports import (
    Figure,
    Illustration,
    UpgradeTile,
    before_after_chart,
    comparison_chart,
    data_name,
    failed_cells,
    line_chart,
    svg,
    upgrade_gallery,
)
from segjax.reports.words import METRIC_NAMES, network_name
from segjax.sweeps import Cell

_POOLED = "2 TP / (2 TP + FP + FN), pixels of all pictures concerned summed first"
OWN_METRICS = {
    "label_dice": ("Dice of the labels before upgrading", Metric(_POOLED, "1", "higher", "both empty: NaN", 1)),
    "upgraded_dice": ("Dice of the labels after upgrading", Metric(_POOLED, "1", "higher", "both empty: NaN", 1)),
}


def write_report(config: StudyConfig, domain: Domain, table: pd.DataFrame, command: str) -> Path:
    """Write `report.html` and its figures as SVG and PNG files; returns the page's path."""
    coarsening = domain.source.coarsening
    found = Findings(config, table, config.networks[0], coarsening)
    figures = {**figures_of(found), **_galleries(config, domain)}
    tables = number_tables(table)
    if "mismatch" in config.questions:
        tables = {"Labels with one error, upgraded by networks that learnt another: Dice": found.mismatch(), **tables}
    return write_study_page(
        config.out,
        command,
        figures,
        title=f"Does repairing cheap annotations pay: {data_name(config.data)}",
        question=question(found),
        answers=answers(found),
        tables=tables,
        warnings=_warnings(config, domain),
        metrics={**METRICS, **{name: metric for name, (_, metric) in OWN_METRICS.items()}},
        failures=failed_cells(table, ["network", "seed", "method", "error", "learnt", "careful", "total"]),
    )


def figures_of(found: Findings) -> dict[str, Illustration]:
    """The charts that there are results for."""
    intervals = f"Means over seeds; bars are 95 % intervals (Student's t), from {SEEDS_FOR_INTERVAL} seeds on."
    charts: dict[str, tuple[Callable[[], Figure], bool, str]] = {
        "Does it pay": (
            lambda: comparison_chart(found.compared(), "careful + upgraded"),
            bool(found.compared()),
            "Left, the Dice of networks trained in different ways; right, how far careful + upgraded is ahead of each, "
            f"as paired differences of the same seeds. {intervals}",
        ),
        "Labels before and after": (
            lambda: before_after_chart(found.label_rows()),
            bool(found.label_rows()),
            f"Careless labels of test pictures before and after upgrading, by networks that learnt from "
            f"{found.config.compare_at} careful pictures. {intervals}",
        ),
        "Quality against careful pictures": (
            lambda: line_chart({"": found.quality_lines()}, "careful pictures", "Dice of the upgraded labels"),
            bool(found.quality_lines()),
            f"Labels with {error_name(found.config.error, found.coarsening)}. {intervals}",
        ),
        "Budgets": (
            lambda: line_chart(found.budget_panels(), "training pictures", "Dice of the test pictures"),
            "pays" in found.config.questions and bool(found.budget_panels()),
            f"Equal numbers of training pictures, of which a share is annotated carefully. {intervals}",
        ),
        "Predictions upgraded": (
            lambda: before_after_chart(found.prediction_rows()),
            bool(found.prediction_rows()),
            "Predictions of the network of few careful pictures for the other training pictures. " + intervals,
        ),
    }
    return {name: Illustration(svg(make()), caption) for name, (make, there, caption) in charts.items() if there}


def number_tables(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """For each metric, means and intervals of every cell of the grid."""
    names = {name: words for name, (words, _) in OWN_METRICS.items()}
    metrics = [name for name in ("dice_pooled", *OWN_METRICS, *METRIC_NAMES) if name in set(table["metric"])]
    return {names.get(metric, metric): summary(table, metric) for metric in dict.fromkeys(metrics)}


def summary(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over seeds of one metric for every cell of the grid, each seed's value the mean over its pictures."""
    factors = [name for name in FACTORS if name not in ("data", "seed")]
    rows = table[(table["metric"] == metric) & (table["status"] == "ok")]
    rows = rows.assign(value=rows["value"].astype(float))
    values = rows.groupby([*factors, "seed"], sort=False, as_index=False)["value"].mean()
    lines = []
    for cell, group in values.groupby(factors, sort=False):
        mean, low, high, n = mean_interval(group["value"].to_numpy())
        interval = f"{low:.4f} to {high:.4f}" if n >= SEEDS_FOR_INTERVAL else "-"
        lines.append((*cell, f"{mean:.4f}", interval, n))
    frame = pd.DataFrame(lines, columns=[*factors, "mean", "95 % interval", "seeds"])
    return frame[[name for name in frame if name in ("method", "mean") or frame[name].nunique() > 1]]


def _galleries(config: StudyConfig, domain: Domain) -> dict[str, Illustration]:
    cells = [cell for cell in make_cells(config, len(set(domain.source.groups))) if cell["seed"] == 0]
    upgrades: dict[str, Cell] = {}
    for cell in cells:
        plain = cell["volumes"] == 0 and cell["careful_error"] == "none" and cell["learnt"] == "known"
        if cell["method"] == UPGRADE and cell["careful"] == config.compare_at and plain:
            upgrades[error_name(cell["error"], domain.source.coarsening)] = cell
    tiles = [tile for name, cell in upgrades.items() if (tile := _tile(config, domain, name, cell)) is not None]
    if not tiles:
        return {}
    caption = (
        f"One test picture: a careless label, what a network that learnt from {config.compare_at} careful pictures "
        "makes of it, and the careful label (seed 0)."
    )
    return {"Labels upgraded": Illustration(upgrade_gallery(tiles), caption, "labels")}


def _tile(config: StudyConfig, domain: Domain, name: str, cell: Cell) -> UpgradeTile | None:
    path = config.out / "predictions" / f"{name_of(cell)}.npz"
    if not path.exists():
        return None
    kept: Mapping[str, np.ndarray] = np.load(path)
    middle = len(kept["indices"]) // 2
    index = int(kept["indices"][middle])
    return UpgradeTile(name, domain.images[index], domain.labels[index], kept["before"][middle], kept["after"][middle])


def _warnings(config: StudyConfig, domain: Domain) -> list[str]:
    source, found = domain.source, []
    if source.coarsening != 1:
        found.append(
            f"The pictures have pixels {source.coarsening:g} times as coarse as the published ones; strengths in "
            "pixels count published pixels."
        )
    found += cautions(config, source)
    if len(config.networks) > 1:
        found.append(
            f"Sentences and figures are about {network_name(config.networks[0])}; the tables have all networks."
        )
    return found
