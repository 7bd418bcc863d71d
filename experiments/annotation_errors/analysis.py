"""Tables, curves, claims and pictures of study 1, beside the published curves."""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import pandas as pd

from experiments.annotation_errors.grid import Config, Trial
from experiments.annotation_errors.pictures import ErrorDomains
from experiments.harness.pictures import Domain, faulty_targets
from experiments.harness.study import Analysis, Context
from segjax.data import parse_spec
from segjax.evaluation import METRICS, Claim, Metric
from segjax.reports import (
    Illustration,
    LabelTile,
    PredictionTile,
    data_name,
    dose_response,
    label_gallery,
    prediction_gallery,
    svg,
    words,
)
from segjax.sweeps import ResultTable

CURVES = {"dice_pooled": "Dice of the test set", "surface_dice": "Surface Dice", "pq": "Panoptic quality"}
SOURCE = "Vădineanu et al., MIDL 2022, PMLR 172:1251-1267 (mean of 10 runs)"
QUESTION = (
    "How wrong may the annotations be that a network learns from? Networks were trained on labels that were made "
    "faulty on purpose, one kind of error at a time. Every prediction was then compared with faultless labels."
)
GLOSSARY = (
    "Dice says how well a prediction covers the true cells: 1 is perfect, 0 is no overlap at all; a Dice point is "
    "0.01. A seed is one complete repetition: other errors, another start of the network. Intervals count distinct "
    "sets of test pictures."
)
LABEL_DICE = Metric(
    "2 TP / (2 TP + FP + FN) of the faulty labels against the clean ones, all training pictures summed first",
    "1",
    "higher",
    "both empty: NaN",
    1,
)
OMITTED_FROM = 0.3  # published: above this rate MSD stays ahead of the other networks
Table = ResultTable[Trial]


def analyse(config: Config, table: Table) -> Analysis:
    """What annotation errors cost."""
    kind, coarsening = published_kind(config.source.data), table.coarsening
    paper = published(kind) if kind else None
    figures = {}
    for metric, title in CURVES.items():
        beside = paper if metric == "dice_pooled" else None
        figure = dose_response(doses(table, metric), title, beside, coarsening)
        figures[title] = Illustration(svg(figure), _caption(beside))
    return Analysis(
        title=f"What annotation errors cost: {data_name(config.source.data)}",
        question=QUESTION,
        claims=[*_costs(table), *_msd_ahead(table)],
        tables=_tables(table, paper),
        figures=figures,
        cautions=_cautions(config, table),
        metrics={**METRICS, "label_dice": LABEL_DICE},
        shown=[CURVES["dice_pooled"]],
        glossary=GLOSSARY,
    )


def published_kind(data: str) -> str | None:
    """The published set that the pictures of a data spec stand for."""
    spec = parse_spec(data)
    return spec.name if spec.scheme == "microscope" and spec.name in ("hl60", "granulocytes") else None


def published(kind: str) -> pd.DataFrame:
    """Published pooled Dice on clean test labels, mean and standard deviation of 10 runs per network, error and level.

    The inclusion curve's point at level 0 was measured on pictures without foreign objects, the others on pictures with
    them. Columns: data, network, error, level, dice, sd; level is a rate or, for bias, q_max in published pixels.

    Args:
        kind: "hl60", "granulocytes" or "epithelial".

    Source: Vădineanu et al., MIDL 2022, PMLR 172:1251-1267, Figures 2 and 3.
    """
    rows = pd.read_csv(Path(__file__).with_name("published.csv"), comment="#")
    return rows[rows["data"] == kind].reset_index(drop=True)


def doses(table: Table, metric: str) -> pd.DataFrame:
    """Every network, error and level with mean, low, high, n and label_dice; level 0 first.

    At level 0 stand the trials with clean labels, but for inclusion those of pasted objects that nobody annotated,
    where there are any.
    """
    trials, lines = table.trials(), []
    for network in dict.fromkeys(trial.network for trial in trials):
        own = [trial for trial in trials if trial.network == network]
        for error in words.in_order({trial.error for trial in own}):
            there = {trial.level: trial for trial in own if trial.error == error}
            for level in words.by_severity(error, [0.0, *there]):
                trial = there.get(level, Trial(network, 0))
                value, label = table.interval(metric, trial), table.interval("label_dice", trial)
                lines.append((network, error, level, *value, label.mean))
    return pd.DataFrame(lines, columns=["network", "error", "level", "mean", "low", "high", "n", "label_dice"])


def _costs(table: Table) -> list[Claim]:
    """Clean labels against every faulty kind, a family per network and baseline.

    Wrongly included objects are pasted into the pictures, so their baseline has them in the pictures, not annotated.
    """
    claims: list[Claim] = []
    for network in dict.fromkeys(trial.network for trial in table.trials()):
        own = [trial for trial in table.trials() if trial.network == network]
        clean, pasted = Trial(network, 0), Trial(network, 0, "inclusion")
        name = words.network_name(network)
        subjects = {clean: f"{name} with clean labels", pasted: f"{name} with clean labels of pasted objects"}
        for baseline, subject in subjects.items():
            rivals = {
                f"{name} with {words.amount_of(trial.error, trial.level, table.coarsening)}": trial
                for trial in own
                if trial.level > 0 and (baseline == pasted) == (trial.error == "inclusion" and pasted in own)
            }
            claims += table.compare("dice_pooled", (subject, baseline), rivals)
    return claims


def _msd_ahead(table: Table) -> list[Claim]:
    """MSD against the other networks where many cells are omitted, as published."""
    claims: list[Claim] = []
    networks = dict.fromkeys(trial.network for trial in table.trials())
    for level in sorted({trial.level for trial in table.trials() if trial.error == "omission"}):
        if level > OMITTED_FROM and "msd" in networks:
            with_error = words.amount_of("omission", level)
            others = {
                f"{words.network_name(name)} with {with_error}": Trial(name, 0, "omission", level)
                for name in networks
                if name != "msd"
            }
            claims += table.compare(
                "dice_pooled", (f"MSD with {with_error}", Trial("msd", 0, "omission", level)), others
            )
    return claims


def _tables(table: Table, paper: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    tables = {}
    if paper is not None:
        tables["Dice beside the published curves"] = beside_published(table, paper)
    present = [name for name in words.METRIC_NAMES if name in table.frame]
    return tables | {metric: table.overview([metric]) for metric in present}


def beside_published(table: Table, paper: pd.DataFrame) -> pd.DataFrame:
    """Our Dice and the published one, where the same strength was published."""
    frame = doses(table, "dice_pooled").merge(paper.drop(columns="data"), on=["network", "error", "level"])
    shown = [f"{line.mean:.3f}" for line in frame.itertuples()]
    columns = {"ours": shown, "published": frame["dice"].map("{:.3f}".format), "standard deviation": frame["sd"]}
    return frame[["network", "error", "level"]].assign(**columns)


def _caption(paper: pd.DataFrame | None) -> str:
    said = "Points are means over test sets, bars their 95 % intervals, where there are enough test sets for one."
    if paper is None:
        return said
    return (
        f"{said} Dashed: published means, {SOURCE}. The published inclusion curves start at pictures without foreign "
        "objects; at 0 % ours have them in the picture, not annotated."
    )


def _cautions(config: Config, table: Table) -> list[str]:
    coarsening = table.coarsening
    said = [f"Surface Dice is taken at a tolerance of {config.segmentation.tolerance:g} pixels of these pictures."]
    if coarsening != 1:
        said.append(
            f"The pictures have pixels {coarsening:g} times as coarse as the published ones. Strengths in pixels count "
            f'published pixels ("published px"): 1 pixel here is {coarsening:g} of them.'
        )
        if "bias" in config.errors:
            said.append(
                f"Outline errors move by whole pixels, so here they start at {coarsening:g} published pixels, where "
                "the published ones start at 1: at equal strength they are larger and cost more."
            )
    return said


def gallery(context: Context[Config, ErrorDomains, Trial]) -> Mapping[str, Illustration]:
    """Labels that the errors make, and predictions of the first seed."""
    config, data = context.config, context.data
    source, shown = data.plain.source, data.split(0).train
    areas = [int((data.plain.labels[index] > 0).sum()) for index in shown]
    picture = shown[int(np.argsort(areas)[len(areas) // 2])]
    tiles = [
        _label_tile(config, data.domain(error), picture, error, level)
        for error in config.errors
        for level in config.levels_of(error)
    ]
    caption = f"Training picture {source.names[picture]} with the labels that each error makes of it."
    figures = {"Labels": Illustration(label_gallery(tiles, source.coarsening), caption, "labels")}
    if predictions := _prediction_tiles(context):
        caption = "One test picture, segmented by networks trained on faulty labels (seed 0)."
        content = prediction_gallery(predictions, source.coarsening)
        figures["Predictions"] = Illustration(content, caption, "predictions")
    return figures


def _label_tile(config: Config, domain: Domain, picture: int, error: str, level: float) -> LabelTile:
    volume = tuple(i for i, group in enumerate(domain.source.groups) if group == domain.source.groups[picture])
    recipe = config.recipe(error, level, domain.source.coarsening)
    masks = faulty_targets(jax.random.key(0), domain, volume, recipe)
    return LabelTile(error, level, domain.images[picture], domain.labels[picture], masks[volume.index(picture)] > 0)


def _prediction_tiles(context: Context[Config, ErrorDomains, Trial]) -> list[PredictionTile]:
    config, tiles = context.config, []
    for error in ("none", *config.errors):
        levels = (0.0,) if error == "none" else ((0.0,) if error == "inclusion" else ()) + config.levels_of(error)
        domain = context.data.domain(error)
        for network in config.segmentation.networks:
            for level in levels:
                kept = context.examples.load(Trial(network, 0, error, level))
                if kept is not None:
                    middle = len(kept["indices"]) // 2
                    index, mask = int(kept["indices"][middle]), kept["masks"][middle]
                    truth = domain.labels[index] > 0
                    tiles.append(PredictionTile(network, error, level, domain.images[index], truth, mask))
    return tiles
