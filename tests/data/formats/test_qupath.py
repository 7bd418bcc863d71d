import gzip
import json

import numpy as np
import pytest

from segjax.data.formats import qupath
from segjax.data.formats.annotation import Picture
from segjax.types import InputError
from tests.data.formats.nasties import NAMES, annotation_of, labels_of, many, picture_of

pytest.importorskip("shapely")
pytest.importorskip("rasterio")


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry, kind="annotation", **properties):
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": kind, **properties}}


def read(tmp_path, data, **options):
    path = tmp_path / "a.geojson"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return qupath.read(path, Picture("a", "a.png", (10, 10)), **options)


@pytest.mark.parametrize("name", NAMES)
def test_nasty_objects_come_back(tmp_path, name):
    labels = labels_of(name)
    loss = qupath.write(tmp_path / "a.geojson", annotation_of(labels), picture_of(labels))
    assert (loss.pixels_changed, loss.invalid, loss.notes) == (0, 0, ())
    assert loss.objects_in == loss.objects_out == labels.max()
    np.testing.assert_array_equal(qupath.read(tmp_path / "a.geojson", picture_of(labels)).labels, labels)


def test_three_thousand_objects_come_back(tmp_path):
    labels = many()
    assert qupath.write(tmp_path / "a.geojson", annotation_of(labels), picture_of(labels)).pixels_changed == 0


def test_classes_and_pixels_that_nobody_judged_come_back(tmp_path):
    labels = np.array([[2, 0, 5, 0]], np.int32)
    ignored = np.array([[False, True, False, False]])
    annotation = annotation_of(labels, ("", "Tumor: Ki67", "", "", "Ä"), ignored)
    loss = qupath.write(tmp_path / "a.geojson", annotation, picture_of(labels))
    assert (loss.pixels_changed, loss.objects_in, loss.objects_out, loss.notes) == (0, 2, 2, ())
    back = qupath.read(tmp_path / "a.geojson", picture_of(labels))
    assert back.classes == ("Tumor: Ki67", "Ä")
    np.testing.assert_array_equal(back.ignored, ignored)


def test_what_is_written_is_what_qupath_reads(tmp_path):
    labels = np.zeros((6, 6), np.int32)
    labels[1:4, 1:4], labels[2, 2] = 1, 0
    qupath.write(tmp_path / "a.geojson", annotation_of(labels, ["Tumor"]), picture_of(labels))
    (found,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert found["properties"] == {"objectType": "detection", "name": "1", "classification": {"name": "Tumor"}}
    assert len(found["id"]) == 36
    outer, hole = found["geometry"]["coordinates"]
    assert {tuple(corner) for corner in outer} == {(1, 1), (1, 4), (4, 4), (4, 1)}
    assert {tuple(corner) for corner in hole} == {(2, 2), (2, 3), (3, 3), (3, 2)}


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: [f], lambda f: {"type": "FeatureCollection", "features": [f]}])
def test_features_are_found_however_they_are_wrapped(tmp_path, wrap):
    assert read(tmp_path, wrap(feature(polygon(box(1, 1, 3, 3))))).labels.sum() == 4


def test_a_file_compressed_by_gzip(tmp_path):
    content = gzip.compress(json.dumps(feature(polygon(box(1, 1, 3, 3)))).encode())
    (tmp_path / "a.geojson.gz").write_bytes(content)
    assert qupath.read(tmp_path / "a.geojson.gz", Picture("a", "a.png", (10, 10))).labels.sum() == 4
    (tmp_path / "a.geojson.gz").write_bytes(content[:40])
    with pytest.raises(InputError, match=r"a.geojson.gz: cannot be read as GeoJSON"):
        qupath.read(tmp_path / "a.geojson.gz", Picture("a", "a.png", (10, 10)))


def test_holes_and_collections_of_parts(tmp_path):
    hole = feature(polygon(box(0, 0, 4, 4), box(1, 1, 3, 3)))
    parts = {"type": "MultiPolygon", "coordinates": [[box(5, 0, 6, 1)], [box(8, 0, 9, 1)]]}
    line = {"type": "LineString", "coordinates": [[0, 9], [9, 9]]}
    collection = {"type": "GeometryCollection", "geometries": [line, parts, polygon(box(5, 5, 7, 7))]}
    annotation = read(tmp_path, [hole, feature(collection)])
    assert [(annotation.labels == number).sum() for number in (1, 2)] == [12, 6]
    assert annotation.loss.invalid == 0


def test_cells_are_read_or_their_nuclei(tmp_path):
    inside = {"nucleusGeometry": polygon(box(2, 2, 3, 3))}
    new = feature(polygon(box(1, 1, 4, 4)), "cell", name="c") | inside
    old = feature(polygon(box(5, 5, 8, 8)), "cell", name="d", nucleusGeometry=polygon(box(6, 6, 7, 7)))
    bare = feature(polygon(box(0, 9, 1, 10)), "cell", name="e")
    assert np.bincount(read(tmp_path, [new, old, bare]).labels.ravel()).tolist() == [81, 9, 9, 1]
    nuclei = read(tmp_path, [new, old, bare], part="nuclei")
    assert (nuclei.labels[2, 2], nuclei.labels[6, 6], (nuclei.labels > 0).sum()) == (1, 2, 2)
    assert nuclei.loss.notes == ("1 lost without a nucleus: e",)


def test_classes_as_versions_of_qupath_write_them(tmp_path):
    given = [{"name": "A", "colorRGB": -1}, {"names": ["A", "B"]}, "C", None]
    features = [feature(polygon(box(i, 0, i + 1, 1)), classification=one) for i, one in enumerate(given)]
    assert read(tmp_path, features).classes == ("A", "A: B", "C", "unclassified")


def test_regions_beside_cells_are_no_objects(tmp_path):
    region = feature(polygon(box(0, 0, 9, 9)), name="r")
    cell = feature(polygon(box(1, 1, 2, 2)), "PathDetectionObject")
    tile = feature(polygon(box(3, 3, 5, 5)), "tile", name="t")
    annotation = read(tmp_path, [region, cell, tile])
    assert annotation.labels.sum() == 1
    assert annotation.loss.notes == (
        "1 lost as they are regions (annotation), not objects: r",
        "1 lost as they are regions (tile), not objects: t",
    )
    assert read(tmp_path, [region]).labels.sum() == 81


def test_ignored_regions_are_not_judged(tmp_path):
    ignored = feature(polygon(box(0, 0, 4, 4)), classification={"name": "Ignore*"})
    annotation = read(tmp_path, [ignored, feature(polygon(box(1, 1, 2, 2)))])
    assert (annotation.ignored.sum(), annotation.labels.sum(), annotation.loss.objects_in) == (15, 1, 1)


def test_points_and_lines_are_lost_by_name(tmp_path):
    point = feature({"type": "MultiPoint", "coordinates": [[1, 1], [2, 2]]}, name="p")
    line = feature({"type": "LineString", "coordinates": [[1, 1], [2, 2]]}, name="l")
    loss = read(tmp_path, [point, line, feature(None, name="n"), feature(polygon(box(1, 1, 2, 2)))]).loss
    assert (loss.objects_in, loss.objects_out) == (4, 1)
    assert loss.notes == ("2 lost as they are points or lines, not areas: p, l", "1 lost without an outline: n")


def test_polygons_that_are_wrong_are_mended_or_lost(tmp_path):
    bow = feature(polygon([[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]))
    nothing = feature({"type": "Polygon", "coordinates": []}, name="none")
    text = json.dumps([bow, nothing, feature(polygon(box(5, 5, 7, 7)), name="x")]).replace("7", "NaN")
    loss = read(tmp_path, text).loss
    assert (loss.objects_in, loss.objects_out, loss.invalid) == (3, 1, 3)
    assert loss.notes == ("2 lost without area: none, x",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as GeoJSON"),
        ('{"images": [], "annotations": []}', "holds no GeoJSON features; export"),
        ("[1, 2]", "holds no GeoJSON features; export"),
        ('{"type": "FeatureCollection", "features": {}}', "holds no GeoJSON features; export"),
        (json.dumps(feature({"type": "Curve", "coordinates": []})), "feature 1 is not a GeoJSON geometry"),
        (json.dumps(feature({"type": "Polygon", "coordinates": 3})), "feature 1 is not a GeoJSON geometry"),
        (json.dumps(feature([1])), "feature 1 is not a GeoJSON geometry"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text, said):
    with pytest.raises(InputError, match=rf"a\.geojson: {said}"):
        read(tmp_path, text)


def test_objects_of_several_planes_are_refused(tmp_path):
    first, second = polygon(box(1, 1, 2, 2)), polygon(box(1, 1, 2, 2)) | {"plane": {"c": -1, "z": 3, "t": 0}}
    with pytest.raises(InputError, match=r"a\.geojson: holds objects on 2 planes of a stack; export every plane sep"):
        read(tmp_path, [feature(first), feature(second)])
    assert read(tmp_path, [feature(second)]).labels.sum() == 1
