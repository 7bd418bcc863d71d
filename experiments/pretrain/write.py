"""The folder of trained weights: a file for each network, the card, the licence, and the scores of every picture."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import segjax
from experiments.harness.networks import facts_of
from experiments.pretrain.train import Made, Material, Score
from segjax.files import read_file, read_json, write_file, write_table
from segjax.models import create, save_weights
from segjax.models.pretrained import CARD, CHOSE, LEARNT, PICTURES, SCORED, VERSION, UsedPicture, picture_digest
from segjax.types import InputError, Source

SCORES, SUMMARY, LICENCE = "scores.csv", "summary.csv", "LICENSE.txt"
LICENCE_TEXT = """The weights in this folder are licensed under the Apache License, Version 2.0, as segjax is
(https://www.apache.org/licenses/LICENSE-2.0). They were trained on these pictures:

{origin}
"""


def kept_card(folder: Path, material: Material) -> dict[str, Any]:
    """What is on the card of a folder so far; a new card where there is none.

    Raises:
        InputError: the card is of other pictures, another recipe or another version.
    """
    fresh = {"version": VERSION, "segjax": segjax.__version__, "title": material.recipe.title}
    fresh |= {"scale": "max"}  # of all recipes, as the cards' "takes" says
    fresh |= {"about": about(material), "objects": material.objects}
    if not (folder / CARD).exists():
        return {**fresh, "networks": {}}
    found = read_json(folder / CARD, "a card of trained weights", {"networks": dict}, "move it away")
    if any(found.get(name) != value for name, value in fresh.items()):
        raise InputError(f"{folder}: holds weights of another recipe or version; move it away, or give another --out")
    return found


def about(material: Material) -> dict[str, str]:
    """The texts of a card, by their headings."""
    recipe = material.recipe
    channels = "1 channel" if material.samples[0].image.shape[-1] == 1 else "3 channels"
    small, large = material.objects["diameters"]
    counts = [len(side) for side in (material.train, material.validation, material.test)]
    groups = "each picture is a group of its own" if _is_alone(material) else "no group is on two sides"
    held_out = f"; {', '.join(recipe.held_out)} were left out, so that they stay new" if recipe.held_out else ""
    return {
        "takes": f"float32 [B, H, W, C] with {channels} and values from 0 to 1: {recipe.values}",
        "size": f"the median diameter of a picture's objects was from {small:.0f} to {large:.0f} px",
        "gives": f"logits of {', '.join(material.classes)}",
        "learnt from": f"{counts[0]} pictures, with {counts[1]} others that chose the best epoch{held_out}",
        "scored on": f"{counts[2]} pictures that it never saw, whole; {groups}; {PICTURES} names the pictures of all "
        "sides",
        "pictures": recipe.origin,
        "data": f"{recipe.data.format(pictures='PICTURES')} (digest {material.source.digest})",
        "licence": f"Apache-2.0, as segjax; {LICENCE} lies beside the weights",
    }


def write_network(folder: Path, kind: str, made: Made, material: Material, origin: Mapping[str, str]) -> None:
    """Write the weights of a network, the licence, and the card that names them.

    Args:
        origin: command, commit and machine, as `experiments.harness.provenance.provenance` says them.
    """
    card, path = kept_card(folder, material), folder / f"{kind}.safetensors"
    statistics = {"mean": made.mean, "std": made.std} if made.mean is not None else {}
    facts = {**facts_of(create(kind, **made.options)), "version": VERSION}
    save_weights(path, {"variables": made.variables, **statistics}, facts)
    card["networks"][kind] = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "options": made.options,
        "parameters": sum(int(np.size(leaf)) for leaf in jax.tree.leaves(made.variables["params"])),
        "layers": material.recipe.extractors.get(kind, ()),
        "turned": kind in material.recipe.extractors,
        "scores": {},
        "made by": {"training": made.ended} | {name: origin[name] for name in ("command", "commit", "machine")},
    }
    write_file(folder / LICENCE, LICENCE_TEXT.format(origin=material.recipe.origin))
    write_table(folder / PICTURES, [UsedPicture._fields, *used_of(material)])
    write_file(folder / CARD, json.dumps(card, indent=1) + "\n")


def used_of(material: Material) -> list[UsedPicture]:
    """Every picture of a recipe with its side, in order of their names."""
    return used(material.source, (material.train, material.validation, material.test))


def used(source: Source, sides: Sequence[Iterable[int]]) -> list[UsedPicture]:
    """Pictures with their sides, in order of their names.

    Args:
        sides: those to learn from, to choose the epoch, to score on.
    """
    found = []
    for side, indices in zip((LEARNT, CHOSE, SCORED), sides, strict=True):
        for one in (source[index] for index in indices):
            found.append(UsedPicture(one.name, one.group, side, picture_digest(one.image)))
    return sorted(found)


def _is_alone(material: Material) -> bool:
    return len(set(material.source.groups)) == len(material.source)


def kept_scores(folder: Path) -> list[Score]:
    """The scores of every held-out picture so far."""
    if not (folder / SCORES).exists():
        return []
    rows = csv.DictReader(io.StringIO(read_file(folder / SCORES).decode()))
    if tuple(rows.fieldnames or ()) != Score._fields:
        raise InputError(f"{folder / SCORES}: is of another version of this command; move {folder} away")
    numbers = {"annotated_pictures": int, "draw": int, "dice": float, "f1": float}
    return [Score(**{name: numbers.get(name, str)(value) for name, value in row.items()}) for row in rows]


def add_scores(folder: Path, material: Material, scores: Sequence[Score]) -> None:
    """Add a network's scores to the table of pictures, to that of means, and to the card as one line."""
    table = [*kept_scores(folder), *scores]
    write_table(folder / SCORES, [Score._fields, *table])
    card = kept_card(folder, material)
    means = [Mean._fields]
    for kind, own in card["networks"].items():
        found = means_of([one for one in table if one.network == kind])
        means += [tuple(round(value, 4) if isinstance(value, float) else value for value in one) for one in found]
        own["scores"] = told(found)
    write_table(folder / SUMMARY, means)
    write_file(folder / CARD, json.dumps(card, indent=1) + "\n")


class Mean(NamedTuple):
    """Mean scores of a network over the held-out pictures; the weights are those with the most annotated pictures.

    Attributes:
        draws: how many networks learnt from so many pictures; the scores are means over all of them.
        lowest_dice, highest_dice: of the pictures where there is one network, of the networks where there are several.
    """

    network: str
    annotated_pictures: int
    draws: int
    pictures: int
    dice: float
    lowest_dice: float
    highest_dice: float
    f1: float


def means_of(scores: Sequence[Score]) -> list[Mean]:
    """Of one network: those of the weights, then those of others that learnt from fewer pictures."""
    means = []
    for count in sorted({one.annotated_pictures for one in scores}, reverse=True):
        own = [one for one in scores if one.annotated_pictures == count]
        draws = sorted({one.draw for one in own})
        dice, f1 = (
            np.array([[getattr(one, name) for one in own if one.draw == draw] for draw in draws])
            for name in ("dice", "f1")
        )
        spread = dice[0] if len(draws) == 1 else np.nanmean(dice, 1)
        found = (np.nanmean(dice), np.nanmin(spread), np.nanmax(spread), np.nanmean(f1))
        means.append(Mean(own[0].network, count, *dice.shape, *(float(number) for number in found)))
    return means


def told(means: Sequence[Mean]) -> dict[str, str]:
    """The scores of a network as texts."""
    texts = {}
    for place, one in enumerate(means):
        subject = f"these weights, of {one.annotated_pictures} annotated pictures"
        if place:
            subject = f"the same network trained from scratch on {one.annotated_pictures} annotated pictures"
        spread = "pictures" if one.draws == 1 else f"{one.draws} networks, each of other pictures"
        limits = f"{one.lowest_dice:.3f} to {one.highest_dice:.3f} over {spread}"
        texts[subject] = f"Dice {one.dice:.3f} ({limits}), object F1 {one.f1:.3f}"
    return texts
