"""Tiles cover every pixel and agree with the picture they come from."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.data.tiles import cropped, picture_shapes, tile_starts, tiled
from segjax.types import InputError, Sample


class Pictures:
    """Two pictures of given sizes; reading is counted."""

    spec, digest, class_names, label_names = "made", "0", ("a", "b"), ("none", "some")
    test_groups, coarsening = frozenset({"g1"}), 2.0

    def __init__(self, *shapes):
        rng = np.random.default_rng(0)
        self.samples = []
        for index, shape in enumerate(shapes):
            image, labels = rng.random((*shape, 1)).astype(np.float32), rng.integers(0, 4, shape).astype(np.int32)
            self.samples.append(Sample(image, labels, np.array([1, 2, 1], np.int32), f"g{index}", f"p{index}"))
        self.names = tuple(sample.name for sample in self.samples)
        self.groups = tuple(sample.group for sample in self.samples)
        self.reads = 0

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.reads += 1
        return self.samples[index]


def corner(name):
    return tuple(int(text) for text in name.partition("@")[2].split(","))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(length=st.integers(1, 700), size=st.integers(1, 300))
def test_starts_cover_a_line_with_the_fewest_tiles(length, size):
    starts = tile_starts(length, size)
    covered = np.zeros(max(length, size), int)
    for start in starts:
        assert 0 <= start <= max(0, length - size)
        covered[start : start + size] += 1
    assert covered[:length].min() >= 1
    assert len(starts) == max(1, -(-length // size))
    assert max(np.diff(starts), default=0) - min(np.diff(starts), default=0) <= 1


@settings(derandomize=True, deadline=None, max_examples=15)
@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(2, 20))
def test_tiles_put_together_are_the_picture(height, width, size):
    source = Pictures((height, width))
    tiles = tiled(source, size)
    image, labels = np.full((height, width, 1), np.nan, np.float32), np.full((height, width), -1)
    for index in range(len(tiles)):
        tile = tiles[index]
        assert tile.image.shape == (size, size, 1) and tile.labels.shape == (size, size)
        y, x = corner(tile.name)
        inside = image[y : y + size, x : x + size].shape
        image[y : y + size, x : x + size] = tile.image[: inside[0], : inside[1]]
        labels[y : y + size, x : x + size] = tile.labels[: inside[0], : inside[1]]
        assert not tile.labels[inside[0] :].any() and not tile.labels[:, inside[1] :].any()
    np.testing.assert_array_equal(image, source.samples[0].image)
    np.testing.assert_array_equal(labels, source.samples[0].labels)


def test_small_picture_is_reflected_and_labels_are_not():
    sample = Pictures((2, 3))
    tile = tiled(sample, 5)[0]
    np.testing.assert_array_equal(tile.image, np.pad(sample.samples[0].image, ((0, 3), (0, 2), (0, 0)), mode="reflect"))
    assert tile.labels[2:].sum() == 0


def test_ignored_pixels_are_cut_along_and_those_beyond_the_border_are_ignored():
    source = Pictures((4, 6), (3, 4))
    ignored = np.zeros((4, 6), bool)
    ignored[1, 4] = True
    source.samples[0] = replace(source.samples[0], ignored=ignored)
    tiles = tiled(source, 4)
    assert [corner(name) for name in tiles.names] == [(0, 0), (0, 2), (0, 0)]
    np.testing.assert_array_equal(tiles[0].ignored, np.zeros((4, 4), bool))
    np.testing.assert_array_equal(tiles[1].ignored, ignored[:, 2:])
    np.testing.assert_array_equal(tiles[2].ignored, [[False] * 4] * 3 + [[True] * 4])
    np.testing.assert_array_equal(cropped(source, 2)[0].ignored, ignored[1:3, 2:4])
    assert cropped(source, 2)[1].ignored is None


def test_tiles_keep_group_classes_and_protocol_and_read_each_picture_once():
    source = Pictures((9, 9), (4, 4))
    tiles = tiled(source, 4)
    assert picture_shapes(tiles) == ((4, 4),) * 10
    assert tiles.names[:2] == ("p0@0,0", "p0@0,2") and tiles.groups == ("g0",) * 9 + ("g1",)
    assert (tiles.test_groups, tiles.coarsening, tiles.class_names) == (frozenset({"g1"}), 2.0, ("a", "b"))
    assert tiles.label_names == () and cropped(source, 4).label_names == ("none", "some")
    assert tiles.spec == "made?tile=4" and tiles.digest != tiled(source, 5).digest != source.digest
    source.reads = 0
    assert [tiles[index].name for index in range(10)] == list(tiles.names)
    assert source.reads == 2
    np.testing.assert_array_equal(tiles[0].classes, [1, 2, 1])
    with pytest.raises(IndexError):
        tiles[10]


def test_crops_are_the_middles_of_the_pictures():
    source = Pictures((9, 6), (3, 8))
    crops = cropped(source, 4)
    assert crops.spec == "made?crop=4" and crops.names == ("p0@2,1", "p1@0,2")
    np.testing.assert_array_equal(crops[0].labels, source.samples[0].labels[2:6, 1:5])
    np.testing.assert_array_equal(crops[1].labels, np.pad(source.samples[1].labels[:, 2:6], ((0, 1), (0, 0))))
    assert crops.digest != tiled(source, 4).digest


@pytest.mark.parametrize(("cut", "message"), [(tiled, "tile=0"), (cropped, "crop=0")])
def test_size_below_one_is_refused(cut, message):
    with pytest.raises(InputError, match=message):
        cut(Pictures((4, 4)), 0)
