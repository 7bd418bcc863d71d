"""What a file says beside its values: which way is up, which channels are transparency, where it has no data."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from segjax.data import check_folder, open_source
from segjax.data.pictures.images import read_labels, read_labels_with_missing, read_picture, read_picture_with_missing
from segjax.types import InputError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(1, 200, (6, 9)).astype(np.uint8)
NODATA = [
    ("uint8", "0"),
    ("uint16", "65535"),
    ("int16", "-32768"),
    ("float32", "3.4028234663852886e+38"),
    ("float32", "-3.40282346600000016e+38"),  # as ESRI writes it
    ("float32", "-9999"),
    ("float64", "nan"),
]


def write_tiff(path, pixels, tags=(), photometric="minisblack", **more):
    extratags = [(code, kind, 0 if kind == "s" else 1, value, True) for code, kind, value in tags]
    tifffile.imwrite(path, pixels, photometric=photometric, extratags=extratags, metadata=None, **more)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_orientation_of_pictures_and_labels(tmp_path, orientation, suffix):
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    exif[0x0112] = orientation
    if suffix == ".tif":
        write_tiff(path, GREY, [(274, "H", orientation)])
    else:
        Image.fromarray(GREY).save(path, exif=exif, **({"quality": 100} if suffix == ".jpg" else {}))
    Image.fromarray(GREY).save(tmp_path / "same.png", exif=exif)
    with Image.open(path if suffix == ".jpg" else tmp_path / "same.png") as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    np.testing.assert_allclose(read_picture(path, scale="dtype")[..., 0], expected / 255, rtol=1e-6)
    if suffix != ".jpg":
        np.testing.assert_array_equal(read_labels(path), expected)


def test_what_is_missing_turns_with_the_picture(tmp_path):
    pixels = GREY.copy()
    pixels[0, :3] = 255
    path = write_tiff(tmp_path / "a.tif", pixels, [(274, "H", 6), (42113, "s", "255")])
    _, missing = read_picture_with_missing(path)
    np.testing.assert_array_equal(missing, np.rot90(pixels == 255, -1))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(
    ("photometric", "extra", "kept"),
    [
        ("rgb", ["unassalpha"], [0, 1, 2]),
        ("rgb", ["assocalpha"], [0, 1, 2]),
        ("rgb", ["unspecified"], [0, 1, 2, 3]),
        ("rgb", ["unspecified", "unassalpha"], [0, 1, 2, 3]),
        ("rgb", ["unassalpha", "unspecified"], [0, 1, 2, 4]),
        ("minisblack", ["unassalpha"], [0]),
        ("minisblack", ["unspecified"], [0, 1]),
        ("minisblack", ["unspecified"] * 3, [0, 1, 2, 3]),
        ("minisblack", ["unspecified"] * 2 + ["unassalpha"], [0, 1, 2]),
    ],
)
def test_only_declared_transparency_is_left_out(tmp_path, photometric, extra, kept, planar):
    count = len(extra) + (3 if photometric == "rgb" else 1)
    pixels = RANDOM.integers(1, 200, (6, 9, count)).astype(np.uint8)
    written = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    write_tiff(tmp_path / "a.tif", written, (), photometric, planarconfig=planar, extrasamples=extra)
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif", scale="dtype"), pixels[..., kept] / 255, rtol=1e-6)


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize(("dtype", "nodata"), NODATA)
def test_pixels_without_data_are_known_and_set_no_scale(tmp_path, dtype, nodata, bands):
    pixels = RANDOM.integers(1, 200, (6, 9, bands)).astype(dtype)
    hole = np.zeros((6, 9), bool)
    hole[2:4, 3:5] = True
    holed = pixels.copy()
    holed[hole] = np.array(float(nodata)).astype(dtype)
    write_tiff(
        tmp_path / "a.tif", holed.squeeze(), [(42113, "s", nodata)], **({"planarconfig": "contig"} if bands > 1 else {})
    )
    image, missing = read_picture_with_missing(tmp_path / "a.tif")
    np.testing.assert_array_equal(missing, hole)
    np.testing.assert_allclose(image[~hole], pixels[~hole] / pixels[~hole].max(), rtol=1e-6)
    assert image.min() > 0 and image.shape[-1] == bands  # filled from the nearest pixels
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), image)


def test_a_pixel_has_data_where_one_band_has(tmp_path):
    pixels = np.full((6, 9, 3), 50, np.uint8)
    pixels[0, 0], pixels[1, 1] = (0, 0, 90), 0
    write_tiff(tmp_path / "a.tif", pixels, [(42113, "s", "0")], "rgb")
    missing = read_picture_with_missing(tmp_path / "a.tif")[1]
    assert missing[1, 1] and missing.sum() == 1


@pytest.mark.parametrize("nodata", ["-9999", "256", "1e400", "2.5"])
def test_values_that_no_pixel_can_have_change_nothing(tmp_path, nodata):
    write_tiff(tmp_path / "a.tif", GREY, [(42113, "s", nodata)])
    assert read_picture_with_missing(tmp_path / "a.tif")[1] is None


@pytest.mark.parametrize(
    ("value", "said"),
    [(-9999, "-9999"), (np.nan, "nan"), (3.4028235e38, "3.40282347e+38"), (-3.4028235e38, "-3.40282347e+38")],
)
def test_undeclared_values_without_data_get_the_right_remedy(tmp_path, value, said):
    pixels = GREY.astype(np.float32)
    pixels[2, 3] = value
    write_tiff(tmp_path / "a.tif", pixels)
    with pytest.raises(InputError, match=rf"a\.tif: holds .*gdal_edit\.py -a_nodata {said.replace('+', '.')}\)"):
        read_picture(tmp_path / "a.tif")


def test_a_picture_without_any_data_or_with_no_number_for_it_is_refused(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((5, 6), np.uint8), [(42113, "s", "0")])
    with pytest.raises(InputError, match=r"a\.tif: no pixel has data"):
        read_picture(tmp_path / "a.tif")
    write_tiff(tmp_path / "a.tif", GREY, [(42113, "s", "none")])
    with pytest.raises(InputError, match=r"a\.tif: its nodata value 'none' is not a number"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint8", "255"), ("int16", "-9999"), ("float32", "nan"), ("uint32", "4294967295")]
)
def test_labels_without_data_are_no_object(tmp_path, dtype, nodata):
    labels = np.zeros((6, 9), dtype)
    labels[1:3, 1:3], labels[4:, 5:] = 7, np.array(float(nodata)).astype(dtype)
    write_tiff(tmp_path / "a.tif", labels, [(42113, "s", nodata)])
    found, missing = read_labels_with_missing(tmp_path / "a.tif")
    assert set(np.unique(found)) == {0, 7} and (found == 7).sum() == 4
    assert missing[4:, 5:].all() and missing.sum() == 8
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), found)


def test_background_has_data_where_a_label_file_calls_0_no_data(tmp_path):
    """As gdal_rasterize -a_nodata 0 writes it."""
    labels = np.eye(6, dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", labels, [(42113, "s", "0")])
    found, missing = read_labels_with_missing(tmp_path / "a.tif")
    assert missing is None
    np.testing.assert_array_equal(found, labels)


@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")  # rasterio 1.4, NumPy 2.5
@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("bands", [1, 3])
def test_a_mask_inside_the_file_and_overviews_are_as_rasterio_reads_them(tmp_path, bands):
    rasterio = pytest.importorskip("rasterio")
    pixels = RANDOM.integers(1, 200, (bands, 64, 64)).astype(np.uint8)
    size = {"count": bands, "height": 64, "width": 64, "dtype": "uint8"}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", compress="lzw", **size) as file,
    ):
        file.write(pixels)
        hole = np.full((64, 64), 255, np.uint8)
        hole[:10, 20:] = 0
        file.write_mask(hole)
        file.build_overviews([2, 4])
    image, missing = read_picture_with_missing(tmp_path / "a.tif", scale="dtype")
    with rasterio.open(tmp_path / "a.tif") as file:
        known = file.dataset_mask() > 0
    np.testing.assert_array_equal(missing, ~known)
    np.testing.assert_allclose(image[known], np.moveaxis(pixels, 0, -1)[known] / 255, rtol=1e-6)


def folder(path, pixels, labels, classes=None):
    """A folder of one picture, each file with its value for no data."""
    for name, file in {"images": pixels, "labels": labels, "classes": classes}.items():
        if file is not None:
            (path / name).mkdir()
            write_tiff(path / name / "a.tif", file[0], [(42113, "s", file[1])])
    return path


def test_pixels_without_data_are_ignored_in_a_folder(tmp_path):
    pixels, labels = GREY.astype(np.uint16), np.zeros((6, 9), np.uint8)
    labels[1, 1], labels[3:, 4:] = 1, 2
    pixels[:2, :3], labels[5, 8] = 65535, 255
    sample = open_source(f"folder:{folder(tmp_path, (pixels, '65535'), (labels, '255'))}")[0]
    expected = np.zeros((6, 9), bool)
    expected[:2, :3] = expected[5, 8] = True
    np.testing.assert_array_equal(sample.ignored, expected)
    np.testing.assert_array_equal(sample.labels, (labels == 2).astype(np.int32))  # object 1 lies where nothing is
    assert len(sample.classes) == 1 and sample.image.max() == 1


def test_classes_without_data_are_ignored_too(tmp_path):
    labels = np.zeros((6, 9), np.uint8)
    labels[1:3, 1:3], labels[4:, 5:] = 1, 2
    classes = np.where(labels == 1, 3, labels // 2).astype(np.uint8)
    classes[0] = 9
    path = folder(tmp_path, (GREY, "0"), (labels, "255"), (classes, "9"))
    sample = open_source(f"folder:{path}")[0]
    np.testing.assert_array_equal(sample.ignored, classes == 9)
    np.testing.assert_array_equal(sample.labels, labels)
    np.testing.assert_array_equal(sample.classes, [3, 1])


def test_labels_that_lie_elsewhere_are_a_problem_of_the_folder(tmp_path):
    place = [(33550, (3.0, 3.0, 0.0)), (33922, (0.0, 0.0, 0.0, 4e5, 4e6, 0.0))]
    beside = [(33550, (3.0, 3.0, 0.0)), (33922, (0.0, 0.0, 0.0, 4e5 + 100, 4e6, 0.0))]
    for name, values, where in (("images", GREY, place), ("labels", np.eye(6, 9, dtype=np.uint8), beside)):
        (tmp_path / name).mkdir()
        keys = (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 32637)
        tags = [
            (34735, "H", len(keys), keys, True),
            *[(code, "d", len(numbers), numbers, True) for code, numbers in where],
        ]
        tifffile.imwrite(tmp_path / name / "a.tif", values, extratags=tags)
    (problem,) = check_folder(tmp_path, {})
    assert problem.path.parent.name == "labels" and "33.3 pixels away" in problem.reason
