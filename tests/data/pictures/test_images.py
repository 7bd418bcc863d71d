"""Every kind of file gives the values that were written into it, or is refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from segjax.data.pictures.images import convert_channels, is_8_bit, read_labels, read_picture
from segjax.types import InputError

GREY = np.array([[0, 10, 20], [30, 40, 50]])
COLOUR = np.arange(18).reshape(2, 3, 3) * 10


def write(path, pixels):
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    else:
        Image.fromarray(pixels).save(path)
    return path


def png_16_bit(path, pixels, colour_type):
    """A 16-bit PNG written chunk by chunk, since Pillow cannot write one in colour."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_picture_is_divided_by_its_maximum_or_by_that_of_its_type(tmp_path, suffix, dtype):
    path = write(tmp_path / f"a{suffix}", GREY.astype(dtype))
    np.testing.assert_allclose(read_picture(path)[..., 0], GREY / 50, rtol=1e-6)
    np.testing.assert_allclose(read_picture(path, scale="dtype")[..., 0], GREY / np.iinfo(dtype).max, rtol=1e-6)
    assert read_picture(path).dtype == np.float32


def test_32_bit_and_float_tiff_pictures(tmp_path):
    wide = write(tmp_path / "a.tif", (GREY * 1000).astype(np.uint32))
    real = write(tmp_path / "b.tif", (GREY / 50).astype(np.float32))
    np.testing.assert_allclose(read_picture(wide)[..., 0], GREY / 50, rtol=1e-6)
    np.testing.assert_allclose(read_picture(real, scale="dtype")[..., 0], GREY / 50, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_rgb_and_rgba_give_three_channels(tmp_path, suffix):
    opaque = np.full((2, 3, 1), 7)
    rgb = write(tmp_path / f"rgb{suffix}", COLOUR.astype(np.uint8))
    path = tmp_path / f"rgba{suffix}"
    rgba = np.concatenate([COLOUR, opaque], -1).astype(np.uint8)
    if suffix == ".tif":
        tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=["unassalpha"])
    else:
        write(path, rgba)
    for file in (rgb, path):
        np.testing.assert_allclose(read_picture(file), COLOUR / 170, rtol=1e-6)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4)])
def test_16_bit_colour_png_keeps_all_bits(tmp_path, colour_type, channels):
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 7, channels))
    image = read_picture(png_16_bit(tmp_path / "a.png", pixels, colour_type), scale="dtype")
    np.testing.assert_array_equal(np.round(image * 65535).astype(int), pixels[..., :3])


def test_grey_with_transparency(tmp_path):
    pixels = np.stack([GREY, GREY + 1], -1)
    write(tmp_path / "a.png", pixels.astype(np.uint8))
    np.testing.assert_allclose(read_picture(tmp_path / "a.png")[..., 0], GREY / 50, rtol=1e-6)
    with pytest.raises(InputError, match=r"b\.png.*transparency"):
        read_picture(png_16_bit(tmp_path / "b.png", pixels, 4))


def test_palette_is_colour_in_a_picture_and_index_in_labels(tmp_path):
    file = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode=None).convert("P")
    file.putdata([0, 1, 2, 1])
    file.putpalette([0, 0, 0, 200, 0, 0, 0, 100, 0])
    for name in ("a.png", "a.tif"):
        file.save(tmp_path / name)
        expected = np.array([[[0, 0, 0], [1, 0, 0]], [[0, 0.5, 0], [1, 0, 0]]])
        np.testing.assert_allclose(read_picture(tmp_path / name), expected, rtol=1e-6)
        np.testing.assert_array_equal(read_labels(tmp_path / name), [[0, 1], [2, 1]])


def test_planar_and_multichannel_tiff(tmp_path):
    pixels = COLOUR.astype(np.uint8)
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(
        tmp_path / "two.ome.tif",
        np.moveaxis(pixels[..., :2], -1, 0),
        photometric="minisblack",
        metadata={"axes": "CYX"},
    )
    np.testing.assert_allclose(read_picture(tmp_path / "planar.tif"), COLOUR / 170, rtol=1e-6)
    np.testing.assert_allclose(read_picture(tmp_path / "two.ome.tif"), COLOUR[..., :2] / 160, rtol=1e-6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff(tmp_path, compression):
    Image.fromarray(GREY.astype(np.uint16)).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), GREY)


def test_a_stack_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 6, 7), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"a\.tif: a stack of 5 pages; give stacks=planes .*own file"):
        read_picture(tmp_path / "a.tif")


def test_unfit_intensities_are_refused(tmp_path):
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("negative", -1.0)):
        pixels = (GREY / 50).astype(np.float32)
        pixels[0, 0] = value
        write(tmp_path / f"{name}.tif", pixels)
        with pytest.raises(InputError, match=rf"{name}\.tif: holds"):
            read_picture(tmp_path / f"{name}.tif")
    write(tmp_path / "large.tif", GREY.astype(np.float32))
    with pytest.raises(InputError, match="scale=max"):
        read_picture(tmp_path / "large.tif", scale="dtype")


def test_channels_are_converted():
    rgb = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]]], np.float32)
    grey = convert_channels(rgb, 1)
    np.testing.assert_allclose(grey[..., 0], [[0.299, 0.587, 1.0]], rtol=1e-6)
    np.testing.assert_array_equal(convert_channels(grey, 3)[..., 2], grey[..., 0])
    with pytest.raises(InputError, match="2 channels into 1"):
        convert_channels(rgb[..., :2], 1)


@pytest.mark.parametrize(
    ("name", "dtype", "largest"),
    [
        ("a.png", np.uint8, 255),
        ("a.png", np.uint16, 65535),
        ("a.tif", np.uint32, 70000),
        ("a.tif", np.int64, 2**31 - 1),
    ],
)
def test_labels_keep_their_values(tmp_path, name, dtype, largest):
    labels = np.array([[0, 1], [300 % (largest + 1), largest]]).astype(dtype)
    read = read_labels(write(tmp_path / name, labels))
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == np.int32
    assert is_8_bit(tmp_path / name) == (dtype == np.uint8)


def test_whole_numbers_in_a_float_file_and_a_1_bit_mask_are_labels(tmp_path):
    np.testing.assert_array_equal(read_labels(write(tmp_path / "a.tif", GREY.astype(np.float32))), GREY)
    np.testing.assert_array_equal(read_labels(write(tmp_path / "b.png", GREY > 10)), GREY > 10)


def test_low_bit_depths_are_not_stretched_in_labels(tmp_path):
    rows = b"\0\x12\0\x03"  # two rows of two 4-bit pixels: 1 2 and 0 3
    stored = io.BytesIO()
    for name, content in (
        (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 4, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        stored.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + stored.getvalue())
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), [[1, 2], [0, 3]])


def test_unfit_labels_are_refused(tmp_path):
    cases = {
        "fraction.tif": ((GREY / 7).astype(np.float32), "not whole numbers"),
        "large.tif": ((GREY.astype(np.uint32) + 2**31), "ids must be from"),
        "negative.tif": (GREY.astype(np.int16) - 5, "ids must be from"),
        "colour.png": (COLOUR.astype(np.uint8), "colour picture"),
    }
    for name, (pixels, reason) in cases.items():
        with pytest.raises(InputError, match=rf"{name}.*{reason}"):
            read_labels(write(tmp_path / name, pixels))


def test_jpeg_labels_are_refused_whatever_the_file_is_called(tmp_path):
    for name in ("a.jpg", "b.png"):
        Image.fromarray(GREY.astype(np.uint8)).save(tmp_path / name, format="JPEG")
        with pytest.raises(InputError, match="JPEG"):
            read_labels(tmp_path / name)
        assert read_picture(tmp_path / name).shape == (2, 3, 1)
    Image.fromarray(COLOUR.astype(np.uint8)).save(tmp_path / "c.tif", compression="jpeg")
    with pytest.raises(InputError, match="JPEG"):
        read_labels(tmp_path / "c.tif")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_damaged_files_are_refused(tmp_path, name):
    path = write(tmp_path / name, np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8))
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"no picture at all"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"{name}.*cannot be read"):
            read_picture(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "missing.png")
