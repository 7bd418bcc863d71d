"""Trainings that trials rest on: run in packs, and kept on disk for the trials that need them."""

import contextlib
import functools
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import jax

from experiments.harness.core_counts import cores_here
from experiments.harness.cut_off import CUT_OFF, was_cut_off
from experiments.harness.events import Events
from experiments.harness.layouts import Layouts
from experiments.harness.networks import facts_of
from experiments.harness.options import RunOptions, checkpoint_options
from segjax.claims import Claims
from segjax.data import Split
from segjax.files import PATIENCE, Damaged, set_aside
from segjax.interruption import check, later
from segjax.models.pretrained import check_version
from segjax.models.weights import load_weights, save_weights
from segjax.sweeps.trials import described, file_stem
from segjax.training import Fit, LoopConfig, Member, Pictures, Steps, fit_pack
from segjax.training.memory import without_memory
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
        events: event files of this run.
        made_by: what a checkpoint must have in common with this run to be gone on with: configuration and code.
    """

    def __init__(self, run: RunOptions, trainer: Trainer[AnyTraining]) -> None:
        """Set up; nothing is trained or written."""
        self.trainer, self._run = trainer, run
        self.made_by: Mapping[str, str] = {}
        self._layouts = Layouts(run)
        self.events = Events(run.out, run.tensorboard)
        self._claims, self._held = Claims(run.out / "networks"), set[str]()
        self._failed: dict[AnyTraining, Exception] = {}
        self._cores: dict[AnyTraining, set[int]] = {}  # of the trainings that were read here
        self._cut_off: set[AnyTraining] = set()  # of those

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

        A training that fails does not stop the others; `load` raises its error, and it is not tried again here.

        Args:
            on_share: called with the share of the trainings that is done.

        Raises:
            InputError: the pictures or the disk cannot be used.
            Stopped: a stop was asked for; what is being trained has saved where it is.
        """
        check()
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

        Every process claims in one order, so that none waits for one that waits for it; the claims of a process that
        dies are free.
        """
        own = {file_stem(training): training for training in trainings}
        taken: list[str] = []
        try:
            for name in sorted(own.keys() - self._held):
                for _ in self._claims.wait(name):
                    check()
                self._held.add(name)
                taken.append(name)
            yield self._missing(trainings)
        finally:
            for name in taken:
                self._held.remove(name)
                self._claims.release(name, done=self.path(own[name]).exists())
            if not self._held:
                self._claims.close()

    def load(self, training: AnyTraining) -> Trained:
        """A finished training from disk; one whose file is damaged or gone is trained again.

        Raises:
            Exception: what ended the training.
        """
        if training not in self._failed:
            try:
                return self._read(training)
            except Damaged:
                pass
            with self.locked([training]):
                self._set_damaged_aside(training)
                self.ensure([training])
        if training in self._failed:
            raise self._failed[training]
        return self._read(training)

    def _read(self, training: AnyTraining) -> Trained:
        path = self.path(training)
        if not path.exists():
            raise Damaged(f"{path}: is missing; start the study again to train it")
        variables, facts = load_weights(path, is_ours=True)
        if not {"status", "restarts"} <= facts.keys():
            raise Damaged(f"{path}: is not a network of this study; move it away, so that it is trained again")
        check_version(path, facts)
        self._cores[training] = set(facts.pop("cores", ()))  # earlier versions kept neither
        if facts.pop(CUT_OFF, False):
            self._cut_off.add(training)
        for of_network in ("version", "network", "options"):
            facts.pop(of_network, None)
        return Trained(variables, facts.pop("status"), facts.pop("restarts"), facts)

    def _set_damaged_aside(self, training: AnyTraining) -> None:
        path = self.path(training)
        try:
            self._read(training)  # another process may have made it anew
        except Damaged as error:
            if path.exists():
                reason = str(error).partition(";")[0]
                warnings.warn(f"{reason}; it is now {set_aside(path).name}, and trained again", stacklevel=3)

    def drop(self, training: AnyTraining) -> None:
        """Remove a training that no other one needs."""
        self.path(training).unlink(missing_ok=True)

    def path(self, training: AnyTraining) -> Path:
        """The file of a finished training."""
        return self._run.out / "networks" / f"{file_stem(training)}.safetensors"

    def cores_of(self, trainings: Sequence[AnyTraining]) -> set[int]:
        """Numbers of cores of this process, and of those that made these trainings where they were read here."""
        return {cores_here()}.union(*(self._cores.get(training, ()) for training in trainings))

    def any_cut_off(self, trainings: Sequence[AnyTraining]) -> bool:
        """Whether one of these trainings, read here, or one that it rests on was cut off while it still gained."""
        return not self._cut_off.isdisjoint(trainings)

    def _missing(self, trainings: Sequence[AnyTraining]) -> list[AnyTraining]:
        return [one for one in dict.fromkeys(trainings) if one not in self._failed and not self.path(one).exists()]

    def _train(self, kind: str, pack: Sequence[AnyTraining], reached: Callable[[AnyTraining, float], None]) -> None:
        jobs = {training: job for training in pack if (job := self._job(training)) is not None}
        if not jobs:
            return
        members = [self._member(training, job, reached) for training, job in jobs.items()]
        steps, loop = self.trainer.steps(kind), self.trainer.loop(kind)
        layout, ready = self._layouts.of(kind, steps, members, loop), list(jobs)
        with later():  # what has ended is kept before a stop
            lessen = functools.partial(self._layouts.lessen, kind)
            for index, found in fit_pack(members, steps, loop, layout, lessen):
                if isinstance(found, Fit):
                    self._keep(ready[index], jobs[ready[index]], found)
                else:
                    self._failed[ready[index]] = found

    def _job(self, training: AnyTraining) -> Job | None:
        try:
            return self.trainer.job(training, self.load)
        except InputError:
            raise
        except Exception as error:
            check()  # libraries make errors of their own of a stop
            self._failed[training] = without_memory(error)
            return None

    def _keep(self, training: AnyTraining, job: Job, fit: Fit) -> None:
        needed, kind = self.trainer.needs(training), self.trainer.kind(training)
        cut_off = was_cut_off(fit, self.trainer.loop(kind)) or self.any_cut_off(needed)
        facts = {**job.facts, "status": fit.status, "restarts": fit.restarts, "cores": sorted(self.cores_of(needed))}
        facts |= {CUT_OFF: cut_off, **facts_of(self.trainer.steps(kind).network)}
        save_weights(self.path(training), fit.variables, facts, patience=PATIENCE)
        shutil.rmtree(self._checkpoints(training), ignore_errors=True)
        self.events.training(file_stem(training), fit.losses)

    def _member(self, training: AnyTraining, job: Job, reached: Callable[[AnyTraining, float], None]) -> Member:
        # one key per seed: all trainings of a seed start from the same weights
        key = jax.random.key(training.seed)
        return Member(
            key,
            job.train,
            job.validation,
            checkpoints=self._checkpoints(training),
            made_by={"training": described(training), "number of cores": str(cores_here()), **self.made_by},
            on_epoch=functools.partial(reached, training),
            **checkpoint_options(self._run.checkpoint_every),
        )

    def _checkpoints(self, training: AnyTraining) -> Path:
        return self._run.out / "checkpoints" / file_stem(training)
