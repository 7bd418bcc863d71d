"""How much memory does a training step need for one slice of the published size, 565x807 pixels?

    python -m experiments.benchmarks.memory
    python -m experiments.benchmarks.memory --network msd --side 512 512

U-Net and MSD as published (14.8 million parameters with batch statistics; depth 100), float32, soft Dice, Adam, plain
and with the option `remat`, which computes inner maps twice. Each is measured in a process of its own: `before_mb` is
what the process holds when the compiled step, the weights and the picture are ready, `peak_mb` the most it held until
the step was done (compilation included), `step_mb` their difference. `planned_mb` is what XLA says: arguments, results
and temporaries of the compiled step, less what they share. MB are 10^6 bytes. Needs Linux, for /proc.
"""

import multiprocessing
import os
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Row, Scale
from experiments.harness.start import run_command
from segjax.models import create
from segjax.training import StepConfig, make_steps
from segjax.types import InputError

NETWORKS = ("unet", "msd")
OPTIONS: dict[Scale, dict[str, dict[str, Any]]] = {
    "full": {"unet": {}, "msd": {"depth": 100}},
    "smoke": {"unet": {"width": 2, "levels": 1}, "msd": {"depth": 2}},
}


@dataclass(frozen=True)
class MemoryOptions:
    network: Literal["both", "unet", "msd"] = "both"
    """The network."""
    side: tuple[int, int] = (565, 807)
    """Height and width of the picture, in pixels."""
    threads: int | None = None
    """Number of cores for the step. Default: all cores that this process may use."""
    out: Path = timing.RESULTS
    """Folder for the table, memory.csv."""
    scale: Scale = "full"
    """smoke: tiny networks, to see that everything runs."""


def planned_bytes(compiled: jax.stages.Compiled) -> int:
    """What XLA plans for a compiled function: arguments, results and temporaries, less what they share."""
    plan = compiled.memory_analysis()
    if plan is None:
        raise InputError("this backend does not say how much memory a compiled function takes")
    held = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    return held - plan.alias_size_in_bytes


def step_memory(network: str, scale: Scale, side: tuple[int, int], remat: bool) -> Row:
    """One step in this process, which should have done nothing else before."""
    options = OPTIONS[scale][network] | {"remat": remat}
    steps = make_steps(create(network, **options), StepConfig())
    images = np.random.default_rng(0).random((1, *side, 1), np.float32)
    targets = (images[..., 0] > 0.5).astype(np.int32)
    state = steps.init(jax.random.key(0), images)
    step = steps.train.lower(state, images, targets).compile()  # type: ignore[attr-defined]
    planned = planned_bytes(step)
    before = resident_bytes()
    jax.block_until_ready(step(state, images, targets))
    peak = peak_bytes()
    name = f"{network} {' '.join(f'{option}={value}' for option, value in options.items())}".strip()
    megabytes = {"before_mb": before, "peak_mb": peak, "step_mb": peak - before, "planned_mb": planned}
    row: Row = {"network": name, "height": side[0], "width": side[1], "batch": 1}
    return row | {column: timing.rounded(value / 1e6) for column, value in megabytes.items()}


def resident_bytes() -> int:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most that this process has held in memory."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    def body() -> None:
        options = tyro.cli(MemoryOptions, description=__doc__)
        if not sys.platform.startswith("linux"):
            raise InputError("memory: it is read from /proc, which only Linux has; run this on Linux")
        timing.limit_cores(options.threads)
        header = timing.header_of("memory")
        rows = []
        for network in NETWORKS if options.network == "both" else (options.network,):
            # A process begun afresh, not a copy of this one, so that its peak is its own.
            for remat in (False, True):
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                    rows.append(pool.submit(step_memory, network, options.scale, options.side, remat).result())
        timing.report("memory", header, rows, options.out)

    run_command(body)


if __name__ == "__main__":
    main()
