"""Numbers of the study's questions, from its table: means over seeds with intervals, and paired differences."""

from collections.abc import Mapping

import pandas as pd

from experiments.activation_maps.config import StudyConfig
from experiments.activation_maps.cues import ELSEWHERE, REGIONS
from experiments.activation_maps.grid import CLASSIFIER, CUES, REFERENCE, REFERENCES
from experiments.classifiers import USABLE_AUC
from experiments.harness.map_options import MAP_TITLES, OURS
from segjax.evaluation import Difference, Interval, mean_interval, paired_difference, size_class
from segjax.reports import Line
from segjax.reports.words import network_name

SEEDS_FOR_INTERVAL = 3  # Student's quantile is 12.7 for two seeds: such an interval says nothing
MAIN = ("iou", "boundary_f_4px")
LOCALISATION = ("pxap", "iou", "oracle_iou", "boundary_f_2px", "boundary_f_4px", "boundary_f_8px", "hd95_px")
OTHERS = ("pointing_game", "energy", "road", "insertion", "deletion", "average_drop", "increase", "sanity")
CAUTIONS = ("free_iou", "free_boundary_f_4px", "lit_without", "brightness_correlation")


class Findings:
    """The table of one data set, with questions put to it."""

    def __init__(self, config: StudyConfig, table: pd.DataFrame) -> None:
        """`table` is that of results.csv; trainings that did not end "ok" are left out."""
        rows = table[table["status"] == "ok"]
        rows = rows.assign(value=pd.to_numeric(rows["value"]), epochs=rows["epochs"].astype(int))
        self.config, self._rows = config, rows
        self._means = rows.groupby(["network", "map", "epochs", "metric", "seed"])["value"].mean().sort_index()

    def values(self, network: str, kind: str, metric: str, epochs: int = 0) -> pd.Series:
        """Values by seed, each the mean over the seed's pictures."""
        try:
            return self._means.loc[(network, kind, epochs, metric)]
        except KeyError:
            return pd.Series(dtype=float)

    def interval(self, network: str, kind: str, metric: str, epochs: int = 0) -> Interval:
        """Mean over seeds; without an interval (NaN) below three seeds."""
        return without_few(mean_interval(self.values(network, kind, metric, epochs).to_numpy()))

    def difference(self, network: str, kind: str, other: tuple[str, str], metric: str) -> Difference:
        """The map minus another (network, map), over the seeds that both have; no interval below three."""
        return paired(self.values(network, kind, metric), self.values(*other, metric))

    # ---- classifiers

    @property
    def usable(self) -> list[str]:
        """Classifiers that have learnt their task: mean area under the curve of at least 0.9."""
        return [name for name in self.config.classifiers if self.interval(name, CLASSIFIER, "auc").mean >= USABLE_AUC]

    @property
    def meaningless(self) -> list[str]:
        """Classifiers with results that have not."""
        known = [name for name in self.config.classifiers if self.interval(name, CLASSIFIER, "auc").n]
        return [name for name in known if name not in self.usable]

    # ---- maps

    def kinds(self, network: str) -> list[str]:
        """Maps of a classifier that have outlines to be judged by."""
        return [kind for kind in self.config.maps if self.interval(network, kind, MAIN[0]).n]

    def series(self, metric: str) -> dict[str, dict[str, Interval]]:
        """For a chart: classifier -> map -> interval."""
        found = {}
        for name in self.config.classifiers:
            values = {MAP_TITLES[kind]: self.interval(name, kind, metric) for kind in self.config.maps}
            values = {kind: value for kind, value in values.items() if value.n}
            if values:
                found[network_name(name)] = values
        return found

    def references(self, metric: str) -> dict[str, Interval]:
        """What every map has to be compared with."""
        return {
            kind.replace("stride", "perfect map, stride"): self.interval(REFERENCE, kind, metric) for kind in REFERENCES
        }

    def best_rival(self, network: str, metric: str) -> str | None:
        """The best map that is not ours, by its mean."""
        rivals = [kind for kind in self.kinds(network) if kind != OURS]
        return max(rivals, key=lambda kind: self.interval(network, kind, metric).mean, default=None)

    def table(self) -> pd.DataFrame:
        """All maps x classifiers: means over seeds of every metric."""
        rows = []
        places = [(name, kind) for name in self.config.classifiers for kind in self.config.maps]
        for name, kind in [*places, *((REFERENCE, kind) for kind in REFERENCES)]:
            found = {metric: self.interval(name, kind, metric) for metric in (*LOCALISATION, *OTHERS, *CAUTIONS)}
            if any(value.n for value in found.values()):
                shown = {metric: f"{value.mean:.3f}" if value.n else "-" for metric, value in found.items()}
                noted = " (meaningless)" if name in self.meaningless else ""
                rows.append({"network": network_name(name) + noted, "map": MAP_TITLES.get(kind, kind), **shown})
        return pd.DataFrame(rows)

    def by_size(self) -> pd.DataFrame:
        """IoU and boundary F of our map, its best rival and the discs by the area of the object."""
        pictures = self._rows[self._rows["picture"].astype(str).ne("") & self._rows["picture"].notna()]
        pictures = pictures[pictures["epochs"] == 0]
        wide = pictures.pivot_table(index=["network", "map", "seed", "picture"], columns="metric", values="value")
        if "area_ha" not in wide:
            return pd.DataFrame()
        areas = wide["area_ha"].groupby("picture").first().map(size_class)
        wide = wide.reset_index()
        wide["size"] = wide["picture"].map(areas)
        wide = wide.dropna(subset=[MAIN[0]])
        columns = [metric for metric in (*MAIN, "hd95_m") if metric in wide]
        found = wide.groupby(["network", "map", "size"], sort=False)[columns].mean().round(3).reset_index()
        counts = wide.groupby(["network", "map", "size"], sort=False).size()
        found["pictures"] = [counts[tuple(row)] for row in found[["network", "map", "size"]].itertuples(index=False)]
        names = found["network"].map(network_name), found["map"].map(lambda kind: MAP_TITLES.get(kind, kind))
        return found.assign(network=names[0], map=names[1])

    # ---- cues and training

    def cue_series(self, metric: str) -> dict[str, dict[str, Interval]]:
        """For a chart: classifier -> region -> share of the evidence; `metric` is the beginning of its name."""
        names = (*REGIONS, ELSEWHERE)
        return {
            network_name(name): {
                REGION_NAMES[region]: value
                for region in names
                if (value := self.interval(name, CUES, f"{metric}_{region}")).n
            }
            for name in self.config.classifiers
            if self.interval(name, CUES, "log_odds_ahead").n
        }

    def over_training(self, network: str) -> Mapping[str, list[tuple[int, Interval]]]:
        """AUC, outline quality and cues of a classifier against epochs."""
        whole = self.config.train.loop.epochs
        moments = [(moment, moment) for moment in self.config.moments] + [(0, whole)]
        wanted = {"area under the curve (AUC)": (CLASSIFIER, "auc")}
        wanted |= {f"IoU of {MAP_TITLES[kind]}": (kind, "iou") for kind in self.config.moment_maps}
        wanted |= {f"lost without the {region}": (CUES, f"cue_lost_without_{region}") for region in REGIONS}
        found = {}
        for name, (kind, metric) in wanted.items():
            points = [(shown, self.interval(network, kind, metric, moment)) for moment, shown in moments]
            if len(known := [(x, value) for x, value in points if value.n]) > 1:
                found[name] = known
        return found

    def training_panels(self) -> dict[str, list[Line]]:
        """A panel per classifier: what is learnt first."""
        panels = {}
        for name in self.config.classifiers:
            lines = [
                Line(line, [x for x, _ in points], [y for _, y in points])
                for line, points in self.over_training(name).items()
            ]
            if lines and "training" in self.config.questions:
                panels[network_name(name)] = lines
        return panels


REGION_NAMES = {
    "inside": "the inside of the object",
    "rim": "its rim",
    "halo": "its halo, one radius around it",
    "surroundings": "everything further away",
    ELSEWHERE: "as much of the picture elsewhere",
}


def without_few(value: Interval) -> Interval:
    """Without bounds where there are fewer than three seeds."""
    few = value.n < SEEDS_FOR_INTERVAL
    return value._replace(low=float("nan"), high=float("nan")) if few else value


def paired(first: pd.Series, second: pd.Series) -> Difference:
    """first - second over the seeds that both have; without an interval below three."""
    both = first.index.intersection(second.index)
    found = paired_difference(first[both].to_numpy(), second[both].to_numpy())
    few = found.n < SEEDS_FOR_INTERVAL
    return found._replace(low=float("nan"), high=float("nan")) if few else found
