"""The page: how many objects are in which picture, and how well held-out shots were segmented."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.segment_new_type.config import PAGE, TABLE, NewTypeOptions
from experiments.segment_new_type.measures import (
    Measured,
    amount,
    is_checked,
    is_poor,
    summary,
    why_unchecked,
)
from experiments.segment_new_type.pictures import read_query
from experiments.segment_new_type.segment import Segmented
from segjax.data import read_labels
from segjax.evaluation import Interval
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.fewshot.heads import GIVE_LOG_ODDS, HEADS
from segjax.fewshot.segment import Shot
from segjax.files import spreadsheet_safe, write_file
from segjax.reports import Chart, Gallery, Look, Page, Panel, chart, dot_chart, look, write_page
from segjax.reports.gallery import PREDICTION_LEGEND, outline_layer, outline_legend, prediction_look
from segjax.reports.page import index_beside
from segjax.reports.words import joined

METRICS = {"dice": "Dice", "f1": "object F1"}
UNMEASURED = "not measured"
MOST_ROWS = 40  # shots in the chart
GLOSSARY = (
    "Each held-out shot was segmented by a type that learnt from the other shots. These are fewer than the final type "
    "learnt from, so the values are more often too low than too high. Dice compares found pixels with annotated "
    "pixels: 0 is no overlap, 1 is perfect. Object F1 compares objects. A found object counts where its intersection "
    "over union with an annotated object is above 0.5. An object's diameter is the diameter of a disc of the same "
    "area. Confidence is the mean probability of the objects' pixels, counted from the threshold: 0.5 is a guess, 1 "
    "is certain. It says how clear a decision was, not whether it is right. Only the heads "
    f"{joined(name for name, head in HEADS.items() if head in GIVE_LOG_ODDS)} give probabilities. Brightness is the "
    "mean and contrast the standard deviation of a picture's values, from 0 to 1."
)


def write_report(options: NewTypeOptions, segmented: Segmented, origin: Mapping[str, Any]) -> Path:
    """Write OUT/segmented.html and OUT/pictures.csv; returns the page's path.

    Args:
        origin: how the command was started, as `experiments.harness.provenance.opening` says it.
    """
    learnt, pictures = segmented.learnt, segmented.pictures
    numbers = number_table(pictures)
    safe = numbers.assign(picture=numbers["picture"].map(spreadsheet_safe))
    write_file(options.out / TABLE, safe.to_csv(index=False))
    path = options.out / PAGE
    page = Page(
        title=f"Objects in {options.query.resolve().name}",
        question="How many objects of the new type are in each picture, and how right are they?",
        verdict=verdict(segmented),
        notes=notes(segmented),
        lead=_gallery(segmented),
        table=picture_table(pictures, learnt.shots),
        table_title="Pictures, those to check first at the top",
        cautions=segmented.cautions,
        charts=_charts(learnt.shots),
        galleries=[_held_out_gallery(segmented)] if segmented.examples else [],
        tables={
            "Held-out shots together": held_out_table(learnt.shots),
            "Each shot": shot_table(learnt.shots),
            "Each picture": numbers,
        },
        glossary=GLOSSARY,
        config=json.loads(json.dumps(dataclasses.asdict(options), default=str)),
        provenance={
            **{name: origin[name] for name in ("command", "commit", "code", "machine")},
            "features (digest)": learnt.bank_digest,
            **origin["versions"],
        },
        index=index_beside(path),
    )
    write_page(path, page)
    return path


def verdict(segmented: Segmented) -> str:
    """The answer in one sentence."""
    shots, count = segmented.learnt.shots, sum(one.objects for one in segmented.pictures)
    was = "was" if count == 1 else "were"
    found = f"{amount(count, 'object')} {was} found in {amount(len(segmented.pictures), 'picture')}"
    if not is_checked(shots):
        return f"{found}; how right they are was not measured, because {why_unchecked(shots)}."
    dice, f1 = (summary(shots, metric) for metric in METRICS)
    values = f"Dice was {dice.mean:.3f} (between {dice.lowest:.3f} and {dice.highest:.3f}) and object F1 {f1.mean:.3f}"
    if is_poor(shots):
        return f"{found}, but do not rely on them yet: on {len(shots)} held-out shots, {values}."
    return f"{found}; on {len(shots)} held-out shots, {values}."


def notes(segmented: Segmented) -> list[str]:
    """What the answer must not be read without."""
    said, shots = [], segmented.learnt.shots
    folds = len({shot.fold for shot in shots if shot.fold is not None})
    if 0 < folds < REPLICATES_FOR_VERDICT:
        said.append(f"{folds} held-out sets are too few for an interval; {REPLICATES_FOR_VERDICT} are needed.")
    unlike, total = sum(bool(one.differences) for one in segmented.pictures), len(segmented.pictures)
    if unlike:
        differ = "differs" if unlike == 1 else "differ"
        said.append(
            f"{unlike} of {amount(total, 'picture')} {differ} from every shot; held-out values say little there."
        )
    return said


def picture_table(pictures: Sequence[Measured], shots: Sequence[Shot]) -> pd.DataFrame:
    """A row per picture: those that differ most from the shots first, then the least sure ones."""
    ordered = sorted(pictures, key=lambda one: (-len(one.differences), one.confidence or 0.0))
    rows = [
        {
            "picture": one.name,
            "objects": one.objects,
            "median diameter": "-" if one.diameter is None else f"{one.diameter:.1f} px",
            "area covered": f"{100 * one.covered:.1f} %",
            "confidence": "-" if one.confidence is None else f"{one.confidence:.3f}",
            "compared with the shots": ", ".join(one.differences) or ("alike" if shots else UNMEASURED),
        }
        for one in ordered
    ]
    return pd.DataFrame(rows)


def number_table(pictures: Sequence[Measured]) -> pd.DataFrame:
    """The same for other programs: shares are from 0 to 1, diameters in pixels."""
    table = pd.DataFrame([one._asdict() for one in pictures]).round(4)
    table["differences"] = table["differences"].map(", ".join)
    return table.rename(columns={"name": "picture", "diameter": "median_diameter", "covered": "share_covered"})


def held_out_table(shots: Sequence[Shot]) -> pd.DataFrame:
    """A row per metric: mean, range and interval of the held-out shots."""
    if not is_checked(shots):
        return pd.DataFrame({"measure": METRICS.values(), "mean": UNMEASURED})
    rows = []
    for metric, name in METRICS.items():
        found = summary(shots, metric)
        bounds = found.interval
        known = f"{bounds.low:.3f} to {bounds.high:.3f}" if bounds.low == bounds.low else "-"
        numbers = {word: f"{getattr(found, word):.3f}" for word in ("mean", "lowest", "highest")}
        row = {"measure": name, **numbers, "95 % interval": known, "held-out sets": f"{bounds.n}"}
        rows.append(row)
    return pd.DataFrame(rows)


def shot_table(shots: Sequence[Shot]) -> pd.DataFrame:
    """A row per shot."""
    rows = [
        {
            "shot": shot.name,
            "objects": shot.objects,
            "median diameter": f"{shot.diameter:.1f} px",
            "brightness": f"{shot.brightness:.3f}",
            "contrast": f"{shot.contrast:.3f}",
            **{
                f"{name}, held out": UNMEASURED if (value := getattr(shot, key)) is None else f"{value:.3f}"
                for key, name in {**METRICS, "confidence": "confidence"}.items()
            },
        }
        for shot in shots
    ]
    return pd.DataFrame(rows)


def _charts(shots: Sequence[Shot]) -> dict[str, Chart]:
    """Dice and object F1 of each held-out shot, where there are any and not too many to be read."""
    if not is_checked(shots) or len(shots) > MOST_ROWS:
        return {}
    nan = float("nan")
    series = {
        name: {shot.name: Interval(getattr(shot, metric), nan, nan, 1) for shot in shots}
        for metric, name in METRICS.items()
    }
    found = summary(shots, "dice")
    return {
        "held_out": chart(
            f"Dice of held-out shots is between {found.lowest:.3f} and {found.highest:.3f}",
            "How well is each shot segmented after learning from the others?",
            lambda narrow: dot_chart([Panel("1 is perfect", series)], narrow=narrow),
            shot_table(shots),
        )
    }


def _gallery(segmented: Segmented) -> Gallery:
    """The pictures with most, median and fewest objects, the least sure one, and the one least like the shots."""
    pictures = segmented.pictures
    by_number = sorted(range(len(pictures)), key=lambda place: -pictures[place].objects)
    wanted = {
        "most objects": by_number[0],
        "median number of objects": by_number[len(by_number) // 2],
        "fewest objects": by_number[-1],
    }
    sure = [place for place in by_number if pictures[place].confidence is not None]
    if sure:
        wanted["lowest confidence"] = min(sure, key=lambda place: pictures[place].confidence or 0.0)
    strange = max(by_number, key=lambda place: len(pictures[place].differences))
    if pictures[strange].differences:
        wanted["least like the shots"] = strange
    why: dict[int, list[str]] = {}
    for reason, place in wanted.items():
        why.setdefault(place, []).append(reason)
    looks = [_look(segmented, place, reasons) for place, reasons in why.items()]
    return Gallery(
        "Pictures and their objects",
        "Move the slider to compare the picture with the objects that were found in it.",
        ("picture", "objects"),
        outline_legend({1: "outline of an object that was found"}, False),
        {"": looks},
    )


def _look(segmented: Segmented, place: int, reasons: Sequence[str]) -> Look:
    one = segmented.pictures[place]
    image = read_query(segmented.paths[place], segmented.learnt.reading)
    labels = read_labels(segmented.labels[place])
    layer = outline_layer(labels, np.ones(int(labels.max(initial=0)), np.int32))
    unlike = f" ({', '.join(one.differences)})" if one.differences else ""
    return look(f"{one.name}: {', '.join(reasons)}{unlike}; {amount(one.objects, 'object')}", image, layer)


def _held_out_gallery(segmented: Segmented) -> Gallery:
    """The worst, the median and the best held-out shot."""
    ordered = sorted(segmented.examples, key=lambda one: one.shot.dice or 0.0)
    wanted = {"worst": ordered[0], "median": ordered[len(ordered) // 2], "best": ordered[-1]}
    if len(ordered) == 2:
        del wanted["median"]
    looks = [
        prediction_look(f"{one.shot.name}, the {name}", one.image, one.truth, one.found) for name, one in wanted.items()
    ]
    return Gallery(
        "Held-out shots",
        "Each was segmented by a type that was learnt from the other shots.",
        ("picture", "annotation", "found"),
        PREDICTION_LEGEND,
        {"": looks},
    )
