"""The contract of a study: what is varied, what is trained, what is measured, and what is made of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import pandas as pd

from experiments.harness.examples import Examples
from experiments.harness.options import DataOptions, RunOptions
from experiments.harness.rivals import Rival, class_cautions
from experiments.harness.store import AnyTraining, TrainingStore
from segjax.data import Split
from segjax.evaluation.claims import Claim
from segjax.evaluation.picture import Metric
from segjax.reports import Chart, Gallery
from segjax.reports.priced import Priced
from segjax.sweeps import Outcome, ResultTable
from segjax.types import Source


class StudyConfig(Protocol):
    """What every study's configuration is composed of, beside the study's own options."""

    @property
    def run(self) -> RunOptions: ...

    @property
    def source(self) -> DataOptions: ...


class StudyData(Protocol):
    """Opened pictures: where they come from, and the split of each seed."""

    @property
    def source(self) -> Source: ...

    @property
    def split(self) -> Callable[[int], Split]: ...


Config = TypeVar("Config", bound=StudyConfig)
Data = TypeVar("Data", bound=StudyData)
Trial = TypeVar("Trial", bound=Any)  # a frozen dataclass with a seed


@dataclass(frozen=True, eq=False)
class Context(Generic[Config, Data, AnyTraining]):
    """What measuring a trial can rest on: the trainings that it needs are in the store."""

    config: Config
    data: Data
    store: TrainingStore[AnyTraining]
    examples: Examples


@dataclass(frozen=True)
class Analysis:
    """What came out, for a page, for `results/` and for README.

    Attributes:
        title, question: of the page, for people.
        verdict: the answer, in one sentence.
        notes: short sentences that the answer must not be read without.
        claims: comparisons; each is a row of the tables of decisions.
        main: those of them that the first screen and README's table of results show.
        is_weak: what is compared with is too weak to conclude from, so that README shows no comparison.
        charts: by the stem of the file that each is saved as; the first shows the answer.
        priced: what the first chart shows, where readers can move prices.
        tables: by heading, in the order of the page.
        cautions: what a reader has to know before relying on it.
        metrics: formulas and rules of the metrics in the tables.
        shown: stems of the charts that are committed with published results.
        glossary: what the words mean.
        failures: trials that did not end well, where not every one of the table is to be listed.
    """

    title: str
    question: str
    verdict: str
    notes: Sequence[str] = ()
    claims: Sequence[Claim] = ()
    main: Sequence[Claim] = ()
    is_weak: bool = False
    charts: Mapping[str, Chart] = field(default_factory=dict)
    priced: Priced | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    cautions: Sequence[str] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    shown: Sequence[str] = ()
    glossary: str = ""
    failures: pd.DataFrame | None = None


@dataclass(frozen=True)
class RivalPart(Generic[Config, Data, Trial, AnyTraining]):
    """How a study takes labels that other programs predicted for its test pictures.

    Attributes:
        trials: the trials of a rival with seed 0; the last argument is their factor `network`.
        measure: values of a rival's trial, the same as of a network's.
        needs_classes: whether the labels must tell the classes of the pictures apart.
        judged: the test pictures of a seed whose predictions are asked for; without, all of them.
    """

    trials: Callable[[Config, Data, str], Sequence[Trial]]
    measure: Callable[[Context[Config, Data, AnyTraining], Trial, Rival], Outcome]
    needs_classes: bool = False
    judged: Callable[[Config, Data, int], Iterable[int]] = lambda config, data, seed: data.split(seed).test


@dataclass(frozen=True)
class Study(Generic[Config, Data, Trial, AnyTraining]):
    """A study. The harness does all the rest: plan, ledger, trainings, splits, examples, page, publishing.

    Attributes:
        name: as in `python -m experiments.NAME`.
        config: a frozen dataclass; composed of groups of options, each field marked by `decides` or `arranges`.
        base: a configuration with the defaults of the "paper" scale; its `run.out` is not used.
        scales: for smoke, demo, reduced and paper, what the scale sets over `base`, group by group.
        trial: a frozen dataclass; its fields are the columns of results, `seed` among them.
        read: configuration -> pictures, and refuses what cannot be used; the committed studies also take the function
            that opens the source.
        trials: every trial once, seed by seed.
        trainings: the store, told how to train.
        needs: the trainings that must be in the store before a trial is measured.
        measure: a trial's values.
        analyse: verdict, charts, tables and claims, from the table alone.
        published: scale, protocol and data spec -> what the protocol sets over the scale, group by group.
        resolve: fills in what depends on other options, and refuses what cannot be meant.
        gallery: pictures to look at, of the data and of the examples that trials left.
        cautions: what only the opened pictures tell.
        together: trials with the same text are measured together by one process; without, up to `pack` trials whose
            trainings are of one kind.
        passes: about how many forward passes over one picture a trial takes besides its training, by the training that
            makes the network and by what they are made for; what several trials have in common is made once.
        keeps_networks: whether trained networks stay after the trials that need them are measured.
        rivals: of a study whose configuration has `elsewhere`, a group of `RivalOptions`.
    """

    name: str
    config: type[Config]
    base: Config
    scales: Mapping[str, Mapping[str, Any]]
    trial: type[Trial]
    read: Callable[..., Data]
    trials: Callable[[Config, Data], list[Trial]]
    trainings: Callable[[Config, Data], TrainingStore[AnyTraining]]
    needs: Callable[[Context[Config, Data, AnyTraining], Trial], Sequence[AnyTraining]]
    measure: Callable[[Context[Config, Data, AnyTraining], Trial], Outcome]
    analyse: Callable[[Config, ResultTable[Trial]], Analysis]
    published: Callable[[str, str, str], Mapping[str, Any]] = lambda scale, protocol, data: {}
    resolve: Callable[[Config], Config] = lambda config: config
    gallery: Callable[[Context[Config, Data, AnyTraining]], Sequence[Gallery]] = lambda context: ()
    cautions: Callable[[Config, Data], Sequence[str]] = lambda config, data: ()
    together: Callable[[Trial], str] | None = None
    passes: Callable[[Context[Config, Data, AnyTraining], Trial], Mapping[tuple[AnyTraining, Any], float]] = (
        lambda context, trial: {}
    )
    keeps_networks: bool = False
    rivals: RivalPart[Config, Data, Trial, AnyTraining] | None = None


def judged_pictures(study: Study[Any, Any, Any, Any], config: Any, data: Any) -> dict[int, list[int]]:
    """The pictures that other programs are asked to predict: index in the source to the seeds that test on them."""
    found: dict[int, list[int]] = {}
    if study.rivals is not None:
        for seed in range(config.run.seeds):
            for index in study.rivals.judged(config, data, seed):
                found.setdefault(int(index), []).append(seed)
    return dict(sorted(found.items()))


def with_rivals(study: Study[Any, Any, Any, Any], rivals: Mapping[str, Rival]) -> Study[Any, Any, Any, Any]:
    """The study with the trials of some rivals, by their factor `network`, after all others."""
    part = study.rivals
    if part is None or not rivals:
        return study

    def trials(config: Any, data: Any) -> list[Any]:
        every = [(seed, network) for seed in range(config.run.seeds) for network in rivals]
        own = [replace(trial, seed=seed) for seed, network in every for trial in part.trials(config, data, network)]
        return [*study.trials(config, data), *own]

    def measure(context: Context[Any, Any, Any], trial: Any) -> Outcome:
        rival = rivals.get(trial.network)
        return study.measure(context, trial) if rival is None else part.measure(context, trial, rival)

    return replace(
        study,
        trials=trials,
        needs=lambda context, trial: [] if trial.network in rivals else study.needs(context, trial),
        measure=measure,
        cautions=lambda config, data: [*study.cautions(config, data), *class_cautions(rivals.values(), data.source)],
    )
