"""Trainings that trials rest on: run in packs, and kept on disk for the trials that need them."""

import contextlib
import fcntl
import functools
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import jax

from experiments.harness.layouts import Layouts
from experiments.harness.options import RunOptions
from segjax.data import Split
from segjax.files import explained
from segjax.models.weights import load_weights, save_weights
from segjax.sweeps import file_stem
from segjax.sweeps.ledger import byte_of
from segjax.training import Fit, LoopConfig, Member, Pictures, Steps, fit_pack
from segjax.types import InputError

AnyTraining = TypeVar("AnyTraining", bound=Any)  # a frozen dataclass with a seed
Load = Callable[[AnyTraining], "Trained"]


class Trained(NamedTuple):
    """A finished training: weights, how it ended, how often it was begun again, and numbers known before it began."""

    variables: Any
    status: str
    restarts: int
    facts: dict[str, float]


@dataclass(frozen=True, eq=False)
class Job:
    """A training made ready."""

    train: Pictures
    validation: Pictures
    facts: dict[str, float] = field(default_factory=dict)


class Extent(NamedTuple):
    """Pictures per epoch that a training learns from, and that choose its best epoch."""

    train: int
    validation: int

    @classmethod
    def of(cls, split: Split) -> "Extent":
        """All training and validation pictures of a split."""
        return cls(len(split.train), len(split.validation))


class Trainer(ABC, Generic[AnyTraining]):
    """How the trainings of a study are made. A training is a frozen dataclass with a seed."""

    @abstractmethod
    def kind(self, training: AnyTraining) -> str:
        """What trainings that share compiled steps have in common; part of a file name."""

    @abstractmethod
    def make_steps(self, kind: str) -> Steps:
        """The steps of a kind; called once."""

    @abstractmethod
    def loop(self, kind: str) -> LoopConfig:
        """How long and in which batches a kind is trained."""

    @abstractmethod
    def job(self, training: AnyTraining, load: Load) -> Job:
        """A training made ready; `load` gives those that it needs."""

    @abstractmethod
    def extent(self, training: AnyTraining) -> Extent:
        """How many pictures it sees, without making it ready."""

    @abstractmethod
    def blank(self, kind: str) -> Pictures:
        """One batch of pictures that the kind's steps can be timed on."""

    def needs(self, training: AnyTraining) -> Sequence[AnyTraining]:
        """The trainings that must be there before one can begin."""
        return ()

    @functools.cached_property
    def steps(self) -> Callable[[str], Steps]:
        """The steps of a kind, made once."""
        return functools.cache(self.make_steps)


class TrainingStore(Generic[AnyTraining]):
    """Networks of one run by their trainings.

    Attributes:
        trainer: how they are made.
    """

    def __init__(self, run: RunOptions, trainer: Trainer[AnyTraining]) -> None:
        """Set up; nothing is trained or written."""
        self.trainer, self._run = trainer, run
        self._layouts = Layouts(run)
        self._locks = run.out / "networks" / ".lock"

    def closure(self, trainings: Sequence[AnyTraining]) -> list[AnyTraining]:
        """Some trainings and all that they need, each once."""
        found: dict[AnyTraining, None] = {}
        waiting = list(trainings)
        while waiting:
            training = waiting.pop(0)
            if training not in found:
                found[training] = None
                waiting += self.trainer.needs(training)
        return list(found)

    def ensure(self, trainings: Sequence[AnyTraining], on_share: Callable[[float], None] = lambda share: None) -> None:
        """Train what is not on disk yet, first whatever these trainings need themselves.

        Args:
            on_share: called with the share of the trainings that is done.
        """
        waves = [self._missing(trainings)]
        while waves[-1]:
            waves.append(self._missing([need for training in waves[-1] for need in self.trainer.needs(training)]))
        shares = {training: 0.0 for wave in waves for training in wave}

        def reached(training: AnyTraining, share: float) -> None:
            shares[training] = share
            on_share(sum(shares.values()) / len(shares))

        size = self._run.pack
        for wave in reversed(waves):
            kinds: dict[str, list[AnyTraining]] = {}
            for training in self._missing(wave):  # some may have been needed by an earlier wave
                kinds.setdefault(self.trainer.kind(training), []).append(training)
            for kind, alike in kinds.items():
                for start in range(0, len(alike), size):
                    with self.locked(alike[start : start + size]) as pack:
                        self._train(kind, pack, reached)

    @contextlib.contextmanager
    def locked(self, trainings: Sequence[AnyTraining]) -> Iterator[list[AnyTraining]]:
        """Wait until no other process trains any of the trainings; gives those that are still missing then.

        Every process locks in one order, so that none waits for one that waits for it; the system frees the locks of a
        process that dies.
        """
        with explained(self._locks):
            self._locks.parent.mkdir(parents=True, exist_ok=True)
            file = self._locks.open("ab+")
        with file:
            for byte in sorted(byte_of(training) for training in trainings):
                fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
            yield self._missing(trainings)

    def load(self, training: AnyTraining) -> Trained:
        """A finished training from disk. Raises InputError where the file is damaged or another one."""
        path = self.path(training)
        variables, facts = load_weights(path, is_ours=True)
        if not {"status", "restarts"} <= facts.keys():
            raise InputError(f"{path}: is not a network of this study; move it away, and it is trained again")
        return Trained(variables, facts.pop("status"), facts.pop("restarts"), facts)

    def drop(self, training: AnyTraining) -> None:
        """Remove a training that no other one needs."""
        self.path(training).unlink(missing_ok=True)

    def path(self, training: AnyTraining) -> Path:
        """The file of a finished training."""
        return self._run.out / "networks" / f"{file_stem(training)}.safetensors"

    def _missing(self, trainings: Sequence[AnyTraining]) -> list[AnyTraining]:
        return [training for training in dict.fromkeys(trainings) if not self.path(training).exists()]

    def _train(self, kind: str, pack: Sequence[AnyTraining], reached: Callable[[AnyTraining, float], None]) -> None:
        if not pack:
            return
        jobs = [self.trainer.job(training, self.load) for training in pack]
        members = [self._member(training, job, reached) for training, job in zip(pack, jobs, strict=True)]
        steps, loop = self.trainer.steps(kind), self.trainer.loop(kind)
        layout = self._layouts.of(kind, steps, members, loop)
        for index, fit in fit_pack(members, steps, loop, layout):
            self._keep(pack[index], jobs[index], fit)

    def _keep(self, training: AnyTraining, job: Job, fit: Fit) -> None:
        facts = {**job.facts, "status": fit.status, "restarts": fit.restarts}
        save_weights(self.path(training), fit.variables, facts)
        shutil.rmtree(self._checkpoints(training), ignore_errors=True)

    def _member(self, training: AnyTraining, job: Job, reached: Callable[[AnyTraining, float], None]) -> Member:
        # one key per seed: all trainings of a seed start from the same weights
        key = jax.random.key(training.seed)
        on_epoch = functools.partial(reached, training)
        return Member(key, job.train, job.validation, checkpoints=self._checkpoints(training), on_epoch=on_epoch)

    def _checkpoints(self, training: AnyTraining) -> Path:
        return self._run.out / "checkpoints" / file_stem(training)
