"""Removed pixels filled in from those around them: a linear system, solved by conjugate gradients with multigrid.

A V-cycle of multigrid preconditions the conjugate gradients, so that the number of iterations, some ten, hardly grows
with the size of the holes. Grids get coarser by two; a coarse pixel is unknown where all under it are.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

ACCURACY = 1e-4  # relative residual
MOST_ITERATIONS = 60
DAMPING = 0.8
SWEEPS = 2  # before and after each correction; one would be no loop
COARSEST = 4  # pixels a side
COARSEST_SWEEPS = 8


def fill_from_neighbours(image: Float[Array, "B H W C"], removed: Bool[Array, "B H W"]) -> Float[Array, "B H W C"]:
    """Every removed pixel becomes the weighted mean of its eight neighbours, removed ones among them.

    Weights are 1/6 to the sides and 1/12 across corners, divided by their sum at the border. Other pixels stay, and so
    does a picture of which every pixel is removed.

    Source: the imputation of Rong et al., ICML (2022).
    """
    channels_apart = jax.vmap(_fill, (-1, None), -1)
    return jax.vmap(channels_apart)(image, removed & ~removed.all((1, 2), keepdims=True))


def _fill(image: Float[Array, "H W"], unknown: Bool[Array, "H W"]) -> Float[Array, "H W"]:
    levels = [unknown]
    while min(levels[-1].shape) > COARSEST:
        levels.append(_coarser(levels[-1]))
    known = jnp.where(unknown, 0, image)
    # far from every known pixel their mean is the best guess
    start = jnp.where(unknown, jnp.sum(known) / jnp.sum(~unknown), 0)
    solution, _ = jax.scipy.sparse.linalg.cg(
        partial(_operator, unknown),
        jnp.where(unknown, _neighbours(known), 0),
        start,
        tol=ACCURACY,
        maxiter=MOST_ITERATIONS,
        M=partial(_cycle, levels),
    )
    return known + solution


def _neighbours(x):
    """Sum of the eight neighbours with their weights, nothing outside the grid."""
    rows = jnp.pad(x, ((1, 1), (0, 0)))
    rows = rows[:-2] + 2 * x + rows[2:]
    columns = jnp.pad(rows, ((0, 0), (1, 1)))
    return (columns[:, :-2] + 2 * rows + columns[:, 2:] - 4 * x) / 12


def _degree(x):
    """Sum of the weights of the neighbours of each pixel; by NumPy, because XLA is slow at folding constants."""
    rows, columns = (np.convolve(np.ones(length), [1, 2, 1])[1:-1] for length in x.shape)
    return jnp.asarray((np.outer(rows, columns) - 4) / 12, x.dtype)


def _operator(unknown, x):
    """For an x that is zero where known: what an unknown pixel exceeds its neighbours by."""
    return jnp.where(unknown, _degree(x) * x - _neighbours(x), 0)


def _cycle(levels, residual):
    """One symmetric V-cycle: the approximate solution for a residual.

    Sweeps are in loops because what enters and leaves a loop is computed once. Written out, XLA computes a neighbour's
    neighbours again for each pixel, at eight times the time, and takes long to compile.
    """
    unknown = levels[0]
    step = jnp.where(unknown, DAMPING / _degree(residual), 0)

    def downwards(_, pair):
        x = pair[0] + step * pair[1]
        return x, jnp.where(unknown, residual - _operator(unknown, x), 0)

    def upwards(_, x):
        return x + step * (residual - _operator(unknown, x))

    if len(levels) == 1:
        return jax.lax.fori_loop(0, COARSEST_SWEEPS, upwards, step * residual)
    x, left = jax.lax.fori_loop(0, SWEEPS, downwards, (jnp.zeros_like(residual), residual))
    finer = partial(_finer, shape=residual.shape)
    coarse_shape = jax.ShapeDtypeStruct(levels[1].shape, residual.dtype)
    restricted = jax.linear_transpose(finer, coarse_shape)(left)[0]
    correction = _cycle(levels[1:], jnp.where(levels[1], restricted, 0))
    return jax.lax.fori_loop(0, SWEEPS, upwards, x + jnp.where(unknown, finer(correction), 0))


def _coarser(unknown):
    """Unknown where all of the two by two pixels are; those outside an odd grid do not count."""
    height, width = unknown.shape
    even = jnp.pad(unknown, ((0, height % 2), (0, width % 2)), constant_values=True)
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).all((1, 3))


def _finer(x, shape):
    """Bilinear enlargement by two, cut to the shape of the finer grid."""
    for axis in (0, 1):
        x = jnp.moveaxis(x, axis, 0)
        before, after = (jnp.concatenate(pair) for pair in ((x[:1], x[:-1]), (x[1:], x[-1:])))
        x = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], 1).reshape(-1, x.shape[1])
        x = jnp.moveaxis(x, 0, axis)
    return x[: shape[0], : shape[1]]
