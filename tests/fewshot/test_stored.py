"""Features from files: enlarged and standardised as ours, and fitted on their own grid as on the full one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.data.feature_files import open_features
from segjax.fewshot.draws import draw_support
from segjax.fewshot.grid import FeatureSet, fit_grid, full_size
from segjax.fewshot.linear import Ridge
from segjax.fewshot.stored import StoredBank

SIZE = (12, 18)


@pytest.fixture
def files(tmp_path):
    grids = np.random.default_rng(0).normal(2, 3, (6, 4, 6, 5)).astype(np.float32)
    grids[..., 4] = 7  # constant
    for number, grid in enumerate(grids):
        np.save(tmp_path / f"{number}.npy", grid)
    return open_features(tmp_path, [str(number) for number in range(6)], SIZE)


def test_a_coarse_row_is_enlarged_bilinearly_with_half_pixel_centres():
    # the centres of 2 grid points of 4 pixels each lie at pixels 1.5 and 5.5
    values = np.array([0.0, 8.0], np.float32).reshape(1, 2, 1)
    expected = [0, 0, 1, 3, 5, 7, 8, 8]
    np.testing.assert_allclose(full_size(values, (1, 8))[0, :, 0], expected, atol=1e-5)


@pytest.mark.parametrize("grid", [(5, 7), (4, 6), (12, 18), (1, 1)])
def test_any_grid_is_enlarged_point_by_point(grid):
    values = np.random.default_rng(1).normal(size=(2, *grid, 3)).astype(np.float32)
    found = np.asarray(full_size(values, SIZE))
    for row, column in [(0, 0), (3, 11), (11, 17), (6, 5)]:
        y, x = (
            np.clip((place + 0.5) * count / length - 0.5, 0, count - 1)
            for place, count, length in zip((row, column), grid, SIZE, strict=True)
        )
        top, left = int(y), int(x)
        bottom, right = min(top + 1, grid[0] - 1), min(left + 1, grid[1] - 1)
        above = values[:, top, left] * (1 - x + left) + values[:, top, right] * (x - left)
        below = values[:, bottom, left] * (1 - x + left) + values[:, bottom, right] * (x - left)
        np.testing.assert_allclose(found[:, row, column], above * (1 - y + top) + below * (y - top), atol=1e-5)


def test_features_are_standardised_over_the_pixels_of_the_pictures_that_are_given(files):
    bank = StoredBank.standardised(files, SIZE, [0, 2, 3])
    pixels = np.concatenate([np.asarray(full_size(files[index], SIZE)).reshape(-1, 5) for index in (0, 2, 3)])
    np.testing.assert_allclose(bank.mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(bank.variance, pixels.var(0), rtol=1e-4, atol=1e-9)
    stack = bank.stack([1, 3])
    assert (len(bank), stack.shape, stack.dtype) == (5, (2, 4, 6, 5), np.float32)
    expected = (files[3][..., :4] - pixels.mean(0)[:4]) / pixels.std(0)[:4]
    np.testing.assert_allclose(stack[1][..., :4], expected, atol=1e-4)
    assert (stack[..., 4] == 0).all()


def test_features_on_their_grid_are_fitted_as_those_of_every_pixel(files):
    bank = StoredBank.standardised(files, SIZE, range(6))
    coarse = bank.stack(range(6))
    full = np.asarray(full_size(coarse, SIZE))
    targets = (full[..., 0] + full[..., 1] > 0.3).astype(np.int32)
    draws = draw_support(jax.random.key(0), np.ones(4, bool), (1, 3), 2)
    grids = [
        fit_grid(
            jax.random.key(1), Ridge(), FeatureSet(features[:4], targets[:4]), FeatureSet(features[4:], targets[4:]),
            draws, (2, 5), "relevance", bank.variance,
        )
        for features in (coarse, full)
    ]  # fmt: skip
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3), *grids)
    assert grids[0].at_best.tp.sum() > 100 and jnp.isfinite(grids[0].thresholds).all()
