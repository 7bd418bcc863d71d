"""The simulated tissue: one scene at every pixel size, perfect labels, types as in Lizard and different."""

import numpy as np
import pytest
from scipy import ndimage

from segjax.data import open_source
from segjax.simulators import staining, tissue_scene
from segjax.simulators.phantoms import COARSENINGS
from segjax.simulators.tissue import FIELDS, grid_length, render_field
from segjax.simulators.tissue_cells import CELL_TYPES, Ellipse, make_cell
from segjax.simulators.tissue_scene import FIELD, LIZARD_COUNTS, make_scene, render_cells, render_stains


@pytest.fixture(scope="module")
def scenes():
    return [make_scene(0, slide, field) for slide in range(2) for field in range(4)]


@pytest.fixture(scope="module")
def labelled(scenes):
    return [render_cells(scene, 256, 0.5) for scene in scenes]


def test_names_groups_and_shapes_are_known_before_rendering(monkeypatch):
    monkeypatch.setattr(tissue_scene, "make_scene", lambda *_: pytest.fail("a field was rendered"))
    source = open_source("microscope:tissue")
    assert source.spec == "microscope:tissue?size=quarter&volumes=12&slices=16&seed=0"
    assert len(source) == len(set(source.names)) == len(source.shapes) == 12 * FIELDS
    assert source.groups[::FIELDS] == tuple(f"slide-{slide:02d}" for slide in range(12))
    assert source.test_groups == {"slide-10", "slide-11"}
    assert source.class_names[0] == "epithelial nucleus" and len(source.class_names) == 6
    assert (source.shapes[0], source.coarsening) == ((128, 128), 4.0)
    assert len(open_source("microscope:tissue?size=paper")) == 30 * FIELDS
    assert open_source("microscope:tissue?size=half&crop=64").shapes[0] == (64, 64)
    assert len({open_source(f"microscope:tissue?seed={seed}").digest for seed in (0, 1)}) == 2


def test_samples_are_what_the_nouns_promise():
    source = open_source("microscope:tissue?size=sixth&volumes=2&slices=2")
    for index in range(4):
        sample = source[index]
        assert sample.image.shape == (85, 85, 3) and sample.image.dtype == np.float32
        assert sample.image.min() >= 0.0 and sample.image.max() <= 1.0
        assert sample.labels.dtype == np.int32 and sample.classes.dtype == np.int32
        np.testing.assert_array_equal(np.unique(sample.labels), np.arange(len(sample.classes) + 1))
        assert set(sample.classes) <= set(range(1, 7)) and sample.ignored is None
        assert (sample.name, sample.group) == (source.names[index], source.groups[index])
    with pytest.raises(IndexError):
        source[4]


def test_the_same_arguments_give_the_same_bits_and_others_other_ones():
    first, again = render_field(6.0, 1, 0, 3), render_field(6.0, 1, 0, 3)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for changed in ((6.0, 2, 0, 3), (6.0, 1, 1, 3), (6.0, 1, 0, 2)):
        assert (render_field(*changed)[1] != first[1]).any()


def test_a_field_does_not_depend_on_the_others_and_a_crop_is_its_middle():
    many = open_source("microscope:tissue?size=sixth&volumes=3&slices=4")
    few = open_source("microscope:tissue?size=sixth&volumes=2&slices=2&crop=41")
    index = many.names.index(few.names[3])
    np.testing.assert_array_equal(few[3].image, many[index].image[22:63, 22:63])
    np.testing.assert_array_equal(few[3].labels, many[index].labels[22:63, 22:63])
    np.testing.assert_array_equal(few[3].classes, many[index].classes)


@pytest.mark.parametrize(("size", "length"), [("paper", 512), ("half", 256), ("quarter", 128), ("sixth", 85)])
def test_every_size_shows_the_same_nuclei(scenes, labelled, size, length):
    assert grid_length(COARSENINGS[size]) == length
    edge = 0.25 * COARSENINGS[size]
    labels, classes = render_cells(scenes[0], length, edge)
    fine, fine_classes = labelled[0]
    shares, fine_shares = (
        np.bincount(kinds[ids[ids > 0] - 1], minlength=7) / ids.size
        for ids, kinds in ((labels, classes), (fine, fine_classes))
    )
    np.testing.assert_allclose(shares, fine_shares, rtol=0.12, atol=2e-3)


def test_nuclei_are_in_one_piece_and_many_touch(labelled):
    touching = total = 0
    for labels, classes in labelled:
        for index in range(1, len(classes) + 1):
            assert ndimage.label(labels == index, np.ones((3, 3)))[1] == 1
        for one, other in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])):
            border = (one != other) & (one > 0) & (other > 0)
            touching += len(np.unique([one[border], other[border]]))
        total += len(classes)
    assert 0.25 < touching / 2 / total < 0.75  # a nucleus may be counted once per direction


@pytest.mark.slow
def test_types_are_as_frequent_as_in_lizard_and_rare_ones_not_everywhere():
    counts = np.array(
        [np.bincount(render_cells(make_scene(5, 0, field), 64, 2.0)[1], minlength=7)[1:] for field in range(50)]
    )
    shares = counts.sum(0) / counts.sum()
    lizard = np.array(LIZARD_COUNTS) / sum(LIZARD_COUNTS)
    # three standard errors of 50 fields, whose counts scatter more than Poisson's
    error = 3 * counts.std(0) / np.sqrt(len(counts)) / counts.sum(1).mean()
    assert (np.abs(shares - lizard) < error + 0.02 * lizard).all(), (shares, lizard, error)
    shown = (counts > 0).mean(0)
    assert (shown[:4] > 0.8).all() and (shown[4:] > 0.2).all() and (shown[4:] < 0.7).all()


def test_an_ellipse_has_the_level_zero_on_its_outline_and_bends_by_its_curvature():
    ellipse = Ellipse(np.array([1.0, -2.0]), np.array([5.0, 2.0]), np.pi / 2)
    y, x = np.array([6.0, 1.0, 3.0, -4.0]), np.array([-2.0, 0.0, -4.0])
    level = ellipse.level(y, x)
    outline = [level[0, 0], level[3, 0], level[1, 1], level[1, 2]]  # ends of the long axis along y, then of the short
    np.testing.assert_allclose(outline, 0.0, atol=1e-5)
    assert level[1, 0] == pytest.approx(-np.sqrt(10.0)) and level[2, 2] > 0
    bent = Ellipse(np.zeros(2), np.array([5.0, 2.0]), 0.0).level(np.array([0.5 * 0.1 * 9.0]), np.array([3.0]), bend=0.1)
    assert bent[0, 0] == pytest.approx((3.0 / 5.0 - 1.0) * np.sqrt(10.0), rel=1e-5)


def measured(kind, count=40):
    """Mean area, elongation, nuclear haematoxylin and its scatter inside, over cells of one type."""
    rows = []
    axis = np.arange(-12.0, 12.0, 0.25)
    for seed in range(count):
        cell = make_cell(np.random.default_rng(seed), kind, 0.3)
        level = cell.level(axis, axis)
        inside = level < 0
        density = cell.density(axis, axis, level)[inside]
        spread = np.linalg.eigvalsh(np.cov(np.argwhere(inside).T))
        rows.append((inside.sum() / 16, np.sqrt(spread[1] / spread[0]), density.mean(), density.std()))
    return np.mean(rows, axis=0)


def test_types_differ_in_size_shape_and_stain():
    area, length, stain, texture = np.array([measured(kind) for kind in range(1, 7)]).T
    epithelial, connective, lymphocyte, plasma, neutrophil, eosinophil = range(6)
    assert area.argmax() == epithelial and 35 < area[epithelial] < 50
    assert length.argmax() == connective and length[connective] > 2.5 and length[lymphocyte] < 1.2
    assert stain[lymphocyte] > 1.05 * stain[plasma] and stain.argmin() == epithelial
    assert texture[plasma] > 1.15 * texture[connective]
    axis = np.arange(-8.0, 8.0, 0.2)
    necks = []
    for kind in (neutrophil, eosinophil):
        cell = make_cell(np.random.default_rng(0), kind + 1, 0.0)
        filled = cell.level(axis, axis) < 0
        necks.append(len(cell.lobes))
        assert ndimage.label(filled)[1] == 1
    assert necks[0] in (3, 4) and necks[1] == 2


def test_pictures_are_dark_and_blue_in_nuclei_pink_in_stroma_and_white_in_lumens(scenes, labelled):
    plain = staining.Staining(np.stack([staining.HAEMATOXYLIN, staining.EOSIN]), np.ones(2), np.ones(3), 0.4)
    scene, (labels, classes) = scenes[1], labelled[1]
    light = staining.transmit(render_stains(scene, 256, 0.5), plain)
    to_gland = scene.to_gland(tissue_scene.axis(256, 0.5), tissue_scene.axis(256, 0.5))
    nuclei, stroma, lumen = labels > 0, (labels == 0) & (to_gland > 1), to_gland < -21
    red, green, blue = (light[nuclei][:, colour].mean() for colour in range(3))
    assert blue > red > green and green < 0.4
    red, green, blue = (light[stroma][:, colour].mean() for colour in range(3))
    assert red > 0.75 and red > blue > green
    assert lumen.sum() > 200 and light[lumen].min() > 0.7
    lymphocytes = np.concatenate([[0], classes == 3])[labels] > 0
    epithelium = np.concatenate([[0], classes == 1])[labels] > 0
    assert light[lymphocytes].mean() < 0.8 * light[epithelium].mean()


def test_epithelium_lines_glands_and_other_cells_lie_outside(scenes):
    for scene in scenes[:6]:
        for centre, cell in scene.cells:
            level = float(scene.to_gland(centre[:1], centre[1:])[0, 0])
            assert -12 < level < -2 if cell.kind == 1 else level > 1.5
            assert (centre > -6).all() and (centre < FIELD + 6).all()


def test_there_are_six_types_of_decreasing_frequency():
    assert list(LIZARD_COUNTS) == sorted(LIZARD_COUNTS, reverse=True) and len(CELL_TYPES) == len(LIZARD_COUNTS) == 6
