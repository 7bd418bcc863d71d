"""Masks for geographic information systems; skipped where the extra `geo` is not installed."""

import numpy as np
import pytest

from segjax.data.ground import geofiles
from segjax.data.ground.geofiles import missing_packages, write_mask
from segjax.data.ground.georeference import read_georeference
from segjax.types import Georeference, InputError

needs_geo = pytest.mark.skipif(bool(missing_packages()), reason="the extra geo (rasterio, ...) is missing")
PLACE = Georeference("EPSG:32637", (2.0, 0.0, 420_000.0, 0.0, -2.0, 4_120_000.0))


def mask():
    """A square of 20 x 20 pixels with a hole of 4 x 4, and a smaller one."""
    found = np.zeros((60, 80), bool)
    found[10:30, 20:40] = True
    found[18:22, 28:32] = False
    found[50:54, 70:75] = True
    return found


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
def test_an_unknown_coordinate_system_is_refused(tmp_path):
    with pytest.raises(InputError, match="coordinate system 'EPSG:1' is unknown"):
        write_mask(tmp_path / "mask.tif", mask(), Georeference("EPSG:1", PLACE.transform))


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(geofiles, "find_spec", lambda name: None if name == "rasterio" else object())
    with pytest.raises(InputError, match=r"rasterio not installed; run: pip install 'segjax\[geo\]'"):
        write_mask(tmp_path / "mask.tif", mask(), PLACE)
