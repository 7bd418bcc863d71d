"""The results of study 3, with questions put to them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from experiments.few_shot.grid import Config, few, whole_of
from experiments.few_shot.trials import (
    ALL,
    ALL_LABELS,
    ALL_MAPS,
    CALIBRATED,
    NONE,
    TURNED,
    UNSEEN,
    WIDTHS,
    Trial,
    is_from_files,
)
from experiments.harness.ladder_options import is_rung
from experiments.harness.rival_options import ELSEWHERE, rivals_among
from segjax.classical import LADDER
from segjax.evaluation import Decision, Interval, interval
from segjax.evaluation.claims import Claim
from segjax.reports.words import joined, network_name
from segjax.sweeps import ResultTable

METHODS = {
    ALL_LABELS: "all labels",
    "logistic": "perceptron (logistic loss)",
    "soft_dice": "perceptron (soft Dice)",
    "hidden_layer": "one hidden layer",
    "two_hidden_layers": "two hidden layers",
    "ridge": "ridge regression",
    "prototype": "prototype (distance)",
    "cosine": "prototype (cosine)",
    "local_prototypes": "local prototypes",
    "threshold_prototype": "prototype (learned threshold)",
    "last_layer": "last layer trained on the annotated pictures",
    "whole_network": "whole network trained on the annotated pictures",
    "decoupled": "whole network trained on the annotated pictures, its extractor more slowly",
    "from_scratch": "new network trained on the annotated pictures",
    **{rung: network_name(rung) for rung in LADDER},
    ELSEWHERE: "predicted elsewhere",
}
SELECTIONS = {
    "random": "chosen at random",
    "first": "the first ones",
    "variance": "chosen by variance",
    "relevance": "chosen by relevance",
}
EXTRAS = {ALL_MAPS: "maps of all layers", WIDTHS: "two widths", TURNED: "averaged over flips and turns"}
PUBLISHED_SHOTS = 5
Table = ResultTable[Trial]


class Gap(NamedTuple):
    """How far some shots are behind all labels, in Dice points."""

    shots: int
    decision: Decision


class Findings:
    """The results of the first network, with one bank of features: by default the first of its extractors.

    Attributes:
        bank: it.
        files: all banks of features from files.
        baselines: networks trained on the shots and rungs fitted to them that stand beside the heads of this bank.
    """

    def __init__(self, config: Config, table: Table, bank: str = "") -> None:
        self.config, self.table, self.bank = config, table, bank or config.banks[0]
        self.network = config.segmentation.networks[0]
        trials = [trial for trial in table.trials() if trial.network in (self.network, NONE)]
        self.files = tuple(dict.fromkeys(trial.bank for trial in trials if is_from_files(trial.bank)))
        self.baselines = () if is_from_files(self.bank) else config.baselines
        first = (config.head, self.bank, config.first_candidates)
        grid = [trial for trial in trials if (trial.method, trial.bank, trial.candidates) == first]
        self.types = list(dict.fromkeys(trial.type for trial in trials))
        self.shots = sorted({trial.shots for trial in grid})
        self.features = sorted({trial.features for trial in grid})
        self._counts = {
            (trial.network, trial.bank): trial.features for trial in trials if trial.feature_selection == ALL
        }
        # runs that were published early kept quartiles over draws alone; all labels have one draw
        self.of_all_labels = "dice_pooled" if "dice_pooled" in table.frame else "dice_pooled_median"

    def on(self, bank: str) -> "Findings":
        """The same results with another bank."""
        return Findings(self.config, self.table, bank)

    @property
    def lines(self) -> "dict[str, Findings]":
        """This bank and all others from files, by the names of their lines in charts."""
        name = "our extractors" if self.files else "a few annotated pictures"
        return {name: self} | {self.words(bank): self.on(bank) for bank in self.files}

    @property
    def with_bank(self) -> str:
        """ ", with the features NAME" where they are from files, after what is said of a head."""
        return f", with the {self.words(self.bank)}" if is_from_files(self.bank) else ""

    def words(self, bank: str) -> str:
        """A bank in words; other files of the same name are told apart."""
        said = bank_words(bank)
        is_clear = [bank_words(one) for one in self.files].count(said) < 2
        return said if is_clear else f"{said} ({bank.rpartition('@')[2]})"

    def whole(self) -> list[Trial]:
        """The network with all labels, of every type."""
        return [whole_of(self.config, self.network, 0, name) for name in self.types]

    @cached_property
    def low(self) -> dict[str, float]:
        """Types for which the network with all labels is below the calibrated Dice, and its Dice."""
        reached = {trial.type: self.mean(self.of_all_labels, trial) for trial in self.whole()}
        return {name: value for name, value in reached.items() if value < CALIBRATED}

    @cached_property
    def weak(self) -> dict[str, float]:
        """Those of `low` for which it is known that more can be had: the types of the simulation that was calibrated,
        and others for which a few annotated pictures reach more."""
        if self.config.source.data.startswith("microscope:tissue"):
            return self.low
        few = [trial for shots in self.shots for trial in self.few(shots)]
        more = {trial.type for trial in few if self.median(trial) > self.low.get(trial.type, math.inf)}
        return {name: value for name, value in self.low.items() if name in more}

    def judged(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those of the types that are not weak."""
        return [trial for trial in trials if trial.type not in self.weak]

    def of_types(self) -> str:
        """Over which types a mean of `judged` is taken."""
        judged = [trial.type for trial in self.judged(self.whole())]
        if not self.weak:
            return f"mean of {len(judged)} types"
        if len(self.weak) < len(judged):
            return f"mean of all types but {joined(self.weak)}"
        return f"{'mean of ' if judged[1:] else ''}{joined(judged)} only" if judged else "no type"

    def share_behind(self, shots: int, method: str = "", metric: str = "dice_pooled") -> Interval:
        """By how many percent Dice is lower than with full supervision: mean of the types, then over test sets.

        Where full supervision found nothing of a type, there is no share.
        """
        reached = (self.table.values(self.of_all_labels, whole) for whole in self.judged(self.whole()))
        pairs = zip(self.judged(self.few(shots, method)), reached, strict=True)
        values = [100 * (1 - self.table.values(metric, trial) / whole[whole > 0]) for trial, whole in pairs]
        found = pd.concat([pd.Series(dtype=float), *values], axis=1).mean(axis=1).dropna()
        return interval(found.to_numpy(), overlap=self.table.replicates.overlap)

    def few(self, shots: int, method: str = "", bank: str = "") -> list[Trial]:
        """A head with all features, or a baseline, of every type; by default the study's head and this bank."""
        return [few(self.config, self._counts, whole, shots, method, bank or self.bank) for whole in self.whole()]

    def subset(self, shots: int, count: int, selection: str) -> list[Trial]:
        """The study's head with a number of features, of every type."""
        trials = self.few(shots)
        if count == self.features[-1]:
            return trials
        return [dataclasses.replace(trial, feature_selection=selection, features=count) for trial in trials]

    def mean(self, metric: str, trials: Trial | Sequence[Trial]) -> float:
        """Over test sets and types; NaN without results."""
        return self.table.interval(metric, trials).mean

    def median(self, trials: Trial | Sequence[Trial]) -> float:
        """Dice of the median draw, as `mean`."""
        return self.mean("dice_pooled_median", trials)

    def named(self, shots: int) -> str:
        """The study's head with some shots."""
        return f"{counted(shots)}, {METHODS[self.config.head]}{self.with_bank}"

    def behind(self) -> tuple[list[Gap], list[Claim]]:
        """All labels against the median draw of every number of shots, as gaps and as claims, where they are full."""
        of_types = f" ({self.of_types()})" if self.weak else ""
        subject = f"{network_name(self.network)} with all labels{of_types}", self.judged(self.whole())
        pairs = [(subject, (self.named(shots), self.judged(self.few(shots)))) for shots in self.shots]
        claims = self.table.compare_pairs(self.of_all_labels, pairs, rival_metric="dice_pooled_median")
        known = [(shots, claim) for shots, claim in zip(self.shots, claims, strict=True) if claim.decision.n]
        return [Gap(shots, claim.decision) for shots, claim in known], [claim for _, claim in known]

    def gap(self, place: int, shots: int) -> float:
        """Dice points between all labels and the median draw, of the type at a place; NaN without results."""
        whole, trial = self.whole()[place], self.few(shots)[place]
        found = self.table.differences(self.of_all_labels, whole, trial, "dice_pooled_median")
        return 100 * float(found.mean())

    def heads(self, shots: int) -> list[Claim]:
        """The study's head against the others and against programs from elsewhere."""
        others = [name for name in self.config.heads if name != self.config.head]
        return self._against(shots, others, "dice_pooled", "dice_pooled", "Dice", self.elsewhere())

    def against_baselines(self, shots: int) -> list[Claim]:
        """The study's head against networks trained on the shots and rungs fitted to them, in the draws these have.

        Networks are cut at score 0, so beside them the head is cut there as well, not at its own threshold. Rungs are
        cut where their Dice on the shots is highest, and beside them the head is, too.
        """
        networks, rungs = ([one for one in self.baselines if is_rung(one) == kind] for kind in (False, True))
        at_zero = self._against(shots, networks, "dice_zero_first_draws", "dice_pooled", "Dice at score 0")
        return at_zero + self._against(shots, rungs, "dice_first_draws", "dice_pooled", "Dice, first draws")

    def elsewhere(self) -> dict[str, list[Trial]]:
        """Programs from elsewhere by their names, on every type."""
        return {
            network_name(one): [dataclasses.replace(whole, network=one, method=ELSEWHERE) for whole in self.whole()]
            for one in rivals_among(trial.network for trial in self.table.trials())
        }

    def banks(self) -> list[Claim]:
        """The first bank against the others, those from files among them."""
        shots, (first, *others) = nearest_shots(self.shots), (*self.config.banks, *self.files)
        rivals = {self.words(bank): self.few(shots, bank=bank) for bank in others}
        label = f"Dice with {counted(shots)}"
        return self.table.compare("dice_pooled", (_capital(bank_words(first)), self.few(shots)), rivals, label=label)

    def unseen(self) -> list[Claim]:
        """Annotated pictures that extractors learnt the other types from, against such as no extractor saw."""
        shots = nearest_shots(self.shots)
        subject = "Pictures that the extractors learnt from", self.few(shots)
        others = [dataclasses.replace(trial, candidates=UNSEEN) for trial in self.few(shots)]
        rivals = {"pictures that no extractor saw": others}
        return self.table.compare("dice_pooled", subject, rivals, label=f"Dice with {counted(shots)}")

    def known_types(self, method: str, shots: int) -> int:
        """For how many types a head or baseline has results."""
        return sum(len(self.table.values("dice_pooled", trial)) > 0 for trial in self.few(shots, method))

    def method_name(self, method: str, shots: int) -> str:
        """A head or baseline; says so where some types have no results, because their trainings collapsed."""
        known, every = self.known_types(method, shots), len(self.types)
        return METHODS[method] + ("" if known == every else f", {known} of {every} types")

    def _against(
        self,
        shots: int,
        methods: Sequence[str],
        metric: str,
        rival_metric: str,
        label: str,
        more: Mapping[str, list[Trial]] = {},
    ) -> list[Claim]:
        rivals = {self.method_name(method, shots): self.few(shots, method) for method in methods} | dict(more)
        subject = self.named(shots), self.few(shots)
        return self.table.compare(metric, subject, rivals, label=label, rival_metric=rival_metric)


def nearest_shots(numbers: Sequence[int]) -> int:
    """Five, as published, or the number of shots that is nearest; 0 without any."""
    return min(numbers, key=lambda count: (abs(count - PUBLISHED_SHOTS), count), default=0)


def bank_words(name: str) -> str:
    """A bank in words."""
    if is_from_files(name):
        return f"features {name.partition('@')[0]}"
    task, unseen, *_ = name.split("_")
    words = {"joint": "one extractor for all other types", "binary": "one extractor for each other type"}
    parts = [words[task], f"the new type {unseen if unseen == 'ignored' else f'as {unseen}'}"]
    return ", ".join([*parts, *(said for extra, said in EXTRAS.items() if extra in name)])


def counted(*shots: int) -> str:
    """ "1 annotated picture", "3, 5 and 10 annotated pictures"."""
    return f"{joined(map(str, shots))} annotated picture{'' if shots == (1,) else 's'}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
