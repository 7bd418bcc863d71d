"""Numbers for U-Nets with encoders that are the same with and without PyTorch, and the logits that PyTorch gives."""

import csv
import io
import zlib
from pathlib import Path

import jax
import numpy as np

from segjax.models import ENCODERS, create

LOGITS = Path(__file__).with_name("encoder_logits.csv")
WIDTH, CLASSES = 4, 3
PICTURE = np.random.RandomState(0).rand(1, 37, 45, 3).astype(np.float32)  # odd sizes at every level
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def network_of(encoder, **options):
    return create("unet", **{"encoder": encoder, "width": WIDTH, "classes": CLASSES} | options)


def shapes_of(network, channels=3):
    return jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, 32, 32, channels), np.float32))


def arrays_of(encoder, **options):
    """Random numbers for every layer under the names and in the layout of PyTorch; each depends on its name alone."""
    network, arrays = network_of(encoder, **options), {}
    for place, leaf in jax.tree_util.tree_leaves_with_path(shapes_of(network)):
        *modules, last = [key.key for key in place][1:]
        name = f"{network.smp_name(tuple(modules))}.{_LEAVES[last]}"
        draw = np.random.RandomState(zlib.crc32(name.encode()))
        if last == "kernel":
            height, width, before, after = leaf.shape
            value = draw.standard_normal((after, before, height, width)) * np.sqrt(2 / (height * width * before))
        elif last in ("scale", "var"):
            value = draw.rand(leaf.size) + 0.5
        else:
            value = draw.standard_normal(leaf.size) / 5
        arrays[name] = value.astype(np.float32)
    return arrays


def kept_pixels(logits):
    """Every sixth row and column, [h, w, K]."""
    return np.asarray(logits)[0, ::6, ::6]


def text_of(found):
    """Logits [h, w, K] of every encoder as a table."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("encoder", "row", "column", *(f"logit{index}" for index in range(CLASSES))))
    for name, logits in found.items():
        for (row, column), values in zip(np.ndindex(logits.shape[:2]), logits.reshape(-1, CLASSES), strict=True):
            rows.writerow((name, 6 * row, 6 * column, *(f"{value:.7g}" for value in values)))
    return text.getvalue()


def read_logits():
    """The table, by encoder: logits [h, w, K]."""
    with LOGITS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    shape = (-(-PICTURE.shape[1] // 6), -(-PICTURE.shape[2] // 6), CLASSES)
    return {
        name: np.reshape(
            [[float(row[f"logit{index}"]) for index in range(CLASSES)] for row in rows if row["encoder"] == name], shape
        )
        for name in ENCODERS
    }
