"""Pooling over 2x2 windows and its inverses, written so that their gradients are fast on every backend.

Windows start at row and column 0 and do not overlap; an odd last row or column is left out.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H//2 W//2 C"]:
    """Largest value of each 2x2 window; equal values share the gradient."""
    top_left, top_right, bottom_left, bottom_right = _corners(x)
    return jnp.maximum(jnp.maximum(top_left, top_right), jnp.maximum(bottom_left, bottom_right))


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
    x: Float[Array, "B h w C"], index: UInt8[Array, "B h w C"], height: int, width: int
) -> Float[Array, "B {height} {width} C"]:
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


def pad_to(x: Float[Array, "B h w C"], height: int, width: int) -> Float[Array, "B {height} {width} C"]:
    """Zero rows and columns added at the bottom and on the right."""
    return jnp.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0)))


def _corners(x: Float[Array, "B H W C"]) -> tuple[Float[Array, "B H//2 W//2 C"], ...]:
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return tuple(x[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1))
