"""Training one network of a recipe, and its scores on pictures that it never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32

from experiments.harness.pictures import stable_number
from experiments.pretrain.recipes import Recipe
from segjax.data import Patches, class_target, cropped, open_source, split_groups
from segjax.evaluation import counts, dice, f1, median_radius, overlaps
from segjax.fewshot import Extractor, with_statistics
from segjax.models import create
from segjax.ops.components import components
from segjax.training import LoopConfig, Pictures, Steps, fit, make_steps
from segjax.types import InputError, Sample, Source

SHARES = (0.5, 1 / 6, 1 / 3)  # to learn from, to choose the best epoch, to score on
MOST_FOR_STATISTICS = 16


class Score(NamedTuple):
    """Of one picture: Dice of all its pixels, F1 of its objects."""

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
        """So many annotated pictures: to learn from, and a fifth of them, at least one, to choose the best epoch."""
        own = max(1, round(count / 5))
        if count - own > len(self.train) or own > len(self.validation) or count < 2:
            raise InputError(f"scratch: {count} pictures cannot be taken from {len(self.train)}; give from 2 on")
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
    options = {**recipe.networks[kind], "classes": len(recipe.classes)}
    if kind == "msd":
        images = np.stack([sample.image for sample in material.samples])
        options |= {"input_mean": _rounded(images.mean((0, 1, 2))), "input_std": _rounded(images.std((0, 1, 2)))}
    return options


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def trained(material: Material, kind: str, steps: Steps, count: int | None = None) -> dict[str, Any]:
    """Variables of a network, rounded to float16; from all pictures, or from `count` annotated ones."""
    recipe, learning = material.recipe, material.learning
    train, validation = (material.train, material.validation) if count is None else material.of(count)
    feed = Patches(learning, train, recipe.patches)
    held = [learning[index] for index in validation]
    chosen = Pictures(np.stack([one.image for one in held]), np.stack([class_target(one) for one in held]))
    loop = LoopConfig(batch_size=recipe.patches.batch_size, epochs=max(1, round(recipe.steps / feed.steps)))
    key = jax.random.key(stable_number(f"{kind} {count}"))
    found = fit(key, steps, feed, chosen, loop)
    if found.status != "ok":
        raise InputError(f"{kind}: its training {found.status}; give the recipe another step size")
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float16), found.variables)


def scores(network: Any, variables: Mapping[str, Any], samples: Sequence[Sample]) -> list[Score]:
    """Of whole pictures."""
    apply = jax.jit(network.apply)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), variables)
    found = []
    for sample in samples:
        mask = np.asarray(apply(variables, sample.image[None])[0]).argmax(-1) > 0
        objects = overlaps(components(mask), sample.labels)
        found.append(Score(sample.name, float(dice(counts(mask, sample.labels > 0))), f1(objects)))
    return found


class Made(NamedTuple):
    """A trained network of a recipe.

    Attributes:
        options: of `segjax.models.create`.
        variables: float16.
        mean, std: float32 [F] of its features, where it is an extractor.
        scores: by the number of annotated pictures that a network learnt from; the one that is kept comes first.
    """

    options: dict[str, Any]
    variables: dict[str, Any]
    mean: Float32[np.ndarray, " F"] | None
    std: Float32[np.ndarray, " F"] | None
    scores: dict[int, list[Score]]


def make(material: Material, kind: str) -> Made:
    """Train and score a network, and beside it others that learn from few annotated pictures."""
    recipe, options = material.recipe, options_of(material, kind)
    network = create(kind, **options)
    steps = make_steps(network, recipe.step)
    variables = trained(material, kind, steps)
    unseen = [material.source[index] for index in material.test]
    found = {len(material.train) + len(material.validation): scores(network, variables, unseen)}
    for count in recipe.scratch:
        found[count] = scores(network, trained(material, kind, steps, count), unseen)
    mean = std = None
    if kind in recipe.extractors:
        exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), variables)
        extractor = Extractor(network, exact, recipe.extractors[kind], turned=True)
        known = with_statistics(extractor, [one.image for one in material.samples[:MOST_FOR_STATISTICS]])
        mean, std = known.mean, known.std
    return Made(options, variables, mean, std, found)
