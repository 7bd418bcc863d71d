import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segjax.data.formats.annotation import Loss, check_formats
from segjax.data.formats.polygons import UNCLASSIFIED, Outline, annotate, combined, fill, outlines_of, repaired
from segjax.types import InputError
from tests.data.formats.nasties import NAMES, labels_of, many

shapely = pytest.importorskip("shapely")
pytest.importorskip("rasterio")


def filled(labels):
    """Every object as outline and back."""
    back = np.zeros_like(labels)
    for number, outline in outlines_of(labels).items():
        y, x, mask = fill(outline, labels.shape)
        assert not back[y : y + mask.shape[0], x : x + mask.shape[1]][mask].any()
        back[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = number
    return back


def read(tmp_path, shapes, shape=(10, 10)):
    outlines = [Outline(f"s{i}", geometry) for i, geometry in enumerate(shapes, 1)]
    return annotate(tmp_path / "f", outlines, shape, Loss(objects_in=len(outlines)))


@pytest.mark.parametrize("name", NAMES)
def test_nasty_objects_survive(name):
    labels = labels_of(name)
    np.testing.assert_array_equal(filled(labels), labels)


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_any_objects_survive_and_their_outlines_are_valid(labels):
    np.testing.assert_array_equal(filled(labels), labels)
    for number, outline in outlines_of(labels).items():
        assert outline.is_valid
        assert outline.area == (labels == number).sum()


def test_three_thousand_objects_survive():
    labels = many()
    np.testing.assert_array_equal(filled(labels), labels)


def test_an_outline_runs_along_pixel_edges_with_the_origin_at_the_corner():
    labels = np.zeros((4, 5), np.int32)
    labels[1:3, 2:5] = 7
    assert set(outlines_of(labels)) == {7}
    assert outlines_of(labels)[7].equals(shapely.box(2, 1, 5, 3))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-300, 1300), st.integers(-300, 1300)), min_size=3, max_size=8))
def test_a_pixel_belongs_where_its_centre_does(corners):
    polygon, _ = repaired(shapely.Polygon(np.array(corners) / 100))
    y, x, mask = fill(polygon, (10, 10)) if polygon.area else (0, 0, np.zeros((0, 0), bool))
    found = np.zeros((10, 10), bool)
    found[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    centres = shapely.points(*np.meshgrid(np.arange(10) + 0.5, np.arange(10) + 0.5))
    is_decided = shapely.distance(centres, polygon.boundary) > 1e-6 if polygon.area else np.ones((10, 10), bool)
    np.testing.assert_array_equal(found[is_decided], shapely.contains(polygon, centres)[is_decided])


def test_a_bow_tie_becomes_its_two_loops_and_is_counted(tmp_path):
    annotation = read(tmp_path, [shapely.Polygon([(0, 0), (8, 8), (8, 0), (0, 8)])])
    y, x = np.mgrid[:10, :10] + 0.5
    between = np.minimum(x, 8 - x)
    sure = (np.abs(np.minimum(y, 8 - y) - between) > 1e-6) | (y > 8) | (x > 8)
    expected = (x < 8) & (y < 8) & (np.minimum(y, 8 - y) > between)
    np.testing.assert_array_equal(annotation.labels[sure] == 1, expected[sure])
    assert (annotation.loss.invalid, annotation.loss.objects_out) == (1, 1)


def test_parts_of_one_object_that_overlap_are_one_without_a_hole(tmp_path):
    both = shapely.MultiPolygon([shapely.box(0, 0, 4, 4), shapely.box(2, 2, 6, 6)])
    annotation = read(tmp_path, [both])
    assert (annotation.labels == 1).sum() == 16 + 16 - 4
    assert annotation.loss.invalid == 1


def test_what_is_lost_is_counted_and_named(tmp_path):
    annotation = read(
        tmp_path,
        [
            shapely.box(1, 1, 3, 3),
            shapely.Polygon([(1, 1), (5, 5), (1, 1)]),  # no area
            shapely.box(20, 20, 30, 30),  # beyond
            shapely.box(-2, 4, 2, 6),  # two of four columns are in
            shapely.box(7.6, 7.6, 7.9, 7.9),  # between centres
            shapely.box(8, 8, 9, 9),
            shapely.box(8, 8, 9, 9),  # covers the former
            combined([np.array([[0, 0], [np.nan, 1], [1, 1], [0, 0]])])[0],
        ],
    )
    expected = np.zeros((10, 10), np.int32)
    expected[1:3, 1:3], expected[4:6, :2], expected[8, 8] = 1, 2, 3
    np.testing.assert_array_equal(annotation.labels, expected)
    loss = annotation.loss
    assert (loss.objects_in, loss.objects_out, loss.invalid, loss.outside, loss.overlapping) == (8, 3, 2, 2, 1)
    assert set(loss.notes) == {
        "2 lost without area: s2, s8",
        "1 lost beyond the picture: s3",
        "1 lost without the centre of a pixel: s5",
        "1 lost under smaller ones: s6",
    }


def test_a_border_crossed_by_less_than_half_a_pixel_cuts_nothing_off(tmp_path):
    assert read(tmp_path, [shapely.box(-0.4, -0.4, 10.4, 10.4)]).loss.outside == 0
    assert read(tmp_path, [shapely.box(0, 0, 10, 10.6)]).loss.outside == 1


def test_outlines_of_another_picture_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"f: all 2 outline\(s\) lie outside the picture of 10 x 10 pixels; give"):
        read(tmp_path, [shapely.box(20, 20, 30, 30), shapely.box(-5, 0, -1, 5)])


def test_classes_are_kept_in_step_with_the_objects(tmp_path):
    lost = Outline("x", shapely.box(20, 20, 21, 21), "b")
    outlines = [Outline("y", shapely.box(0, 0, 1, 1), "a"), lost, Outline("z", shapely.box(2, 2, 3, 3))]
    assert annotate(tmp_path, outlines, (5, 5), Loss()).classes == ("a", UNCLASSIFIED)


def test_rings_in_each_other_are_holes_and_islands():
    squares = [np.array(shapely.box(e, e, 10 - e, 10 - e).exterior.coords) for e in (2, 0, 4)]
    area, was_repaired = combined(squares)
    assert (area.area, was_repaired) == (100 - 36 + 4, False)
    assert combined([np.array([[0, 0], [1, 1]], float)])[0].is_empty


def test_packages_that_are_missing_are_named():
    with pytest.raises(InputError, match=r"no_such_thing not installed; run: pip install 'segjax\[formats\]'"):
        check_formats("shapely", "no_such_thing")
