"""A scene in one picture: small enough for a page, and no site too small to be seen."""

import io

import numpy as np
import pytest
from PIL import Image

from segjax.reports.scene import scene_look


def layer_of(shown):
    return np.asarray(Image.open(io.BytesIO(shown.layers[0])).convert("RGBA"))


@pytest.mark.parametrize("shape", [(20, 30), (900, 640), (2000, 3100)])
def test_every_site_has_a_line_around_it(shape):
    image = np.random.default_rng(0).random((*shape, 1), np.float32)
    sites = np.zeros(shape, np.int32)
    places = [(2, 3), (shape[0] // 2, shape[1] // 2), (shape[0] - 3, shape[1] - 3)]
    for number, place in enumerate(places, 1):
        sites[place] = number
    shown = scene_look("scene", image, sites, numbered=0)
    picture, layer = Image.open(io.BytesIO(shown.picture)), layer_of(shown)
    assert max(picture.size) <= 700 and shown.shape[1] / shown.shape[0] == pytest.approx(shape[1] / shape[0], rel=0.01)
    is_drawn = layer[..., 3] > 0
    assert 0 < is_drawn.mean() < 0.5
    for y, x in places:
        row, column = (int(part * size / whole) for part, size, whole in zip((y, x), layer.shape, shape, strict=False))
        reach = max(layer.shape) // 25
        assert is_drawn[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach].any()


def test_the_first_sites_are_numbered():
    sites = np.zeros((300, 300), np.int32)
    sites[100:110, 100:110], sites[200:210, 280:290] = 1, 2
    image = np.full((300, 300, 1), 0.5, np.float32)
    none, one, both = (layer_of(scene_look("", image, sites, count))[..., 3] > 0 for count in (0, 1, 2))
    assert one.sum() > none.sum() and both.sum() > one.sum()
    assert (one[:, : one.shape[1] // 2] == both[:, : one.shape[1] // 2]).all()  # the second is at the other side


def test_a_scene_without_a_site_is_shown():
    shown = scene_look("", np.zeros((30, 40, 3), np.float32), np.zeros((30, 40), np.int32))
    assert not layer_of(shown)[..., 3].any()
