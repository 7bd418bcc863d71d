"""Rates of the differences of two annotations, the strength of jitter behind their outlines, and the recipe of both."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.harness.rivals import is_same_picture
from segjax.annotations import Recipe, jitter
from segjax.evaluation import Interval, interval
from segjax.evaluation.differences import Differences, differences, rate
from segjax.types import InputError, Sample, Source

_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)  # pixels, of the curve to invert
_DRAWS = 4
Labels = np.ndarray[Any, Any]


class Found(NamedTuple):
    """What was counted and estimated.

    Attributes:
        events, chances: of each kind of difference, over all pictures.
        rates: events per chance with an interval; chances are what `CHANCES` names.
        jitter: standard deviation of the displacement of outlines, in pixels, as of `Recipe`.
        offset: mean distance by which outlines of the second annotation lie outside, in pixels.
    """

    events: dict[str, int]
    chances: dict[str, int]
    rates: dict[str, Interval]
    jitter: Interval
    offset: Interval


# What each kind of difference is counted per.
CHANCES = {
    "missing": "objects",
    "additional": "objects",
    "outline": "same",
    "other_class": "same",
    "merged": "touching",
    "split": "objects",
}


def read_pair(first: Source, second: Source) -> list[tuple[Sample, Sample]]:
    """The pictures of two annotations, in the order of the first, which are compared by content.

    Raises:
        InputError: they are not of the same pictures, or differ in sizes or classes; all such pictures are named.
    """
    for one, other, which in ((first, second, "second"), (second, first, "first")):
        if lacking := [name for name in one.names if name not in set(other.names)]:
            raise InputError(f"{which}: lacks {_few(lacking)}; give two annotations of the same pictures")
    if min(len(first.class_names), len(second.class_names)) > 1 and first.class_names != second.class_names:
        raise InputError(
            f"second: its classes are {', '.join(second.class_names)}, those of the first are "
            f"{', '.join(first.class_names)}; give both the same class_names"
        )
    place = {name: index for index, name in enumerate(second.names)}
    pairs = [(first[index], second[place[name]]) for index, name in enumerate(first.names)]
    if other_size := [one.name for one, other in pairs if one.labels.shape != other.labels.shape]:
        raise InputError(f"second: has another size than the first in {_few(other_size)}; give labels of equal size")
    if unlike := [one.name for one, other in pairs if not is_same_picture(one.image, other.image)]:
        raise InputError(f"second: shows other pictures than the first in {_few(unlike)}; give the same pictures")
    if not any(one.labels.any() for one, _ in pairs):
        raise InputError("first: has no object in any picture, so there is nothing to compare; exchange the two")
    return pairs


def judged(one: Sample, other: Sample) -> tuple[Labels, Labels]:
    """The labels of both without objects that reach into pixels that one of them leaves unjudged."""
    labels, ignored = (one.labels, other.labels), [each.ignored for each in (one, other) if each.ignored is not None]
    if not ignored:
        return labels
    open_pixels = np.logical_or.reduce(ignored)
    first, second = (np.where(np.isin(each, each[open_pixels]), 0, each) for each in labels)
    return first, second


def compare(pairs: Sequence[tuple[Sample, Sample]], has_classes: bool) -> Found:
    """Rates over all pictures, and the strength of jitter with an interval over pictures.

    The standard deviation of the distances between outlines underestimates the jitter, since distances are to the
    nearest outline. So jitter of known strengths is drawn on each picture's first annotation, and the strength is read
    off where that has the distances found. Pictures whose outlines no strength explains have none.
    """
    found = []
    for one, other in pairs:
        classes = (one.classes, other.classes) if has_classes else (None, None)
        found.append(differences(*judged(one, other), *classes))
    events, chances, rates = {}, {}, {}
    for kind, of in CHANCES.items():
        counts = [getattr(each, kind) for each in found]
        if None in counts:
            continue
        possible = [getattr(each, of) for each in found]
        events[kind], chances[kind] = sum(counts), sum(possible)
        rates[kind] = rate(counts, possible)
    drawn = [(judged(*pair)[0], each) for pair, each in zip(pairs, found, strict=True) if each.distances.size]
    strengths = [jitter_of(labels, each, index) for index, (labels, each) in enumerate(drawn)]
    offsets = [float(each.distances.mean()) for _, each in drawn]
    known = [strength for strength in strengths if strength == strength]
    return Found(events, chances, rates, interval(known), interval(offsets))


def jitter_of(labels: Labels, found: Differences, index: int) -> float:
    """The strength of jitter that explains the distances of one picture, in pixels; NaN where none does."""
    wanted = float(found.distances.std())
    if wanted == 0:
        return 0.0
    curve = [0.0]
    key = jax.random.fold_in(jax.random.key(0), index)
    for sigma in _SIGMAS[1:]:
        keys = jax.random.split(jax.random.fold_in(key, round(100 * sigma)), _DRAWS)
        drawn = [differences(labels, np.asarray(jitter(one, labels, sigma))).distances for one in keys]
        curve.append(max(curve[-1], float(np.mean([each.std() for each in drawn if each.size] or [0.0]))))
        if curve[-1] > wanted:
            return float(np.interp(wanted, curve, _SIGMAS[: len(curve)]))
    return float("nan")  # outlines lie further off than any jitter here explains


def recipe_of(found: Found) -> Recipe:
    """The recipe of the differences, a coin per object, as rates of a few per cent would be rounded to none.

    Additional objects become an inclusion of as many foreign objects as there are objects. An offset of all outlines is
    left out: the sign of a recipe's bias is drawn at random.
    """
    means = {kind: each.mean for kind, each in found.rates.items() if each.n}
    at_most_1 = {kind: round(min(mean, 1.0), 4) for kind, mean in means.items()}
    return Recipe(
        omission=at_most_1.get("missing", 0.0),
        inclusion=at_most_1.get("additional", 0.0),
        jitter=round(found.jitter.mean, 2) if found.jitter.n else 0.0,
        merge=at_most_1.get("merged", 0.0),
        split=at_most_1.get("split", 0.0),
        confusion=at_most_1.get("other_class", 0.0),
        scope="object",
    )


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
