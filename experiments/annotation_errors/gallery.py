"""Pictures of study 1: labels with errors, and what networks that were trained on them predict."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int32

from experiments.annotation_errors.analysis import labels_of
from experiments.annotation_errors.grid import Config, Trial
from experiments.annotation_errors.pictures import ErrorDomains
from experiments.harness.examples import ranks_shown
from experiments.harness.ladder import strip_gallery
from experiments.harness.pictures import Domain, faulty_targets
from experiments.harness.recipes import is_combined
from experiments.harness.study import Context
from segjax.reports import Gallery, Look, look, words
from segjax.reports.gallery import LABEL_LEGEND, PREDICTION_LEGEND, dice_scale, label_layer, prediction_look

Here = Context[Config, ErrorDomains, Trial]


class Predicted(NamedTuple):
    """One test picture, its true objects, and the mask that a trial's network made of it."""

    trial: Trial
    rank: str
    image: Float[np.ndarray, "H W C"]
    truth: Int32[np.ndarray, "H W"]
    mask: Bool[np.ndarray, "H W"]


def gallery(context: Here) -> list[Gallery]:
    """How much a Dice is on these pictures, predictions of the first seed, and labels that the errors make."""
    found, coarsening = list(_predicted(context)), context.data.source.coarsening
    galleries = [dice_scale([one[2:] for one in found])]
    shown = [one for one in found if one.trial.level in _levels_shown(context.config, one.trial.error)]
    rows = {
        f"{words.network_name(trial.network)}, {labels_of(trial, coarsening)}": [
            prediction_look(one.rank, *one[2:]) for one in own
        ]
        for trial, own in itertools.groupby(shown, lambda one: one.trial)
    }
    if rows:
        caption = "Test pictures of seed 0, ranked by Dice in each row. Each kind of error has its strongest level."
        steps = ("picture", "ground truth", "prediction")
        galleries.append(Gallery("Worst, median and best test picture", caption, steps, PREDICTION_LEGEND, rows))
    return [*(one for one in (*galleries, _strip(context)) if one is not None), _labels(context)]


def _strip(context: Here) -> Gallery | None:
    networks = (*context.config.segmentation.networks, *context.config.classical.baselines)
    kept = {network: context.examples.load(Trial(network, 0)) for network in networks}
    return strip_gallery(kept, context.data.plain.images, context.data.plain.labels)


def _predicted(context: Here) -> Iterator[Predicted]:
    """Kept predictions of seed 0, label error by label error."""
    config, data = context.config, context.data
    trials = [trial for trial in config.trials(data.has_own_foreign) if trial.seed == 0]
    for trial in trials:
        domain, kept = data.domain(trial.error), context.examples.load(trial)
        for rank, index, mask in (
            zip(ranks_shown(len(kept["indices"])), kept["indices"], kept["masks"], strict=True) if kept else ()
        ):
            yield Predicted(trial, rank, domain.images[index], domain.labels[index], mask & ~domain.ignored[index])


def _levels_shown(config: Config, error: str) -> tuple[float, ...]:
    """Clean labels, foreign objects without any error, and the strongest level of each error."""
    return (0.0,) if error == "none" else (0.0, config.levels_of(error)[-1])


def _labels(context: Here) -> Gallery:
    config, data = context.config, context.data
    source, train = data.plain.source, data.split(0).train
    areas = [int((data.plain.labels[index] > 0).sum()) for index in train]
    picture = train[int(np.argsort(areas)[len(areas) // 2])]
    rows = {
        _error_name(error, data.plain.source.coarsening): [
            _label_look(config, data.domain(error), picture, error, level) for level in config.levels_of(error)
        ]
        for error in config.errors
    }
    caption = f"One training picture, {source.names[picture]}, with its labels after each error."
    return Gallery("What the errors do to labels", caption, ("picture", "labels"), LABEL_LEGEND, rows)


def _error_name(error: str, coarsening: float) -> str:
    if is_combined(error):
        return words.amount_of(error, 1, coarsening)
    return words.error_words(error).thing.capitalize()


def _label_look(config: Config, domain: Domain, picture: int, error: str, level: float) -> Look:
    volume = tuple(i for i, group in enumerate(domain.source.groups) if group == domain.source.groups[picture])
    recipe = config.recipe(error, level, domain.source.coarsening)
    mask = faulty_targets(jax.random.key(0), domain, volume, recipe)[volume.index(picture)] > 0
    said = "together" if is_combined(error) else words.amount(error, level, domain.source.coarsening)
    return look(said, domain.images[picture], label_layer(domain.labels[picture], mask))
