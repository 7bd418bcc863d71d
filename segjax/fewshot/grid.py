"""All draws x shots x feature counts of one type and one head, in one compiled program on a cached bank."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32, Key

from segjax.evaluation.overlap import OverlapCounts
from segjax.fewshot.draws import FEATURE_SELECTIONS, Draws, check_counts, ranking
from segjax.fewshot.heads import Head
from segjax.fewshot.moments import (
    Maps,
    Moments,
    Targets,
    Weights,
    class_moments,
    dot,
    pixel_weights,
    relevance,
    span,
    support_moments,
)
from segjax.types import InputError

_CANDIDATES = 24  # thresholds that are tried


class Grid(NamedTuple):
    """Pixels of every query picture, int32 [D, K, N, Q]: draws, numbers of shots, feature counts, query pictures.

    Attributes:
        at_zero: counts of the predictions "score above 0".
        at_best: counts with the threshold that gives the highest Dice on the support.
        thresholds: float32 [D, K, N], those thresholds.
    """

    at_zero: OverlapCounts
    at_best: OverlapCounts
    thresholds: Float32[np.ndarray, "D K N"]


class FeatureSet(NamedTuple):
    """Cached features float32 [P, h, w, F] of pictures of one size; targets int32 [P, H, W]: 1 the type, -1 ignored.

    Features that are coarser than the targets stay so in memory; see `full_size`.
    """

    features: Any
    targets: Any

    def full_size(self, places: Any) -> "FeatureSet":
        """Some of the pictures, or one, with features of every pixel."""
        targets = self.targets[places]
        return FeatureSet(full_size(self.features[places], targets.shape[-2:]), targets)


def full_size(features: Float[Array | np.ndarray, "*B h w F"], size: tuple[int, int]) -> Maps:
    """Features on a coarser grid over the whole picture at every pixel: bilinear, with half-pixel centres.

    Grid point i of h stands for the picture's row (i + 1/2) H / h - 1/2; beyond the outermost ones, values stay theirs.
    """
    if features.shape[-3:-1] == size:
        return features
    return jax.image.resize(features, (*features.shape[:-3], *size, features.shape[-1]), "bilinear")


def fit_grid(
    key: Key[Array, ""],
    head: Head,
    support: FeatureSet,
    query: FeatureSet,
    draws: Draws,
    counts: Sequence[int],
    selection: str,
    variance: Float32[np.ndarray, " F"],
    together: int = 1,
) -> Grid:
    """Fit the head to every support set with every number of features, and count its pixels on the query pictures.

    A fit is a row of 0/1 weights over the pictures of its draw and one over the features, so all fits of a draw share
    the products over its pixels. One program is traced for a head, a selection and the sizes, whatever the draws.

    Args:
        key: of the random feature subsets; draw d uses fold_in(key, d).
        support: the candidates that `draws` indexes.
        query: pictures to segment; none may be among the candidates (see `check_apart`).
        counts: numbers of features, 1 to F. With the same draw, a smaller subset is part of a larger one.
        selection: which features; see `ranking`. "relevance" looks at the shots of each fit alone.
        variance: of the features; see `FeatureBank.variance`.
        together: draws per call of the program; more take more memory, and on a GPU less time.

    Raises:
        InputError: a feature count out of range, an unknown selection, a support picture without the type or without
            background.
    """
    check_counts(counts, support.features.shape[-1])
    if selection not in FEATURE_SELECTIONS:
        raise InputError(f"selection: unknown {selection!r}; choose one of {', '.join(FEATURE_SELECTIONS)}")
    check_shots(list(np.asarray(support.targets)[np.unique(draws.pictures)]))
    keys = jax.vmap(lambda draw: jax.random.fold_in(key, draw))(jnp.arange(len(draws.pictures)))
    on_device = jax.tree.map(jnp.asarray, (support, query, variance))
    found = []
    for start in range(0, len(draws.pictures), together):
        # the last call repeats its last draw, so that one size is compiled
        rows = np.arange(start, start + together).clip(max=len(draws.pictures) - 1)
        result = _fit_draws(
            head, selection, tuple(counts), *on_device, keys[rows], draws.pictures[rows], draws.weights[rows]
        )
        found.append(result)
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(draws.pictures)], *found)


def check_shots(targets: Sequence[Int32[np.ndarray, "_ _"]]) -> None:
    """Raises InputError where a shot is ignored throughout or has no pixel of the type, or none has any background."""
    for number, target in enumerate(targets):
        if not (target >= 0).any():
            raise InputError(f"shots: all pixels of shot {number} are ignored; annotate some of it")
        if not (target == 1).any():
            raise InputError(f"shots: shot {number} does not show the type; choose pictures that do")
    if not any((target == 0).any() for target in targets):
        raise InputError(
            "shots: no shot has a background pixel, so a head cannot learn to tell the type apart; annotate some "
            "background"
        )


@partial(jax.jit, static_argnames=("head", "selection", "counts"))
def _fit_draws(head, selection, counts, support, query, variance, keys, pictures, weights) -> Grid:
    def one(key, pictures, weights):
        return _fit_draw(head, selection, counts, support.full_size(pictures), query, variance, key, weights)

    return jax.vmap(one)(keys, pictures, weights)


def _fit_draw(
    head: Head,
    selection: str,
    counts: tuple[int, ...],
    support: FeatureSet,
    query: FeatureSet,
    variance: Float[Array, " F"],
    key: Key[Array, ""],
    weights: Float[Array, "K L"],
) -> Grid:
    """The part of `fit_grid` that belongs to one draw, without its axis."""
    moments = class_moments(support.features, support.targets)
    # subsets fitted together have as many columns, and take as many steps, as the largest of them
    small = [count for count in counts if 4 * count <= max(counts)]
    groups = [group for group in (small, [count for count in counts if count not in small]) if group]
    places = np.argsort(np.argsort([count not in small for count in counts], kind="stable"))

    def fit(of_shots):
        used = support_moments(moments, of_shots, jnp.ones_like(variance))
        ranks = ranking(selection, key, variance, relevance(used))
        found = [_fit_subsets(head, group, ranks, support, query, moments, of_shots) for group in groups]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts)[places], *found)

    # one number of shots after the other: few shots are fitted in fewer passes over fewer pictures
    return jax.lax.map(fit, weights)


def _fit_subsets(
    head: Head,
    counts: list[int],
    ranks: Int[Array, " F"],
    support: FeatureSet,
    query: FeatureSet,
    moments: Moments,
    weights: Float[Array, " L"],
) -> Grid:
    """The fits to one support set, one for each number of features, in one `vmap`; counts [N, Q], thresholds [N]."""
    if max(counts) < len(ranks):
        columns = jnp.argsort(ranks)[: max(counts)]
        support, query = (pictures._replace(features=pictures.features[..., columns]) for pictures in (support, query))
        ranks, with_one = ranks[columns], jnp.append(columns, len(ranks))
        moments = moments[:, :, with_one[:, None], with_one]

    def fit(count):
        subset = (ranks < count).astype(support.features.dtype)
        params = head.fit(support.features, support.targets, weights, subset, moments)
        scores = head.predict(params, support.features)
        return params, best_threshold(scores, support.targets, weights)

    params, thresholds = jax.vmap(fit)(jnp.asarray(counts))

    def judge(picture):
        features = full_size(picture.features, picture.targets.shape)

        def one(params, threshold):
            scores = head.predict(params, features[None])[0]
            return [pixel_counts(scores > limit, picture.targets) for limit in (0.0, threshold)]

        return jax.vmap(one)(params, thresholds)

    at_zero, at_best = (jax.tree.map(jnp.transpose, counted) for counted in jax.lax.map(judge, query))
    return Grid(at_zero, at_best, thresholds)


def best_threshold(scores: Float[Array | np.ndarray, "S H W"], targets: Targets, weights: Weights) -> Float[Array, ""]:
    """The one of a few thresholds that gives the highest Dice on weighted pictures.

    Tried are 0 and equally spaced scores from the mean of the background to the mean of the type and half as far again.
    """
    rows = pixel_weights(targets, weights)
    of_type = jnp.where(targets == 1, rows, 0.0)
    size = jnp.sum(of_type)
    scores = jnp.asarray(scores)
    mean_type = dot("shw,shw->", of_type, scores) / size
    mean_background = dot("shw,shw->", rows - of_type, scores) / jnp.maximum(1 - size, 1e-6)
    places = jnp.linspace(0.0, 1.5, _CANDIDATES - 1)
    candidates = jnp.append(mean_background + places * (mean_type - mean_background), 0.0)

    shares = jnp.stack([of_type, rows], axis=-1)

    def add(place, sums):
        above = (scores[place][None] > candidates[:, None, None]).astype(scores.dtype)
        return sums + dot("chw,hwk->ck", above, shares[place])

    found = jax.lax.fori_loop(*span(weights), add, jnp.zeros((_CANDIDATES, 2)))
    return candidates[jnp.argmax(2 * found[:, 0] / (found[:, 1] + size))]


def pixel_counts(predicted: Array, targets: Int[Array, "H W"]) -> OverlapCounts:
    """Counts of one picture, int32; as products, which XLA sums faster than masks. Exact up to 2^24 pixels."""
    above = predicted.astype(jnp.float32)
    is_type, is_known = ((targets == 1).astype(jnp.float32), (targets >= 0).astype(jnp.float32))
    tp, judged = dot("hw,hw->", above, is_type), dot("hw,hw->", above, is_known)
    return OverlapCounts(*(part.astype(jnp.int32) for part in (tp, judged - tp, jnp.sum(is_type) - tp)))
