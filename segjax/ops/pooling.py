"""Pooling over small windows and its inverses, written so that their gradients are fast on every backend.

Windows of 2x2 start at row and column 0 and do not overlap; an odd last row or column is left out.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from segjax.ops.symbols import Length, places


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H//2 W//2 C"]:
    """Largest value of each 2x2 window; equal values share the gradient."""
    top_left, top_right, bottom_left, bottom_right = _corners(x)
    return jnp.maximum(jnp.maximum(top_left, top_right), jnp.maximum(bottom_left, bottom_right))


def overlapping_max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B (H+1)//2 (W+1)//2 C"]:
    """Largest value of each 3x3 window around every second row and column; equal values share the gradient."""
    for axis in (1, 2):
        count = (x.shape[axis] + 1) // 2
        margin = [(0, 0)] * 4
        margin[axis] = (1, 1)
        padded = jnp.pad(x, margin, constant_values=-jnp.inf)
        first, middle, last = (
            jax.lax.slice_in_dim(padded, start, start + 2 * count - 1, 2, axis) for start in range(3)
        )
        x = jnp.maximum(jnp.maximum(first, middle), last)
    return x


def average_pool_to(x: Float[Array, "B H W C"], height: int, width: int) -> Float[Array, "B {height} {width} C"]:
    """Means over height x width windows that cover the picture: window i starts at row floor(i H / h).

    It ends before row ceil((i + 1) H / h); likewise for columns.

    Of a picture smaller than that, windows repeat rows and columns. As PyTorch's adaptive average pooling.
    """
    rows, columns = (_windows(length, count) for length, count in ((x.shape[1], height), (x.shape[2], width)))
    return jnp.einsum("bhwc,ih,jw->bijc", x, jnp.asarray(rows, x.dtype), jnp.asarray(columns, x.dtype))


def _windows(length: Length, count: int) -> Float[Array | np.ndarray, "{count} _"]:
    """Weights [count, length] of the mean over each window."""
    index, place = np.arange(count)[:, None], places(length)[None]
    is_inside = (place >= index * length // count) & (place < -(-(index + 1) * length // count))
    return is_inside / is_inside.sum(1, keepdims=True)


def max_pool_with_indices(
    x: Float[Array, "B H W C"],
) -> tuple[Float[Array, "B H//2 W//2 C"], UInt8[Array, "B H//2 W//2 C"]]:
    """Largest value of each 2x2 window and its place: 0, 1, 2, 3 in reading order, the first of equal values.

    The gradient goes to that place alone.
    """
    top_left, top_right, bottom_left, bottom_right = _corners(x)
    is_right_of_top = top_right > top_left
    is_right_of_bottom = bottom_right > bottom_left
    top = jnp.where(is_right_of_top, top_right, top_left)
    bottom = jnp.where(is_right_of_bottom, bottom_right, bottom_left)
    is_bottom = bottom > top
    index = jnp.where(is_bottom, 2 + is_right_of_bottom.astype(jnp.uint8), is_right_of_top.astype(jnp.uint8))
    return jnp.where(is_bottom, bottom, top), index.astype(jnp.uint8)


def unpool(
    x: Float[Array, "B h w C"], index: UInt8[Array, "B h w C"], height: Length, width: Length
) -> Float[Array, "B _ _ C"]:
    """Each value put back to the place of its 2x2 window that `index` names, zero elsewhere.

    Args:
        x: one value per window.
        index: places as `max_pool_with_indices` gives them.
        height: rows of the picture that was pooled, 2 h or 2 h + 1.
        width: its columns, 2 w or 2 w + 1.
    """
    b, h, w, c = x.shape
    quarters = jnp.stack([jnp.where(index == place, x, 0) for place in range(4)])
    windows = quarters.reshape(2, 2, b, h, w, c).transpose(2, 3, 0, 4, 1, 5)
    return pad_to(windows.reshape(b, 2 * h, 2 * w, c), height, width)


def pad_to(x: Float[Array, "B h w C"], height: Length, width: Length) -> Float[Array, "B _ _ C"]:
    """Zero rows and columns added at the bottom and on the right."""
    return jnp.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0)))


def enlarge_nearest(x: Float[Array, "B h w C"], height: Length, width: Length) -> Float[Array, "B _ _ C"]:
    """The nearest value for each pixel of a larger picture: row i is row floor(i h / height), likewise for columns.

    As PyTorch's `interpolate(mode="nearest")`.
    """
    for axis, length in ((1, height), (2, width)):
        count = x.shape[axis]
        if length in (2 * count, 2 * count - 1):  # the gradient of a repetition is a sum, that of an index is slow
            x = jax.lax.slice_in_dim(jnp.repeat(x, 2, axis), 0, length, axis=axis)
        else:
            x = jnp.take(x, places(length) * count // length, axis)
    return x


def _corners(x: Float[Array, "B H W C"]) -> tuple[Float[Array, "B H//2 W//2 C"], ...]:
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return tuple(x[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1))
