"""Features from files: every picture has its own, and whatever cannot be meant is refused by name."""

import re

import numpy as np
import pytest

from segjax.data.feature_files import open_features
from segjax.types import InputError

NAMES, SIZE = ("a", "b@0,32", "slide/c"), (32, 48)
GRID = np.random.default_rng(0).normal(size=(3, 4, 6, 5)).astype(np.float32)  # a stride of 8 pixels


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "dino"
    (made / "slide").mkdir(parents=True)
    np.save(made / "a.npy", GRID[0].astype(np.float16))
    np.save(made / "b@0,32.npy", np.asfortranarray(GRID[1].astype(np.float64)))
    np.savez_compressed(made / "slide" / "c.npz", GRID[2])
    (made / "README.md").write_text("made by DINOv2")
    (made / "._a.npy").write_bytes(b"left by another system")
    return made


def test_each_picture_has_its_features_whatever_the_kind_of_file(folder):
    files = open_features(folder, NAMES, SIZE)
    assert (len(files), files.shape) == (3, (4, 6, 5))
    assert isinstance(files[0], np.memmap)
    for found, expected in zip((files[0], files[1], files[2]), GRID, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-3)
    other = open_features(folder, (NAMES[1], NAMES[0], NAMES[2]), SIZE)
    np.testing.assert_array_equal(other[1], files[0])


def test_the_digest_changes_with_any_value(folder):
    first = open_features(folder, NAMES, SIZE).digest
    assert open_features(folder, NAMES, SIZE).digest == first
    changed = GRID[2].copy()
    changed[-1, -1, -1] += 1
    np.savez(folder / "slide" / "c.npz", changed)
    assert open_features(folder, NAMES, SIZE).digest != first


@pytest.mark.parametrize("shape", [(32, 48), (4, 6), (16, 24), (3, 4), (3, 5), (1, 1), (7, 10)])
def test_any_stride_can_be_used(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros((*shape, 2), np.float16))
    assert open_features(tmp_path, ("a",), SIZE).shape == (*shape, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((6, 4, 5), np.float16), "a grid of 6 x 4 for a picture of 32 x 48 pixels; write [h, w, K], features"),
        (np.zeros((5, 4, 6), np.float16), "a grid of 5 x 4 for a picture"),  # [K, h, w]
        (np.zeros((384, 4, 6), np.float16), "a grid of 384 x 4 for a picture"),
        (np.zeros((64, 96, 5), np.float16), "a grid of 64 x 96 for a picture"),
        (np.zeros((4, 4, 5), np.float16), "a grid of 4 x 4 for a picture"),
        (np.zeros((1, 4, 6, 5), np.float16), "has the shape (1, 4, 6, 5); write an array [h, w, K]"),
        (np.zeros((25, 5), np.float16), "has the shape (25, 5); write an array [h, w, K]"),
        (np.zeros((4, 6, 5), np.uint8), "holds uint8; write float16, float32 or float64"),
        (np.zeros((4, 6, 5), np.complex64), "holds complex64; write float16"),
        (np.full((4, 6, 5), np.nan, np.float32), "120 of 120 values are NaN or infinite"),
        (np.full((4, 6, 5), 1e300), "120 of 120 values are NaN or infinite"),  # more than float32 holds
        (np.where(GRID[0] == GRID[0, 1, 2, 3], np.inf, 0).astype(np.float16), "1 of 120 values are NaN or infinite"),
        (np.zeros((4, 6, 5), object), "cannot be read as an array"),
        (b"", "cannot be read as an array"),
        (b"PK\x03\x04 no archive", "cannot be read as an array"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (4, 6, 5), }", "cannot be read"),
    ],
)
def test_what_is_no_grid_of_numbers_over_the_picture_is_refused(tmp_path, values, message):
    if isinstance(values, bytes):
        (tmp_path / "a.npy").write_bytes(values)
    else:
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "a.npy: ")) + ".*" + re.escape(message)):
        open_features(tmp_path, ("a",), SIZE)


def test_a_file_that_lost_its_end_is_refused(folder):
    whole = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"a\.npy: cannot be read as an array"):
        open_features(folder, NAMES, SIZE)
    (folder / "a.npy").write_bytes(b"PK\x03\x04 is no archive")
    (folder / "a.npy").rename(folder / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz: cannot be read as an array"):
        open_features(folder, NAMES, SIZE)
    (folder / "a.npz").unlink()
    (folder / "a.npy").write_bytes(whole)
    archive = (folder / "slide" / "c.npz").read_bytes()
    (folder / "slide" / "c.npz").write_bytes(archive[:60] + bytes(20) + archive[80:])
    with pytest.raises(InputError, match=r"c\.npz: cannot be read as an array"):
        open_features(folder, NAMES, SIZE)


@pytest.mark.parametrize("shape", [(4, 6, 7), (3, 5, 5)])
def test_all_pictures_have_one_number_of_features_and_one_grid(folder, shape):
    np.savez(folder / "slide" / "c.npz", np.zeros(shape, np.float32))
    with pytest.raises(
        InputError, match=rf"c\.npz: has the shape \({shape[0]}, .* but a\.npy has \(4, 6, 5\); write all"
    ):
        open_features(folder, NAMES, SIZE)


def test_an_archive_has_one_array(folder):
    np.savez(folder / "slide" / "c.npz", maps=GRID[2], tokens=GRID[2])
    with pytest.raises(InputError, match=r"c\.npz: has 2 arrays \(maps, tokens\); write one array"):
        open_features(folder, NAMES, SIZE)


def test_a_picture_without_features_is_named(folder):
    (folder / "a.npy").rename(folder / "A.npy")
    (folder / "slide" / "c.npz").unlink()
    with pytest.raises(InputError) as refused:
        open_features(folder, NAMES, SIZE)
    assert str(refused.value) == (
        f"{folder}: pictures without features: a, slide/c (2); files of no picture: A.npy (1); write NAME.npy for "
        "every picture of the study, such as a.npy"
    )


def test_a_file_of_no_picture_is_named(folder):
    for number in range(4):
        np.save(folder / f"old{number}.npy", GRID[0])
    with pytest.raises(
        InputError, match=r"dino: files of no picture: old0\.npy, old1\.npy, old2\.npy, \.\.\. \(4\); move"
    ):
        open_features(folder, NAMES, SIZE)


def test_two_files_of_a_picture_are_refused(folder):
    np.savez(folder / "a.npz", GRID[0])
    with pytest.raises(InputError, match=r"the picture a has two files \(a\.npy, a\.npz\); keep one"):
        open_features(folder, NAMES, SIZE)


def test_what_is_no_folder_or_no_file_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="nowhere: is no folder; give the folder of the feature files"):
        open_features(tmp_path / "nowhere", NAMES, SIZE)
    (folder / "a.npy").unlink()
    (folder / "a.npy").mkdir()
    with pytest.raises(InputError, match=r"a\.npy: is not a regular file"):
        open_features(folder, NAMES, SIZE)
