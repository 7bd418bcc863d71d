"""A small disk of its own fills up just when a file of some kind is written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.full_disk import KINDS

ROOT = Path(__file__).parents[2]
MOUNTED = 'mount -t tmpfs -o size=8m none "$0" && exec "$@"'  # gone with the last process of its name space
NAME_SPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED)
# A start that finds the disk full refuses at once, and so does what is made again in seconds.
WAIT = tuple(kind for kind in KINDS if kind not in ("plan.json", "networks", "report.html"))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, Any]:
    """What `full_disk` found on a disk of 8 MB."""
    disk, said = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("said")
    if shutil.which("unshare") is None or subprocess.run([*NAME_SPACE, disk, "true"], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here (unshare, mount -t tmpfs)")
    command = [*NAME_SPACE, disk, sys.executable, "-m", "tests.integration.full_disk", disk]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "SAID": str(said)}, capture_output=True, text=True, timeout=600
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full_when_a_file_is_written_stops_the_run_and_loses_nothing(kind, found):
    one = found[kind]
    assert one["codes"] == [2, 0], one["said"]
    assert re.search(rf"full-{kind}/\.?{kind}", one["said"]) and "Traceback" not in one["said"]
    assert "No space left on device; free space there, then give the same command again" in one["said"]
    assert one["lost"] == [] and one["same"] and one["left"] == []
    if kind in WAIT:
        assert "the disk is full; free space there" in one["said"] and "this process tries again until" in one["said"]
    # a checkpoint that cannot be written ends nothing
    assert ("the training goes on without" in one["said"]) == (kind == "checkpoints")


@pytest.mark.slow
def test_a_run_that_waits_goes_on_when_there_is_room(found):
    one = found["freed"]
    assert one["codes"] == [0] and one["same"], one["said"]
    assert "the disk is full" in one["said"]
    assert found["whole"] == 0 and found["rows"] == 25
