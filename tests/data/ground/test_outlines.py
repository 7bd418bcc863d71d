"""Outlines of what was found; skipped where the extra `geo` is not installed."""

import json

import numpy as np
import pytest

from segjax.data.formats.annotation import Picture
from segjax.data.formats.layers import read_layer
from segjax.data.formats.vectors import read
from segjax.data.ground.geofiles import missing_packages
from segjax.data.ground.outlines import outlines_of, places_of, write_outlines, write_sites
from segjax.types import Georeference, InputError

pytestmark = [
    pytest.mark.skipif(bool(missing_packages()), reason="the extra geo is not installed"),
    pytest.mark.filterwarnings(
        "ignore:Setting the shape on a NumPy array:DeprecationWarning"
    ),  # rasterio 1.4, NumPy 2.5
]
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


def features_of(folder):
    return json.loads((folder / "sites.geojson").read_text())["features"]


def test_outlines_have_place_score_and_hectares(tmp_path):
    probability = np.where(mask(), 0.8, 0.1).astype(np.float32)
    large, small = outlines_of(mask(), probability, PLACE, "tile")
    # 384 and 20 pixels of 4 square metres; UTM is within 0.1 % of the ellipsoid's area there
    assert large.hectares == pytest.approx(384 * 4 / 1e4, rel=2e-3)
    assert small.hectares == pytest.approx(20 * 4 / 1e4, rel=2e-3)
    assert large.score == pytest.approx(0.8) and large.picture == "tile"
    write_outlines(tmp_path, [large, small], [PLACE.crs])
    exterior, hole = features_of(tmp_path)[0]["geometry"]["coordinates"]
    assert ring_area(exterior) > 0 > ring_area(hole)
    longitude, latitude = np.mean(exterior, 0)
    assert 36 < longitude < 42 and 36 < latitude < 38  # zone 37, some 4,120 km north of the equator


@pytest.mark.parametrize("transform", [PLACE.transform, (1.5, 0.7, 420_000.0, 0.7, -1.5, 4_120_000.0)])
def test_places_lie_within_their_outline(transform):
    found = mask()
    found[40:44, 2:50], found[41:43, 4:50], found[0, 0] = True, False, True  # a fork, and one pixel
    place = Georeference(PLACE.crs, transform)
    outlines = outlines_of(found, found.astype(np.float32), place, "tile")
    places = places_of(outlines, place)
    assert len(outlines) == len(places.rows) == 4 and found[places.rows, places.columns].all()
    a, b, c, d, e, f = transform
    columns, rows = places.columns + 0.5, places.rows + 0.5
    np.testing.assert_allclose(places.x, a * columns + b * rows + c, atol=2)
    np.testing.assert_allclose(places.y, d * columns + e * rows + f, atol=2)
    assert ((places.longitude > 36) & (places.longitude < 42) & (places.latitude > 36) & (places.latitude < 38)).all()
    assert all(part.size == 0 for part in places_of([], place))


def test_pixels_that_meet_at_a_corner_are_one_outline():
    found = np.zeros((6, 6), bool)
    found[1:3, 1:3], found[3:5, 3:5] = True, True
    (outline,) = outlines_of(found, np.ones((6, 6), np.float32), PLACE, "tile")
    assert outline.hectares == pytest.approx(8 * 4 / 1e4, rel=2e-3)
    assert outline.shape.is_valid and outline.shape.geom_type == "MultiPolygon"


def test_nothing_found_is_a_valid_empty_file(tmp_path):
    empty = np.zeros((8, 8), bool)
    outlines = outlines_of(empty, np.zeros((8, 8), np.float32), PLACE, "tile")
    assert outlines == []
    write_outlines(tmp_path, outlines, [PLACE.crs])
    assert json.loads((tmp_path / "sites.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    layer = read_layer(tmp_path / "sites.gpkg")
    assert len(layer.shapes) == 0 and layer.crs == "EPSG:32637"


def test_geojson_has_properties(tmp_path):
    probability = np.where(mask(), 0.75, 0.0).astype(np.float32)
    write_outlines(tmp_path, outlines_of(mask(), probability, PLACE, "tile"), [PLACE.crs])
    features = features_of(tmp_path)
    assert [feature["id"] for feature in features] == read_layer(tmp_path / "sites.gpkg").numbers.tolist() == [1, 2]
    assert features[0]["properties"] == {"picture": "tile", "score": 0.75, "hectares": pytest.approx(0.1536, rel=2e-3)}
    assert features[0]["geometry"]["type"] == "Polygon"


def test_only_pictures_with_a_place_get_files(tmp_path):
    masks = np.stack([mask()] * 3)
    probability = np.where(masks, 0.75, 0.0).astype(np.float32)
    names = ["north/a", "b", "c"]
    assert write_sites(tmp_path / "some", names, [PLACE, None, PLACE], masks, probability) == ["b"]
    assert sorted(path.name for path in (tmp_path / "some" / "masks").iterdir()) == ["c.tif", "north_a.tif"]
    features = features_of(tmp_path / "some")
    assert [feature["properties"]["picture"] for feature in features] == ["north/a", "north/a", "c", "c"]
    assert write_sites(tmp_path / "none", names, [None] * 3, masks, probability) == names
    assert not (tmp_path / "none").exists()


def test_a_geopackage_has_a_layer_per_coordinate_system(tmp_path):
    zones = [PLACE, Georeference("EPSG:32638", (2.0, 0.0, 300_000.0, 0.0, -2.0, 4_120_000.0)), PLACE]
    masks = np.stack([mask()] * 3)
    write_sites(tmp_path, ["a", "b", "c"], zones, masks, masks.astype(np.float32))
    for name, crs, pictures in (("sites EPSG 32637", PLACE.crs, "aacc"), ("sites EPSG 32638", "EPSG:32638", "bb")):
        layer = read_layer(tmp_path / "sites.gpkg", name, ("picture", "score"))
        assert (layer.crs, "".join(layer.columns["picture"])) == (crs, pictures)
        np.testing.assert_array_equal(layer.columns["score"], 1)
    # GeoJSON has all of them in the order of the pictures, each in its place
    features = features_of(tmp_path)
    assert [feature["properties"]["picture"] for feature in features] == list("aabbcc")
    longitudes = [feature["geometry"]["coordinates"][0][0][0] for feature in features]
    np.testing.assert_array_equal(np.array(longitudes) > 42, [False, False, True, True, False, False])


def test_an_unknown_coordinate_system_is_refused():
    with pytest.raises(InputError, match="coordinate system 'EPSG:1' is unknown"):
        outlines_of(mask(), mask().astype(np.float32), Georeference("EPSG:1", PLACE.transform), "tile")


def test_outlines_lie_where_the_mask_does(tmp_path):
    found = np.random.default_rng(0).random((60, 80)) > 0.6
    write_outlines(tmp_path, outlines_of(found, found.astype(np.float32), PLACE, "tile"), [PLACE.crs])
    for name in ("sites.gpkg", "sites.geojson"):
        labels = read(tmp_path / name, Picture("tile", "tile.tif", found.shape, PLACE)).labels
        np.testing.assert_array_equal(labels > 0, found)
