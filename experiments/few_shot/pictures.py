"""Pictures with types: what extractors are trained on, the candidates for shots, and the queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Int32

from experiments.few_shot.config import IGNORED as LEFT_OUT
from experiments.few_shot.config import JOINT, StudyConfig
from experiments.pictures import PictureSet, read_samples, split_of, stable_number, unjudged
from segjax.data import open_source
from segjax.fewshot import check_apart, type_target
from segjax.sweeps import Cell
from segjax.types import IGNORED, InputError


@dataclass(frozen=True, eq=False)
class TypedPictures(PictureSet):
    """Pictures whose objects have types.

    Attributes:
        labels: int32 [P, H, W], all objects.
        classes: int32 [P, H, W], the class of every pixel: 0 background, -1 not judged.
    """

    labels: Int32[np.ndarray, "P H W"]
    classes: Int32[np.ndarray, "P H W"]

    @cached_property
    def areas(self) -> Int[np.ndarray, "P K"]:
        """Pixels of class 0, 1, ... in each picture."""
        count = len(self.source.class_names) + 1
        return np.stack([np.bincount(each[each >= 0], minlength=count) for each in self.classes])

    def objects(self, index: int, new: int) -> Int32[np.ndarray, "H W"]:
        """The objects of a class in one picture."""
        return np.where(self.classes[index] == new, self.labels[index], 0).astype(np.int32)

    def masks(self, indices: Int[np.ndarray, " P"], new: int) -> Int32[np.ndarray, "P H W"]:
        """Where a class is in some pictures: 1, 0 elsewhere, -1 not judged."""
        classes = self.classes[indices]
        return np.where(classes == IGNORED, IGNORED, classes == new).astype(np.int32)


class Sides(NamedTuple):
    """Pictures that shots of a type are drawn from, and those that are segmented; indices into the source."""

    support: Int[np.ndarray, " S"]
    query: Int[np.ndarray, " Q"]


def read_pictures(config: StudyConfig) -> TypedPictures:
    """Read every picture.

    Raises:
        InputError: the source cannot be read, its pictures differ in size, or its objects have no types.
    """
    source = open_source(config.data)
    if len(source.class_names) < 2:
        raise InputError(
            f"{source.spec}: its objects have no types; give pictures with at least two classes, as microscope:tissue "
            "or a folder with class images in classes/"
        )
    samples = read_samples(source)
    ignored = unjudged(samples)
    labels = np.stack([sample.labels for sample in samples])
    classes = np.stack([np.append(0, sample.classes)[sample.labels] for sample in samples])
    if config.others == "ignored":
        ignored |= ~np.isin(classes, [0, *config.types])
    classes = np.where(ignored, IGNORED, classes).astype(np.int32)
    return TypedPictures(source, np.stack([sample.image for sample in samples]), labels, classes)


def types_of(config: StudyConfig, pictures: TypedPictures) -> dict[int, str]:
    """The classes that take part, with their names.

    Raises:
        InputError: an unknown class, or one that too few pictures show; without --types, fewer than two that enough do.
    """
    names = pictures.source.class_names
    unknown = [new for new in config.types if new > len(names)]
    if unknown:
        raise InputError(f"types: there is no class {unknown[0]} in {config.data}; there are: {', '.join(names)}")
    lacking = {}
    for new in config.types or range(1, len(names) + 1):
        for seed in range(config.seeds):
            split = split_of(pictures, config, seed)
            shown, tested = len(_showing(config, pictures, split.train, new)), pictures.areas[list(split.test), new]
            if shown < max(config.shots):
                lacking[new] = (
                    f"{shown} training pictures of seed {seed} show {names[new - 1]}, but {max(config.shots)}"
                )
                lacking[new] += " shots are asked for; give more pictures or fewer shots"
            elif not tested.any():
                lacking[new] = f"no test picture of seed {seed} shows {names[new - 1]}"
    if config.types and lacking:
        raise InputError(f"types: {next(iter(lacking.values()))}, or leave this type out")
    chosen = config.types or tuple(new for new in range(1, len(names) + 1) if new not in lacking)
    if len(chosen) < 2:
        raise InputError(f"types: fewer than two can take part: {'; '.join(lacking.values())}")
    return {new: names[new - 1] for new in chosen}


def sides_of(config: StudyConfig, pictures: TypedPictures, seed: int, new: int) -> Sides:
    """The candidates for shots of a class and the query pictures, of different groups."""
    split = split_of(pictures, config, seed)
    showing = _showing(config, pictures, split.train, new)
    order = jax.random.permutation(jax.random.key(stable_number(f"candidates {seed} {new}")), len(showing))
    support = np.sort(showing[np.asarray(order)[: config.candidates]])
    test = np.asarray(split.test)
    query = test[np.linspace(0, len(test) - 1, min(config.queries, len(test))).astype(int)]
    if not pictures.areas[query, new].any():  # a rare type: the pictures that show it most come first
        query = np.sort(test[np.argsort(-pictures.areas[test, new], kind="stable")[: len(query)]])
    groups = pictures.source.groups
    check_apart([groups[index] for index in support], [groups[index] for index in query])
    return Sides(support, query)


def shot_targets(
    config: StudyConfig, pictures: TypedPictures, indices: Int[np.ndarray, " P"], new: int
) -> Int32[np.ndarray, "P H W"]:
    """What a head is fitted to: 1 the class, 0 background, -1 not judged."""
    return np.stack(
        [
            type_target(pictures.objects(index, new), config.delineation, pictures.classes[index] == IGNORED)
            for index in indices
        ]
    )


def training_targets(
    pictures: TypedPictures, indices: tuple[int, ...], training: Cell, types: Mapping[int, str]
) -> Int32[np.ndarray, "P H W"]:
    """Targets of an extractor: 0 background, 1, 2, ... the abundant types; -1 what is left out."""
    held = training["held"]
    learnt = [training["own"]] if training["task"] != JOINT else [new for new in types if new != held]
    table = np.zeros(len(pictures.source.class_names) + 2, np.int32)  # the last place is that of -1
    table[learnt] = np.arange(1, len(learnt) + 1)
    table[-1] = IGNORED
    if held and training["unseen"] == LEFT_OUT:
        table[held] = IGNORED
    return table[pictures.classes[list(indices)]]


def _showing(config: StudyConfig, pictures: TypedPictures, indices: tuple[int, ...], new: int) -> Int[np.ndarray, " P"]:
    """Of some pictures those that show enough of a class to be a shot."""
    side = np.asarray(indices)
    return side[pictures.areas[side, new] >= config.least]
