"""What a study will take on this machine, and what would make it cheaper, before anything is trained."""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from experiments.harness.layouts import step_seconds
from experiments.harness.options import flag_of, overlaid
from experiments.harness.store import Trainer
from experiments.harness.study import Context, Study
from segjax.sweeps.pace import in_words
from segjax.sweeps.trials import shard_of
from segjax.training.packs import first_batch
from segjax.types import InputError

ROW_BYTES = 100
PASSES_OF_A_STEP = 3  # a step is about three forward passes
TIMING_SECONDS = 5.0  # after which no further kind is timed
SEEDS = 5  # with as many test sets there are verdicts
SHOWN, LEAST_SAVING = 3, 0.1
AnyStudy = Study[Any, Any, Any, Any]
Here = Context[Any, Any, Any]


class Work(NamedTuple):
    """What some trials take: training steps (validation included) by kind of training, and trials."""

    steps: Mapping[str, float]
    trials: int


class Speed(NamedTuple):
    """How fast this machine is.

    Attributes:
        step: seconds per training step by kind.
        compiling: seconds of compiling a kind.
        timed: kinds whose steps were timed; those of the others follow from the operations that they take.
    """

    step: Mapping[str, float]
    compiling: float
    timed: frozenset[str]

    def seconds(self, work: Work) -> float:
        """Of some work, whose kinds are known."""
        return sum(count * self.step[kind] + self.compiling for kind, count in work.steps.items())


def work_of(study: AnyStudy, context: Here, trials: Sequence[Any]) -> Work:
    """The trainings that some trials need, each once, and where the study says so the passes that measuring takes."""
    trainer = context.store.trainer
    steps: dict[str, float] = defaultdict(float)
    for training in context.store.closure([one for trial in trials for one in study.needs(context, trial)]):
        kind, extent = trainer.kind(training), trainer.extent(training)
        loop = trainer.loop(kind)
        epoch = -(-extent.train // loop.batch_size) + extent.validation / loop.batch_size / PASSES_OF_A_STEP
        steps[kind] += loop.epochs * epoch
    passes = {key: count for trial in trials for key, count in study.passes(context, trial).items()}  # each made once
    for (training, _), count in passes.items():
        kind = trainer.kind(training)
        steps[kind] += count / PASSES_OF_A_STEP / trainer.loop(kind).batch_size
    return Work(steps, len(trials))


def time_steps(context: Here, work: Work) -> Speed:
    """Time a few steps of the kind that has most to do, and of others while `TIMING_SECONDS` have not gone by."""
    trainer, step, compiling = context.store.trainer, dict[str, float](), list[float]()
    operations = {kind: operations_of(trainer, kind) for kind in work.steps}
    began = time.monotonic()
    for kind in sorted(work.steps, key=lambda kind: -work.steps[kind] * operations[kind]):
        if step and time.monotonic() - began > TIMING_SECONDS:
            break
        before = time.monotonic()
        step[kind] = step_seconds(context.config.run, trainer.steps(kind), trainer.blank(kind), trainer.loop(kind))
        compiling.append(max(time.monotonic() - before - 2 * step[kind], 0.0))
    rate = sum(step.values()) / max(sum(operations[kind] for kind in step), 1.0)
    others = {kind: rate * operations[kind] for kind in work.steps if kind not in step}
    return Speed({**step, **others}, sum(compiling) / max(len(compiling), 1), frozenset(step))


def operations_of(trainer: Trainer[Any], kind: str) -> float:
    """Floating-point operations of one training step of a kind, counted before anything is compiled."""
    steps, batch = trainer.steps(kind), first_batch(trainer.blank(kind), trainer.loop(kind))
    state = jax.eval_shape(steps.init, jax.random.key(0), batch[0])
    counted = steps.train.lower(state, *batch).cost_analysis() or {}  # type: ignore[attr-defined]
    return max(float(counted.get("flops", 0.0)), 1.0)


def megabytes_of(context: Here, work: Work) -> float:
    """Of the results of some work."""
    return work.trials * (8 * len(context.data.split(0).test) + 4) * ROW_BYTES / 1e6


def cheaper(study: AnyStudy, context: Here, speed: Speed, seconds: float) -> list[tuple[str, float]]:
    """Options that leave something out of a study of some seconds, and what it then takes, the cheapest first.

    One has fewer seeds, one fewer epochs; every other one leaves out the value of an option that takes most.
    """
    config, found = context.config, dict[str, tuple[str, float]]()
    for flag, values, overlay in _smaller(config):
        try:
            changed = study.resolve(overlaid(config, overlay))
            trials = shard_of(study.trials(changed, context.data), config.run.shard)
        except InputError:
            continue
        store = study.trainings(changed, context.data)
        work = work_of(study, dataclasses.replace(context, config=changed, store=store), trials)
        if trials and work.steps.keys() <= speed.step.keys():
            takes = speed.seconds(work)
            is_told_apart = in_words(takes) != in_words(seconds)
            if is_told_apart and takes < min(found.get(flag, ("", seconds))[1], (1 - LEAST_SAVING) * seconds):
                found[flag] = f"{flag} {values}", takes
    return sorted(found.values(), key=lambda option: option[1])[:SHOWN]


def _smaller(config: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Flag, value and overlay of every change that leaves something out: seeds, epochs, or one of several values."""
    seeds = config.run.seeds
    if seeds > 1:
        fewer = SEEDS if seeds > SEEDS else seeds // 2
        yield "--seeds", str(fewer), {"run": {"seeds": fewer}}
    if (train := getattr(config, "train", None)) and train.loop.epochs > 1:
        fewer = train.loop.epochs // 2
        yield "--train.epochs", str(fewer), {"train": {"loop": {"epochs": fewer}}}
    for place, value in _arranged(config):
        for left_out in value if len(value) > 1 else ():
            kept = tuple(one for one in value if one != left_out)
            overlay: Mapping[str, Any] = {place[-1]: kept}
            for name in reversed(place[:-1]):
                overlay = {name: overlay}
            yield (
                flag_of(config, place),
                " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in kept),
                overlay,
            )


def _arranged(config: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
    """The options with several values that say which trials there are, with the names of their groups before theirs."""
    for one in dataclasses.fields(config):
        value, place = getattr(config, one.name), (*above, one.name)
        if one.metadata.get("decides") is False and isinstance(value, tuple):
            yield place, value
        elif "decides" not in one.metadata and dataclasses.is_dataclass(value):
            yield from _arranged(value, place)
