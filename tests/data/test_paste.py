"""Foreign objects land where the published rule puts them, with ids that last over a volume."""

from dataclasses import replace

import numpy as np
import pytest

from segjax.data.paste import paste, pasted
from segjax.types import Georeference, InputError, Sample


def sample(image, labels, classes, group="g", name="p"):
    image = np.asarray(image, np.float32)
    image = image if image.ndim == 3 else image[..., None]
    return Sample(image, np.asarray(labels, np.int32), np.asarray(classes, np.int32), group, name)


class Pictures:
    """Given samples as a source."""

    digest, class_names, label_names = "0", ("round",), ("none", "some")
    test_groups, coarsening = frozenset(), 1.0

    def __init__(self, samples, spec="made"):
        self.spec, self.samples = spec, samples
        self.names = tuple(s.name for s in samples)
        self.groups = tuple(s.group for s in samples)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Microscope(Pictures):
    """A source of volumes that also gives slices which it does not list."""

    def __init__(self, samples, positions):
        super().__init__(samples)
        self.positions = positions

    def at(self, volume, index):
        return sample(
            np.full((1, 2), 0.5), np.full((1, 2), 1 if index < 9 else 0), [1] * (10 * volume + index), name="at"
        )


OWN = sample([[0.2, 0.4, 0.1, 0.0]], [[0, 2, 0, 0]], [1, 1])
FOREIGN = sample([[5.0, 5.0, 9.0, 10.0]], [[1, 1, 0, 0]], [1])


def test_published_rule_by_hand():
    """Pasted where foreign object or brighter than 0.8 of its maximum, and no own object; both by their own maximum."""
    result = paste(OWN, FOREIGN, foreign_class=2)
    np.testing.assert_allclose(result.image[0, :, 0], [0.5, 1.0, 0.9, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(result.labels, [[3, 2, 0, 0]])
    np.testing.assert_array_equal(result.classes, [1, 1, 2])
    np.testing.assert_array_equal(result.of_class(1), OWN.labels)
    assert (result.group, result.name, result.image.dtype) == ("g", "p", np.float32)


def test_threshold_one_pastes_objects_alone():
    result = paste(OWN, FOREIGN, foreign_class=2, threshold=1.0)
    np.testing.assert_allclose(result.image[0, :, 0], [0.5, 1.0, 0.25, 0.0], rtol=1e-6)


def test_rule_agrees_with_a_pixel_loop():
    rng = np.random.default_rng(0)
    own = sample(rng.random((9, 11)), rng.integers(0, 3, (9, 11)), [1, 2])
    foreign = sample(rng.random((9, 11)) * 7, rng.integers(0, 4, (9, 11)) * (rng.random((9, 11)) < 0.3), [1, 1, 1])
    result = paste(own, foreign, foreign_class=3)
    for y in range(9):
        for x in range(11):
            bright = foreign.image[y, x, 0] / foreign.image.max()
            is_pasted = own.labels[y, x] == 0 and (foreign.labels[y, x] > 0 or bright > 0.8)
            expected = bright if is_pasted else own.image[y, x, 0] / own.image.max()
            assert result.image[y, x, 0] == pytest.approx(expected, rel=1e-6)
            foreign_id = 2 + foreign.labels[y, x] if foreign.labels[y, x] else 0
            assert result.labels[y, x] == (own.labels[y, x] or foreign_id)
    np.testing.assert_array_equal(result.classes, [1, 2, 3, 3, 3])


def test_larger_foreign_picture_is_cropped_and_smaller_one_mirrored():
    foreign = sample([[1.0, 0.5]], [[2, 1]], [1, 1])
    cropped = paste(sample([[0.0]], [[0]], []), foreign, foreign_class=2)
    np.testing.assert_array_equal(cropped.labels, [[2]])
    mirrored = paste(sample(np.zeros((2, 5)), np.zeros((2, 5)), [1]), foreign, foreign_class=2)
    np.testing.assert_array_equal(mirrored.labels[0], 1 + np.array([2, 1, 2 + 1, 2 + 2, 4 + 2]))
    np.testing.assert_array_equal(mirrored.labels[1], mirrored.labels[0] + 6)
    np.testing.assert_allclose(mirrored.image[1, :, 0], [1, 0.5, 0.5, 1, 1])
    assert len(mirrored.classes) == 1 + 2 * 6 == mirrored.labels.max()


def test_channels_follow_the_sample():
    rgb = sample(np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]]), [[1, 0]], [1])
    grey = sample([[0.0, 1.0]], [[0, 1]], [1])
    np.testing.assert_allclose(paste(grey, rgb, foreign_class=2).image[0, :, 0], [0.114, 1.0], rtol=1e-6)
    np.testing.assert_allclose(paste(rgb, grey, foreign_class=2).image, [[[0, 0, 1], [1, 1, 1]]], rtol=1e-6)


def test_black_pictures_stay_finite():
    black = sample([[0.0, 0.0]], [[0, 0]], [])
    assert np.isfinite(paste(black, black, foreign_class=2).image).all()


def test_volumes_are_paired_by_rank_and_relative_position():
    own = [sample(np.ones((1, 2)), [[0, 1]], [1, 1], group, f"{group}{i}") for group in "abc" for i in range(4)]
    foreign = [sample([[1, 1]], [[k, k]], [1] * 4, group, f"{group}{k}") for group in "xy" for k in (1, 2)]
    source = pasted(Pictures(own), Pictures(foreign, "other"))
    assert [int(source[index].labels[0, 0]) - 2 for index in range(12)] == [1, 1, 2, 2] * 3
    assert source.class_names == ("round", "foreign: round") and source.spec == "made + other"
    assert (source.names, source.groups, len(source), source.shapes[0]) == (
        tuple(s.name for s in own),
        tuple(s.group for s in own),
        12,
        (1, 2),
    )
    assert all(len(source[index].classes) == 6 and source[index].classes[-1] == 2 for index in range(12))
    assert len({source.digest, pasted(Pictures(own), Pictures(foreign), 0.5).digest, "0"}) == 3


def test_microscopes_are_paired_by_volume_and_slice_and_empty_slices_add_nothing():
    own = [sample([[1, 2]], [[0, 1]], [1], "v0", str(i)) for i in (3, 9)]
    foreign = Microscope([sample([[1, 1]], [[1, 1]], [1])], ((0, 5),))
    source = pasted(Microscope(own, ((1, 3), (1, 9))), foreign)
    assert [len(source[index].classes) for index in (0, 1)] == [1 + 13, 1 + 19]
    assert (source[0].labels[0, 0], source[1].labels[0, 0]) == (2, 0)
    np.testing.assert_allclose(source[1].image[0, :, 0], [0.5, 1])


def test_ignored_pixels_stay_where_nothing_is_pasted():
    own = replace(sample([[1.0, 0.5, 0.5]], [[1, 0, 0]], [1]), ignored=np.array([[False, True, True]]))
    foreign = sample([[0.0, 0.0, 1.0]], [[0, 0, 1]], [1])
    np.testing.assert_array_equal(paste(own, foreign, foreign_class=2).ignored, [[False, True, False]])
    assert paste(sample([[1.0]], [[0]], []), foreign, foreign_class=1).ignored is None


def test_the_label_and_the_place_of_the_picture_stay():
    place = Georeference("EPSG:32637", (2.0, 0.0, 100.0, 0.0, -2.0, 50.0))
    source = pasted(Pictures([replace(OWN, label=1, georeference=place)]), Pictures([FOREIGN]))
    assert (source.label_names, source[0].label, source[0].georeference) == (("none", "some"), 1, place)


def test_unfit_foreign_sources_are_refused():
    with pytest.raises(InputError, match="none: has no pictures"):
        pasted(Pictures([OWN]), Pictures([], "none"))
    with pytest.raises(InputError, match=r"threshold=2\.0"):
        pasted(Pictures([OWN]), Pictures([FOREIGN]), threshold=2.0)
