import os
from dataclasses import fields

import numpy as np
import pytest
import tifffile
from PIL import Image

from segjax.data.folders import check, inspected, inspection_cache
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.listing import Problem


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pictures, and a cache of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for name in "abc":
        labels = np.zeros((6, 8), np.uint8)
        labels[1:3, 1:4], labels[4, 5:] = 1, 2
        Image.fromarray(random.integers(0, 255, (6, 8), np.uint8)).save(tmp_path / "set" / "images" / f"{name}.png")
        Image.fromarray(labels).save(tmp_path / "set" / "labels" / f"{name}.png")
    return tmp_path / "set"


@pytest.fixture
def read(monkeypatch):
    """The names of the pictures that are read."""
    names = []
    inspect = check.inspect_picture
    monkeypatch.setattr(
        check, "inspect_picture", lambda entry, *rest: names.append(entry.name) or inspect(entry, *rest)
    )
    return names


def open_folder(folder, **options):
    return FolderSource(folder, FolderOptions(**options), f"folder:{folder}")


def test_a_second_opening_reads_no_picture_and_finds_the_same(folder, read):
    first = check.inspect_folder(folder, FolderOptions())
    assert sorted(read) == ["a", "b", "c"]
    second = check.inspect_folder(folder, FolderOptions())
    assert len(read) == 3
    for (entry, found), (same_entry, same) in zip(first.pictures, second.pictures, strict=True):
        assert entry == same_entry
        for field in fields(found):
            one, other = getattr(found, field.name), getattr(same, field.name)
            np.testing.assert_array_equal(one, other)
            assert type(one) is type(other) and getattr(one, "dtype", None) == getattr(other, "dtype", None)
    assert open_folder(folder).digest == open_folder(folder).digest


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_picture_whose_file_changed_is_read_again(folder, read, kind):
    open_folder(folder)
    read.clear()
    file = folder / kind / "b.png"
    pixels = np.asarray(Image.open(file)).copy()
    pixels[0, 0] = 3
    Image.fromarray(pixels).save(file)
    changed = open_folder(folder)
    assert read == ["b"]
    assert len(changed[1].classes) == (3 if kind == "labels" else 2)


def test_a_file_with_another_time_alone_is_read_again(folder, read):
    open_folder(folder)
    read.clear()
    os.utime(folder / "images" / "c.png", (1, 1))
    open_folder(folder)
    assert read == ["c"]


def test_other_labels_under_the_size_and_time_of_the_old_are_read(folder, read):
    file = folder / "labels" / "b.png"
    labels = np.asarray(Image.open(file)).copy()
    tifffile.imwrite(file, labels)  # without compression every label image of these pixels is as large
    before, state = open_folder(folder), file.stat()
    read.clear()
    tifffile.imwrite(file, np.where(labels == 2, 0, labels).astype(np.uint8))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # as cp -p and rsync -t do
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    changed = open_folder(folder)
    assert read == ["b"] and len(changed[1].classes) == 1 and changed.digest != before.digest


def test_what_another_decoder_found_is_not_taken(folder, read, monkeypatch):
    open_folder(folder)
    read.clear()
    monkeypatch.setattr(inspection_cache, "version", lambda package: f"{package} of tomorrow")
    open_folder(folder)
    assert sorted(read) == ["a", "b", "c"]


def test_a_second_opening_knows_places_on_the_ground(folder, monkeypatch):
    for name in "ab":
        (folder / "images" / f"{name}.png").unlink()
        keys = [(34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32637), True)]
        place = [(33550, "d", 3, (1, 1, 0), True), (33922, "d", 6, (0, 0, 0, 5e5, 4e6, 0), True)]
        values = np.random.default_rng(ord(name)).integers(0, 255, (6, 8), np.uint8)
        tags = [*keys, *place] if name == "a" else place
        tifffile.imwrite(folder / "images" / f"{name}.tif", values, extratags=tags)
    first = check.inspect_folder(folder, FolderOptions()).remarks
    assert {problem.reason.partition(": ")[0] for problem in first} == {
        "1 of 3 pictures (b.tif)",
        "1 of 3 pictures (c.png)",
    }
    monkeypatch.setattr(inspected, "read_georeference", None)
    assert check.inspect_folder(folder, FolderOptions()).remarks == first


def test_other_options_are_read_apart(folder, read):
    open_folder(folder)
    read.clear()
    open_folder(folder, channels="3")
    assert sorted(read) == ["a", "b", "c"]


def test_a_picture_with_a_problem_is_read_each_time_and_the_problem_told(folder, read):
    (folder / "labels" / "a.png").write_bytes(b"no picture")
    for _ in range(2):
        read.clear()
        problems = check.inspect_folder(folder, FolderOptions()).problems
        assert "a" in read and all(isinstance(problem, Problem) for problem in problems) and len(problems) == 1


def test_pictures_added_and_removed_are_noticed(folder, read):
    open_folder(folder)
    read.clear()
    for kind in ("images", "labels"):
        (folder / kind / "a.png").rename(folder / kind / "d.png")
    assert open_folder(folder).names == ("b", "c", "d")
    assert read == ["d"]


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b"\xff\xfe"])
def test_a_damaged_cache_is_done_without(folder, read, damage):
    open_folder(folder)
    read.clear()
    (file,) = (folder.parent / "cache").rglob("*.json")
    file.write_bytes(damage)
    assert open_folder(folder).names == ("a", "b", "c")
    assert sorted(read) == ["a", "b", "c"]


def test_a_cache_that_cannot_be_written_is_done_without(folder, read, monkeypatch):
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "file"))
    assert open_folder(folder).names == ("a", "b", "c")
