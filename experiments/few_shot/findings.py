"""Numbers of the study's questions, from its table: medians and quartiles over draws, gaps to all labels, pairs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.few_shot.config import StudyConfig
from experiments.few_shot.grid import ALL, ALL_LABELS, NONE
from segjax.evaluation import Difference, Interval, mean_interval, paired_difference
from segjax.reports import Band, Compared, Spread

DRAWS_FOR_INTERVAL = 3
WORDS = {
    "logistic": "perceptron (logistic loss)",
    "soft_dice": "perceptron (soft Dice)",
    "hidden_layer": "one hidden layer",
    "ridge": "ridge regression",
    "prototype": "prototype (distance)",
    "cosine": "prototype (cosine)",
    "local_prototypes": "local prototypes",
    "threshold_prototype": "prototype (learned threshold)",
    "last_layer": "last layer trained on the shots",
    "whole_network": "whole network trained on the shots",
    "from_scratch": "new network trained on the shots",
    ALL_LABELS: "all labels",
}


class Gap(NamedTuple):
    """Of a type: Dice with all labels, median Dice with some shots, and how far it is behind."""

    reference: float
    few: Spread
    absolute: float
    relative: float


class Findings:
    """The table of one data set and network, with questions put to it."""

    def __init__(self, config: StudyConfig, table: pd.DataFrame, network: str) -> None:
        rows = table[(table["network"] == network) & (table["status"] == "ok")]
        rows = rows.assign(value=rows["value"].astype(float), draw=rows["picture"].fillna("").astype(str))
        self._rows, self.config, self.network = rows, config, network
        self.types = list(dict.fromkeys(rows["type"]))
        # every count of features but that of the whole bank, which is called "all"
        first = rows[(rows["method"] == config.head) & (rows["bank"] == config.banks[0])]
        self.counts = sorted(set(first["features"].astype(int)))
        self.shots = sorted(set(first["shots"].astype(int)))

    def values(self, metric: str = "dice_pooled", **factors: Any) -> pd.Series:
        """Values by (type, seed, draw); factors that are not given may be anything."""
        rows = self._rows[self._rows["metric"] == metric]
        for name, value in factors.items():
            rows = rows[rows[name] == value]
        return rows.set_index(["type", "seed", "draw"])["value"].dropna().sort_index()

    def head(self, shots: int, **changes: Any) -> dict[str, Any]:
        """Factors of the study's head with all features of the first bank."""
        base = {"method": self.config.head, "bank": self.config.banks[0], "choice": ALL, "shots": shots}
        return {**base, **changes}

    def method(self, name: str, shots: int) -> dict[str, Any]:
        """Factors of a head or rival with some shots."""
        if name in self.config.ways:
            return {"method": name, "shots": shots}
        return self.head(shots, method=name)

    def reference(self, type_name: str, metric: str = "dice_pooled") -> Interval:
        """Of the network with all labels of a type, over seeds."""
        return mean_interval(self.values(metric, type=type_name, method=ALL_LABELS).to_numpy())

    def gap(self, type_name: str, shots: int, **changes: Any) -> Gap | None:
        """How far some shots are behind all labels; None without results. `changes` are factors, such as the bank."""
        few, whole = self.values(**self.head(shots, type=type_name, **changes)), self.reference(type_name).mean
        if few.empty or whole != whole:
            return None
        found = spread(few)
        return Gap(whole, found, whole - found.median, 1 - found.median / whole)

    def gaps(self, shots: int, **changes: Any) -> dict[str, Gap]:
        """By type."""
        return {name: gap for name in self.types if (gap := self.gap(name, shots, **changes)) is not None}

    def shot_bands(self, type_name: str) -> list[Band]:
        """Dice against shots for a few numbers of features, chosen by the last choice of the study; all come first."""
        bands = []
        for count in sorted({self.counts[-1], *self.counts[: -1 : max(1, len(self.counts) // 3)]}, reverse=True):
            whole = count == self.counts[-1]
            factors = {"type": type_name, "features": count, "choice": ALL if whole else self.config.choices[-1]}
            found = {shots: self.values(**self.head(shots, **factors)) for shots in self.shots}
            known = {shots: spread(values) for shots, values in found.items() if len(values)}
            name = f"all {count} features" if whole else f"{count} feature{'s' if count > 1 else ''}"
            bands.append(Band(name, list(known), list(known.values())))
        return bands

    def heat(self, choice: str) -> np.ndarray:
        """Median Dice [features, shots], over draws of the mean over types."""
        found = np.full((len(self.counts), len(self.shots)), np.nan)
        for row, count in enumerate(self.counts):
            own = ALL if count == self.counts[-1] else choice
            for column, shots in enumerate(self.shots):
                values = over_types(self.values(**self.head(shots, features=count, choice=own)))
                found[row, column] = values.median() if len(values) else np.nan
        return found

    def saturation(self, shots: int, within: float = 0.02) -> int:
        """The smallest number of features, best chosen, whose median Dice is within some of that of all."""
        column = self.shots.index(shots)
        best = np.nanmax([self.heat(choice)[:, column] for choice in self.config.choices], axis=0)
        enough = [count for count, value in zip(self.counts, best, strict=True) if value >= best[-1] - within]
        return enough[0]

    def compared(self, shots: int) -> list[Compared]:
        """Heads and rivals: mean Dice over types and draws, and how far the study's head is ahead, in Dice points.

        Draws are paired: both sides have the same shots. The mean over types of a draw is one value. Trained networks
        are cut at score 0, so beside them the head is cut there as well, not at its own threshold.
        """
        own, at_zero = (self.values(metric, **self.head(shots)) for metric in ("dice_pooled", "dice_pooled_zero"))
        names = [self.config.head, *(name for name in self.config.heads if name != self.config.head)]
        rows = []
        for name in (*names, *self.config.ways):
            values = self.values(**self.method(name, shots))
            if len(values):
                beside = at_zero if name in self.config.ways else own
                behind = None if name == self.config.head else paired(beside, values)
                rows.append(Compared(name, interval(over_types(values)), behind))
        return rows

    def types_with(self, name: str, shots: int) -> int:
        """Number of types for which a head or rival has results: trainings that collapsed have none."""
        return self.values(**self.method(name, shots)).index.get_level_values("type").nunique()

    def banks(self, shots: int) -> list[Compared]:
        """Banks of extractors, as `compared`."""
        own, first = self.values(**self.head(shots)), self.config.banks[0]
        rows = []
        for bank in self.config.banks:
            values = self.values(**self.head(shots, bank=bank))
            if len(values):
                behind = None if bank == first else paired(own, values)
                rows.append(Compared(bank, interval(over_types(values)), behind))
        return rows

    def type_table(self) -> pd.DataFrame:
        """One line per type and number of shots."""
        lines = []
        for name in self.types:
            references = {metric: self.reference(name, metric).mean for metric in ("dice_pooled", "iou_pooled", "f1")}
            for shots in self.shots:
                gap = self.gap(name, shots)
                if gap is None:
                    continue
                pictures, objects = (self.values(metric, **self.head(shots, type=name)) for metric in ("dice", "f1"))
                mean = interval(self.values(**self.head(shots, type=name)))
                zero = self.values("dice_pooled_zero", **self.head(shots, type=name)).median()
                iou = self.values("iou_pooled", **self.head(shots, type=name)).median()
                lines.append(
                    {
                        "type": name,
                        "shots": shots,
                        "median Dice": gap.few.median,
                        "quartiles": f"{gap.few.low:.3f} to {gap.few.high:.3f}",
                        "mean": mean.mean,
                        "95 % interval": f"{mean.low:.3f} to {mean.high:.3f}" if mean.low == mean.low else "-",
                        "at score 0": zero,
                        "median IoU": iou,
                        "mean over pictures": pictures.mean(),
                        "F1 of objects": objects.mean(),
                        "draws of F1": len(objects),
                        "all labels": references["dice_pooled"],
                        "IoU with all labels": references["iou_pooled"],
                        "F1 with all labels": references["f1"],
                        "behind, Dice points": 100 * gap.absolute,
                        "behind, %": 100 * gap.relative,
                        "draws": gap.few.n,
                    }
                )
        return pd.DataFrame(lines)


def spread(values: pd.Series) -> Spread:
    """Median and quartiles."""
    low, median, high = np.percentile(values.to_numpy(), (25, 50, 75))
    return Spread(float(median), float(low), float(high), len(values))


def over_types(values: pd.Series) -> pd.Series:
    """Mean over types of every draw, where all types have one."""
    by_draw = values.groupby(level=["seed", "draw"])
    counts = by_draw.size()
    return by_draw.mean()[counts == counts.max()]


def interval(values: pd.Series) -> Interval:
    """Mean over draws; without an interval (NaN) below three."""
    found = mean_interval(values.to_numpy())
    return found if found.n >= DRAWS_FOR_INTERVAL else found._replace(low=float("nan"), high=float("nan"))


def paired(first: pd.Series, second: pd.Series) -> Difference:
    """first - second in Dice points, over the draws that both have, each the mean over types."""
    both = over_types(100 * (first - second).dropna())
    found = paired_difference(both.to_numpy(), np.zeros(len(both)))
    return found if found.n >= DRAWS_FOR_INTERVAL else found._replace(low=float("nan"), high=float("nan"))


def method_words(name: str) -> str:
    """A method in words; unknown names as they are."""
    return WORDS.get(name, name)


def bank_words(name: str) -> str:
    """A bank in words."""
    task, _, unseen = name.partition(" ")
    words: Mapping[str, str] = {"joint": "one extractor of all other types", "binary": "one extractor per other type"}
    return "no extractor" if name == NONE else f"{words[task]}, the new type {unseen}"
