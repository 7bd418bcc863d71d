"""The study's configuration: what to vary, on which pictures, how to train; resolved by scale, then fixed."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

from segjax.annotations import Recipe
from segjax.data import parse_spec
from segjax.models import NETWORKS
from segjax.sweeps import Cell, cell, share_of
from segjax.training import TrainConfig
from segjax.types import InputError

RATE_ERRORS = ("omission", "inclusion")
PIXEL_ERRORS = ("bias", "jitter", "shift")  # strengths in published pixels; they scale with coarser pixels
ERRORS = (*RATE_ERRORS, *PIXEL_ERRORS, "polygon")
PUBLISHED_LEVELS = {
    "omission": (0.1, 0.2, 0.3, 0.5, 0.7),
    "inclusion": (0.1, 0.2, 0.3, 0.5, 0.7),
    "bias": (2.0, 4.0, 6.0),
    "jitter": (2.0, 4.0, 8.0),
    "shift": (2.0, 4.0, 8.0),
    "polygon": (12.0, 8.0, 4.0),
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks; the defaults are the published ones.

    Attributes:
        norm: "batch" takes the statistics of the picture at hand also when testing, as published; "running" their
            running averages; "group" is GroupNorm; "none" leaves normalisation out (MSD never normalises).
    """

    unet_width: int = 64
    unet_levels: int = 4
    segnet_width: int = 64
    segnet_levels: int = 5
    msd_depth: int = 100
    msd_width: int = 1
    norm: Literal["batch", "running", "group", "none"] = "batch"

    def options(self, network: str) -> dict[str, object]:
        """Options of `segjax.models.create` for a network."""
        if network == "msd":
            return {"depth": self.msd_depth, "width": self.msd_width}
        return {
            "width": getattr(self, f"{network}_width"),
            "levels": getattr(self, f"{network}_levels"),
            "norm": self.norm,
        }


@dataclass(frozen=True)
class StudyConfig:
    """What do annotation errors cost? Trains networks on faulty annotations and tests them on clean ones.

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    out: Path
    """Folder for results.csv, report.html, plan.json and figures."""
    data: str = "microscope:hl60"
    """Pictures: microscope:hl60, microscope:granulocytes, microscope:mixed, folder:PATH?tile=256 or tfds:NAME."""
    scale: Literal["smoke", "demo", "reduced", "paper"] = "demo"
    """smoke: does it run (a minute); demo: minutes; reduced: hours on 2 cores; paper: as published, for a GPU."""
    extra: str | None = None
    """Where wrongly included objects come from (a data spec); they are pasted into the pictures as published.
    Default: the other simulated set, or the other classes of the pictures where they have any."""
    target: int = 1
    """Class of the objects to segment."""
    networks: tuple[str, ...] = ("unet", "segnet", "msd")
    """Any of unet, segnet, msd."""
    errors: tuple[str, ...] = ("omission", "inclusion", "bias")
    """Any of omission, inclusion, bias, jitter, shift, polygon."""
    levels: tuple[float, ...] = ()
    """Strengths: numbers below 1 are rates (omission, inclusion), from 1 on pixels (bias, jitter, shift) or corners
    (polygon). Pixels are published pixels: with coarser pixels they scale along. None: the published ones."""
    seeds: int = 10
    """How often every training is repeated: seeds 0, 1, ..."""
    folds: int = 4
    """Test groups, where the data do not name them: seed s tests on fold s modulo this number."""
    validation: Literal["group", "slice"] = "group"
    """Hold out whole groups (sound) or single pictures (as published) for choosing the best epoch."""
    scope: Literal["dataset", "volume", "picture", "object"] = "volume"
    """An error is drawn once per data set (the same objects everywhere), volume (group), picture or object."""
    tolerance: float = 2.0
    """Tolerance of the surface Dice, in pixels."""
    train: TrainConfig = field(default_factory=TrainConfig)
    sizes: Sizes = field(default_factory=Sizes)
    share: str = "1/1"
    """I/N: take only every N-th training, from the I-th on, so that N processes with one --out divide the study evenly.
    Without it, processes with one --out take turns: each goes on with the next training that none works on."""
    pack: int = 8
    """How many trainings of one network are run as one pack."""
    strategy: Literal["auto", "sequential", "vmap", "spread", "both"] = "auto"
    """How a pack is run: one after the other, in one step, spread over devices or cores, or both; auto times them."""
    plan: bool = False
    """Print the cells with estimated time and disk; train nothing."""
    resume: bool = False
    """Refuse to begin anew: there must be results in --out."""


SMALL = Sizes(unet_width=12, unet_levels=3, segnet_width=12, segnet_levels=3, msd_depth=30)
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "levels": (0.5, 6.0),
        "seeds": 1,
        "train": TrainConfig(epochs=2, learning_rate=1e-3, batch_size=2),
        "sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5),
    },
    "demo": {
        "levels": (0.3, 0.7, 6.0, 12.0),
        "seeds": 2,
        "train": TrainConfig(epochs=16, learning_rate=2e-3, batch_size=2),
        "sizes": dataclasses.replace(SMALL, unet_width=8, segnet_width=8, msd_depth=20),
    },
    "reduced": {
        "levels": (0.3, 0.5, 0.7, 4.0, 8.0, 12.0),
        "seeds": 5,
        "validation": "slice",  # as published; whole volumes held out end the training before a U-Net memorises
        "train": TrainConfig(epochs=15, learning_rate=2e-3, batch_size=4),
        "sizes": SMALL,
    },
    "paper": {},
}
DATA_OPTIONS = {
    "smoke": "size=sixth&volumes=4&slices=2",
    "demo": "size=sixth&volumes=8&slices=3",
    "reduced": "size=quarter&volumes=30&slices=4&crop=104",
    "paper": "size=paper",
}


def defaults_of(scale: str) -> StudyConfig:
    """What a scale sets unless the command line says otherwise.

    Raises:
        InputError: unknown scale.
    """
    if scale not in SCALES:
        raise InputError(f"scale: unknown {scale!r}; choose one of {', '.join(SCALES)}")
    return StudyConfig(**{"out": tyro.MISSING, "scale": scale, **SCALES[scale]})


def resolve(config: StudyConfig) -> StudyConfig:
    """The configuration with size of the simulation and source of foreign objects filled in, and checked.

    Raises:
        InputError: names the option and what it may be.
    """
    data = config.data
    if data.startswith("microscope:") and "?" not in data:
        data = f"{data}?{DATA_OPTIONS[config.scale]}"
    resolved = dataclasses.replace(config, data=data, extra=config.extra or _other_set(data))
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
    if error not in PIXEL_ERRORS:
        return Recipe(**{error: int(level) if error == "polygon" else level}, scope=config.scope)
    pixels = level / coarsening
    if error == "bias":
        if abs(pixels - round(pixels)) > 1e-6 or round(pixels) < 1:
            raise InputError(
                f"levels: bias {level:g} is {pixels:.2f} pixels of these pictures, whose pixels are {coarsening:g} "
                f"times as coarse as published; give multiples of {coarsening:g}, or finer pictures (size=paper)"
            )
        pixels = round(pixels)
    return Recipe(**{error: pixels}, scope=config.scope)


def _other_set(data: str) -> str | None:
    """The published source of foreign objects: granulocytes for HL60 and the reverse, at the same size."""
    for own, other in (("hl60", "granulocytes"), ("granulocytes", "hl60")):
        if data.startswith(f"microscope:{own}"):
            return data.replace(f"microscope:{own}", f"microscope:{other}", 1)
    return None


def _check(config: StudyConfig) -> None:
    parse_spec(config.data)
    for field_name, values, allowed in (("networks", config.networks, NETWORKS), ("errors", config.errors, ERRORS)):
        for value in values:
            if value not in allowed:
                raise InputError(f"{field_name}: unknown {value!r}; choose from {', '.join(allowed)}")
        if len(set(values)) != len(values):
            raise InputError(f"{field_name}: one is given twice")
    share_of((), config.share)
    for count, number in (("seeds", config.seeds), ("pack", config.pack)):
        if not 1 <= number <= 1000:
            raise InputError(f"{count} must be from 1 to 1000, not {number}")
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
    if not 0 < config.tolerance < float("inf"):
        raise InputError(f"tolerance must be a positive number of pixels, not {config.tolerance}")
    if config.target < 1:
        raise InputError(f"target: classes count from 1, not {config.target}")
