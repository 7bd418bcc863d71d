"""The networks of the study: extractors of the abundant types, and the one that has all labels of a type."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int

from experiments.few_shot.config import BACKGROUND, BINARY, JOINT, StudyConfig
from experiments.few_shot.grid import extractors_of, training
from experiments.few_shot.pictures import TypedPictures, training_targets
from experiments.kept_trainings import Job, KeptTrainings
from experiments.pictures import split_of
from experiments.training import network_of
from segjax.fewshot import Extractor, FeatureBank, load_extractors, save_extractors, with_statistics
from segjax.fewshot.bank import LAST_FULL_LAYER
from segjax.fewshot.files import extractor_files
from segjax.sweeps import Cell
from segjax.training import Pictures, Steps, make_steps, predict


def network_for(config: StudyConfig, name: str, task: str, pictures: TypedPictures, types: Mapping[int, str]) -> Any:
    """The network of a training: one output per abundant type and one for the rest, or two."""
    return network_of(config.sizes, name, pictures, classes=len(types) if task == JOINT else 2)


def feature_counts(
    config: StudyConfig, pictures: TypedPictures, types: Mapping[int, str]
) -> dict[tuple[str, str], int]:
    """Number of features of each (network, bank), without training or computing anything."""
    counts = {}
    for name in config.networks:
        shapes = map_shapes(network_of(config.sizes, name, pictures), pictures)
        each = sum(shapes[layer][-1] for layer in layers_of(config, name, shapes))
        for bank in config.banks:
            counts[name, bank] = each * len(extractors_of(bank, name, 0, next(iter(types)), types))
    return counts


def map_shapes(network: Any, pictures: TypedPictures) -> dict[str, tuple[int, ...]]:
    """Shapes [1, h, w, F] of a network's named maps of one of the pictures."""
    image = jax.ShapeDtypeStruct((1, *pictures.images.shape[1:]), np.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    maps = jax.eval_shape(lambda own, x: network.apply(own, x, features=True)[1], variables, image)
    return {name: value.shape for name, value in maps.items()}


def layers_of(config: StudyConfig, name: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The layers whose maps are features."""
    if config.maps == "full":
        return LAST_FULL_LAYER[name]
    largest = max(height for _, height, _, _ in shapes.values())
    return tuple(layer for layer, (_, height, _, _) in shapes.items() if 2 * height >= largest - 1)


class Extractors(KeptTrainings):
    """Trained networks and the banks made of them; each is trained once, whatever cells need it."""

    def __init__(self, config: StudyConfig, pictures: TypedPictures, types: Mapping[int, str]) -> None:
        super().__init__(config, lambda each: f"{each['network']}-{each['task']}")
        self._config, self._pictures, self._types = config, pictures, types
        self._network = cache(lambda name, task: network_for(config, name, task, pictures, types))

    def make_steps(self, kind: str) -> Steps:
        name, _, task = kind.partition("-")
        return make_steps(self._network(name, task), self._config.train.step)

    def job(self, cell: Cell) -> Job:
        split = split_of(self._pictures, self._config, cell["seed"])
        train, validation = (
            Pictures(self._pictures.images[list(side)], training_targets(self._pictures, side, cell, self._types))
            for side in (split.train, split.validation)
        )
        return Job(cell, train, validation)

    def bank(self, name: str, network: str, seed: int, new: int) -> FeatureBank:
        """A bank while a class is the new one, standardised over all training pictures; kept in OUT/extractors."""
        folder = self.folder(name, network, seed, new)
        trainings = extractors_of(name, network, seed, new, self._types)
        with self.locked(trainings):
            if len(extractor_files(folder)) < len(trainings):  # they are written in order, each at once
                images = [self._pictures.images[index] for index in split_of(self._pictures, self._config, seed).train]
                made = self._network(network, trainings[0]["task"])
                layers = layers_of(self._config, network, map_shapes(made, self._pictures))
                found = [Extractor(made, self.load(each).variables, layers) for each in trainings]
                save_extractors(folder, [with_statistics(extractor, images) for extractor in found])
        return FeatureBank(load_extractors(folder))

    def folder(self, name: str, network: str, seed: int, new: int) -> Path:
        """Where the extractors of a bank are kept."""
        return self._config.out / "extractors" / f"{network}-{name.replace(' ', '-')}-seed-{seed}-new-{new}"

    def predicted(
        self, network: str, seed: int, new: int, indices: Int[np.ndarray, " P"]
    ) -> tuple[Bool[np.ndarray, "P H W"], str, int]:
        """What the network with all labels of a class predicts, how its training ended, and how often it restarted."""
        reference = all_labels(network, seed, new)
        trained = self.load(reference)
        predicted = predict(self.steps(self.kind_of(reference)), trained.variables, self._pictures.images[indices]) > 0
        return predicted, trained.status, trained.restarts


def all_labels(network: str, seed: int, new: int) -> Cell:
    """The training that has all labels of a class: that of a binary extractor that leaves nothing out."""
    return training(network, seed, BINARY, new, 0, BACKGROUND)
