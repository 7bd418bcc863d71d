"""How one kind of map does on the test pictures of a seed: as an outline, as a pointer, and as an explanation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from experiments.classifiers import LabelledDomain
from segjax.data import Split
from segjax.evaluation import (
    brightness_correlation,
    choose_threshold,
    confidence,
    deletion,
    energy_in_mask,
    insertion,
    map_similarity,
    oracle_threshold,
    outline_metrics,
    pixel_average_precision,
    pointing_game,
    road,
)
from segjax.maps import ClassProbability, by_maximum, level_of, positive

PROBABILITY = ClassProbability(1)
BLUR = 10.0  # pixels: the blurred picture that insertion starts from
ROAD_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)

Maps = Float32[np.ndarray, "P H W"]
Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Chosen:
    """Pictures of a seed, as indices: outlined validation pictures for the threshold, test pictures with and without.

    Attributes:
        budget: outlined pictures that show the object, of the validation side.
        shown: test pictures that show it, outlined; not outlined where none is.
        empty: test pictures without it, not more than `shown`.
    """

    budget: tuple[int, ...]
    shown: tuple[int, ...]
    empty: tuple[int, ...]

    @property
    def all(self) -> list[int]:
        """One after the other, in that order."""
        return [*self.budget, *self.shown, *self.empty]


def choose(domain: LabelledDomain, split: Split, budget: int, pictures: int) -> Chosen:
    """Evenly spread pictures of each side."""
    labelled = [index for index in split.test if domain.presence[index]]
    shown = _spread(domain.with_object(split.test) or labelled, pictures)
    budgeted = _spread(domain.with_object(split.validation), budget)
    return Chosen(budgeted, shown, _spread(domain.without(split.test), len(shown)))


def localisation_rows(maps: Maps, chosen: Chosen, domain: LabelledDomain) -> Rows:
    """Rows of every test picture and pooled ones, by maps for `chosen.all`; none where nothing is outlined.

    A map's threshold, and whether the maps are scaled by their own maxima before, is what does best on the budget.
    """
    count, tested = len(chosen.budget), len(chosen.budget) + len(chosen.shown)
    if not (count and domain.outlined[list(chosen.shown)].all()):
        return []
    truths = domain.labels[chosen.all] > 0
    signed = jnp.asarray(maps)
    versions = {0: maps, 1: np.asarray(by_maximum(positive(signed)))}
    found = {scaled: choose_threshold(list(v[:count]), list(truths[:count])) for scaled, v in versions.items()}
    scaled = max(found, key=lambda version: found[version].iou)
    usable, level = versions[scaled], found[scaled].level
    masks = usable > level
    rows: Rows = [
        {"metric": "pxap", "value": pixel_average_precision(list(maps[count:]), list(truths[count:]))},
        {"metric": "pxap_scaled", "value": pixel_average_precision(list(versions[1][count:]), list(truths[count:]))},
        {"metric": "scaled_by_maximum", "value": scaled},
        {"metric": "lit_without", "value": float(np.mean(masks[tested:].any((1, 2)))) if chosen.empty else np.nan},
    ]
    for place, index in enumerate(chosen.shown, count):
        one, truth = maps[place], truths[place]
        values = outline_metrics(masks[place], truth, domain.metres)
        free = one > level_of("contour", one, domain.images[index], 0.0)
        values |= {f"free_{name}": v for name, v in outline_metrics(free, truth).items()}
        values["oracle_iou"] = oracle_threshold(one, truth).iou
        values["pointing_game"] = pointing_game(one, truth)
        values["energy"] = energy_in_mask(one, truth)
        values["brightness_correlation"] = brightness_correlation(one, domain.images[index])
        rows += [{"picture": domain.source.names[index], "metric": name, "value": v} for name, v in values.items()]
    return rows


def mask_rows(masks: Bool[np.ndarray, "P H W"], chosen: Chosen, domain: LabelledDomain) -> Rows:
    """Rows of masks that need no threshold, for the test pictures with the object."""
    rows: Rows = []
    for mask, index in zip(masks, chosen.shown, strict=True):
        values = outline_metrics(mask, domain.labels[index] > 0, domain.metres)
        rows += [{"picture": domain.source.names[index], "metric": name, "value": v} for name, v in values.items()]
    return rows


def explainer(apply: Any, steps: int) -> Callable[..., dict[str, Any]]:
    """Compiled (key, variables, images [B, ...], blurred images, maps) -> faithfulness of each map, by name."""

    @jax.jit
    def explain(key, variables, images, blurred, maps):
        def score(x):
            return PROBABILITY(apply(variables, x))

        mean = images.mean((1, 2), keepdims=True)
        masked = confidence(score, images, by_maximum(positive(maps)))
        return {
            "insertion": insertion(score, images, maps, blurred, steps).area,
            "deletion": deletion(score, images, maps, mean, steps).area,
            "road": road(key, score, images, maps, ROAD_SHARES).combined,
            "average_drop": masked.drop,
            "increase": masked.increase,
        }

    return explain


def blurred(images: Float32[np.ndarray, "P H W C"]) -> Float32[np.ndarray, "P H W C"]:
    """Pictures in which nothing can be recognised."""
    return ndimage.gaussian_filter(images, (0, BLUR, BLUR, 0)).astype(np.float32)


def sanity(maps: Maps, shuffled: Maps) -> float:
    """Mean rank correlation of the magnitudes of maps before and after the weights are shuffled; 1: nothing changes."""
    pairs = zip(maps, shuffled, strict=True)
    values = [map_similarity(one, other)["absolute_rank_correlation"] for one, other in pairs]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def median_radius(truths: Bool[np.ndarray, "P H W"]) -> float:
    """Median radius in pixels of the discs with the objects' areas."""
    return float(np.median(np.sqrt(truths.sum((1, 2)) / np.pi)))


def _spread(indices: list[int], most: int) -> tuple[int, ...]:
    """At most so many, evenly spread over the list."""
    places = np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(int)
    return tuple(indices[place] for place in places)
