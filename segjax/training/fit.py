"""The training loop: the one place that asks for checkpoints and moves batches to the device."""

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Float64, Int32, Key

from segjax.interruption import Stopped, check, later
from segjax.training.checkpoints import CHECKPOINT_SECONDS, Checkpoints
from segjax.training.state import Variables
from segjax.training.steps import Steps, check_choice, check_learning_rate
from segjax.types import InputError, Network, check_least

Status = Literal["ok", "collapsed", "diverged"]

SMALLEST_GAIN = 1e-3  # relative fall of the validation loss below that of the last gain
VALIDATION_BATCH = 8


@dataclass(frozen=True)
class LoopConfig:
    """How long a network is trained, and on which pictures at a time.

    Attributes:
        batch_size: pictures per step.
        epochs: passes over the training pictures; an upper bound with stop="plateau".
        stop: "fixed" trains all epochs; "plateau" ends after more than `patience` epochs in a row without a gain. A
            gain is a validation loss at least 0.1 % below that of the last gain, so small falls add up.
        patience: epochs without gain that stop="plateau" allows; the next one is the last.
        shuffle: a new order in every epoch; the published runs kept one order.
        restarts: how often a run that only predicts background or diverges is begun again from another start.
        first_epoch_counts: whether the first epoch may be the best; the published runs never kept it.
    """

    batch_size: int = 1
    epochs: int = 20
    stop: Literal["fixed", "plateau"] = "fixed"
    patience: int = 10
    shuffle: bool = True
    restarts: int = 3
    first_epoch_counts: bool = True

    def __post_init__(self) -> None:
        check_choice("stop", self.stop, ("fixed", "plateau"))
        check_least(self, batch_size=1, epochs=1, patience=1, restarts=0)
        if self.epochs == 1 and not self.first_epoch_counts:
            raise InputError("epochs: where the first epoch does not count, 1 leaves none to keep; give at least 2")


class Pictures(NamedTuple):
    """Pictures of one size with their targets.

    Attributes:
        images: float32 [P, H, W, C].
        targets: int32 [P, H, W], class index per pixel, -1 ignored; of a classifier [P]; or, for steps that make their
            targets themselves, a tree of arrays with one entry per picture, in the first of which objects are above 0.
    """

    images: Float32[np.ndarray, "P H W C"]
    targets: Any


@runtime_checkable
class Feed(Protocol):
    """Training pictures that are read while the network trains, such as `segjax.data.Patches`.

    Batch size, order and augmentation are the feed's: `LoopConfig.batch_size` and `shuffle` are not asked.
    """

    def first(self) -> tuple[Any, Any]:
        """A batch of the size that all have: images and targets."""
        ...

    def epoch(self, key: Any, epoch: int, first: int, /) -> Iterator[tuple[Any, Any]]:
        """The batches of an epoch from the step `first` on, a pure function of its arguments."""
        ...


@dataclass(frozen=True)
class Fit:
    """A finished training.

    Attributes:
        variables: those of the epoch with the lowest validation loss.
        status: "ok"; "collapsed": only background (class 0) is predicted; "diverged": the loss became NaN or infinite.
        losses: mean training and validation loss of every epoch.
        best_epoch: counted from 0.
        restarts: how many attempts before this one failed.
    """

    variables: Variables
    status: Status
    losses: Float64[np.ndarray, "E 2"]
    best_epoch: int
    restarts: int = 0


def batch_order(key: Key[Array, ""], epoch: int, count: int, config: LoopConfig) -> Int32[np.ndarray, "S B"]:
    """Which pictures each step of an epoch sees: a pure function of key and epoch.

    A permutation of the pictures; the last batch is filled up from the permutation's beginning.
    """
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch if config.shuffle else 0), count))
    steps = -(-count // config.batch_size)
    return np.resize(order, (steps, config.batch_size)).astype(np.int32)


@dataclass(frozen=True)
class Member:
    """One training of a pack.

    Attributes:
        key: decides initial weights, order and augmentation; attempt n uses fold_in(key, n).
        train: pictures to learn from, in memory or read while the network trains.
        validation: pictures that choose the best epoch.
        learning_rate: step size; None: that of the steps.
        checkpoints: folder for interrupted runs; a run found there goes on to the same bits.
        checkpoint_seconds: least time between two checkpoints; one is written, too, where a stop is asked for.
        checkpoint_epochs: epochs between two checkpoints, in place of seconds.
        made_by: what a checkpoint must have in common with this training, beside JAX's version, to be gone on with.
        is_shared: all processes of JAX have this training, on the same batches: process 0 keeps the checkpoints.
        on_epoch: called after every epoch with the share of the epochs done.
    """

    key: Key[Array, ""]
    train: Pictures | Feed
    validation: Pictures
    learning_rate: float | None = None
    checkpoints: Path | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    checkpoint_epochs: int | None = None
    made_by: Mapping[str, str] = field(default_factory=dict)
    is_shared: bool = False
    on_epoch: Callable[[float], None] = lambda share: None

    def __post_init__(self) -> None:
        for name, pictures in (("training", self.train), ("validation", self.validation)):
            if isinstance(pictures, Pictures) and len(pictures.images) == 0:
                raise InputError(f"no {name} pictures: give more pictures or groups")
            if isinstance(pictures, Pictures):
                _check_targets(name, pictures)
        if self.learning_rate is not None:
            check_learning_rate(self.learning_rate)


def _check_targets(name: str, pictures: Pictures) -> None:
    """Raises InputError unless every picture has a target of its size."""
    for target in jax.tree.leaves(pictures.targets):
        wanted = pictures.images.shape[:3] if target is pictures.targets and target.ndim == 3 else len(pictures.images)
        if (target.shape if isinstance(wanted, tuple) else len(target)) != wanted:
            raise InputError(
                f"{name} targets: have the shape {target.shape}, their pictures {pictures.images.shape}; give one each"
            )


class Call(NamedTuple):
    """What a training wants computed next: a function of `Steps` by name, and its arguments."""

    name: str
    arguments: tuple[Any, ...]


Training = Generator[Call, Any, Fit]


def training(member: Member, config: LoopConfig) -> Training:
    """A member's training as a generator, so that one alone and many in step run the same code.

    It yields calls and is sent their results, until it is sound: a run that diverges or only predicts background starts
    again from the next key, `config.restarts` times at most.
    """
    for attempt in range(config.restarts + 1):
        result = yield from _attempt(member, config, attempt)
        if result.status == "ok":
            break
    return dataclasses.replace(result, restarts=attempt)


def fit(
    key: Key[Array, ""], steps: Steps, train: Pictures | Feed, validation: Pictures, config: LoopConfig, **options: Any
) -> Fit:
    """Train one network; the options are the other attributes of `Member`.

    Raises:
        InputError: no training or validation pictures, or a learning rate that is not positive.
        Stopped: as `segjax.interruption` says, after a checkpoint.

    >>> from segjax.models import create
    >>> from segjax.training import StepConfig, make_steps
    >>> images = np.eye(8, dtype=np.float32)[None, ..., None]  # one picture, bright along its diagonal
    >>> pictures = Pictures(images, images[..., 0].astype(np.int32))  # what is bright is an object
    >>> steps = make_steps(create("msd", depth=1), StepConfig(learning_rate=0.1))
    >>> found = fit(jax.random.key(0), steps, pictures, pictures, LoopConfig(epochs=20))
    >>> found.status, found.losses.shape, bool((predict(steps, found.variables, images) == pictures.targets).all())
    ('ok', (20, 2), True)
    """
    work, answer = training(Member(key, train, validation, **options), config), None
    with later():
        while True:
            try:
                call = work.send(answer)
            except StopIteration as ended:
                return ended.value
            stop_where_asked([work])
            answer = getattr(steps, call.name)(*call.arguments)


def stop_where_asked(works: Iterable[Generator[Any, Any, Any]]) -> None:
    """Between two calls: trainings save what they have reached where a stop was asked for.

    Raises:
        Stopped: it was.
    """
    try:
        check()
    except Stopped as stopped:
        for work in works:
            try:
                work.throw(stopped)
            except Stopped as said:
                if said is not stopped:  # another signal, which does not wait
                    raise
        raise


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Run:
    """Where a training stands: what a checkpoint holds.

    Attributes:
        state: the newest TrainState.
        best: variables of the best epoch so far; best_loss, best_epoch: its validation loss and number.
        waited: epochs since the last gain, a function of the losses.
        epoch: epochs done.
        steps: steps done of the epoch that follows; total: sum of their losses, float32.
        losses: mean training and validation loss of every epoch, float64 [E, 2], NaN where not yet reached.
    """

    state: Any
    best: Any
    best_loss: Any
    best_epoch: Any
    waited: Any
    epoch: Any
    steps: Any
    total: Any
    losses: Any


def _attempt(member: Member, config: LoopConfig, attempt: int) -> Training:
    folder = member.checkpoints / f"attempt-{attempt}" if member.checkpoints else None
    key_init, key_order = jax.random.split(jax.random.fold_in(member.key, attempt))
    rate = () if member.learning_rate is None else (member.learning_rate,)
    state = yield Call("init", (key_init, jnp.asarray(first_batch(member.train, config)[0]), *rate))
    zero, losses = np.zeros((), np.int64), np.full((config.epochs, 2), np.nan)
    best = _copy(state.variables)  # the step gives its state away
    run = Run(state, best, np.full((), np.inf), zero, zero, zero, zero, np.zeros((), np.float32), losses)
    kept = Checkpoints(folder, member.made_by, member.checkpoint_seconds, member.checkpoint_epochs, member.is_shared)
    if (found := kept.restore(run)) is not None:
        # earlier versions counted otherwise
        run = dataclasses.replace(found, waited=_waited(found.losses[: int(found.epoch)]))
    try:
        while not _ended(run, config):
            for batch in _batches(member.train, key_order, run, config):
                state, loss = yield Call("train", (run.state, *batch))
                steps, total = np.full((), run.steps + 1), run.total + loss
                run = dataclasses.replace(run, state=state, steps=steps, total=total)
                kept.keep_where_due(run, int(run.epoch))
            mean, _ = yield from _validate(run.state.variables, member.validation)
            run = _after_epoch(run, mean, config)
            kept.keep_where_due(run, int(run.epoch))
            member.on_epoch(int(run.epoch) / config.epochs)
        losses = run.losses[: int(run.epoch)]
        if not np.all(np.isfinite(losses)):
            status: Status = "diverged"
        else:
            _, foreground = yield from _validate(run.best, member.validation)
            shows_objects = np.any(jax.tree.leaves(member.validation.targets)[0] > 0)
            status = "collapsed" if foreground == 0 and shows_objects else "ok"
    except Stopped as stopped:
        if not stopped.anywhere:
            kept.keep(run)
        raise
    return Fit(run.best, status, losses, int(run.best_epoch))


def _ended(run: Run, config: LoopConfig) -> bool:
    epoch = int(run.epoch)
    diverged = epoch > 0 and not np.all(np.isfinite(run.losses[epoch - 1]))
    plateau = config.stop == "plateau" and run.waited > config.patience
    return bool(epoch >= config.epochs or diverged or plateau)


def _after_epoch(run: Run, loss: float, config: LoopConfig) -> Run:
    """An epoch ends with this validation loss."""
    epoch, losses = int(run.epoch), run.losses.copy()
    losses[epoch] = np.float32(run.total) / np.float32(run.steps), loss
    counts = config.first_epoch_counts or epoch > 0
    better = counts and np.isfinite(losses[epoch, 0]) and loss < run.best_loss
    return Run(
        state=run.state,
        best=_copy(run.state.variables) if better else run.best,  # the step gives its state away
        best_loss=np.full((), loss) if better else run.best_loss,
        best_epoch=np.full((), epoch) if better else run.best_epoch,
        waited=_waited(losses[: epoch + 1]),
        epoch=np.full((), epoch + 1),
        steps=np.zeros((), np.int64),
        total=np.zeros((), np.float32),
        losses=losses,
    )


def _waited(losses: Float64[np.ndarray, "E 2"]) -> np.ndarray:
    """Epochs since the last gain, by the rule of `LoopConfig.stop`; the first epoch gains."""
    reference, waited = np.inf, 0
    for loss in losses[:, 1]:
        gained = loss < reference and loss <= reference * (1 - SMALLEST_GAIN)  # 0 after 0 is no gain
        reference, waited = (loss, 0) if gained else (reference, waited + 1)
    return np.full((), waited)


def _batches(train: Pictures | Feed, key, run: Run, config: LoopConfig) -> Iterator[Any]:
    """Those of the epoch that are left."""
    epoch, first = int(run.epoch), int(run.steps)
    if not isinstance(train, Pictures):
        return train.epoch(key, epoch, first)
    return (rows_of(train, rows) for rows in batch_order(key, epoch, len(train.images), config)[first:])


def first_batch(train: Pictures | Feed, config: LoopConfig) -> Any:
    """A batch of the size that all have, with the first pictures; where there are fewer, those that there are."""
    return rows_of(train, slice(config.batch_size)) if isinstance(train, Pictures) else train.first()


def _validate(variables: Variables, pictures: Pictures) -> Generator[Call, Any, tuple[float, int]]:
    """Mean loss per picture, and the number of foreground pixels (pictures) predicted."""
    losses: list[float] = []
    foreground = 0
    for batch in in_batches(pictures):
        count = min(len(batch.images), len(pictures.images) - len(losses))
        loss, pixels = yield Call("validate", (variables, *batch))
        losses.extend(np.asarray(loss, np.float64)[:count])
        foreground += int(np.sum(np.asarray(pixels, np.int64)[:count]))
    return float(np.mean(losses)), foreground


def predict(
    steps: Steps, variables: Variables, images: Float32[np.ndarray, "P H W C"]
) -> Int32[np.ndarray, "P *pixels"]:
    """Class index of every pixel, of a classifier every picture; each picture is treated alone.

    >>> from segjax.models import create
    >>> from segjax.training import StepConfig, make_steps
    >>> steps, images = make_steps(create("msd", depth=1), StepConfig()), np.zeros((3, 8, 8, 1), np.float32)
    >>> predict(steps, steps.init(jax.random.key(0), images).variables, images).shape
    (3, 8, 8)
    """
    batches = [np.asarray(steps.predict(variables, batch)) for batch in in_batches(images)]
    return np.concatenate(batches)[: len(images)]


def predict_logits(
    network: Network, variables: Variables, images: Float32[np.ndarray, "P H W C"]
) -> Float32[np.ndarray, "P *pixels K"]:
    """Logits of every pixel, of a classifier every picture; each picture is treated alone.

    >>> from segjax.models import create
    >>> network, images = create("msd", depth=1, classes=4), np.zeros((3, 8, 8, 1), np.float32)
    >>> variables = network.init(jax.random.key(0), jnp.asarray(images))
    >>> predict_logits(network, variables, images).shape
    (3, 8, 8, 4)
    """
    batches = [np.asarray(_logits(network)(variables, batch)) for batch in in_batches(images)]
    return np.concatenate(batches)[: len(images)]


@lru_cache(maxsize=16)
def _logits(network):
    return jax.jit(jax.vmap(lambda variables, image: network.apply(variables, image[None])[0], (None, 0)))


def in_batches(tree: Any) -> list[Any]:
    """Batches of one size of an array or a tree, so that one compilation serves all; the last repeats its end."""
    count = len(jax.tree.leaves(tree)[0])
    size = min(VALIDATION_BATCH, count)
    indices = np.arange(-(-count // size) * size).clip(max=count - 1)
    return [rows_of(tree, chunk) for chunk in indices.reshape(-1, size)]


def rows_of(tree: Any, rows: Any) -> Any:
    """Some entries of an array, or of every array of a tree."""
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def _copy(variables: Variables) -> Variables:
    return jax.tree.map(jnp.copy, variables)
