"""The study's configuration: which types, shots, features and heads; resolved by scale."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from experiments.harness.options import TrainOptions
from experiments.options import Sizes, StudyOptions, check_choices, check_options, with_data
from segjax.fewshot import CHOICES, HEADS, WAYS
from segjax.fewshot.instances import GROUPINGS
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError

JOINT, BINARY = "joint", "binary"
IGNORED, BACKGROUND = "ignored", "background"
BANKS = tuple(f"{task} {unseen}" for task in (JOINT, BINARY) for unseen in (IGNORED, BACKGROUND))


@dataclass(frozen=True)
class StudyConfig(StudyOptions):
    """How few annotated pictures of a new cell type are enough? Every type is the new one once.

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    data: str = "microscope:tissue"
    """Pictures with several types: microscope:tissue, folder:PATH?tile=128 with class images, or tfds:NAME."""
    networks: tuple[str, ...] = ("unet",)
    """Any of unet, segnet, msd, as extractors and as the network that has all labels."""
    seeds: int = 5
    """How often extractors are trained and shots are drawn anew: seeds 0, 1, ..."""
    types: tuple[int, ...] = ()
    """Classes that take part; for the others see --others. None: all that enough training pictures show."""
    others: Literal["background", "ignored"] = "background"
    """Objects of classes that do not take part: background, or ignored, so that they count in no loss and no metric."""
    banks: tuple[str, ...] = ("joint ignored", "joint background", "binary background")
    """Extractors: "joint", one network of all abundant types, or "binary", one for each; pixels of the new type in
    their training "ignored" or "background" (which tells them about it). The first is used wherever only one is."""
    maps: Literal["full", "half"] = "half"
    """Feature maps: those of the last layer of full size, as published, or all of at least half the picture's edge."""
    shots: tuple[int, ...] = (1, 2, 3, 5, 7, 10)
    """Numbers of annotated pictures."""
    features: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of features of the first bank that the head may use, besides all."""
    choices: tuple[str, ...] = CHOICES
    """How features are chosen: random, first, variance, relevance."""
    draws: int = 50
    """Draws of the shots, and of random features."""
    nested: bool = True
    """The shots of a smaller number are among those of the larger ones; otherwise each number has its own."""
    candidates: int = 40
    """Training pictures, at most, that shots are drawn from."""
    queries: int = 60
    """Test pictures at most."""
    least: int = 16
    """Pixels of the type that a picture must show to be a shot."""
    head: str = "logistic"
    """The head of the grid of shots and features."""
    heads: tuple[str, ...] = tuple(HEADS)
    """Heads that are compared, with all features."""
    compare_shots: tuple[int, ...] = (1, 5, 10)
    """Numbers of shots at which heads and rivals are compared and objects are counted."""
    ways: tuple[str, ...] = WAYS
    """Rivals that train a network on the shots: last_layer, whole_network (both from the extractor), from_scratch."""
    few_draws: int = 10
    """Draws, of the --draws, in which rivals are trained and objects are counted."""
    way_steps: int = 200
    """Steps of a rival's training, whatever the number of shots."""
    delineation: Literal["line", "none"] = "none"
    """"line": in the shots, pixels of an object beside another one are background, so that touching objects part."""
    grouping: Literal["components", "watershed"] = "watershed"
    """How predicted pixels become objects."""
    pack: int = 1000
    """Cells worked on at once, at most: those of one type and method share their fits."""


STEP = StepConfig(loss="both", learning_rate=2e-3, augment=True)
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": 1,
        "maps": "full",
        "banks": ("joint ignored", "binary background"),
        "shots": (1, 2),
        "features": (1, 2),
        "choices": ("first", "relevance"),
        "draws": 3,
        "candidates": 4,
        "queries": 3,
        "heads": ("logistic", "prototype"),
        "compare_shots": (2,),
        "ways": ("last_layer",),
        "few_draws": 2,
        "way_steps": 2,
        "train": TrainOptions(StepConfig(learning_rate=1e-3), LoopConfig(epochs=2, batch_size=2)),
        "sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5),
    },
    "demo": {
        "seeds": 1,
        "banks": ("joint ignored",),
        "shots": (1, 3, 5, 10),
        "features": (1, 8),
        "choices": ("relevance",),
        "draws": 10,
        "candidates": 12,
        "queries": 10,
        "heads": ("logistic", "cosine"),
        "compare_shots": (5,),
        "ways": (),
        "few_draws": 2,
        "train": TrainOptions(dataclasses.replace(STEP, learning_rate=3e-3), LoopConfig(epochs=8, batch_size=4)),
        "sizes": Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20),
    },
    "reduced": {
        "seeds": 1,
        "banks": ("joint ignored", "joint background"),
        "features": (1, 4, 16),
        "choices": ("random", "relevance"),
        "queries": 32,
        "few_draws": 3,
        "ways": ("whole_network", "from_scratch"),
        "train": TrainOptions(STEP, LoopConfig(epochs=24, batch_size=4)),
        "sizes": Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20),
    },
    "paper": {
        "train": TrainOptions(
            StepConfig(learning_rate=1e-3), LoopConfig(batch_size=1, epochs=1000, stop="plateau", patience=10)
        ),
    },
}
# the common types of the simulated tissue; small scales show too few of the others
TISSUE_TYPES = {"smoke": (1, 2, 3), "demo": (1, 2), "reduced": (1, 2, 3, 4), "paper": ()}
DATA_OPTIONS = {
    "smoke": "size=quarter&volumes=4&slices=3&crop=48",
    "demo": "size=quarter&volumes=6&slices=6&crop=80",
    "reduced": "size=quarter&volumes=12&slices=16&crop=64",
    "paper": "size=half&volumes=30&slices=16",
}


def defaults_of(scale: str) -> StudyConfig:
    """What a scale sets unless the command line says otherwise."""
    return StudyConfig(**{"out": tyro.MISSING, "scale": scale, **SCALES[scale]})


def resolve(config: StudyConfig) -> StudyConfig:
    """The configuration with the size of the simulation filled in, and checked.

    Raises:
        InputError: names the option and what it may be.
    """
    resolved = with_data(config, DATA_OPTIONS)
    if not resolved.types and resolved.data.startswith("microscope:tissue"):
        resolved = dataclasses.replace(resolved, types=TISSUE_TYPES[resolved.scale])
    check_options(resolved)
    _check(resolved)
    return resolved


def check_features(config: StudyConfig, counts: Mapping[tuple[str, str], int]) -> None:
    """Refuse more features than the first bank has.

    Args:
        counts: number of features of each (network, bank).

    Raises:
        InputError: names the number, the network and its features.
    """
    for network in config.networks:
        most = counts[network, config.banks[0]]
        if max(config.features, default=1) > most:
            raise InputError(
                f"features: {max(config.features)} are asked for, but the bank {config.banks[0]!r} of {network} has "
                f"{most}; give fewer, or a wider network (--sizes)"
            )


def _check(config: StudyConfig) -> None:
    for option, values, allowed in (
        ("banks", config.banks, BANKS),
        ("choices", config.choices, CHOICES),
        ("heads", (*config.heads,), HEADS),
        ("head", (config.head,), HEADS),
        ("ways", config.ways, WAYS),
        ("grouping", (config.grouping,), GROUPINGS),
    ):
        check_choices(option, values, allowed)
    if not config.banks or not config.choices:
        raise InputError("banks, choices: give at least one of each")
    for option, numbers in (
        ("shots", config.shots),
        ("features", config.features),
        ("compare_shots", config.compare_shots),
        ("types", config.types),
        ("draws", (config.draws,)),
        ("candidates", (config.candidates,)),
        ("queries", (config.queries,)),
        ("least", (config.least,)),
        ("few_draws", (config.few_draws,)),
        ("way_steps", (config.way_steps,)),
    ):
        if min(numbers, default=1) < 1 or len(set(numbers)) < len(numbers):
            raise InputError(f"{option} must be different whole numbers from 1 on, not {list(numbers)}")
    if not config.shots or not set(config.compare_shots) <= set(config.shots):
        raise InputError(f"compare_shots: {list(config.compare_shots)} must be among the shots {list(config.shots)}")
    if max(config.shots) > config.candidates:
        raise InputError(f"candidates: {config.candidates} pictures are fewer than {max(config.shots)} shots")
    if config.few_draws > config.draws:
        raise InputError(f"few_draws: {config.few_draws} are more than the {config.draws} draws")
    if config.others == "ignored" and not config.types:
        raise InputError("others: ignored needs --types, which says what the others are")
    if config.types and len(config.types) < 2:
        raise InputError("types: give at least two; extractors learn from the others while one is new")
