"""Tables with one entry per object id: who is present, who is chosen, and what that means for every pixel.

A table for ids up to `max_objects` has `max_objects + 2` entries; the last one stands for all larger ids, which are
never present.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, Shaped

Rounding = Literal["down", "at_least_one", "up", "leave_one"]

# A rate such as 0.7 and its product with a count are each off by at most half a unit in the last place of float32.
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def present_ids(labels: Int[Array, "*slices H W"], max_objects: int) -> Bool[Array, " ids"]:
    """Which ids are objects of the label map; background is not."""
    seen = _mark(clip_ids(labels, max_objects).ravel(), max_objects + 2)
    return seen & (jnp.arange(max_objects + 2) > 0) & (jnp.arange(max_objects + 2) <= max_objects)


def choose(
    key: PRNGKeyArray, present: Bool[Array, " ids"], rate, independent: bool, rounding: Rounding = "down"
) -> Bool[Array, " ids"]:
    """Choose `count_of` the n present ids or, if `independent`, each with probability `rate`.

    At least one entry must be absent.
    """
    if independent:
        return present & jax.random.bernoulli(key, rate, present.shape)
    # The id in the low bits makes the scores distinct, so that exactly as many are chosen as asked for.
    ids = jnp.arange(present.shape[0], dtype=jnp.uint32)
    low_bits = np.uint32((1 << (present.shape[0] - 1).bit_length()) - 1)
    scores = (jax.random.bits(key, present.shape) >> np.uint32(1) & ~low_bits) | ids
    threshold = jnp.sort(jnp.where(present, scores, np.uint32(0xFFFFFFFF)))[count_of(rate, jnp.sum(present), rounding)]
    return present & (scores < threshold)


def count_of(rate, objects: int | Int[Array, ""], rounding: Rounding = "down") -> Int[Array, ""]:
    """How many of some objects a rate stands for, by the real product, although it is rounded to float32.

    "down" is int(rate * objects), "at_least_one" the same but 1 or more; "up" rounds up, and so does "leave_one", but
    it leaves at least one object. A rate of 0 stands for none, always.
    """
    objects = jnp.asarray(objects)
    product = jnp.asarray(rate, jnp.float32) * objects.astype(jnp.float32)
    if rounding in ("up", "leave_one"):
        most = objects if rounding == "up" else objects - 1
        return jnp.clip(jnp.ceil(product * (1 - _ROUNDING)).astype(jnp.int32), 0, jnp.maximum(most, 0))
    count = jnp.floor(product * (1 + _ROUNDING)).astype(jnp.int32)
    return jnp.where(product > 0, jnp.maximum(count, 1), 0) if rounding == "at_least_one" else count


def clip_ids(labels: Int[Array, "*slices H W"], max_objects: int) -> Int[Array, "*slices H W"]:
    """Row of the table for every pixel."""
    return jnp.clip(labels, 0, max_objects + 1)


def look_up(table: Shaped[Array, " ids"], labels: Int[Array, "*slices H W"]) -> Shaped[Array, "*slices H W"]:
    """Entry of the table for the object at every pixel."""
    # Storing the table first: XLA would otherwise draw the random numbers behind it again for every pixel.
    stored = jnp.zeros_like(table).at[jnp.arange(table.shape[0])].set(table)
    return stored.at[clip_ids(labels, table.shape[0] - 2)].get(mode="promise_in_bounds")


def _mark(places: Int[Array, " places"], size: int) -> Bool[Array, " size"]:
    """True where at least one of the places points to."""

    @jax.custom_batching.custom_vmap
    def mark(places):
        return jnp.zeros(size, bool).at[places].set(True)

    @mark.def_vmap
    def mark_many(count, _, places):
        # One flat scatter; what `vmap` makes of it by itself is several times slower on CPU.
        offsets = size * jnp.arange(count, dtype=places.dtype)[:, None]
        return _mark((places + offsets).ravel(), count * size).reshape(count, size), True

    return mark(places)
