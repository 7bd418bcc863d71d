import struct
import zipfile

import numpy as np
import pytest

from segjax.data.formats import imagej
from segjax.data.formats.annotation import Picture, Plane
from segjax.data.formats.polygons import combined
from segjax.types import InputError
from tests.data.formats.nasties import NAMES, annotation_of, labels_of, many, picture_of

roifile = pytest.importorskip("roifile")
pytest.importorskip("shapely")
pytest.importorskip("rasterio")
Roi, Type = roifile.ImagejRoi, roifile.ROI_TYPE
CENTRES = np.mgrid[:20, :20] + 0.5


def save(tmp_path, *rois):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number, roi in enumerate(rois):
            file.writestr(f"{roi.name if roi.name == 's' else number}.roi", roi.tobytes())
    return path


def read(tmp_path, *rois, shape=(20, 20), plane=None):
    return imagej.read(save(tmp_path, *rois), Picture("a", "a.png", shape), plane)


def boxed(kind, left, top, right, bottom, **more):
    return Roi(roitype=kind, left=left, top=top, right=right, bottom=bottom, **more)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_rois_of_one_name_are_two(tmp_path):
    assert read(tmp_path, square(1), square(5)).labels.max() == 2


def test_what_macos_adds_to_zips_is_passed_over(tmp_path):
    path = save(tmp_path, square(1))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("__MACOSX/._0.roi", b"no roi")
    assert imagej.read(path, Picture("a", "a.png", (20, 20))).labels.max() == 1


def square(edge, size=2, **more):
    corners = np.array([[edge, edge], [edge + size, edge], [edge + size, edge + size], [edge, edge + size]])
    roi = Roi.frompoints(corners, name=more.pop("name", "s"))
    for name, value in more.items():
        setattr(roi, name, value)
    return roi


@pytest.mark.parametrize("name", NAMES)
def test_nasty_objects_come_back(tmp_path, name):
    labels = labels_of(name)
    loss = imagej.write(tmp_path / "a.zip", annotation_of(labels), picture_of(labels))
    assert (loss.pixels_changed, loss.notes) == (0, ())
    assert loss.objects_in == loss.objects_out == labels.max()
    np.testing.assert_array_equal(imagej.read(tmp_path / "a.zip", picture_of(labels)).labels, labels)


def test_three_thousand_objects_come_back(tmp_path):
    labels = many()
    assert imagej.write(tmp_path / "a.zip", annotation_of(labels), picture_of(labels)).pixels_changed == 0


def test_classes_and_ids_with_gaps_come_back(tmp_path):
    labels = np.array([[2, 0, 5, 0, 7]], np.int32)
    classes = ("", "tumour", "", "", "1.0", "", "tumour")
    loss = imagej.write(tmp_path / "a.zip", annotation_of(labels, classes), picture_of(labels))
    assert (loss.pixels_changed, loss.notes) == (0, ())
    assert imagej.read(tmp_path / "a.zip", picture_of(labels)).classes == ("tumour", "1.0", "tumour")
    assert [roi.group for roi in Roi.fromfile(tmp_path / "a.zip")] == [3, 2, 3]


def test_what_a_zip_cannot_hold_is_said(tmp_path):
    labels = np.array([[1, 0, 0]], np.int32)
    annotation = annotation_of(labels, ["two\nlines"], np.array([[False, True, True]]))
    assert imagej.write(tmp_path / "a.zip", annotation, picture_of(labels)).notes == (
        "the file cannot hold some names of classes",
        "2 pixel(s) that nobody judged became background",
    )


def test_the_file_is_what_imagej_draws(tmp_path):
    """Type, bounds and corners as ImageJ's own decoder takes them: corner (0, 0) is that of the first pixel."""
    labels = np.zeros((20, 20), np.int32)
    labels[3:5, 7:10] = 1
    labels[10:15, 10:15] = 2
    labels[12, 12] = 0
    imagej.write(tmp_path / "a.zip", annotation_of(labels), picture_of(labels))
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        assert file.namelist() == ["0001.roi", "0002.roi"]
        traced, composite = (file.read(name) for name in file.namelist())
    assert traced[:4] == b"Iout"
    assert (traced[6], *struct.unpack(">5h", traced[8:18])) == (8, 3, 7, 5, 10, 4)
    relative = np.array(struct.unpack(">8h", traced[64:80])).reshape(2, 4).T
    assert {tuple(corner) for corner in relative} == {(0, 0), (0, 2), (3, 2), (3, 0)}
    assert (composite[6], *struct.unpack(">4h", composite[8:16])) == (1, 10, 10, 15, 15)
    assert struct.unpack(">i", composite[36:40]) == (2 * (4 * 3 + 1),)


@pytest.mark.parametrize("kind", [Type.POLYGON, Type.FREEHAND, Type.TRACED])
def test_polygons_are_filled_between_corners(tmp_path, kind):
    labels = read(tmp_path, square(3, roitype=kind)).labels
    assert labels.sum() == 4
    assert (labels[3:5, 3:5] == 1).all()


def test_parts_of_a_pixel_count(tmp_path):
    roi = Roi.frompoints(np.array([[2.6, 2.6], [5.4, 2.6], [5.4, 5.6], [2.6, 5.6]]))
    labels = read(tmp_path, roi).labels
    assert labels.sum() == labels[3:6, 3:5].sum() == 6


def test_rectangles_and_their_fractions(tmp_path):
    whole = boxed(Type.RECT, 1, 2, 4, 6)
    part = boxed(Type.RECT, 10, 10, 13, 13, options=roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION)
    part.xd, part.yd, part.widthd, part.heightd = 10.6, 10.4, 2.0, 2.0
    labels = read(tmp_path, whole, part).labels
    assert (labels == 1).sum() == (labels[2:6, 1:4] == 1).sum() == 12
    assert (labels == 2).sum() == (labels[10:12, 11:13] == 2).sum() == 4


def test_ovals_hold_the_pixels_whose_centres_they_hold(tmp_path):
    labels = read(tmp_path, boxed(Type.OVAL, 2, 4, 17, 13)).labels
    y, x = CENTRES
    np.testing.assert_array_equal(labels == 1, ((x - 9.5) / 7.5) ** 2 + ((y - 8.5) / 4.5) ** 2 < 1)


def test_rounded_rectangles(tmp_path):
    labels = read(tmp_path, boxed(Type.RECT, 2, 2, 18, 18, rounded_rect_arc_size=16)).labels
    y, x = CENTRES
    np.testing.assert_array_equal(labels == 1, (x - 10) ** 2 + (y - 10) ** 2 < 64)


def rotated(subtype, x1, y1, x2, y2, number):
    style, head, arc = struct.unpack(">BBh", struct.pack(">f", number))
    roi = square(1, roitype=Type.FREEHAND, subtype=subtype)
    roi.x1, roi.y1, roi.x2, roi.y2 = x1, y1, x2, y2
    roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size = style, head, arc
    return roi


def test_rotated_ellipses_and_rectangles_follow_their_axis(tmp_path):
    y, x = CENTRES
    along, across = ((x - 10) + (y - 10)) / np.sqrt(2), ((y - 10) - (x - 10)) / np.sqrt(2)
    half = np.hypot(10, 10) / 2
    ellipse = read(tmp_path, rotated(roifile.ROI_SUBTYPE.ELLIPSE, 5, 5, 15, 15, 0.5)).labels
    distance = (along / half) ** 2 + (across / half / 0.5) ** 2
    sure = np.abs(distance - 1) > 0.01  # ImageJ draws a polygon of 72 corners
    np.testing.assert_array_equal((ellipse == 1)[sure], (distance < 1)[sure])
    rectangle = read(tmp_path, rotated(roifile.ROI_SUBTYPE.ROTATED_RECT, 5, 5, 15, 15, 4.1)).labels
    sure = np.abs(np.abs(along) - half) > 1e-3  # two centres lie on an edge
    inside = (np.abs(along) < half) & (np.abs(across) < 2.05)
    np.testing.assert_array_equal((rectangle == 1)[sure], inside[sure])


def composite(*numbers):
    roi = boxed(Type.RECT, 0, 0, 20, 20, shape_roi_size=len(numbers))
    roi.multi_coordinates = np.array(numbers, np.float32)
    return roi


def test_composites_have_holes_and_curves(tmp_path):
    hole = [0, 1, 1, 1, 9, 1, 1, 9, 9, 1, 1, 9, 4, 0, 3, 3, 1, 3, 5, 1, 5, 5, 1, 5, 3, 4]
    labels = read(tmp_path, composite(*hole)).labels
    assert (labels.sum(), labels[3:5, 3:5].sum()) == (60, 0)
    k = 8 * 0.5522847  # the usual four cubic curves of a circle around (10, 10)
    circle = [0, 18, 10, 3, 18, 10 + k, 10 + k, 18, 10, 18, 3, 10 - k, 18, 2, 10 + k, 2, 10]
    circle += [3, 2, 10 - k, 10 - k, 2, 10, 2, 3, 10 + k, 2, 18, 10 - k, 18, 10, 4]
    y, x = CENTRES
    np.testing.assert_array_equal(read(tmp_path, composite(*circle)).labels == 1, (x - 10) ** 2 + (y - 10) ** 2 < 64)
    parabola = read(tmp_path, composite(0, 0, 0, 2, 10, 20, 20, 0, 4)).labels  # y = x (20 - x) / 10
    np.testing.assert_array_equal(parabola == 1, y < x * (20 - x) / 10)
    with pytest.raises(InputError, match=r"a.zip: ROI 0 cannot be read \(a path with the command 7\); save it again"):
        read(tmp_path, composite(7, 1, 1))


def test_points_lines_and_texts_are_lost_by_name(tmp_path):
    point = Roi.frompoints(np.array([[3, 3]]), name="p")
    point.roitype = Type.POINT
    line = Roi(roitype=Type.LINE, name="l")
    text = boxed(Type.RECT, 1, 1, 5, 5, subtype=roifile.ROI_SUBTYPE.TEXT, text="hello", name="t")
    spline = square(3, options=roifile.ROI_OPTIONS.SPLINE_FIT)
    loss = read(tmp_path, point, line, text, spline).loss
    assert (loss.objects_in, loss.objects_out) == (4, 1)
    assert loss.notes == (
        "1 lost as they are points, not areas: p",
        "1 lost as they are lines, not areas: l",
        "1 lost as they are texts, not areas: t",
        "1 spline(s) read as polygons of their points",
    )


def test_coordinates_beyond_16_bits(tmp_path):
    labels = np.zeros((3, 70_000), np.int32)
    for number, x in enumerate((32_760, 40_000, 60_530, 65_530, 69_990), 1):
        labels[1:, x : x + 10] = number
    labels[1, 40_003] = 0
    labels[2, 40_005] = 0
    labels[1, 65_535] = 0
    loss = imagej.write(tmp_path / "a.zip", annotation_of(labels), picture_of(labels))
    assert (loss.pixels_changed, loss.objects_out) == (0, 5)
    whole = Roi.frompoints(np.array([[40_000, 0], [40_010, 0], [40_010, 2], [40_000, 2]]))
    expected = np.zeros((3, 70_000), bool)
    expected[:2, 40_000:40_010] = True
    np.testing.assert_array_equal(read(tmp_path, whole, shape=(3, 70_000)).labels == 1, expected)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_rois_of_several_planes_want_a_plane(tmp_path):
    rois = [square(1, position=1), square(5, position=2), square(9), square(13, z_position=2, t_position=1)]
    with pytest.raises(InputError, match=r"a\.zip: holds ROIs of 3 planes of a stack; give the stack itself"):
        read(tmp_path, *rois)
    second = read(tmp_path, *rois, plane=Plane(2, 2, 1)).labels
    assert [second[5, 5], second[9, 9], second[13, 13], second[1, 1]] == [1, 2, 3, 0]
    two_channels = read(
        tmp_path, square(1, position=3), square(5, position=4), square(9, position=5), plane=Plane(2, 1, 1, 2)
    )
    assert [two_channels.labels[y, y] for y in (1, 5, 9)] == [1, 2, 0]
    assert read(tmp_path, square(1, position=4), square(9, c_position=2, position=9)).labels.max() == 2


def test_the_plane_is_written(tmp_path):
    labels = np.ones((2, 2), np.int32)
    plane = Plane(7, 3, 2)
    assert imagej.write(tmp_path / "a.zip", annotation_of(labels), picture_of(labels), plane).pixels_changed == 0
    (roi,) = Roi.fromfile(tmp_path / "a.zip")
    assert (roi.position, roi.z_position, roi.t_position) == (7, 3, 2)


def test_one_roi_in_its_own_file(tmp_path):
    (tmp_path / "x.roi").write_bytes(square(3, name="").tobytes())
    assert imagej.read(tmp_path / "x.roi", Picture("a", "a.png", (9, 9))).labels.sum() == 4


@pytest.mark.parametrize("content", [b"", b"PK\3\4 broken", b"Iout" + b"\0" * 70, square(3).tobytes()[:70]])
def test_damaged_files_are_refused_by_name(tmp_path, content):
    (tmp_path / "x.roi").write_bytes(content)
    if content[:4] == b"Iout" and len(content) == 74:  # an empty polygon, which is lost
        assert imagej.read(tmp_path / "x.roi", Picture("a", "a.png", (9, 9))).loss.objects_out == 0
    else:
        with pytest.raises(InputError, match=r"x.roi: cannot be read as ROIs of ImageJ"):
            imagej.read(tmp_path / "x.roi", Picture("a", "a.png", (9, 9)))


def test_rings_of_any_lengths_are_one_area():
    lengths = (3, 4, 5, 6, 7)
    rings = [np.column_stack([np.cos(a), np.sin(a)]) + 5 * n for n in lengths for a in [np.arange(n) * 2 * np.pi / n]]
    for _ in range(20):  # types are checked of one ring at random
        area, was_repaired = combined(rings)
    assert len(area.geoms) == len(lengths) and not was_repaired
