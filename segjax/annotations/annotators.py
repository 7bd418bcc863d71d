"""Simulated annotators: outlines with the errors of a recipe, points, boxes, image labels, and corrected proposals.

They keep the ids of objects, so that instances and classes can be trained on; a careful annotator draws the labels as
they are. What each of them costs is in `segjax.annotations.prices`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer, PRNGKeyArray
from scipy import ndimage

from segjax.annotations import objects
from segjax.annotations.checks import check_ids
from segjax.annotations.errors import MAX_OBJECTS
from segjax.annotations.recipe import Recipe, draw_objects, draw_outlines, strength_keys
from segjax.arguments import checked
from segjax.types import InputError

QUICK_OMISSION, QUICK_JITTER = 0.05, 0.1  # of the objects, and of their median radius
IOU_TO_KEEP = 0.7
_INNER = 0.5  # of the largest distance to the edge: where an annotator clicks


class Annotated(NamedTuple):
    """What an annotator drew: ids of the objects, and the class of object i at position i - 1 where there are classes
    (0 for an id that has no object)."""

    labels: Int32[np.ndarray, "H W"]
    classes: Int32[np.ndarray, " N"] | None


class Boxes(NamedTuple):
    """Ids above 0 in rising order, and first row, first column, last row + 1 and last column + 1 of each object."""

    ids: Int64[np.ndarray, " N"]
    corners: Int64[np.ndarray, "N 4"]

    def painted(self, height: int, width: int) -> Int32[np.ndarray, "H W"]:
        """Filled boxes as labels; a smaller one lies over a larger one."""
        labels = np.zeros((height, width), np.int32)
        areas = (self.corners[:, 2] - self.corners[:, 0]) * (self.corners[:, 3] - self.corners[:, 1])
        for place in np.argsort(-areas, kind="stable"):
            top, left, bottom, right = self.corners[place]
            labels[top:bottom, left:right] = self.ids[place]
        return labels


class Correction(NamedTuple):
    """A corrected proposal.

    Attributes:
        labels: corrected, with the ids of the truth.
        kept, redrawn, removed: proposed objects that were good enough, got another outline, or were no object.
        drawn: the objects that nobody had proposed.
    """

    labels: Int32[np.ndarray, "H W"]
    kept: int
    redrawn: int
    removed: int
    drawn: Int32[np.ndarray, "H W"]

    @property
    def looked(self) -> int:
        """Proposed objects in all."""
        return self.kept + self.redrawn + self.removed


@checked
def annotate(
    key: PRNGKeyArray,
    labels: Integer[np.ndarray, "H W"],
    recipe: Recipe,
    classes: Integer[np.ndarray, " N"] | None = None,
    *,
    class_count: int = 0,
    max_objects: int = MAX_OBJECTS,
) -> Annotated:
    """The labels that an annotator with the errors of a recipe draws for one picture, objects kept apart.

    Where the recipe has no confusion, the marked pixels are those of `degrade` with the same key.

    Args:
        labels: ids of the objects, 0 background.
        recipe: errors; scopes coarser than "object" are one and the same for a single picture.
        classes: class of object i at position i - 1, from 1 to `class_count`.
        class_count: number of classes, where classes are given and the recipe confuses them.
        max_objects: largest id of `labels`.

    Raises:
        InputError: bias (an error of masks alone), inclusion (draw it with `inclusion`), confusion without classes, an
            id out of range, or fewer classes than objects.

    >>> labels = np.array([[1, 0, 2, 0, 3, 0, 4]])
    >>> len(np.unique(annotate(jax.random.key(0), labels, Recipe(omission=0.5)).labels)) - 1
    2
    """
    check_ids("labels", labels, max_objects)
    for name, remedy in (("bias", "use jitter or markov"), ("inclusion", "add foreign objects with `inclusion`")):
        if recipe.has(name):
            raise InputError(f"{name}: cannot be drawn with ids of objects; {remedy}, or draw a mask with `degrade`")
    if classes is None and recipe.has("confusion"):
        raise InputError("confusion: there are no classes to confuse; give the classes of the objects, or set it to 0")
    top = int(labels.max(initial=0))
    if classes is not None and len(classes) < top:
        raise InputError(f"classes: there are {len(classes)} for ids up to {top}; give one for every object")
    keys, given = strength_keys(key), jnp.asarray(labels, jnp.int32)
    drawn = draw_objects(keys, given, None, recipe, (None, None), max_objects, keeps_ids=True)
    ids = max_objects * (1 + recipe.has("split"))
    drawn = np.asarray(draw_outlines(keys, drawn, recipe, ids), np.int32)
    if classes is None:
        return Annotated(drawn, None)
    if recipe.has("split") and recipe.has("merge"):  # of a split object, the second part has the id plus this
        is_each = recipe.scope == "object"
        merged = objects.merge(keys["merge"], given, recipe.merge, max_objects=max_objects, independent=is_each)
        top = int(merged.max())
    return Annotated(drawn, _classes_of(keys["confusion"], drawn, top, classes, recipe, class_count))


def _classes_of(key, drawn, top, classes, recipe, class_count) -> Int32[np.ndarray, " N"]:
    ids = np.unique(drawn[drawn > 0])
    found = np.zeros(int(drawn.max(initial=0)), np.int32)
    found[ids - 1] = classes[np.where(ids > top, ids - top, ids) - 1]
    if not recipe.has("confusion"):
        return found
    each = recipe.scope == "object"
    return np.asarray(objects.confusion(key, found, recipe.confusion, class_count, independent=each), np.int32)


@checked
def quick_recipe(labels: Integer[np.ndarray, "P H W"]) -> Recipe:
    """Errors of a quick annotator: 5 % of the objects missed, outlines off by a tenth of the median object's radius.

    Both shares are assumptions: with labels that the same people drew quickly and carefully, `python -m
    experiments.compare_labels` finds yours. The radius is that of a disc of the object's area.

    Raises:
        InputError: no object in any picture.

    >>> labels = np.ones((1, 20, 20), np.int32)
    >>> str(quick_recipe(labels))
    '5 % omission + boundary jitter of 1.13 px, drawn per picture'
    """
    areas = [area for one in labels for area in np.unique(one[one > 0], return_counts=True)[1]]
    if not areas:
        raise InputError("labels: no picture has an object, so their size is not known; give other pictures")
    jitter = round(QUICK_JITTER * float(np.sqrt(np.median(areas) / np.pi)), 2)
    return Recipe(omission=QUICK_OMISSION, jitter=jitter, scope="picture")


@checked
def points(key: PRNGKeyArray, labels: Integer[np.ndarray, "H W"]) -> Int32[np.ndarray, "H W"]:
    """One point in every object: its id at one pixel, 0 everywhere else.

    The pixel is drawn among those that are at least half as far from the object's edge as the farthest: people click
    into the inside.

    >>> points(jax.random.key(0), np.array([[1, 1, 1, 0, 2]])).tolist()[0][3:]
    [0, 2]
    """
    found = np.zeros(labels.shape, np.int32)
    chances = np.asarray(jax.random.uniform(key, labels.shape))
    for one, place in _places(labels):
        inside = labels[place] == one
        depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        scores = np.where(inside & (depth >= _INNER * depth.max()), chances[place], -1)
        found[place][np.unravel_index(scores.argmax(), scores.shape)] = one
    return found


@checked
def boxes(labels: Integer[np.ndarray, "H W"]) -> Boxes:
    """The box around every object.

    >>> boxes(np.array([[0, 5, 5], [0, 5, 0]])).corners.tolist()
    [[0, 1, 2, 3]]
    """
    found = [(one, rows.start, columns.start, rows.stop, columns.stop) for one, (rows, columns) in _places(labels)]
    table = np.array(found, np.int64).reshape(-1, 5)
    return Boxes(table[:, 0], table[:, 1:])


@checked
def image_label(
    labels: Integer[np.ndarray, "H W"], classes: Integer[np.ndarray, " N"], class_count: int
) -> Bool[np.ndarray, " K"]:
    """Which classes 1..`class_count` a picture shows.

    >>> image_label(np.array([[1, 0, 3]]), np.array([2, 1, 2]), 3).tolist()
    [False, True, False]
    """
    shown = classes[np.unique(labels[labels > 0]) - 1]
    return np.isin(np.arange(1, class_count + 1), shown)


@checked
def correct(
    proposal: Integer[np.ndarray, "H W"], truth: Integer[np.ndarray, "H W"], iou: float = IOU_TO_KEEP
) -> Correction:
    """What an annotator makes of proposed objects: keeps good outlines, redraws others, removes what is no object, and
    draws what nobody proposed.

    A proposed and a true object belong together if they share at least half of the pixels of the smaller one; of
    several, those with the highest intersection over union, one to one. New outlines lie over kept ones.

    Args:
        proposal: ids of the proposed objects, as a network's.
        truth: ids of the objects as the annotator draws them.
        iou: intersection over union from which a proposed outline is kept, in [0, 1]. 0.7 is an assumption.

    Raises:
        InputError: iou out of range.

    >>> found = correct(np.array([[1, 1, 0, 2, 0]]), np.array([[4, 4, 0, 0, 5]]))
    >>> found.labels.tolist(), found.kept, found.redrawn, found.removed
    ([[4, 4, 0, 0, 5]], 1, 0, 1)
    """
    if not 0 <= iou <= 1:
        raise InputError(f"iou: {iou!r} is not an intersection over union; give a number between 0 and 1")
    partners = _partners(proposal, truth)
    is_good = {own: score >= iou for own, _, score in partners}
    ids = np.unique(truth[truth > 0])
    missing = np.isin(truth, np.setdiff1d(ids, [other for _, other, _ in partners]))
    redrawn = np.isin(truth, [other for own, other, _ in partners if not is_good[own]])
    labels = np.zeros(truth.shape, np.int32)
    for own, other, _ in partners:
        if is_good[own]:
            labels[proposal == own] = other
    labels = np.where(missing | redrawn, truth, labels).astype(np.int32)
    kept, proposed = sum(is_good.values()), len(np.unique(proposal[proposal > 0]))
    drawn = np.where(missing, truth, 0).astype(np.int32)
    return Correction(labels, kept, len(partners) - kept, proposed - len(partners), drawn)


def _partners(proposal, truth) -> list[tuple[int, int, float]]:
    """Proposed id, true id and intersection over union of the pairs that belong together, each id once."""
    areas = [dict(zip(*np.unique(one, return_counts=True), strict=True)) for one in (proposal, truth)]
    both = (proposal > 0) & (truth > 0)
    pairs, counts = np.unique(np.stack([proposal[both], truth[both]]), axis=1, return_counts=True)
    scored = []
    for (own, other), shared in zip(pairs.T.tolist(), counts.tolist(), strict=True):
        smaller, larger = sorted((int(areas[0][own]), int(areas[1][other])))
        if 2 * shared >= smaller:
            scored.append((own, other, shared / (smaller + larger - shared)))
    found: list[tuple[int, int, float]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for own, other, score in sorted(scored, key=lambda pair: -pair[2]):
        if own not in taken[0] and other not in taken[1]:
            found.append((own, other, score))
            taken[0].add(own)
            taken[1].add(other)
    return found


def _places(labels):
    """Id above 0 and the slices around it, in rising order."""
    ids, dense = np.unique(labels, return_inverse=True)
    first = np.searchsorted(ids, 1)
    numbers = np.maximum(dense.reshape(labels.shape) - first + 1, 0)
    return [(int(one), place) for one, place in zip(ids[first:], ndimage.find_objects(numbers), strict=True)]
