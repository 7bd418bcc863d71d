"""Training one network of a recipe, and its scores on pictures that it never saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from experiments.harness.pictures import stable_number
from experiments.harness.weights import objects_of, told
from experiments.pretrain.jitter import Jittered
from experiments.pretrain.recipes import Recipe
from experiments.pretrain.schedule import learn
from segjax.data import Patches, open_source
from segjax.data.patches import class_target
from segjax.data.splits import split_groups
from segjax.data.tiles import cropped
from segjax.evaluation import counts, dice, f1, overlaps
from segjax.fewshot import Extractor
from segjax.fewshot.bank import with_statistics
from segjax.models import create
from segjax.ops.components import components
from segjax.training import Pictures, make_steps
from segjax.types import IGNORED, InputError, Sample, Source

SHARES = (0.5, 1 / 6, 1 / 3)  # to learn from, to choose the best epoch, to score on
MOST_FOR_STATISTICS = 16


class Score(NamedTuple):
    """Of one held-out picture, by a network that learnt from so many; objects of all classes count alike.

    Attributes:
        draw: which of the networks that learnt from so many, each from other pictures.
        dice: of all pixels that were judged.
        f1: of the objects; those of a prediction are its connected pieces.
    """

    network: str
    annotated_pictures: int
    draw: int
    picture: str
    dice: float
    f1: float


@dataclass(frozen=True, eq=False)
class Material:
    """The pictures of a recipe.

    Attributes:
        source: all of them, whole.
        learning: their middles, all of one size.
        train, validation, test: indices.
    """

    recipe: Recipe
    source: Source
    learning: Source
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the networks' outputs."""
        shown = [name for name in self.source.class_names if name not in self.recipe.held_out]
        return self.recipe.classes or ("background", *shown)

    @cached_property
    def _outputs(self) -> np.ndarray:
        """The output of background and of each class of the pictures; that of a held-out class is ignored."""
        is_held = [False, *(name in self.recipe.held_out for name in self.source.class_names)]
        return np.where(is_held, IGNORED, np.cumsum(np.logical_not(is_held)) - 1).astype(np.int32)

    def target(self, sample: Sample) -> Int32[np.ndarray, "H W"]:
        """What is learnt of a picture: the output of every pixel, -1 where none is asked for."""
        classes = class_target(sample)
        return np.where(classes < 0, np.int32(IGNORED), self._outputs[classes])

    @cached_property
    def samples(self) -> list[Sample]:
        """The pictures to learn from."""
        return [self.learning[index] for index in self.train]

    @cached_property
    def objects(self) -> dict[str, Any]:
        """What the card holds of the objects to learn from; see `experiments.harness.weights.told`."""
        shown = [(one.image, self.target(one), one.labels) for one in self.samples]
        parts = [objects_of(image, np.where(target > 0, labels, target)) for image, target, labels in shown]
        return told(self.classes[1:], [one for one in parts if one is not None])

    def of(self, count: int, draw: int = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """So many annotated pictures: to learn from, and about a fifth of them to choose the best epoch.

        Those of a draw follow on those of the draw before, and begin again where there are no more.
        """
        if count == len(self.train) + len(self.validation):
            return self.train, self.validation
        own = max(1, round(count / 5))
        most = min(len(self.train), len(self.validation) * 5)
        if not 2 <= count <= most:
            raise InputError(
                f"scratch: {count} annotated pictures are too {'few' if count < 2 else 'many'}; there are "
                f"{len(self.train)} to learn from. Give a number from 2 to {most}."
            )
        sides = zip((self.train, self.validation), (count - own, own), strict=True)
        train, validation = (np.resize(np.roll(side, -draw * wanted), wanted).tolist() for side, wanted in sides)
        return tuple(train), tuple(validation)


def open_material(recipe: Recipe, pictures: str) -> Material:
    """The pictures of a recipe; the division depends on the names of their groups alone.

    Raises:
        InputError: they cannot be read.
    """
    source = open_source(recipe.data.format(pictures=pictures))
    learning = cropped(source, recipe.crop)
    return Material(recipe, source, learning, *split_groups(source.groups, 0, SHARES))


def options_of(material: Material, kind: str) -> dict[str, Any]:
    """Options of a network of the recipe, all that decide its variables or their meaning."""
    recipe = material.recipe
    options = {**recipe.networks[kind], "classes": len(material.classes)}
    if kind == "msd":
        images = np.stack([sample.image for sample in material.samples])
        options |= {"input_mean": _rounded(images.mean((0, 1, 2))), "input_std": _rounded(images.std((0, 1, 2)))}
    return options


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


class Made(NamedTuple):
    """A trained network of a recipe.

    Attributes:
        options: of `segjax.models.create`.
        variables: float16.
        ended: how long it was trained, and what ended that.
        mean, std: float32 [F] of its features, where it is an extractor.
    """

    options: dict[str, Any]
    variables: dict[str, Any]
    ended: str
    mean: Float32[np.ndarray, " F"] | None
    std: Float32[np.ndarray, " F"] | None


class Trained(NamedTuple):
    """Variables rounded to float16, and what ended their training."""

    variables: dict[str, Any]
    ended: str


class Maker:
    """Trains and scores one network of a recipe; what is compiled serves all its trainings.

    Attributes:
        all: number of the annotated pictures that the weights are made of.
    """

    def __init__(self, material: Material, kind: str) -> None:
        self.material, self.kind, self.options = material, kind, options_of(material, kind)
        self.network = create(kind, **self.options)
        self._steps, self._apply = make_steps(self.network, material.recipe.step), jax.jit(self.network.apply)
        self.all = len(material.train) + len(material.validation)

    def make(self) -> Made:
        """The network that is kept."""
        (variables, ended), layers = self.train(self.all), self.material.recipe.extractors.get(self.kind, ())
        if not layers:
            return Made(self.options, variables, ended, None, None)
        extractor = Extractor(self.network, _exact(variables), layers, turned=True)
        images = [one.image for one in self.material.samples[:MOST_FOR_STATISTICS]]
        known = with_statistics(extractor, images)
        return Made(self.options, variables, ended, known.mean, known.std)

    def train(self, count: int, draw: int = 0) -> Trained:
        """The network from nothing and so many annotated pictures, others in every draw."""
        recipe, material = self.material.recipe, self.material
        train, validation = material.of(count, draw)
        feed = Jittered(Patches(material.learning, train, recipe.patches, material.target), recipe.jitter)
        held = [material.learning[index] for index in validation]
        chosen = Pictures(np.stack([one.image for one in held]), np.stack([material.target(one) for one in held]))
        seed, per_epoch = stable_number(f"{self.kind} {count}") + draw, feed.patches.steps
        return Trained(*learn(self.kind, seed, self._steps, feed, chosen, recipe.schedule, per_epoch=per_epoch))

    def scores(self, variables: Mapping[str, Any], count: int, draw: int = 0) -> list[Score]:
        """Of the held-out pictures, whole, by a network that learnt from so many."""
        exact, found = _exact(variables), []
        for index in self.material.test:
            sample = self.material.source[index]
            target = self.material.target(sample)
            truth = np.where(target > 0, sample.labels, 0)
            mask = np.asarray(self._apply(exact, sample.image[None])[0]).argmax(-1) > 0
            mask &= target != IGNORED
            own, objects = counts(mask, truth > 0), overlaps(components(mask), truth)
            values = round(float(dice(own)), 4), round(f1(objects), 4)
            found.append(Score(self.kind, count, draw, sample.name, *values))
        return found


def _exact(variables: Mapping[str, Any]) -> dict[str, Any]:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), dict(variables))
