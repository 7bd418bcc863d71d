"""Pictures of study 3: annotated ones, and what is made of test pictures from a few of them and from all labels."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32

from experiments.few_shot.findings import counted, nearest_shots
from experiments.few_shot.grid import Config, few, whole_of
from experiments.few_shot.pictures import HeldOutType, TypedPictures
from experiments.few_shot.trials import Training, Trial
from experiments.harness.examples import ranks_shown
from experiments.harness.study import Context
from segjax.reports import Gallery, Look, look
from segjax.reports.gallery import PREDICTION_LEGEND, dice_scale, prediction_look, truth_layer
from segjax.types import IGNORED

Here = Context[Config, TypedPictures, Training]


class Predicted(NamedTuple):
    """One test picture, its true objects, and the mask that was made of it."""

    rank: str
    image: Float[np.ndarray, "H W C"]
    truth: Int32[np.ndarray, "H W"]
    mask: Bool[np.ndarray, "H W"]


def gallery(context: Here) -> list[Gallery]:
    """How much a Dice is on these pictures, test pictures of the first seed, and an annotated picture of every type."""
    shots = nearest_shots(context.config.compare_shots)
    shown: list[Look] = []
    rows: dict[str, list[Predicted]] = {}
    for name in context.data.types:
        whole = whole_of(context.config, context.config.segmentation.networks[0], 0, name)
        trial = few(context.config, context.data.counts, whole, shots)
        kept = context.examples.load(trial)
        if kept is not None:
            new, first = _new(context, name), int(kept["shots"][0])
            shown.append(look(name, context.data.images[first], truth_layer(new.objects(first))))
        rows[f"{name}, {counted(shots)}"] = list(_predicted(context, trial))
        rows[f"{name}, all labels"] = list(_predicted(context, whole))
    looks = {name: [prediction_look(*one) for one in own] for name, own in rows.items() if own}
    scale = dice_scale([one[1:] for own in rows.values() for one in own])
    galleries = [] if scale is None else [scale]
    if looks:
        caption = "Test pictures of seed 0 that show the type, ranked by Dice in each row, after one draw."
        steps = ("picture", "ground truth", "prediction")
        galleries.append(Gallery("Worst, median and best test picture", caption, steps, PREDICTION_LEGEND, looks))
    if shown:
        caption = "One annotated picture of every type, as the head learns from it."
        legend = PREDICTION_LEGEND[:1]
        galleries.append(Gallery("Annotated pictures", caption, ("picture", "annotation"), legend, {"": shown}))
    return galleries


def _predicted(context: Here, trial: Trial) -> Iterator[Predicted]:
    kept, new = context.examples.load(trial), _new(context, trial.type)
    if kept is not None:
        for rank, index, mask in zip(ranks_shown(len(kept["indices"])), kept["indices"], kept["masks"], strict=True):
            judged = context.data.classes[index] != IGNORED
            yield Predicted(rank, context.data.images[index], new.objects(int(index)), mask & judged)


def _new(context: Here, name: str) -> HeldOutType:
    candidates = context.config.first_candidates
    return HeldOutType(context.config, context.data, 0, context.data.types[name], candidates)
