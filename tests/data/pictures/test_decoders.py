"""Whatever wrote the file, its stored values are read as its tags promise them, or it is refused by name."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from segjax.data.pictures.decoders import stored_bits
from segjax.data.pictures.images import read_labels, read_picture
from segjax.types import InputError

RANDOM = np.random.default_rng(0)
GREY_16 = RANDOM.integers(0, 65536, (33, 45)).astype(np.uint16)
COLOUR_16 = RANDOM.integers(0, 65536, (33, 45, 3)).astype(np.uint16)
TAGS = [(258, 32), (277, 3), (257, 34), (262, 2), (262, 3), (262, 8), (278, 16), (274, 9)]
COMPRESSIONS = [None, "lzw", "zlib", "zstd", "packbits", "lzma"]


def retag(path, code, value):
    """Overwrite the value of a tag that the first page has."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags[code].overwrite(value)


def png(path, rows, bits, colour_type, *more, size=None):
    """A PNG of packed rows, written chunk by chunk."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    width, height = size or (8 * len(rows[0]) // bits, len(rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows)))
    chunks = b"".join([header, *(chunk(*one) for one in more), body, chunk(b"IEND", b"")])
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_every_compression_keeps_all_bits_of_pictures_and_labels(tmp_path, compression, predictor, tile):
    written = {"compression": compression, "predictor": predictor and compression is not None, "tile": tile}
    tifffile.imwrite(tmp_path / "rgb.tif", COLOUR_16, photometric="rgb", **written)
    tifffile.imwrite(tmp_path / "grey.tif", GREY_16, photometric="minisblack", **written)
    found = read_picture(tmp_path / "rgb.tif", scale="dtype")
    np.testing.assert_array_equal(np.round(found.astype(np.float64) * 65535), COLOUR_16)
    np.testing.assert_array_equal(read_labels(tmp_path / "grey.tif"), GREY_16)


@pytest.mark.parametrize("compression", [*COMPRESSIONS, "jpeg"])
def test_a_compressed_stack_is_never_its_first_page(tmp_path, compression):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 16, 16), np.uint8), photometric="minisblack", compression=compression
    )
    for read in (read_picture, read_labels):
        with pytest.raises(InputError, match=r"a\.tif: a stack of 3 pages; give stacks=planes"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10, 12, 14])
@pytest.mark.parametrize("kind", ["minisblack", "miniswhite"])
def test_odd_bits_of_tiff(tmp_path, bits, kind):
    labels = RANDOM.integers(0, 2**bits, (7, 11)).astype(np.uint16 if bits > 8 else np.uint8)
    labels[0, 0] = 2**bits - 1
    stored = labels.astype(bool) if bits == 1 else labels
    tifffile.imwrite(tmp_path / "a.tif", stored, bitspersample=bits, photometric=kind)
    assert stored_bits(tmp_path / "a.tif") == bits
    light = labels if kind == "minisblack" else 2**bits - 1 - labels
    np.testing.assert_allclose(
        read_picture(tmp_path / "a.tif", scale="dtype")[..., 0], light / (2**bits - 1), rtol=1e-6
    )
    if kind == "minisblack":
        np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
    else:
        with pytest.raises(InputError, match=r"a\.tif: labels store white as 0 .*Lookup Tables"):
            read_labels(tmp_path / "a.tif")


def test_imagej_shows_the_stored_values_of_labels_whose_white_is_0(tmp_path):
    labels = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", labels, imagej=True)
    retag(tmp_path / "a.tif", 262, 0)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif")[..., 0], 1 - labels / 255)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("colour_type", [0, 3])
def test_packed_png_has_the_stored_values(tmp_path, bits, colour_type):
    values = RANDOM.integers(0, 2**bits, (5, 16)).astype(np.uint8)
    values[0, 0] = 2**bits - 1
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:].reshape(5, -1), axis=-1)
    colours = bytes(RANDOM.integers(0, 256, 3 * 2**bits).astype(np.uint8))
    more = [(b"PLTE", colours)] if colour_type == 3 else []
    path = png(tmp_path / "a.png", list(packed), bits, colour_type, *more)
    np.testing.assert_array_equal(read_labels(path), values)
    found = read_picture(path, scale="dtype")
    if colour_type == 3:
        np.testing.assert_allclose(found, np.frombuffer(colours, np.uint8).reshape(-1, 3)[values] / 255, rtol=1e-6)
    else:
        np.testing.assert_allclose(found[..., 0], values / (2**bits - 1), rtol=1e-6)
    assert stored_bits(path) == bits


@pytest.mark.parametrize(
    ("photometric", "channels", "said"),
    [("separated", 4, "SEPARATED"), ("cielab", 3, "CIELAB"), ("cfa", 1, "CFA"), ("ycbcr", 3, "YCBCR")],
)
def test_colours_that_are_no_light_are_refused(tmp_path, photometric, channels, said):
    pixels = np.zeros((16, 16, channels) if channels > 1 else (16, 16), np.uint8)
    more = {"planarconfig": "contig"} if channels > 1 else {}
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if channels == 3 else photometric, **more)
    if channels == 3:
        retag(tmp_path / "a.tif", 262, tifffile.PHOTOMETRIC[photometric.upper()].value)
    for read in (read_picture, read_labels):
        with pytest.raises(InputError, match=rf"a\.tif: its colours are {said}, .*RGB or grey"):
            read(tmp_path / "a.tif")


def test_cmyk_jpeg_is_refused(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: its colours are CMYK"):
        read_picture(tmp_path / "a.jpg")


def test_jpeg_in_tiff_is_rgb_as_pillow_decodes_it(tmp_path):
    smooth = np.stack(np.meshgrid(np.arange(64), np.arange(48)), -1)
    pixels = np.concatenate([smooth * 3, smooth[..., :1] + 90], -1).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.YCBCR
    found = read_picture(tmp_path / "a.tif", scale="dtype") * 255
    assert np.abs(found - np.asarray(Image.open(tmp_path / "a.tif"))).max() <= 3
    assert np.abs(found - pixels).mean() < 3


@pytest.mark.parametrize("compression", ["jpeg", "webp", "jpeg2000", "jpegxl"])
def test_labels_of_lossy_compressions_are_refused(tmp_path, compression):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16, 3), np.uint8), photometric="rgb", compression=compression)
    with pytest.raises(InputError, match=r"a\.tif: labels were saved with lossy compression"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("shapes", [[(9, 9), (7, 7)], [(8, 8), (4, 4)], [(4, 4), (8, 8)]])
def test_several_pictures_in_one_file_are_refused(tmp_path, shapes):
    """Also where the second is half the size of the first, as the next level of a pyramid would be."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for shape in shapes:
            file.write(np.zeros(shape, np.uint8), photometric="minisblack", metadata=None)
    with pytest.raises(
        InputError, match=rf"a\.tif: holds 2 different pictures .*{shapes[0][0]} x {shapes[0][1]}, .*own file"
    ):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("first", ["thumbnail", "picture"])
def test_declared_thumbnails_and_overviews_are_passed_over(tmp_path, first):
    pixels = RANDOM.integers(0, 255, (64, 64)).astype(np.uint8)
    pages = [(pixels, 0), (pixels[::2, ::2], 1), (pixels[::4, ::4], 1)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page, kind in pages if first == "picture" else pages[::-1]:
            file.write(page, photometric="minisblack", subfiletype=kind, metadata=None)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), pixels)


def test_complex_numbers_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 5), np.complex64) * 1j)
    with pytest.raises(InputError, match=r"a\.tif: holds complex numbers"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_giant_picture_is_read(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # of what Pillow takes for an attack
    Image.new("L", (200, 100), 7).save(tmp_path / f"a{suffix}")
    assert read_picture(tmp_path / f"a{suffix}").shape == (100, 200, 1)


def test_a_png_that_cannot_hold_what_it_promises_is_refused(tmp_path):
    path = png(tmp_path / "a.png", [b"\0" * 8] * 8, 8, 0, size=(100_000, 100_000))
    with pytest.raises(InputError, match=r"a\.png: promises 100000 x 100000 pixels, more than the file can hold"):
        read_picture(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("content", [b"GIF89a" + bytes(30), b"PK\3\4" + bytes(30), b"ab", b"RIFF1234WEBP" + bytes(9)])
def test_what_is_no_picture_is_said_so(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        InputError, match=rf"{name}: cannot be read: it is no PNG, TIFF or JPEG file, whatever its name"
    ):
        read_picture(tmp_path / name)


def test_unsigned_and_float_labels_of_64_bits(tmp_path):
    labels = np.array([[0, 2**31 - 1], [5, 0]])
    for dtype in (np.uint64, np.int64, np.float64):
        tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype))
        np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
    tifffile.imwrite(tmp_path / "a.tif", (labels + 0.5).astype(np.float64))
    with pytest.raises(InputError, match=r"a\.tif: labels are not whole numbers"):
        read_labels(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 2**63 + 5]], np.uint64))
    with pytest.raises(InputError, match=r"a\.tif: label values from 0 to 9223372036854775813"):
        read_labels(tmp_path / "a.tif")


def test_a_compression_that_nobody_reads_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY_16, compression="lzw")
    retag(tmp_path / "a.tif", 259, tifffile.COMPRESSION.SGILOG.value)
    with pytest.raises(InputError, match=r"a\.tif: uses the compression SGILOG, which cannot be read here; .*LZW"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("compression", "code", "value"),
    [
        *((compression, *tag) for compression in (None, "lzw") for tag in TAGS),
        *((None, *tag) for tag in ((258, 8), (256, 44), (257, 32))),  # more values than promised; libtiff allows these
    ],
)
def test_tags_that_promise_something_else_are_refused(tmp_path, compression, code, value):
    extra = {} if code != 274 else {"extratags": [(274, "H", 1, 1, True)]}
    written = {"compression": compression, "photometric": "minisblack", "rowsperstrip": 33, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", GREY_16, **written, **extra)
    retag(tmp_path / "a.tif", code, value)
    with pytest.raises(InputError, match=r"a\.tif: "):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("change", [{"frames": 4}, {"images": 12}, {"slices": 2, "images": 2}])
def test_planes_that_imagej_promises_and_that_are_not_there(tmp_path, change):
    text = "".join(f"{name}={value}\n" for name, value in {"ImageJ": "1.53t", "images": 2, **change}.items())
    pixels = np.zeros((1, 16, 16), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, description=text, metadata=None, compression="lzw")
    with pytest.raises(InputError, match=r"a\.tif: should hold .* planes, (but holds 1|but some are missing)"):
        read_picture(tmp_path / "a.tif")


def test_planes_of_other_files_are_refused(tmp_path):
    for part in range(2):
        tifffile.imwrite(tmp_path / f"{part}.ome.tif", GREY_16, metadata={"axes": "YX"})
    with tifffile.TiffFile(tmp_path / "1.ome.tif") as other:
        assert other.is_ome
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{z}.ome.tif">urn:uuid:{z}</UUID></TiffData>'
        for z in range(2)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:0"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="45" '
        f'SizeY="33" SizeZ="2" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>{planes}</Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "0.ome.tif", GREY_16, description=text, metadata=None)
    with pytest.raises(InputError, match=r"0\.ome\.tif: its planes lie in several files"):
        read_picture(tmp_path / "0.ome.tif")
    (tmp_path / "1.ome.tif").unlink()
    with pytest.raises(InputError, match=r"0\.ome\.tif: .*but some are missing"):
        read_picture(tmp_path / "0.ome.tif")


def test_damaged_values_are_refused(tmp_path):
    """A strip that decodes to too little, and one that lies behind the end of the file."""
    for compression in COMPRESSIONS[1:]:
        tifffile.imwrite(tmp_path / "a.tif", GREY_16, compression=compression, rowsperstrip=8)
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            start, count = file.pages.first.dataoffsets[2], file.pages.first.databytecounts[2]
        content = (tmp_path / "a.tif").read_bytes()
        damaged = content[:start] + bytes(count) + content[start + count :]
        for broken in (damaged, content[:-100]):
            (tmp_path / "a.tif").write_bytes(broken)
            with pytest.raises(InputError, match=r"a\.tif: "):
                read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_no_damage_ends_in_anything_but_a_refusal(tmp_path, suffix):
    path, draw = tmp_path / f"a{suffix}", np.random.default_rng(1)
    Image.fromarray(RANDOM.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(path)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(100):
        damaged = content.copy()
        places = draw.integers(0, len(content), draw.integers(1, 8))
        damaged[places] = draw.integers(0, 256, len(places))
        path.write_bytes(
            damaged[: draw.integers(1, len(content) + 1)].tobytes() if draw.random() < 0.3 else damaged.tobytes()
        )
        for read in (read_picture, read_labels, stored_bits):
            try:
                read(path)
            except InputError as error:
                assert str(error).startswith(f"{path}: ") and "; " in str(error) and "Type-check" not in str(error)
