"""Train one network in several connected processes, on one machine or many.

python -m launch.multihost --data SPEC --out DIR --coordinator host1:1234 --processes 2 --process 0     # on host1
python -m launch.multihost --data SPEC --out DIR --coordinator host1:1234 --processes 2 --process 1     # on host2
srun python -m launch.multihost --data SPEC --out DIR                                 # finds the others
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

from experiments.harness.networks import network_of, pooled_dice
from experiments.harness.options import Flat, Sizes, TrainOptions, checkpoint_options
from experiments.harness.pictures import Splitting, faulty_targets, read_domain
from experiments.harness.provenance import code_of, sources_of
from launch.connection import ConnectionOptions, Topology, join, leave, stopping_together
from launch.guard import Child, run
from segjax.annotations import Recipe
from segjax.data import open_source
from segjax.files import write_file
from segjax.interruption import Stopped
from segjax.models import save_weights
from segjax.sweeps.trials import fingerprint
from segjax.training import LoopConfig, Pictures, fit, predict
from segjax.training.parallel import make_mesh, make_sharded_steps
from segjax.types import InputError


@dataclass(frozen=True)
class MultihostConfig:
    """Train one network on the devices of several processes, which share every batch.

    Every process reads all pictures. Where a process dies, the others end within 30 seconds and name it. Exit codes are
    the same in all processes. 0: done. 1: one failed. 2: wrong input. 75: one was killed or lost, or SIGTERM or SIGUSR1
    stopped one; start the same commands again, and they continue. 130: Ctrl-C stopped one; the same commands continue.
    """

    data: str
    """Pictures, as in the studies: microscope:hl60?size=half, folder:PATH?tile=256 or tfds:NAME."""
    out: Path
    """Folder for result.json (losses of the epochs, Dice of the test pictures) and weights.safetensors, which process
    0 writes, and for its checkpoints."""
    connection: Annotated[ConnectionOptions, Flat] = field(default_factory=ConnectionOptions)
    network: str = "unet"
    """unet, segnet or msd."""
    target: int = 1
    """Class of the objects to segment."""
    folds: int = 4
    """Number of test groups, where the data do not name them. Seed s tests on fold s modulo this number."""
    seed: int = 0
    checkpoint_every: str = "60s"
    """How often the training saves its progress, apart from when it is stopped: 60s, 5min, 2h or 3epochs."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(loop=LoopConfig(batch_size=8)))
    sizes: Sizes = field(default_factory=Sizes)


def main(guard: Child) -> None:
    """Connect and train."""
    config = tyro.cli(MultihostConfig, prog="python -m launch.multihost")
    checkpoint_options(config.checkpoint_every)
    topology = join(guard, config.connection)
    try:
        train(config, topology)
    except Stopped as stopped:
        if not stopped.anywhere:  # at the same step in all processes
            leave(guard)
        raise
    leave(guard)


def train(config: MultihostConfig, topology: Topology) -> None:
    """One training with batches spread over all devices; process 0 reports and writes.

    Raises:
        InputError: the data, the network or the folder cannot be used.
        Stopped: some process was asked to; all have reached the same step, and process 0 has saved it.
    """
    first = topology.process == 0
    if first:
        if (config.out / "result.json").exists():
            raise InputError(f"out: {config.out} holds the result of another training; choose another folder")
        try:
            config.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"out: cannot write in {config.out} ({error.strerror}); choose another folder") from error
    source = open_source(config.data)
    domain = read_domain(source, Splitting(config.folds, "group"), config.target)
    split, key = domain.split(config.seed), jax.random.key(config.seed)
    learn, validation = (
        Pictures(domain.images[list(side)], faulty_targets(key, domain, side, Recipe()))
        for side in (split.train, split.validation)
    )
    steps = make_sharded_steps(network_of(config.sizes, config.network, domain), config.train.step, make_mesh())

    def told(share: float) -> None:
        if first:
            print(f"{share:.0%} of the epochs done", flush=True)

    result = fit(
        key,
        stopping_together(steps),
        learn,
        validation,
        config.train.loop,
        checkpoints=config.out / "checkpoints",
        made_by=_maker(config, source.digest),
        is_shared=True,
        on_epoch=told,
        **checkpoint_options(config.checkpoint_every),
    )
    test = np.asarray(split.test)
    predicted = predict(steps, result.variables, domain.images[test]) > 0
    pooled = pooled_dice(predicted, domain.labels[test] > 0)
    if first:
        facts = {"dice_pooled": pooled, "status": result.status, "losses": result.losses.tolist()}
        save_weights(config.out / "weights.safetensors", result.variables)
        write_file(config.out / "result.json", json.dumps(facts, indent=1) + "\n")
        shutil.rmtree(config.out / "checkpoints", ignore_errors=True)
        print(f"Dice {pooled:.3f} ({result.status}); {config.out / 'result.json'}", flush=True)


def _maker(config: MultihostConfig, digest: str) -> dict[str, str]:
    """What a checkpoint must have been made by to be gone on with."""
    arranging = {"data", "out", "connection", "checkpoint_every"}
    deciding = {name: value for name, value in dataclasses.asdict(config).items() if name not in arranging}
    facts = json.loads(json.dumps({**deciding, "digest": digest}, default=str))
    return {"configuration": fingerprint(facts), "code": code_of(sources_of("multihost", Path(__file__).parent))}


if __name__ == "__main__":
    run(main)
