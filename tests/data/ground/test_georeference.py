"""Georeferences of GeoTIFF files, whose tags are written here number by number."""

from importlib.util import find_spec

import numpy as np
import pytest
import tifffile

from segjax.data import open_source
from segjax.data.ground import georeference
from segjax.data.ground.georeference import check_same_place, metres_per_pixel, read_georeference
from segjax.types import Georeference, InputError

needs_pyproj = pytest.mark.skipif(find_spec("pyproj") is None, reason="pyproj (extra geo) is not installed")
SCALE, TIE = (3.32, 3.32, 0.0), (0.0, 0.0, 0.0, 420_000.0, 4_120_000.0, 0.0)


def write(path, keys, *places):
    """A TIFF with a table of (key, value), then scale and tie point or whatever (tag, numbers) are given."""
    table = [1, 1, 0, len(keys)] + [number for key, value in keys for number in (key, 0, 1, value)]
    tags = [(34735, "H", len(table), tuple(table), False)]
    tags += [(tag, "d", len(numbers), numbers, False) for tag, numbers in places or ((33550, SCALE), (33922, TIE))]
    pixels = np.random.default_rng(0).integers(0, 255, (8, 9), np.uint8)
    tifffile.imwrite(path, pixels, extratags=tags)


def test_scale_and_tie_point_make_the_transform(tmp_path):
    path = tmp_path / "a.tif"
    write(path, [(1024, 1), (1025, 1), (3072, 32637)])
    found = read_georeference(path)
    assert found.crs == "EPSG:32637"
    assert found.transform == (3.32, 0.0, 420_000.0, 0.0, -3.32, 4_120_000.0)
    # tied to the pixel in column 2 and row 1 instead of the corner
    write(path, [(1025, 1), (3072, 32637)], (33550, SCALE), (33922, (2.0, 1.0, *TIE[2:])))
    np.testing.assert_allclose(read_georeference(path).transform[2::3], (420_000 - 6.64, 4_120_000 + 3.32))


def test_numbers_of_pixel_centres_are_moved_to_corners(tmp_path):
    write(tmp_path / "a.tif", [(1025, 2), (3072, 32637)])
    np.testing.assert_allclose(read_georeference(tmp_path / "a.tif").transform[2::3], (419_998.34, 4_120_001.66))


def test_a_transformation_is_taken_as_it_is(tmp_path):
    matrix = (1.0, 0.5, 0.0, 7.0, 0.25, -1.0, 0.0, 9.0, *[0.0] * 7, 1.0)
    write(tmp_path / "a.tif", [(1025, 1), (2048, 4326)], (34264, matrix))
    found = read_georeference(tmp_path / "a.tif")
    assert found.crs == "EPSG:4326" and found.transform == (1.0, 0.5, 7.0, 0.25, -1.0, 9.0)


def test_what_is_missing_is_said(tmp_path):
    path = tmp_path / "a.tif"
    for keys in ([(1024, 1)], [(1024, 1), (3072, 32767)]):
        write(path, keys)
        with pytest.raises(InputError, match="no coordinate system with an EPSG number"):
            read_georeference(path)
    write(path, [(3072, 32637)], (33550, SCALE))
    with pytest.raises(InputError, match="has no scale or no tie point"):
        read_georeference(path)
    tifffile.imwrite(path, np.zeros((8, 9), np.uint8))
    (tmp_path / "b.png").write_bytes(b"any")
    (tmp_path / "c.tif").write_bytes((tmp_path / "b.png").read_bytes())
    assert [read_georeference(tmp_path / name) for name in ("a.tif", "b.png", "c.tif")] == [None] * 3


def test_a_place_without_any_key_lacks_a_coordinate_system(tmp_path):
    pixels, path = np.zeros((8, 9), np.uint8), tmp_path / "a.tif"
    matrix = (1.0, 0.5, 0.0, 7.0, 0.25, -1.0, 0.0, 9.0, *[0.0] * 7, 1.0)
    for places in (((33550, SCALE), (33922, TIE)), ((34264, matrix),)):  # as rasterio writes it without a CRS
        tags = [(tag, "d", len(numbers), numbers, False) for tag, numbers in places]
        tifffile.imwrite(path, pixels, extratags=tags)
        with pytest.raises(InputError, match=r"a\.tif: has no coordinate system.*gdal_edit\.py -a_srs"):
            read_georeference(path)


@pytest.mark.parametrize("name", ["none.tif", "none.png"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputError, match=f"{name}: there is no such file"):
        read_georeference(tmp_path / name)


def test_a_folder_of_geotiffs_gives_it_to_samples_and_tiles(tmp_path):
    for sub in ("images", "labels"):
        (tmp_path / sub).mkdir()
    write(tmp_path / "images" / "a.tif", [(1025, 1), (3072, 32637)])
    tifffile.imwrite(tmp_path / "labels" / "a.tif", np.eye(8, 9, dtype=np.uint8))
    source = open_source(f"folder:{tmp_path}?tile=5")
    places = {name: source[index].georeference.transform[2::3] for index, name in enumerate(source.names)}
    np.testing.assert_allclose(places["a@3,4"], (420_000 + 4 * 3.32, 4_120_000 - 3 * 3.32))


def square(crs, side, x, y):
    return Georeference(crs, (side, 0.0, x, 0.0, -side, y))


def test_pixels_of_utm_are_as_long_as_their_units_say():
    turned = (1.2, 1.6, 0.0, 1.6, -1.2, 0.0)  # pixels of 2 m, turned
    assert metres_per_pixel(Georeference("EPSG:32637", turned)) == pytest.approx(2.0)
    assert metres_per_pixel(Georeference("EPSG:32760", (4.0, 0.0, 1.0, 0.0, -1.0, 2.0))) == pytest.approx(2.0)
    assert metres_per_pixel(square("EPSG:32637", 1.66, 420_000.0, 4_120_000.0)) == pytest.approx(1.66, rel=1e-12)


@needs_pyproj
def test_pixels_of_other_systems_are_measured_on_the_ground():
    # UTM on the European Datum of 1950, ETRS89-LAEA, which keeps areas, and feet
    assert metres_per_pixel(square("EPSG:23037", 1.66, 420_000.0, 4_120_000.0)) == pytest.approx(1.66, rel=1e-3)
    assert metres_per_pixel(square("EPSG:3035", 1.66, 4_400_000.0, 3_100_000.0)) == pytest.approx(1.66, rel=1e-6)
    assert metres_per_pixel(square("EPSG:2263", 10.0, 980_000.0, 200_000.0)) == pytest.approx(3.048, rel=1e-3)
    # Web Mercator at latitude 36 degrees
    north = 6_378_137 * np.log(np.tan(np.pi / 4 + np.deg2rad(36) / 2))
    found = metres_per_pixel(square("EPSG:3857", 2.0, 4_300_000.0, float(north)))
    assert found == pytest.approx(2 * np.cos(np.deg2rad(36)), rel=2e-3)
    # degrees at latitude 36: the series of the lengths of one degree of latitude and of longitude
    two, one, three = np.cos(np.deg2rad(72)), np.cos(np.deg2rad(36)), np.cos(np.deg2rad(108))
    along, across = 111_132.95 - 559.85 * two, 111_412.88 * one - 93.50 * three
    for side in (1e-5, 1e-4):
        found = metres_per_pixel(square("EPSG:4326", side, 39.0, 36.0))
        assert found == pytest.approx(side * np.sqrt(along * across), rel=1e-4)


@needs_pyproj
def test_it_is_the_middle_of_a_picture_that_is_measured():
    whole = square("EPSG:3857", 1000.0, 4_300_000.0, 5_000_000.0)
    assert metres_per_pixel(whole, (400, 600)) == metres_per_pixel(whole.at(200, 300))
    assert metres_per_pixel(whole, (400, 600)) > 1.01 * metres_per_pixel(whole)


@needs_pyproj
@pytest.mark.parametrize(("crs", "x"), [("EPSG:326370", 0.0), ("EPSG:3035", 1e30), ("mine", 0.0)])
def test_what_is_nowhere_on_the_ground_has_no_size(crs, x):
    assert metres_per_pixel(square(crs, 2.0, x, 0.0)) is None


def test_without_pyproj_only_utm_is_known(monkeypatch):
    monkeypatch.setattr(georeference, "find_spec", lambda name: None)
    for crs in ("EPSG:3857", "EPSG:4326", "EPSG:32600", "EPSG:32661"):
        assert metres_per_pixel(square(crs, 2.0, 0.0, 0.0)) is None
    assert metres_per_pixel(square("EPSG:32637", 2.0, 0.0, 0.0)) == 2.0


UTM = [(1024, 1), (1025, 1), (3072, 32637)]
PLACE = ((33550, SCALE), (33922, TIE))


def turned(side, x, y):
    """The transformation of pixels whose rows run to the north."""
    return (34264, (side, 0.0, 0.0, x, 0.0, side, 0.0, y, *[0.0] * 7, 1.0))


@pytest.mark.parametrize(
    ("keys", "places", "said"),
    [
        (UTM, ((33550, SCALE), (33922, (*TIE[:3], 420_100.0, *TIE[4:]))), r"lies up to 30\.1 pixels away"),
        (UTM, ((33550, SCALE), (33922, (*TIE[:3], 420_000.4, *TIE[4:]))), r"lies up to 0\.12 pixels away"),
        (UTM, ((33550, (1.66, 1.66, 0.0)), (33922, TIE)), "pixels away"),
        ([(1025, 2), (3072, 32637)], PLACE, r"lies up to 0\.707 pixels away"),  # half a pixel both ways
        (UTM, (turned(3.32, 420_000.0, 4_120_000.0 - 8 * 3.32),), "run in the opposite direction"),
        ([(1025, 1), (3072, 32636)], PLACE, "has the coordinate system EPSG:32636, but its picture has EPSG:32637"),
        ([(1025, 1), (2048, 4326)], PLACE, "has the coordinate system EPSG:4326"),
    ],
)
def test_labels_that_lie_elsewhere_are_refused(tmp_path, keys, places, said):
    write(tmp_path / "a.tif", UTM)
    write(tmp_path / "b.tif", keys, *places)
    with pytest.raises(InputError, match=rf"b\.tif: .*{said}.*; write it on the picture's grid"):
        check_same_place(tmp_path / "a.tif", tmp_path / "b.tif")


def test_labels_in_the_same_place_or_in_none_are_taken(tmp_path):
    write(tmp_path / "a.tif", UTM)
    corner = (2.0, 1.0, 0.0, 420_000.0 + 2 * 3.32, 4_120_000.0 - 3.32, 0.0)
    write(tmp_path / "tied.tif", UTM, (33550, SCALE), (33922, corner))
    write(tmp_path / "near.tif", UTM, (33550, SCALE), (33922, (*TIE[:3], 420_000.1, *TIE[4:])))
    write(tmp_path / "nameless.tif", [(1025, 1), (3072, 32767)])
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((8, 9), np.uint8))
    (tmp_path / "none.png").write_bytes(b"any")
    for name in ("a.tif", "tied.tif", "near.tif", "nameless.tif", "plain.tif", "none.png"):
        check_same_place(tmp_path / "a.tif", tmp_path / name)
        check_same_place(tmp_path / name, tmp_path / "a.tif")


def test_a_place_is_not_turned(tmp_path):
    path = tmp_path / "a.tif"
    write(path, UTM, (33550, SCALE), (33922, TIE), (274, (6.0,)))
    with pytest.raises(InputError, match=r"a\.tif: is stored turned .*orientation 6"):
        read_georeference(path)


@pytest.mark.parametrize(
    "places", [((33550, (3.32, 3.32)), (33922, TIE)), ((34264, (1.0, 2.0, 3.0)),), ((33550, SCALE), (33922, TIE[:3]))]
)
def test_tags_of_wrong_length_are_no_place(tmp_path, places):
    write(tmp_path / "a.tif", UTM, *places)
    with pytest.raises(InputError, match=r"a\.tif: "):
        read_georeference(tmp_path / "a.tif")
