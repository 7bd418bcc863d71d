"""Processes, on one machine or many, that are connected as one JAX machine: they start, stop and end together."""

import dataclasses
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all, process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments.harness.start import STOPPING
from launch.guard import Child
from segjax.interruption import request
from segjax.training import Steps
from segjax.types import InputError

INTRODUCTION_BYTES = 1024


@dataclass(frozen=True)
class ConnectionOptions:
    """How the processes find each other.

    Without these options, SLURM, Open MPI, Kubernetes or a TPU pod tells them.
    """

    coordinator: str | None = None
    """HOST:PORT of process 0, a free port that the others can reach."""
    processes: int | None = None
    """Number of processes."""
    process: int | None = None
    """Number of this process, counted from 0."""


@dataclass(frozen=True)
class Topology:
    """What this process is connected to.

    Attributes:
        process, processes: number of this one, from 0, and of all.
        local_devices, devices: how many are attached to this process, and to all.
        platform: "cpu", "gpu" or "tpu".
        found_by: where the address of process 0 came from.
    """

    process: int
    processes: int
    local_devices: int
    devices: int
    platform: str
    found_by: str

    def __str__(self) -> str:
        return (
            f"process {self.process} of {self.processes} ({self.found_by}): "
            f"{self.local_devices} of {self.devices} {self.platform} devices are here"
        )


def join(guard: Child, options: ConnectionOptions) -> Topology:
    """Connect this process, say to what, and check the connection; from then on a process that dies ends all.

    Raises:
        InputError: as `connect`.
    """
    topology = connect(options.coordinator, options.processes, options.process)
    _meet(guard, options.coordinator)
    print(topology, flush=True)
    expected = topology.devices * (topology.devices + 1) / 2
    if (total := sum_over_devices()) != expected:
        raise RuntimeError(f"1 + ... + {topology.devices} over all devices gave {total:g}, not {expected:g}")
    broadcast_one_to_all(np.int32(0))  # the first one must find all of them within 30 s, later ones wait for ever
    print(f"{topology.devices} devices in {topology.processes} processes: connected, sum checked", flush=True)
    return topology


def leave(guard: Child) -> None:
    """Wait until all processes come here; from then on each ends by itself."""
    jax.distributed.shutdown()
    guard.finish()


def connect(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> Topology:
    """Connect this process with the others; waits for them. Call it before anything else of JAX.

    Args:
        coordinator: HOST:PORT of process 0.
        processes, process: how many there are, and which one this is, from 0. Either all three or none: then JAX finds
            them in what SLURM, Open MPI, Kubernetes or a TPU pod tells its processes.

    Raises:
        InputError: options are missing or out of range, or nothing was found.
    """
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    absent = [name for name, value in given.items() if value is None]
    if len(absent) == len(given):
        found_by = f"SLURM job {os.environ['SLURM_JOB_ID']}" if "SLURM_JOB_ID" in os.environ else "found by JAX"
        try:
            _initialize()
        except ValueError as error:
            raise InputError(
                f"coordinator: no cluster was found ({error}); give --coordinator HOST:PORT --processes N --process I"
            ) from error
    elif absent:
        raise InputError(
            f"{absent[0]}: missing; give --coordinator, --processes and --process together, or none of them"
        )
    else:
        assert coordinator is not None and processes is not None and process is not None
        _check(coordinator, processes, process)
        found_by = f"coordinator {coordinator}"
        # what is given counts, also inside a SLURM job
        _initialize(coordinator, processes, process, cluster_detection_method="deactivate")
    return Topology(
        process=jax.process_index(),
        processes=jax.process_count(),
        local_devices=jax.local_device_count(),
        devices=jax.device_count(),
        platform=jax.default_backend(),
        found_by=found_by,
    )


def _initialize(*arguments: Any, **options: Any) -> None:
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    jax.distributed.initialize(*arguments, **options)


def sum_over_devices() -> float:
    """1 + 2 + ... + N by one compiled sum over the N devices of all processes, each holding one of the numbers."""
    return _over_devices(jnp.sum, np.arange(1, jax.device_count() + 1, dtype=np.float32)).item()


def stopping_together(steps: Steps) -> Steps:
    """Steps after which a stop that any process was asked for is known to all, and asked of all, at the same step.

    From now on a signal alone stops no process.
    """
    asked = [0]
    for kind in STOPPING:
        signal.signal(kind, lambda number, _: asked.__setitem__(0, number))

    def train(*arguments: Any) -> Any:
        # one sum over processes at a time: two at once may meet in another order elsewhere, and wait for ever
        result = jax.block_until_ready(steps.train(*arguments))
        if number := int(_over_devices(jnp.max, np.full(jax.device_count(), asked[0], np.int32))):
            request(signal.Signals(number))
        return result

    return dataclasses.replace(steps, train=train)


def _over_devices(combine: Callable[[jax.Array], jax.Array], numbers: np.ndarray) -> jax.Array:
    """One number of what every device of all processes holds; each process gives those of its own devices."""
    mesh = Mesh(np.asarray(jax.devices()), ("data",))
    spread = jax.make_array_from_callback(
        numbers.shape, NamedSharding(mesh, PartitionSpec("data")), lambda index: numbers[index]
    )
    return jax.jit(combine, out_shardings=NamedSharding(mesh, PartitionSpec()))(spread)


def _meet(guard: Child, coordinator: str | None) -> None:
    address = (coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS", "")).rpartition(":")[0]
    own = guard.introduction(address.strip("[]") or None).encode().ljust(INTRODUCTION_BYTES)
    texts = process_allgather(np.frombuffer(own, np.uint8)).reshape(-1, INTRODUCTION_BYTES)
    guard.meet(jax.process_index(), [bytes(text).decode() for text in texts])


def _check(coordinator: str, processes: int, process: int) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"coordinator: {coordinator!r} is not HOST:PORT, such as host1:1234")
    if processes < 1:
        raise InputError(f"processes: {processes} is less than 1; give the number of processes")
    if not 0 <= process < processes:
        raise InputError(f"process: {process} is not from 0 to {processes - 1}; give every process its own number")
