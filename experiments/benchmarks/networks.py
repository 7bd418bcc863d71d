"""The networks that the benchmarks train and ask, each on one shape of picture, and their pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np

from experiments.benchmarks.timing import Call, Scale, TimingOptions
from segjax.models import create
from segjax.training import StepConfig, Steps, TrainState, make_steps
from segjax.types import InputError

LEARNING_RATE = 1e-4
Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class NetworkOptions(TimingOptions):
    precision: tuple[Precision, ...] = ("float32",)
    """Number formats to compute with, for example: --precision float32 tf32 bfloat16. tf32 is float32 with shorter
    products on a GPU. bfloat16 is autocast in PyTorch."""
    published: bool = False
    """Use the published networks and pictures described above; needs a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.published and self.scale == "smoke":
            raise InputError("published: give either --published or --smoke, not both")
        if not self.precision or len(set(self.precision)) < len(self.precision):
            raise InputError(f"precision: name each once, and at least one, not {' '.join(self.precision) or 'none'}")
        if "tf32" in self.precision and jax.default_backend() == "cpu":
            raise InputError("precision: tf32 is float32 on CPU; leave it out")


@dataclass(frozen=True)
class Case:
    """A network without normalisation, the grey pictures that it is given, and how it computes."""

    network: str
    options: Mapping[str, int]
    size: tuple[int, int]
    batch: int
    precision: Precision = "float32"

    @property
    def name(self) -> str:
        options = " ".join(f"{option}={value}" for option, value in self.options.items())
        height, width = self.size
        return f"{self.network} {options}, {height}x{width}, batch {self.batch}, {self.precision}"

    @property
    def all_options(self) -> dict[str, Any]:
        """What `segjax.models.create` is given."""
        return {**self.options, "norm": "none"}


def _hourglasses(network: str, levels: int) -> list[Case]:
    shapes = ((16, 256, 4), (32, 128, 4), (8, 128, 8))
    return [Case(network, {"width": width, "levels": levels}, (side, side), batch) for width, side, batch in shapes]


CASES: dict[Scale, list[Case]] = {
    "full": [
        *_hourglasses("unet", 4),
        *_hourglasses("segnet", 5),
        Case("msd", {"depth": 50}, (128, 128), 2),
        Case("msd", {"depth": 100}, (128, 128), 2),
        Case("msd", {"depth": 50}, (256, 256), 1),
    ],
    "smoke": [
        Case("unet", {"width": 2, "levels": 1}, (8, 8), 2),
        Case("segnet", {"width": 2, "levels": 1}, (8, 8), 2),
        Case("msd", {"depth": 2}, (8, 8), 2),
    ],
}
# As published but for the normalisation; larger batches would cost minutes of choosing algorithms per case on a GPU.
PUBLISHED = [
    Case(network, options, size, batch)
    for network, options in (
        ("unet", {"width": 64, "levels": 4}),
        ("segnet", {"width": 64, "levels": 5}),
        ("msd", {"depth": 100}),
    )
    for size, batch in (((256, 256), 4), ((512, 512), 1), ((565, 807), 1))
]


def cases(options: NetworkOptions) -> list[Case]:
    """Every case in every precision asked for."""
    sizes = PUBLISHED if options.published else CASES[options.scale]
    return [replace(case, precision=precision) for case in sizes for precision in options.precision]


def pictures(case: Case, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures float32 [B, H, W, 1], and targets int32 [B, H, W] that a threshold would find."""
    images = np.random.default_rng(seed).random((case.batch, *case.size, 1), np.float32)
    return images, (images[..., 0] > 0.5).astype(np.int32)


def set_products(precision: Precision) -> None:
    """Put in force, in JAX, how many bits products of float32 read."""
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if precision == "tf32" else "float32")


def steps_of(case: Case) -> Steps:
    """Our compiled steps for the case; from here on JAX computes in its precision."""
    set_products(case.precision)
    config = StepConfig(learning_rate=LEARNING_RATE)
    dtype = "bfloat16" if case.precision == "bfloat16" else "float32"
    return make_steps(create(case.network, **case.all_options, dtype=dtype), config)


def start(case: Case) -> tuple[Steps, TrainState, np.ndarray, np.ndarray]:
    """Our compiled steps, the initial state, the pictures and their targets."""
    steps = steps_of(case)
    images, targets = pictures(case)
    return steps, steps.init(jax.random.key(0), images), images, targets


def training_call(steps: Steps, state: TrainState, images: np.ndarray, targets: np.ndarray) -> Call:
    """A call that takes one step from where the last one ended, and reads the loss."""

    batch = jax.device_put((images, targets))

    def step(number: int) -> float:
        nonlocal state
        state, loss = steps.train(state, *batch)
        return float(loss)

    return step
