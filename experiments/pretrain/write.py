"""The folder of trained weights: a file for each network, the card, the licence, and the scores of every picture."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.harness.provenance import comment
from experiments.pretrain.train import Made, Material, Score
from segjax import __version__
from segjax.files import read_json, write_file
from segjax.models import save_weights
from segjax.models.pretrained import CARD, VERSION
from segjax.types import InputError

SCORES, LICENCE = "scores.csv", "LICENSE.txt"
LICENCE_TEXT = """The weights in this folder are licensed under the Apache License, Version 2.0, as segjax is
(https://www.apache.org/licenses/LICENSE-2.0). They were trained on pictures of other people:

{origin}
"""


def kept_card(folder: Path, material: Material) -> dict[str, Any]:
    """What is on the card of a folder so far; a new card where there is none.

    Raises:
        InputError: the card is of other pictures, another recipe or another version.
    """
    fresh = {"version": VERSION, "segjax": __version__, "title": material.recipe.title, "about": about(material)}
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
    small, large = material.diameters
    counts = [len(side) for side in (material.train, material.validation, material.test)]
    return {
        "takes": f"float32 [B, H, W, C] with {channels} and values from 0 to 1: {recipe.values}",
        "size": f"the median diameter of a picture's objects was from {small:.0f} to {large:.0f} px",
        "gives": f"logits of {', '.join(recipe.classes)}",
        "learnt from": f"{counts[0]} pictures, with {counts[1]} others that chose the best epoch",
        "scored on": f"{counts[2]} pictures that it never saw, whole; NETWORK-{SCORES} names them",
        "pictures": recipe.origin,
        "data": f"{recipe.data.format(pictures='PICTURES')} (digest {material.source.digest})",
        "licence": f"Apache-2.0, as segjax; {LICENCE} lies beside the weights",
    }


def write_network(folder: Path, kind: str, made: Made, material: Material, origin: Mapping[str, str]) -> None:
    """Write the weights of a network, then the card that names them.

    Args:
        origin: command, commit and machine, as `experiments.harness.provenance.provenance` says them.
    """
    card, path = kept_card(folder, material), folder / f"{kind}.safetensors"
    statistics = {"mean": made.mean, "std": made.std} if made.mean is not None else {}
    save_weights(path, {"variables": made.variables, **statistics}, {"network": kind, "version": VERSION})
    card["networks"][kind] = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "options": made.options,
        "parameters": sum(int(np.size(leaf)) for leaf in jax.tree.leaves(made.variables["params"])),
        "layers": material.recipe.extractors.get(kind, ()),
        "turned": kind in material.recipe.extractors,
        "scores": told(made.scores),
        "made by": {name: origin[name] for name in ("command", "commit", "machine")},
    }
    write_file(folder / LICENCE, LICENCE_TEXT.format(origin=material.recipe.origin))
    write_file(folder / f"{kind}-{SCORES}", comment(origin) + table(made.scores))
    write_file(folder / CARD, json.dumps(card, indent=1) + "\n")


def told(scores: Mapping[int, list[Score]]) -> dict[str, str]:
    """Mean scores as texts: those of the weights, then those of networks that learnt from fewer pictures."""
    texts = {}
    for place, (count, values) in enumerate(scores.items()):
        dice, f1 = (np.array([getattr(one, name) for one in values]) for name in ("dice", "f1"))
        what = "these weights" if place == 0 else "the same network, trained from nothing"
        texts[f"{what}, {count} annotated pictures"] = (
            f"Dice {np.nanmean(dice):.3f} ({np.nanmin(dice):.3f} to {np.nanmax(dice):.3f}), "
            f"object F1 {np.nanmean(f1):.3f}"
        )
    return texts


def table(scores: Mapping[int, list[Score]]) -> str:
    """The scores of every held-out picture as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["annotated_pictures", "picture", "dice", "f1"])
    for count, values in scores.items():
        writer.writerows([count, one.picture, f"{one.dice:.4f}", f"{one.f1:.4f}"] for one in values)
    return text.getvalue()
