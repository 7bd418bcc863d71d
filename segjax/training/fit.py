"""The training loop: the one place that reads a clock, writes checkpoints and moves batches to the device."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Float64, Int32, Key

from segjax.training.checkpoints import restore_checkpoint, save_checkpoint
from segjax.training.state import Variables
from segjax.training.steps import Steps, TrainConfig
from segjax.types import InputError

Status = Literal["ok", "collapsed", "diverged"]

SMALLEST_GAIN = 1e-3  # relative fall of the validation loss that counts as progress
CHECKPOINT_SECONDS = 60.0
VALIDATION_BATCH = 8


class Pictures(NamedTuple):
    """Pictures of one size with their targets (class index per pixel, -1 ignored)."""

    images: Float32[np.ndarray, "P H W C"]
    targets: Int32[np.ndarray, "P H W"]


@dataclass(frozen=True)
class Fit:
    """A finished training.

    Attributes:
        variables: those of the epoch with the lowest validation loss.
        status: "ok"; "collapsed": only background is predicted; "diverged": the loss became NaN or infinite.
        losses: mean training and validation loss of every epoch.
        best_epoch: counted from 0.
        restarts: how many attempts before this one failed.
    """

    variables: Variables
    status: Status
    losses: Float64[np.ndarray, "E 2"]
    best_epoch: int
    restarts: int = 0


def batch_order(key: Key[Array, ""], epoch: int, count: int, config: TrainConfig) -> Int32[np.ndarray, "S B"]:
    """Which pictures each step of an epoch sees: a pure function of key and epoch.

    A permutation of the pictures; the last batch is filled up from the permutation's beginning.
    """
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch if config.shuffle else 0), count))
    steps = -(-count // config.batch_size)
    return np.resize(order, (steps, config.batch_size)).astype(np.int32)


def fit(
    key: Key[Array, ""],
    steps: Steps,
    train: Pictures,
    validation: Pictures,
    config: TrainConfig,
    *,
    checkpoints: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    on_epoch: Callable[[float], None] = lambda share: None,
) -> Fit:
    """Train until a run is sound: one that diverges or only predicts background starts again from the next key.

    Args:
        key: decides initial weights, order and augmentation; attempt n uses fold_in(key, n).
        checkpoints: folder for interrupted runs; a run found there goes on to the same bits.
        on_epoch: called after every epoch with the share of the epochs done.

    Raises:
        InputError: no training or validation pictures.
    """
    for name, pictures in (("training", train), ("validation", validation)):
        if len(pictures.images) == 0:
            raise InputError(f"no {name} pictures: give more pictures or groups")
    for attempt in range(config.restarts + 1):
        folder = checkpoints / f"attempt-{attempt}" if checkpoints else None
        attempt_key = jax.random.fold_in(key, attempt)
        result = _fit_once(attempt_key, steps, train, validation, config, folder, checkpoint_seconds, on_epoch)
        if result.status == "ok":
            break
    return Fit(result.variables, result.status, result.losses, result.best_epoch, attempt)


def _fit_once(key, steps, train, validation, config, checkpoints, checkpoint_seconds, on_epoch) -> Fit:
    key_init, key_order = jax.random.split(key)
    state = steps.init(key_init, jnp.asarray(train.images[: config.batch_size]))
    run = {
        "state": state,
        "best": _copy(state.variables),
        "best_loss": np.full((), np.inf),
        "best_epoch": np.zeros((), np.int64),
        "waited": np.zeros((), np.int64),
        "epoch": np.zeros((), np.int64),
        "losses": np.full((config.epochs, 2), np.nan),
    }
    if checkpoints is not None:
        run = restore_checkpoint(checkpoints, run) or run
    saved = time.monotonic()
    while not _ended(run, config):
        run = _one_epoch(run, key_order, steps, train, validation, config)
        on_epoch(int(run["epoch"]) / config.epochs)
        if checkpoints is not None and time.monotonic() - saved >= checkpoint_seconds:
            save_checkpoint(checkpoints, int(run["epoch"]), run)
            saved = time.monotonic()
    losses = run["losses"][: int(run["epoch"])]
    if not np.all(np.isfinite(losses)):
        status: Status = "diverged"
    else:
        foreground = _validate(steps, run["best"], validation)[1]
        status = "collapsed" if foreground == 0 and np.any(validation.targets > 0) else "ok"
    return Fit(run["best"], status, losses, int(run["best_epoch"]))


def _ended(run: dict, config: TrainConfig) -> bool:
    epoch = int(run["epoch"])
    diverged = epoch > 0 and not np.all(np.isfinite(run["losses"][epoch - 1]))
    plateau = config.stop == "plateau" and run["waited"] > config.patience
    return bool(epoch >= config.epochs or diverged or plateau)


def _one_epoch(run: dict, key_order, steps: Steps, train: Pictures, validation: Pictures, config: TrainConfig) -> dict:
    state, epoch, values = run["state"], int(run["epoch"]), []
    for batch in batch_order(key_order, epoch, len(train.images), config):
        state, value = steps.train(state, train.images[batch], train.targets[batch])
        values.append(value)
    loss = _validate(steps, state.variables, validation)[0]
    losses = run["losses"].copy()
    losses[epoch] = float(jnp.mean(jnp.stack(values))), loss
    gained = loss < run["best_loss"] * (1 - SMALLEST_GAIN)
    better = loss < run["best_loss"]
    return {
        "state": state,
        "best": _copy(state.variables) if better else run["best"],  # the step gives its state away
        "best_loss": np.full((), loss) if better else run["best_loss"],
        "best_epoch": np.full((), epoch) if better else run["best_epoch"],
        "waited": np.full((), 0 if gained else run["waited"] + 1),
        "epoch": np.full((), epoch + 1),
        "losses": losses,
    }


def _validate(steps: Steps, variables: Variables, pictures: Pictures) -> tuple[float, int]:
    """Mean loss per picture, and the number of foreground pixels predicted."""
    losses: list[float] = []
    foreground = 0
    for images, targets in zip(in_batches(pictures.images), in_batches(pictures.targets), strict=True):
        count = min(len(images), len(pictures.images) - len(losses))
        loss, pixels = steps.validate(variables, images, targets)
        losses.extend(np.asarray(loss, np.float64)[:count])
        foreground += int(np.sum(np.asarray(pixels, np.int64)[:count]))
    return float(np.mean(losses)), foreground


def predict(steps: Steps, variables: Variables, images: Float32[np.ndarray, "P H W C"]) -> Int32[np.ndarray, "P H W"]:
    """Class index of every pixel; each picture is treated alone."""
    batches = [np.asarray(steps.predict(variables, batch)) for batch in in_batches(images)]
    return np.concatenate(batches)[: len(images)]


def in_batches(array: np.ndarray) -> list[np.ndarray]:
    """Batches of one size, so that one compilation serves all; the last repeats its final entry."""
    size = min(VALIDATION_BATCH, len(array))
    indices = np.arange(-(-len(array) // size) * size).clip(max=len(array) - 1)
    return [array[chunk] for chunk in indices.reshape(-1, size)]


def _copy(variables: Variables) -> Variables:
    return jax.tree.map(jnp.copy, variables)
