"""Training one network of a recipe, and its scores on pictures that it never saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from experiments.harness.pictures import stable_number
from experiments.pretrain.recipes import Recipe
from segjax.data import Patches, open_source
from segjax.data.patches import class_target
from segjax.data.splits import split_groups
from segjax.data.tiles import cropped
from segjax.evaluation import counts, dice, f1, overlaps
from segjax.evaluation.references import median_radius
from segjax.fewshot import Extractor
from segjax.fewshot.bank import with_statistics
from segjax.models import create
from segjax.ops.components import components
from segjax.training import LoopConfig, Pictures, fit, make_steps
from segjax.types import InputError, Sample, Source

SHARES = (0.5, 1 / 6, 1 / 3)  # to learn from, to choose the best epoch, to score on
MOST_FOR_STATISTICS = 16


class Score(NamedTuple):
    """Of one held-out picture, by a network that learnt from so many; objects of all classes count alike.

    Attributes:
        dice: of all pixels that were judged.
        f1: of the objects; those of a prediction are its connected pieces.
    """

    network: str
    annotated_pictures: int
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
        return self.recipe.classes or ("background", *self.source.class_names)

    @cached_property
    def samples(self) -> list[Sample]:
        """The pictures to learn from."""
        return [self.learning[index] for index in self.train]

    @property
    def diameters(self) -> tuple[float, float]:
        """Of the objects to learn from, in pixels: the smallest and the largest median of a picture."""
        medians = [2 * median_radius(one.labels[None]) for one in self.samples if one.labels.any()]
        return min(medians), max(medians)

    def of(self, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """So many annotated pictures: to learn from, and about a fifth of them to choose the best epoch."""
        if count == len(self.train) + len(self.validation):
            return self.train, self.validation
        own = max(1, round(count / 5))
        if count - own > len(self.train) or own > len(self.validation) or count < 2:
            raise InputError(
                f"scratch: {count} annotated pictures cannot be had; there are {len(self.train)} to learn from, and "
                "at least 2 are needed; give another number"
            )
        return self.train[: count - own], self.validation[:own]


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
        mean, std: float32 [F] of its features, where it is an extractor.
    """

    options: dict[str, Any]
    variables: dict[str, Any]
    mean: Float32[np.ndarray, " F"] | None
    std: Float32[np.ndarray, " F"] | None


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
        variables, layers = self.train(self.all), self.material.recipe.extractors.get(self.kind, ())
        if not layers:
            return Made(self.options, variables, None, None)
        extractor = Extractor(self.network, _exact(variables), layers, turned=True)
        images = [one.image for one in self.material.samples[:MOST_FOR_STATISTICS]]
        known = with_statistics(extractor, images)
        return Made(self.options, variables, known.mean, known.std)

    def train(self, count: int) -> dict[str, Any]:
        """Variables rounded to float16, from nothing and so many annotated pictures."""
        recipe, learning = self.material.recipe, self.material.learning
        train, validation = self.material.of(count)
        feed = Patches(learning, train, recipe.patches)
        held = [learning[index] for index in validation]
        chosen = Pictures(np.stack([one.image for one in held]), np.stack([class_target(one) for one in held]))
        loop = LoopConfig(batch_size=recipe.patches.batch_size, epochs=max(1, round(recipe.steps / feed.steps)))
        found = fit(jax.random.key(stable_number(f"{self.kind} {count}")), self._steps, feed, chosen, loop)
        if found.status != "ok":
            raise InputError(f"{self.kind}: its training {found.status}; give the recipe another step size")
        return jax.tree.map(lambda leaf: np.asarray(leaf, np.float16), found.variables)

    def scores(self, variables: Mapping[str, Any], count: int) -> list[Score]:
        """Of the held-out pictures, whole, by a network that learnt from so many."""
        exact, found = _exact(variables), []
        for index in self.material.test:
            sample = self.material.source[index]
            mask = np.asarray(self._apply(exact, sample.image[None])[0]).argmax(-1) > 0
            if sample.ignored is not None:
                mask &= ~sample.ignored
            own, objects = counts(mask, sample.labels > 0), overlaps(components(mask), sample.labels)
            found.append(Score(self.kind, count, sample.name, round(float(dice(own)), 4), round(f1(objects), 4)))
        return found


def _exact(variables: Mapping[str, Any]) -> dict[str, Any]:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), dict(variables))
