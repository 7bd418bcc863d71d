"""Shrunk pictures: means of blocks, labels of their middles, the same place on the ground."""

import numpy as np
import pytest

from segjax.data import open_source, write_labels
from segjax.data.shrink import shrunk
from segjax.types import Georeference, InputError, Sample


class Pictures:
    """One picture of 5x7 pixels."""

    spec, digest, class_names, label_names = "made", "0", ("a",), ("none", "some")
    test_groups, coarsening = frozenset(), 1.0
    names, groups = ("p",), ("g",)

    def __init__(self):
        rng = np.random.default_rng(0)
        image, labels = rng.random((5, 7, 2)).astype(np.float32), rng.integers(0, 4, (5, 7)).astype(np.int32)
        ignored, place = rng.random((5, 7)) < 0.3, Georeference("EPSG:32637", (2.0, 0.0, 100.0, 0.0, -2.0, 50.0))
        self.sample = Sample(image, labels, np.ones(3, np.int32), "g", "p", ignored, 1, place)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.sample


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_pixel_is_the_mean_of_a_block_and_has_the_label_of_its_middle(factor):
    source = Pictures()
    whole, small = source.sample, shrunk(source, factor)[0]
    assert small.image.shape == (5 // factor, 7 // factor, 2)
    for y in range(5 // factor):
        for x in range(7 // factor):
            block = np.s_[factor * y : factor * (y + 1), factor * x : factor * (x + 1)]
            np.testing.assert_allclose(small.image[y, x], whole.image[block].mean((0, 1)), rtol=1e-6)
            middle = factor * y + factor // 2, factor * x + factor // 2
            assert (small.labels[y, x], small.ignored[y, x]) == (whole.labels[middle], whole.ignored[middle])
    assert (small.name, small.group, small.label) == ("p", "g", 1)
    assert shrunk(source, factor).label_names == ("none", "some")


def test_a_shrunk_picture_lies_where_it_lay():
    small = shrunk(Pictures(), 2)[0].georeference.at(1, 1)  # two metres per pixel become four
    assert small == Georeference("EPSG:32637", (4.0, 0.0, 104.0, 0.0, -4.0, 46.0))


def test_shrinking_comes_before_tiles_and_is_part_of_the_digest(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        write_labels(tmp_path / folder / "a.tif", np.pad(np.ones((8, 8), np.int32), 4))
    source, plain = (open_source(f"folder:{tmp_path}?{options}") for options in ("shrink=2&tile=4", "tile=4"))
    assert (len(source), len(plain), source.shapes[0]) == (4, 16, (4, 4))
    assert source.digest != plain.digest
    assert source.spec.endswith("shrink=2&tile=4")


def test_what_would_leave_nothing_is_refused():
    with pytest.raises(InputError, match="picture p; give a smaller number"):
        shrunk(Pictures(), 6)
    with pytest.raises(InputError, match="shrink=0: must be at least 1"):
        shrunk(Pictures(), 0)
    with pytest.raises(InputError, match="shrink"):
        open_source("microscope:hl60?size=sixth&volumes=2&slices=1&shrink=2")
