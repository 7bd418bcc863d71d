"""What budgets buy: which pictures, annotated in which way, and how many of the things that have a price."""

import functools
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from experiments.annotation_budget.grid import Config, Training, Trial, trainings_of
from experiments.harness.annotating import Counts, Labels, around_points, counts_of, in_boxes, standing_out, sum_of
from experiments.harness.pictures import Domain
from experiments.harness.recipes import recipe_from, strengths_of
from segjax.annotations import Recipe, annotate
from segjax.annotations.annotators import points, quick_recipe
from segjax.annotations.purchase import buy
from segjax.evaluation.references import median_radius
from segjax.types import IGNORED

SECONDS = 3600.0  # of an hour


class Part(NamedTuple):
    """Pictures that are annotated in one way, as indices into the source, in the order in which they are bought."""

    kind: str
    pictures: tuple[int, ...]


class Purchases:
    """What the budgets of a study buy, and how the pictures are annotated; nothing is trained."""

    def __init__(self, config: Config, domain: Domain) -> None:
        self._config, self._domain = config, domain
        self._prices = config.prices.prices()
        self.labels = functools.lru_cache(maxsize=1 << 14)(self._labels)
        self.counts = functools.lru_cache(maxsize=1 << 14)(self._counts)
        self.of = functools.cache(self._of)
        self._radius = functools.cache(self._usual_radius)
        self._standing_out = functools.cache(lambda index: standing_out(domain.images[index]))

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What goes wrong with quick outlines, object by object, as rates of few objects would be rounded to none."""
        if self._config.quick is None:
            return replace(quick_recipe(self._domain.labels), scope="object")
        strengths, coarsening = strengths_of(self._config.quick, "quick"), self._domain.source.coarsening
        return recipe_from(strengths, {"scope": "object"}, coarsening, "quick")

    def pool(self, seed: int) -> list[int]:
        """The pictures that can be bought."""
        return [int(index) for index in self._domain.split(seed).train]

    def validation(self, seed: int) -> list[int]:
        """The pictures that choose the best epoch, with and without an object in the proportion that there is."""
        every = sorted(self._domain.split(seed).validation, key=lambda index: not self._domain.labels[index].any())
        chosen = np.linspace(0, len(every) - 1, min(len(every), self._config.validation_pictures)).astype(int)
        return [int(every[place]) for place in chosen]

    def seconds(self, counts: Counts) -> float:
        """What the things counted cost."""
        return sum(count * getattr(self._prices, name) for name, count in counts.items())

    def take(self, seed: int, number: int, seconds: float, costs: dict[int, Counts]) -> tuple[int, ...]:
        """The pictures that a sum buys, of those with costs; () where it buys none.

        Args:
            number: of the purchase, for a lot of its own.
        """
        pictures, prices = list(costs), np.asarray([self.seconds(one) for one in costs.values()])
        if not pictures or seconds < prices.min():
            return ()
        weights = None
        if self._config.order == "foreground":
            shares = np.asarray([self._standing_out(index) for index in pictures])
            weights = shares if shares.any() else None
        bought = buy(jax.random.fold_in(jax.random.key(seed), number), float(seconds), prices, weights)
        return tuple(pictures[place] for place in bought.pictures)

    def _of(self, training: Training) -> tuple[Part, ...]:
        """The parts of a purchase, in order; of an arm corrected, the first round alone."""
        shares, total = self._shares(training), training.budget * SECONDS
        parts: list[Part] = []
        spent = promised = 0.0
        for number, (kind, share) in enumerate(shares):
            promised += share * total
            taken = {index for part in parts for index in part.pictures}
            free = {i: self.counts(kind, training.seed, i) for i in self.pool(training.seed) if i not in taken}
            pictures = self.take(training.seed, number, promised - spent, free)
            spent += self.seconds(sum_of([free[index] for index in pictures]))
            parts.append(Part(kind, pictures))
        return tuple(parts)

    def _shares(self, training: Training) -> list[tuple[str, float]]:
        config, arm = self._config, training.arm
        if arm == "mixture":
            return list(training.shares.items())
        if arm == "repaired":
            return [("careful", config.careful_share), ("quick", 1 - config.careful_share)]
        if arm == "corrected":
            return [("careful", 1 / config.rounds)]
        own = {"image_labels": "image_label", "quick": "quick", "points": "points", "boxes": "boxes"}
        return [(own.get(arm, "careful"), 1.0)]

    def buys(self, trial: Trial) -> bool:
        """Whether a budget is enough for an arm; for repairs, for an object of each kind while there are pictures."""
        for training in trainings_of(self._config, trial) or [Training(**vars(trial))]:
            first, *others = self.of(training)
            is_whole = len(first.pictures) == len(self.pool(trial.seed))
            is_shown = self._domain.labels[list(first.pictures)].any()
            if trial.arm == "repaired" and not (is_shown and (is_whole or others[0].pictures)):
                return False
            if not any(part.pictures for part in (first, *others)):
                return False
        return True

    def is_at_end(self, trial: Trial) -> bool:
        """Whether the pool is used up, so that a larger budget would buy the same."""
        trainings = trainings_of(self._config, trial) or [Training(**vars(trial))]
        return all(len(self.of(one)[0].pictures) == len(self.pool(trial.seed)) for one in trainings)

    def _counts(self, kind: str, seed: int, index: int) -> Counts:
        return counts_of(kind, self.labels(kind, seed, index), self._domain.source.coarsening)

    def _labels(self, kind: str, seed: int, index: int) -> Labels:
        """The objects of a picture as they are annotated."""
        truth = self._domain.labels[index]
        if kind != "quick":
            return truth
        return annotate(_key(seed, index), truth, self.recipe, max_objects=self._domain.largest_id).labels

    def target(self, kind: str, seed: int, index: int) -> Labels:
        """What a network is told: 1 object, 0 background, -1 what an annotation leaves open."""
        labels = self.labels(kind, seed, index)
        if kind == "points":
            found = around_points(points(_key(seed, index), labels) > 0, self._radius(seed))
        elif kind == "boxes":
            found = in_boxes(labels)
        else:
            found = (labels > 0).astype(np.int32)
        return np.where(self._domain.ignored[index], IGNORED, found).astype(np.int32)

    def _usual_radius(self, seed: int) -> float:
        """Of the usual object, as the validation pictures show it; of all pictures where those show none."""
        shown = self._domain.labels[self.validation(seed)]
        return median_radius(shown if shown.any() else self._domain.labels[self.pool(seed)])


def _key(seed: int, index: int) -> Key[Array, ""]:
    """Of what is drawn for a picture."""
    return jax.random.fold_in(jax.random.key(seed), index)


@functools.lru_cache(maxsize=8)
def purchases_of(config: Config, domain: Domain) -> Purchases:
    """Those of a study, made once."""
    return Purchases(config, domain)
