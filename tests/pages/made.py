"""Pages of made-up content, written by the library's own functions; among them one that has everything."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from segjax.evaluation import Interval
from segjax.evaluation.picture import METRICS
from segjax.reports import Chart, Gallery, Line, Page, Panel, chart, dot_chart, line_chart, look, write_page
from segjax.reports.gallery import (
    MAP_LEGEND,
    PREDICTION_LEGEND,
    map_layer,
    outline_layer,
    outline_legend,
    prediction_look,
)
from segjax.reports.index import write_index
from segjax.reports.lines import BeforeAfter, before_after_chart
from segjax.reports.page import write_card, write_status
from segjax.reports.sizes import size_chart

LONG = "outlines drawn by a person who had never seen such cells, and repaired by a network afterwards"
DECISIONS = pd.DataFrame(
    {
        "compared": ["MSD", "U-Net", "SegNet", LONG],
        "against": ["U-Net", "SegNet", "MSD", "clean labels"],
        "difference": ["+9.5", "-10.2", "+0.7", "-"],
        "95 % interval": ["+8.1 to +10.9", "-12.0 to -8.4", "-0.3 to +1.7", "-"],
        "test sets": [5, 5, 10, 1],
        "verdict": ["ahead", "behind", "not decided", "too few"],
    }
)
PROVENANCE = {"command": f"python -m experiments.annotation_errors --data 'folder:{'deep/' * 20}'", "digest": "0f" * 32}
CONFIG = {"data": "microscope:hl60", "spec": "and".join(["size=half"] * 30), "levels": [0.1, 0.3]}
STEPS = ("picture", "ground truth", "prediction")
TIP = "MSD, 30 %: 0.912"


def value(mean: float) -> Interval:
    return Interval(mean, mean - 0.02, mean + 0.02, 5)


def lines(narrow: bool):
    names = ("U-Net", "MSD", "SegNet")
    shown = [
        Line(name, (5, 10, 40), [value(0.6 + 0.1 * i + 0.05 * k) for k in range(3)]) for i, name in enumerate(names)
    ]
    return line_chart({"clean pictures of HL60 cells": shown, "noisy ones": shown}, "pictures", "Dice", narrow)


def dots(narrow: bool):
    rows = {"Contour-CAM (ours)": value(0.7), LONG: value(0.5), "RISE": value(0.2)}
    both, alarms = {"VGG16": rows, "MSD": rows}, {"MSD": rows}
    panels = [
        Panel("IoU with the ground truth", both, {"disc": value(0.65)}),
        Panel("False alarms, %", alarms, {}, True),
    ]
    return dot_chart(panels, narrow=narrow)


def before_after(narrow: bool):
    return before_after_chart([BeforeAfter(name, value(0.5), value(0.8)) for name in ("omission", LONG)], narrow)


def sizes() -> Chart:
    diameters = np.linspace(3, 30, 40)
    table = pd.DataFrame({"diameter, px": diameters})
    title, question = "Half of the objects are wider than 16.5 px", "How large are the objects?"
    return chart(title, question, lambda narrow: size_chart(diameters, 5.0, 40.0, narrow), table, "Two are small.")


def discs() -> tuple[np.ndarray, np.ndarray]:
    """A picture of two discs, and their ids."""
    y, x = np.indices((48, 64))
    labels = np.where((y - 20) ** 2 + (x - 18) ** 2 < 100, 1, np.where((y - 26) ** 2 + (x - 46) ** 2 < 140, 2, 0))
    noise = np.random.default_rng(1).random((48, 64, 1)) * 0.2
    return (noise + 0.6 * (labels > 0)[..., None]).astype(np.float32), labels


def galleries() -> list[Gallery]:
    image, labels = discs()
    shifted = np.roll(labels, 4, axis=1)
    looks = [prediction_look(f"picture {letter}", image, labels, shifted) for letter in "abc"]
    heat = np.roll(image[..., 0], 3, axis=0).astype(float)
    maps = [look(name, image, map_layer(heat, labels, faded)) for name, faded in (("CAM", False), ("RISE", True))]
    return [
        Gallery(
            "Worst, median and best", "Of 12 test pictures.", STEPS, PREDICTION_LEGEND, {"U-Net": looks, "MSD": looks}
        ),
        Gallery("Maps", "Where the networks look.", ("picture", "map"), MAP_LEGEND, {"": maps}),
    ]


def full() -> Page:
    return Page(
        title="How wrong may labels be?",
        question="How much Dice does a network lose if 30 % of the objects are omitted from its training labels?",
        verdict="MSD loses 4 points where U-Net loses 31.",
        notes=["2 of 4 differences are not decided: a verdict needs 5 test sets, and there are 2."],
        lead=chart(
            "MSD loses least", "Dice against clean pictures", lines, pd.DataFrame({"Dice": [0.9, None]}), "Bars: 95 %."
        ),
        table=DECISIONS,
        cautions=["The pictures are simulated.", f"The code had uncommitted changes in {'deep/' * 30}file.py."],
        charts={
            "maps": chart(
                "Contour-CAM finds most", "IoU of maps", dots, pd.DataFrame({"IoU": [0.7, 0.5]}), "Dots: means."
            ),
            "pays": chart("Repair pays", "Dice of labels before and after", before_after, DECISIONS),
        },
        galleries=galleries(),
        tables={
            "dice": pd.DataFrame(
                {"network": ["U-Net"] * 3, **{f"mean of level {i}": [f"{0.5 + i / 100:.2f}"] * 3 for i in range(14)}}
            ),
            "Decisions by level": DECISIONS,
        },
        metrics=METRICS,
        glossary="A trial is one training with one seed.",
        failures=pd.DataFrame({"trial": ["U-Net, seed 1"], "what happened": [f"predicted background only; {LONG}"]}),
        config=CONFIG,
        provenance=PROVENANCE,
    )


def card(path: Path) -> Path:
    image, labels = discs()
    classes = np.array([1, 2])
    one = look("a: 2 objects, 64 x 48 px", image, outline_layer(labels, classes))
    write_card(
        path,
        title="Data card: cells",
        verdict="These 3 pictures can be used.",
        is_usable=True,
        findings={
            "Problems": pd.DataFrame({"file": [f"{'deep/' * 20}a.png"], "what": ["is empty"], "do": ["copy it anew"]})
        },
        facts=[("pictures read", "3"), ("folder", "/data/" + "deep/" * 30)],
        sizes=sizes(),
        tables={"Classes": pd.DataFrame({"class": ["round"], "objects": [9]})},
        gallery=Gallery(
            "Gallery", "Some pictures.", STEPS[:2], outline_legend({1: "round", 2: "long"}, False), {"": [one]}
        ),
        uses=[
            ("few_shot", "", "its objects have no types"),
            ("annotation_errors", f"python -m x --data {'d/' * 60}", ""),
        ],
        rules={"Sizes": "A disc of the same area."},
        provenance=PROVENANCE,
    )
    return path


def status(path: Path) -> Path:
    failures = pd.DataFrame(
        {"trial": ["unet seed 1"], "reason": [f"OSError: {'deep/' * 30}"], "traceback": ["failures/1.txt"]}
    )
    said = "7 of 12 trials done, 1 failed; 1 process works, about 3 min left"
    shown = {"title": "annotation_errors", "sentence": said, "tables": {"Failed, the newest first": failures}}
    write_status(path, done=7, failed=1, total=12, seconds=3600, **shown)
    return path


def index(folder: Path) -> Path:
    for name in ("study", "cells"):
        (folder / name).mkdir()
    page(folder / "study" / "report.html", replace(full(), index="../index.html"))
    card(folder / "cells" / "card.html")
    write_index(folder)
    return folder / "index.html"


def page(path: Path, content: Page) -> Path:
    write_page(path, content)
    return path


PAGES: Mapping[str, Callable[[Path], Path]] = {
    "full": lambda folder: page(folder / "report.html", full()),
    "pictures first": lambda folder: page(
        folder / "report.html", Page("Found", "What is there?", "Two discs.", lead=galleries()[0], table=DECISIONS)
    ),
    "bare": lambda folder: page(folder / "report.html", Page("Nothing yet", "What is there?", "No trial has ended.")),
    "card": lambda folder: card(folder / "card.html"),
    "index": index,
    "status": lambda folder: status(folder / "status.html"),
}
"""How each page is written into a folder of its own, by its name."""
