"""Refusing strengths and labels that cannot be meant; traced values pass, because they have no value yet."""

import math
import numbers

import jax
import numpy as np
from jaxtyping import Array, Int

from segjax.types import InputError


def check_rate(name: str, value) -> None:
    """Raise `InputError` unless a concrete `value` (or every value of an array) is a number in [0, 1]."""
    _check_numbers(name, value, numbers.Real, np.floating | np.integer, "a rate between 0 and 1", lambda v: 0 <= v <= 1)


def check_whole(name: str, value, lowest: int = 0, highest: int | None = None) -> None:
    """Raise `InputError` unless a concrete `value` is 0 or a whole number in [lowest, highest]."""
    meaning = f"a whole number, {'0 or ' if lowest > 0 else ''}at least {lowest}"
    if highest is not None:
        meaning += f" and at most {highest}"
    _check_numbers(
        name,
        value,
        numbers.Integral,
        np.integer,
        meaning,
        lambda v: v == 0 or (v >= lowest and (highest is None or v <= highest)),
    )


def check_length(name: str, value, *, above: bool = False) -> None:
    """Raise `InputError` unless a concrete `value` is a finite number of pixels, 0 or more (`above`: more)."""
    _check_numbers(
        name,
        value,
        numbers.Real,
        np.floating | np.integer,
        "a finite length in pixels, above 0" if above else "a finite length in pixels, 0 or more",
        lambda v: (v > 0 or (v == 0 and not above)) and math.isfinite(v),
    )


def check_ids(name: str, labels: Int[Array | np.ndarray, "..."], max_objects: int) -> None:
    """Raise `InputError` if concrete `labels` hold an id below 0 or above `max_objects`."""
    if isinstance(labels, jax.core.Tracer) or labels.size == 0:
        return
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0:
        raise InputError(f"{name}: label id {lowest} is negative; 0 is background and objects count from 1")
    if highest > max_objects:
        raise InputError(
            f"{name}: label id {highest} is above max_objects={max_objects}; "
            f"pass max_objects={highest} or more, or number the objects from 1"
        )


def _check_numbers(name, value, python_kind, numpy_kind, meaning, accepts) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    value = np.asarray(value) if isinstance(value, jax.Array) else value
    values = value.ravel() if isinstance(value, np.ndarray) else [value]
    for one in values:
        is_number = isinstance(one, python_kind | numpy_kind) and not isinstance(one, bool | np.bool_)
        if not is_number or not accepts(one):
            raise InputError(f"{name}: {one!r} is not {meaning}")
