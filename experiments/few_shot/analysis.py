"""Tables, charts, claims and pictures of study 3."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.few_shot.grid import ALL, ALL_LABELS, Config, Training, Trial, few
from experiments.few_shot.pictures import HeldOutType, TypedPictures
from experiments.harness.study import Analysis, Context
from segjax.evaluation import METRICS, Claim, Metric, format_interval
from segjax.fewshot import BASELINES
from segjax.reports import (
    Band,
    Compared,
    Illustration,
    ShotsTile,
    Spread,
    comparison_chart,
    data_name,
    heat_chart,
    shots_chart,
    shots_gallery,
    svg,
)
from segjax.reports.words import joined, network_name
from segjax.sweeps import ResultTable

METHODS = {
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
}
PUBLISHED_SHOTS = 5
PUBLISHED = "Published: with five pictures, Dice is on average less than 20 % lower than with several hundred."
GLOSSARY = (
    "Dice says how well a prediction covers the true cells: 1 is perfect, 0 is none; a Dice point is 0.01. A shot is "
    "one annotated picture that shows the type, a draw one choice of the shots by lot; half of the draws lie between "
    "the quartiles. All labels (full supervision) is a network that learnt from every training picture. Draws share "
    "extractors and test pictures, so intervals and verdicts count distinct sets of test pictures, never draws."
)
_POOLED = "2 TP / (2 TP + FP + FN), pixels of all test pictures summed first"
_AT_ZERO = "predicted is what scores above 0, not above the threshold of the highest Dice on the shots"
_FIRST = "mean over the first few draws, those that baselines are trained in"
OWN_METRICS = {
    **{f"dice_pooled_{part}": f"{_POOLED}; {part} of the draws" for part in ("q25", "median", "q75")},
    "dice_pooled_zero": f"{_POOLED}; {_AT_ZERO}",
    "dice_first_draws": f"{_POOLED}; {_FIRST}",
    "dice_zero_first_draws": f"{_POOLED}; {_AT_ZERO}; {_FIRST}",
    "iou_pooled": "TP / (TP + FP + FN), pixels of all test pictures summed first",
}
Table = ResultTable[Trial]


def analyse(config: Config, table: Table) -> Analysis:
    """How near a few annotated pictures come to all labels."""
    found = Findings(config, table)
    behind, banks = found.behind(), found.banks()
    compared = [claim for shots in config.compare_shots for claim in (*found.heads(shots), *found.baselines(shots))]
    nearest = nearest_shots(config.compare_shots)
    main = [claim for claim in behind if claim.rival == found.named(nearest_shots(found.shots))]
    metrics = {name: Metric(text, "1", "higher", "NaN", 1) for name, text in OWN_METRICS.items()}
    metrics = {**METRICS, **metrics, "f1": _f1_of(config)}
    several = f"Claims and figures are about {network_name(found.network)}; results.csv has all networks."
    return Analysis(
        title=f"How few annotated pictures are enough: {data_name(config.source.data)}",
        question=(
            f"Several types of cells are annotated in plenty, a new one in {_counted(*config.shots)} only. How near "
            f"does a head on the feature maps of {network_name(found.network)} extractors, which never learnt the new "
            "type, come to a network with all labels of it?"
        ),
        claims=[*behind, *compared, *banks],
        main=[*main, *found.baselines(nearest), *banks],
        tables={
            f"{network_name(found.network)} extractors, {METHODS[config.head]}, by type": type_table(found),
            "Heads and baselines, Dice over types": methods_table(found),
        },
        figures=_figures(found),
        cautions=[several] if len(config.segmentation.networks) > 1 else [],
        metrics={name: metric for name, metric in metrics.items() if name in table.frame},
        shown=["Dice against shots", f"Heads and baselines with {nearest} shots"],
        glossary=GLOSSARY,
    )


class Findings:
    """The results of the first network, with questions put to them."""

    def __init__(self, config: Config, table: Table) -> None:
        self.config, self.table = config, table
        self.network = config.segmentation.networks[0]
        trials = [trial for trial in table.trials() if trial.network == self.network]
        grid = [trial for trial in trials if (trial.method, trial.bank) == (config.head, config.banks[0])]
        self.types = list(dict.fromkeys(trial.type for trial in trials))
        self.shots = sorted({trial.shots for trial in grid})
        self.features = sorted({trial.features for trial in grid})
        self._counts = {
            (self.network, trial.bank): trial.features for trial in trials if trial.feature_selection == ALL
        }

    def whole(self) -> list[Trial]:
        """The network with all labels, of every type."""
        return [Trial(self.network, 0, name, ALL_LABELS) for name in self.types]

    def few(self, shots: int, method: str = "", bank: str = "") -> list[Trial]:
        """A head with all features, or a baseline, of every type; by default the study's head and first bank."""
        return [few(self.config, self._counts, whole, shots, method, bank) for whole in self.whole()]

    def subset(self, shots: int, count: int, selection: str) -> list[Trial]:
        """The study's head with a number of features, of every type."""
        trials = self.few(shots)
        if count == self.features[-1]:
            return trials
        return [dataclasses.replace(trial, feature_selection=selection, features=count) for trial in trials]

    def mean(self, metric: str, trials: Trial | Sequence[Trial]) -> float:
        """Over test sets and types; NaN without results."""
        return self.table.interval(metric, trials).mean

    def named(self, shots: int) -> str:
        """The study's head with some shots."""
        return f"{METHODS[self.config.head]} with {_counted(shots)}"

    def behind(self) -> list[Claim]:
        """All labels against every number of shots."""
        rivals = {self.named(shots): self.few(shots) for shots in self.shots}
        return self.table.compare(
            "dice_pooled", (f"{network_name(self.network)} with all labels", self.whole()), rivals
        )

    def heads(self, shots: int) -> list[Claim]:
        """The study's head against the others."""
        others = [name for name in self.config.heads if name != self.config.head]
        return self._against(shots, others, "dice_pooled", "dice_pooled", "Dice")

    def baselines(self, shots: int) -> list[Claim]:
        """The study's head against networks trained on the shots, in the draws that these have.

        They are cut at score 0, so beside them the head is cut there as well, not at its own threshold.
        """
        label = "Dice at score 0"
        return self._against(shots, self.config.baselines, "dice_zero_first_draws", "dice_pooled", label)

    def banks(self) -> list[Claim]:
        """The first bank against the others."""
        shots, (first, *others) = nearest_shots(self.shots), self.config.banks
        rivals = {bank_words(bank): self.few(shots, bank=bank) for bank in others}
        label = f"Dice with {_counted(shots)}"
        return self.table.compare("dice_pooled", (_capital(bank_words(first)), self.few(shots)), rivals, label=label)

    def method_name(self, method: str, shots: int) -> str:
        """A head or baseline; says so where some types have no results, because their trainings collapsed."""
        known = sum(len(self.table.values("dice_pooled", trial)) > 0 for trial in self.few(shots, method))
        every = len(self.types)
        return METHODS[method] + ("" if known == every else f", {known} of {every} types")

    def _against(self, shots: int, methods: Sequence[str], metric: str, rival_metric: str, label: str) -> list[Claim]:
        rivals = {self.method_name(method, shots): self.few(shots, method) for method in methods}
        subject = _capital(self.named(shots)), self.few(shots)
        return self.table.compare(metric, subject, rivals, label=label, rival_metric=rival_metric)


def type_table(found: Findings) -> pd.DataFrame:
    """One line per type and number of shots, and the mean of all types."""
    lines = [_type_line(found, whole, shots) for whole in found.whole() for shots in found.shots]
    frame = pd.DataFrame(lines).dropna(subset="median Dice") if lines else pd.DataFrame()
    if len(frame):
        means = frame.groupby("shots").mean(numeric_only=True).reset_index()
        frame = pd.concat([frame, means.assign(type="mean of the types")], ignore_index=True)[frame.columns]
    return frame.round(3).astype(object).where(frame.notna(), None)


def _type_line(found: Findings, whole: Trial, shots: int) -> dict[str, object]:
    trial = found.few(shots)[found.types.index(whole.type)]
    median, all_labels = found.mean("dice_pooled_median", trial), found.mean("dice_pooled", whole)
    return {
        "type": trial.type,
        "shots": shots,
        "median Dice": median,
        "lower quartile": found.mean("dice_pooled_q25", trial),
        "upper quartile": found.mean("dice_pooled_q75", trial),
        "mean Dice": found.mean("dice_pooled", trial),
        "at score 0": found.mean("dice_pooled_zero", trial),
        "IoU": found.mean("iou_pooled", trial),
        "mean over pictures": found.mean("dice", trial),
        "F1 of objects": found.mean("f1", trial),
        "all labels": all_labels,
        "IoU with all labels": found.mean("iou_pooled", whole),
        "F1 with all labels": found.mean("f1", whole),
        "behind, Dice points": 100 * (all_labels - median),
        "behind, %": 100 * (1 - median / all_labels) if all_labels else float("nan"),
    }


def methods_table(found: Findings) -> pd.DataFrame:
    """One line per head or baseline and number of shots; baselines have only the first few draws, cut at score 0."""
    lines = []
    for shots in found.config.compare_shots:
        for method in dict.fromkeys((found.config.head, *found.config.heads, *found.config.baselines)):
            trials, trained = found.few(shots, method), method in BASELINES
            metrics = (
                ("", "", "dice_pooled") if trained else ("dice_pooled", "dice_first_draws", "dice_zero_first_draws")
            )
            values = [format_interval(found.table.interval(metric, trials)) if metric else "-" for metric in metrics]
            lines.append((shots, found.method_name(method, shots), *values, f"{found.mean('f1', trials):.3f}"))
    columns = ["shots", "method", "Dice", "Dice, first draws", "Dice at score 0, first draws", "F1 of objects"]
    return pd.DataFrame(lines, columns=columns)


def nearest_shots(numbers: Sequence[int]) -> int:
    """Five, as published, or the number of shots that is nearest; 0 without any."""
    return min(numbers, key=lambda count: (abs(count - PUBLISHED_SHOTS), count), default=0)


def bank_words(name: str) -> str:
    """A bank in words."""
    task, _, unseen = name.partition("_")
    words = {"joint": "one extractor of all other types", "binary": "one extractor per other type"}
    return f"{words[task]} (new type {unseen})"


def _figures(found: Findings) -> dict[str, Illustration]:
    """The charts that there are results for."""
    config, figures = found.config, {}
    draws = f"over {config.draws} draws of the shots"
    if found.shots:
        panels = {
            whole.type: (_bands(found, place), found.table.interval("dice_pooled", whole))
            for place, whole in enumerate(found.whole())
        }
        figures["Dice against shots"] = Illustration(
            svg(shots_chart(panels)),
            f"Median (line) and quartiles (band) {draws}. Draws share pictures: there are at most {config.candidates} "
            "to choose from. Dashed: the network with all labels. Fewer features are selected by "
            f"{config.feature_selections[-1]}. {PUBLISHED}",
        )
    if len(found.features) > 1:
        maps = {selection: _heat(found, selection) for selection in config.feature_selections}
        caption = f"Median Dice {draws}, mean of the types, by how the features were selected."
        chart = heat_chart(maps, found.features, found.shots)
        figures["Shots and features"] = Illustration(svg(chart), caption)
    bars = "Means over types and draws; bars are 95 % intervals over test sets, where there are enough of them."
    for shots in config.compare_shots:
        methods = [name for name in (*config.heads, *config.baselines) if name != config.head]
        rivals = {found.method_name(name, shots): found.few(shots, name) for name in methods}
        rows = _compared(found, METHODS[config.head], rivals, shots, [*found.heads(shots), *found.baselines(shots)])
        if len(rows) > 1:
            figures[f"Heads and baselines with {shots} shots"] = Illustration(
                svg(comparison_chart(rows, METHODS[config.head])),
                f"Ways to learn a new type from {_counted(shots)}. {bars} Networks trained on the shots: the first "
                f"{config.first_draws} draws, cut at score 0, and so is the head in its difference to them.",
            )
    shots = nearest_shots(found.shots)
    rivals = {bank_words(bank): found.few(shots, bank=bank) for bank in config.banks[1:]}
    rows = _compared(found, bank_words(config.banks[0]), rivals, shots, found.banks())
    if len(rows) > 1:
        caption = f"With {_counted(shots)}. Extractors that had the new type as background have seen it. {bars}"
        figures["Extractors"] = Illustration(svg(comparison_chart(rows, "the first")), caption)
    return figures


def _bands(found: Findings, place: int) -> list[Band]:
    """Of a type, Dice against shots for a few numbers of features, by the last selection; all features come first."""
    counts, bands = found.features, []
    for count in sorted({counts[-1], *counts[: -1 : max(1, len(counts) // 3)]}, reverse=True):
        trials = {
            shots: found.subset(shots, count, found.config.feature_selections[-1])[place] for shots in found.shots
        }
        values = {
            shots: Spread(*(found.mean(f"dice_pooled_{part}", trial) for part in ("median", "q25", "q75")))
            for shots, trial in trials.items()
        }
        known = {shots: value for shots, value in values.items() if value.median == value.median}
        name = f"all {count} features" if count == counts[-1] else f"{count} feature{'s' if count > 1 else ''}"
        bands.append(Band(name, list(known), list(known.values())))
    return bands


def _heat(found: Findings, selection: str) -> np.ndarray:
    """Median Dice [features, shots], mean of the types."""
    trials = [[found.subset(shots, count, selection) for shots in found.shots] for count in found.features]
    return np.array([[found.mean("dice_pooled_median", one) for one in row] for row in trials])


def _compared(
    found: Findings, own: str, rivals: Mapping[str, Sequence[Trial]], shots: int, claims: Sequence[Claim]
) -> list[Compared]:
    decisions = {claim.rival: claim.decision for claim in claims}
    rows = [Compared(own, found.table.interval("dice_pooled", found.few(shots)), None)]
    for name, trials in rivals.items():
        if name in decisions:
            rows.append(Compared(name, found.table.interval("dice_pooled", trials), decisions[name]))
    return rows


def _f1_of(config: Config) -> Metric:
    """F1 of objects as this study parts them, in the first draws."""
    parted = {"components": "its 8-connected components", "watershed": "parted along a watershed of its distance map"}
    formula = METRICS["f1"].formula.replace("its 8-connected components", parted[config.grouping])
    return METRICS["f1"]._replace(formula=f"{formula}; of the first {config.first_draws} draws")


def gallery(context: Context[Config, TypedPictures, Training]) -> Mapping[str, Illustration]:
    """Per type an annotated picture, and what is made of a test picture from a few of them and from all labels."""
    tiles = [tile for name in context.data.types if (tile := _tile(context, name)) is not None]
    if not tiles:
        return {}
    caption = "One draw of the first seed: an annotated picture, and what is made of a test picture from the shots."
    return {"Segmentations": Illustration(shots_gallery(tiles), caption, "predictions")}


def _tile(context: Context[Config, TypedPictures, Training], name: str) -> ShotsTile | None:
    config, images = context.config, context.data.images
    new = HeldOutType(config, context.data, 0, context.data.types[name])
    whole, shots = Trial(config.segmentation.networks[0], 0, name, ALL_LABELS), nearest_shots(config.compare_shots)
    from_few = context.examples.load(few(config, context.data.counts, whole, shots))
    from_all = context.examples.load(whole)
    if from_few is None or from_all is None:
        return None
    index, shot = int(from_few["indices"][0]), int(from_few["shots"][0])
    masks = {f"{shots} shots": from_few["masks"][0], "all labels": from_all["masks"][0]}
    return ShotsTile(name, images[shot], new.objects(shot), images[index], new.objects(index), masks)


def _counted(*shots: int) -> str:
    return f"{joined(map(str, shots))} annotated picture{'' if shots == (1,) else 's'}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
