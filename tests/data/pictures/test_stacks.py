"""Planes of TIFF stacks by their axes, as OME, ImageJ and plain files hold them."""

import numpy as np
import pytest
import tifffile

from segjax.data.pictures.images import read_labels, read_picture
from segjax.data.pictures.stacks import channel_names, label_planes, planes_of
from segjax.types import InputError

RANDOM = np.random.default_rng(0)
TZCYX = RANDOM.integers(1, 60000, (3, 12, 2, 8, 10)).astype(np.uint16)
NAMES = ["DAPI", "GFP"]


def write(path, pixels, axes, kind, **more):
    if kind == "ome":
        names = {"Channel": {"Name": NAMES}} if "C" in axes else {}
        tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata={"axes": axes, **names}, **more)
    elif kind == "imagej":
        count = int(np.prod(pixels.shape[:-2]))
        names = {"Labels": [NAMES[place % 2] for place in range(count)]} if "C" in axes else {}
        tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": axes, **names}, **more)
    else:
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": axes}, **more)
    return path


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("kind", ["ome", "imagej", "shaped"])
def test_every_plane_has_a_name_and_its_own_values(tmp_path, kind, compression):
    more = {"compression": compression}
    path = write(tmp_path / "cells.tif", TZCYX, "TZCYX", kind, **more)
    planes = planes_of(path)
    assert [planes[0].name, planes[11].name, planes[-1].name] == ["cells@t1,z01", "cells@t1,z12", "cells@t3,z12"]
    assert sorted(plane.name for plane in planes) == [plane.name for plane in planes] and len(planes) == 36
    assert [planes[0].volume, planes[-1].volume] == ["cells@t1", "cells@t3"]
    for place, plane in enumerate(planes):
        expected = np.moveaxis(TZCYX.reshape(36, 2, 8, 10)[place], 0, -1) / 65535
        np.testing.assert_allclose(read_picture(path, scale="dtype", at=plane.at), expected, rtol=1e-6)


def test_axes_in_another_order(tmp_path):
    pixels = np.moveaxis(TZCYX, 2, 0)  # channels first
    path = write(tmp_path / "cells.tif", pixels, "CTZYX", "ome")
    plane = planes_of(path)[15]
    assert plane.name == "cells@t2,z04"
    np.testing.assert_allclose(
        read_picture(path, scale="dtype", at=plane.at), np.moveaxis(TZCYX[1, 3], 0, -1) / 65535, rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_channels_are_chosen_by_name_or_number(tmp_path, kind):
    path = write(tmp_path / "cells.tif", TZCYX, "TZCYX", kind)
    assert channel_names(path) == ("DAPI", "GFP")
    at = planes_of(path)[5].at
    for bands, kept in ((("GFP",), [1]), (("2",), [1]), (("GFP", "DAPI"), [1, 0]), (("1",), [0])):
        expected = np.moveaxis(TZCYX[0, 5, kept], 0, -1) / 65535
        np.testing.assert_allclose(read_picture(path, scale="dtype", at=at, bands=bands), expected, rtol=1e-6)
    assert read_picture(path, at=at, bands=("DAPI",)).max() == 1  # by the maximum of what was chosen
    for wrong in ("RFP", "3", "0"):
        with pytest.raises(
            InputError, match=rf"cells\.tif: has no channel '{wrong}'; give numbers of 1\.\.2, or DAPI, GFP"
        ):
            read_picture(path, at=at, bands=(wrong,))


def test_labels_of_bio_formats_name_channels_and_others_do_not(tmp_path):
    def named(labels):
        tifffile.imwrite(tmp_path / "a.tif", TZCYX[0, :2], imagej=True, metadata={"axes": "ZCYX", "Labels": labels})
        return channel_names(tmp_path / "a.tif")

    assert named([f"c:{c + 1}/2 z:{z + 1}/2 - {NAMES[c]}" for z in range(2) for c in range(2)]) == ("DAPI", "GFP")
    assert named(["a", "b", "c", "d"]) == ()
    assert named(["", "", "", ""]) == ()
    assert named(["same"] * 4) == ()


def test_channels_of_a_single_picture(tmp_path):
    pixels = RANDOM.integers(1, 255, (3, 8, 10)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(pixels, 0, -1), photometric="rgb")
    tifffile.imwrite(tmp_path / "b.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    for name in ("a.tif", "b.tif"):
        assert [plane.at for plane in planes_of(tmp_path / name)] == [()]
        found = read_picture(tmp_path / name, scale="dtype", bands=("3", "1"))
        np.testing.assert_allclose(found, np.moveaxis(pixels[[2, 0]], 0, -1) / 255, rtol=1e-6)


def test_time_points_of_rgb_pictures(tmp_path):
    pixels = RANDOM.integers(1, 255, (4, 8, 10, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "TYXS"})
    assert [plane.name for plane in planes_of(tmp_path / "a.tif")] == ["a@t1", "a@t2", "a@t3", "a@t4"]
    np.testing.assert_allclose(
        read_picture(tmp_path / "a.tif", scale="dtype", at=(("t", 3),)), pixels[2] / 255, rtol=1e-6
    )


def test_pages_that_nothing_names(tmp_path):
    pixels = RANDOM.integers(1, 255, (3, 8, 10)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", pixels, photometric="minisblack", metadata=None, compression="lzw")
    for name in ("a", "b"):
        planes = planes_of(tmp_path / f"{name}.tif")
        assert [(plane.name, plane.volume) for plane in planes] == [(f"{name}@p{page}", name) for page in (1, 2, 3)]
        for plane, page in zip(planes, pixels, strict=True):
            np.testing.assert_array_equal(read_labels(tmp_path / f"{name}.tif", at=plane.at), page)


def test_what_is_one_picture_has_the_name_of_its_file(tmp_path):
    from PIL import Image

    Image.new("L", (5, 4), 7).save(tmp_path / "a.png")
    write(tmp_path / "b.tif", TZCYX[:1, :1], "TZCYX", "imagej")
    for name in ("a.png", "b.tif"):
        (plane,) = planes_of(tmp_path / name)
        assert plane == (name[0], name[0], ())
    assert read_picture(tmp_path / "b.tif").shape == (8, 10, 2)


def test_a_virtual_stack_that_one_page_describes(tmp_path):
    """As ImageJ writes stacks of more than 4 GB."""
    path = write(tmp_path / "a.tif", TZCYX, "TZCYX", "imagej")
    with tifffile.TiffFile(path) as file:
        chain = file.pages.first.offset
        count = int.from_bytes(path.read_bytes()[chain : chain + 2], "little" if file.byteorder == "<" else "big")
    content = bytearray(path.read_bytes())
    content[chain + 2 + 12 * count : chain + 6 + 12 * count] = bytes(4)  # no next page
    path.write_bytes(content)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    plane = planes_of(path)[20]
    assert plane.name == "a@t2,z09"
    np.testing.assert_allclose(
        read_picture(path, scale="dtype", at=plane.at), np.moveaxis(TZCYX[1, 8], 0, -1) / 65535, rtol=1e-6
    )


def test_planes_that_are_not_there_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", TZCYX[:, :, 0], "TZYX", "imagej")
    for at in ((("t", 4), ("z", 1)), (("t", 0), ("z", 1)), (("t", 1), ("z", 1), ("p", 1))):
        with pytest.raises(InputError, match=r"a\.tif: has no plane .*a stack of 3 time points x 12 depths"):
            read_picture(path, at=at)
    with pytest.raises(InputError, match=r"a\.tif: a stack of 3 time points x 12 depths; give stacks=planes"):
        read_picture(path, at=(("z", 1),))


@pytest.mark.parametrize("axes", ["QQYX", "RTYX", "HTYX"])
def test_axes_that_are_not_understood_are_refused(tmp_path, axes):
    path = write(tmp_path / "a.tif", TZCYX[:, :, 0], axes, "shaped")
    with pytest.raises(InputError, match=rf"a\.tif: has planes along the axes {axes}, which are unknown; export"):
        planes_of(path)


def test_labels_of_a_stack(tmp_path):
    labels = RANDOM.integers(0, 300, (3, 12, 8, 10)).astype(np.uint16)
    picture = write(tmp_path / "a.tif", TZCYX, "TZCYX", "ome")
    other = write(tmp_path / "b.tif", labels, "TZYX", "imagej")
    places = label_planes(picture, other)
    for place, expected in zip(places, labels.reshape(36, 8, 10), strict=True):
        np.testing.assert_array_equal(read_labels(other, at=place), expected)


@pytest.mark.parametrize(("axes", "letter"), [("ZYX", "z"), ("TYX", "t"), ("QYX", "p")])
def test_labels_whose_pages_nothing_names(tmp_path, axes, letter):
    kind = "shaped" if letter == "p" else "imagej"
    picture = write(tmp_path / "a.tif", TZCYX[0, :, 0], axes, kind)
    plain = write(tmp_path / "b.tif", TZCYX[0, :, 1], "QYX", "shaped")
    assert label_planes(picture, plain) == tuple((("p", page),) for page in range(1, 13))
    assert label_planes(plain, picture) == tuple(((letter, page),) for page in range(1, 13))


@pytest.mark.parametrize(
    ("axes", "shape", "said"),
    [
        ("TYX", (12,), "12 time points, but .* 12 depths"),
        ("ZYX", (11,), "11 depths, but .* 12 depths"),
        ("QYX", (11,), "11 pages"),
        ("TZYX", (2, 12), "2 time points x 12 depths"),
        ("YX", (), "a single picture, but"),
        ("CYX", (12,), "a single picture, but"),
    ],
)
def test_labels_of_other_planes_are_refused(tmp_path, axes, shape, said):
    picture = write(tmp_path / "a.tif", TZCYX[0, :, 0], "ZYX", "imagej")
    kind = "shaped" if "Q" in axes or "C" in axes else "imagej"
    labels = write(tmp_path / "b.tif", np.zeros((*shape, 8, 10), np.uint16), axes, kind)
    with pytest.raises(InputError, match=rf"b\.tif: .*{said}.*; save both with the same"):
        label_planes(picture, labels)


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    path = write(tmp_path / "a.tif", TZCYX[0, :, 0], "ZYX", "imagej")
    assert len(planes_of(path)) == 12
    write(path, TZCYX[0, :3, 0], "ZYX", "imagej")
    assert len(planes_of(path)) == 3


def test_channels_that_each_have_colours_are_refused(tmp_path):
    colours = RANDOM.integers(0, 65535, (3, 256)).astype(np.uint16)
    pixels = TZCYX[0, 0].astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="palette", colormap=colours, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "b.tif", np.stack([pixels] * 3, -1), photometric="rgb", metadata={"axes": "CYXS"})
    for name in ("a", "b"):
        with pytest.raises(InputError, match=rf"{name}\.tif: 2 channels, each with its own colours; save every"):
            read_picture(tmp_path / f"{name}.tif")
