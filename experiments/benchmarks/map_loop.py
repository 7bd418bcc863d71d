"""Does memory stay level while maps are made of one new picture after the other?

    python -m experiments.benchmarks.map_loop

Grad-CAM of a U-Net's deepest layer, 10,000 times. `resident_mb` is what the process holds after so many maps; MB are
10^6 bytes. Needs Linux, for /proc.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.memory import resident_bytes
from experiments.benchmarks.timing import Row, Scale
from experiments.harness.start import run_command
from segjax.maps import RegionScore
from segjax.maps.cam import grad_cam
from segjax.models import Probe, create
from segjax.types import InputError

ROWS = 10
MAPS: dict[Scale, tuple[int, int]] = {"full": (10_000, 64), "smoke": (20, 8)}  # how many, side in pixels


@dataclass(frozen=True)
class LoopOptions:
    out: Path = timing.RESULTS
    """Folder for the table, map_loop.csv."""
    scale: Scale = "full"
    """smoke: a few maps, to see that everything runs."""


def resident_rows(maps: int, side: int) -> list[Row]:
    """One row after every tenth of the maps."""
    network = create("unet", width=8, levels=2, norm="none")
    rng = np.random.default_rng(0)
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, side, side, 1)))
    apply, target = Probe(network), RegionScore(1, jnp.ones((side, side)))
    explain = jax.jit(lambda variables, image: grad_cam(apply, variables, image, target, "down2"))
    rows: list[Row] = []
    for number in range(1, maps + 1):
        image = rng.random((1, side, side, 1), np.float32)
        np.asarray(explain(variables, image))
        if number % (maps // ROWS) == 0:
            rows.append({"maps": number, "resident_mb": timing.rounded(resident_bytes() / 1e6)})
    return rows


def main() -> None:
    def body() -> None:
        options = tyro.cli(LoopOptions, description=__doc__)
        if not sys.platform.startswith("linux"):
            raise InputError("memory: it is read from /proc, which only Linux has; run this on Linux")
        header = timing.header_of("map_loop")
        timing.report("map_loop", header, resident_rows(*MAPS[options.scale]), options.out)

    run_command(body)


if __name__ == "__main__":
    main()
