"""Filled pixels against a sparse direct solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from segjax.ops.fill import fill_from_neighbours


def directly(image, removed):
    """The published system, pixel by pixel, for one picture [H, W, C]."""
    places = {tuple(place): number for number, place in enumerate(np.argwhere(removed))}
    matrix, right = lil_matrix((len(places), len(places))), np.zeros((len(places), image.shape[-1]))
    for (row, column), number in places.items():
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                other = (row + down, column + across)
                if (down, across) == (0, 0) or not all(0 <= o < n for o, n in zip(other, removed.shape, strict=True)):
                    continue
                weight = 1 / 12 if down and across else 1 / 6
                matrix[number, number] += weight
                if other in places:
                    matrix[number, places[other]] -= weight
                else:
                    right[number] += weight * image[other]
    filled = image.astype(np.float64)
    filled[removed] = spsolve(matrix.tocsr(), right).reshape(-1, image.shape[-1])
    return filled


@pytest.mark.slow
@pytest.mark.parametrize("size", [(21, 34), (5, 6)])
def test_filled_pixels_are_the_means_of_their_neighbours(size):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (3, *size, 2)).astype(np.float32)
    rows, columns = np.indices(size)
    hole = (abs(rows - 3) < 3) & (columns > 1)
    removed = np.stack([rng.random(size) < 0.9, hole, rng.random(size) < 0.2])
    filled = jax.jit(fill_from_neighbours)(jnp.asarray(image), jnp.asarray(removed))
    for one, picture, mask in zip(filled, image, removed, strict=True):
        np.testing.assert_allclose(one, directly(picture, mask), atol=1e-3)
        np.testing.assert_array_equal(np.asarray(one)[~mask], picture[~mask])


@pytest.mark.slow
def test_nothing_removed_or_everything_leaves_the_picture():
    image = jnp.asarray(np.random.default_rng(1).uniform(0, 1, (2, 6, 9, 1)), jnp.float32)
    removed = jnp.stack([jnp.zeros((6, 9), bool), jnp.ones((6, 9), bool)])
    np.testing.assert_array_equal(fill_from_neighbours(image, removed), image)
