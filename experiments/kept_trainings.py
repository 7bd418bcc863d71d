"""Trainings that several cells of a study rest on: run in packs, and kept on disk for the cells that need them."""

import contextlib
import fcntl
import functools
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments.options import RunOptions
from experiments.training import Layouts
from segjax.models import load_weights, save_weights
from segjax.sweeps import Cell, fingerprint
from segjax.training import Fit, Member, Pictures, Steps, TrainConfig, fit_pack


class Trained(NamedTuple):
    """A finished training: weights, how it ended, how often it was begun again, and numbers known before it began."""

    variables: Any
    status: str
    restarts: int
    facts: dict[str, float]


@dataclass(frozen=True, eq=False)
class Job:
    """A training made ready."""

    cell: Cell
    train: Pictures
    validation: Pictures
    facts: dict[str, float] = field(default_factory=dict)


class KeptTrainings(ABC):
    """Networks of one study by their cells; every kind of steps is compiled once."""

    def __init__(
        self,
        config: RunOptions,
        kind_of: Callable[[Cell], str],
        needs_of: Callable[[Cell], Sequence[Cell]] = lambda cell: (),
    ) -> None:
        """Set up; nothing is trained or written.

        Args:
            kind_of: what trainings that share compiled steps have in common; a file name.
            needs_of: the trainings that must be there before one can begin.
        """
        self._options = config
        self.kind_of, self.needs_of = kind_of, needs_of
        self._layouts = Layouts(config)
        self.steps = functools.cache(self.make_steps)
        self._locks = config.out / "networks" / ".lock"

    @abstractmethod
    def make_steps(self, kind: str) -> Steps:
        """The steps of one kind of trainings; called once."""

    def train_config(self, kind: str) -> TrainConfig:
        """How trainings of one kind are trained: as the options say."""
        return self._options.train

    @abstractmethod
    def job(self, cell: Cell) -> Job:
        """The training of a cell made ready."""

    def ensure(self, cells: Sequence[Cell], on_share: Callable[[float], None] = lambda share: None) -> None:
        """Train what is not on disk yet, first whatever these trainings need themselves.

        Args:
            on_share: called with the share of the trainings that is done.
        """
        waves = [self._missing(cells)]
        while waves[-1]:
            waves.append(self._missing([need for cell in waves[-1] for need in self.needs_of(cell)]))
        shares = {cell: 0.0 for wave in waves for cell in wave}

        def reached(cell: Cell, share: float) -> None:
            shares[cell] = share
            on_share(sum(shares.values()) / len(shares))

        size = self._options.pack
        for wave in reversed(waves):
            kinds: dict[str, list[Cell]] = {}
            for cell in self._missing(wave):  # some may have been needed by an earlier wave
                kinds.setdefault(self.kind_of(cell), []).append(cell)
            for kind, alike in kinds.items():
                for start in range(0, len(alike), size):
                    with self.locked(alike[start : start + size]) as pack:
                        self._train(kind, pack, reached)

    @contextlib.contextmanager
    def locked(self, cells: Sequence[Cell]) -> Iterator[list[Cell]]:
        """Wait until no other process trains any of the cells; gives those that are still missing then.

        Every process locks in one order, so that none waits for one that waits for it; the system frees the locks of a
        process that dies.
        """
        self._locks.parent.mkdir(parents=True, exist_ok=True)
        with self._locks.open("a+") as file:
            for byte in sorted(int(fingerprint(dict(cell.factors))[:15], 16) for cell in cells):
                fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
            yield self._missing(cells)

    def _missing(self, cells: Sequence[Cell]) -> list[Cell]:
        return [cell for cell in dict.fromkeys(cells) if not self._path(cell).exists()]

    def load(self, cell: Cell) -> Trained:
        """A finished training from disk."""
        variables, noted = load_weights(self._path(cell))
        return Trained(jax.device_put(variables), **noted)

    def drop(self, cell: Cell) -> None:
        """Remove a training that no other one needs."""
        self._path(cell).unlink(missing_ok=True)

    def _path(self, cell: Cell) -> Path:
        return self._options.out / "networks" / f"{name_of(cell)}.safetensors"

    def _train(self, kind: str, pack: Sequence[Cell], reached: Callable[[Cell, float], None]) -> None:
        if not pack:
            return
        jobs = [self.job(cell) for cell in pack]
        members = [self._member(job, reached) for job in jobs]
        steps = self.steps(kind)
        layout = self._layouts.of(kind, steps, members)
        for index, fit in fit_pack(members, steps, self.train_config(kind), layout):
            self._keep(jobs[index], fit)

    def _keep(self, job: Job, fit: Fit) -> None:
        noted = {"status": fit.status, "restarts": fit.restarts, "facts": job.facts}
        save_weights(self._path(job.cell), fit.variables, noted)
        shutil.rmtree(self._checkpoints(job.cell), ignore_errors=True)

    def _member(self, job: Job, reached: Callable[[Cell, float], None]) -> Member:
        # one key per seed: all methods of a seed start from the same weights
        key = jax.random.key(job.cell["seed"])
        on_epoch = functools.partial(reached, job.cell)
        return Member(key, job.train, job.validation, checkpoints=self._checkpoints(job.cell), on_epoch=on_epoch)

    def _checkpoints(self, cell: Cell) -> Path:
        return self._options.out / "checkpoints" / name_of(cell)


def name_of(cell: Cell) -> str:
    """A file name: the factors but the data, spelt without spaces."""
    return "_".join(str(value).replace(" ", "-") for name, value in cell.factors if name != "data")
