"""The grid of study 1: its configuration, the strengths of errors, and its trials."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from experiments.harness.ladder_options import BaselineOptions
from experiments.harness.options import (
    AnnotationOptions,
    DataOptions,
    Flat,
    RunOptions,
    SegmentationOptions,
    Sizes,
    TrainOptions,
    arranges,
    check_choices,
    decides,
)
from experiments.harness.protocols import check_protocol, published
from experiments.harness.recipes import ERRORS, RATE_ERRORS, is_combined, recipe_from, spelled, strengths_of
from experiments.harness.rival_options import RivalOptions
from segjax.annotations import Recipe
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError

PUBLISHED_LEVELS = {
    "omission": (0.1, 0.2, 0.3, 0.5, 0.7),
    "inclusion": (0.1, 0.2, 0.3, 0.5, 0.7),
    "bias": (2.0, 4.0, 6.0),
    "jitter": (2.0, 4.0, 8.0),
    "shift": (2.0, 4.0, 8.0),
    "polygon": (12.0, 8.0, 4.0),
    "markov": (30.0, 60.0, 120.0),
}


@dataclass(frozen=True)
class Config:
    """What do annotation errors cost? Trains networks on noisy labels and tests them on clean labels.

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale
    and --protocol.
    """

    run: Annotated[RunOptions, Flat]
    source: Annotated[DataOptions, Flat] = DataOptions()
    segmentation: Annotated[SegmentationOptions, Flat] = SegmentationOptions()
    annotations: Annotated[AnnotationOptions, Flat] = AnnotationOptions()
    elsewhere: Annotated[RivalOptions, Flat] = field(default_factory=RivalOptions)
    classical: Annotated[BaselineOptions, Flat] = field(default_factory=BaselineOptions)
    train: TrainOptions = decides(TrainOptions())
    errors: tuple[str, ...] = arranges(("omission", "inclusion", "bias"))
    """Errors to try. omission: objects are missing. inclusion: foreign objects are marked. bias: outlines are too wide
    or too narrow. jitter: outlines are shaky. shift: labels are displaced. polygon: outlines have few corners. markov:
    outlines have wandered, mostly outwards, by about a pixel in 20 steps, neighbouring points together. Several at
    once: omission=0.1+jitter=4, with their own strengths, or a file recipe.json that compare_labels wrote; errors that
    are as rare as in such files need --scope object."""
    levels: tuple[float, ...] = arranges(())
    """Strengths of the errors. Numbers below 1 are rates (omission, inclusion), others are pixels (bias, jitter,
    shift), corners (polygon) or steps (markov). Pixels are those of the published pictures: in coarser pictures, 6 may
    be 1 pixel. None: the published strengths."""

    def resolved(self) -> "Config":
        """The configuration, checked, with the source of foreign objects filled in.

        Raises:
            InputError: names the option and what it may be.
        """
        self.segmentation.check()
        self.elsewhere.check()
        self.classical.check()
        check_protocol(self, published(self.run.scale, self.annotations.protocol, self.source.data))
        errors = tuple(spelled(error, "errors") for error in self.errors)
        together = [error for error in errors if is_combined(error)]
        check_choices("errors", errors, (*ERRORS, *together))
        for error in together:
            strengths_of(error, "errors")
        for level in self.levels:
            if not (0 < level < 1 or (level >= 1 and level == int(level))):
                raise InputError(
                    f"levels: {level:g} is no strength; give rates between 0 and 1 (omission, inclusion) or whole "
                    "numbers of pixels, corners or steps (bias, jitter, shift, polygon, markov)"
                )
        for error in errors:
            if not self.levels_of(error):
                kind = "a rate below 1" if error in RATE_ERRORS else "a whole number from 1 on"
                given = ", ".join(f"{level:g}" for level in self.levels)
                raise InputError(f"levels: {error} has no strength among {given}; add {kind}, or leave {error} out")
            if error == "polygon" and min(self.levels_of(error)) < 3:
                raise InputError(
                    f"levels: a polygon has at least 3 corners, not {self.levels_of(error)[-1]:g}; give 3 or more"
                )
        return dataclasses.replace(self, errors=errors, annotations=self.annotations.resolved(self.source.data))

    def levels_of(self, error: str) -> tuple[float, ...]:
        """Strengths of one error, weakest first: those given that are of its kind, or the published ones.

        Several errors at once bring their strengths along; their level is 1.
        """
        if is_combined(error):
            return (1.0,)
        given = self.levels or PUBLISHED_LEVELS[error]
        kept = {float(level) for level in given if (level < 1) == (error in RATE_ERRORS)}
        return tuple(sorted(kept, reverse=error == "polygon"))

    def recipe(self, error: str, level: float, coarsening: float) -> Recipe:
        """The recipe of an error, or of several at once; pixel strengths are divided by `coarsening`.

        Raises:
            InputError: a bias strength that is no whole number of the pictures' pixels.
        """
        if error == "none" or level == 0:
            return Recipe(**self.annotations.drawn)
        return recipe_from(strengths_at(error, level), self.annotations.drawn, coarsening, "levels")

    def trials(self, has_own_foreign: bool) -> "list[Trial]":
        """Every trial, seed by seed, so that an unfinished study has whole curves with fewer seeds.

        Where foreign objects are pasted in, inclusion has a zero point of its own: pasted, and not annotated.
        """
        settings = [("none", 0.0)]
        for error in self.errors:
            if includes(error) and not has_own_foreign and ("inclusion", 0.0) not in settings:
                settings.append(("inclusion", 0.0))
            settings += [(error, level) for level in self.levels_of(error)]
        return [
            Trial(network, seed, error, level)
            for seed in range(self.run.seeds)
            for error, level in settings
            for network in (*self.segmentation.networks, *self.classical.baselines)
        ]


def includes(error: str) -> bool:
    """Whether foreign objects are wrongly included, alone or among other errors."""
    return "inclusion" in error


def strengths_at(error: str, level: float) -> dict[str, float]:
    """The strengths, by name, of an error at a level, or of several at once."""
    return strengths_of(error, "errors") if is_combined(error) else {error: level}


BASE = Config(RunOptions(Path()), DataOptions(simulation="microscope:size=paper"))
SMALL = Sizes(unet_width=12, unet_levels=3, segnet_width=12, segnet_levels=3, msd_depth=30)
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "run": {"seeds": 1},
        "source": {"simulation": "microscope:size=sixth&volumes=4&slices=2"},
        "segmentation": {"sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5)},
        "train": TrainOptions(StepConfig(learning_rate=1e-3), LoopConfig(epochs=2, batch_size=2)),
        "levels": (0.5, 6.0),
    },
    "demo": {
        "run": {"seeds": 2},
        "source": {"simulation": "microscope:size=sixth&volumes=8&slices=3&crop=72", "replicates": 2},
        "segmentation": {"sizes": dataclasses.replace(SMALL, unet_width=8, segnet_width=8, msd_depth=20)},
        "train": TrainOptions(StepConfig(learning_rate=3e-3), LoopConfig(epochs=10, batch_size=2)),
        "levels": (0.3, 0.7, 6.0, 12.0),
    },
    "reduced": {
        "run": {"seeds": 8},
        # validation as published; whole volumes held out end the training before a U-Net memorises
        "source": {
            "simulation": "microscope:size=quarter&volumes=30&slices=4&crop=104",
            "validation": "slice",
            "replicates": 8,
        },
        "segmentation": {"sizes": SMALL},
        "train": TrainOptions(StepConfig(learning_rate=2e-3), LoopConfig(epochs=15, batch_size=4)),
        "levels": (0.3, 0.5, 0.7, 4.0, 8.0, 12.0),
    },
    "paper": {},
}


@dataclass(frozen=True)
class Trial:
    """One training on noisy labels.

    Attributes:
        network: it, or a rung of the ladder that is fitted to the same labels.
        error: the error in the labels; "none" for clean labels.
        level: its strength: a rate, published pixels, or corners; 1 of several errors at once. At 0, inclusion has
            foreign objects in the pictures that nobody annotated.
    """

    network: str
    seed: int
    error: str = "none"
    level: float = 0.0
