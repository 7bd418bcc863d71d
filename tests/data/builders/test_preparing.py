"""A preparation that is killed, cut off or doubled leaves nothing that is accepted, and never asks the network."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from segjax.claims import Claims
from segjax.data import open_source
from segjax.data.builders import PUBLIC_SETS, Entry, PublicSet, Record, description, prepare_files
from segjax.data.builders.base import check_record
from segjax.types import InputError
from tests.data.builders.owners import OWNERS, discs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def files(tmp_path):
    OWNERS["tnbc"](tmp_path / "files")
    return tmp_path / "files"


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_progress_is_told_and_a_set_is_written_once(files, tmp_path):
    told = []
    kind = PUBLIC_SETS["tnbc"]
    folder = prepare_files(kind, files, tmp_path / "sets", lambda *numbers: told.append(numbers))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert prepare_files(kind, files, tmp_path / "sets", lambda *numbers: told.append(numbers)) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before and len(told) == 4


def test_nothing_is_downloaded_and_the_files_are_not_changed(files, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    before = {path: path.stat().st_mtime_ns for path in files.rglob("*")}
    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "sets")
    assert {path: path.stat().st_mtime_ns for path in files.rglob("*")} == before
    assert left_in(tmp_path / "sets") == ["tnbc"]


def test_a_refused_set_leaves_nothing_behind(files, tmp_path):
    (files / "TNBC_NucleiSegmentation" / "GT_03" / "03_1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"03_1\.png: cannot be read"):
        prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "sets")
    assert left_in(tmp_path / "sets" / "tnbc") == []
    with pytest.raises(InputError, match="no prepared set under"):
        open_source(f"tfds:tnbc?dir={tmp_path}/sets")


def test_archives_are_compared_with_what_was_published(files, tmp_path, monkeypatch):
    kind = PUBLIC_SETS["tnbc"]
    (files / "TNBC_NucleiSegmentation.zip").write_bytes(b"half of it")
    with pytest.raises(InputError, match=r"TNBC_NucleiSegmentation.zip: SHA-256 .*, published is da708c3a"):
        prepare_files(kind, files, tmp_path / "sets")
    checksums = {"TNBC_NucleiSegmentation.zip": hashlib.sha256(b"half of it").hexdigest()}
    monkeypatch.setattr(kind, "CARD", replace(kind.CARD, checksums=checksums))
    assert prepare_files(kind, files, tmp_path / "sets").exists()


def test_two_processes_do_not_prepare_one_set_at_once(files, tmp_path):
    folder = tmp_path / "sets" / "tnbc"
    folder.mkdir(parents=True)
    with Claims(folder) as claims:
        assert claims.take("preparing")
        with pytest.raises(InputError, match="another process is preparing this set"):
            prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "sets")
    assert prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "sets").exists()


def test_a_folder_that_cannot_be_written_is_named(files, tmp_path):
    (tmp_path / "sets").write_text("a file")
    with pytest.raises(InputError, match=r"a file is where a folder should be"):
        prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "sets")


def test_a_prepared_set_with_lost_files_is_refused(files, tmp_path):
    folder = prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "sets")
    (records,) = folder.glob("*.array_record*")
    records.write_bytes(records.read_bytes()[: records.stat().st_size // 2])
    with pytest.raises(InputError, match=r"of the split train cannot be read.*prepare the set again"):
        source = open_source(f"tfds:tnbc?dir={tmp_path}/sets")
        [source[index] for index in range(len(source))]


def test_least_objects_must_be_a_number_that_some_picture_reaches(files, tmp_path):
    prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "sets")
    for value, message in (("many", "no whole number"), ("4", "no picture has 4 objects or more")):
        with pytest.raises(InputError, match=message):
            open_source(f"tfds:tnbc?dir={tmp_path}/sets&least_objects={value}")


SLOW = """
import sys, time
from pathlib import Path
from segjax.data.builders import PUBLIC_SETS, prepare_files

def wait(done, total):
    if done == total:
        print("waiting", flush=True)
        time.sleep(600)

prepare_files(PUBLIC_SETS["tnbc"], Path(sys.argv[1]), Path(sys.argv[2]), wait)
"""


@pytest.mark.slow
def test_a_killed_preparation_leaves_nothing_that_is_accepted_and_is_done_again(files, tmp_path):
    sets = tmp_path / "sets"
    command = [sys.executable, "-c", SLOW, str(files), str(sets)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout.readline() == "waiting\n"
        assert [name.split(".")[0] for name in left_in(sets / "tnbc")] == ["incomplete"]
        with pytest.raises(InputError, match="another process is preparing this set"):
            prepare_files(PUBLIC_SETS["tnbc"], files, sets)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    assert [name.split(".")[0] for name in left_in(sets / "tnbc")] == ["incomplete"]  # as the kill left it
    with pytest.raises(InputError, match="no prepared set under"):
        open_source(f"tfds:tnbc?dir={sets}")
    prepare_files(PUBLIC_SETS["tnbc"], files, sets)
    assert left_in(sets / "tnbc") == ["1.0.0"]
    assert len(open_source(f"tfds:tnbc?dir={sets}")) == 4


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1])
def test_a_kill_at_any_moment_leaves_all_or_nothing(files, tmp_path, delay):
    sets = tmp_path / "sets"
    code = SLOW.replace("time.sleep(600)", "pass").replace("done == total", "done == 1")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(files), str(sets)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    process.stdout.readline()
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    try:
        assert len(open_source(f"tfds:tnbc?dir={sets}")) == 4
    except InputError as error:
        assert "no prepared set under" in str(error)
    prepare_files(PUBLIC_SETS["tnbc"], files, sets)
    assert left_in(sets / "tnbc") == ["1.0.0"] and len(open_source(f"tfds:tnbc?dir={sets}")) == 4


def test_a_folder_named_incomplete_holds_sets_like_any_other(files, tmp_path):
    prepare_files(PUBLIC_SETS["tnbc"], files, tmp_path / "incomplete.sets")
    assert len(open_source(f"tfds:tnbc?dir={tmp_path}/incomplete.sets")) == 4


def test_sets_of_others_have_no_description(tmp_path):
    with pytest.raises(InputError, match="was not prepared by segjax"):
        description(tmp_path)


class Doubled(PublicSet, skip_registration=True):
    """Two pictures of one name."""

    CARD = PUBLIC_SETS["tnbc"].CARD

    def entries(self, root):
        yield from (Entry("train", "same", str(number), number) for number in range(2))

    def read(self, entry):
        raise AssertionError


def test_two_pictures_of_one_name_are_refused(files, tmp_path):
    with pytest.raises(InputError, match="two pictures are named same"):
        prepare_files(Doubled, files, tmp_path / "sets")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((3, 3, 3), np.uint8)}, r"annotation has \(48, 64\) pixels"),
        ({"classes": np.ones(2, np.int32)}, "labels up to 3, but classes of 2 objects"),
        ({"ignored": np.ones((48, 64), bool)}, "objects are marked as not judged"),
    ],
)
def test_records_that_contradict_themselves_are_refused(change, message):
    labels = discs(3).astype(np.int32)
    record = Record(np.zeros((48, 64, 3), np.uint8), labels, np.ones(3, np.int32), labels == 0)
    check_record("a", record)
    with pytest.raises(InputError, match=f"a: .*{message}"):
        check_record("a", record._replace(**change))


def test_builders_are_known_to_tensorflow_datasets(files, tmp_path):
    assert set(PUBLIC_SETS) <= set(tfds.list_builders(with_community_datasets=False))
    builder = tfds.builder("tnbc", data_dir=str(tmp_path / "sets"))
    options = tfds.download.DownloadConfig(manual_dir=files, try_download_gcs=False)
    builder.download_and_prepare(file_format="array_record", download_config=options)
    assert len(open_source(f"tfds:tnbc?dir={tmp_path}/sets")) == 4
