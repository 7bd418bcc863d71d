"""Masks and outlines for geographic information systems; skipped where the extra `geo` is not installed."""

import json

import numpy as np
import pytest

from segjax.data import geofiles, read_georeference
from segjax.data.geofiles import missing_packages, outlines_of, write_geojson, write_mask, write_sites
from segjax.types import Georeference, InputError

needs_geo = pytest.mark.skipif(bool(missing_packages()), reason="the extra geo (rasterio, shapely, pyproj) is missing")
PLACE = Georeference("EPSG:32637", (2.0, 0.0, 420_000.0, 0.0, -2.0, 4_120_000.0))


def mask():
    """A square of 20 x 20 pixels with a hole of 4 x 4, and a smaller one."""
    found = np.zeros((60, 80), bool)
    found[10:30, 20:40] = True
    found[18:22, 28:32] = False
    found[50:54, 70:75] = True
    return found


def ring_area(ring):
    """Twice the signed area of a ring, positive counter-clockwise."""
    x, y = np.asarray(ring).T
    return np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])


@needs_geo
@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")  # rasterio 1.4, NumPy 2.5
def test_a_mask_keeps_its_coordinate_system(tmp_path):
    import rasterio

    write_mask(tmp_path / "deep" / "mask.tif", mask(), PLACE)
    assert read_georeference(tmp_path / "deep" / "mask.tif") == PLACE
    with rasterio.open(tmp_path / "deep" / "mask.tif") as file:
        assert file.crs.to_epsg() == 32637
        np.testing.assert_array_equal(file.read(1), mask())


@needs_geo
@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")  # rasterio 1.4, NumPy 2.5
def test_a_mask_has_no_data_where_the_picture_has_none(tmp_path):
    import rasterio

    known = np.ones((60, 80), bool)
    known[:, :30] = False
    write_mask(tmp_path / "mask.tif", mask(), PLACE, known)
    with rasterio.open(tmp_path / "mask.tif") as file:
        assert file.nodata == 255
        np.testing.assert_array_equal(file.dataset_mask() > 0, known)
        np.testing.assert_array_equal(file.read(1)[known], mask()[known])


@needs_geo
def test_outlines_have_place_score_and_hectares():
    probability = np.where(mask(), 0.8, 0.1).astype(np.float32)
    large, small = outlines_of(mask(), probability, PLACE, "tile")
    # 384 and 20 pixels of 4 square metres; UTM is within 0.1 % of the ellipsoid's area there
    assert large.hectares == pytest.approx(384 * 4 / 1e4, rel=2e-3)
    assert small.hectares == pytest.approx(20 * 4 / 1e4, rel=2e-3)
    assert large.score == pytest.approx(0.8) and large.picture == "tile"
    exterior, hole = large.polygon["coordinates"]
    assert ring_area(exterior) > 0 > ring_area(hole)
    longitude, latitude = np.mean(exterior, 0)
    assert 36 < longitude < 42 and 36 < latitude < 38  # zone 37, some 4,120 km north of the equator


@needs_geo
def test_pixels_that_meet_at_a_corner_are_one_outline():
    found = np.zeros((6, 6), bool)
    found[1:3, 1:3], found[3:5, 3:5] = True, True
    outlines = outlines_of(found, np.ones((6, 6), np.float32), PLACE, "tile")
    assert sum(outline.hectares for outline in outlines) == pytest.approx(8 * 4 / 1e4, rel=2e-3)


@needs_geo
def test_nothing_found_is_a_valid_empty_file(tmp_path):
    empty = np.zeros((8, 8), bool)
    outlines = outlines_of(empty, np.zeros((8, 8), np.float32), PLACE, "tile")
    assert outlines == []
    write_geojson(tmp_path / "sites.geojson", outlines)
    assert json.loads((tmp_path / "sites.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    write_mask(tmp_path / "mask.tif", empty, PLACE)
    assert read_georeference(tmp_path / "mask.tif") == PLACE


@needs_geo
def test_geojson_has_properties(tmp_path):
    probability = np.where(mask(), 0.75, 0.0).astype(np.float32)
    write_geojson(tmp_path / "sites.geojson", outlines_of(mask(), probability, PLACE, "tile"))
    features = json.loads((tmp_path / "sites.geojson").read_text())["features"]
    assert [feature["id"] for feature in features] == [1, 2]
    assert features[0]["properties"] == {"picture": "tile", "score": 0.75, "hectares": pytest.approx(0.1536, rel=2e-3)}
    assert features[0]["geometry"]["type"] == "Polygon"


@needs_geo
@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")  # rasterio 1.4, NumPy 2.5
def test_only_pictures_with_a_place_get_files(tmp_path):
    masks = np.stack([mask()] * 3)
    probability = np.where(masks, 0.75, 0.0).astype(np.float32)
    names = ["north/a", "b", "c"]
    assert write_sites(tmp_path / "some", names, [PLACE, None, PLACE], masks, probability) == ["b"]
    assert sorted(path.name for path in (tmp_path / "some" / "masks").iterdir()) == ["c.tif", "north_a.tif"]
    features = json.loads((tmp_path / "some" / "sites.geojson").read_text())["features"]
    assert [feature["properties"]["picture"] for feature in features] == ["north/a", "north/a", "c", "c"]
    assert write_sites(tmp_path / "none", names, [None] * 3, masks, probability) == names
    assert not (tmp_path / "none").exists()


@needs_geo
def test_an_unknown_coordinate_system_is_refused(tmp_path):
    with pytest.raises(InputError, match="coordinate system 'EPSG:1' is unknown"):
        write_mask(tmp_path / "mask.tif", mask(), Georeference("EPSG:1", PLACE.transform))


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(geofiles, "find_spec", lambda name: None if name == "rasterio" else object())
    with pytest.raises(InputError, match=r"rasterio not installed; run: pip install 'segjax\[geo\]'"):
        write_mask(tmp_path / "mask.tif", mask(), PLACE)


def test_an_empty_file_needs_no_extra(tmp_path):
    write_geojson(tmp_path / "sites.geojson", [])
    assert json.loads((tmp_path / "sites.geojson").read_text())["features"] == []
