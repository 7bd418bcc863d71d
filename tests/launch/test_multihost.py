"""Several processes as one JAX machine."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from launch.multihost import connect
from segjax.models import load_weights
from segjax.types import InputError

ROOT = Path(__file__).parents[2]
TINY = (
    "--data=microscope:hl60?size=sixth&volumes=6&slices=2&crop=32", "--network=unet", "--sizes.unet-width=2",
    "--sizes.unet-levels=1", "--train.epochs=2", "--train.batch-size=3", "--train.learning-rate=0.01",
)  # fmt: skip


def start(*options: str, **variables: str) -> subprocess.Popen:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2", **variables}
    command = [sys.executable, "-m", "launch.multihost", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def ended(processes: list[subprocess.Popen]) -> list[str]:
    """What each printed; all must end well."""
    try:
        told = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), told
    return [out for out, _ in told]


@pytest.mark.slow
def test_two_processes_train_to_the_numbers_of_one(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    options = (*TINY, f"--out={tmp_path}/two", "--coordinator", address, "--processes", "2", "--process")
    texts = ended([start(*options, str(number)) for number in range(2)])
    alone = (
        *TINY,
        f"--out={tmp_path}/one",
        "--coordinator",
        f"127.0.0.1:{free_port()}",
        "--processes=1",
        "--process=0",
    )
    ended([start(*alone, JAX_NUM_CPU_DEVICES="1")])
    two, one = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("two", "one"))
    np.testing.assert_allclose(two["losses"], one["losses"], atol=1e-4)
    assert two["status"] == one["status"]
    # Weights are compared by what they do: Adam makes whole steps of the rounding where a gradient is zero.
    np.testing.assert_allclose(two["dice_pooled"], one["dice_pooled"], atol=1e-3)
    both = [load_weights(tmp_path / name / "weights.safetensors").variables for name in ("two", "one")]
    assert jax.tree.map(np.shape, both[0]) == jax.tree.map(np.shape, both[1])
    for number, text in enumerate(texts):
        assert f"process {number} of 2 (coordinator {address}): 2 of 4 cpu devices are here" in text
        assert "4 devices in 2 processes: connected, sum checked" in text


@pytest.mark.slow
def test_the_processes_of_a_slurm_step_find_each_other(tmp_path):
    job = {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": "2",
        "JAX_COORDINATOR_PORT": str(free_port()),
    }
    tasks = [{**job, "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)} for number in range(2)]
    texts = ended([start(*TINY, f"--out={tmp_path}", **task) for task in tasks])
    for number, text in enumerate(texts):
        assert f"process {number} of 2 (SLURM job 4711): 2 of 4 cpu devices are here" in text


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
def test_without_options_outside_of_a_cluster_the_remedy_is_named():
    process = start(*TINY, "--out=nowhere")
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert "no cluster was found" in told and "--coordinator HOST:PORT" in told and "Traceback" not in told
