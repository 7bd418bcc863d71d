"""The study's configuration: who annotates how much and how badly, which questions to ask; resolved by scale."""

from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import tyro

from experiments.harness.options import TrainOptions
from experiments.options import AnnotationOptions, Sizes, check_choices, with_annotations
from experiments.recipes import ERRORS, RATE_ERRORS, recipe_from
from segjax.annotations import Recipe
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError
from segjax.upgrade import mixture

QUESTIONS = ("quality", "imperfect", "mismatch", "pays", "predictions", "rivals")
RIVALS = ("confident learning", "mean teacher", "generalized cross entropy", "symmetric cross entropy")
PUBLISHED_ERRORS = (
    *(f"{error}={rate}" for error in RATE_ERRORS for rate in (0.1, 0.2, 0.3, 0.5, 0.7)),
    *(f"bias={pixels}" for pixels in (2, 4, 6)),
    "omission=0.3+inclusion=0.3+bias=4",
    "omission=0.5+inclusion=0.5+bias=6",
)


@dataclass(frozen=True)
class StudyConfig(AnnotationOptions):
    """Does it pay to repair careless annotations with a network that has learnt from a few careful ones?

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    An error is written as in omission=0.5 or omission=0.3+inclusion=0.3+bias=4: rates, and published pixels.
    """

    networks: tuple[str, ...] = ("unet",)
    """Any of unet, segnet, msd."""
    seeds: int = 5
    """How often everything is repeated: seeds 0, 1, ..."""
    questions: tuple[str, ...] = QUESTIONS
    """Any of quality, imperfect, mismatch (of the upgraded labels), pays, predictions, rivals (of what they train)."""
    error: str = "omission=0.7+inclusion=0.7+bias=6"
    """What the careless annotations suffer from."""
    errors: tuple[str, ...] = PUBLISHED_ERRORS
    """Errors whose upgrading is measured one by one, and of which mismatch takes one for another."""
    careful: int = 10
    """Carefully annotated pictures that the laboratory has; a fifth of them, at least one, chooses the best epoch."""
    careless: int = 200
    """Carelessly annotated pictures that it has besides."""
    careful_counts: tuple[int, ...] = (2, 5, 10, 20, 40, 80, 160)
    """Numbers of careful pictures that upgrade networks are trained on, for the curve of quality."""
    compare_at: int = 40
    """The number of careful pictures at which upgrade networks are compared otherwise."""
    volumes: tuple[int, ...] = (1, 2, 5, 10)
    """Numbers of volumes (groups) that the careful pictures may come from."""
    imperfections: tuple[str, ...] = (
        *(f"{error}={rate}" for error in RATE_ERRORS for rate in (0.1, 0.2, 0.3)),
        *(f"bias={pixels}" for pixels in (2, 4, 6)),
    )
    """Errors that the careful annotations have nevertheless, for the question imperfect."""
    budgets: tuple[int, ...] = (10, 25, 50, 100)
    """Numbers of training pictures in all, for the question pays."""
    clean_shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)
    """Shares of a budget that are annotated carefully; the upgrade network learns from --careful pictures or more."""
    rounds: int = 2
    """How often predictions are upgraded and trained on again."""
    rivals: tuple[str, ...] = RIVALS
    """Any of "confident learning", "mean teacher", "generalized cross entropy", "symmetric cross entropy"."""
    rounding: Literal["random", "down"] = "random"
    """A rate of few objects while an upgrade network learns: "down" to whole objects, as published, or at "random"."""
    epoch_pictures: int = 100
    """Pictures per epoch: smaller training sets are repeated up to it, so that all get equally many steps."""


SMALL = Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20, norm="group")
SEVERE = "omission=0.8+inclusion=0.8+bias=6"  # about 0.3 Dice at the reduced scales
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": 1,
        "error": "omission=0.5+inclusion=0.5+bias=6",
        "errors": ("omission=0.5",),
        "careful": 3,
        "careless": 4,
        "careful_counts": (2, 3),
        "compare_at": 3,
        "volumes": (1,),
        "imperfections": ("omission=0.3",),
        "budgets": (4,),
        "clean_shares": (0.0, 0.3),
        "rounds": 1,
        "epoch_pictures": 4,
        "train": TrainOptions(StepConfig(learning_rate=1e-3, augment=True), LoopConfig(epochs=2, batch_size=2)),
        "sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5),
    },
    "demo": {
        "seeds": 2,
        "error": SEVERE,
        "questions": ("quality", "predictions", "rivals"),
        "errors": (),
        "careless": 24,
        "careful_counts": (5, 20),
        "compare_at": 20,
        "volumes": (),
        "imperfections": (),
        "rounds": 1,
        "rivals": ("confident learning",),
        "epoch_pictures": 28,
        "train": TrainOptions(
            StepConfig(loss="both", learning_rate=5e-3, augment=True), LoopConfig(epochs=9, batch_size=4)
        ),
        "sizes": SMALL,
    },
    "reduced": {
        "error": SEVERE,
        "errors": ("omission=0.5", "inclusion=0.5", "bias=6", "omission=0.3+inclusion=0.3+bias=6"),
        "careless": 40,
        "volumes": (5, 10),
        "imperfections": ("omission=0.3", "inclusion=0.3", "bias=6"),
        "budgets": (10, 50),
        "epoch_pictures": 64,
        "train": TrainOptions(
            StepConfig(loss="both", learning_rate=5e-3, augment=True), LoopConfig(epochs=24, batch_size=4)
        ),
        "sizes": SMALL,
    },
    "paper": {
        "train": TrainOptions(
            StepConfig(learning_rate=1e-3),
            LoopConfig(batch_size=1, epochs=1000, stop="plateau", patience=10, shuffle=False),
        ),
    },
}
DATA_OPTIONS = {
    "smoke": "size=sixth&volumes=8&slices=2&crop=48",
    "demo": "size=sixth&volumes=15&slices=4&crop=48",
    "reduced": "size=sixth&volumes=30&slices=8&crop=48",
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


def strengths_of(error: str, option: str = "error") -> dict[str, float]:
    """The strengths by name that a text like omission=0.3+bias=4 stands for.

    Raises:
        InputError: not such a text, an unknown error, or a strength out of range; names the option.
    """
    strengths: dict[str, float] = {}
    for part in error.split("+"):
        name, _, number = part.partition("=")
        try:
            level = float(number)
        except ValueError:
            raise InputError(
                f"{option}: {part!r} in {error!r} is not ERROR=STRENGTH, as in omission=0.3+inclusion=0.3+bias=4"
            ) from None
        if name not in ERRORS or name in strengths:
            raise InputError(
                f"{option}: {name!r} in {error!r} is unknown or there twice; choose from {', '.join(ERRORS)}"
            )
        if not (0 < level <= 1 if name in RATE_ERRORS else 0 < level < float("inf")):
            kind = "a rate above 0 and up to 1" if name in RATE_ERRORS else "a number above 0"
            raise InputError(f"{option}: {name} in {error!r} must be {kind}, not {number}")
        strengths[name] = level
    return strengths


def recipe_of(config: StudyConfig, error: str, coarsening: float, option: str = "error") -> Recipe:
    """The recipe that an error's text stands for; "none" is no error.

    Raises:
        InputError: as `strengths_of`, or a bias that is no whole number of the pictures' pixels.
    """
    if error == "none":
        return Recipe(scope=config.scope)
    return recipe_from(strengths_of(error, option), config.scope, coarsening, option)


def mixture_of(config: StudyConfig, radius: float, has_foreign: bool) -> list[Recipe]:
    """For who does not know the error: every combination of some strengths of each published error, and none.

    Args:
        radius: of an object, in pixels; outlines are moved by up to a sixth and up to a third of it.
        has_foreign: whether there are objects that could be included.
    """
    strengths: dict[str, Any] = {"omission": (0.25, 0.5, 0.75)}
    strengths["bias"] = tuple(sorted({max(1, round(radius * share)) for share in (1 / 6, 1 / 3)}))
    if has_foreign:
        strengths["inclusion"] = (0.25, 0.5, 0.75)
    return mixture(config.scope, **strengths)


def train_part(careful: int) -> int:
    """How many of the careful pictures train; the others, a fifth and at least one, choose the best epoch."""
    return careful - max(1, round(careful / 5))


def clean_of(budget: int, share: float) -> int:
    """Carefully annotated pictures within a budget."""
    return min(budget, ceil(budget * share - 1e-9))


def _check(config: StudyConfig) -> None:
    check_choices("questions", config.questions, QUESTIONS)
    check_choices("rivals", config.rivals, RIVALS)
    strengths_of(config.error)
    for option in ("errors", "imperfections"):
        given = getattr(config, option)
        check_choices(option, given, given)
        for error in given:
            strengths_of(error, option)
    for name, numbers, least in (
        ("careful", (config.careful,), 2),
        ("careful_counts", config.careful_counts, 2),
        ("compare_at", (config.compare_at,), 2),
        ("careless", (config.careless,), 1),
        ("volumes", config.volumes, 1),
        ("budgets", config.budgets, 1),
        ("rounds", (config.rounds,), 1),
        ("epoch_pictures", (config.epoch_pictures,), 1),
    ):
        for number in numbers:
            if number < least:
                why = "; one picture to learn from and one to choose the best epoch by" if least == 2 else ""
                raise InputError(f"{name} must be at least {least}, not {number}{why}")
    for share in config.clean_shares:
        if not 0 <= share < 1:
            raise InputError(f"clean_shares: {share:g} is not from 0 to below 1; all clean is compared with anyway")
    if config.sizes.norm == "running" and "rivals" in config.questions and "mean teacher" in config.rivals:
        raise InputError(
            'sizes.norm: a mean teacher cannot have "running"; choose another, or leave it out of --rivals'
        )
