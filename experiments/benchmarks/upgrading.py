"""How fast are annotations upgraded, in megapixels per second, and how long does a training step draw fresh errors?

    python -m experiments.benchmarks.upgrading
    python -m experiments.benchmarks.upgrading --only "8 pictures"

A set of 8 grey pictures of 512x512 pixels with noisy masks goes through `upgrade_set` one by one, in batches and by
tiles of 256, with a U-Net (width 16, 3 levels) and an MSD (depth 50); the time includes the copies to and from the
device. The training step is that of the same U-Net on 4 pictures of 256x256, with omission, inclusion and bias drawn
inside the step, and with masks drawn beforehand. There is no rival: nobody else offers the same. `mpx_per_s` counts the
pixels of all pictures of a call.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Call, Contest, Contests, Scale, TimingOptions
from experiments.harness.start import run_command
from segjax.annotations import Recipe
from segjax.training import StepConfig, make_steps
from segjax.upgrade import clean_pictures, make_upgrade_steps, upgrade_network, upgrade_set
from segjax.upgrade.learning import with_labels

PICTURES = 8
SIDES: dict[Scale, tuple[int, int, int]] = {"full": (512, 256, 256), "smoke": (24, 16, 8)}  # set, training, tile
NETWORKS: dict[Scale, dict[str, dict[str, Any]]] = {
    "full": {"unet": {"width": 16, "levels": 3, "norm": "running"}, "msd": {"depth": 50}},
    "smoke": {"unet": {"width": 2, "levels": 1, "norm": "running"}, "msd": {"depth": 2}},
}
RECIPE = Recipe(omission=0.3, inclusion=0.3, bias=6)


def scenes(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with a square object in every field of a grid, ids from 1."""
    pitch = side // 4
    rows, columns = np.mgrid[:side, :side]
    inside = (rows % pitch < pitch // 2) & (columns % pitch < pitch // 2)
    labels = np.where(inside, rows // pitch * (side // pitch + 1) + columns // pitch + 1, 0).astype(np.int32)
    noise = np.random.default_rng(0).random((count, side, side, 1), np.float32)
    return noise / 2 + inside[..., None].astype(np.float32) / 2, np.broadcast_to(labels, (count, side, side)).copy()


def set_contest(name: str, options: dict[str, Any], side: int, tile: int) -> Contest:
    """The same set in the ways that `upgrade_set` knows."""
    images, labels = scenes(PICTURES, side)
    network = upgrade_network(name, images, labels, **options)
    params = jax.jit(network.init)(jax.random.key(0), with_labels(images[:1], labels[:1] > 0))

    def way(**how: int) -> Call:
        return lambda number: [found.mask.sum() for found in upgrade_set(network, params, images, labels > 0, **how)]

    ways = {"one by one": way(batch=1), "batches of 8": way(batch=PICTURES), f"tiles of {tile}": way(tile=tile)}
    return Contest(ways, {}, {"megapixels": labels.size / 1e6})


def drawing_contest(options: dict[str, Any], side: int) -> Contest:
    """A training step that draws its errors, and one whose noisy masks are there already."""
    images, labels = scenes(4, side)
    network = upgrade_network("unet", images, labels, **options)
    config = StepConfig()
    fresh, plain = make_upgrade_steps(network, config, max_objects=63), make_steps(network, config)
    pictures = clean_pictures(images, labels, RECIPE, foreign=labels[:, ::-1].copy())
    fixed = with_labels(images, labels > 0), (labels > 0).astype(np.int32)

    def step_of(train: Callable[..., Any], state: Any, *batch: Any) -> Call:
        held = jax.device_put(batch)

        def step(number: int) -> float:
            nonlocal state
            state, loss = train(state, *held)
            return float(loss)

        return step

    ways = {
        "errors drawn in the step": step_of(fresh.train, fresh.init(jax.random.key(0), images), *pictures),
        "masks drawn beforehand": step_of(plain.train, plain.init(jax.random.key(0), fixed[0]), *fixed),
    }
    return Contest(ways, {}, {"megapixels": labels.size / 1e6})


def contests(scale: Scale) -> Contests:
    side, training_side, tile = SIDES[scale]
    named: dict[str, Callable[[], Contest]] = {
        f"{PICTURES} pictures of {side}x{side}, {name}": lambda name=name, options=options: set_contest(
            name, options, side, tile
        )
        for name, options in NETWORKS[scale].items()
    }
    step = f"training step, unet, 4 pictures of {training_side}x{training_side}"
    return {**named, step: lambda: drawing_contest(NETWORKS[scale]["unet"], training_side)}


def main() -> None:
    options = tyro.cli(TimingOptions, description=__doc__)
    header = timing.begin("upgrading", options)
    rows = timing.measure(timing.chosen(contests(options.scale), options.only), options.rounds)
    for row in rows:
        row["mpx_per_s"] = timing.rounded(float(row["megapixels"]) / float(row["median_ms"]) * 1000)
    timing.report("upgrading", header, rows, options.out)


if __name__ == "__main__":
    run_command(main)
