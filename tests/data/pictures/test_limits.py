"""What would fill the memory, or be waited for without end, is refused by name before it is decoded."""

import gzip
import os
import zipfile

import numpy as np
import pytest
import tifffile
from PIL import Image

from segjax.data.formats import files, imagej, object_masks, qupath
from segjax.data.formats.annotation import Picture
from segjax.data.pictures import limits
from segjax.data.pictures.images import read_labels, read_picture
from segjax.data.pictures.limits import check_decoded, largest_content
from segjax.data.pictures.stacks import planes_of
from segjax.types import InputError

FULL = r"values take [\d,]+ MiB of memory; a file of [\d.]+ MiB may take 256 MiB; cut the picture into tiles"


def test_how_much_a_file_may_become():
    assert [largest_content(size) for size in (0, 389_000, 2**22, 2**40)] == [2**28, 2**28, 100 * 2**22, 2**34]
    check_decoded((8192, 8192), 16, 1000)
    check_decoded((8193, 8192), 16, 8193 * 8192 * 2)
    for shape, bits in (((8193, 8192), 16), ((8192, 8192, 2), 1), ((8192, 4097), 64)):
        with pytest.raises(InputError, match="values take"):
            check_decoded(shape, bits, 1000)


@pytest.mark.parametrize("written", [{"tile": (256, 256)}, {"rowsperstrip": 200}, {}])
def test_a_tiff_of_few_bytes_and_many_pixels(tmp_path, written):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((10_000, 10_000), np.uint8), compression="zlib", photometric="minisblack", **written
    )
    assert path.stat().st_size < 400_000
    for read in (read_picture, read_labels):
        with pytest.raises(InputError, match=rf"a\.tif: 1 x 10000 x 10000 x 1 {FULL}"):
            read(path)


def test_channels_count_together(tmp_path):
    path = tmp_path / "a.tif"
    pages = np.zeros((5, 4096, 4096), np.uint8)
    tifffile.imwrite(path, pages, compression="zlib", photometric="minisblack", ome=True, metadata={"axes": "CYX"})
    with pytest.raises(InputError, match=rf"a\.tif: 5 x 4096 x 4096 x 1 {FULL}"):
        read_picture(path)


def test_a_tile_that_is_larger_than_its_picture(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), tile=(16, 16), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        for code in (322, 323):
            file.pages.first.tags[code].overwrite(40_000)
    with pytest.raises(InputError, match=rf"a\.tif: .*40000 {FULL}"):
        read_labels(path)


def test_a_png_of_few_bytes_and_many_pixels(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (9000, 9000)).save(path)
    for read, count in ((read_picture, 1), (read_labels, 1), (files.check_opaque, 4)):
        with pytest.raises(InputError, match=rf"a\.png: .*9000 x 9000 x {count} {FULL}"):
            read(path)


def test_a_jpeg_of_few_bytes_and_many_pixels(tmp_path):
    Image.new("L", (9000, 9000)).save(tmp_path / "a.jpg", quality=1)
    with pytest.raises(InputError, match=rf"a\.jpg: 9000 x 9000 x 1 {FULL}"):
        read_picture(tmp_path / "a.jpg")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(limits, "_ALWAYS", 10_000)


def test_archives_that_become_large(tmp_path, small):
    pytest.importorskip("roifile")
    picture = Picture("a", "a.tif", (8, 8))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("0001.roi", bytes(2_000_000))
    with pytest.raises(InputError, match=r"a\.zip: cannot be read as ROIs of ImageJ \(2 MiB unpacked, where it may"):
        imagej.read(tmp_path / "a.zip", picture)
    (tmp_path / "a.geojson").write_bytes(gzip.compress(b"[" + b" " * 2_000_000 + b"]"))
    with pytest.raises(InputError, match=r"a\.geojson: needs more than .*unpack it yourself"):
        qupath.read(tmp_path / "a.geojson", picture)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_nobody_waits_for_a_pipe(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    os.mkfifo(path)
    for read in (read_picture, read_labels, planes_of, files.check_opaque):
        with pytest.raises(InputError, match=rf"^{path}: is not a regular file \(it is a folder, pipe"):
            read(path)


def test_nobody_waits_for_a_pipe_among_masks(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"1\.png: is not a regular file"):
        object_masks.read(tmp_path, Picture("a", "a.png", (8, 8)))
