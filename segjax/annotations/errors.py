"""The three annotation errors of Vădineanu et al. (MIDL 2022, section 2): omission, inclusion and bias.

Pure functions of a key. All work under `jit` and under `vmap` over keys and strengths. The leading axes of a label map
are the slices of one volume: an object has the same id in all of them and is kept or lost as a whole.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from segjax.annotations.checks import check_ids, check_rate, check_whole
from segjax.annotations.ids import Rounding, choose, look_up, present_ids
from segjax.arguments import checked
from segjax.ops.morphology import dilate, maximum_3x3, minimum_3x3

MAX_OBJECTS = 1023

Rate = float | int | np.generic | Float[Array | np.ndarray, ""] | Int[Array | np.ndarray, ""]
Whole = int | np.integer | Int[Array | np.ndarray, ""]
Labels = Int[Array | np.ndarray, "*slices H W"]


@checked
def omission(
    key: PRNGKeyArray, labels: Labels, rate: Rate, *, max_objects: int = MAX_OBJECTS
) -> Int[Array, "*slices H W"]:
    """Drop int(rate * n) of the n objects present, drawn at random without replacement.

    Args:
        labels: ids of the objects, 0 background; an id in several slices is one object.
        rate: in [0, 1]; int() of the real product, so 0.7 of 10 objects is 7 in float32 too.
        max_objects: largest id. Under `jit` objects with larger ids are kept and not counted.

    Raises:
        InputError: rate outside [0, 1], or (outside `jit`) a label id below 0 or above `max_objects`.

    >>> labels = np.array([[1, 0, 2, 0, 3, 0, 4]])
    >>> len(np.unique(omission(jax.random.key(0), labels, 0.5))) - 1
    2
    """
    check_rate("rate", rate)
    check_ids("labels", labels, max_objects)
    return _omit(key, jnp.asarray(labels, jnp.int32), jnp.float32(rate), max_objects=max_objects)


@checked
def inclusion(
    key: PRNGKeyArray, labels: Labels, extra: Labels, rate: Rate, *, max_objects: int = MAX_OBJECTS
) -> Int[Array, "*slices H W"]:
    """Add int(rate * n) of the n objects of `extra`, drawn at random, where `labels` is background.

    The id of an added object is its id in `extra` plus the largest id of `labels`.

    Args:
        labels: ids of the objects of the target class, 0 background.
        extra: ids of foreign objects on the same pixels.
        rate: in [0, 1]; counts as in `omission`.
        max_objects: largest id of `extra`. Under `jit` objects with larger ids are never added.

    Raises:
        InputError: rate outside [0, 1], or (outside `jit`) an id of `extra` below 0 or above `max_objects`.

    >>> labels, extra = np.array([[1, 1, 0, 0]]), np.array([[0, 1, 0, 1]])
    >>> inclusion(jax.random.key(0), labels, extra, 1.0).tolist()
    [[1, 1, 0, 2]]
    """
    check_rate("rate", rate)
    check_ids("extra", extra, max_objects)
    labels, extra = jnp.asarray(labels, jnp.int32), jnp.asarray(extra, jnp.int32)
    return _include(key, labels, extra, jnp.float32(rate), max_objects=max_objects)


@checked
def bias(key: PRNGKeyArray, mask: Bool[Array | np.ndarray, "*slices H W"], q_max: Whole) -> Bool[Array, "*slices H W"]:
    """Dilate or erode (one coin flip) the whole mask q times with the 3x3 square, q uniform on 1..q_max.

    Sign and q are the same for every slice; touching objects merge. The picture border never erodes.

    Args:
        q_max: whole number of pixels, 0 or more; 0 returns the mask as it is.

    Raises:
        InputError: q_max is not a whole number of at least 0.

    >>> mask = np.pad(np.ones((3, 3), bool), 3)
    >>> int(bias(jax.random.key(0), mask, 1).sum()) in (1, 25)
    True
    """
    check_whole("q_max", q_max)
    return draw_bias(key, jnp.asarray(mask), jnp.int32(q_max))


class Choice(NamedTuple):
    """How objects are chosen.

    Attributes:
        max_objects: largest id.
        independent: a coin for every object instead of a count.
        rounding: how a rate becomes a count.
        among: bool [ids], the ids to choose from, also where the labels do not show them; None: those of the labels.
    """

    max_objects: int
    independent: bool = False
    rounding: Rounding = "down"
    among: Any = None

    def of(self, key, labels, rate) -> Bool[Array, " ids"]:
        present = present_ids(labels, self.max_objects) if self.among is None else self.among
        return choose(key, present, rate, self.independent, self.rounding)


@partial(jax.jit, static_argnames=("max_objects",))
def _omit(key, labels, rate, *, max_objects):
    return omit(key, labels, rate, Choice(max_objects))


@partial(jax.jit, static_argnames=("max_objects",))
def _include(key, labels, extra, rate, *, max_objects):
    return include(key, labels, extra, rate, Choice(max_objects))


def omit(key, labels, rate, choice: Choice):
    return jnp.where(kept_pixels(key, labels, rate, choice), labels, 0)


def include(key, labels, extra, rate, choice: Choice):
    added = added_pixels(key, extra, rate, choice)
    return jnp.where((labels == 0) & added, extra + jnp.max(labels), labels)


def kept_pixels(key, labels, rate, choice: Choice) -> Bool[Array, "*slices H W"]:
    """Pixels of the objects that omission leaves."""
    dropped = choice.of(key, labels, rate)
    return look_up(~dropped & (jnp.arange(dropped.shape[0]) > 0), labels)


def added_pixels(key, extra, rate, choice: Choice) -> Bool[Array, "*slices H W"]:
    """Pixels of the objects that inclusion takes."""
    return look_up(choice.of(key, extra, rate), extra)


@jax.jit
def draw_bias(key, mask, q_max):
    for_sign, for_strength = jax.random.split(key)
    erodes = jax.random.bernoulli(for_sign)
    q = jnp.minimum(jax.random.randint(for_strength, (), 1, q_max + 1), q_max)
    # Eroding the mask is dilating its complement: one loop does both.
    return dilate(mask ^ erodes, q) ^ erodes


@partial(jax.jit, static_argnames="max_objects")
def bias_per_object(key, labels, q_max, *, max_objects):
    """`bias` with a sign and a q of its own for every object; a shrinking one shrinks from its neighbours too."""
    for_sign, for_strength = jax.random.split(key)
    erodes = jax.random.bernoulli(for_sign, shape=(max_objects + 2,))
    q = jnp.minimum(jax.random.randint(for_strength, erodes.shape, 1, q_max + 1), q_max)
    q_of_pixel = look_up(q, labels)
    grows = (labels > 0) & ~look_up(erodes, labels)

    def repeat(times_done, state):
        reach, kept = state
        inside = (minimum_3x3(kept) == kept) & (maximum_3x3(kept) == kept)
        shrinks = ~grows & (q_of_pixel > times_done)
        return jnp.maximum(reach, maximum_3x3(reach) - 1), jnp.where(shrinks & ~inside, 0, kept)

    # `reach`: how many more pixels the growing objects spread from here, -1 where none has arrived.
    reach, kept = jax.lax.fori_loop(0, q_max, repeat, (jnp.where(grows, q_of_pixel, -1), labels))
    return (reach >= 0) | (kept > 0)
