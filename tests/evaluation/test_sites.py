from importlib.util import find_spec

import numpy as np
import pytest

from segjax.evaluation import (
    area_in_hectares,
    boundary_f,
    disc,
    hd95,
    metres_per_pixel,
    outline_metrics,
    sites,
    size_class,
    surface_distances,
)
from segjax.types import Georeference, InputError

needs_pyproj = pytest.mark.skipif(find_spec("pyproj") is None, reason="pyproj (extra geo) is not installed")
TRUTH = disc((60, 60), (30.0, 30.0), 15.0)
MOVED = disc((60, 60), (30.0, 33.0), 15.0)


def test_metrics_are_given_in_pixels_and_metres():
    found = outline_metrics(MOVED, TRUTH, 2.5)
    distances = surface_distances(MOVED, TRUTH)
    for tolerance in (2.0, 4.0, 8.0):
        assert found[f"boundary_f_{tolerance:g}px"] == boundary_f(distances, tolerance)
    assert found["boundary_f_2px"] < found["boundary_f_4px"] == 1
    assert found["hd95_px"] == hd95(distances) and found["hd95_m"] == 2.5 * hd95(distances)
    assert found["iou"] == pytest.approx(np.sum(MOVED & TRUTH) / np.sum(MOVED | TRUTH))
    assert found["area_ha"] == TRUTH.sum() * 2.5**2 / 10_000
    assert set(outline_metrics(MOVED, TRUTH)) == set(found) - {"hd95_m", "area_ha"}


def test_sizes_of_sites():
    assert [size_class(area) for area in (0.49, 0.5, 1.89, 2.0, 9.7)] == [
        "< 0.5 ha", "0.5 to 2 ha", "0.5 to 2 ha", "2 to 8 ha", "> 8 ha",
    ]  # fmt: skip
    assert area_in_hectares(np.ones((100, 50), bool), 2.0) == 2.0
    with pytest.raises(InputError, match="metres_per_pixel must be a positive number"):
        outline_metrics(MOVED, TRUTH, 0.0)


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
    monkeypatch.setattr(sites, "find_spec", lambda name: None)
    for crs in ("EPSG:3857", "EPSG:4326", "EPSG:32600", "EPSG:32661"):
        assert metres_per_pixel(square(crs, 2.0, 0.0, 0.0)) is None
    assert metres_per_pixel(square("EPSG:32637", 2.0, 0.0, 0.0)) == 2.0
