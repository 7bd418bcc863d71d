"""The study's report page: verdict, Figure 1.11, heat maps, heads compared, a gallery, all numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.few_shot.answers import answers, main_shots, question
from experiments.few_shot.config import StudyConfig
from experiments.few_shot.findings import Findings, bank_words, method_words
from experiments.few_shot.grid import ALL_LABELS, make_cells, prediction_path
from experiments.few_shot.pictures import TypedPictures
from experiments.running import cautions, write_study_page
from segjax.evaluation import METRICS, Metric
from segjax.reports import (
    Figure,
    Illustration,
    ShotsTile,
    comparison_chart,
    data_name,
    failed_cells,
    heat_chart,
    shots_chart,
    shots_gallery,
    svg,
)
from segjax.reports.words import network_name
from segjax.sweeps import Cell

GLOSSARY = (
    "Dice says how well a prediction covers the true cells: 1 is perfect, 0 is none; a Dice point is 0.01. A shot is "
    "one annotated picture that shows the type, a draw one choice of the shots by lot; half of the draws lie between "
    "the quartiles. All labels (full supervision) is a network that learnt from every training picture."
)
OWN_METRICS = {
    "dice_pooled_zero": Metric(
        "2 TP / (2 TP + FP + FN), pixels of all test pictures summed first; predicted is what scores above 0, not, as "
        "elsewhere, above the threshold of the highest Dice on the shots",
        "1",
        "higher",
        "both empty: NaN",
        1,
    ),
    "iou_pooled": Metric("TP / (TP + FP + FN), pixels of all test pictures summed first", "1", "higher", "NaN", 1),
}


def write_report(
    config: StudyConfig, pictures: TypedPictures, types: dict[int, str], table: pd.DataFrame, command: str
) -> Path:
    """Write `report.html` and its figures as SVG and PNG files; returns the page's path."""
    found = Findings(config, table, config.networks[0])
    figures = {**figures_of(found), **_gallery(config, pictures, types)}
    return write_study_page(
        config.out,
        command,
        figures,
        title=f"How few annotated pictures are enough: {data_name(config.data)}",
        question=question(found),
        answers=answers(found),
        tables=tables_of(found),
        warnings=_warnings(config, pictures),
        metrics={**METRICS, **OWN_METRICS, "f1": _f1_of(config)},
        glossary=GLOSSARY,
        failures=failed_cells(table, ["network", "seed", "type", "method", "bank", "shots"]),
    )


def _f1_of(config: StudyConfig) -> Metric:
    """F1 of objects as this study parts them, in the first draws."""
    parted = {"components": "its 8-connected components", "watershed": "parted along a watershed of its distance map"}
    formula = METRICS["f1"].formula.replace("its 8-connected components", parted[config.grouping])
    return METRICS["f1"]._replace(formula=f"{formula}; of the first {config.few_draws} draws")


def figures_of(found: Findings) -> dict[str, Illustration]:
    """The charts that there are results for."""
    draws = f"over draws of the shots ({found.config.draws} for each of {found.config.seeds} seeds)"
    paired = (
        f"Means over types and draws; bars are 95 % intervals (Student's t) {draws}, which share extractors and test "
        "pictures within a seed. Differences are of the same draws."
    )
    charts: dict[str, tuple[Callable[[], Figure], bool, str]] = {
        "Dice against shots": (
            lambda: shots_chart({name: (found.shot_bands(name), found.reference(name)) for name in found.types}),
            bool(found.types),
            f"Median (line) and quartiles (band) {draws}; dashed, the network with all labels. Fewer features are "
            f"chosen by {found.config.choices[-1]}.",
        ),
        "Shots and features": (
            lambda: heat_chart({name: found.heat(name) for name in found.config.choices}, found.counts, found.shots),
            len(found.counts) > 1,
            f"Median {draws} of the mean Dice of all types, by how the features were chosen.",
        ),
    }
    for shots in found.config.compare_shots:
        heads = [row._replace(name=_label(found, row.name, shots)) for row in found.compared(shots)]
        own = method_words(found.config.head)
        charts[f"Heads and rivals with {shots} shots"] = (
            lambda rows=heads, own=own: comparison_chart(rows, own),
            len(heads) > 1,
            f"Ways to learn a new type from {shots} shots. {paired} Networks trained on the shots: "
            f"{found.config.few_draws} draws, cut at score 0, and so is the head in its difference to them.",
        )
    banks = [row._replace(name=bank_words(row.name)) for row in found.banks(main_shots(found))]
    charts["Extractors"] = (
        lambda: comparison_chart(banks, "the first"),
        len(banks) > 1,
        f"Extractors that had the new type as background have seen it. {paired}",
    )
    return {name: Illustration(svg(make()), caption) for name, (make, there, caption) in charts.items() if there}


def _label(found: Findings, name: str, shots: int) -> str:
    known, all_types = found.types_with(name, shots), len(found.types)
    return method_words(name) + ("" if known == all_types else f", {known} of {all_types} types")


def tables_of(found: Findings) -> dict[str, pd.DataFrame]:
    """Per type and shots, and every method."""
    by_type = found.type_table()
    rounded = by_type.round(3).astype(object).where(by_type.notna(), None)
    return {
        f"{network_name(found.network)} extractors, {method_words(found.config.head)}, by type": rounded,
        "Heads and rivals, Dice over types": methods_table(found).round(3),
    }


def methods_table(found: Findings) -> pd.DataFrame:
    """One line per head or rival and number of shots."""
    lines = []
    for shots in found.config.compare_shots:
        for name, mean, behind in found.compared(shots):
            ahead = behind or (float("nan"),) * 5
            numbers = found.types_with(name, shots), *mean, *ahead[:3], ahead[4]
            lines.append((shots, method_words(name), *numbers))
    columns = ["shots", "method", "types", "dice", "low", "high", "draws"]
    columns += ["head_ahead", "ahead_low", "ahead_high", "wilcoxon_p"]
    return pd.DataFrame(lines, columns=columns)


def _gallery(config: StudyConfig, pictures: TypedPictures, types: dict[int, str]) -> dict[str, Illustration]:
    counts = {(network, bank): 0 for network in config.networks for bank in config.banks}
    cells = [cell for cell in make_cells(config, types, counts) if cell["seed"] == 0]
    cells = [cell for cell in cells if cell["network"] == config.networks[0]]
    tiles = [tile for new, name in types.items() if (tile := _tile(config, pictures, cells, new, name)) is not None]
    if not tiles:
        return {}
    caption = "One draw of the first seed: an annotated picture, and what is made of a test picture from the shots."
    return {"Segmentations": Illustration(shots_gallery(tiles), caption, "predictions")}


def _tile(config: StudyConfig, pictures: TypedPictures, cells: list[Cell], new: int, name: str) -> ShotsTile | None:
    shots = min(config.compare_shots, key=lambda count: abs(count - 5))
    wanted = {f"{shots} shots": (config.head, config.banks[0], shots), "all labels": (ALL_LABELS, "none", 0)}
    kept = {}
    for title, (method, bank, count) in wanted.items():
        for cell in cells:
            if (cell["type"], cell["method"], cell["bank"], cell["shots"]) == (name, method, bank, count):
                path = prediction_path(config.out, cell)
                if path.exists():
                    kept[title] = np.load(path)
    if len(kept) < 2:
        return None
    few = kept[f"{shots} shots"]
    index, shot = int(few["indices"][0]), int(few["shots"][0])
    masks = {title: arrays["masks"][0] for title, arrays in kept.items()}
    annotation, truth = pictures.objects(shot, new), pictures.objects(index, new)
    return ShotsTile(name, pictures.images[shot], annotation, pictures.images[index], truth, masks)


def _warnings(config: StudyConfig, pictures: TypedPictures) -> list[str]:
    found = cautions(config, pictures.source)
    if len(config.networks) > 1:
        found.append(f"Sentences and figures are about {network_name(config.networks[0])}; results.csv has all.")
    return found
