"""A folder of trained weights with random numbers, written without the code that writes real ones."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np

import segjax
from segjax.files import write_table
from segjax.models import create, save_weights
from segjax.models.pretrained import VERSION, UsedPicture

TINY = {
    "unet": {"width": 2, "levels": 1, "norm": "running"},
    "segnet": {"width": 2, "levels": 1, "norm": "running"},
    "msd": {"depth": 3, "input_mean": (0.25,), "input_std": (0.5,)},
    "msd_classifier": {"depth": 3},
}
EXTRACTORS = {"unet": ("down0", "up0")}


def write_weights(
    folder: Path, kinds=("unet", "msd"), channels=1, seed=0, used=(), classes=("dot",)
) -> dict[str, dict]:
    """Writes the files; returns the variables of each network, as they are on disk."""
    generator, kept, networks = np.random.default_rng(seed), {}, {}
    for kind in kinds:
        blank = np.zeros((1, 16, 16, channels), np.float32)
        shapes = jax.eval_shape(create(kind, **TINY[kind]).init, jax.random.key(0), blank)
        kept[kind] = jax.tree.map(lambda x: generator.uniform(0.1, 0.9, x.shape).astype(np.float16), shapes)
        layers = EXTRACTORS.get(kind, ())
        statistics = {"mean": np.ones(4, np.float32), "std": np.full(4, 2, np.float32)} if layers else {}
        path = folder / f"{kind}.safetensors"
        save_weights(path, {"variables": kept[kind], **statistics}, {"network": kind, "version": VERSION})
        networks[kind] = {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "options": TINY[kind],
            "parameters": 1234,
            "layers": layers,
            "turned": bool(layers),
            "scores": {"these weights": "Dice 0.871"},
            "made by": {"commit": "abc1234"},
        }
    facts = {"version": VERSION, "segjax": segjax.__version__, "title": "random numbers"}
    facts["about"] = {"data": "folder:PICTURES/dots (digest 0)", "licence": "CC0"}
    facts["objects"] = {"classes": classes, "diameters": [4.0, 40.0], "brighter": True}
    write_table(folder / "pictures.csv", [UsedPicture._fields, *used])
    (folder / "card.json").write_text(json.dumps({**facts, "networks": networks}))
    return kept
