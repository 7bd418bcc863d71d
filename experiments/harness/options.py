"""Options that studies share, as groups that a study's configuration is composed of."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from experiments.harness.events import check_tensorboard
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError

Flat = tyro.conf.arg(name="")  # a group whose options carry no prefix
SIZED = {  # simulators whose sets have a size, and an example of one
    "microscope": "size=sixth&volumes=15&slices=4&crop=48",
    "terrain": "pixels=64&metres=6.64&sheets=20&pictures=16&without=1",
}
_AnyConfig = TypeVar("_AnyConfig")


def decides(default: Any = MISSING, *, make: Any = MISSING) -> Any:
    """A field, with its default or the function that makes it, whose value decides the numbers of a trial."""
    return field(default=default, default_factory=make, metadata={"decides": True})


def arranges(default: Any = MISSING, *, make: Any = MISSING) -> Any:
    """A field that says which trials there are, or how they are worked through, but not what comes out of one."""
    return field(default=default, default_factory=make, metadata={"decides": False})


def added(default: Any, *, is_file: bool = False) -> Any:
    """A field of a group that decides, which came when there were results without it.

    It decides numbers where it has another value than its default, so that those results go on.

    Args:
        is_file: it names a file, of which the content decides.
    """
    return field(default=default, metadata={"added": True, "is_file": is_file})


@dataclass(frozen=True)
class RunOptions:
    """How a study is worked through."""

    out: Path = arranges()
    """Folder for results.csv, report.html, plan.json and figures."""
    scale: Literal["smoke", "demo", "reduced", "paper"] = arranges("demo")
    """smoke: a minute, to see that it runs. demo: minutes. reduced: hours on 2 cores. paper: networks, pictures and
    epochs of the size of the published ones, for a GPU."""
    seeds: int = arranges(10)
    """How often every training is repeated: seeds 0, 1, ..."""
    shard: str = arranges("1/1")
    """I/N: take every N-th trial, from the I-th on. N processes with one --out then divide the study evenly. Without
    --shard, processes with one --out take turns: each takes the next trial that no other works on."""
    pack: int = arranges(8)
    """Largest number of trainings of one network that run together as a pack."""
    strategy: Literal["auto", "sequential", "vmap", "spread", "both"] = arranges("auto")
    """How the trainings of a pack run. sequential: one after the other. vmap: in one step. spread: over devices or
    cores. both: spread, and in one step on each. auto: the fastest of these, which are timed first."""
    plan: bool = arranges(False)
    """Print the trials with an estimate of time and disk space; train nothing."""
    resume: bool = arranges(False)
    """Go on with the results in --out; refuse to begin where there are none."""
    tensorboard: bool = arranges(False)
    """Also write losses and metrics as event files, for `tensorboard --logdir OUT/tensorboard`."""
    accept_code: bool = arranges(False)
    """Go on with results that were made by other code; the page says so."""
    retry_failed: bool = arranges(False)
    """Try trials again that failed before, once: of the processes of one SLURM job or array, also requeued ones, the
    first to start does so; without SLURM none does that starts while others work in the folder."""
    list_failed: bool = arranges(False)
    """Print the trials that failed with the files of their tracebacks; train nothing."""
    report: bool = arranges(False)
    """Write results.csv and the page of the trials that have ended, and say which are missing; train nothing."""
    checkpoint_every: str = arranges("60s")
    """How often a training saves where it is, beside when it is stopped: 60s, 5min, 2h or 3epochs."""
    requeue: bool = arranges(False)
    """Under SLURM: where SIGUSR1, the warning before the time limit, stops this process, put its job, or its task of an
    array, back into the queue. scancel, which sends SIGTERM, ends it for good."""


@dataclass(frozen=True)
class DataOptions:
    """Which pictures, and who tests on which of them."""

    data: str = decides("microscope:hl60")
    """Pictures: microscope:hl60, microscope:granulocytes, microscope:mixed, microscope:tissue, terrain:mounds,
    folder:PATH?tile=256, folder:PATH?image_labels=FILE.csv or tfds:NAME."""
    folds: int = decides(4)
    """Number of test groups, where the data do not name them. Seed s tests on fold s modulo this number."""
    replicates: int = decides(1)
    """Number of independent sets of simulated pictures. Each has as many volumes or map sheets as --data says, to
    train on and to test on. Seed s uses set s modulo this number. 1: all seeds share one set, as published.
    Pictures that are not simulated have --folds instead."""
    validation: Literal["group", "slice"] = decides("group")
    """Pictures that choose the best epoch. group: whole groups are held out (sound). slice: single pictures are held
    out (as published)."""
    simulation: tyro.conf.Suppress[str] = arranges("")
    """Options of simulated sets that are not given in `data`, such as "microscope:size=half terrain:pixels=64"; the
    scale decides them, `resolved` puts them there."""

    def resolved(self) -> "DataOptions":
        """With the size of the simulation in the data spec.

        Raises:
            InputError: the scale has no size for this simulator; the message says what to give.
        """
        sizes = dict(size.split(":", 1) for size in self.simulation.split())
        scheme, data = self.data.partition(":")[0], self.data
        if sizes and scheme in SIZED and "?" not in data:
            if scheme not in sizes:
                raise InputError(
                    f"data: this study has no size of its own for {data}; give one, such as {data}?{SIZED[scheme]}"
                )
            data = f"{data}?{sizes[scheme]}"
        return dataclasses.replace(self, data=data, simulation="")

    @property
    def name(self) -> str:
        """The data spec without its options: the column `data` of results."""
        return self.data.partition("?")[0]


@dataclass(frozen=True)
class TrainOptions:
    """How networks are trained: what a step needs, and what the loop needs."""

    step: Annotated[StepConfig, tyro.conf.arg(name="", help="How networks are trained.")] = decides(make=StepConfig)
    loop: Annotated[LoopConfig, Flat] = decides(make=LoopConfig)


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks; the defaults are the published ones.

    Attributes:
        norm: "batch" takes the statistics of the picture at hand also when testing, as published; "running" their
            running averages; "group" is GroupNorm; "none" leaves normalisation out (MSD never normalises).
        dtype: "bfloat16" computes with 16 bits, which is faster on GPUs and TPUs only.
        encoder_width: channels of the first layers of an encoder (unet+resnet18 and others).
        encoder_weights: a .safetensors file of torchvision's weights that encoders start from. They need
            encoder-width 64 and norm "running". Networks that repair labels start from random weights all the same.
    """

    unet_width: int = 64
    unet_levels: int = 4
    segnet_width: int = 64
    segnet_levels: int = 5
    msd_depth: int = 100
    msd_width: int = 1
    norm: Literal["batch", "running", "group", "none"] = "batch"
    dtype: Literal["float32", "bfloat16"] = "float32"
    encoder_width: int = added(64)
    encoder_weights: str = added("", is_file=True)

    def options(self, network: str) -> dict[str, Any]:
        """Options of `segjax.models.create` for a network."""
        if network == "msd":
            return {"depth": self.msd_depth, "width": self.msd_width, "dtype": self.dtype}
        if encoder := network.partition("+")[2]:
            own = {"encoder": encoder, "width": self.encoder_width, "norm": self.norm, "dtype": self.dtype}
            return own | ({"encoder_weights": self.encoder_weights} if self.encoder_weights else {})
        return {
            "dtype": self.dtype,
            "width": getattr(self, f"{network}_width"),
            "levels": getattr(self, f"{network}_levels"),
            "norm": self.norm,
        }


def zoo_name(network: str) -> str:
    """The name that `segjax.models.create` knows a study's network by: "unet" of "unet+resnet18"."""
    return network.partition("+")[0]


@dataclass(frozen=True)
class SegmentationOptions:
    """Which networks segment, and how they are judged."""

    networks: tuple[str, ...] = arranges(("unet", "segnet", "msd"))
    """Any of unet, segnet, msd, and U-Nets on an encoder: unet+resnet18, unet+resnet34, unet+resnet50, unet+vgg16,
    unet+vgg16_bn."""
    tolerance: float = decides(2.0)
    """Tolerance of the surface Dice, in pixels."""
    sizes: Sizes = decides(make=Sizes)

    def check(self) -> None:
        """Raises InputError where a network or number is not usable."""
        from segjax.models import ENCODERS, NETWORKS, create

        check_choices("networks", self.networks, (*NETWORKS, *(f"unet+{encoder}" for encoder in ENCODERS)))
        for name in self.networks:
            create(zoo_name(name), **self.sizes.options(name))
        if self.sizes.encoder_weights and not any("+" in name for name in self.networks):
            raise InputError(
                "encoder_weights: none of the networks has an encoder; add one, such as unet+resnet18, or leave it out"
            )
        if not 0 < self.tolerance < float("inf"):
            raise InputError(f"tolerance must be a positive number of pixels, not {self.tolerance}")


@dataclass(frozen=True)
class AnnotationOptions:
    """Which objects are annotated, and how errors are drawn."""

    protocol: Literal["ours", "miccai2022", "jimaging2024"] = arranges("ours")
    """ours: the defaults of --scale. The others set what two papers by Vădineanu, Pelt, Dzyubachyk and Batenburg
    publish, and refuse options that contradict them. miccai2022: An Analysis of the Impact of Annotation Errors on the
    Accuracy of Deep Learning for Cell Segmentation, MIDL 2022, PMLR 172:1251-1267. jimaging2024: Reducing Manual
    Annotation Costs for Cell Segmentation by Upgrading Low-Quality Annotations, J. Imaging 2024, 10(7), 172. Networks
    and their training are as published with --scale paper only. experiments/PROTOCOLS.md says what differs."""
    extra: str | None = decides(None)
    """Data spec of the objects that are wrongly included; they are pasted into the pictures, as published. Default:
    the other simulated set, or the other classes of the pictures where they have any."""
    target: int = decides(1)
    """Class of the objects to segment."""
    scope: Literal["dataset", "volume", "picture", "object"] = decides("volume")
    """What an error is drawn for once: the data set (the same objects everywhere), each volume (group), each picture or
    each object."""
    outline_scope: Literal["dataset", "volume", "picture", "object"] | None = decides(None)
    """The same for errors of outlines: bias, jitter, shift, polygon, markov. Not coarser than --scope. None: as
    --scope."""
    omission_rounding: Literal["down", "at_least_one"] = decides("down")
    """How many objects a rate of omission drops. down: the rate times their number, rounded down. at_least_one: the
    same, but never none."""
    inclusion_rounding: Literal["down", "up", "leave_one"] = decides("down")
    """How many foreign objects a rate of inclusion adds: the rate times their number, rounded down or up. leave_one:
    rounded up, but never all."""

    def resolved(self, data: str) -> "AnnotationOptions":
        """With the source of foreign objects: the published one, granulocytes for HL60 and the reverse, at equal size.

        A folder is named by its absolute path, however it was given, so that a run goes on with it.

        Raises:
            InputError: a class that cannot be, or scopes that do not go together.
        """
        from segjax.annotations import Recipe

        if self.target < 1:
            raise InputError(f"target: classes count from 1, not {self.target}")
        Recipe(**self.drawn)
        extra = self.extra or _other_set(data)
        return dataclasses.replace(self, extra=extra and _with_absolute_path(extra))

    @property
    def drawn(self) -> dict[str, Any]:
        """How errors are drawn, whichever and however strong: the fields of a `Recipe` that are no strengths."""
        names = ("scope", "outline_scope", "omission_rounding", "inclusion_rounding")
        return {name: getattr(self, name) for name in names}


def check_run(run: RunOptions, source: DataOptions) -> None:
    """Refuse what no study can use.

    Raises:
        InputError: names the option and what it may be.
    """
    from segjax.data.spec import parse_spec  # an option that does not exist is told without these
    from segjax.sweeps.trials import shard_of

    parse_spec(source.data)
    shard_of((), run.shard)
    checkpoint_options(run.checkpoint_every)
    for count, number, least in (
        ("seeds", run.seeds, 1),
        ("pack", run.pack, 1),
        ("folds", source.folds, 2),
        ("replicates", source.replicates, 1),
    ):
        if not least <= number <= 1000:
            raise InputError(f"{count} must be from {least} to 1000, not {number}")
    if run.tensorboard:
        check_tensorboard()


def checkpoint_options(every: str) -> dict[str, Any]:
    """When checkpoints are due, as options of `segjax.training.Member`.

    Raises:
        InputError: the text is not a positive number with s, min, h or epochs.
    """
    if (found := re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h)", every)) and float(found[1]) > 0:
        return {"checkpoint_seconds": float(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]}
    if (found := re.fullmatch(r"(\d+)epochs?", every)) and int(found[1]) > 0:
        return {"checkpoint_epochs": int(found[1])}
    raise InputError(f"checkpoint_every: {every!r} is none of 60s, 5min, 2h, 3epochs; give a number above 0 and a unit")


def check_choices(name: str, values: Sequence[Any], allowed: Any) -> None:
    """Raises InputError where a value is unknown or given twice."""
    for value in values:
        if value not in allowed:
            raise InputError(f"{name}: unknown {value!r}; choose from {', '.join(allowed)}")
    if len(set(values)) != len(values):
        raise InputError(f"{name}: a value is given twice; give each once")


def overlaid(config: _AnyConfig, overlay: Mapping[str, Any]) -> _AnyConfig:
    """A configuration with other values of some fields; mappings go into the groups of options."""
    values = {
        name: overlaid(getattr(config, name), value) if isinstance(value, Mapping) else value
        for name, value in overlay.items()
    }
    return dataclasses.replace(config, **values)  # type: ignore[type-var]


def deciding(config: Any) -> dict[str, Any]:
    """The options that decide numbers, by name; groups that are marked as a whole stay whole.

    Raises:
        TypeError: a field is not marked.
    """
    found: dict[str, Any] = {}
    for one in fields(config):
        value = getattr(config, one.name)
        if "decides" in one.metadata:
            if one.metadata["decides"]:
                found[one.name] = _values_of(value)
        elif dataclasses.is_dataclass(value):
            found |= deciding(value)
        else:
            raise TypeError(f"{type(config).__name__}.{one.name} says neither that it decides nor that it arranges")
    return found


def _values_of(value: Any) -> Any:
    """A value as it decides: of a group, all values but those of added fields with their defaults."""
    if not dataclasses.is_dataclass(value):
        return value
    found = {}
    for one in fields(value):
        own = getattr(value, one.name)
        if one.metadata.get("added") and own == one.default:
            continue
        found[one.name] = _digest(own) if one.metadata.get("is_file") else _values_of(own)
    return found


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def flags(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every option of a configuration as the command line names it, with its value."""
    for one in fields(config):
        value = getattr(config, one.name)
        if dataclasses.is_dataclass(value):
            yield from flags(value, prefix + _prefix(one))
        else:
            yield f"--{prefix}{one.name.replace('_', '-')}", value


def flag_of(config: Any, place: Sequence[str]) -> str:
    """The command line's name of a field, from the names of the groups that it is in and its own."""
    prefix = ""
    for name in place[:-1]:
        prefix += _prefix(next(one for one in fields(config) if one.name == name))
        config = getattr(config, name)
    return f"--{prefix}{place[-1].replace('_', '-')}"


def _prefix(group: Any) -> str:
    """What the options of a group are named with, from its field."""
    is_flat = any(getattr(mark, "name", None) == "" for mark in getattr(group.type, "__metadata__", ()))
    return "" if is_flat else f"{group.name.replace('_', '-')}."


def _with_absolute_path(spec: str) -> str:
    place, mark, options = spec.partition("?")
    scheme, _, name = place.partition(":")
    return f"{scheme}:{Path(name).expanduser().resolve()}{mark}{options}" if scheme == "folder" else spec


def _other_set(data: str) -> str | None:
    for own, other in (("hl60", "granulocytes"), ("granulocytes", "hl60")):
        if data.startswith(f"microscope:{own}"):
            return data.replace(f"microscope:{own}", f"microscope:{other}", 1)
    return None
