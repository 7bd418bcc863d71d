"""Files that appear whole or not at all, and whose damage is seen."""

import errno
import os
import socket
import threading

import pytest

from segjax import files
from segjax.files import (
    Damaged,
    check_regular,
    read_file,
    read_json,
    read_sealed,
    replacing,
    sealed,
    set_aside,
    spreadsheet_safe,
    write_file,
)
from segjax.types import InputError


@pytest.fixture
def disk(monkeypatch):
    """A disk that is full for as many writes as its only number says; it notes what reaches the disk, in order."""
    sync, full, seen = os.fsync, [0], []

    def fsync(descriptor):
        seen.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        if full[0]:
            full[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(files, "_BETWEEN_TRIES", 0.01)
    return full, seen


def test_a_file_and_every_name_that_leads_to_it_reach_the_disk_in_that_order(disk, tmp_path):
    write_file(tmp_path / "a" / "b" / "file", "content")
    *folders, unfinished, folder = disk[1]
    assert folders == [str(tmp_path), str(tmp_path / "a")]
    assert unfinished.startswith(str(tmp_path / "a" / "b" / ".")) and unfinished.endswith(".unfinished")
    assert folder == str(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "file").read_text() == "content"


def test_a_folder_appears_whole(disk, tmp_path):
    with replacing(tmp_path / "folder") as unfinished:
        unfinished.mkdir()
        (unfinished / "file").write_text("content")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "folder" / "file").read_text() == "content"
    assert os.path.basename(disk[1][0]) == "file"
    with pytest.raises(InputError, match=r"folder: .*move it away"), replacing(tmp_path / "folder") as unfinished:
        unfinished.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_stops_half_way_leaves_what_was_there_and_no_temporary_file(tmp_path):
    write_file(tmp_path / "file", "before")
    for stopped in (KeyboardInterrupt, ValueError):
        with pytest.raises(stopped), replacing(tmp_path / "file") as unfinished:
            unfinished.write_text("half")
            raise stopped
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


def test_threads_that_write_one_file_do_not_mix(tmp_path):
    contents = [str(number) * 10_000 for number in range(8)]
    threads = [threading.Thread(target=write_file, args=(tmp_path / "file", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_text() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_name_as_long_as_a_disk_takes_can_be_written(tmp_path):
    write_file(tmp_path / ("n" * 255), "content")
    assert (tmp_path / ("n" * 255)).read_text() == "content"


def test_a_full_disk_is_said_once_and_waited_for(disk, tmp_path):
    disk[0][0] = 3
    with pytest.warns(UserWarning, match=r"file: the disk is full; free space there.*again until .*\(60 s\)") as said:
        write_file(tmp_path / "file", "content", patience=60.0)
    assert len(said) == 1
    assert (tmp_path / "file").read_text() == "content"


def test_a_disk_that_stays_full_is_an_error_that_leaves_what_was_there(disk, tmp_path):
    write_file(tmp_path / "file", "before")
    disk[0][0] = 1_000_000
    with pytest.warns(UserWarning, match="file: the disk is full"), pytest.raises(InputError, match="file: No space"):
        write_file(tmp_path / "file", "after", patience=0.05)
    tries = len(disk[1])
    with pytest.raises(InputError, match="file: No space left on device; free space there"):
        write_file(tmp_path / "file", "after")
    assert len(disk[1]) == tries + 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


def test_only_a_full_disk_is_waited_for(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file is where a folder should be"):
        write_file(tmp_path / "file" / "below", "content", patience=1e9)


LINES = "trial,value\n1,0.5\n2,µ\n"


@pytest.mark.parametrize("mark", ["", "4f2a"])
@pytest.mark.parametrize("text", ["", "one line", LINES, sealed(LINES, "other")])
def test_sealed_text_comes_back(text, mark, tmp_path):
    write_file(tmp_path / "file", sealed(text, mark))
    assert read_sealed(tmp_path / "file", mark) == text + "\n" * (text == "one line")


def test_every_cut_and_every_flipped_bit_of_sealed_text_is_seen(tmp_path):
    whole, path = sealed(LINES, "4f2a").encode(), tmp_path / "file"
    flipped = [
        whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
        for place in range(len(whole))
        for bit in range(8)
    ]
    for damaged in [*(whole[:length] for length in range(len(whole))), *flipped, whole + b"\n", whole * 2, bytes(99)]:
        path.write_bytes(damaged)
        with pytest.raises(Damaged, match=f"{path}: is damaged .*move it away"):
            read_sealed(path, "4f2a")


def test_text_with_another_mark_is_refused_with_both(tmp_path):
    write_file(tmp_path / "file", sealed(LINES, "4f2a"))
    for mark, other in (("77aa", "77aa"), ("", "nothing")):
        with pytest.raises(InputError, match=f"file: belongs to 4f2a, not to {other}") as refused:
            read_sealed(tmp_path / "file", mark)
        assert refused.type is InputError  # it is whole, so that nobody sets it aside


def test_damaged_files_and_folders_are_set_aside_one_beside_the_other(tmp_path):
    for number, name in enumerate(["file.damaged", "file.damaged-2", "file.damaged-3"]):
        (tmp_path / "file").write_text(str(number))
        assert set_aside(tmp_path / "file") == tmp_path / name
    assert [(tmp_path / name).read_text() for name in ("file.damaged", "file.damaged-2")] == ["0", "1"]
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "below").write_text("")
    assert (set_aside(tmp_path / "file") / "below").exists()
    assert sorted(path.name for path in tmp_path.iterdir())[-1] == "file.damaged-4"


def test_of_two_processes_that_set_one_file_aside_both_know_where_it_lies(tmp_path, monkeypatch):
    def faster(path, place):
        monkeypatch.undo()
        (tmp_path / "file").replace(tmp_path / "file.damaged")
        path.replace(place)

    (tmp_path / "file").write_text("content")
    (tmp_path / "file.damaged").touch()  # the other process has taken this name
    monkeypatch.setattr(files.Path, "replace", faster)
    assert set_aside(tmp_path / "file") == tmp_path / "file.damaged"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["content"]


def test_a_folder_that_is_read_only_is_said(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "file"))

    (tmp_path / "file").write_text("content")
    monkeypatch.setattr(files.Path, "replace", refuse)
    with pytest.raises(InputError, match=r"file: Read-only file system; .*right to write"):
        set_aside(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def bind(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)


@pytest.mark.parametrize("make", [os.mkfifo, bind, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_only_files_with_an_end_are_read(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    make("it")
    for read in (check_regular, read_file, read_sealed, lambda path: read_json(path, "a plan", {}, "")):
        with pytest.raises(InputError, match=r"it: is not a regular file .*; give a file"):
            read(tmp_path / "it")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        *((text, text) for text in ("-0.5", "+3", "-1e-9", "nan", "", "-", "cell-1", "a=b", "'quoted", "0.25")),
    ],
)
def test_text_of_a_cell_is_never_a_formula(text, safe):
    assert spreadsheet_safe(text) == safe


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_is_to_be_checked(number):
    said = files.refusal(OSError(number, "no"), "place")
    assert str(said) == "place: no; check the disk or its mount, then give the same command again"
