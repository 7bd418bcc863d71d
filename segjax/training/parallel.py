"""Steps over several devices or processes: `Steps` whose batches are spread over a mesh, or over `jax.pmap`.

Both give the numbers of one device up to rounding: batch statistics, loss and gradient are those of the whole batch.
A batch that the devices do not divide is filled up with blank pictures that are masked out.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from segjax.training.augment import flip_and_turn
from segjax.training.state import TrainState
from segjax.training.steps import StepConfig, Steps, compiled, initial_state, make_steps, pure_step
from segjax.types import Network

DATA, MEMBER = "data", "member"


def cores() -> int:
    """Cores that JAX computes on in this process: as many as it is told, else those that the process may run on."""
    for name in ("PJRT_NPROC", "NPROC"):  # which JAX asks, in this order
        if (told := os.environ.get(name, "")).isdecimal():
            return max(int(told), 1)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_mesh(devices: list[jax.Device] | None = None, members: int = 1) -> Mesh:
    """A mesh of all devices (default), or of those given: `members` rows along "member", the rest along "data"."""
    placed = np.asarray(jax.devices() if devices is None else devices)
    return Mesh(placed.reshape(members, -1), (MEMBER, DATA))


def make_sharded_steps(network: Network, config: StepConfig, mesh: Mesh) -> Steps:
    """Steps as `make_steps` gives them, with the pictures of a batch spread over "data" by named sharding.

    Every process must be given the same pictures; each puts those on its devices that they need.
    """
    train = compiled(network, _augmented(pure_step(network, config), config), donate_argnums=0)
    return _spread_steps(network, config, mesh, lambda state, batch: train(state, *_on(mesh, batch)))


def make_pmap_steps(network: Network, config: StepConfig, devices: list[jax.Device] | None = None) -> Steps:
    """Steps as `make_steps` gives them, with the pictures of a batch spread over devices by `jax.pmap`.

    Args:
        devices: those of one process; by default all local ones.
    """
    mesh = Mesh(np.asarray(jax.local_devices() if devices is None else devices), (DATA,))
    count = mesh.shape[DATA]
    aware: Any = network
    if hasattr(network, "axis"):
        aware = aware.clone(axis=DATA)
    mapped = jax.pmap(
        pure_step(aware, config, DATA), DATA, in_axes=(None, 0, 0, 0), out_axes=None, devices=list(mesh.devices.flat)
    )
    turn = jax.jit(flip_and_turn)

    def train(state, batch):
        images, targets, present = batch
        if config.augment:
            images, targets = turn(jax.random.fold_in(state.key, state.step), images, targets)
        return mapped(state, *(_rows(part, count) for part in (images, targets, present)))

    return _spread_steps(network, config, mesh, train)


def pack_step(network: Network, config: StepConfig, mesh: Mesh) -> Callable[..., tuple[TrainState, jax.Array]]:
    """Compiled step of M members: (states [M, ...], images [M, B, H, W, C], targets [M, B, H, W]) -> states, losses.

    Members are spread over "member" and their batches over "data"; M and B must be multiples of those axes.
    """
    rows = PartitionSpec(MEMBER)
    # each device row maps over its own members: left to the compiler, it would divide grouped convolutions and fail
    share = jax.shard_map(
        jax.vmap(_augmented(pure_step(network, config), config)),
        mesh=mesh,
        in_specs=rows,
        out_specs=rows,
        axis_names={MEMBER},
        check_vma=False,
    )
    members, pictures = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((MEMBER,), (MEMBER, DATA)))
    shardings = {"in_shardings": (members, pictures, pictures), "out_shardings": (members, members)}
    return compiled(network, share, donate_argnums=0, **shardings)


def _augmented(step, config: StepConfig):
    def train(state, images, targets, present=None):
        if config.augment:
            images, targets = flip_and_turn(jax.random.fold_in(state.key, state.step), images, targets)
        return step(state, images, targets, present)

    return train


def _spread_steps(network, config, mesh: Mesh, train) -> Steps:
    """Initial weights and single-picture functions of one device, on every device of the mesh."""
    count = mesh.shape[DATA]
    everywhere = NamedSharding(mesh, PartitionSpec())
    single = make_steps(network, config)
    init = jax.jit(initial_state(network, config), out_shardings=everywhere)

    def train_batch(state, images, targets):
        return train(state, _filled(images, targets, count))

    def on_every_device(function):
        return lambda variables, *pictures: function(variables, *(_put(part, everywhere) for part in pictures))

    return Steps(
        lambda key, images, learning_rate=config.learning_rate: init(key, np.asarray(images), learning_rate),
        train_batch,
        on_every_device(single.validate),
        on_every_device(single.predict),
    )


def _filled(images, targets, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures, targets and a mask of the true ones, filled up to a multiple of `count` with ignored blanks."""
    missing = -len(images) % count
    margin = [(0, missing)]
    images = np.pad(images, margin + [(0, 0)] * 3)
    targets = np.pad(targets, margin + [(0, 0)] * (targets.ndim - 1), constant_values=-1)
    return images, targets, np.arange(len(images)) < len(images) - missing


def _rows(batch, count: int) -> np.ndarray:
    """One row per device; on the host, from where `jax.pmap` places each."""
    held = np.asarray(batch)
    return held.reshape(count, -1, *held.shape[1:])


def _on(mesh: Mesh, parts) -> list[jax.Array]:
    return [_put(part, NamedSharding(mesh, PartitionSpec(DATA))) for part in parts]


def _put(array: Any, sharding: NamedSharding) -> jax.Array:
    """An array that every process holds whole, placed on the devices of all of them."""
    held = np.asarray(array)
    return jax.make_array_from_callback(held.shape, sharding, lambda index: held[index])
