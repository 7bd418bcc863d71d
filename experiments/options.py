"""What the command lines of the studies share: pictures, splits, networks, training, and how the work is shared out."""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

from experiments.harness.options import TrainOptions
from segjax.data import parse_spec
from segjax.models import NETWORKS, create
from segjax.sweeps import share_of
from segjax.types import InputError

SCALES = ("smoke", "demo", "reduced", "paper")
# options that say which cells there are, or how they are worked through, but not what comes out of one
NOT_FACTS = ("out", "networks", "seeds", "scale", "share", "plan", "resume", "pack", "strategy")

_Options = TypeVar("_Options", bound="RunOptions")
_Faulty = TypeVar("_Faulty", bound="AnnotationOptions")


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks; the defaults are the published ones.

    Attributes:
        norm: "batch" takes the statistics of the picture at hand also when testing, as published; "running" their
            running averages; "group" is GroupNorm; "none" leaves normalisation out (MSD never normalises).
        dtype: "bfloat16" computes with 16 bits, which is faster on GPUs and TPUs only.
    """

    unet_width: int = 64
    unet_levels: int = 4
    segnet_width: int = 64
    segnet_levels: int = 5
    msd_depth: int = 100
    msd_width: int = 1
    norm: Literal["batch", "running", "group", "none"] = "batch"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def options(self, network: str) -> dict[str, Any]:
        """Options of `segjax.models.create` for a network."""
        if network == "msd":
            return {"depth": self.msd_depth, "width": self.msd_width, "dtype": self.dtype}
        return {
            "dtype": self.dtype,
            "width": getattr(self, f"{network}_width"),
            "levels": getattr(self, f"{network}_levels"),
            "norm": self.norm,
        }


@dataclass(frozen=True)
class RunOptions:
    """Options of every study, whatever it measures."""

    out: Path
    """Folder for results.csv, report.html, plan.json and figures."""
    data: str = "microscope:hl60"
    """Pictures: microscope:hl60, microscope:granulocytes, microscope:mixed, folder:PATH?tile=256 or tfds:NAME."""
    scale: Literal["smoke", "demo", "reduced", "paper"] = "demo"
    """smoke: does it run (a minute); demo: minutes; reduced: hours on 2 cores; paper: the published networks, pictures
    and epochs, for a GPU; --validation slice --scope dataset --train.no-shuffle are published too, but no default."""
    seeds: int = 10
    """How often every training is repeated: seeds 0, 1, ..."""
    folds: int = 4
    """Test groups, where the data do not name them: seed s tests on fold s modulo this number."""
    validation: Literal["group", "slice"] = "group"
    """Hold out whole groups (sound) or single pictures (as published) for choosing the best epoch."""
    train: TrainOptions = field(default_factory=TrainOptions)
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


@dataclass(frozen=True)
class StudyOptions(RunOptions):
    """Options of the studies of networks that segment."""

    networks: tuple[str, ...] = ("unet", "segnet", "msd")
    """Any of unet, segnet, msd."""
    tolerance: float = 2.0
    """Tolerance of the surface Dice, in pixels."""
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(frozen=True)
class AnnotationOptions(StudyOptions):
    """Options of the studies of faulty annotations of one class."""

    extra: str | None = None
    """Where wrongly included objects come from (a data spec); they are pasted into the pictures as published.
    Default: the other simulated set, or the other classes of the pictures where they have any."""
    target: int = 1
    """Class of the objects to segment."""
    scope: Literal["dataset", "volume", "picture", "object"] = "volume"
    """An error is drawn once per data set (the same objects everywhere), volume (group), picture or object."""


def parse_options(kind: type[_Options], prog: str, defaults_of: Callable[[str], _Options]) -> _Options:
    """Options from the command line, over what the chosen --scale sets.

    Raises:
        InputError: an unknown scale.
    """
    scale = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scale.add_argument("--scale", default="demo")
    chosen = scale.parse_known_args()[0].scale
    if chosen not in SCALES:
        raise InputError(f"scale: unknown {chosen!r}; choose one of {', '.join(SCALES)}")
    return tyro.cli(kind, prog=prog, default=defaults_of(chosen))


def check_options(config: StudyOptions) -> None:
    """Refuse what no study of networks that segment can use.

    Raises:
        InputError: names the option and what it may be.
    """
    check_run(config)
    check_choices("networks", config.networks, NETWORKS)
    for name in config.networks:
        create(name, **config.sizes.options(name))
    if not 0 < config.tolerance < float("inf"):
        raise InputError(f"tolerance must be a positive number of pixels, not {config.tolerance}")


def check_run(config: RunOptions) -> None:
    """Refuse what no study can use.

    Raises:
        InputError: names the option and what it may be.
    """
    parse_spec(config.data)
    share_of((), config.share)
    for count, number, least in (("seeds", config.seeds, 1), ("pack", config.pack, 1), ("folds", config.folds, 2)):
        if not least <= number <= 1000:
            raise InputError(f"{count} must be from {least} to 1000, not {number}")


def check_choices(name: str, values: Sequence[str], allowed: Any) -> None:
    """Raises InputError where a value is unknown or given twice."""
    for value in values:
        if value not in allowed:
            raise InputError(f"{name}: unknown {value!r}; choose from {', '.join(allowed)}")
    if len(set(values)) != len(values):
        raise InputError(f"{name}: one is given twice")


def with_data(config: _Options, data_options: Mapping[str, str]) -> _Options:
    """The configuration with the size of the simulation, which its scale decides."""
    if "?" in config.data or not config.data.startswith(("microscope:", "terrain:")):
        return config
    return dataclasses.replace(config, data=f"{config.data}?{data_options[config.scale]}")


def with_annotations(config: _Faulty, data_options: Mapping[str, str]) -> _Faulty:
    """`with_data`, and the source of foreign objects; refuses what no study of faulty annotations can use.

    Raises:
        InputError: names the option and what it may be.
    """
    sized = with_data(config, data_options)
    check_options(sized)
    if sized.target < 1:
        raise InputError(f"target: classes count from 1, not {sized.target}")
    return dataclasses.replace(sized, extra=sized.extra or _other_set(sized.data))


def _other_set(data: str) -> str | None:
    """The published source of foreign objects: granulocytes for HL60 and the reverse, at the same size."""
    for own, other in (("hl60", "granulocytes"), ("granulocytes", "hl60")):
        if data.startswith(f"microscope:{own}"):
            return data.replace(f"microscope:{own}", f"microscope:{other}", 1)
    return None
