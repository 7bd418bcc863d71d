"""A study that learns nothing, on pictures of nothing: what the harness does with it can be counted by hand."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.harness.options import DataOptions, Flat, RunOptions, arranges, decides
from experiments.harness.store import Extent, Job, Trainer, TrainingStore
from experiments.harness.study import Analysis, Study
from segjax.data import make_split
from segjax.reports import Chart
from segjax.sweeps import Outcome, Row
from segjax.training import LoopConfig, Pictures, Steps

LOOP = LoopConfig(epochs=2, batch_size=2)


@dataclass(frozen=True)
class Config:
    """How little a study needs."""

    run: Annotated[RunOptions, Flat]
    source: Annotated[DataOptions, Flat] = DataOptions(data="folder:nowhere")
    strengths: tuple[float, ...] = arranges((1.0, 2.0))
    """Strengths that are tried."""
    depth: int = decides(1)
    """Decides what comes out."""


@dataclass(frozen=True)
class Trial:
    method: str
    seed: int
    strength: float = 0.0


@dataclass(frozen=True)
class Training:
    """A "base", or a "head" that needs the base of its seed."""

    part: str
    seed: int
    strength: float = 0.0


@dataclass(frozen=True)
class Source:
    """Eight pictures in four groups."""

    spec: str = "folder:nowhere"
    digest: str = "0123456789abcdef"
    names: tuple[str, ...] = tuple("abcdefgh")
    groups: tuple[str, ...] = ("g1", "g1", "g2", "g2", "g3", "g3", "g4", "g4")
    class_names: tuple[str, ...] = ("cell",)
    label_names: tuple[str, ...] = ()
    test_groups: frozenset[str] = frozenset()
    coarsening: float = 2.0

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        raise AssertionError("nobody looks at these pictures")


class Data:
    """Two pictures test, four train and two validate, until a group is reserved for testing."""

    def __init__(self, config, source=None):
        self.source = source or Source()
        options = {"folds": config.source.folds, "validation": "group", "validation_share": 0.3}
        self.split = functools.cache(
            lambda seed: make_split(self.source, fold=seed % config.source.folds, seed=seed, **options)
        )


class State(NamedTuple):
    """One number, to which every step adds 1."""

    variables: dict


def blank(count):
    return Pictures(np.zeros((count, 2, 2, 1), np.float32), np.zeros((count, 2, 2), np.int32))


class CountingTrainer(Trainer[Training]):
    """Notes what it is asked for."""

    def __init__(self):
        self.made, self.kinds = [], []

    def kind(self, training):
        return training.part

    def make_steps(self, kind):
        self.kinds.append(kind)
        return Steps(
            init=lambda key, images, *rate: State({"number": jax.random.uniform(key)}),
            train=jax.jit(lambda state, *_: (State({"number": state.variables["number"] + 1}), jnp.zeros(()))),
            validate=lambda variables, images, targets: (
                -variables["number"] * jnp.ones(len(images)),
                jnp.ones(len(images), int),
            ),
            predict=lambda variables, images: jnp.zeros(images.shape[:3], int),
        )  # fmt: skip

    def loop(self, kind):
        return LOOP

    def job(self, training, load):
        self.made.append(training)
        bases = [load(need) for need in self.needs(training)]
        return Job(blank(4), blank(2), {"bases": len(bases), "strength": training.strength})

    def extent(self, training):
        return Extent(4, 2)

    def blank(self, kind):
        return blank(2)

    def needs(self, training):
        return [Training("base", training.seed)] if training.part == "head" else []


def needs(context, trial):
    return [Training("base", trial.seed)] if trial.method == "plain" else [Training("head", trial.seed, trial.strength)]


def trials(config, data):
    return [
        trial
        for seed in range(config.run.seeds)
        for trial in (Trial("plain", seed), *(Trial("careful", seed, strength) for strength in config.strengths))
    ]


def measure(context, trial):
    """Every picture has the trained number, in hundredths, and the strength in tenths."""
    trained = context.store.load(needs(context, trial)[0])
    value = float(trained.variables["number"]) / 100 + trial.strength / 10
    names = [context.data.source.names[index] for index in context.data.split(trial.seed).test]
    rows = [Row("dice", value, name) for name in names]
    examples = {"number": np.asarray(trained.variables["number"])}
    return Outcome(rows, f"Dice {value:.3f}", trained.status, trained.restarts, examples)


def charted(name):
    """A chart that shows nothing."""
    return Chart(f"{name} finding", "What?", Figure(figsize=(2, 1)), Figure(figsize=(1, 1)), pd.DataFrame({name: [1]}))


def analyse(config, table):
    rivals = {"plain": Trial("plain", 0)}
    subjects = {f"careful {strength:g}": Trial("careful", 0, strength) for strength in config.strengths}
    claims = [claim for name, trial in subjects.items() for claim in table.compare("dice", (name, trial), rivals)]
    return Analysis(
        "Tiny",
        "Does it run?",
        "It runs.",
        claims=claims,
        main=claims[:1],
        charts={"first_chart": charted("First"), "second_chart": charted("Second")},
        tables={"Dice": table.overview(["dice"]), "Nothing": pd.DataFrame({"empty": [None]})},
        cautions=("Nothing was learnt.",),
        shown=["first_chart"],
    )


def study(trainer=None, **changes) -> Study:
    """The study; `trainer` is used by every store."""
    known = trainer or CountingTrainer()
    whole = Study(
        name="tiny",
        config=Config,
        base=Config(RunOptions(Path(), strategy="sequential")),
        scales={"smoke": {"run": {"seeds": 1}}, "demo": {"run": {"seeds": 2}}, "reduced": {"depth": 2}, "paper": {}},
        trial=Trial,
        read=lambda config: Data(config),
        trials=trials,
        trainings=lambda config, data: TrainingStore(config.run, known),
        needs=needs,
        measure=measure,
        analyse=analyse,
    )
    return dataclasses.replace(whole, **changes)
