"""Numbers of the study's questions, from its table: share of full supervision, and outlines that maps are worth."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.activation_maps.findings import paired, without_few
from experiments.harness.map_options import MAP_TITLES
from experiments.site_segmentation.config import StudyConfig, Way, trained_ways, ways_of
from experiments.site_segmentation.grid import FACTORS, MAPS, MASKS, NONE, OUTLINES
from segjax.evaluation import Difference, Interval, mean_interval
from segjax.reports import Line
from segjax.reports.words import network_name

DICE = "dice_pooled"
COLUMNS = ("label_dice", "site_iou", "boundary_f_4px", "hd95_px", "found", "false_alarms", "marked")
COMPLETED = {"none": "", "random_walk": ", random walk", "geodesic": ", geodesic"}


class Learnt(NamedTuple):
    """What a network learns from: `name` for people, and the factors of its cells."""

    name: str
    factors: dict[str, object]


class Findings:
    """The table of one data set, with questions put to it."""

    def __init__(self, config: StudyConfig, table: pd.DataFrame) -> None:
        """`table` is that of results.csv; trainings that did not end "ok" are left out."""
        rows = table[table["status"] == "ok"]
        rows = rows.assign(value=pd.to_numeric(rows["value"]), outlines=rows["outlines"].astype(int))
        self.config = config
        names = [name for name in FACTORS if name not in ("data", "seed")]
        self._names = names
        self._means = rows.groupby([*names, "metric", "seed"])["value"].mean().sort_index()

    def values(self, metric: str, **factors: object) -> pd.Series:
        """Values by seed of the cell with these factors, each the mean over its pictures; others are neutral."""
        neutral: dict[str, object] = {name: NONE for name in self._names} | {"outlines": 0}
        given = {**neutral, **factors}
        try:
            return self._means.loc[(*(given[name] for name in self._names), metric)]
        except KeyError:
            return pd.Series(dtype=float)

    def interval(self, metric: str, **factors: object) -> Interval:
        """Mean over seeds; without an interval (NaN) below three seeds."""
        return without_few(mean_interval(self.values(metric, **factors).to_numpy()))

    # ---- networks

    def maps(self, network: str) -> list[Learnt]:
        """Networks trained on masks of maps."""
        return [
            Learnt(
                way_name(way, classifier if len(self.config.classifiers) > 1 else ""),
                {"network": network, "method": MAPS, "classifier": classifier, **way._asdict()},
            )
            for classifier in self.config.classifiers
            for way in trained_ways(self.config)
        ]

    def cheap(self, network: str) -> list[Learnt]:
        """Networks trained on points and boxes."""
        return [Learnt(CHEAP_NAMES[method], {"network": network, "method": method}) for method in self.config.methods]

    def outlined(self, network: str, count: int) -> Learnt:
        """The network trained on so many outlined sites; 0: all."""
        name = f"{count} outlined sites" if count else "all sites outlined"
        return Learnt(
            name if count != 1 else "1 outlined site", {"network": network, "method": OUTLINES, "outlines": count}
        )

    def share(self, learnt: Learnt) -> Interval:
        """Dice as a share of the network's of the same seed that learnt from all outlines."""
        full = self.values(DICE, **self.outlined(str(learnt.factors["network"]), 0).factors)
        own = self.values(DICE, **learnt.factors)
        both = own.index.intersection(full.index)
        return without_few(mean_interval((own[both] / full[both].where(full[both] > 0)).to_numpy()))

    def difference(self, first: Learnt, second: Learnt, metric: str = DICE) -> Difference:
        """The first minus the second over the seeds that both have."""
        return paired(self.values(metric, **first.factors), self.values(metric, **second.factors))

    def curve(self, network: str) -> list[tuple[int, Interval]]:
        """Dice against the number of outlined sites."""
        points = [(count, self.interval(DICE, **self.outlined(network, count).factors)) for count in self._counts]
        return [(count, value) for count, value in points if value.n]

    @property
    def _counts(self) -> list[int]:
        return sorted(self.config.outlines)

    def worth(self, learnt: Learnt) -> str:
        """How many outlined sites it is worth, in words, by the curve of means (straight over the logarithm)."""
        network = str(learnt.factors["network"])
        value, points = self.interval(DICE, **learnt.factors), self.curve(network)
        full = self.interval(DICE, **self.outlined(network, 0).factors)
        if not (value.n and points) or full.mean == 0:  # where nothing is found, nothing is worth more
            return "not known"
        if full.n and value.mean >= full.mean:
            return "all"
        if value.mean < points[0][1].mean:
            return f"fewer than {points[0][0]}" if points[0][0] > 1 else "less than one"
        best = np.maximum.accumulate([mean.mean for _, mean in points])  # more outlines are never worth less
        for place, ((low, _), (high, _)) in enumerate(pairwise(points)):
            if best[place] <= value.mean < best[place + 1]:
                share = (value.mean - best[place]) / (best[place + 1] - best[place])
                return f"about {math.exp(math.log(low) + share * math.log(high / low)):.0f}"
        return f"more than {points[-1][0]}"

    def networks_series(self, metric: str) -> dict[str, dict[str, Interval]]:
        """For a chart: network -> what it learnt from -> interval."""
        found = {}
        for network in self.config.networks:
            learnt = [*self.maps(network), *self.cheap(network)]
            learnt += [self.outlined(network, count) for count in (*self._counts, 0)]
            values = {one.name: self.interval(metric, **one.factors) for one in learnt}
            if known := {name: value for name, value in values.items() if value.n}:
                found[network_name(network)] = known
        return found

    def worth_panels(self) -> dict[str, list[Line]]:
        """A panel per network: Dice against outlined sites, with maps, points and boxes as level lines."""
        panels = {}
        for network in self.config.networks:
            points = self.curve(network)
            if not points:
                continue
            ends = (points[0][0], points[-1][0])
            lines = [Line("outlined sites", [x for x, _ in points], [y for _, y in points])]
            for learnt in [*self.maps(network), *self.cheap(network), self.outlined(network, 0)]:
                value = self.interval(DICE, **learnt.factors)._replace(low=float("nan"), high=float("nan"))
                if value.n:
                    lines.append(Line(learnt.name, ends, (value, value), learnt.factors["method"] == OUTLINES))
            panels[network_name(network)] = lines
        return panels

    # ---- masks

    def masks_series(self) -> dict[str, dict[str, Interval]]:
        """For a chart: classifier -> way -> Dice of the training masks."""
        found = {}
        for classifier in self.config.classifiers:
            values = {}
            for way in ways_of(self.config):
                factors = {"method": MASKS, "classifier": classifier, **way._asdict()}
                if (value := self.interval("label_dice", **factors)).n:
                    values[way_name(way)] = value
            if values:
                found[network_name(classifier)] = values
        return found

    def auc(self, classifier: str) -> Interval:
        """Of a classifier on the test pictures."""
        way = ways_of(self.config)[0]
        return self.interval("auc", method=MASKS, classifier=classifier, **way._asdict())

    def table(self) -> pd.DataFrame:
        """All networks by what they learnt from."""
        rows = []
        for network in self.config.networks:
            learnt = [*self.maps(network), *self.cheap(network)]
            learnt += [self.outlined(network, count) for count in (*self._counts, 0)]
            for one in learnt:
                dice = self.interval(DICE, **one.factors)
                if not dice.n:
                    continue
                row = {"network": network_name(network), "learnt from": one.name, "Dice": f"{dice.mean:.3f}"}
                row["share of full supervision"] = f"{self.share(one).mean:.2f}"
                row["worth in outlines"] = "-" if one.factors["method"] == OUTLINES else self.worth(one)
                for metric in (
                    "label_dice",
                    "site_iou",
                    "boundary_f_4px",
                    "hd95_px",
                    "found",
                    "false_alarms",
                    "marked",
                ):
                    value = self.interval(metric, **one.factors)
                    row[metric] = f"{value.mean:.3f}" if value.n else "-"
                rows.append({**row, "seeds": dice.n})
        return pd.DataFrame(rows)


LEVELS = {
    "fixed": "fixed level",
    "otsu": "Otsu's level",
    "percentile": "level of a percentile",
    "dataset": "one level for all",
    "contour": "contour level",
}
CHEAP_NAMES = {
    "points": "a disc of the usual size on each site's point",
    "walked points": "a point per site, completed by a random walk",
    "boxes": "an ellipse in each site's box",
}


def way_name(way: Way, classifier: str = "") -> str:
    """A way of making masks as the page calls it."""
    named = f"{MAP_TITLES[way.map]}, {LEVELS[way.rule]}{COMPLETED[way.completion]}"
    return f"{named} ({network_name(classifier)})" if classifier else named
