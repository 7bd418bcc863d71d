"""Run a study on all devices of this machine.

    python -m launch.local annotation_errors -- --scale demo --out runs/x

The command starts the study several times with one --out, and the processes take turns at its trials. Every GPU or TPU
chip gets its own process. Where there is none, the physical cores are shared out equally. Linux only.
"""

import inspect
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from experiments.harness.start import EXIT_CODES, LEFT_TO_OTHERS, run_command
from launch.status import headline
from launch.study import out_of, refuse_alone, refuse_requeue, split, study_module
from launch.workers import Place, run_all
from segjax.types import InputError

FIRST_TPU_PORT = 8476  # of chip 0; a process has the port of its chip
QUESTION = """
import jax, json
print(json.dumps([jax.default_backend(), [getattr(device, "coords", ()) for device in jax.local_devices()]]))
"""


@dataclass(frozen=True)
class LocalConfig:
    """Run a study in several processes on this machine. The study's own options follow after a lone --."""

    study: tyro.conf.Positional[str]
    """The study: annotation_errors or experiments.annotation_errors."""
    processes: int | None = None
    """Number of processes. Default: one per GPU or TPU chip, or one per physical core where there is none."""


@dataclass(frozen=True)
class Devices:
    """What is divided among processes.

    Attributes:
        kind: what they are called, in the plural.
        each: by name: the variables that make a process see this one only. Empty where JAX computes on the CPU.
    """

    kind: str
    each: Mapping[str, Mapping[str, str]]


def main() -> None:
    """Parse, start the processes, watch them, say where the report is."""
    own, options = split(sys.argv[1:])
    description = f"{inspect.getdoc(LocalConfig)}\n\n{EXIT_CODES}"
    config = tyro.cli(LocalConfig, prog="python -m launch.local", description=description, args=own)
    module = study_module(config.study)
    refuse_alone(module, options)
    refuse_requeue(options)
    command = [sys.executable, "-m", module, *options]
    out = out_of(options)
    spread = places(config.processes, devices_here(), physical_cores())
    page = out / "report.html"
    before = page.stat().st_mtime_ns if page.exists() else None
    code = run_all(command, spread, out / "logs", lambda: headline(out))
    if page.exists() and page.stat().st_mtime_ns != before:
        print(f"report: {page}")
    elif code in (0, LEFT_TO_OTHERS):
        print(f"no report was written; {out / 'logs'} says why")
    if code:
        sys.exit(code)


def places(processes: int | None, devices: Devices, cores: Sequence[frozenset[int]]) -> list[Place]:
    """One place per process: a device each where there are any, else physical cores divided as evenly as they go.

    Args:
        processes: how many; None for as many as there are devices or cores.
        devices: what JAX computes on here.
        cores: the processors (hardware threads) of every physical core.

    Raises:
        InputError: fewer than one process, or more than devices or cores.
    """
    most, what = (len(devices.each), devices.kind) if devices.each else (len(cores), "physical cores")
    count = most if processes is None else processes
    if not 1 <= count <= most:
        raise InputError(f"processes: {count} is not from 1 to {most}, the number of {what} here")
    if devices.each:
        everywhere = frozenset().union(*cores)
        return [Place(name, everywhere, variables) for name, variables in list(devices.each.items())[:count]]
    bounds = [index * most // count for index in range(count + 1)]
    shares = [frozenset().union(*cores[first:last]) for first, last in itertools.pairwise(bounds)]
    return [Place(f"processors {', '.join(map(str, sorted(share)))}", share, {}) for share in shares]


def devices_here() -> Devices:
    """What JAX would compute on.

    Raises:
        InputError: JAX finds no device, or would use neither CPU nor CUDA GPUs nor TPUs.
    """
    # asked in another process: this one must not hold the devices
    answer = subprocess.run([sys.executable, "-c", QUESTION], stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if answer.returncode:
        raise InputError("study: JAX finds no device here, as said above; check JAX_PLATFORMS and the installation")
    backend, found = json.loads(answer.stdout.splitlines()[-1])
    if backend == "cpu":
        return Devices("physical cores", {})
    if backend == "gpu":
        return gpus(len(found), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if backend == "tpu":
        return tpu_chips(found, os.environ.get("TPU_VISIBLE_CHIPS") or os.environ.get("TPU_VISIBLE_DEVICES"))
    raise InputError(
        f"study: launch.local divides only CPUs, CUDA GPUs and TPU chips; on {backend} start the study itself"
    )


def gpus(count: int, visible: str | None) -> Devices:
    """GPUs, of which a process gets one.

    Args:
        count: how many JAX finds.
        visible: CUDA_VISIBLE_DEVICES.
    """
    names = (visible.split(",") if visible else list(map(str, range(count))))[:count]
    return Devices("GPUs", {f"GPU {name}": {"CUDA_VISIBLE_DEVICES": name} for name in names})


def tpu_chips(devices: Sequence[Sequence[Any]], visible: str | None) -> Devices:
    """TPU chips, of which a process gets one with all its cores, as a machine of its own that knows no other.

    JAX shows a chip of two cores as two devices (v2, v3, v7) or as one (v4, v5p); only one process can open a chip. The
    variables are those of libtpu, as JAX's own tests of several processes set them.

    Args:
        devices: of every device of this machine, the coordinates of its chip.
        visible: TPU_VISIBLE_CHIPS, the numbers of the chips that this process may use.
    """
    chips = {tuple(coords) for coords in devices}
    names = (visible.split(",") if visible else list(map(str, range(len(chips)))))[: len(chips)]
    each = {}
    for name in names:
        port = FIRST_TPU_PORT + int(name)
        each[f"TPU chip {name}"] = {
            "TPU_VISIBLE_CHIPS": name,
            "TPU_VISIBLE_DEVICES": name,  # its older name
            "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1",
            "TPU_PROCESS_BOUNDS": "1,1,1",
            "TPU_PROCESS_ADDRESSES": f"localhost:{port}",
            "TPU_PROCESS_PORT": str(port),
            "CLOUD_TPU_TASK_ID": "0",
            "TPU_WORKER_ID": "0",
            "TPU_WORKER_HOSTNAMES": "localhost",
            "TPU_SKIP_MDS_QUERY": "1",  # the machine's metadata describe the whole slice
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # libtpu's lock file is one per machine, not one per chip
        }
    return Devices("TPU chips", each)


def physical_cores() -> list[frozenset[int]]:
    """The processors of every physical core, of those that this process may use."""
    cores: dict[str, set[int]] = {}
    for processor in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        cores.setdefault(siblings.read_text(encoding="utf-8") if siblings.exists() else str(processor), set()).add(
            processor
        )
    return [frozenset(core) for core in cores.values()]


if __name__ == "__main__":
    run_command(main)
