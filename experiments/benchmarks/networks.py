"""The networks that the benchmarks train and ask, each on one shape of picture, and their pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np

from experiments.benchmarks.timing import Call, Scale
from segjax.models import create
from segjax.training import Steps, TrainConfig, TrainState, make_steps

LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Case:
    """A network without normalisation and the square grey pictures that it is given."""

    network: str
    options: Mapping[str, int]
    side: int
    batch: int

    @property
    def name(self) -> str:
        options = " ".join(f"{option}={value}" for option, value in self.options.items())
        return f"{self.network} {options}, {self.side}x{self.side}, batch {self.batch}"

    @property
    def all_options(self) -> dict[str, int | str]:
        """What `segjax.models.create` is given."""
        return {**self.options, "norm": "none"}


def _hourglasses(network: str, levels: int) -> list[Case]:
    shapes = ((16, 256, 4), (32, 128, 4), (8, 128, 8))
    return [Case(network, {"width": width, "levels": levels}, side, batch) for width, side, batch in shapes]


CASES: dict[Scale, list[Case]] = {
    "full": [
        *_hourglasses("unet", 4),
        *_hourglasses("segnet", 5),
        Case("msd", {"depth": 50}, 128, 2),
        Case("msd", {"depth": 100}, 128, 2),
        Case("msd", {"depth": 50}, 256, 1),
    ],
    "smoke": [
        Case("unet", {"width": 2, "levels": 1}, 8, 2),
        Case("segnet", {"width": 2, "levels": 1}, 8, 2),
        Case("msd", {"depth": 2}, 8, 2),
    ],
}


def pictures(case: Case, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures float32 [B, H, W, 1], and targets int32 [B, H, W] that a threshold would find."""
    images = np.random.default_rng(seed).random((case.batch, case.side, case.side, 1), np.float32)
    return images, (images[..., 0] > 0.5).astype(np.int32)


def steps_of(case: Case) -> Steps:
    """Our compiled steps for the case."""
    config = TrainConfig(batch_size=case.batch, learning_rate=LEARNING_RATE)
    return make_steps(create(case.network, **case.all_options), config)


def start(case: Case) -> tuple[Steps, TrainState, np.ndarray, np.ndarray]:
    """Our compiled steps, the initial state, the pictures and their targets."""
    steps = steps_of(case)
    images, targets = pictures(case)
    return steps, steps.init(jax.random.key(0), images), images, targets


def training(steps: Steps, state: TrainState, images: np.ndarray, targets: np.ndarray) -> Call:
    """A call that takes one step from where the last one ended, and reads the loss."""

    batch = jax.device_put((images, targets))

    def step(number: int) -> float:
        nonlocal state
        state, loss = steps.train(state, *batch)
        return float(loss)

    return step
