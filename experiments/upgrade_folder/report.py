"""What a person reviews: the list of all changes, and a page with the pictures that changed most."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.upgrade_folder.config import NOISY, FolderConfig
from experiments.upgrade_folder.pictures import Folder
from experiments.upgrade_folder.repair import NETWORK, Repair
from segjax.data import read_labels
from segjax.files import read_file, spreadsheet_safe, write_file
from segjax.reports import change_overlay, write_review
from segjax.sweeps import read_plan
from segjax.types import InputError
from segjax.upgrade import Change

UNSURE = 30  # changes in the table of those to look at first
COLUMNS = {
    "picture": "picture",
    "object": "object",
    "change": "change",
    "confidence": "confidence",
    "changed": "changed pixels",
    "y": "row",
    "x": "column",
}


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


def write_review_page(config: FolderConfig, folder: Folder, repair: Repair, results: pd.DataFrame) -> Path:
    """OUT/changes.csv and OUT/review.html from what is written so far; returns the page's path."""
    changes = write_changes(config, folder)
    plan = read_plan(config.out, sets_aside=True)
    last = plan["openings"][-1]
    ranked = changes.groupby("picture")["changed"].sum().sort_values(ascending=False, kind="stable")
    shown: list[tuple[str, bytes, str]] = []
    legend: list[tuple[str, str]] = []
    for name in ranked.index[: config.shown]:
        index = folder.noisy.names.index(name)
        sample, after = folder.noisy[index], read_labels(config.out / "labels" / f"{name}.tif")
        png, legend = change_overlay(sample.image, sample.labels, after)
        shown.append((name, png, caption(changes[changes["picture"] == name], int(ranked[name]))))
    least_sure = changes.sort_values("confidence", kind="stable").head(UNSURE)
    table = least_sure[list(COLUMNS)].rename(columns=COLUMNS).round({"confidence": 2})
    table = table.astype({"row": int, "column": int})
    page = config.out / "review.html"
    write_review(
        page,
        title=f"Repaired annotations of {folder.path.name}",
        answers=_answers(config, folder, repair, results, changes),
        legend=legend,
        pictures=shown,
        unsure=table,
        config=plan["config"],
        provenance={
            **{name: last[name] for name in ("command", "commit", "code", "machine")},
            "configuration fingerprint": plan["fingerprint"],
            **last["versions"],
        },
        warnings=warnings(results),
    )
    return page


def caption(changes: pd.DataFrame, pixels: int) -> str:
    """What changed in a picture, in words."""
    counts = changes["change"].value_counts()
    parts = [f"{counts[kind]} {kind}" for kind in ("added", "removed", "moved") if kind in counts]
    sure = changes.loc[changes["confidence"].idxmin()]
    doubt = f"least sure: object {sure['object']} ({sure['change']}, confidence {sure['confidence']:.2f})"
    return f"Objects: {', '.join(parts)}; {pixels} pixels changed; {doubt}."


def label_dice(results: pd.DataFrame) -> tuple[float, float]:
    """Dice of noisy labels drawn for the held-out pictures, before and after upgrading."""
    rows = results[results["file"] == NETWORK.file].set_index("metric")["value"].astype(float)
    return rows["dice_before"], rows["dice_after"]


def _answers(
    config: FolderConfig, folder: Folder, repair: Repair, results: pd.DataFrame, changes: pd.DataFrame
) -> list[str]:
    """The page's sentences."""
    before, after = label_dice(results)
    held_out, learnt = len(repair.validation_rows), len(repair.train_rows)
    counts = changes["change"].value_counts()
    numbers = [int(counts.get(kind, 0)) for kind in ("added", "removed", "moved")]
    missing = int(np.isin(folder.noisy.names, sorted(changes["picture"].unique()), invert=True).sum())
    return [
        f"The network learnt from {learnt} {folder.units} with clean labels. {held_out} more decided when to stop.",
        f"Errors learnt: {mistakes(repair)}.",
        f"Test: with such errors drawn, the labels of the {held_out} held out have a Dice of {before:.3f} before and "
        f"{after:.3f} after repair (1 is perfect). They decided when to stop, so expect slightly less elsewhere.",
        f"Of {len(folder.noisy)} label images in {NOISY}/, {missing} did not change. In the others "
        f"{numbers[0]} objects were added, {numbers[1]} were removed, and {numbers[2]} outlines moved.",
        "The repaired labels are in labels/ beside this page. The originals are as they were.",
    ]


def mistakes(repair: Repair) -> str:
    """The recipes in words."""
    if len(repair.recipes) == 1:
        return str(repair.recipes[0])
    names = ("omission", "inclusion", "bias", "jitter")
    levels = {name: sorted({getattr(recipe, name) for recipe in repair.recipes}) for name in names}
    parts = [f"{name} {', '.join(f'{x:g}' for x in values)}" for name, values in levels.items() if values != [0]]
    return f"a mixture of {len(repair.recipes)} recipes, all combinations of {'; '.join(parts)}"


def warnings(results: pd.DataFrame) -> list[str]:
    """Warnings for whoever uses the labels."""
    before, after = label_dice(results)
    found = []
    if after <= before:
        found.append(
            "Repair did not improve the held-out labels. Do not use the repaired labels. Give clean labels of more "
            "pictures, or name the errors that were made."
        )
    failed = sorted(results.loc[results["status"] == "failed", "file"].unique())
    if failed:
        found.append(
            f"{len(failed)} picture(s) could not be repaired ({', '.join(failed[:5])}); start the command again."
        )
    return found
