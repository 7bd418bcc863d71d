"""TensorBoard's files of a run, beside its results: a tracker shows what happens, and is never the only copy of it."""

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segjax.interruption import check
from segjax.types import InputError

if TYPE_CHECKING:  # options are read without what results need
    from segjax.sweeps import Row


def check_tensorboard() -> None:
    """Raises InputError where the library that writes event files is missing."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise InputError("tensorboard: needs one more package: pip install 'segjax[tensorboard]'")


class Events:
    """Event files of a run in OUT/tensorboard; nothing is written where they were not asked for.

    What cannot be written is said once and fails nothing: the results hold it as well.
    """

    def __init__(self, out: Path, is_asked_for: bool) -> None:
        self._folder = out / "tensorboard" if is_asked_for else None
        self._is_warned = False

    def training(self, name: str, losses: np.ndarray) -> None:
        """Mean losses of every epoch, [E, 2], training and validation; those that are not finite have no point."""
        self._write("trainings", name, {"loss/training": losses[:, 0], "loss/validation": losses[:, 1]})

    def trial(self, name: str, rows: "Sequence[Row]") -> None:
        """The mean over pictures of every metric."""
        metrics = dict.fromkeys(row.metric for row in rows)
        means = {metric: [np.mean([row.value for row in rows if row.metric == metric])] for metric in metrics}
        self._write("trials", name, {f"metric/{metric}": value for metric, value in means.items()})

    def _write(self, kind: str, name: str, series: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
        if self._folder is None:
            return
        try:
            _write_scalars(self._folder / kind / name, series)
        except Exception as error:  # whatever the library makes of a disk
            check()  # libraries make errors of their own of a stop
            if not self._is_warned:
                said = f"{self._folder}: event files cannot be written there ({error})"
                warnings.warn(f"{said}; the results are not affected", stacklevel=3)
            self._is_warned = True


def _write_scalars(folder: Path, series: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
    from tensorboardX import SummaryWriter

    room = sum(map(len, series.values())) + 1  # the library's thread dies of a full disk, and then a full queue waits
    with SummaryWriter(str(folder), max_queue=room) as writer:
        for tag, values in series.items():
            for step, value in enumerate(values):
                if np.isfinite(value):
                    writer.add_scalar(tag, float(value), step)
