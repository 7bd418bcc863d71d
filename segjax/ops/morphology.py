"""Morphology with the 3x3 square, for any number of slices at once and with a traced number of repetitions.

A binary picture is packed before the loop: 32 rows of a column become the bits of one word, so that one repetition
costs a thirty-second of the memory traffic and needs no `reduce_window`, which is slow on CPU.
"""

from functools import reduce
from operator import or_

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped, UInt32

_WORD = 32


@jax.jit
def dilate(
    mask: Bool[Array | np.ndarray, "*slices H W"], times: int | Int[Array | np.ndarray | np.generic, ""]
) -> Bool[Array, "*slices H W"]:
    """Dilate every slice `times` times with the 3x3 square: set what is within chessboard distance `times` of the mask.

    `times` may be traced; 0 or less returns the mask as it is. Nothing enters from outside the picture (OpenCV's and
    SciPy's default rule).
    """
    height = mask.shape[-2]
    words = _pack_rows(jnp.asarray(mask))
    words = jax.lax.fori_loop(0, jnp.asarray(times, jnp.int32), lambda _, w: _dilate_words(w), words)
    return _unpack_rows(words, height)


@jax.jit
def erode(
    mask: Bool[Array | np.ndarray, "*slices H W"], times: int | Int[Array | np.ndarray | np.generic, ""]
) -> Bool[Array, "*slices H W"]:
    """Erode every slice `times` times with the 3x3 square: keep what is farther than `times` from the background.

    `times` may be traced; 0 or less returns the mask as it is. The picture border never erodes: pixels outside count as
    set (OpenCV's default rule; SciPy's with `border_value=1`).
    """
    return ~dilate(~jnp.asarray(mask), times)


def maximum_3x3(values: Shaped[Array | np.ndarray, "*slices H W"]) -> Shaped[Array, "*slices H W"]:
    """Largest of the 3x3 neighbourhood of every pixel; neighbours outside the picture do not count."""
    return _along_both_axes(jnp.asarray(values), jnp.maximum)


def minimum_3x3(values: Shaped[Array | np.ndarray, "*slices H W"]) -> Shaped[Array, "*slices H W"]:
    """Smallest of the 3x3 neighbourhood of every pixel; neighbours outside the picture do not count."""
    return _along_both_axes(jnp.asarray(values), jnp.minimum)


def _along_both_axes(values, choose):
    # Repeating the border value leaves maximum and minimum unchanged, so no fill value is needed.
    rows = choose(values, choose(_shift(values, 1, -2, edge=True), _shift(values, -1, -2, edge=True)))
    return choose(rows, choose(_shift(rows, 1, -1, edge=True), _shift(rows, -1, -1, edge=True)))


def _shift(
    values: Shaped[Array, "*slices H W"], by: int, axis: int, edge: bool = False
) -> Shaped[Array, "*slices H W"]:
    """Move by one place along an axis; what enters is 0, or the border value again if `edge`."""
    length = values.shape[axis]
    entering = jax.lax.slice_in_dim(values, 0, 1, axis=axis) if by > 0 else None
    if entering is None:
        entering = jax.lax.slice_in_dim(values, length - 1, length, axis=axis)
    if not edge:
        entering = jnp.zeros_like(entering)
    if by > 0:
        return jnp.concatenate([entering, jax.lax.slice_in_dim(values, 0, length - 1, axis=axis)], axis=axis)
    return jnp.concatenate([jax.lax.slice_in_dim(values, 1, length, axis=axis), entering], axis=axis)


def _pack_rows(mask: Bool[Array, "*slices H W"]) -> UInt32[Array, "*slices R W"]:
    """Bit b of word r of a column is row 32 r + b; rows beyond the picture are 0."""
    *slices, height, width = mask.shape
    missing = -height % _WORD
    padded = jnp.pad(mask, [(0, 0)] * len(slices) + [(0, missing), (0, 0)])
    rows = padded.reshape(*slices, (height + missing) // _WORD, _WORD, width)
    # Written out bit by bit: as a reduction it does not vectorise on CPU when the mask is computed on the way.
    return reduce(or_, [rows[..., bit, :].astype(jnp.uint32) << jnp.uint32(bit) for bit in range(_WORD)])


def _unpack_rows(words: UInt32[Array, "*slices R W"], height: int) -> Bool[Array, "*slices H W"]:
    *slices, count, width = words.shape
    numbers = jnp.arange(_WORD, dtype=jnp.uint32).reshape((1,) * (words.ndim - 1) + (_WORD, 1))
    bits = (words[..., None, :] >> numbers) & jnp.uint32(1)
    return bits.astype(bool).reshape(*slices, count * _WORD, width)[..., :height, :]


def _dilate_words(words: UInt32[Array, "*slices R W"]) -> UInt32[Array, "*slices R W"]:
    across = words | _shift(words, 1, -1) | _shift(words, -1, -1)
    from_word_above = _shift(across, 1, -2) >> jnp.uint32(_WORD - 1)
    from_word_below = _shift(across, -1, -2) << jnp.uint32(_WORD - 1)
    return across | (across << jnp.uint32(1)) | (across >> jnp.uint32(1)) | from_word_above | from_word_below
