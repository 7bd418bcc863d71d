"""Real pictures under simulated mounds: which sheet shows which, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from segjax.data import open_source
from segjax.types import InputError


def open_mounds(folder, **options):
    options = {"pixels": 96, "metres": 6.64, "sheets": 2, "pictures": 10} | options
    return open_source("terrain:mounds?" + "&".join(f"{k}={v}" for k, v in (options | {"backgrounds": folder}).items()))


def test_real_backgrounds_are_used_and_not_shared_between_sheets(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(4):
        tile = rng.integers(20 + 50 * index, 60 + 50 * index, (100, 110), np.uint8)
        Image.fromarray(tile).save(tmp_path / f"tile{index}.png")
    source = open_mounds(tmp_path)
    ranges = {0: (20, 109), 1: (120, 209)}
    for index, sample in enumerate(source[i] for i in range(20)):
        low, high = ranges[index // 10]
        values = sample.image[sample.labels == 0] * 255 if sample.label == 0 else []
        assert all(low <= value <= high for value in values)
    site = next(source[i] for i in range(20) if source.has_site(*divmod(i, 10)))
    assert site.labels.any() and site.image.std() > 0
    assert source.spec.endswith(f"without=9&seed=0&backgrounds={tmp_path}")
    assert source.digest != open_mounds(tmp_path, sheets=1).digest


def test_backgrounds_that_do_not_serve_are_refused(tmp_path):
    Image.fromarray(np.zeros((80, 100), np.uint8)).save(tmp_path / "tile.png")
    with pytest.raises(InputError, match="holds 1 pictures for 10 sheets"):
        open_mounds(tmp_path, sheets=10)
    with pytest.raises(InputError, match="100 x 80 pixels are too few for pixels=96; give pixels=80"):
        open_mounds(tmp_path, sheets=1)
    with pytest.raises(InputError, match="backgrounds=/nowhere is not a folder"):
        open_mounds("/nowhere")
