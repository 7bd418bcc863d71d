"""Several processes as one JAX machine."""

import json
import os
import signal
import socket
import subprocess
import time

import chex
import jax
import numpy as np
import pytest

from launch.connection import connect
from segjax.models import load_weights
from segjax.types import InputError
from tests.launch.connected import PATIENCE, child_of, ended, free_port, start, start_two

TINY = (
    "--data=microscope:hl60?size=sixth&volumes=6&slices=2&crop=32", "--network=unet", "--sizes.unet-width=2",
    "--sizes.unet-levels=1", "--train.epochs=2", "--train.batch-size=3", "--train.learning-rate=0.01",
)  # fmt: skip
STATED_SECONDS = 30  # within which the others end
# takes its time for a step, and tells what it goes on from
TELLING = """
import os, runpy, time
from segjax.training.checkpoints import Checkpoints

save, restore = Checkpoints.keep_where_due, Checkpoints.restore

def slow(*arguments):
    time.sleep(float(os.environ["STEP_SECONDS"]))
    save(*arguments)

def telling(self, like):
    found = restore(self, like)
    if found is not None:
        print("restored after", int(found.epoch), "epochs and", int(found.steps), "steps")
    return found

Checkpoints.keep_where_due, Checkpoints.restore = slow, telling
runpy.run_module("launch.multihost", run_name="__main__")
"""


def until_trained(process: subprocess.Popen[str], epochs: int = 1) -> None:
    """Wait until so many epochs are done."""
    assert process.stdout is not None
    done = 0
    for line in process.stdout:
        done += "of the epochs done" in line
        if done == epochs:
            return
    pytest.fail(f"it ended early: {process.communicate()}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two processes that nothing disturbed: their folder, what they printed, and the address of the first."""
    out = tmp_path_factory.mktemp("whole")
    processes, address = start_two(*TINY, f"--out={out}")
    return out, ended(processes), address


@pytest.mark.slow
def test_two_processes_train_to_the_numbers_of_one(whole, tmp_path):
    out, told, address = whole
    alone = ("--coordinator", f"127.0.0.1:{free_port()}", "--processes=1", "--process=0")
    ended([start(*TINY, f"--out={tmp_path}", *alone, JAX_NUM_CPU_DEVICES="1")])
    two, one = (json.loads((folder / "result.json").read_text()) for folder in (out, tmp_path))
    np.testing.assert_allclose(two["losses"], one["losses"], atol=1e-4)
    assert two["status"] == one["status"]
    # Weights are compared by what they do: Adam makes whole steps of the rounding where a gradient is zero.
    np.testing.assert_allclose(two["dice_pooled"], one["dice_pooled"], atol=1e-3)
    both = [load_weights(folder / "weights.safetensors").variables for folder in (out, tmp_path)]
    assert jax.tree.map(np.shape, both[0]) == jax.tree.map(np.shape, both[1])
    for number, (text, _) in enumerate(told):
        assert f"process {number} of 2 (coordinator {address}): 2 of 4 cpu devices are here" in text
        assert "4 devices in 2 processes: connected, sum checked" in text
    assert not (out / "checkpoints").exists()


@pytest.mark.slow
def test_a_stop_of_any_process_stops_all_at_one_step_and_they_go_on_to_the_same_bits(whole, tmp_path):
    program, out = ("-c", TELLING), f"--out={tmp_path}"
    processes, _ = start_two(*TINY, out, program=program, STEP_SECONDS="1")
    until_trained(processes[0])
    processes[1].send_signal(signal.SIGTERM)
    for _, errors in ended(processes, code=75):
        assert "stopped by SIGTERM; what is finished is kept" in errors and "Traceback" not in errors
    assert [path.name for path in (tmp_path / "checkpoints" / "attempt-0").iterdir()] == ["1.safetensors"]
    assert not (tmp_path / "result.json").exists()

    processes, _ = start_two(*TINY, out, program=program, STEP_SECONDS="0")
    for text, _ in ended(processes):
        assert "restored after 1 epochs and" in text
    assert (tmp_path / "result.json").read_bytes() == (whole[0] / "result.json").read_bytes()
    both = [load_weights(folder / "weights.safetensors").variables for folder in (tmp_path, whole[0])]
    chex.assert_trees_all_equal(*both)


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "whom"), [(0, "process"), (1, "guard")])
def test_where_a_process_is_killed_the_other_ends_in_the_stated_time_and_names_it(tmp_path, victim, whom):
    processes, _ = start_two(*TINY, "--train.epochs=100000", f"--out={tmp_path}")
    until_trained(processes[0])
    os.kill(processes[victim].pid if whom == "guard" else child_of(processes[victim]), signal.SIGKILL)
    began = time.monotonic()
    _, errors = processes[1 - victim].communicate(timeout=PATIENCE)
    assert time.monotonic() - began < STATED_SECONDS
    assert processes[1 - victim].returncode == 75
    [line] = errors.splitlines()[-1:]
    what = "was killed by SIGKILL" if whom == "process" else "is gone: it was killed, or its machine was lost"
    assert f"error: process {victim} ({socket.gethostname()}) {what}, so all other processes are stopping" in line
    assert "stack trace" not in errors and "Traceback" not in errors
    processes[victim].communicate(timeout=PATIENCE)


@pytest.mark.slow
def test_the_processes_of_a_slurm_step_find_each_other_and_an_error_of_one_ends_both(tmp_path):
    job = {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": "2",
        "JAX_COORDINATOR_PORT": str(free_port()),
    }
    tasks = [{**job, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)} for number in range(2)]
    # process 1 alone finds no pictures
    data = [(), ("--data", f"folder:{tmp_path}/absent")]
    processes = [start(*TINY, f"--out={tmp_path}", *extra, **task) for extra, task in zip(data, tasks, strict=True)]
    told = ended(processes, code=2)
    for number, (text, errors) in enumerate(told):
        assert f"process {number} of 2 (SLURM job 4711): 2 of 4 cpu devices are here" in text
        assert f"error: process 1 ({socket.gethostname()}) ended with exit code 2, so all other processes" in errors
        assert "Traceback" not in errors and "stack trace" not in errors
    assert f"{tmp_path}/absent" in told[1][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("host:1",), "processes: missing"),
        ((None, 2, 0), "coordinator: missing"),
        (("host:1", 2), "process: missing"),
        (("host", 2, 0), "is not HOST:PORT"),
        ((":1", 2, 0), "is not HOST:PORT"),
        (("host:99999", 2, 0), "is not HOST:PORT"),
        (("host:1", 0, 0), "processes: 0 is less than 1"),
        (("host:1", 2, 2), "process: 2 is not from 0 to 1"),
        (("host:1", 2, -1), "process: -1 is not from 0 to 1"),
    ],
)
def test_incomplete_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        connect(*options)


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{}, {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}])
def test_without_options_outside_of_a_cluster_the_remedy_is_named(variables):
    process = start(*TINY, "--out=nowhere", **variables)
    told = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 2
    assert "no cluster was found" in told and "--coordinator HOST:PORT" in told and "Traceback" not in told
