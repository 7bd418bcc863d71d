"""The table of results: one value per trial and metric, put to every question in one way."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
import pandas as pd

from segjax.evaluation import Interval, decide, interval
from segjax.evaluation.claims import Claim
from segjax.files import write_file
from segjax.sweeps.published import parse_trials
from segjax.sweeps.results import LAST_METRIC, PRECISION
from segjax.sweeps.trials import AnyTrial, factors_of


@dataclass(frozen=True)
class Replicates:
    """What intervals count: distinct test sets.

    Attributes:
        names: the test set of seed 0, 1, ...; seeds that share one have the same name.
        overlap: test pictures per training picture where the training sets of replicates overlap; 0 where they do not.
    """

    names: tuple[str, ...]
    overlap: float = 0.0


class ResultTable(Generic[AnyTrial]):
    """The results of a study.

    Values are one per replicate: pictures are averaged first, then seeds that share a test set. Trials that did not end
    "ok" have no values.

    Attributes:
        frame: one row per trial: its factors, replicate, status, code, and a column per metric.
        rows: results.csv with its values per picture; None where only values per trial are known.
        coarsening: pixel edge of the pictures in published pixels.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        trial: type[Any],
        replicates: Replicates,
        coarsening: float = 1.0,
        rows: pd.DataFrame | None = None,
    ) -> None:
        """`frame` as the attribute, `trial` the class of the trials; see `from_rows` and `read`."""
        self.frame, self.rows, self.coarsening = frame, rows, coarsening
        self.replicates, self._trial = replicates, trial
        self._factors = [field.name for field in dataclasses.fields(trial)]
        self._setting = [name for name in self._factors if name != "seed"]
        ended = frame[frame["status"] == "ok"]
        self._by_setting = dict(list(ended.groupby(self._setting, sort=False))) if len(ended) else {}

    @classmethod
    def from_rows(
        cls, rows: pd.DataFrame, trial: type[Any], replicates: Replicates, coarsening: float = 1.0
    ) -> "ResultTable[AnyTrial]":
        """The table of results.csv; a folder may hold more seeds than those of `replicates`, which are left out."""
        rows = rows[rows["seed"] < len(replicates.names)]
        factors = [field.name for field in dataclasses.fields(trial)]
        index = [*factors, "status", "code"]
        means = rows.assign(value=rows["value"].astype(float)).groupby([*index, "metric"], sort=False)["value"].mean()
        wide = means.unstack("metric").reindex(pd.MultiIndex.from_frame(rows[index].drop_duplicates()))
        frame = wide.reset_index().rename_axis(columns=None)
        order = list(dict.fromkeys(rows["metric"]))
        frame.insert(len(factors), "replicate", [replicates.names[seed] for seed in frame["seed"]])
        return cls(frame[[*factors, "replicate", "status", "code", *order]], trial, replicates, coarsening, rows)

    @classmethod
    def read(cls, path: Path, trial: type[Any], overlap: float, coarsening: float = 1.0) -> "ResultTable[AnyTrial]":
        """A table that `write` wrote.

        Raises:
            InputError: the file lacks a factor of the trials, or a line is not understood.
        """
        types = {field.name: field.type for field in dataclasses.fields(trial)}
        frame = parse_trials(path, types)
        known = dict(zip(frame["seed"], frame["replicate"], strict=True))
        names = tuple(known.get(seed, "") for seed in range(max(known, default=-1) + 1))  # "": no trial of it has ended
        return cls(frame, trial, Replicates(names, overlap), coarsening)

    def write(self, path: Path) -> None:
        """One row per trial as CSV; metrics that a trial lacks stay empty."""
        metrics = self.frame.columns.drop([*self._factors, "replicate", "status", "code"])
        shown = {
            name: ["" if np.isnan(value) else format(value, PRECISION) for value in self.frame[name]]
            for name in metrics
        }
        write_file(path, self.frame.assign(**shown).to_csv(index=False, lineterminator="\n"))

    def without(self, seeds: Sequence[int]) -> "ResultTable[AnyTrial]":
        """The table of the other seeds."""
        frame = self.frame[~self.frame["seed"].isin(seeds)]
        rows = None if self.rows is None else self.rows[~self.rows["seed"].isin(seeds)]
        return ResultTable(frame, self._trial, self.replicates, self.coarsening, rows)

    def trials(self) -> list[AnyTrial]:
        """Every setting that ended well for some seed, as the trial of seed 0, in the order of the results."""
        settings = [dict(zip(self._setting, key, strict=True)) for key in self._by_setting]
        return [self._trial(**{**setting, "seed": 0}) for setting in settings]

    def values(self, metric: str, trials: AnyTrial | Sequence[AnyTrial]) -> pd.Series:
        """Values by replicate, whatever the trial's seed; of several trials the mean over those that have one."""
        parts = [self._of_replicates(self._of_seeds(metric, one)) for one in _several(trials)]
        return _mean(parts)

    def interval(self, metric: str, trials: AnyTrial | Sequence[AnyTrial]) -> Interval:
        """Mean over replicates with its interval."""
        return interval(self.values(metric, trials).to_numpy(), overlap=self.replicates.overlap)

    def differences(
        self,
        metric: str,
        subject: AnyTrial | Sequence[AnyTrial],
        rival: AnyTrial | Sequence[AnyTrial],
        rival_metric: str | None = None,
    ) -> pd.Series:
        """Subject minus rival by replicate, of the seeds that both have; of several trials, pair by pair."""
        pairs = zip(_several(subject), _several(rival), strict=True)
        seeds = [self._of_seeds(metric, one) - self._of_seeds(rival_metric or metric, other) for one, other in pairs]
        return _mean([self._of_replicates(values.dropna()) for values in seeds])

    def compare(
        self,
        metric: str,
        subject: tuple[str, AnyTrial | Sequence[AnyTrial]],
        rivals: Mapping[str, AnyTrial | Sequence[AnyTrial]],
        *,
        label: str = "Dice",
        unit: str = "Dice points",
        scale: float = 100.0,
        rival_metric: str | None = None,
    ) -> list[Claim]:
        """Claims of a family that is looked at together: Holm-corrected over all rivals that have results.

        Args:
            metric: higher is better; give `scale` a minus where it is not.
            subject: its name and trials.
            rivals: the same by name.
            label, unit: the metric for people, and what `scale` makes of it.
            rival_metric: where the rivals' values have another name.
        """
        pairs = [(subject, rival) for rival in rivals.items()]
        made = self.compare_pairs(metric, pairs, label=label, unit=unit, scale=scale, rival_metric=rival_metric)
        return [claim for claim in made if claim.decision.n]

    def compare_pairs(
        self,
        metric: str,
        pairs: Sequence[tuple[tuple[str, Any], tuple[str, Any]]],
        *,
        label: str = "Dice",
        unit: str = "Dice points",
        scale: float = 100.0,
        rival_metric: str | None = None,
    ) -> list[Claim]:
        """Claims of a family with several subjects, one per pair of subject and rival, each its name and trials.

        The other arguments are those of `compare`. Pairs without results do not count in the family.
        """
        family = [
            scale * self.differences(metric, ours, theirs, rival_metric).to_numpy(float)
            for (_, ours), (_, theirs) in pairs
        ]
        decisions = decide(family, overlap=self.replicates.overlap)
        return [
            Claim(name, other, label, found, unit)
            for ((name, _), (other, _)), found in zip(pairs, decisions, strict=True)
        ]

    def overview(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Mean, interval and test sets of every setting that has one of the metrics; factors that never vary are left
        out."""
        lines = []
        for trial in self.trials():
            found = {metric: self.interval(metric, trial) for metric in metrics}
            if any(value.n for value in found.values()):
                setting = {name: value for name, value in factors_of(trial).items() if name != "seed"}
                lines.append({**setting, **_columns(found, len(metrics) > 1)})
        frame = pd.DataFrame(lines)
        constant = [name for name in self._setting if name in frame and frame[name].nunique() <= 1]
        return frame.drop(columns=constant if len(frame) > 1 else [])

    def failures(self) -> pd.DataFrame:
        """Trials that did not end well or were begun again: factors and what happened."""
        again = self.frame[LAST_METRIC] > 0 if LAST_METRIC in self.frame else False
        found = self.frame[(self.frame["status"] != "ok") | again]
        said = ["restarted, then ended well" if status == "ok" else status for status in found["status"]]
        return found[self._factors].assign(**{"what happened": said})

    def _of_seeds(self, metric: str, trial: AnyTrial) -> pd.Series:
        factors = factors_of(trial)
        key = tuple(factors[name] for name in self._setting)
        found = self._by_setting.get(key)
        if found is None or metric not in found:
            return pd.Series(dtype=float)
        return found.set_index("seed")[metric].astype(float).dropna()

    def _of_replicates(self, values: pd.Series) -> pd.Series:
        names = [self.replicates.names[seed] for seed in values.index]
        return values.groupby(names).mean() if len(values) else values


def _several(trials: Any) -> Sequence[Any]:
    return trials if isinstance(trials, (list, tuple)) else [trials]


def _mean(parts: Sequence[pd.Series]) -> pd.Series:
    known = [part for part in parts if len(part)]
    return pd.concat(known, axis=1).mean(axis=1) if known else pd.Series(dtype=float)


def _columns(found: Mapping[str, Interval], many: bool) -> dict[str, Any]:
    """Columns of a line: with one metric its bounds, with many their means."""
    if many:
        sets = max(value.n for value in found.values())
        means = {metric: f"{value.mean:.4g}" if value.n else None for metric, value in found.items()}
        return {**means, "test sets": sets}
    (value,) = found.values()
    bounds = f"{value.low:.4f} to {value.high:.4f}" if np.isfinite(value.low) else "-"
    return {"mean": f"{value.mean:.4f}", "95 % interval": bounds, "test sets": value.n}
