"""The study's report page: verdict, what the maps are worth, masks and predictions, all numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.activation_maps.report import INTERVALS
from experiments.classifiers import LabelledDomain
from experiments.kept_trainings import name_of
from experiments.running import cautions, write_study_page
from experiments.site_segmentation.answers import answers, question
from experiments.site_segmentation.config import StudyConfig, trained_ways
from experiments.site_segmentation.findings import CHEAP_NAMES, DICE, Findings, way_name
from experiments.site_segmentation.grid import FACTORS, MASKS, OUTLINES, make_cells, way_in
from segjax.data.geofiles import missing_packages
from segjax.evaluation import METRICS, Metric
from segjax.reports import (
    Figure,
    Illustration,
    MapTile,
    data_name,
    dot_chart,
    failed_cells,
    line_chart,
    map_panel,
    svg,
)
from segjax.reports.words import network_name
from segjax.sweeps import Cell

HEADINGS = {
    "curves": "What the maps are worth",
    "labels": "Masks made of maps",
    "predictions": "What the networks found",
}
GLOSSARY = (
    "Dice says how well what was found covers the true sites: 1 is perfect, 0 is no overlap at all; a Dice point is "
    "0.01. Full supervision means that all sites of the training pictures are outlined by hand. A seed is one complete "
    "repetition with another start and other held-out pictures. A 95 % interval says how far the mean may be off "
    "because only a few repetitions were made."
)
OWN_METRICS = {
    "label_dice": Metric("Dice of what is learnt from against the outlines, training pictures with a site pooled", "1",
                         "higher", "NaN", 1),
    "site_iou": Metric("TP / (TP + FP + FN) of one test picture with a site", "1", "higher", "one empty: 0", 1),
    "boundary_f_4px": Metric("2 P R / (P + R), P and R the shares of either outline within 4 pixels of the other", "1",
                             "higher", "one empty: 0", 1),
    "found": Metric("share of test pictures with a site in which any of its pixels is found", "1", "higher", "-", 1),
    "false_alarms": Metric("share of test pictures without a site in which anything is found", "1", "lower", "-", 1),
    "marked": Metric("share of training pictures with a site in which anything is marked", "1", "higher", "-", 1),
}  # fmt: skip


def write_report(config: StudyConfig, domain: LabelledDomain, table: pd.DataFrame, command: str) -> Path:
    """Write `report.html` and its figures as SVG and PNG files; returns the page's path."""
    found = Findings(config, table)
    figures = {**figures_of(found), **_galleries(config, domain)}
    return write_study_page(
        config.out,
        command,
        figures,
        title=f"Site outlines from image-level labels: {data_name(config.data)}",
        question=question(found),
        answers=answers(found),
        tables={"Networks by what they learnt from": found.table()},
        warnings=_warnings(config, domain),
        metrics={**{name: METRICS[name] for name in (DICE, "dice")}, **OWN_METRICS},
        failures=failed_cells(table, [name for name in FACTORS if name != "data"]),
        headings=HEADINGS,
        glossary=GLOSSARY,
    )


def figures_of(found: Findings) -> dict[str, Illustration]:
    """The charts that there are results for."""
    worth, networks, masks = found.worth_panels(), found.networks_series(DICE), found.masks_series()
    boundary = found.networks_series("boundary_f_4px")
    charts: dict[str, tuple[Callable[[], Figure], bool, str]] = {
        "How many outlines the maps are worth": (
            lambda: line_chart(worth, "outlined sites", "Dice of the test pictures"),
            bool(worth),
            f"Where a level line crosses the curve, the maps are worth so many outlined sites. {INTERVALS}",
        ),
        "Networks by what they learnt from": (
            lambda: dot_chart(networks, "Dice of the test pictures"),
            bool(networks),
            INTERVALS,
        ),
        "Their boundaries": (
            lambda: dot_chart(boundary, "boundary F at 4 pixels, test pictures with a site"),
            bool(boundary),
            INTERVALS,
        ),
        "Masks before any network learns from them": (
            lambda: dot_chart(masks, "Dice of the training masks"),
            bool(masks),
            f"Every map, rule for its level and completion. {INTERVALS}",
        ),
    }
    return {name: Illustration(svg(make()), caption) for name, (make, there, caption) in charts.items() if there}


def _galleries(config: StudyConfig, domain: LabelledDomain) -> dict[str, Illustration]:
    masks: list[MapTile] = []
    networks: list[MapTile] = []
    wanted = set(trained_ways(config))
    for cell in make_cells(config):
        path = config.out / "masks" / f"{name_of(cell)}.npz"
        if cell["seed"] != 0 or not path.exists() or (cell["method"] == MASKS and way_in(cell) not in wanted):
            continue
        row = network_name(cell["classifier"] if cell["method"] == MASKS else cell["network"])
        with np.load(path) as kept:
            middle = len(kept["indices"]) // 2
            index, mask = int(kept["indices"][middle]), kept["masks"][middle].astype(float)
        tile = MapTile(row, _column(cell), domain.images[index], mask, domain.labels[index] > 0)
        (masks if cell["method"] == MASKS else networks).append(tile)
    found = {}
    text = "One test picture with a site (seed 0), the expert's outline in red."
    if masks:
        found["Masks on a picture"] = Illustration(map_panel(masks), f"Masks made of maps. {text}", "labels")
    if networks:
        found["Found on a picture"] = Illustration(map_panel(networks), f"By what was learnt. {text}", "predictions")
    return found


def _column(cell: Cell) -> str:
    if cell["method"] == OUTLINES:
        many = "s" if cell["outlines"] > 1 else ""
        return f"{cell['outlines']} outline{many}" if cell["outlines"] else "all outlines"
    return CHEAP_NAMES.get(cell["method"]) or way_name(way_in(cell))


def _warnings(config: StudyConfig, domain: LabelledDomain) -> list[str]:
    said = cautions(config, domain.source)
    if all(place is None for place in domain.places):
        said.append("The pictures have no place on the ground (GeoTIFF), so no outlines for a map were written.")
    elif missing := missing_packages():
        said.append(
            f"No GeoTIFF or GeoJSON was written: {', '.join(missing)} not installed (pip install 'segjax[geo]')."
        )
    return said
