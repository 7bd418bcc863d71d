"""Logits of tiles are those of the whole picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.models import create
from segjax.training.tiles import _windows, predict_tiled
from segjax.types import InputError

NETWORKS = [
    ("unet", {"width": 2, "levels": 2, "norm": "none"}),
    ("unet", {"width": 2, "levels": 1, "norm": "running"}),
    ("segnet", {"width": 2, "levels": 2, "norm": "none", "published_head": False}),
    ("msd", {"depth": 4}),
]


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
