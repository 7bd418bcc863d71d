"""The files of weights that are finished all at once: networks, scores, licence, and the card that names them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

import segjax
from experiments.pretrain.write import LICENCE, LICENCE_TEXT, SCORES
from segjax.files import replacing, write_file, write_table
from segjax.models import save_weights
from segjax.models.pretrained import CARD, PICTURES, VERSION, UsedPicture


@dataclass(frozen=True)
class Kept:
    """One network.

    Attributes:
        options: of `segjax.models.create`.
        variables: float16.
        scores: texts by what was measured.
        facts: what commands that use the network must know beside these.
        ended: how long it was trained, and what ended that; "": the card does not say.
    """

    options: Mapping[str, Any]
    variables: Any
    scores: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    ended: str = ""


@dataclass(frozen=True)
class Finished:
    """Networks that belong together.

    Attributes:
        title: what they do.
        about: texts of the card, by their headings.
        origin: of the pictures, with their licence.
        networks: by their names in `segjax.models.create`.
        scores: rows of the table of scores, the heads first.
        pictures: that they are made of.
        objects: that they learnt from, as `experiments.harness.weights.told` gives them; {}: no command asks.
        scale: what their values were divided by, as `segjax.data.read_picture` takes it.
    """

    title: str
    about: Mapping[str, str]
    origin: str
    networks: Mapping[str, Kept]
    scores: Sequence[Sequence[Any]]
    pictures: Sequence[UsedPicture]
    objects: Mapping[str, Any] = field(default_factory=dict)
    scale: Literal["max", "dtype"] = "max"


def write(folder: Path, finished: Finished, origin: Mapping[str, str]) -> None:
    """Write a new folder of weights; one that is there already must be moved away first.

    Args:
        origin: command, commit and machine, as `experiments.harness.provenance.provenance` says them.
    """
    with replacing(folder.resolve()) as new:
        new.mkdir()
        networks = {}
        for kind, kept in finished.networks.items():
            path = new / f"{kind}.safetensors"
            save_weights(path, {"variables": kept.variables}, {"network": kind, "version": VERSION})
            networks[kind] = {
                "file": path.name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "options": dict(kept.options),
                "parameters": sum(int(np.size(leaf)) for leaf in jax.tree.leaves(kept.variables["params"])),
                "layers": (),
                "turned": False,
                "scores": dict(kept.scores),
                "made by": ({"training": kept.ended} if kept.ended else {})
                | {name: origin[name] for name in ("command", "commit", "machine")},
                **kept.facts,
            }
        licence = {"licence": f"Apache-2.0, as segjax; {LICENCE} lies beside the weights"}
        card = {"version": VERSION, "segjax": segjax.__version__, "title": finished.title, "scale": finished.scale}
        card |= {"about": dict(finished.about) | licence, "objects": dict(finished.objects), "networks": networks}
        write_table(new / PICTURES, [UsedPicture._fields, *finished.pictures])
        write_table(new / SCORES, finished.scores)
        write_file(new / LICENCE, LICENCE_TEXT.format(origin=finished.origin))
        write_file(new / CARD, json.dumps(card, indent=1) + "\n")
