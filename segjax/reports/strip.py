"""One picture as several ways to segment see it, side by side."""

import io
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image, ImageColor

from segjax.evaluation.overlap import counts, dice
from segjax.reports.gallery import PREDICTION_LEGEND, look, prediction_layer, truth_layer

_EDGE = 2.0  # inches of a picture
_COLUMNS = 9  # pictures of a row


def draw_strip(
    image: Float[np.ndarray, "H W C"], truth: Bool[np.ndarray, "H W"], masks: Mapping[str, Bool[np.ndarray, "H W"]]
) -> bytes:
    """A PNG of the picture, of every mask on it with its Dice, and of the true outlines.

    What is found, missed and wrongly marked has the colours of `segjax.reports.gallery.PREDICTION_LEGEND`, said below.

    Args:
        masks: by what made them, in the order of the strip.
    """
    shown = look("", image, *(prediction_layer(truth, mask) for mask in masks.values()), truth_layer(truth))
    values = [float(dice(counts(mask, truth))) for mask in masks.values()]
    said_of = ["no object" if value != value else f"Dice {value:.2f}" for value in values]
    under = Image.open(io.BytesIO(shown.picture)).convert("RGBA")
    layers = [Image.open(io.BytesIO(layer)).convert("RGBA").resize(under.size, Image.Resampling.NEAREST)
              for layer in shown.layers]  # fmt: skip
    pictures = [under, *(Image.alpha_composite(under, layer) for layer in layers)]
    names = ["picture", *masks, "ground truth"]
    columns = min(len(names), _COLUMNS)
    lines = -(-len(names) // columns)
    high = _EDGE * under.height / under.width + 0.55
    figure = Figure((columns * _EDGE, lines * high + 0.3), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for place, axis in enumerate(axes):
        axis.axis("off")
        if place < len(names):
            axis.imshow(np.asarray(pictures[place]), interpolation="nearest")
            said = said_of[place - 1] if 0 < place <= len(said_of) else ""
            axis.set_title(f"{names[place]}\n{said}", fontsize=9)
    hexadecimal = ["#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(colour)) for colour, _ in PREDICTION_LEGEND]
    patches = [Patch(color=one, label=said) for one, (_, said) in zip(hexadecimal, PREDICTION_LEGEND, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
