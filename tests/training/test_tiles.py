"""Logits of tiles are those of the whole picture."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create
from segjax.training.tiles import _overlapping, _windows, predict_blended, predict_tiled
from segjax.types import InputError

NETWORKS = [
    ("unet", {"width": 2, "levels": 2, "norm": "none"}),
    ("unet", {"width": 2, "levels": 1, "norm": "running"}),
    ("segnet", {"width": 2, "levels": 2, "norm": "none", "published_head": False}),
    ("msd", {"depth": 4}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=str)
@pytest.mark.parametrize("shape", [(97, 130), (64, 111)])
def test_tiles_give_the_logits_of_the_whole_picture(name, options, shape):
    network = create(name, **options)
    image = np.random.default_rng(0).random((*shape, 2), np.float32)
    drawn = network.init(jax.random.key(0), jnp.asarray(image[None]))
    variables = jax.tree.map(lambda leaf: leaf + 0.1, drawn)  # MSD starts with zeros in its last layer
    whole = np.asarray(jax.jit(network.apply)(variables, image[None])[0])
    assert whole.std() > 0
    for batch in (1, 4):
        tiled = predict_tiled(network, variables, image, 24, batch)
        np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-5)


def test_more_than_the_halo_is_needed():
    """One pixel far away changes no logit of a tile; one within the receptive field may."""
    network = create("msd", depth=4)
    assert network.receptive_field == 21 and network.stride == 1
    windows = list(_windows(200, 24, 11, 1))
    for window, kept in windows:
        assert window.start == 0 or kept.start - window.start >= 10
        assert window.stop == 200 or window.stop - kept.stop >= 10


@pytest.mark.parametrize("length", [30, 61, 64, 97, 200, 257])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_windows_have_one_size_start_on_the_grid_and_cover_everything_once(length, stride):
    windows = list(_windows(length, 20, 9, stride))
    assert len({window.stop - window.start for window, _ in windows}) == 1
    assert all(window.start % stride == 0 and window.start >= 0 and window.stop <= length for window, _ in windows)
    covered = np.concatenate([np.arange(kept.start, kept.stop) for _, kept in windows])
    np.testing.assert_array_equal(covered, np.arange(length))
    for window, kept in windows:
        assert window.start == 0 or kept.start - window.start >= 9
        assert window.stop == length or window.stop - kept.stop >= 9


@pytest.mark.parametrize(
    ("norm", "tile", "batch", "field"), [("batch", 8, 1, "norm"), ("none", 0, 1, "tile"), ("none", 8, 0, "batch")]
)
def test_what_cannot_be_tiled_is_refused(norm, tile, batch, field):
    with pytest.raises(InputError, match=field):
        predict_tiled(create("unet", norm=norm), {}, np.zeros((9, 9, 1), np.float32), tile, batch)


@pytest.mark.parametrize(("length", "tile", "overlap"), [(64, 64, 0), (65, 64, 0), (200, 64, 16), (130, 64, 63)])
def test_overlapping_windows_cover_the_picture_and_share_enough(length, tile, overlap):
    starts = _overlapping(length, tile, overlap)
    assert starts[0] == 0 and starts[-1] == length - tile
    assert all(later - earlier <= tile - overlap for earlier, later in pairwise(starts))
    assert len(starts) == 1 or len(starts) - 1 < (length - tile) / (tile - overlap) + 1


def test_blended_windows_average_what_each_window_says():
    network = create("unet", width=2, levels=1, norm="batch")  # each window has statistics of its own
    image = np.random.default_rng(0).random((24, 40, 1), np.float32)
    variables = network.init(jax.random.key(0), jnp.asarray(image[None, :, :24]))
    shares: list[float] = []
    found = predict_blended(network, variables, image, 24, 8, batch=1, on_share=shares.append)
    assert shares == [0.5, 1.0]
    np.testing.assert_allclose(predict_blended(network, variables, image, 24, 8, batch=2), found, atol=1e-6)
    parts = {
        start: np.asarray(jax.nn.softmax(network.apply(variables, jnp.asarray(image[None, :, start : start + 24]))[0]))
        for start in (0, 16)
    }
    np.testing.assert_allclose(found[:, :16], parts[0][:, :16], atol=1e-5)
    np.testing.assert_allclose(found[:, 24:], parts[16][:, 8:], atol=1e-5)
    # row 11 is furthest from the border: column 20 lies 4 pixels inside the first window and 5 inside the second
    expected = (4 * parts[0][11, 20] + 5 * parts[16][11, 4]) / 9
    np.testing.assert_allclose(found[11, 20], expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_a_picture_smaller_than_the_tile_is_filled_up():
    network = create("unet", width=2, levels=1, norm="none")
    image = np.random.default_rng(0).random((20, 24, 1), np.float32)
    variables = network.init(jax.random.key(0), jnp.asarray(image[None]))
    assert predict_blended(network, variables, image, 24, 0).shape == (20, 24, 2)
    for options, field in (((24, 24), "overlap"), ((0, 0), "tile"), ((24, -1), "overlap")):
        with pytest.raises(InputError, match=field):
            predict_blended(network, variables, image, *options)
