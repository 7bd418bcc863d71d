"""How long the networks of the package are trained: until their validation loss stops gaining."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from segjax.training import LoopConfig, Pictures, fit
from segjax.training.fit import Feed, Fit
from segjax.training.state import TrainState
from segjax.training.steps import Steps
from segjax.types import InputError


@dataclass(frozen=True)
class Schedule:
    """How long a network is trained: until the validation loss stops gaining, whatever it learns from.

    Attributes:
        starts: attempts from different initial weights; the one with the lowest validation loss goes on.
        tried: steps of an attempt.
        rates: step sizes of Adam, one after the other, each from the best weights that were found before.
        steps: most steps with one of them.
        patience: steps without a gain after which the next one follows.
    """

    starts: int = 3
    tried: int = 144
    rates: tuple[float, ...] = (2e-3, 4e-4)
    steps: int = 4000
    patience: int = 432


def learn(
    name: str,
    seed: int,
    steps: Steps,
    train: Feed | Pictures,
    validation: Pictures,
    schedule: Schedule,
    *,
    per_epoch: int,
    batch_size: int = 1,
    checkpoints: Path | None = None,
) -> tuple[Any, str]:
    """Variables of the lowest validation loss, rounded to float16, and what ended their training.

    Args:
        name: of the network, for messages.
        per_epoch: steps in an epoch.
        batch_size: of pictures; a feed has its own.
        checkpoints: folder from which a training that was stopped goes on.

    Raises:
        InputError: the training collapsed or diverged.
    """

    def epochs(count: int) -> int:
        return max(1, round(count / per_epoch))

    def stage(number: int, start: Fit | None, rate: float, count: int) -> Fit:
        begin = steps.init if start is None else partial(_begun, steps, start.variables)
        patience, restarts = epochs(schedule.patience), 3 * (start is None)
        loop = LoopConfig(batch_size, epochs(count), stop="plateau", patience=patience, restarts=restarts)
        kept = {"checkpoints": checkpoints / str(number), "checkpoint_seconds": 60.0} if checkpoints else {}
        key = jax.random.fold_in(jax.random.key(seed), number)
        return fit(key, replace(steps, init=begin), train, validation, loop, learning_rate=rate, **kept)

    tries = [stage(number, None, schedule.rates[0], schedule.tried) for number in range(schedule.starts)]
    best, told = min(tries, key=_lowest), [f"the best of {len(tries)} attempts" if tries[1:] else "one attempt"]
    for number, rate in enumerate(schedule.rates, schedule.starts):
        found = stage(number, best, rate, schedule.steps)
        count, most = (length * per_epoch for length in (len(found.losses), epochs(schedule.steps)))
        why = "by the most that it may be" if count == most else "as the validation loss no longer gained"
        told.append(f"{count} steps of {rate:g}, ended {why}")
        best = min(best, found, key=_lowest)
    if best.status != "ok":
        raise InputError(f"{name}: its training {best.status}; give the recipe other step sizes")
    return halved(best.variables), "; ".join(told)


def halved(variables: Any) -> Any:
    """Variables rounded to float16."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float16), variables)


def _begun(steps: Steps, variables: Any, key: Any, images: Any, rate: Any) -> TrainState:
    """The state of a training that goes on from some variables; steps give their states away, so these are copied."""
    own = jax.tree.map(jnp.copy, dict(variables))
    params = own.pop("params")
    return replace(steps.init(key, images, rate), params=params, model_state=own)


def _lowest(found: Fit) -> float:
    """Validation loss of the epoch that a training keeps."""
    return float(np.nanmin(found.losses[:, 1], initial=np.inf))
