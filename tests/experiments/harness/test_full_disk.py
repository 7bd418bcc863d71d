"""A disk that is full at any place where the harness writes: one message, nothing lost, and the same run in the end."""

import os
import stat
import sys

import pytest

from experiments.harness import run as run_module
from segjax import files
from segjax.types import InputError
from tests.experiments.harness.tiny import study


@pytest.fixture
def command(monkeypatch, capsys):
    def run(out):
        monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(out)])
        run_module.run(study(keeps_networks=True))
        return capsys.readouterr().out

    return run


def without_code(out):
    return sorted(line.rpartition(",")[0] for line in (out / "results.csv").read_text(encoding="utf-8").splitlines())


def test_a_disk_with_room_for_a_few_files_at_a_time_is_said_each_time_and_ends_with_the_same_run(
    command, tmp_path, monkeypatch
):
    command(tmp_path / "whole")
    sync, room, out = os.fsync, [0], tmp_path / "full"

    def write(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return
        if not room[0]:
            raise OSError(28, "No space left on device")
        room[0] -= 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", write)
    monkeypatch.setattr(files, "_WAITED_FOR", ())  # as if each wait had ended
    said, rows, after = [], 0, 0
    for attempt in range(100):
        after += rows == 6  # then tables and page are left
        room[0] = (after + 1) // 2 or min(attempt // 2, 6)
        try:
            command(out)
            break
        except InputError as error:
            said.append(str(error))
        found = len(list(out.glob("trials/*.csv")))
        assert found >= rows
        if found == 6 > rows:
            for table in out.glob("results.*"):  # there was room for these as well
                table.unlink()
        rows = found
        assert not list(out.rglob("*.unfinished"))
    places = {line.partition(": No space left on device; free space there")[0].removeprefix(f"{out}/") for line in said}
    assert {"results.parquet", "results.csv", "splits/seed-0.json", "report.html"} <= places
    folders = {place.partition("/")[0] for place in places}
    assert folders >= {".claims", "openings", "code", "trials", "networks", "examples", "figures"}
    assert any(place.startswith(".plan.json") for place in places)
    assert without_code(out) == without_code(tmp_path / "whole")
    ours = [
        sorted(str(path.relative_to(one)) for path in one.rglob("*") if "openings" not in path.parts)
        for one in (out, tmp_path / "whole")
    ]
    assert ours[0] == ours[1]


@pytest.mark.parametrize("name", ["splits", "networks", "examples", "figures", "report.html", "results.csv"])
def test_a_file_where_a_folder_should_be_or_the_reverse_is_named(command, tmp_path, name):
    out = tmp_path / "run"
    out.mkdir()
    if "." in name:
        (out / name).mkdir()
    else:
        (out / name).write_text("")
    with pytest.raises(InputError, match=f"{name}.*(move it away|choose another folder)"):
        command(out)


def test_an_out_that_is_a_file_is_refused(command, tmp_path):
    (tmp_path / "file").write_text("kept")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match="a file is where a folder should be"):
            command(out)
    assert (tmp_path / "file").read_text() == "kept"
