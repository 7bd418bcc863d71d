"""Maps that need nothing but the scores of changed pictures: they work for any function of a picture."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from segjax.maps.channels import CHUNK
from segjax.maps.gradients import own_mean
from segjax.maps.layers import Apply, Target, in_chunks
from segjax.types import InputError

Image = Float[Array, "B H W C"]
FullMap = Float[Array, "B H W"]
Variables = Mapping[str, Any]


def occlusion(
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    patch: int = 16,
    stride: int = 8,
    baseline: Float[Array, "#B #H #W #C"] | None = None,
    chunk: int = CHUNK,
) -> FullMap:
    """Occlusion: how far the target falls when a square is covered; per pixel the mean over the squares that cover it.

    Args:
        patch: side of the square in pixels.
        stride: pixels from one square to the next; a last one touches the lower and right border.
        baseline: what the square shows, broadcasting with the pictures; by default each picture's own mean.
        chunk: squares at once.

    Raises:
        InputError: the patch does not fit in the picture, or the stride leaves pixels uncovered.

    Source: Zeiler and Fergus, ECCV (2014).
    """
    height, width = image.shape[1:3]
    if not 1 <= patch <= min(height, width):
        raise InputError(f"patch must be from 1 to {min(height, width)} pixels, not {patch}")
    if not 1 <= stride <= patch:
        raise InputError(f"stride must be from 1 to {patch} (the patch), so that every pixel is covered, not {stride}")
    rows, columns = (_windows(size, patch, stride) for size in (height, width))
    down = jnp.asarray(np.repeat(rows, len(columns), 0), image.dtype)
    across = jnp.asarray(np.tile(columns, (len(rows), 1)), image.dtype)
    cover = jnp.broadcast_to(own_mean(image) if baseline is None else baseline, image.shape)

    def falls(given):
        x, covered = given
        whole = target(apply(variables, x[None]))

        def fall(square):
            mask = square[0][:, :, None, None] * square[1][:, None, :, None]
            return whole - target(apply(variables, x[None] + mask * (covered - x)[None]))

        return in_chunks(fall, (down, across), chunk)

    drops = jax.lax.map(falls, (image, cover))
    counts = jnp.einsum("sh,sw->hw", down, across)
    return jnp.einsum("bs,sh,sw->bhw", drops, down, across) / counts[None]


def rise(
    key: Key[Array, ""],
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    masks: int = 4000,
    grid: int = 7,
    keep: float = 0.5,
    chunk: int = CHUNK,
) -> FullMap:
    """RISE: mean over random masks M of y(x M) M / keep. The same masks serve all pictures.

    Args:
        masks: how many.
        grid: cells of a mask per side.
        keep: share of cells that are left open.
        chunk: masks at once.

    Raises:
        InputError: `keep` is not in (0, 1], or `grid` or `masks` is under 1.

    Source: Petsiuk, Das and Saenko, BMVC (2018).
    """
    if not (masks >= 1 and grid >= 1 and 0 < keep <= 1):
        raise InputError(
            f"rise: masks and grid must be at least 1, and keep above 0 and at most 1, not {masks}, {grid} and {keep}"
        )

    def weighted(some):
        height, width = image.shape[1:3]
        drawn = jax.vmap(lambda one: rise_mask(one, height, width, grid, keep))(some)

        def of_picture(x):
            return jnp.einsum("m,mhw->hw", target(apply(variables, x[None] * drawn[..., None])), drawn)

        return jax.lax.map(of_picture, image)

    keys = jax.random.split(key, masks)
    whole, rest = masks // chunk * chunk, masks % chunk
    total = jnp.zeros(image.shape[:3], image.dtype)
    if whole:
        chunks = keys[:whole].reshape(-1, chunk)
        total, _ = jax.lax.scan(lambda sums, some: (sums + weighted(some), None), total, chunks)
    if rest:
        total += weighted(keys[whole:])
    return total / (masks * keep)


def rise_mask(key: Key[Array, ""], height: int, width: int, grid: int, keep: float) -> Float[Array, "{height} {width}"]:
    """One mask in [0, 1]: grid x grid open or closed cells of ceil(side / grid) pixels, bilinearly enlarged by one cell
    more than the picture has, and cut out at a random shift of less than a cell."""
    draw, shift = jax.random.split(key)
    cell = math.ceil(height / grid), math.ceil(width / grid)
    cells = jax.random.bernoulli(draw, keep, (grid, grid)).astype(jnp.float32)
    large = jax.image.resize(cells, tuple((grid + 1) * side for side in cell), "linear")
    start = jax.random.randint(shift, (2,), 0, jnp.array(cell))
    return jax.lax.dynamic_slice(large, start, (height, width))


def _windows(size, patch, stride):
    """One row per square along an axis: 1 where it covers the axis."""
    starts = [*range(0, size - patch, stride), size - patch]
    position = np.arange(size)
    return np.stack([(start <= position) & (position < start + patch) for start in starts]).astype(np.float32)
