"""Ways to take one training step of all members of a pack: networks that share shapes but not weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.networks import Case, NetworkOptions, pictures, steps_of
from experiments.benchmarks.timing import Call, Scale
from segjax.training import Steps, TrainState
from segjax.training.fit import Call as Asked
from segjax.training.packs import Work, drive, layout_of

CASES: dict[Scale, Case] = {
    "full": Case("unet", {"width": 8, "levels": 3}, (64, 64), 4),
    "smoke": Case("unet", {"width": 2, "levels": 1}, (8, 8), 2),
}
PUBLISHED = Case("unet", {"width": 64, "levels": 4}, (128, 128), 4)
MEMBERS: dict[Scale, tuple[int, ...]] = {"full": (1, 2, 4, 8, 16), "smoke": (1, 2)}


@dataclass(frozen=True)
class Pack:
    """Members to train.

    Attributes:
        steps: the compiled steps of one member.
        states: initial state of each; a step gives its state away, so every way starts from a pack of its own.
        images: float32 [M, B, H, W, C].
        targets: int32 [M, B, H, W].
    """

    steps: Steps
    states: list[TrainState]
    images: np.ndarray
    targets: np.ndarray


def pack_cases(options: NetworkOptions) -> list[Case]:
    """What every member is, in every precision asked for."""
    case = PUBLISHED if options.published else CASES[options.scale]
    return [replace(case, precision=precision) for precision in options.precision]


def pack_of(case: Case, members: int) -> Pack:
    """Members with their own keys and pictures."""
    steps = steps_of(case)
    images, targets = (np.stack(part) for part in zip(*(pictures(case, m) for m in range(members)), strict=True))
    return Pack(steps, [steps.init(jax.random.key(m), images[m]) for m in range(members)], images, targets)


def one_after_the_other(pack: Pack) -> Call:
    states = list(pack.states)
    batches = jax.device_put(list(zip(pack.images, pack.targets, strict=True)))

    def step(number: int) -> list[float]:
        losses = []
        for member, state in enumerate(states):
            states[member], loss = pack.steps.train(state, *batches[member])
            losses.append(loss)
        return [float(loss) for loss in losses]

    return step


def in_one_step(pack: Pack) -> Call:
    """jax.vmap of the step, with the batching rules of our convolutions."""
    train = jax.jit(jax.vmap(pack.steps.train), donate_argnums=0)
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pack.states)
    batches = jax.device_put((pack.images, pack.targets))
    compiled = train.lower(states, *batches).compile()

    def step(number: int) -> list[float]:
        nonlocal states
        states, losses = compiled(states, *batches)
        return losses.tolist()

    return step


def plain_vmap(pack: Pack) -> Call:
    """jax.vmap of the step with the library's convolution, which becomes a grouped one."""

    def library(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    jax.clear_caches()  # or the step would be taken from where it was traced with our convolution
    with mock.patch("segjax.models.layers.convolve", library):
        return in_one_step(pack)


def spread(pack: Pack) -> Call:
    """As `fit_pack` does it with strategy "spread": a thread per core or device, each with its share of the members."""
    states = list(pack.states)
    batches = jax.device_put(list(zip(pack.images, pack.targets, strict=True)))
    layout = layout_of("spread", len(states))

    def one_step(member: int) -> Work:
        states[member], loss = yield Asked("train", (states[member], *batches[member]))
        return float(loss)

    def step(number: int) -> list[float]:
        return [loss for _, loss in sorted(drive([one_step(m) for m in range(len(states))], pack.steps, layout))]

    return step


# Way -> call for a pack, which takes one step of all members and returns when all are done.
STRATEGIES: dict[str, Callable[[Pack], Call]] = {
    "one after the other": one_after_the_other,
    "spread over cores or devices": spread,
    "vmap with our convolutions": in_one_step,
    "plain vmap": plain_vmap,
}
