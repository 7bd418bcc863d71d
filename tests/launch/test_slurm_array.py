"""The SLURM script, run as SLURM runs it, with a stand-in for python that prints its arguments."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "slurm_array.sh"


def run(tmp_path, **variables: str) -> subprocess.CompletedProcess:
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\nprintf "%s " "$@"\nexit 7\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **variables}
    return subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("task", "shard"), [(0, "1/8"), (7, "8/8")])
def test_a_task_takes_its_shard_and_ends_like_the_study(tmp_path, task, shard):
    ended = run(tmp_path, SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT="8")
    expected = f"-m experiments.annotation_errors --scale paper --out runs/paper --shard {shard} "
    assert (ended.stdout, ended.stderr, ended.returncode) == (expected, "", 7)


def test_outside_of_an_array_nothing_is_started(tmp_path):
    ended = run(tmp_path)
    assert ended.returncode != 0 and ended.stdout == "" and "SLURM_ARRAY_TASK_ID" in ended.stderr


def test_every_option_for_slurm_stands_before_the_first_command():
    lines = SCRIPT.read_text().splitlines()  # SLURM ignores those that come later
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert len(options) == 3 and max(options) < first
