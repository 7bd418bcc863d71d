"""Sizes that are symbols, as in a program that `jax.export` makes for pictures of any size."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

Length = Any  # of an axis: a number, or a symbol for it


def has_symbols(x: Any) -> bool:
    """Whether a length of the array is a symbol, which many comparisons of sizes cannot be decided for."""
    return not all(isinstance(length, int) for length in x.shape)


def places(count: Length) -> Int[Array | np.ndarray, " N"]:
    """0, 1, ..., count - 1: constants where the count is a number, else computed when the program runs."""
    return np.arange(count) if isinstance(count, int) else jnp.arange(count)
