"""How one kind of map does on the test pictures of a seed: as an outline, as a pointer, and as an explanation.

And what a decision rests on: parts of the object and its surroundings are taken away, and the score is watched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from experiments.activation_maps.grid import FIXED_DISC, MATCHED_DISC
from experiments.harness.classifiers import LabelledDomain
from experiments.harness.ladder import fitted
from experiments.harness.ladder_options import is_rung
from experiments.harness.pictures import stable_number
from segjax.data import Split
from segjax.evaluation import (
    confidence,
    deletion,
    energy_in_mask,
    insertion,
    map_similarity,
    pixel_average_precision,
    pointing_game,
    road,
)
from segjax.evaluation.localisation import choose_threshold, oracle_threshold
from segjax.evaluation.references import (
    area_matched_discs,
    brightness_correlation,
    coarse_map,
    fixed_discs,
    median_radius,
)
from segjax.evaluation.sites import TOLERANCES, outline_metrics
from segjax.maps import ClassProbability, by_maximum, positive
from segjax.maps.masks import level_of
from segjax.maps.targets import LOG_ODDS
from segjax.ops.fill import fill_from_neighbours
from segjax.sweeps import Row
from segjax.training import Pictures
from segjax.training.fit import in_batches
from segjax.types import IGNORED

BLUR = 10.0  # pixels: the blurred picture that insertion starts from
ROAD_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
DISC_METRES = 75.0
REGIONS = ("inside", "rim", "halo", "surroundings")
ELSEWHERE = "elsewhere"  # for comparison: as much as the object covers, half a picture away from it
SMALLEST_RIM = 2.0  # pixels
RIM_SHARE = 0.15  # of the object's radius

Maps = Float32[np.ndarray, "P H W"]
Mask = Bool[np.ndarray, "H W"]
Masks = Bool[np.ndarray, "P H W"]


@dataclass(frozen=True)
class Chosen:
    """Pictures of a seed, as indices.

    Attributes:
        outlined: validation pictures that show the object, with an outline; for choosing thresholds.
        shown: test pictures that show it, outlined; not outlined where none is.
        empty: test pictures without it, not more than `shown`.
    """

    outlined: tuple[int, ...]
    shown: tuple[int, ...]
    empty: tuple[int, ...]

    @property
    def all(self) -> list[int]:
        """One after the other, in that order."""
        return [*self.outlined, *self.shown, *self.empty]

    @property
    def tested(self) -> slice:
        """Where `shown` stands in `all`."""
        return slice(len(self.outlined), len(self.outlined) + len(self.shown))


def chosen_pictures(domain: LabelledDomain, split: Split, for_threshold: int, for_testing: int) -> Chosen:
    """At most so many pictures, evenly spread over each side."""
    labelled = [index for index in split.test if domain.presence[index]]
    shown = _spread(domain.with_object(split.test) or labelled, for_testing)
    outlined = _spread(domain.with_object(split.validation), for_threshold)
    return Chosen(outlined, shown, _spread(domain.without(split.test), len(shown)))


def _spread(indices: list[int], most: int) -> tuple[int, ...]:
    places = np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(int)
    return tuple(indices[place] for place in places)


# ---- maps as outlines


def localisation_rows(maps: Maps, chosen: Chosen, domain: LabelledDomain) -> list[Row]:
    """Rows of every test picture and pooled ones, by maps for `chosen.all`; none where nothing is outlined.

    A map's threshold, and whether the maps are scaled by their own maxima before, is what does best on the outlined
    validation pictures. Pixels that nobody judged count nowhere.
    """
    if not _are_outlined(chosen, domain):
        return []
    count, tested = chosen.tested.start, chosen.tested.stop
    truths, known = domain.labels[chosen.all] > 0, ~domain.ignored[chosen.all]
    versions = {0: maps, 1: np.asarray(by_maximum(positive(jnp.asarray(maps))))}
    judged = {scaled: _judged(version, known) for scaled, version in versions.items()}
    true = _judged(truths, known)
    found = {scaled: choose_threshold(these[:count], true[:count]) for scaled, these in judged.items()}
    scaled = max(found, key=lambda version: found[version].iou)
    masks = (versions[scaled] > found[scaled].level) & known
    rows = [
        Row("pxap", pixel_average_precision(judged[0][count:], true[count:])),
        Row("pxap_scaled", pixel_average_precision(judged[1][count:], true[count:])),
        Row("scaled_by_maximum", scaled),
        Row("false_positive_rate", float(np.mean(masks[tested:].any((1, 2)))) if chosen.empty else np.nan),
    ]
    for place, index in enumerate(chosen.shown, count):
        one, truth, image = maps[place], truths[place], domain.images[index]
        values = _outline_values(masks[place], truth, known[place], domain.metres)
        at_contour_level = _outline_values(one > level_of("contour", one, image, 0.0), truth, known[place])
        values |= {f"contour_level_{name}": value for name, value in at_contour_level.items()}
        values["oracle_iou"] = oracle_threshold(judged[0][place], true[place]).iou
        values["pointing_game"] = pointing_game(judged[0][place], true[place])
        values["energy"] = energy_in_mask(judged[0][place], true[place])
        values["brightness_correlation"] = brightness_correlation(one, image)
        rows += [Row(name, value, domain.source.names[index]) for name, value in values.items()]
    return rows


def _judged(values: np.ndarray, known: Masks) -> list[np.ndarray]:
    """Of each picture the pixels that somebody judged, as one line."""
    return [one[there][None] for one, there in zip(values, known, strict=True)]


def reference_rows(kind: str, seed: int, chosen: Chosen, domain: LabelledDomain) -> list[Row]:
    """Rows of discs with the true centre, of maps that only the stride of their layer limits, or of a rung.

    A rung of the ladder is fitted to the outlined pictures that choose the thresholds of maps.
    """
    if not _are_outlined(chosen, domain):
        return []
    if is_rung(kind):
        targets = np.where(domain.ignored, IGNORED, domain.labels > 0)[list(chosen.outlined)].astype(np.int32)
        rung = fitted(kind, seed, Pictures(domain.images[list(chosen.outlined)], targets))
        empty = rung.masks(domain.images[list(chosen.empty)]) & ~domain.ignored[list(chosen.empty)]
        alarms = float(np.mean(empty.any((1, 2)))) if chosen.empty else np.nan
        rows = _mask_rows(rung.masks(domain.images[list(chosen.shown)]), chosen, domain)
        return [*rows, Row("false_positive_rate", alarms)]
    truths = domain.labels[chosen.all] > 0
    shown = truths[chosen.tested]
    if kind == FIXED_DISC:
        radius = DISC_METRES / domain.metres if domain.metres else median_radius(truths[: len(chosen.outlined)])
        return _mask_rows(np.stack([fixed_discs(truth, radius) for truth in shown]), chosen, domain)
    if kind == MATCHED_DISC:
        return _mask_rows(np.stack([area_matched_discs(truth) for truth in shown]), chosen, domain)
    stride = int(kind.removeprefix("stride_"))
    # the text decides the numbers that are drawn, so it stays as it was in published runs
    generator = np.random.default_rng([seed, stride, stable_number(f"stride {stride}")])
    offsets = generator.integers(0, stride, (len(truths), 2))
    maps = [coarse_map(truth, stride, (int(y), int(x))) for truth, (y, x) in zip(truths, offsets, strict=True)]
    return localisation_rows(np.stack(maps).astype(np.float32), chosen, domain)


def _mask_rows(masks: Masks, chosen: Chosen, domain: LabelledDomain) -> list[Row]:
    """Rows of masks that need no threshold, for the test pictures with the object."""
    return [
        Row(name, value, domain.source.names[index])
        for mask, index in zip(masks, chosen.shown, strict=True)
        for name, value in _outline_values(
            mask, domain.labels[index] > 0, ~domain.ignored[index], domain.metres
        ).items()
    ]


def _outline_values(
    mask: np.ndarray, truth: np.ndarray, known: np.ndarray, metres: float | None = None
) -> dict[str, float]:
    """Values of a mask where somebody judged; no boundary is judged beside an object whose surroundings nobody did."""
    values = outline_metrics(mask & known, truth, metres)
    if known[ndimage.binary_dilation(truth, iterations=int(max(TOLERANCES)))].all():
        return values
    return {name: value for name, value in values.items() if not name.startswith(("boundary_f", "hd95"))}


def _are_outlined(chosen: Chosen, domain: LabelledDomain) -> bool:
    return bool(chosen.outlined) and bool(domain.outlined[list(chosen.shown)].all())


# ---- maps as explanations


def faithfulness_of(apply: Any, steps: int) -> Callable[..., dict[str, Any]]:
    """Compiled (key, variables, images [B, ...], blurred images, maps) -> faithfulness of each map, by name."""
    probability = ClassProbability(1)

    @jax.jit
    def judge(key, variables, images, blurred, maps):
        def score(x):
            return probability(apply(variables, x))

        mean = images.mean((1, 2), keepdims=True)
        masked = confidence(score, images, by_maximum(positive(maps)))
        return {
            "insertion": insertion(score, images, maps, blurred, steps).area,
            "deletion": deletion(score, images, maps, mean, steps).area,
            "road": road(key, score, images, maps, ROAD_SHARES).combined,
            "average_drop": masked.drop,
            "increase": masked.increase,
        }

    return judge


def blurred(images: Float32[np.ndarray, "P H W C"]) -> Float32[np.ndarray, "P H W C"]:
    """Pictures in which nothing can be recognised."""
    return ndimage.gaussian_filter(images, (0, BLUR, BLUR, 0)).astype(np.float32)


def faithfulness_rows(
    judge: Callable[..., Mapping[str, Any]], maps: Maps, shown: Sequence[int], domain: LabelledDomain
) -> list[Row]:
    """Rows of every picture in `shown`; `judge` is that of `faithfulness_of` with its key and variables."""
    images = domain.images[list(shown)]
    found = [judge(*batch) for batch in in_batches((images, blurred(images), maps))]
    rows = []
    for metric in found[0]:
        values = np.concatenate([np.asarray(batch[metric]) for batch in found])[: len(shown)]
        rows += [
            Row(metric, float(value), domain.source.names[index]) for index, value in zip(shown, values, strict=True)
        ]
    return rows


def sanity(maps: Maps, shuffled: Maps) -> float:
    """Mean rank correlation of the magnitudes of maps before and after the weights are shuffled; 1: nothing changes."""
    pairs = zip(maps, shuffled, strict=True)
    values = [map_similarity(one, other)["absolute_rank_correlation"] for one, other in pairs]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


# ---- what the decision rests on


def regions(truth: Mask) -> dict[str, Mask]:
    """The picture in four parts, by the distance from the object's outline.

    The rim reaches 0.15 radii (2 pixels at least) to both sides, the halo one radius further out; the radius is that of
    the disc with the object's area. `ELSEWHERE` is the object moved by half a picture, without rim and halo.
    """
    radius = float(np.sqrt(truth.sum() / np.pi))
    width = max(SMALLEST_RIM, RIM_SHARE * radius)
    within, beyond = ndimage.distance_transform_edt(truth), ndimage.distance_transform_edt(~truth)
    rim = (truth & (within <= width)) | (~truth & (beyond <= width))
    halo = ~truth & ~rim & (beyond <= width + radius)
    near = truth | rim | halo
    moved = np.roll(truth, (truth.shape[0] // 2, truth.shape[1] // 2), (0, 1))
    return {"inside": truth & ~rim, "rim": rim, "halo": halo, "surroundings": ~near, ELSEWHERE: moved & ~near}


def scorer(apply: Any) -> Callable[..., Any]:
    """Compiled (variables, images [B, H, W, C], removed bool [B, H, W]) -> log odds [B] of the pictures without that.

    What is removed is filled in from its surroundings.
    """

    @jax.jit
    def score(variables, images, removed):
        return LOG_ODDS(apply(variables, fill_from_neighbours(images, removed)))

    return score


def cue_rows(score: Callable[..., Any], chosen: Chosen, domain: LabelledDomain) -> list[Row]:
    """What is lost without each region and left with nothing else; none where the test pictures are not outlined.

    Args:
        score: that of `scorer` with its variables.
    """
    if not domain.outlined[list(chosen.shown)].all():
        return []

    def odds(indices: Sequence[int], removed: Masks) -> np.ndarray:
        batches = in_batches((domain.images[list(indices)], removed))
        return np.concatenate([np.asarray(score(*batch)) for batch in batches])[: len(indices)]

    def untouched(indices: Sequence[int]) -> np.ndarray:
        return odds(indices, np.zeros((len(indices), *domain.labels.shape[1:]), bool))

    parts = [regions(domain.labels[index] > 0) for index in chosen.shown]
    masks = {region: np.stack([part[region] for part in parts]) for region in parts[0]}
    removed = {region: odds(chosen.shown, mask) for region, mask in masks.items()}
    # a picture that lacks a region would be left whole: there is nothing to fill it from
    alone = {
        region: np.where(masks[region].any((1, 2)), odds(chosen.shown, ~masks[region]), np.nan) for region in REGIONS
    }
    rows = cue_shares(untouched(chosen.shown), float(np.mean(untouched(chosen.empty))), removed, alone)
    return rows + [Row(f"cue_area_{region}", float(mask.mean())) for region, mask in masks.items()]


def cue_shares(
    whole: np.ndarray, without: float, removed: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray]
) -> list[Row]:
    """Rows from log odds; shares are NaN where the classifier does not tell the two kinds of pictures apart.

    Args:
        whole: of the pictures with the object [P].
        without: mean of pictures without it.
        removed: of the former when a region is removed [P].
        alone: of the former when everything else is removed [P]; NaN where a picture lacks the region.
    """
    evidence = float(np.sum(whole - without))
    shares = [
        Row(f"cue_lost_without_{region}", float(np.sum(whole - values)) / evidence if evidence > 0 else np.nan)
        for region, values in removed.items()
    ]
    for region, values in alone.items():
        known = ~np.isnan(values)
        of_known = float(np.sum(whole[known] - without))
        left = float(np.sum(values[known] - without)) / of_known if min(evidence, of_known) > 0 else np.nan
        shares.append(Row(f"cue_left_with_{region}", left))
    return [Row("log_odds_ahead", evidence / len(whole)), *shares]
