"""Scenes: their bands, their missing pixels, and those that are refused; skipped without the extra `geo`."""

import numpy as np
import pytest
import tifffile

from segjax.data import read_picture
from segjax.data.ground.scene import open_scene, picture_of
from segjax.types import InputError

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")


def write(path, pixels, metres=6.64, crs="EPSG:32637", **more):
    """A scene of [bands, H, W]."""
    transform = rasterio.Affine(metres, 0, 420_000, 0, -metres, 4_120_000)
    count, height, width = pixels.shape
    size = {"count": count, "height": height, "width": width, "dtype": pixels.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", transform=transform, crs=crs, **size, **more) as file:
        file.write(pixels)
    return path


def noise(bands=1, dtype=np.uint8):
    return np.random.default_rng(0).integers(1, 200, (bands, 20, 30)).astype(dtype)


def test_transparency_is_no_band(tmp_path):
    pixels = noise(4)
    pixels[3] = 255
    pixels[3, :, :5] = 0
    scene = open_scene(write(tmp_path / "scene.tif", pixels, photometric="rgb", alpha="yes"))
    assert scene.bands == (1, 2, 3) and scene.known[:, 5:].all() and not scene.known[:, :5].any()
    found = picture_of(scene, "dtype", 3)
    np.testing.assert_allclose(found[:, 5:], np.moveaxis(pixels[:3, :, 5:], 0, -1) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint8", 0), ("uint16", 65535), ("float32", -9999), ("float32", np.nan)]
)
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_pixels_without_data_are_filled_and_set_no_scale(tmp_path, bands, dtype, nodata):
    pixels = noise(bands, dtype)
    whole = open_scene(write(tmp_path / "whole.tif", pixels, photometric="minisblack"))
    assert whole.known.all()
    pixels[0, 3, 7] = pixels.max() + 1  # the brightest pixel is one that has data
    holed = pixels.copy()
    holed[:, :, :5] = nodata
    scene = open_scene(write(tmp_path / "scene.tif", holed, nodata=nodata, photometric="minisblack"))
    assert scene.known[:, 5:].all() and not scene.known[:, :5].any()
    found = picture_of(scene, "max", bands)
    expected = np.moveaxis(pixels, 0, -1) / pixels.max()
    np.testing.assert_allclose(found[:, 5:], expected[:, 5:], rtol=1e-6)
    np.testing.assert_allclose(found[:, :5], np.repeat(expected[:, 5:6], 5, 1), rtol=1e-6)


def test_a_whole_scene_is_read_as_pictures_are(tmp_path):
    scene = open_scene(write(tmp_path / "scene.tif", noise()))
    np.testing.assert_array_equal(picture_of(scene, "dtype", 1), read_picture(scene.path, scale="dtype"))


def test_what_is_wrong_with_a_partly_empty_scene_names_its_file(tmp_path):
    pixels = noise(dtype="float32") - 50
    pixels[:, 0] = -9999
    scene = open_scene(write(tmp_path / "scene.tif", pixels, nodata=-9999))
    with pytest.raises(InputError, match=rf"^{tmp_path}/scene\.tif: holds negative intensities"):
        picture_of(scene, "max", 1)


def test_scenes_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / "scene.tif"
    with pytest.raises(InputError, match=r"scene\.tif: there is no such file"):
        open_scene(path)
    tifffile.imwrite(path, noise()[0])
    with pytest.raises(InputError, match=r"scene\.tif: is not a GeoTIFF, so its place"):
        open_scene(path)
    write(path, noise(), crs=None)
    with pytest.raises(InputError, match=r"scene\.tif: has no coordinate system with an EPSG"):
        open_scene(path)
    write(path, np.full((1, 20, 30), 7, np.uint8), nodata=7)
    with pytest.raises(InputError, match=r"scene\.tif: no pixel has data"):
        open_scene(path)
    write(path, noise(), photometric="palette")
    with pytest.raises(InputError, match=r"scene\.tif: has colours from a palette"):
        open_scene(path)


@pytest.mark.parametrize("bands", [2, 3, 4, 5])
@pytest.mark.parametrize("is_holed", [False, True])
def test_a_scene_has_the_same_channels_whatever_its_nodata_pixels(tmp_path, bands, is_holed):
    pixels = noise(bands)
    pixels[:, 0, 0] = 0 if is_holed else 1
    scene = open_scene(write(tmp_path / "scene.tif", pixels, nodata=0, photometric="minisblack"))
    assert len(scene.bands) == bands and picture_of(scene, "max", bands).shape == (20, 30, bands)
