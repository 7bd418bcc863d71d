"""The study's configuration: what to vary, on which pictures, how to train; resolved by scale, then fixed."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import tyro

from experiments.harness.options import TrainOptions
from experiments.options import AnnotationOptions, Sizes, check_choices, with_annotations
from experiments.recipes import ERRORS, RATE_ERRORS, recipe_from
from segjax.annotations import Recipe
from segjax.sweeps import Cell, cell
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError

PUBLISHED_LEVELS = {
    "omission": (0.1, 0.2, 0.3, 0.5, 0.7),
    "inclusion": (0.1, 0.2, 0.3, 0.5, 0.7),
    "bias": (2.0, 4.0, 6.0),
    "jitter": (2.0, 4.0, 8.0),
    "shift": (2.0, 4.0, 8.0),
    "polygon": (12.0, 8.0, 4.0),
}


@dataclass(frozen=True)
class StudyConfig(AnnotationOptions):
    """What do annotation errors cost? Trains networks on faulty annotations and tests them on clean ones.

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    errors: tuple[str, ...] = ("omission", "inclusion", "bias")
    """Any of omission, inclusion, bias, jitter, shift, polygon."""
    levels: tuple[float, ...] = ()
    """Strengths: numbers below 1 are rates (omission, inclusion), from 1 on pixels (bias, jitter, shift) or corners
    (polygon). Pixels are published pixels: with coarser pixels they scale along. None: the published ones."""


SMALL = Sizes(unet_width=12, unet_levels=3, segnet_width=12, segnet_levels=3, msd_depth=30)
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "levels": (0.5, 6.0),
        "seeds": 1,
        "train": TrainOptions(StepConfig(learning_rate=1e-3), LoopConfig(epochs=2, batch_size=2)),
        "sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5),
    },
    "demo": {
        "levels": (0.3, 0.7, 6.0, 12.0),
        "seeds": 2,
        "train": TrainOptions(StepConfig(learning_rate=3e-3), LoopConfig(epochs=10, batch_size=2)),
        "sizes": dataclasses.replace(SMALL, unet_width=8, segnet_width=8, msd_depth=20),
    },
    "reduced": {
        "levels": (0.3, 0.5, 0.7, 4.0, 8.0, 12.0),
        "seeds": 5,
        "validation": "slice",  # as published; whole volumes held out end the training before a U-Net memorises
        "train": TrainOptions(StepConfig(learning_rate=2e-3), LoopConfig(epochs=15, batch_size=4)),
        "sizes": SMALL,
    },
    "paper": {},
}
DATA_OPTIONS = {
    "smoke": "size=sixth&volumes=4&slices=2",
    "demo": "size=sixth&volumes=8&slices=3&crop=72",
    "reduced": "size=quarter&volumes=30&slices=4&crop=104",
    "paper": "size=paper",
}


def defaults_of(scale: str) -> StudyConfig:
    """What a scale sets unless the command line says otherwise."""
    return StudyConfig(**{"out": tyro.MISSING, "scale": scale, **SCALES[scale]})


def resolve(config: StudyConfig) -> StudyConfig:
    """The configuration with size of the simulation and source of foreign objects filled in, and checked.

    Raises:
        InputError: names the option and what it may be.
    """
    resolved = with_annotations(config, DATA_OPTIONS)
    _check(resolved)
    return resolved


def levels_of(config: StudyConfig, error: str) -> tuple[float, ...]:
    """Strengths of one error, weakest first: those given that are of its kind, or the published ones."""
    given = config.levels or PUBLISHED_LEVELS[error]
    kept = {float(level) for level in given if (level < 1) == (error in RATE_ERRORS)}
    return tuple(sorted(kept, reverse=error == "polygon"))


def make_cells(config: StudyConfig, has_own_foreign: bool) -> list[Cell]:
    """Every training of the study, seed by seed, so that an unfinished study has whole curves with fewer seeds."""
    settings = [("none", 0.0)]
    for error in config.errors:
        # where foreign objects are pasted in, inclusion has a zero point of its own: pasted, and not annotated
        zero = (0.0,) if error == "inclusion" and not has_own_foreign else ()
        settings += [(error, level) for level in (*zero, *levels_of(config, error))]
    return [
        cell(data=config.data.partition("?")[0], network=network, seed=seed, error=error, level=level)
        for seed in range(config.seeds)
        for error, level in settings
        for network in config.networks
    ]


def recipe_of(config: StudyConfig, error: str, level: float, coarsening: float) -> Recipe:
    """The recipe of a cell; pixel strengths are divided by `coarsening`.

    Raises:
        InputError: a bias strength that is no whole number of the pictures' pixels.
    """
    if error == "none" or level == 0:
        return Recipe(scope=config.scope)
    return recipe_from({error: level}, config.scope, coarsening, "levels")


def _check(config: StudyConfig) -> None:
    check_choices("errors", config.errors, ERRORS)
    for level in config.levels:
        if not (0 < level < 1 or (level >= 1 and level == int(level))):
            raise InputError(
                f"levels: {level:g} is neither a rate between 0 and 1 (omission, inclusion) "
                "nor a whole number of pixels or corners (bias, jitter, shift, polygon)"
            )
    for error in config.errors:
        if not levels_of(config, error):
            kind = "a rate below 1" if error in RATE_ERRORS else "a whole number from 1 on"
            raise InputError(
                f"levels: none of {config.levels} is a strength of {error}; give {kind}, or leave {error} out"
            )
        if error == "polygon" and min(levels_of(config, error)) < 3:
            raise InputError("levels: a polygon needs at least 3 corners")
