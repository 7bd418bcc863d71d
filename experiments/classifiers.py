"""Classifiers of whole pictures in the studies: options, pictures with image-level labels, trainings on disk."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Bool, Int32

from experiments.kept_trainings import Job, KeptTrainings
from experiments.options import RunOptions, check_choices, check_run
from experiments.pictures import Domain, read_samples, split_of, unjudged
from segjax.data import Split, metres_per_pixel, open_source, parse_spec
from segjax.models import CLASSIFIERS, create
from segjax.sweeps import Cell, cell
from segjax.training import Pictures, Steps, TrainConfig, balanced_weights, make_steps
from segjax.types import Georeference, InputError, Sample, Source

USABLE_AUC = 0.9  # below it a classifier has not learnt what its maps are asked for


@dataclass(frozen=True)
class ClassifierSizes:
    """Sizes of the classifiers; the defaults are the published ones.

    Attributes:
        vgg_head: "average" averages the last maps, which CAM needs; "hidden" is torchvision's head of three layers.
        norm: "running" takes running averages when testing; "group" is GroupNorm; "none" leaves normalisation out (MSD
            never normalises).
        pooling: how the class maps of MSD and U-Net become one number per class.
        dtype: "bfloat16" computes with 16 bits, which is faster on GPUs and TPUs only.
    """

    vgg_width: int = 64
    vgg_head: Literal["average", "hidden"] = "average"
    resnet_width: int = 64
    msd_depth: int = 50
    msd_width: int = 1
    unet_width: int = 64
    unet_levels: int = 4
    norm: Literal["running", "group", "none"] = "running"
    pooling: Literal["average", "log_sum_exp", "top_share", "rank"] = "average"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def options(self, network: str) -> dict[str, Any]:
        """Options of `segjax.models.create` for a classifier."""
        return {"dtype": self.dtype, **self._own_options(network)}

    def _own_options(self, network: str) -> dict[str, Any]:
        if network == "vgg16":
            return {"width": self.vgg_width, "norm": self.norm, "head": self.vgg_head}
        if network == "msd_classifier":
            return {"depth": self.msd_depth, "width": self.msd_width, "pooling": self.pooling}
        if network == "unet_classifier":
            size = {"width": self.unet_width, "levels": self.unet_levels}
            return {**size, "norm": self.norm, "pooling": self.pooling}
        return {"width": self.resnet_width, "norm": self.norm}


@dataclass(frozen=True)
class ClassifierOptions(RunOptions):
    """Options of the studies of classifiers of whole pictures."""

    data: str = "terrain:mounds"
    """Pictures: terrain:mounds, folder:PATH?image_labels=FILE.csv, folder:PATH?tile=64&presence=50, or a folder with
    classes: pictures that show class --target against all others."""
    classifiers: tuple[str, ...] = ("vgg16", "resnet18", "msd_classifier")
    """Any of vgg16, resnet18, resnet34, resnet50, msd_classifier, unet_classifier."""
    classifier_sizes: ClassifierSizes = field(default_factory=ClassifierSizes)
    target: int = 1
    """Class of the objects that are looked for, counted from 1."""
    label: str = ""
    """The image-level label that is looked for. Needed where a table gives more than two or does not say their order by
    label_names; else it is the second."""


@dataclass(frozen=True, eq=False)
class LabelledDomain(Domain):
    """Pictures with image-level labels; `labels` are the objects looked for, in the pictures that have the label.

    Attributes:
        presence: int32 [P], 1 where the picture has the label.
        outlined: bool [P], whether it is known which pixels the object covers.
        metres: ground metres per pixel, where all pictures have the same that is known.
        places: where each picture lies on the ground, where that is known.
    """

    presence: Int32[np.ndarray, " P"]
    outlined: Bool[np.ndarray, " P"]
    metres: float | None
    places: tuple[Georeference | None, ...]

    def with_object(self, indices: Sequence[int]) -> list[int]:
        """Those of the pictures that have the label and an outline."""
        return [
            index for index in indices if self.presence[index] and self.outlined[index] and self.labels[index].any()
        ]

    def without(self, indices: Sequence[int]) -> list[int]:
        """Those of the pictures that do not have the label."""
        return [index for index in indices if not self.presence[index]]


def check_classifiers(config: ClassifierOptions) -> None:
    """Refuse what no study of classifiers can use.

    Raises:
        InputError: names the option and what it may be.
    """
    check_run(config)
    check_choices("classifiers", config.classifiers, CLASSIFIERS)
    if not config.classifiers:
        raise InputError(f"classifiers: name at least one of {', '.join(CLASSIFIERS)}")
    if config.target < 1:
        raise InputError(f"target: classes count from 1, not {config.target}")
    for name in config.classifiers:
        create(name, **config.classifier_sizes.options(name))


def read_labelled(config: ClassifierOptions) -> LabelledDomain:
    """Every picture with its image-level label.

    Raises:
        InputError: a class or label that does not exist, no picture with or without it, or pictures of several sizes.
    """
    source = open_source(config.data)
    if config.target > len(source.class_names):
        raise InputError(
            f"target: class {config.target} is not among those of {config.data}: {', '.join(source.class_names)}"
        )
    samples = read_samples(source)
    presence = _presence(config, source, samples)
    for found, what in ((presence == 1, "shows"), (presence == 0, "is without")):
        if not found.any():
            raise InputError(f"{config.data}: no picture {what} what is looked for; a classifier needs both kinds")
    objects = np.stack([sample.of_class(config.target) for sample in samples])
    everything = np.stack([sample.labels for sample in samples])
    labels = np.where(presence[:, None, None] == 1, objects, 0)
    ignored = unjudged(samples)
    return LabelledDomain(
        source=source,
        images=np.stack([sample.image for sample in samples]),
        labels=labels,
        foreign=np.where(labels == 0, everything, 0),
        ignored=ignored,
        presence=presence,
        outlined=np.logical_not(ignored.all((1, 2))),
        metres=_common_metres(samples),
        places=tuple(sample.georeference for sample in samples),
    )


def _presence(config: ClassifierOptions, source: Source, samples: Sequence[Sample]) -> Int32[np.ndarray, " P"]:
    names = source.label_names
    if not names:
        if config.label:
            raise InputError(f"label: the pictures of {config.data} have no image-level labels; use target")
        return np.asarray([sample.of_class(config.target).any() for sample in samples], np.int32)
    if config.label and config.label not in names:
        raise InputError(f"label: {config.label!r} is not among the labels of {config.data}: {', '.join(names)}")
    options = parse_spec(config.data).options
    is_ordered = "image_labels" not in options or "label_names" in options  # else they come by the alphabet
    if not config.label and not (is_ordered and len(names) == 2):
        raise InputError(f"label: say which of {', '.join(names)} is looked for; it is told apart from all others")
    wanted = names.index(config.label) if config.label else 1
    return np.asarray([sample.label == wanted for sample in samples], np.int32)


def _common_metres(samples: Sequence[Sample]) -> float | None:
    """Ground metres per pixel of all pictures, where each is within 1 % of the median."""
    places = [(sample.georeference, sample.image.shape[:2]) for sample in samples]
    found = [None if place is None else metres_per_pixel(place, shape) for place, shape in places]
    known = [value for value in found if value is not None]
    if not known or len(known) < len(found):
        return None
    middle = float(np.median(known))
    return middle if max(abs(value - middle) for value in known) <= 0.01 * middle else None


def classifier_of(config: ClassifierOptions, name: str, domain: LabelledDomain) -> Any:
    """A classifier for these pictures, which are given their mean and deviation 0 and 1."""
    channels = tuple(range(domain.images.ndim - 1))
    mean = tuple(float(value) for value in domain.images.mean(channels))
    std = tuple(float(max(value, 1e-6)) for value in domain.images.std(channels))
    return create(name, **config.classifier_sizes.options(name), input_mean=mean, input_std=std)


def check_trainable_classifiers(config: ClassifierOptions, domain: LabelledDomain) -> None:
    """Refuse, before anything is written, pictures that a classifier cannot take and groups that cannot be divided.

    Raises:
        InputError: names the network or the option, and the remedy.
    """
    image = jax.ShapeDtypeStruct((1, *domain.images.shape[1:]), np.float32)
    for name in config.classifiers:
        jax.eval_shape(classifier_of(config, name, domain).init, jax.random.key(0), image)
    for seed in range(min(config.seeds, config.folds)):
        split = split_of(domain, config, seed)
        for side in ("train", "validation", "test"):
            shown = set(domain.presence[list(getattr(split, side))])
            if shown != {0, 1}:
                raise InputError(
                    f"{config.data}: the {side} pictures of seed {seed} all {'show' if 1 in shown else 'lack'} what is "
                    "looked for; give more pictures or groups, or another number of folds"
                )


def training_cell(data: str, network: str, seed: int, epochs: int) -> Cell:
    """The training of a classifier, as the store knows it; `epochs` 0 are those of the configuration."""
    return cell(data=data, network=network, seed=seed, epochs=epochs)


class Classifiers(KeptTrainings):
    """Classifiers of one study by their cells (`training_cell`); the steps of a network are compiled once."""

    def __init__(self, config: ClassifierOptions, domain: LabelledDomain) -> None:
        """Without class weights in a cross entropy, both classes count alike."""
        train = config.train
        if train.loss == "cross_entropy" and not train.class_weights:
            train = dataclasses.replace(train, class_weights=balanced_weights(domain.presence, 2))
        super().__init__(config, lambda one: f"{one['network']}-{one['epochs']}")
        self._train_config, self._domain = train, domain
        self.network = functools.cache(functools.partial(classifier_of, config, domain=domain))
        self.steps_of = functools.cache(lambda name: make_steps(self.network(name), train))
        self.split: Callable[[int], Split] = functools.cache(functools.partial(split_of, domain, config))

    def make_steps(self, kind: str) -> Steps:
        """Those of the network, however long it is trained."""
        return self.steps_of(kind.rpartition("-")[0])

    def train_config(self, kind: str) -> TrainConfig:
        """With the kind's number of epochs."""
        epochs = int(kind.rpartition("-")[2])
        return dataclasses.replace(self._train_config, epochs=epochs or self._train_config.epochs)

    def job(self, cell: Cell) -> Job:
        """The training of a classifier made ready."""
        split = self.split(cell["seed"])
        return Job(cell, self.pictures(split.train), self.pictures(split.validation))

    def pictures(self, indices: Sequence[int]) -> Pictures:
        """Pictures with their image-level labels."""
        chosen = list(indices)
        return Pictures(self._domain.images[chosen], self._domain.presence[chosen])
