"""Scenes: counted, connected, apart, inside the volume, the same at every voxel size."""

import numpy as np
import pytest
from scipy import ndimage

from segjax.simulators import phantoms

KINDS = sorted(phantoms.POPULATIONS)
COARSE = (4.0, 6.0)


@pytest.fixture(scope="module", params=KINDS)
def scene(request):
    return phantoms.scene(request.param, 3, 1)


@pytest.mark.parametrize("kind, kinds", [("hl60", [1] * 20), ("granulocytes", [2] * 15), ("mixed", [1] * 10 + [2] * 8)])
def test_a_scene_holds_the_published_numbers_of_nuclei(kind, kinds):
    nuclei = phantoms.scene(kind, 0, 0)
    assert [nucleus.kind for nucleus in nuclei] == kinds
    for coarsening in COARSE:
        ids = np.unique(phantoms.render_labels(nuclei, coarsening))
        np.testing.assert_array_equal(ids, np.arange(len(kinds) + 1))


def test_a_scene_depends_on_kind_seed_and_volume_alone():
    first = phantoms.render_labels(phantoms.scene("mixed", 5, 2), 6.0)
    np.testing.assert_array_equal(first, phantoms.render_labels(phantoms.scene("mixed", 5, 2), 6.0))
    for other in (("mixed", 5, 3), ("mixed", 6, 2), ("hl60", 5, 2)):
        assert (first != phantoms.render_labels(phantoms.scene(*other), 6.0)).any()


@pytest.mark.parametrize("volume", range(4))
@pytest.mark.parametrize("coarsening", COARSE)
def test_every_nucleus_is_in_one_piece(volume, coarsening):
    labels = phantoms.render_labels(phantoms.scene("granulocytes", 0, volume), coarsening)
    for index, box in enumerate(ndimage.find_objects(labels)):
        assert ndimage.label(labels[box] == index + 1, np.ones((3, 3, 3)))[1] == 1


def test_nuclei_do_not_overlap(scene):
    covered = sum((phantoms.render_labels((nucleus,), 2.0) > 0).astype(int) for nucleus in scene)
    assert covered.max() == 1


def test_nuclei_lie_inside_the_volume(scene):
    inside = phantoms.render_labels(scene, 2.0)[1:-1, 1:-1, 1:-1]
    assert (inside > 0).sum() == (phantoms.render_labels(scene, 2.0) > 0).sum()


def test_the_same_scene_at_other_voxel_sizes(scene):
    sizes = [np.bincount(phantoms.render_labels(scene, c).ravel())[1:] * c**3 for c in (2.0, 4.0, 6.0)]
    kinds = np.array([nucleus.kind for nucleus in scene])
    # Bridges are widened to the diagonal of a coarse voxel, which large smooth nuclei do not have.
    for coarse in sizes[1:]:
        np.testing.assert_allclose(coarse[kinds == 1], sizes[0][kinds == 1], rtol=0.05)
        np.testing.assert_allclose(coarse.sum(), sizes[0].sum(), rtol=0.06)


def test_nuclei_have_the_published_volumes():
    for kind, low, high in (("hl60", 130_000, 175_000), ("granulocytes", 35_000, 50_000)):
        sizes = np.bincount(phantoms.render_labels(phantoms.scene(kind, 0, 0), 2.0).ravel())[1:] * 8
        assert low < np.median(sizes) < high


@pytest.mark.parametrize("crop", [None, 40])
def test_occupied_slices_are_those_with_labels(scene, crop):
    labels = phantoms.render_labels(scene, 6.0)[(slice(None), *phantoms.centre_window((94, 134), crop))]
    found = phantoms.occupied_slices(scene, 6.0, crop)
    np.testing.assert_array_equal(found, labels.any(axis=(1, 2)))
    assert 0 < found.sum() < len(found)


def test_stain_lies_where_the_labels_are(scene):
    stain, labels = phantoms.render_density(scene, 4.0)
    np.testing.assert_array_equal(labels, phantoms.render_labels(scene, 4.0))
    assert stain.min() >= 0
    assert stain[labels > 0].min() > 0.1
    near = ndimage.binary_dilation(labels > 0, np.ones((3, 3, 3)), iterations=2)
    assert stain[~near].max() < 0.05 * stain.max()
    assert 0.7 < stain[ndimage.binary_erosion(labels > 0, np.ones((3, 3, 3)))].mean() < 1.5


def test_waves_are_the_sum_of_their_cosines():
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    waves = phantoms.Waves(vectors, np.arange(4.0), 0.7)
    z, y, x = np.arange(2.0), np.arange(3.0) - 1, np.arange(5.0) * 0.5
    grid = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1)
    expected = 0.7 * np.cos(grid @ vectors.T + np.arange(4.0)).sum(axis=-1)
    np.testing.assert_allclose(waves.on(z, y, x), expected, atol=1e-5)


def test_centre_window():
    assert phantoms.centre_window((9, 10), None) == (slice(0, 9), slice(0, 10))
    assert phantoms.centre_window((9, 10), 4) == (slice(2, 6), slice(3, 7))
