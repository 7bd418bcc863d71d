"""Classifiers of whole pictures in the studies: options, pictures with image-level labels, trainings."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int32

from experiments.harness.classifier_options import Architecture, Classifier, ClassifierOptions
from experiments.harness.networks import standardisation
from experiments.harness.options import DataOptions, TrainOptions
from experiments.harness.pictures import Domain, Opener, Splitting, open_target, read_samples, unjudged
from experiments.harness.store import Extent, Job, Load, Trainer
from segjax.data import open_source
from segjax.data.ground.georeference import metres_per_pixel
from segjax.data.spec import parse_spec
from segjax.training import LoopConfig, Pictures, Steps, make_steps
from segjax.training.consistency import check_consistent, make_consistent_steps
from segjax.training.losses import balanced_weights
from segjax.types import Georeference, InputError, Sample, Source

USABLE_AUC = 0.9  # below it a classifier has not learnt what its maps are asked for


@dataclass(frozen=True, eq=False)
class LabelledDomain(Domain):
    """Pictures with image-level labels; `labels` are the objects to look for, in the pictures that have the label.

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


def read_labelled(pictures: DataOptions, options: ClassifierOptions, opener: Opener = open_source) -> LabelledDomain:
    """Every picture with its image-level label.

    Raises:
        InputError: a class or label that does not exist, no picture with or without it, or pictures of several sizes.
    """
    source = open_target(pictures, options.target, opener)
    samples = list(read_samples(source))
    presence = _presence(pictures.data, options, source, samples)
    check_kinds(pictures.data, presence)
    objects = np.stack([sample.of_class(options.target) for sample in samples])
    everything = np.stack([sample.labels for sample in samples])
    labels = np.where(presence[:, None, None] == 1, objects, 0)
    ignored = unjudged(samples)
    return LabelledDomain(
        source=source,
        splitting=Splitting.of(pictures),
        images=np.stack([sample.image for sample in samples]),
        labels=labels,
        foreign=np.where(labels == 0, everything, 0),
        ignored=ignored,
        presence=presence,
        outlined=np.logical_not(ignored.all((1, 2))),
        metres=_common_metres(samples),
        places=tuple(sample.georeference for sample in samples),
    )


def check_kinds(data: str, presence: Int32[np.ndarray, " P"]) -> None:
    """Raises InputError where no picture has the object, or none is without it (1 with it, 0 without)."""
    for kind, what in ((1, "shows"), (0, "is without")):
        if kind not in presence:
            raise InputError(f"{data}: no picture {what} the object; give pictures with it and pictures without it")


def check_sides(source: Source, splitting: Splitting, presence: Int32[np.ndarray, " P"], seeds: int) -> None:
    """Raises InputError where groups cannot be divided, or a side of the split lacks pictures of one kind."""
    for seed in range(min(seeds, splitting.distinct)):
        split = splitting.split(source, seed)
        for side in ("train", "validation", "test"):
            shown = set(presence[list(getattr(split, side))])
            if shown != {0, 1}:
                raise InputError(
                    f"{source.spec}: the {side} pictures of seed {seed} all {'show' if 1 in shown else 'lack'} "
                    "the object; give more pictures or groups, or another number of folds"
                )


def _presence(
    data: str, options: ClassifierOptions, source: Source, samples: Sequence[Sample]
) -> Int32[np.ndarray, " P"]:
    names = source.label_names
    if not names:
        if options.label:
            raise InputError(f"label: the pictures of {data} have no image-level labels; give --target instead")
        return np.asarray([sample.of_class(options.target).any() for sample in samples], np.int32)
    if options.label and options.label not in names:
        raise InputError(f"label: {options.label!r} is not a label of {data}; choose one of {', '.join(names)}")
    given = parse_spec(data).options
    is_ordered = "image_labels" not in given or "label_names" in given  # else they come by the alphabet
    if not options.label and not (is_ordered and len(names) == 2):
        raise InputError(f"label: choose one of {', '.join(names)}; classifiers tell it apart from all others")
    wanted = names.index(options.label) if options.label else 1
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


def check_trainable_classifiers(options: ClassifierOptions, domain: LabelledDomain, seeds: int) -> None:
    """Refuse, before anything is written, pictures that a classifier cannot take and groups that cannot be divided.

    Raises:
        InputError: names the network or the option, and the remedy.
    """
    image = jax.ShapeDtypeStruct((1, *domain.images.shape[1:]), np.float32)
    for name in options.classifiers:
        network = classifier_of(options, name, domain)
        jax.eval_shape(network.init, jax.random.key(0), image)
        if Architecture.of(name).consistency:
            try:
                check_consistent(network, image.shape[1:])
            except InputError as error:
                raise InputError(f"classifiers: {name}: {error}") from None
    check_sides(domain.source, domain.splitting, domain.presence, seeds)


def classifier_of(options: ClassifierOptions, name: str, domain: LabelledDomain) -> Any:
    """A classifier for these pictures, which are given their mean and deviation 0 and 1."""
    return options.classifier_sizes.create(name, **standardisation(domain))


class ClassifierTrainer(Trainer[Classifier]):
    """How classifiers are trained; the steps of a network are compiled once, however long it is trained.

    Attributes:
        network: the module of a classifier by name, made once.
    """

    def __init__(self, options: ClassifierOptions, train: TrainOptions, domain: LabelledDomain) -> None:
        """Without class weights in a cross entropy, both classes count alike."""
        step = train.step
        if step.loss == "cross_entropy" and not step.class_weights:
            step = dataclasses.replace(step, class_weights=balanced_weights(domain.presence, 2))
        self._step, self._loop, self._domain = step, train.loop, domain
        self.network: Callable[[str], Any] = functools.cache(functools.partial(classifier_of, options, domain=domain))
        self._steps_of = functools.cache(self._make_steps)

    def kind(self, training: Classifier) -> str:
        return f"{training.network}-{training.epochs}"

    def make_steps(self, kind: str) -> Steps:
        return self._steps_of(kind.rpartition("-")[0])

    def _make_steps(self, name: str) -> Steps:
        if (term := Architecture.of(name).consistency) is None:
            return make_steps(self.network(name), self._step)
        steps = -(-len(self._domain.split(0).train) // self._loop.batch_size) * self._loop.epochs
        return make_consistent_steps(self.network(name), self._step, term, ramp_up=max(1, steps // 2))

    def loop(self, kind: str) -> LoopConfig:
        epochs = int(kind.rpartition("-")[2])
        return dataclasses.replace(self._loop, epochs=epochs or self._loop.epochs)

    def job(self, training: Classifier, load: Load) -> Job:
        split = self._domain.split(training.seed)
        return Job(self._pictures(split.train), self._pictures(split.validation))

    def extent(self, training: Classifier) -> Extent:
        return Extent.of(self._domain.split(training.seed))

    def blank(self, kind: str) -> Pictures:
        return self._pictures(range(self._loop.batch_size))

    def _pictures(self, indices: Sequence[int]) -> Pictures:
        chosen = list(indices)
        return Pictures(self._domain.images[chosen], self._domain.presence[chosen])
