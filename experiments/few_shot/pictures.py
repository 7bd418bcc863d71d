"""Pictures with types: what extractors are trained on, the candidates for shots, the queries, and how many features."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, Int32

from experiments.few_shot.grid import Config, folders_by_name
from experiments.few_shot.trials import (
    ALL_MAPS,
    BINARY,
    NONE,
    TRAIN,
    UNSEEN,
    Training,
    bank_from_files,
    extractors_of,
)
from experiments.few_shot.trials import IGNORED as LEFT_OUT
from experiments.harness.networks import check_trainable, network_of
from experiments.harness.options import Sizes, zoo_name
from experiments.harness.pictures import (
    Opener,
    PictureSet,
    Splitting,
    open_pictures,
    read_samples,
    stable_number,
    unjudged,
)
from segjax.data import open_source
from segjax.data.feature_files import FeatureFiles, open_features
from segjax.data.splits import split_groups
from segjax.fewshot.bank import LAST_FULL_LAYER
from segjax.fewshot.draws import check_apart
from segjax.fewshot.targets import type_target
from segjax.types import IGNORED, InputError

HELD_BACK = 0.3  # share of the training groups that extractors do not see, where candidates come from there


@dataclass(frozen=True, eq=False)
class TypedPictures(PictureSet):
    """Pictures whose objects have types.

    Attributes:
        labels: int32 [P, H, W], all objects.
        classes: int32 [P, H, W], the class of every pixel: 0 background, -1 not judged.
        types: the classes that take part, by name.
        counts: number of features of each (network, bank); features from files have no network.
        files: by bank, features that another model computed.
    """

    labels: Int32[np.ndarray, "P H W"]
    classes: Int32[np.ndarray, "P H W"]
    types: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    files: Mapping[str, FeatureFiles] = field(default_factory=dict)

    @cached_property
    def areas(self) -> Int[np.ndarray, "P K"]:
        """Pixels of class 0, 1, ... in each picture."""
        count = len(self.source.class_names) + 1
        return np.stack([np.bincount(one[one >= 0], minlength=count) for one in self.classes])


@dataclass(frozen=True, eq=False)
class HeldOutType:
    """A class while it is the new one of a seed."""

    config: Config
    pictures: TypedPictures
    seed: int
    new: int
    candidates: str = TRAIN

    @cached_property
    def support(self) -> Int[np.ndarray, " S"]:
        """The pictures that shots are drawn from, as indices into the source."""
        side = candidates_of(self.config, self.pictures, self.seed)[self.candidates]
        showing = showing_type(self.config, self.pictures, side, self.new)
        key = jax.random.key(stable_number(f"candidates {self.seed} {self.new}"))
        order = jax.random.permutation(key, len(showing))
        return np.sort(showing[np.asarray(order)[: self.config.candidates]])

    @cached_property
    def query(self) -> Int[np.ndarray, " Q"]:
        """The pictures that are segmented; none shares a group with the support."""
        test, areas = np.asarray(self.pictures.split(self.seed).test), self.pictures.areas
        query = test[np.linspace(0, len(test) - 1, min(self.config.queries, len(test))).astype(int)]
        if not areas[query, self.new].any():  # a rare type: the pictures that show it most come first
            query = np.sort(test[np.argsort(-areas[test, self.new], kind="stable")[: len(query)]])
        groups = self.pictures.source.groups
        check_apart([groups[index] for index in self.support], [groups[index] for index in query])
        return query

    @cached_property
    def truth(self) -> Int32[np.ndarray, "Q H W"]:
        """Where the class is in the query pictures: 1, 0 elsewhere, -1 not judged."""
        classes = self.pictures.classes[self.query]
        return np.where(classes == IGNORED, IGNORED, classes == self.new).astype(np.int32)

    def objects(self, index: int) -> Int32[np.ndarray, "H W"]:
        """Those of the class in one picture."""
        return np.where(self.pictures.classes[index] == self.new, self.pictures.labels[index], 0).astype(np.int32)

    def targets(self, indices: Int[np.ndarray, " P"]) -> Int32[np.ndarray, "P H W"]:
        """What a head is fitted to: 1 the class, 0 background, -1 not judged."""
        ignored, line = self.pictures.classes == IGNORED, self.config.delineation
        return np.stack([type_target(self.objects(index), line, ignored[index]) for index in indices])


def read(config: Config, opener: Opener = open_source) -> TypedPictures:
    """Open and read the pictures of a resolved configuration, with the types that take part.

    Raises:
        InputError: the pictures cannot be used, show too few types, or their networks give too few features; features
            from files cannot be used.
    """
    pictures = read_pictures(config, opener)
    check_trainable(config.segmentation, pictures, config.run.seeds)
    found = dataclasses.replace(pictures, types=types_of(config, pictures), files=read_features(config, pictures))
    counts = {(NONE, bank): files.shape[-1] for bank, files in found.files.items()}
    return dataclasses.replace(found, counts={**feature_counts(config, found), **counts})


def read_pictures(config: Config, opener: Opener = open_source) -> TypedPictures:
    """Read every picture.

    Raises:
        InputError: the source cannot be read, its pictures differ in size, or its objects have no types.
    """
    source = open_pictures(config.source, opener)
    if len(source.class_names) < 2:
        raise InputError(
            f"{source.spec}: its objects have no types; give pictures with at least two classes, such as "
            "microscope:tissue or a folder with class images in classes/"
        )
    samples = list(read_samples(source))
    ignored = unjudged(samples)
    labels = np.stack([sample.labels for sample in samples])
    classes = np.stack([np.append(0, sample.classes)[sample.labels] for sample in samples])
    if config.others == "ignored":
        ignored |= ~np.isin(classes, [0, *config.types])
    classes = np.where(ignored, IGNORED, classes).astype(np.int32)
    images = np.stack([sample.image for sample in samples])
    return TypedPictures(source, Splitting.of(config.source), images, labels, classes)


def read_features(config: Config, pictures: PictureSet) -> dict[str, FeatureFiles]:
    """Features that another model computed, by bank. Raises InputError where a file cannot be used."""
    names, size = pictures.source.names, pictures.images.shape[1:3]
    read = {name: open_features(folder, names, size) for name, folder in folders_by_name(config.features).items()}
    return {bank_from_files(name, files.digest): files for name, files in read.items()}


def types_of(config: Config, pictures: TypedPictures) -> dict[str, int]:
    """The classes that take part, by name.

    Raises:
        InputError: an unknown class, or one that too few pictures show; without --types, fewer than two that enough do.
    """
    names = pictures.source.class_names
    unknown = [new for new in config.types if new > len(names)]
    if unknown:
        raise InputError(
            f"types: there is no class {unknown[0]} in {config.source.data}; give numbers from 1 to {len(names)} "
            f"({', '.join(names)})"
        )
    lacking = {}
    for new in config.types or range(1, len(names) + 1):
        for seed in range(config.run.seeds):
            sides = candidates_of(config, pictures, seed).values()
            shown = min(len(showing_type(config, pictures, side, new)) for side in sides)
            if shown < max(config.shots):
                lacking[new] = (
                    f"only {shown} training pictures of seed {seed} show {names[new - 1]}, too few for --shots "
                    f"{max(config.shots)}; give more pictures or fewer shots"
                )
            elif not pictures.areas[list(pictures.split(seed).test), new].any():
                lacking[new] = f"no test picture of seed {seed} shows {names[new - 1]}; give more pictures"
    if config.types and lacking:
        raise InputError(f"types: {next(iter(lacking.values()))}, or leave this class out")
    chosen = config.types or tuple(new for new in range(1, len(names) + 1) if new not in lacking)
    if len(chosen) < 2:
        raise InputError(f"types: fewer than two classes can take part: {'. '.join(lacking.values())}")
    return {names[new - 1]: new for new in chosen}


def feature_counts(config: Config, pictures: TypedPictures) -> dict[tuple[str, str], int]:
    """Number of features of each (network, bank), without training or computing anything.

    Raises:
        InputError: more features are asked for than the first bank has.
    """
    counts, classes = {}, tuple(pictures.types.values())
    for name in config.segmentation.networks:
        for bank in config.banks:
            counts[name, bank] = 0
            for one in extractors_of(bank, name, 0, classes[0], classes, together=config.new_together):
                shapes = map_shapes(network_of(sizes_of(config, one.halvings), name, pictures), pictures)
                counts[name, bank] += sum(shapes[layer][-1] for layer in layers_of(config, name, bank, shapes))
        most = counts[name, config.banks[0]]
        if max(config.feature_counts, default=1) > most:
            raise InputError(
                f"feature_counts: {max(config.feature_counts)} are more than the {most} of {name} with the extractors "
                f"{config.banks[0]}; give fewer, or a wider network (--sizes)"
            )
    return counts


def sizes_of(config: Config, halvings: int) -> Sizes:
    """Sizes of the networks after their width (MSD: depth) is halved some times."""
    sizes = config.segmentation.sizes
    names = ("unet_width", "segnet_width", "msd_depth", "encoder_width")
    return dataclasses.replace(sizes, **{name: max(1, getattr(sizes, name) >> halvings) for name in names})


def candidates_of(config: Config, pictures: PictureSet, seed: int) -> dict[str, tuple[int, ...]]:
    """Training pictures that shots are chosen from, by kind of candidates."""
    train = pictures.split(seed).train
    if config.candidates_from == TRAIN:
        return {TRAIN: train}
    parts = split_groups([pictures.source.groups[index] for index in train], seed, (1 - HELD_BACK, HELD_BACK))
    seen, unseen = (tuple(train[place] for place in part) for part in parts)
    both = {TRAIN: seen, UNSEEN: unseen}
    return both if config.candidates_from == "both" else {UNSEEN: unseen}


def learnt_from(config: Config, pictures: PictureSet, training: Training) -> tuple[int, ...]:
    """The pictures that a training learns from."""
    is_everything = training.pictures == TRAIN
    return pictures.split(training.seed).train if is_everything else extracted_from(config, pictures, training.seed)


def extracted_from(config: Config, pictures: PictureSet, seed: int) -> tuple[int, ...]:
    """The training pictures that are not held back from the extractors."""
    train, held_back = pictures.split(seed).train, candidates_of(config, pictures, seed).get(UNSEEN, ())
    return tuple(sorted(set(train) - set(held_back)))


def learnt_types(pictures: TypedPictures, training: Training) -> list[int]:
    """The classes that a training tells apart, in the order of its outputs after the first, which is the rest."""
    held = training.held.split("+")
    return (
        [training.own] if training.task == BINARY else [one for one in pictures.types.values() if str(one) not in held]
    )


def map_shapes(network: Any, pictures: PictureSet) -> dict[str, tuple[int, ...]]:
    """Shapes [1, h, w, F] of a network's named maps of one of the pictures."""
    image = jax.ShapeDtypeStruct((1, *pictures.images.shape[1:]), np.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    maps = jax.eval_shape(lambda own, x: network.apply(own, x, features=True)[1], variables, image)
    return {name: value.shape for name, value in maps.items()}


def layers_of(config: Config, name: str, bank: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The layers whose maps are features of a bank."""
    if ALL_MAPS in bank:
        return tuple(shapes)
    if config.maps == "full":
        return LAST_FULL_LAYER[zoo_name(name)]
    largest = max(height for _, height, _, _ in shapes.values())
    return tuple(layer for layer, (_, height, _, _) in shapes.items() if 2 * height >= largest - 1)


def training_targets(
    pictures: TypedPictures, indices: tuple[int, ...], training: Training
) -> Int32[np.ndarray, "P H W"]:
    """Targets of an extractor: 0 background, 1, 2, ... the abundant types; -1 what is left out."""
    held = [int(one) for one in training.held.split("+") if one]
    learnt = learnt_types(pictures, training)
    table = np.zeros(len(pictures.source.class_names) + 2, np.int32)  # the last place is that of -1
    table[learnt] = np.arange(1, len(learnt) + 1)
    table[-1] = IGNORED
    if held and training.unseen == LEFT_OUT:
        table[held] = IGNORED
    return table[pictures.classes[list(indices)]]


def showing_type(config: Config, pictures: TypedPictures, indices: tuple[int, ...], new: int) -> Int[np.ndarray, " P"]:
    """Of some pictures those that show enough of a class to be a shot."""
    side = np.asarray(indices)
    return side[pictures.areas[side, new] >= config.minimum_pixels]
