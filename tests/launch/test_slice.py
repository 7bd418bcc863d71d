"""A study over connected processes, which take its trials as one."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from segjax.sweeps.slices import place, told
from tests.launch.connected import child_of, ended, start, start_two

TINY = (
    "--scale", "smoke", "--data", "microscope:hl60?size=sixth&volumes=4&slices=1&crop=48", "--networks", "msd",
    "--sizes.msd-depth", "1", "--train.epochs", "2", "--errors", "omission", "bias", "--seeds", "2", "--pack", "1",
)  # fmt: skip
TRIALS = 6
BROKEN = "network msd, seed 1, error bias, level 6"
# the study with a trial that fails, telling which trials are claimed
TELLING = """
import runpy, sys
from experiments.harness.run import Sweep
from segjax.claims import Claims
from segjax.sweeps.trials import described

take, run = Claims.take, Sweep.run

def telling(self, name):
    taken = take(self, name)
    if taken and self._taken.parents[1].name != "networks":
        print("claimed", name, flush=True)
    return taken

def failing(self, trials, on_share):
    if any(described(trial) == "BROKEN" for trial in trials):
        raise RuntimeError("it is broken")
    return run(self, trials, on_share)

Claims.take, Sweep.run = telling, failing
runpy.run_module(sys.argv.pop(1), run_name="__main__")
""".replace("BROKEN", BROKEN)


def start_slice(out: Path, program: Sequence[str]) -> list[subprocess.Popen[str]]:
    study = ("--", *TINY, "--out", str(out))
    return start_two("annotation_errors", *study, program=program, JAX_NUM_CPU_DEVICES="1")[0]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The results of one process that is in no slice, with a trial that fails."""
    out = tmp_path_factory.mktemp("alone")
    # half set, as in a shell of SLURM: of no account for a study
    job = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_STEP_NODELIST": "n[1-4]"}
    program = ("-c", TELLING, "experiments.annotation_errors")
    ended([start(*TINY, "--out", str(out), program=program, JAX_NUM_CPU_DEVICES="1", **job)], code=3)
    return out


@pytest.mark.slow
def test_process_0_claims_every_trial_once_and_the_rows_are_those_of_one_process(alone, tmp_path):
    processes = start_slice(tmp_path, ("-c", TELLING, "launch.slice"))
    first, second = (text for text, _ in ended(processes, code=3))
    claimed = [line for line in first.splitlines() if line.startswith("claimed msd")]
    assert len(claimed) == len(set(claimed)) == TRIALS
    assert "claimed" not in second
    for text in (first, second):  # both worked, and neither did all
        assert 0 < sum(": Dice" in line for line in text.splitlines()) < TRIALS
    assert (tmp_path / "results.csv").read_bytes() == (alone / "results.csv").read_bytes()
    assert len(list((tmp_path / "openings").iterdir())) == 1
    assert [path.stem for path in (tmp_path / "failures").iterdir()] == [
        path.stem for path in (alone / "failures").iterdir()
    ]
    assert "report: " in first and "report: " not in second


@pytest.mark.slow
def test_a_slice_whose_process_is_killed_ends_and_goes_on_to_the_same_rows(alone, tmp_path):
    program = ("-c", TELLING, "launch.slice")
    processes = start_slice(tmp_path, program)
    assert processes[1].stdout is not None and any(": Dice" in line for line in processes[1].stdout)
    os.kill(child_of(processes[1]), signal.SIGKILL)
    for _, errors in ended(processes, code=75):
        assert "was killed by SIGKILL, so all other processes are stopping too" in errors
    ended(start_slice(tmp_path, program), code=3)
    assert (tmp_path / "results.csv").read_bytes() == (alone / "results.csv").read_bytes()


def test_outside_of_a_slice_this_process_decides(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert place() == (0, 1)
    assert told(lambda: [1, None]) == [1, None]
