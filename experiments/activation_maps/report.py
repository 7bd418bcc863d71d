"""The study's report page: verdict, charts of maps, cues and training, the panel of maps, all numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.activation_maps.answers import answers, question
from experiments.activation_maps.config import StudyConfig
from experiments.activation_maps.findings import Findings
from experiments.activation_maps.grid import CLASSIFIER, FACTORS, make_cells
from experiments.classifiers import USABLE_AUC, LabelledDomain
from experiments.kept_trainings import name_of
from experiments.harness.map_options import MAP_TITLES
from experiments.running import cautions, write_study_page
from segjax.evaluation import Metric
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

HEADINGS = {
    "curves": "Maps, cues and training",
    "labels": "Maps on pictures",
    "predictions": "What the networks predicted",
}
GLOSSARY = (
    "A classifier is shown pictures and told only whether they show the object; an activation map says where in the "
    "picture what spoke for it stands. IoU, from 0 to 1, is the area that a mask and the expert's outline share, over "
    "what either covers; boundary F, from 0 to 1, says how much of either outline lies near the other. "
    "The area under the curve (AUC) is the chance that a picture with the object is ranked above one without: 0.5 is "
    "guessing. A seed is one complete repetition with another start and other held-out pictures. A 95 % interval says "
    "how far the mean may be off because only a few repetitions were made."
)
INTERVALS = "Means over seeds; bars are 95 % intervals (Student's t), from 3 seeds on."
_OUTLINE = "of the mask above the map's one threshold, chosen on a few outlined validation pictures"
METRICS = {
    "auc": Metric("area under the receiver operating characteristic of the test pictures", "1", "higher", "NaN", 1),
    "pxap": Metric(
        "average precision of map values as a detector of object pixels, pictures with and without object together",
        "1",
        "higher",
        "NaN",
        1,
    ),
    "iou": Metric(f"TP / (TP + FP + FN) {_OUTLINE}; maps scaled by their maxima before where that is better there", "1",
                  "higher", "left out", 1),
    "oracle_iou": Metric("the same at the best threshold of each picture, which only its outline tells", "1", "higher",
                         "left out", 1),
    "boundary_f_4px": Metric(f"2 P R / (P + R), P and R the shares of either outline within 4 pixels of the other, "
                             f"{_OUTLINE}", "1", "higher", "left out; one empty: 0", 1),
    "hd95_px": Metric("larger of the two 95th percentiles of the distances between outlines", "pixel", "lower",
                      "left out; one empty: the picture's diagonal", 1),
    "free_iou": Metric("IoU at each map's contour level, which needs no outline", "1", "higher", "left out", 2),
    "lit_without": Metric("share of pictures without the object in which anything is above the threshold", "1", "lower",
                          "NaN", 1),
    "pointing_game": Metric("share of pictures whose highest value stands on the object", "1", "higher", "left out", 1),
    "energy": Metric("share of the positive values that stands on the object", "1", "higher", "left out", 1),
    "road": Metric("mean over shares of pixels of (score without the lowest - score without the highest) / 2; removed "
                   "pixels are filled in from their neighbours", "1", "higher", "-", 1),
    "insertion": Metric("mean score while pixels are put into a blurred picture, highest first", "1", "higher", "-", 1),
    "deletion": Metric("mean score while pixels get the picture's mean, highest first", "1", "lower", "-", 1),
    "average_drop": Metric("max(whole - masked, 0) / whole; masked: picture times map", "1", "lower", "-", 1),
    "sanity": Metric("rank correlation of maps before and after all weights are shuffled", "1", "lower", "-", 1),
    "brightness_correlation": Metric("correlation of the map with the picture's brightness", "1", "lower", "-", 1),
    "cue_lost_without_inside": Metric(
        "(log odds of the picture - without the region) / (log odds of the picture - mean of pictures without object), "
        "sums over pictures", "1", "higher", "NaN where the classifier does not tell them apart", 1),
}  # fmt: skip


def write_report(config: StudyConfig, domain: LabelledDomain, table: pd.DataFrame, command: str) -> Path:
    """Write `report.html` and its figures as SVG and PNG files; returns the page's path."""
    found = Findings(config, table)
    figures = {**figures_of(found), **_panel(config, domain, found)}
    return write_study_page(
        config.out,
        command,
        figures,
        title=f"What classifiers look at: {data_name(config.data)}",
        question=question(found),
        answers=answers(found),
        tables=tables_of(found),
        warnings=_warnings(config, domain, found),
        metrics=METRICS,
        failures=failed_runs(table),
        headings=HEADINGS,
        glossary=GLOSSARY,
    )


def figures_of(found: Findings) -> dict[str, Illustration]:
    """The charts that there are results for."""
    intervals = (
        "Means over seeds; bars are 95 % intervals (Student's t), from 3 seeds on. Pale: classifiers under AUC 0.9."
    )
    faded = [network_name(name) for name in found.meaningless]
    discs = "Grey lines: what discs on the true centre, and perfect maps of a layer's stride, reach."
    charts: dict[str, tuple[Callable[[], Figure], bool, str]] = {}
    for heading, metric, label in (
        ("Outlines by overlap", "iou", "IoU of the test pictures"),
        ("Outlines by boundary", "boundary_f_4px", "boundary F at 4 pixels"),
        ("Ranking of pixels", "pxap", "PxAP, one scale for all pictures"),
        ("Faithfulness", "road", "ROAD: above 0 the map is faithful"),
    ):
        series, references = found.series(metric), found.references(metric)
        charts[heading] = (
            lambda series=series, references=references, label=label: dot_chart(series, label, references, faded),
            bool(series),
            f"{intervals} {discs if any(value.n for value in references.values()) else ''}".strip(),
        )
    lost, left = found.cue_series("cue_lost_without"), found.cue_series("cue_left_with")
    share = "share of what speaks for the object"
    charts["What the decision rests on"] = (
        lambda: dot_chart(lost, f"{share} that is lost without", None, faded),
        bool(lost),
        f"A part of the picture is filled in from its surroundings. {intervals}",
    )
    charts["What is enough"] = (
        lambda: dot_chart(left, f"{share} that is left with nothing else", None, faded),
        bool(left),
        f"Everything but a part of the picture is filled in. {intervals}",
    )
    panels = found.training_panels()
    charts["What is learnt first"] = (
        lambda: line_chart(panels, "epochs", "value"),
        bool(panels),
        f"Classifiers after some epochs of the same training. {intervals}",
    )
    return {name: Illustration(svg(make()), caption) for name, (make, there, caption) in charts.items() if there}


def tables_of(found: Findings) -> dict[str, pd.DataFrame]:
    """Classifiers, maps x classifiers, and maps by the size of the object."""
    rows = []
    for name in found.config.classifiers:
        values = {m: found.interval(name, CLASSIFIER, m) for m in ("auc", "accuracy", "balanced_accuracy", "blur_px")}
        if values["auc"].n:
            shown = {metric: f"{value.mean:.3f}" for metric, value in values.items()}
            said = "meaningless" if name in found.meaningless else "usable"
            rows.append({"network": network_name(name), **shown, "seeds": values["auc"].n, "maps": said})
    named = {
        "Classifiers on held-out pictures": pd.DataFrame(rows),
        "All maps of all classifiers": found.table(),
        "By the area of the object": found.by_size(),
    }
    return {name: frame for name, frame in named.items() if len(frame)}


def failed_runs(table: pd.DataFrame) -> pd.DataFrame:
    """One line per classifier, whatever is looked at, and per cell that stopped with an error."""
    shown = table[(table["map"] == CLASSIFIER) | (table["status"] == "failed")]
    return failed_cells(shown, [name for name in FACTORS if name != "data"])


def _panel(config: StudyConfig, domain: LabelledDomain, found: Findings) -> dict[str, Illustration]:
    """The maps of the first seed on the middle one of the pictures that were kept."""
    tiles = []
    for cell in make_cells(config, True):
        path = config.out / "maps" / f"{name_of(cell)}.npz"
        if cell["seed"] != 0 or cell["epochs"] != 0 or not path.exists():
            continue
        with np.load(path) as kept:
            middle = len(kept["indices"]) // 2
            index, one = int(kept["indices"][middle]), kept["maps"][middle]
        name = cell["network"]
        auc = found.values(name, CLASSIFIER, "auc").get(0, float("nan"))
        row = f"{network_name(name)} (AUC {auc:.2f})"
        outline = domain.labels[index] > 0
        tiles.append(MapTile(row, cell["map"], domain.images[index], one, outline, bool(auc < USABLE_AUC)))
    if not tiles:
        return {}
    caption = (
        "One test picture: networks in rows, maps in columns, each from 0 to its own maximum, the expert's outline in "
        "red (seed 0)."
    )
    return {"Panel of maps": Illustration(map_panel(tiles, MAP_TITLES), caption, "labels")}


def _warnings(config: StudyConfig, domain: LabelledDomain, found: Findings) -> list[str]:
    said = cautions(config, domain.source)
    if not domain.with_object(range(len(domain.presence))):
        said.append("There are no outlines, so maps are judged by what they do to the score only.")
    for name in found.meaningless:
        said.append(f"{network_name(name)} is under an AUC of {USABLE_AUC:g}: what is said of its maps means nothing.")
    return said
