"""Georeferences of GeoTIFF files, whose tags are written here number by number."""

import numpy as np
import pytest
import tifffile

from segjax.data import open_source
from segjax.data.georeference import read_georeference
from segjax.types import InputError

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
        with pytest.raises(InputError, match="without a coordinate system that has an EPSG number"):
            read_georeference(path)
    write(path, [(3072, 32637)], (33550, SCALE))
    with pytest.raises(InputError, match="without scale and tie point"):
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
        with pytest.raises(InputError, match=r"a\.tif: a GeoTIFF without a coordinate system.*gdal_edit\.py -a_srs"):
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
