"""What a person reviews: the list of all changes, and a page: whether labels became better, and what changed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.harness.page import claims_table
from experiments.upgrade_folder.config import NOISY, FolderConfig
from experiments.upgrade_folder.held_out import HeldOut
from experiments.upgrade_folder.pictures import Folder
from experiments.upgrade_folder.repair import Repair
from experiments.upgrade_folder.training_sets import TrainingSets
from segjax.data import read_labels
from segjax.evaluation import Interval
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT
from segjax.files import read_file, spreadsheet_safe, write_file
from segjax.reports import Chart, Gallery, Look, Page, chart, look, write_page
from segjax.reports.gallery import CHANGE_LEGEND, PREDICTION_LEGEND, change_layer, prediction_layer, truth_layer
from segjax.reports.lines import BeforeAfter, before_after_chart
from segjax.reports.page import index_beside
from segjax.sweeps.plan import read_plan
from segjax.types import InputError
from segjax.upgrade.objects import Change

UNSURE = 30  # changes in the table of those to look at first
FIRST = 4  # pictures in the first screen
MOST_ROWS = 40  # held-out pictures in the chart
COLUMNS = {
    "picture": "picture",
    "object": "object",
    "change": "change",
    "confidence": "confidence",
    "changed": "changed pixels",
    "y": "row",
    "x": "column",
}
CHANGES = ("added", "removed", "moved")
STEPS = ("picture", "noisy labels", "repaired labels")
GLOSSARY = (
    "Dice compares labels with clean labels: 0 is no overlap, 1 is perfect, and a point is 0.01. The difference is "
    "the mean over held-out pictures (or groups of pictures). Its interval says how much these differ from each "
    "other, for this one network. A moved object has a new outline. Confidence is the mean probability of an object's "
    "pixels: 0.5 is a guess, 1 is certain. Row and column are the centre of an object, in pixels."
)

TRAINING_SETS = (
    "For the question which labels to train on, each fold of the pictures with clean labels was held out in turn. The "
    "other pictures trained an upgrade network, and one network each on clean labels alone, with the noisy labels as "
    "they are, and with the repaired ones, in equally many steps per epoch. A test set is the pictures of a fold. The "
    "repaired labels are used as they are written; study 2 also tries to repair in two rounds, which this command does "
    "not."
)


def write_changes(config: FolderConfig, folder: Folder) -> pd.DataFrame:
    """OUT/changes.csv, the largest change first; returns its rows (objects without any change are not among them)."""
    rows = []
    for name in folder.noisy.names:
        part = config.out / "changes" / f"{name}.json"
        if part.exists():  # not there where the picture failed
            rows += [{"picture": name, **change} for change in _changes(part)]
    table = pd.DataFrame(rows, columns=["picture", *Change._fields])
    table = table[table["change"] != "kept"].sort_values("changed", ascending=False, kind="stable")
    rounded = table.round({"confidence": 4, "outline_distance": 2, "y": 1, "x": 1})
    safe = rounded.assign(picture=rounded["picture"].map(spreadsheet_safe))
    write_file(config.out / "changes.csv", safe.to_csv(index=False))
    return table


def _changes(path: Path) -> list[dict[str, Any]]:
    """The changes of one picture. Raises InputError where another program has changed the file."""
    try:
        found = json.loads(read_file(path))
        if all(set(change) == set(Change._fields) for change in found):
            return found
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    raise InputError(
        f"{path}: is not the list of a picture's changes; bring back a copy, or repair into another folder"
    )


def write_review_page(
    config: FolderConfig, folder: Folder, repair: Repair, results: pd.DataFrame, compared: TrainingSets | None
) -> Path:
    """OUT/changes.csv and OUT/review.html from what is written so far; returns the page's path."""
    changes, held_out = write_changes(config, folder), repair.held_out()
    plan = read_plan(config.out, sets_aside=True)
    last = plan["openings"][-1]
    ranked = changes.groupby("picture")["changed"].sum().sort_values(ascending=False, kind="stable")
    looks = [_look(config, folder, changes, name) for name in ranked.index[: config.shown]]
    path = config.out / "review.html"
    page = Page(
        title=f"Repaired labels of {folder.path.name}",
        question="Does repair make these labels better, and what did it change?",
        verdict=" ".join([verdict(held_out), *([] if compared is None else [compared.verdict])]),
        notes=notes(held_out, knows_training_sets=compared is not None),
        lead=Gallery("Largest changes", summary(folder, changes), STEPS, CHANGE_LEGEND, {"": looks[:FIRST]}),
        table=claims_table([held_out.claim]).rename(columns={"test sets": "held-out pictures"}),
        table_title="Does repair make labels better?",
        cautions=[*warnings(repair, results), *_cautions(repair, plan["openings"])],
        charts=_charts(held_out),
        galleries=[
            *([Gallery("Further changes", "", STEPS, CHANGE_LEGEND, {"": looks[FIRST:]})] if looks[FIRST:] else []),
            _held_out_gallery(held_out),
        ],
        tables={
            **({} if compared is None else {"Which labels to train on": claims_table(compared.claims)}),
            "Changes to check first": _least_sure(changes),
            "Changes of each picture": picture_table(folder, changes),
            "Held-out pictures": held_out_table(held_out),
        },
        glossary=" ".join([_method(folder, repair), GLOSSARY, *([] if compared is None else [TRAINING_SETS])]),
        config=plan["config"],
        provenance={
            **{name: last[name] for name in ("command", "commit", "code", "machine")},
            "configuration fingerprint": plan["fingerprint"],
            **last["versions"],
        },
        index=index_beside(path),
    )
    write_page(path, page)
    return path


def verdict(held_out: HeldOut) -> str:
    """The answer in one sentence."""
    (before, after), decided = held_out.means, held_out.claim.decision.verdict
    change = "raised" if after > before else "lowered" if after < before else "kept"
    points = f"from {before:.3f} to {after:.3f}, by {100 * abs(after - before):.1f} points"
    found = f"repair {change} the Dice of held-out labels {points}"
    if decided == "too few":
        return f"With drawn errors, {found}."
    answers = {
        "ahead": "Repair makes labels better here",
        "behind": "Repair makes labels worse here",
        "not decided": "It is not decided whether repair makes labels better here",
    }
    return f"{answers[decided]}: with drawn errors, {found}."


def notes(held_out: HeldOut, knows_training_sets: bool) -> list[str]:
    """What the answer must not be read without; `knows_training_sets`: --folds has told which labels to train on."""
    said = ["The held-out pictures also decided when training stopped, so expect slightly less for other pictures."]
    if (count := held_out.claim.decision.n) < REPLICATES_FOR_VERDICT:
        pictures = "picture is" if count == 1 else "pictures are"
        said.append(
            f"{count} held-out {pictures} too few to decide whether repair makes labels better; "
            f"{REPLICATES_FOR_VERDICT} are needed."
        )
    if not knows_training_sets:
        said.append(
            "A network does not always learn more from better labels. --folds 5 finds out whether to train on clean, "
            "noisy or repaired labels."
        )
    return said


def summary(folder: Folder, changes: pd.DataFrame) -> str:
    """What changed in all pictures together."""
    added, removed, moved = _numbers(changes)
    same = len(folder.noisy) - changes["picture"].nunique()
    return (
        f"Objects added: {added}, removed: {removed}, with a new outline: {moved}. Label images without any change: "
        f"{same} of {len(folder.noisy)}."
    )


def _numbers(changes: pd.DataFrame) -> list[int]:
    counts = changes["change"].value_counts()
    return [int(counts.get(kind, 0)) for kind in CHANGES]


def picture_table(folder: Folder, changes: pd.DataFrame) -> pd.DataFrame:
    """A row per picture with noisy labels, the largest change first."""
    rows = []
    for name in folder.noisy.names:
        own = changes[changes["picture"] == name]
        numbers = dict(zip(CHANGES, _numbers(own), strict=True))
        lowest = "-" if own.empty else f"{own['confidence'].min():.2f}"
        rows.append(
            {"picture": name, **numbers, "changed pixels": int(own["changed"].sum()), "lowest confidence": lowest}
        )
    return pd.DataFrame(rows).sort_values("changed pixels", ascending=False, kind="stable")


def held_out_table(held_out: HeldOut) -> pd.DataFrame:
    """A row per held-out picture or group."""
    rows = [
        {
            "held out": name,
            "Dice of noisy labels": _number(before, ".3f"),
            "Dice of repaired labels": _number(after, ".3f"),
            "difference, points": _number(100 * (after - before), "+.1f"),
        }
        for name, before, after in zip(held_out.names, held_out.before, held_out.after, strict=True)
    ]
    return pd.DataFrame(rows)


def _number(value: float, form: str) -> str:
    return "-" if np.isnan(value) else f"{value:{form}}"


def _least_sure(changes: pd.DataFrame) -> pd.DataFrame:
    least_sure = changes.sort_values("confidence", kind="stable").head(UNSURE)
    table = least_sure[list(COLUMNS)].rename(columns=COLUMNS).round({"confidence": 2})
    return table.astype({"row": int, "column": int})


def _look(config: FolderConfig, folder: Folder, changes: pd.DataFrame, name: str) -> Look:
    sample = folder.noisy[folder.noisy.names.index(name)]
    before, after = sample.labels, read_labels(config.out / "labels" / f"{name}.tif")
    own = changes[changes["picture"] == name]
    return look(caption(name, own), sample.image, change_layer(before, before), change_layer(before, after))


def caption(name: str, changes: pd.DataFrame) -> str:
    """What changed in a picture, in words."""
    parts = [f"{count} {kind}" for kind, count in zip(CHANGES, _numbers(changes), strict=True) if count]
    doubt = changes.loc[changes["confidence"].idxmin()]
    return f"{name}: {', '.join(parts)}; least sure: object {doubt['object']}, confidence {doubt['confidence']:.2f}"


def _charts(held_out: HeldOut) -> dict[str, Chart]:
    if len(held_out.names) > MOST_ROWS:
        return {}
    nan = float("nan")
    rows = [
        BeforeAfter(name, Interval(before, nan, nan, 1), Interval(after, nan, nan, 1))
        for name, before, after in zip(held_out.names, held_out.before, held_out.after, strict=True)
        if np.isfinite(after - before)
    ]
    better = sum(row.after.mean > row.before.mean for row in rows)
    return {
        "held_out": chart(
            f"Repair brings {better} of {len(rows)} held-out label images nearer to the clean labels",
            "What does repair do to the labels of each held-out picture?",
            lambda narrow: before_after_chart(rows, narrow),
            held_out_table(held_out),
        )
    }


def _held_out_gallery(held_out: HeldOut) -> Gallery:
    """The held-out pictures that gain least, as usual, and most."""
    gains = held_out.after - held_out.before
    order = np.argsort(gains)[: np.isfinite(gains).sum()]  # NaN is last
    wanted = dict.fromkeys((order[0], order[len(order) // 2], order[-1]))
    looks = []
    for place in wanted:
        image, clean, noisy, repaired = held_out.examples[place]
        words = f"{held_out.names[place]}: Dice {held_out.before[place]:.2f} before, {held_out.after[place]:.2f} after"
        layers = truth_layer(clean), prediction_layer(clean, noisy), prediction_layer(clean, repaired)
        looks.append(look(words, image, *layers))
    return Gallery(
        "Held-out pictures",
        "From the one that gains least to the one that gains most, with one draw of the errors.",
        ("picture", "clean labels", "noisy labels", "repaired labels"),
        PREDICTION_LEGEND,
        {"": looks},
    )


def _method(folder: Folder, repair: Repair) -> str:
    learnt, held_out = len(repair.train_rows), len(repair.validation_rows)
    said = (
        f"The network learnt from {learnt} {folder.units} with clean labels, {held_out} more were held out. Errors "
        f"were drawn in their labels, and the network learnt to repair them ({mistakes(repair)})."
    )
    return said if repair.choice is None else f"{said} {repair.choice}"


def mistakes(repair: Repair) -> str:
    """The recipes in words."""
    if len(repair.recipes) == 1:
        return str(repair.recipes[0])
    units = {"omission of": "%", "inclusion of": "%", "bias of up to": "px", "jitter of": "px"}
    parts = []
    for words, unit in units.items():
        levels = sorted({getattr(recipe, words.split()[0]) for recipe in repair.recipes} - {0})
        shown = [f"{100 * level if unit == '%' else level:.4g} {unit}" for level in levels]
        if shown:
            parts.append(f"{words} {' or '.join(filter(None, (', '.join(shown[:-1]), shown[-1])))}")
    return f"any combination of {'; '.join(parts)}"


def warnings(repair: Repair, results: pd.DataFrame) -> list[str]:
    """What speaks against the repaired labels, or is missing."""
    before, after = repair.held_out().means
    found = []
    if after <= before:
        found.append(
            "Repair did not improve the held-out labels. Do not use the repaired labels. Give clean labels of more "
            "pictures, or name the errors that were made."
        )
    found += repair.of_weights
    failed = sorted(results.loc[results["status"] == "failed", "file"].unique())
    if failed:
        found.append(
            f"{len(failed)} of the pictures or folds failed ({', '.join(failed[:5])}). The same command tries "
            "them again."
        )
    return found


def _cautions(repair: Repair, openings: Sequence[Mapping[str, Any]]) -> list[str]:
    said = [
        f"The held-out labels had drawn errors: {mistakes(repair)}. Where the labels in {NOISY}/ are wrong in other "
        "ways, repair may help less. Look at the changes before you use the labels."
    ]
    codes = dict.fromkeys(opening["code"] for opening in openings)
    if len(codes) > 1:
        said.append(f"{len(codes)} versions of the code made these results: {', '.join(codes)}.")
    return said
