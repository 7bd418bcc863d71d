"""The study's report page: sentences, curves, pictures of labels and predictions, all numbers."""

from pathlib import Path

import jax
import numpy as np
import pandas as pd

from experiments.annotation_errors.config import StudyConfig, levels_of, recipe_of
from experiments.annotation_errors.pictures import Study
from experiments.pictures import Domain, faulty_targets, split_of
from experiments.running import cautions, write_study_page
from segjax.data import parse_spec
from segjax.evaluation import METRICS
from segjax.reports import (
    Illustration,
    LabelTile,
    PredictionTile,
    answers,
    by_statement,
    curve_caption,
    data_name,
    dose_response,
    failed_runs,
    findings,
    label_gallery,
    number_tables,
    prediction_gallery,
    published,
    question,
    svg,
)
from segjax.sweeps import LAST_METRIC

CURVES = {"dice_pooled": "Dice of the test set", "surface_dice": "Surface Dice", "pq": "Panoptic quality"}


def write_report(config: StudyConfig, study: Study, table: pd.DataFrame, command: str) -> Path:
    """Write `report.html` and its figures as SVG and PNG files; returns the page's path."""
    coarsening = study.plain.source.coarsening
    failures = failed_runs(table, coarsening)
    table = plotted(table, study.has_own_foreign)
    kind = published_kind(config.data)
    figures = {**_curves(table, kind, coarsening), **_galleries(config, study)}
    return write_study_page(
        config.out,
        command,
        figures,
        title=f"What annotation errors cost: {data_name(config.data)}",
        question=question(table, coarsening),
        answers=answers(table, coarsening),
        shape=by_statement(findings(table, kind), coarsening) if kind else {},
        tables=number_tables(table, coarsening),
        warnings=_warnings(config, study),
        metrics=METRICS,
        failures=failures,
    )


def plotted(table: pd.DataFrame, has_own_foreign: bool) -> pd.DataFrame:
    """The rows that sentences and figures are made of.

    Where the pictures show foreign objects anyway, the clean runs stand once more as inclusion at rate 0.
    """
    table = table[table["metric"] != LAST_METRIC]
    zero = table[(table["error"] == "none") & has_own_foreign].assign(error="inclusion", level=0.0)
    return pd.concat([table, zero], ignore_index=True)


def published_kind(data: str) -> str | None:
    """The published set that the pictures of a data spec stand for."""
    spec = parse_spec(data)
    return spec.name if spec.scheme == "microscope" and spec.name in ("hl60", "granulocytes") else None


def _curves(table: pd.DataFrame, kind: str | None, coarsening: float) -> dict[str, Illustration]:
    figures = {}
    for metric, title in CURVES.items():
        beside = published(kind) if kind and metric == "dice_pooled" else None
        figure = dose_response(table, metric, beside, title, coarsening)
        figures[title] = Illustration(svg(figure), curve_caption(table, metric, beside, coarsening))
    return figures


def _galleries(config: StudyConfig, study: Study) -> dict[str, Illustration]:
    shown = split_of(study.plain, config, 0).train
    areas = [int((study.plain.labels[index] > 0).sum()) for index in shown]
    picture = shown[int(np.argsort(areas)[len(areas) // 2])]
    tiles = []
    for error in config.errors:
        domain = study.domain(error)
        for level in levels_of(config, error):
            tiles.append(_label_tile(config, domain, picture, error, level))
    figures = {
        "Labels": Illustration(
            label_gallery(tiles, study.plain.source.coarsening),
            f"Training picture {study.plain.source.names[picture]} with the labels that each error makes of it.",
            "labels",
        )
    }
    predictions = [tile for error in ("none", *config.errors) for tile in _prediction_tiles(config, study, error)]
    if predictions:
        caption = "One test picture, segmented by networks trained on faulty labels (seed 0)."
        figures["Predictions"] = Illustration(
            prediction_gallery(predictions, study.plain.source.coarsening), caption, "predictions"
        )
    return figures


def _label_tile(config: StudyConfig, domain: Domain, picture: int, error: str, level: float) -> LabelTile:
    volume = tuple(i for i, group in enumerate(domain.source.groups) if group == domain.source.groups[picture])
    recipe = recipe_of(config, error, level, domain.source.coarsening)
    masks = faulty_targets(jax.random.key(0), domain, volume, recipe)
    return LabelTile(error, level, domain.images[picture], domain.labels[picture], masks[volume.index(picture)] > 0)


def _prediction_tiles(config: StudyConfig, study: Study, error: str) -> list[PredictionTile]:
    domain = study.domain(error)
    levels = (0.0,) if error == "none" else ((0.0,) if error == "inclusion" else ()) + levels_of(config, error)
    tiles = []
    for network in config.networks:
        for level in levels:
            path = config.out / "predictions" / f"{network}-{error}-{level:g}-0.npz"
            if path.exists():
                kept = np.load(path)
                index = int(kept["indices"][len(kept["indices"]) // 2])
                mask = kept["masks"][len(kept["indices"]) // 2]
                tiles.append(
                    PredictionTile(network, error, level, domain.images[index], domain.labels[index] > 0, mask)
                )
    return tiles


def _warnings(config: StudyConfig, study: Study) -> list[str]:
    source = study.plain.source
    found = [f"Surface Dice is taken at a tolerance of {config.tolerance:g} pixels of these pictures."]
    if source.coarsening != 1:
        found.append(
            f"The pictures have pixels {source.coarsening:g} times as coarse as the published ones. Strengths in "
            f'pixels count published pixels ("published px"): 1 pixel here is {source.coarsening:g} of them.'
        )
        if "bias" in config.errors:
            found.append(
                f"Outline errors move by whole pixels, so here they start at {source.coarsening:g} published pixels, "
                "where the published ones start at 1: at equal strength they are larger and cost more."
            )
    found += cautions(config, source)
    return found
