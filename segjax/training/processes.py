"""Checkpoints where several processes are connected as one JAX machine.

Orbax waits for all of them whenever one saves, also where each trains networks of its own. So each writes a plain file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all

from segjax.models.weights import load_weights, save_weights

SUFFIX = ".safetensors"


def save_alone(path: Path, tree: Any, made_by: Mapping[str, str]) -> None:
    """Write the arrays of a tree, which this process must have whole, without the other processes."""
    arrays = {str(number): _plain(leaf) for number, leaf in enumerate(jax.tree.leaves(tree))}
    save_weights(path, arrays, {"made_by": dict(made_by)})


def load_alone(path: Path, like: Any) -> tuple[Any, Any]:
    """A tree that `save_alone` wrote, and who made it.

    Args:
        like: a tree of the same structure, shapes, types and places.

    Raises:
        Damaged: it is not whole.
        ValueError: it has other arrays.
    """
    arrays, facts = load_weights(path, is_ours=True)
    leaves = [arrays.get(str(number)) for number in range(len(jax.tree.leaves(like)))]
    for leaf, known in zip(leaves, map(_plain, jax.tree.leaves(like)), strict=True):
        if leaf is None or (leaf.shape, leaf.dtype) != (known.shape, known.dtype):
            raise ValueError("it has other arrays")
    return _placed(leaves, like), facts.get("made_by")


def told_by_first(tree: Any | None, like: Any) -> Any | None:
    """What process 0 has, in all processes, to the bit; None where it has None. Every process must call this.

    Args:
        like: a tree of the same structure, shapes, types and places.
    """
    if not broadcast_one_to_all(np.int32(tree is not None)):
        return None
    known = [_plain(leaf) for leaf in jax.tree.leaves(like)]
    own = known if tree is None else [_plain(leaf) for leaf in jax.tree.leaves(tree)]
    # as bytes, since JAX would round numbers of 64 bits
    told = broadcast_one_to_all(np.frombuffer(b"".join(leaf.tobytes() for leaf in own), np.uint8))
    ends = np.cumsum([leaf.nbytes for leaf in known])
    parts = np.split(np.asarray(told), ends[:-1])
    return _placed(
        [part.copy().view(leaf.dtype).reshape(leaf.shape) for part, leaf in zip(parts, known, strict=True)], like
    )


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _placed(arrays: list[Any], like: Any) -> Any:
    """Arrays as a tree like another: on the same devices, keys as keys."""

    def place(array: np.ndarray, known: Any) -> Any:
        if not isinstance(known, jax.Array):
            return array
        placed = jax.make_array_from_callback(array.shape, known.sharding, lambda index: array[index])
        return jax.random.wrap_key_data(placed, impl=jax.random.key_impl(known)) if _is_key(known) else placed

    leaves, structure = jax.tree.flatten(like)
    return jax.tree.unflatten(structure, [place(array, known) for array, known in zip(arrays, leaves, strict=True)])
