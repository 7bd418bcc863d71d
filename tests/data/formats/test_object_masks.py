import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from segjax.data.formats import object_masks
from segjax.data.formats.annotation import Annotation, Picture
from segjax.types import InputError

PICTURE = Picture("a", "a.png", (4, 5))


def mask(*places, value=255):
    pixels = np.zeros((4, 5), np.uint8)
    for place in places:
        pixels[place] = value
    return pixels


@settings(deadline=None, max_examples=50)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 12)))
def test_labels_come_back_without_a_changed_pixel(tmp_path_factory, labels):
    folder, picture = tmp_path_factory.mktemp("dsb"), Picture("a", "a.png", labels.shape)
    loss = object_masks.write(folder, Annotation(labels), picture)
    ids = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(np.append(0, ids)[object_masks.read(folder / "a" / "masks", picture).labels], labels)
    assert (loss.pixels_changed, loss.objects_in, loss.objects_out) == (0, len(ids), len(ids))


def test_the_layout_is_written_and_found(tmp_path):
    image = tmp_path / "picture.png"
    Image.fromarray(mask((0, 0))).save(image)
    labels = np.arange(20, dtype=np.int32).reshape(4, 5)
    object_masks.write(tmp_path / "set", Annotation(labels), PICTURE, image)
    assert sorted(file.name for file in (tmp_path / "set/a/masks").iterdir())[::9] == ["01.png", "10.png", "19.png"]
    with Image.open(tmp_path / "set/a/masks/07.png") as file:
        written = np.asarray(file)
    np.testing.assert_array_equal(written, np.where(labels == 7, 255, 0))
    found = object_masks.find(tmp_path / "set")
    assert found == {"a": (tmp_path / "set/a/images/a.png", tmp_path / "set/a/masks")}
    assert found["a"].image.read_bytes() == image.read_bytes()
    assert object_masks.find(tmp_path) == {}
    with pytest.raises(InputError, match="exists already"):
        object_masks.write(tmp_path / "set", Annotation(labels), PICTURE)
    (tmp_path / "set/b/images").mkdir(parents=True)
    with pytest.raises(InputError, match="have no images/ or no masks/: b"):
        object_masks.find(tmp_path / "set")
    (tmp_path / "set/b/masks").mkdir()
    with pytest.raises(InputError, match="b/images: holds 0 pictures"):
        object_masks.find(tmp_path / "set")


def test_file_names_give_the_ids_and_odd_masks_are_named(tmp_path):
    Image.fromarray(mask(np.s_[0:2, 0:2])).save(tmp_path / "10.png")
    Image.fromarray(mask((3, 0), (3, 2))).save(tmp_path / "2.png")  # two pieces
    Image.fromarray(mask(np.s_[0, 1:5])).save(tmp_path / "3.png")  # overlaps with 10 in one pixel
    Image.fromarray(mask()).save(tmp_path / "4.png")
    Image.fromarray(mask((3, 4), value=1)).save(tmp_path / "5.png")
    Image.fromarray(mask((0, 4))).convert("1").save(tmp_path / "6.png")
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "7.bmp").write_text("")
    found = object_masks.read(tmp_path, PICTURE)
    # of equal areas (10 and 3) the later lies above
    np.testing.assert_array_equal(found.labels, [[1, 3, 3, 3, 5], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [2, 0, 2, 0, 4]])
    assert (found.loss.objects_in, found.loss.objects_out, found.loss.overlapping) == (6, 5, 2)
    assert found.loss.notes == (
        "1 no masks, passed over: 7.bmp",
        "1 in several pieces, kept as one object: 2.png",
        "2 marked by another value than 255: 5.png, 6.png",
        "1 lost without a pixel in the picture: 4.png",
    )


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "LA", "P"])
def test_masks_in_colour_are_read_where_they_are_of_one_colour(tmp_path, kind):
    Image.fromarray(mask((1, 2))).convert(kind).save(tmp_path / "a.png")
    found = object_masks.read(tmp_path, PICTURE)
    np.testing.assert_array_equal(np.argwhere(found.labels == 1), [[1, 2]])
    assert found.loss.notes == ()
    red = np.zeros((4, 5, 3), np.uint8)
    red[1, 2] = 200, 10, 0
    Image.fromarray(red).save(tmp_path / "a.png")
    np.testing.assert_array_equal(object_masks.read(tmp_path, PICTURE).labels, found.labels)
    red[1, 3] = 0, 10, 0
    Image.fromarray(red).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="holds 2 values beside 0"):
        object_masks.read(tmp_path, PICTURE)


def test_what_is_no_mask_of_the_picture_is_refused_by_name(tmp_path):
    smooth = mask((1, 1))
    smooth[1, 2] = 128
    clear = np.zeros((4, 5, 4), np.uint8)
    clear[1, 1, 3] = 255
    for name, pixels, message in (
        ("a.png", smooth, r"holds 2 values beside 0 \(128, 255\)"),
        ("a.png", clear, "some pixels are transparent"),
        ("a.png", np.full((5, 4), 255, np.uint8), r"is 5 x 4 pixels \(height x width\), but its picture is 4 x 5"),
        ("a.jpg", mask(np.s_[0:4, 0:2]), "JPEG"),
        ("a.jpg", np.zeros((4, 5, 3), np.uint8), "JPEG"),
    ):
        folder = tmp_path / message[:9]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
        with pytest.raises(InputError, match=f"{folder / name}: .*{message}"):
            object_masks.read(folder, PICTURE)
        (folder / name).write_bytes(b"no picture")
        with pytest.raises(InputError, match="cannot be read"):
            object_masks.read(folder, PICTURE)
        (folder / name).unlink()
    with pytest.raises(InputError, match="is not a folder of masks"):
        object_masks.read(tmp_path / "nothing", PICTURE)


def test_tiff_masks_of_other_bits_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", mask((1, 2)).astype(np.uint16) * 257, photometric="minisblack")
    found = object_masks.read(tmp_path, PICTURE)
    np.testing.assert_array_equal(np.argwhere(found.labels == 1), [[1, 2]])
    assert found.loss.notes == ("1 marked by another value than 255: a.tif",)
