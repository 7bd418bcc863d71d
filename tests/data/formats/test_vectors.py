"""Sites of vector files as labels of a scene; skipped where the extra `geo` is not installed."""

import json
import sqlite3
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segjax.data.formats.annotation import Annotation, Picture
from segjax.data.formats.layers import Layer, bounds_of, moved, on_ground, read_layer, write_layers
from segjax.data.formats.qgis import OUTLINES
from segjax.data.formats.vectors import Options, read, write
from segjax.data.ground.geofiles import missing_packages
from segjax.types import Georeference, InputError

pytestmark = pytest.mark.skipif(bool(missing_packages()), reason="the extra geo is not installed")
UTM = Georeference("EPSG:32637", (2.0, 0.0, 420_000.0, 0.0, -2.0, 4_120_000.0))
SCENE = Picture("scene", "scene.tif", (40, 60), UTM)


def box(x, y, width, height):
    """A rectangle on the ground of the scene, given in its pixels."""
    import shapely

    return on_ground(np.array([shapely.box(x, y, x + width, y + height)], object), UTM)[0]


def layer_of(shapes, crs="EPSG:32637", **columns):
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return Layer(crs, found, {name: np.asarray(values) for name, values in columns.items()})


def geopackage(path, shapes, crs="EPSG:32637", **columns):
    """Any geometries, as other programs write them."""
    import pyogrio
    import shapely

    encoded = shapely.to_wkb(layer_of(shapes).shapes, output_dimension=3)
    values = [np.asarray(column) for column in columns.values()]
    pyogrio.raw.write(path, encoded, values, list(columns), layer="own", geometry_type="Unknown", crs=crs)
    return path


def test_a_site_has_the_pixels_whose_centres_lie_in_it(tmp_path):
    # centres of columns 10..13 (of which 13.5 < 13.6) and of rows 5..6 (of which 4.5 < 4.6)
    path = geopackage(tmp_path / "s.gpkg", [box(10.4, 4.6, 3.2, 2.0)])
    expected = np.zeros((40, 60), np.int32)
    expected[5:7, 10:14] = 1
    found = read(path, SCENE)
    np.testing.assert_array_equal(found.labels, expected)
    assert (found.classes, found.loss.objects_in, found.loss.objects_out, found.loss.notes) == ((), 1, 1, ())
    touched = read(path, SCENE, Options(all_touched=True))
    expected[4:7, 10:14] = 1
    np.testing.assert_array_equal(touched.labels, expected)


def test_everything_that_is_lost_is_said(tmp_path):
    import shapely

    bow_tie = on_ground(np.array([shapely.Polygon([(20, 20), (26, 26), (26, 20), (20, 26)])], object), UTM)[0]
    line = shapely.LineString([(420_010, 4_119_990), (420_020, 4_119_980)])
    shapes = [
        box(2, 2, 6, 6),
        box(4, 4, 2, 2),  # on the first: the smaller has the pixels
        bow_tie,
        shapely.Polygon(),
        None,
        box(-4, 30, 8, 4),  # cut by the border
        box(100, 5, 4, 4),  # beyond it
        line,
        box(50.6, 5.6, 0.3, 0.3),  # of no pixel's centre
        shapely.force_3d(box(40, 30, 3, 3), 7.0),
    ]
    found = read(geopackage(tmp_path / "s.gpkg", shapes), SCENE)
    loss = found.loss
    assert (loss.objects_in, loss.objects_out, loss.overlapping, loss.invalid, loss.outside) == (10, 5, 4, 1, 2)
    assert set(loss.notes) == {
        "1 have heights (Z), which labels do not hold",
        "1 hold lines, which have no area and are left out: feature 8",
        "3 lost without a shape that has an area: feature 4, feature 5, feature 8",
        "1 lost wholly beyond the scene: feature 7",
        "1 lost without the centre of a pixel: feature 9",
    }
    areas = np.bincount(found.labels.ravel())[1:]
    np.testing.assert_array_equal(areas[[0, 1, 3, 4]], [32, 4, 16, 9])
    assert 12 <= areas[2] <= 24  # two triangles of 9 pixels each, whose edges run through centres
    assert len(areas) == 5


def test_parts_of_a_multipolygon_are_one_site_and_holes_stay(tmp_path):
    import shapely

    ring = box(5, 5, 9, 9).difference(box(8, 8, 3, 3))
    found = read(geopackage(tmp_path / "s.gpkg", [shapely.MultiPolygon([ring, box(20, 20, 2, 2)])]), SCENE)
    expected = np.zeros((40, 60), np.int32)
    expected[5:14, 5:14], expected[8:11, 8:11], expected[20:22, 20:22] = 1, 0, 1
    np.testing.assert_array_equal(found.labels, expected)


def test_points_become_circles_of_a_stated_radius_on_the_ground(tmp_path):
    import shapely

    points = [shapely.Point(420_060, 4_119_960), shapely.MultiPoint([(420_020, 4_119_940), (420_100, 4_119_930)])]
    path = geopackage(tmp_path / "s.gpkg", points)
    with pytest.raises(InputError, match=r"s\.gpkg: holds points \(2 of 2 features\); say how far"):
        read(path, SCENE)
    found = read(path, SCENE, Options(radius=12.0))
    rows, columns = np.mgrid[:40, :60] + 0.5
    # the scale of UTM is within 0.1 % of 1 there, and no centre is that near to the circles
    distance = [np.hypot(2 * columns - x, 2 * rows - y) for x, y in ((60, 40), (20, 60), (100, 70))]
    np.testing.assert_array_equal(found.labels, (distance[0] < 12) + 2 * (np.minimum(*distance[1:]) < 12))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_circles_are_as_large_in_any_system(tmp_path, crs):
    import shapely

    shape = moved(np.array([shapely.Point(420_060, 4_119_960)], object), "EPSG:32637", crs)[0]
    found = read(geopackage(tmp_path / "s.gpkg", list(shape), crs), SCENE, Options(radius=30.0))
    assert found.labels.sum() == pytest.approx(np.pi * 15**2, rel=0.02)


def test_classes_come_from_a_column(tmp_path):
    kinds = np.array(["tell", None, "kurgan"], object)
    path = geopackage(tmp_path / "s.gpkg", [box(i * 10, 5, 4, 4) for i in range(3)], kind=kinds, age=[1.0, np.nan, 3.0])
    found = read(path, SCENE, Options(class_column="kind"))
    assert found.classes == ("tell", "unclassified", "kurgan")
    assert found.loss.notes == ("1 without a value in column kind: unclassified",)
    assert read(path, SCENE, Options(class_column="age")).classes == ("1", "unclassified", "3")
    with pytest.raises(InputError, match=r"s\.gpkg: has no column sort; its columns are kind, age"):
        read(path, SCENE, Options(class_column="sort"))


def test_a_layer_is_chosen_by_its_name(tmp_path):
    path = tmp_path / "s.gpkg"
    write_layers(path, {"tells": layer_of([box(5, 5, 4, 4)]), "fields": layer_of([box(20, 5, 2, 2)])})
    with pytest.raises(InputError, match=r"s\.gpkg: has the layers tells, fields; choose one by layer=NAME"):
        read(path, SCENE)
    assert read(path, SCENE, Options(layer="fields")).labels.sum() == 4
    with pytest.raises(InputError, match=r"s\.gpkg: has no layer roads with shapes; choose one of tells, fields"):
        read(path, SCENE, Options(layer="roads"))


def geojson(path, coordinates, **members):
    shape = {"type": "Polygon", "coordinates": [coordinates]}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature], **members}))
    return path


def test_geojson_is_in_degrees_unless_it_says_otherwise(tmp_path):
    square = box(10, 10, 5, 5)
    degrees = moved(np.array([square], object), "EPSG:32637", "EPSG:4326")[0][0]
    expected = np.zeros((40, 60), np.int32)
    expected[10:15, 10:15] = 1
    plain = geojson(tmp_path / "new.geojson", list(degrees.exterior.coords))
    old = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32637"}}
    stated = geojson(tmp_path / "old.geojson", list(square.exterior.coords), crs=old)
    for path in (plain, stated):
        np.testing.assert_array_equal(read(path, SCENE).labels, expected)


@pytest.mark.parametrize("crs", [None, {"type": "name", "properties": {"name": "my grid"}}, {"type": "link"}, "x"])
def test_geojson_in_an_unknown_system_is_refused(tmp_path, crs):
    path = geojson(tmp_path / "s.geojson", list(box(1, 1, 5, 5).exterior.coords), crs=crs)
    with pytest.raises(InputError, match=r"s\.geojson: its crs .* is unknown; state it"):
        read(path, SCENE)


def test_metres_are_not_taken_for_degrees(tmp_path):
    path = geojson(tmp_path / "s.geojson", list(box(1, 1, 5, 5).exterior.coords))
    with pytest.raises(InputError, match=r"s\.geojson: has coordinates up to 4\.12e\+06, but"):
        read(path, SCENE)


def test_outlines_that_are_not_closed_are_closed(tmp_path):
    import pyogrio
    import shapely

    whole = [shapely.to_wkb(box(x, 5, 6, 6)) for x in (5, 20)]
    corners = shapely.get_coordinates(shapely.from_wkb(whole[1]))[:-1]
    cut = struct.pack("<BIII", 1, 3, 1, len(corners)) + corners.astype("<f8").tobytes()
    shapes = np.array([whole[0], cut], object)
    pyogrio.raw.write(tmp_path / "s.gpkg", shapes, [], [], layer="own", geometry_type="Polygon", crs="EPSG:32637")
    found = read(tmp_path / "s.gpkg", SCENE)
    assert (found.labels == 1).sum() == (found.labels == 2).sum() == 36 and found.loss.invalid == 1
    assert found.loss.notes == ("1 had an outline that was not closed, which was closed: feature 2",)


@pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
@pytest.mark.parametrize("ending", ["gpkg", "shp"])
def test_a_missing_coordinate_system_is_refused(tmp_path, ending):
    path = geopackage(tmp_path / f"s.{ending}", [box(1, 1, 5, 5)], None, a=[1])
    with pytest.raises(InputError, match=r"coordinate system.*; state it, for example in QGIS"):
        read(path, SCENE)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"s\.gpkg: there is no such file"):
        read(tmp_path / "s.gpkg", SCENE)
    (tmp_path / "s.gpkg").write_bytes(b"no GeoPackage")
    with pytest.raises(InputError, match=r"s\.gpkg: cannot be read"):
        read(tmp_path / "s.gpkg", SCENE)
    (tmp_path / "s.geojson").write_text('{"type": "FeatureCollection", "features": [')
    with pytest.raises(InputError, match=r"s\.geojson: cannot be read"):
        read(tmp_path / "s.geojson", SCENE)
    with pytest.raises(InputError, match=r"scene\.png: its place on the ground is unknown"):
        read(geopackage(tmp_path / "t.gpkg", [box(1, 1, 2, 2)]), Picture("scene", "scene.png", (40, 60)))


def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    path = geopackage(tmp_path / "s.gpkg", [box(1, 1, 2, 2)])
    assert read(path, SCENE).labels.sum() == 4
    path.unlink()
    geopackage(path, [box(1, 1, 3, 3), box(20, 20, 2, 2)])
    assert read(path, SCENE).labels.sum() == 9 + 2 * 4


@pytest.mark.parametrize("ending", ["gpkg", "shp", "geojson"])
@pytest.mark.parametrize(
    "place",
    [
        UTM,
        Georeference("EPSG:3857", (1.66, 0.0, 4_300_000.3, 0.0, -1.66, 4_400_000.7)),
        Georeference("EPSG:4326", (2e-5, 0.0, 38.1, 0.0, -2e-5, 37.2)),
        Georeference("EPSG:32637", (1.4, 0.9, 420_000.0, 0.9, -1.4, 4_120_000.0)),  # turned
    ],
)
@given(arrays(np.int32, (7, 9), elements=st.integers(0, 3)))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_round_trip_changes_no_pixel(tmp_path, place, ending, labels):
    picture = Picture("scene", "scene.tif", (7, 9), place)
    loss = write(tmp_path / f"s.{ending}", Annotation(labels, ("a", "b", "ä")), picture)
    count = len(np.unique(labels[labels > 0]))
    assert (loss.pixels_changed, loss.objects_in, loss.objects_out, loss.outside) == (0, count, count, 0)


@pytest.mark.parametrize("file", ["EPSG:4326", "EPSG:3857"])
def test_large_polygons_lie_to_a_pixel_in_another_system(tmp_path, file):
    # the scene is 40 km wide, and edges of 36 km are straight in its system, curved in the others
    place = Georeference("EPSG:32637", (40.0, 0.0, 620_000.0, 0.0, -40.0, 4_520_000.0))
    labels = np.zeros((1000, 1000), np.int32)
    labels[50:950, 50:950], labels[200:300, 300:800] = 1, 2
    picture = Picture("scene", "scene.tif", (1000, 1000), place)
    write(tmp_path / "own.gpkg", Annotation(labels), picture)
    layer = read_layer(tmp_path / "own.gpkg")
    shapes, _ = moved(layer.shapes, layer.crs, file, None)
    write_layers(tmp_path / "other.gpkg", {"sites": layer_of(shapes, file)})
    np.testing.assert_array_equal(read(tmp_path / "other.gpkg", picture).labels, labels)


def test_an_edge_is_straight_in_its_own_system(tmp_path):
    import shapely
    from pyproj import Transformer

    # along the parallel of 37.2 degrees, which curves by 1/8 of 36,000**2 tan(37.2) / R metres = 19 m = 1.9 pixels
    place = Georeference("EPSG:32637", (10.0, 0.0, 420_000.0, 0.0, -10.0, 4_130_000.0))
    picture = Picture("scene", "scene.tif", (2000, 4000), place)
    west, east = 38.12, 38.52
    path = geopackage(tmp_path / "s.gpkg", [shapely.box(west, 37.2, east, 37.25)], "EPSG:4326")
    labels = read(path, picture).labels
    longitude = np.linspace(west, east, 21)[1:-1]
    x, y = Transformer.from_crs(4326, 32637, always_xy=True).transform(longitude, np.full(19, 37.2))
    columns, rows = ((x - 420_000) // 10).astype(int), (4_130_000 - y) / 10
    lowest = 2000 - labels[::-1, columns].argmax(0)  # first row below the site
    assert np.abs(lowest - rows).max() <= 0.5 + 0.05
    straight = np.interp(x, x[[0, -1]], rows[[0, -1]])
    assert np.abs(straight - rows).max() > 1.2  # else this test tells nothing


def test_systems_of_which_the_shift_is_poorly_known_are_said(tmp_path):
    shapes, accuracy = moved(np.array([box(10, 10, 5, 5)], object), "EPSG:32637", "EPSG:4326")
    assert accuracy == 0
    pulkovo, accuracy = moved(shapes, "EPSG:4326", "EPSG:4284")
    assert accuracy >= 1
    if accuracy > 2:
        found = read(geopackage(tmp_path / "s.gpkg", list(pulkovo), "EPSG:4284"), SCENE)
        assert found.loss.notes[-1].startswith(f"places may be off by {accuracy:g} m")


def test_a_geopackage_brings_its_style(tmp_path):
    write_layers(tmp_path / "deep" / "s.gpkg", {"sites": layer_of([box(5, 5, 4, 4)], score=[0.5])})
    with sqlite3.connect(tmp_path / "deep" / "s.gpkg") as file:
        rows = file.execute(
            "select f_table_name, f_geometry_column, styleQML, useAsDefault from layer_styles"
        ).fetchall()
        geometry = file.execute("select table_name, column_name from gpkg_geometry_columns").fetchall()
    file.close()
    assert rows == [(*geometry[0], OUTLINES, 1)] and geometry == [("sites", "geom")]
    write_layers(tmp_path / "s.shp", {"sites": layer_of([box(5, 5, 4, 4)])})
    assert (tmp_path / "s.qml").read_text() == OUTLINES
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["s.gpkg"]


def test_only_known_endings_are_written(tmp_path):
    one = layer_of([box(5, 5, 4, 4)])
    for name, layers in (("s.xyz", {"a": one}), ("s.shp", {"a": one, "b": one})):
        with pytest.raises(
            InputError, match=r"this format cannot hold the layer; give a file name that ends in \.gpkg"
        ):
            write_layers(tmp_path / name, layers)


def test_the_box_of_a_turned_picture():
    turned = Georeference("EPSG:32637", (0.0, 2.0, 100.0, 3.0, 0.0, 50.0))
    assert bounds_of(turned, (10, 20)) == (100, 50, 120, 110)
