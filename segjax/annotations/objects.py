"""Errors about what belongs together: touching objects given one id, objects cut in two, objects of another class.

Pure functions of a key that work under `jit` and under `vmap` over keys and strengths. The leading axes of a label
map are the slices of one volume: what is merged or cut is so in all of them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from segjax.annotations.checks import check_ids, check_rate
from segjax.annotations.errors import MAX_OBJECTS, Labels, Rate
from segjax.annotations.ids import choose, clip_ids, look_up, present_ids
from segjax.arguments import checked
from segjax.types import InputError

# Touching regions of a plane form a planar graph, which has fewer than 3 edges per node; pieces and slices add some.
_PAIRS_PER_OBJECT = 8


@checked
def merging(
    key: PRNGKeyArray, labels: Labels, rate: Rate, *, max_objects: int = MAX_OBJECTS
) -> Int[Array, "*slices H W"]:
    """Give one id to int(rate * n) of the n touching pairs of objects, drawn at random; the lower id wins.

    Two objects touch when a pixel of one has a pixel of the other to its left, right, above or below in a slice.
    Chains of chosen pairs become one object.

    Args:
        rate: in [0, 1]; 0 returns the labels as they are.
        max_objects: largest id; memory grows with its square. Of more than 8 pairs per possible object the rest stays
            apart.

    Raises:
        InputError: rate outside [0, 1], or (outside `jit`) a label id below 0 or above `max_objects`.

    >>> merging(jax.random.key(0), jnp.array([[1, 2, 0, 3]]), 1.0).tolist()
    [[1, 1, 0, 3]]
    """
    check_rate("rate", rate)
    check_ids("labels", labels, max_objects)
    return merge(key, jnp.asarray(labels, jnp.int32), jnp.float32(rate), max_objects=max_objects, independent=False)


@checked
def splitting(
    key: PRNGKeyArray, labels: Labels, rate: Rate, *, max_objects: int = MAX_OBJECTS
) -> Int[Array, "*slices H W"]:
    """Cut int(rate * n) of the n objects in two along a line through the centroid at a random angle.

    One part keeps the id, the other gets the id plus the largest id of `labels`. Centroid and line are those of the
    whole object over all slices.

    Args:
        rate: in [0, 1]; 0 returns the labels as they are.
        max_objects: largest id. Under `jit` objects with larger ids are never cut.

    Raises:
        InputError: rate outside [0, 1], or (outside `jit`) a label id below 0 or above `max_objects`.

    >>> labels = jnp.ones((4, 4), jnp.int32)
    >>> jnp.unique(splitting(jax.random.key(0), labels, 1.0)).tolist()
    [1, 2]
    """
    check_rate("rate", rate)
    check_ids("labels", labels, max_objects)
    return split(key, jnp.asarray(labels, jnp.int32), jnp.float32(rate), max_objects=max_objects, independent=False)


@checked
def confusion(
    key: PRNGKeyArray, classes: Int[Array | np.ndarray, " N"], rate: Rate, count: int, *, independent: bool = False
) -> Int[Array, " N"]:
    """Give int(rate * n) of the n objects another class, drawn at random; each other class is as likely.

    Args:
        classes: class of object i at position i - 1, from 1 to `count`; 0 stands for an id without an object.
        rate: in [0, 1]; 0 returns the classes as they are.
        count: number of classes, 2 or more.
        independent: a coin with probability `rate` for every object instead of an exact count.

    Raises:
        InputError: rate outside [0, 1], fewer than two classes, or (outside `jit`) a class that is not among them.

    >>> sorted(confusion(jax.random.key(0), jnp.array([1, 1, 1, 1]), 0.5, 2).tolist())
    [1, 1, 2, 2]
    """
    check_rate("rate", rate)
    if count < 2:
        raise InputError(f"count: {count} leaves no other class to confuse with; give 2 or more, or a rate of 0")
    check_ids("classes", classes, count)
    classes = jnp.asarray(classes, jnp.int32)
    for_objects, for_classes = jax.random.split(key)
    is_object = jnp.concatenate([jnp.zeros(1, bool), classes > 0])
    chosen = choose(for_objects, is_object, jnp.float32(rate), independent)[1:]
    away = jax.random.randint(for_classes, classes.shape, 1, count)
    return jnp.where(chosen, (classes - 1 + away) % count + 1, classes)


@partial(jax.jit, static_argnames=("max_objects", "independent"))
def merge(key, labels, rate, *, max_objects, independent):
    first, second, listed = _touching_pairs(labels, max_objects)
    chosen = choose(key, listed, rate, independent)
    first, second = jnp.where(chosen, first, 0), jnp.where(chosen, second, 0)

    def join(state):
        roots, _ = state
        lower = jnp.minimum(roots[first], roots[second])
        joined = roots.at[first].min(lower).at[second].min(lower)
        joined = joined[joined]
        return joined, jnp.any(joined != roots)

    ids = jnp.arange(max_objects + 2, dtype=labels.dtype)
    roots, _ = jax.lax.while_loop(lambda state: state[1], join, (ids, jnp.array(True)))
    return jnp.where(labels > max_objects, labels, look_up(roots, labels))


@partial(jax.jit, static_argnames=("max_objects", "independent"))
def split(key, labels, rate, *, max_objects, independent):
    for_objects, for_angles = jax.random.split(key)
    chosen = choose(for_objects, present_ids(labels, max_objects), rate, independent)
    angles = jax.random.uniform(for_angles, chosen.shape, maxval=jnp.pi)
    ids = clip_ids(labels, max_objects)
    down, right = offsets(ids, centroids(ids, max_objects + 2))
    beyond_line = down * look_up(jnp.cos(angles), ids) + right * look_up(jnp.sin(angles), ids) > 0
    return jnp.where(look_up(chosen, ids) & beyond_line, labels + jnp.max(labels), labels)


def centroids(ids: Int[Array, "*slices H W"], count: int) -> Float[Array, "count 2"]:
    """Mean row and column of every id in 0..count - 1 over all slices; 0 for absent ids."""
    rows, columns = (jax.lax.broadcasted_iota(jnp.float32, ids.shape, ids.ndim - 2 + axis) for axis in (0, 1))
    moments = jnp.stack([rows.ravel(), columns.ravel(), jnp.ones(ids.size)], axis=-1)
    sums = jnp.zeros((count, 3)).at[ids.ravel()].add(moments)
    return sums[:, :2] / jnp.maximum(sums[:, 2:], 1)


def offsets(
    ids: Int[Array, "*slices H W"], centres: Float[Array, "count 2"]
) -> tuple[Float[Array, "*slices H W"], Float[Array, "*slices H W"]]:
    """Rows below and columns right of the centroid of the object named at every pixel."""
    rows, columns = (jax.lax.broadcasted_iota(jnp.float32, ids.shape, ids.ndim - 2 + axis) for axis in (0, 1))
    return rows - look_up(centres[:, 0], ids), columns - look_up(centres[:, 1], ids)


def _touching_pairs(labels, max_objects):
    """Lower id, higher id and whether the entry is used, for every touching pair."""
    ids = jnp.where((labels > 0) & (labels <= max_objects), labels, 0)
    neighbours = [(ids[..., :-1, :], ids[..., 1:, :]), (ids[..., :-1], ids[..., 1:])]
    here = jnp.concatenate([a.ravel() for a, _ in neighbours])
    there = jnp.concatenate([b.ravel() for _, b in neighbours])
    touch = (here != there) & (here > 0) & (there > 0)
    low, high = jnp.where(touch, jnp.minimum(here, there), 0), jnp.where(touch, jnp.maximum(here, there), 0)
    table = jnp.zeros((max_objects + 1, max_objects + 1), bool).at[low, high].set(True).at[0, 0].set(False)
    # One entry more than can be filled: `choose` needs an unused one.
    first, second = jnp.nonzero(table, size=_PAIRS_PER_OBJECT * max_objects, fill_value=0)
    first, second = jnp.append(first, 0), jnp.append(second, 0)
    return first, second, first > 0
