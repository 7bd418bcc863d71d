"""Several processes, on one machine or many, as one JAX machine.

python -m launch.multihost --data SPEC --out DIR --coordinator host1:1234 --processes 2 --process 0     # on host1
python -m launch.multihost --data SPEC --out DIR --coordinator host1:1234 --processes 2 --process 1     # on host2
srun python -m launch.multihost --data SPEC --out DIR                                 # finds the others
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments.harness.networks import network_of, pooled_dice
from experiments.harness.options import Sizes, TrainOptions
from experiments.harness.pictures import Splitting, faulty_targets, read_domain
from launch.guard import Child, run
from segjax.annotations import Recipe
from segjax.data import open_source
from segjax.files import write_file
from segjax.models import save_weights
from segjax.training import LoopConfig, Pictures, fit, make_mesh, make_sharded_steps, predict
from segjax.types import InputError

INTRODUCTION_BYTES = 1024


@dataclass(frozen=True)
class MultihostConfig:
    """Train one network over the devices of several processes; every batch is divided among them.

    Without --coordinator, --processes and --process, the processes find each other by what SLURM, Open MPI, Kubernetes
    or a TPU pod tells them. Every process reads all pictures.
    """

    data: str
    """Pictures, as in the studies: microscope:hl60?size=half, folder:PATH?tile=256 or tfds:NAME."""
    out: Path
    """Folder for result.json (losses of the epochs, Dice of the test pictures) and weights.safetensors, which process
    0 writes."""
    coordinator: str | None = None
    """HOST:PORT of process 0: a free port there that the others can reach."""
    processes: int | None = None
    """Number of processes."""
    process: int | None = None
    """Number of this process, from 0."""
    network: str = "unet"
    """unet, segnet or msd."""
    target: int = 1
    """Class of the objects to segment."""
    folds: int = 4
    """Number of test groups, where the data do not name them. Seed s tests on fold s modulo this number."""
    seed: int = 0
    train: TrainOptions = field(default_factory=lambda: TrainOptions(loop=LoopConfig(batch_size=8)))
    sizes: Sizes = field(default_factory=Sizes)


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


def main(guard: Child) -> None:
    """Connect, say to what, check the connection, train."""
    config = tyro.cli(MultihostConfig, prog="python -m launch.multihost")
    topology = connect(config.coordinator, config.processes, config.process)
    meet(guard, config.coordinator)
    print(topology, flush=True)
    expected = topology.devices * (topology.devices + 1) / 2
    if (total := sum_over_devices()) != expected:
        raise RuntimeError(f"1 + ... + {topology.devices} over all devices gave {total:g}, not {expected:g}")
    print(f"{topology.devices} devices in {topology.processes} processes: connected, sum checked", flush=True)
    train(config, topology)
    jax.distributed.shutdown()
    guard.finish()


def train(config: MultihostConfig, topology: Topology) -> None:
    """One training with batches spread over all devices; process 0 reports and writes.

    Raises:
        InputError: the data, the network or the folder cannot be used.
    """
    first = topology.process == 0
    if first:
        if (config.out / "result.json").exists():
            raise InputError(f"out: {config.out} holds the result of another training; choose another folder")
        try:
            config.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"out: cannot write in {config.out} ({error.strerror}); choose another folder") from error
    domain = read_domain(open_source(config.data), Splitting(config.folds, "group"), config.target)
    split, key = domain.split(config.seed), jax.random.key(config.seed)
    learn, validation = (
        Pictures(domain.images[list(side)], faulty_targets(key, domain, side, Recipe()))
        for side in (split.train, split.validation)
    )
    steps = make_sharded_steps(network_of(config.sizes, config.network, domain), config.train.step, make_mesh())

    def told(share: float) -> None:
        if first:
            print(f"{share:.0%} of the epochs done", flush=True)

    result = fit(key, steps, learn, validation, config.train.loop, on_epoch=told)
    test = np.asarray(split.test)
    predicted = predict(steps, result.variables, domain.images[test]) > 0
    pooled = pooled_dice(predicted, domain.labels[test] > 0)
    if first:
        facts = {"dice_pooled": pooled, "status": result.status, "losses": result.losses.tolist()}
        write_file(config.out / "result.json", json.dumps(facts, indent=1) + "\n")
        save_weights(config.out / "weights.safetensors", result.variables)
        print(f"Dice {pooled:.3f} ({result.status}); {config.out / 'result.json'}", flush=True)


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
            jax.distributed.initialize()
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
        jax.distributed.initialize(coordinator, processes, process, cluster_detection_method="deactivate")
    return Topology(
        process=jax.process_index(),
        processes=jax.process_count(),
        local_devices=jax.local_device_count(),
        devices=jax.device_count(),
        platform=jax.default_backend(),
        found_by=found_by,
    )


def meet(guard: Child, coordinator: str | None = None) -> None:
    """From now on a process that dies ends the others; every connected process calls this at once.

    Args:
        coordinator: HOST:PORT of process 0, if that was given.
    """
    address = (coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS", "")).rpartition(":")[0]
    own = guard.introduction(address.strip("[]") or None).encode()
    texts = process_allgather(np.frombuffer(own.ljust(INTRODUCTION_BYTES), np.uint8)).reshape(-1, INTRODUCTION_BYTES)
    guard.meet(jax.process_index(), [bytes(text).decode() for text in texts])


def sum_over_devices() -> float:
    """1 + 2 + ... + N by one compiled sum over the N devices of all processes, each holding one of the numbers."""
    devices = np.asarray(jax.devices())
    mesh = Mesh(devices, ("data",))
    numbers = np.arange(1, len(devices) + 1, dtype=np.float32)
    spread = jax.make_array_from_callback(
        numbers.shape, NamedSharding(mesh, PartitionSpec("data")), lambda index: numbers[index]
    )
    return float(jax.jit(jnp.sum, out_shardings=NamedSharding(mesh, PartitionSpec()))(spread))


def _check(coordinator: str, processes: int, process: int) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"coordinator: {coordinator!r} is not HOST:PORT, such as host1:1234")
    if processes < 1:
        raise InputError(f"processes: {processes} is less than 1; give the number of processes")
    if not 0 <= process < processes:
        raise InputError(f"process: {process} is not from 0 to {processes - 1}; every process has its own number")


if __name__ == "__main__":
    run(main)
