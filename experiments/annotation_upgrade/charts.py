"""Charts and pictures of study 2, and the names that they give to its trials."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from experiments.annotation_upgrade.grid import (
    ALL_CLEAN,
    CLEAN,
    CONFIDENT,
    IGNORING,
    ITERATED,
    LOSSES,
    PREDICTIONS,
    RAW,
    RIVALS,
    TEACHER,
    UPGRADE,
    UPGRADED,
    UPGRADED_PREDICTIONS,
    WEIGHTED,
    Config,
    Trial,
    labels_upgraded,
    laboratory,
    within_budget,
)
from experiments.annotation_upgrade.pictures import AnnotatedPictures
from experiments.harness.ladder import strip_gallery
from experiments.harness.networks import pooled_dice
from experiments.harness.rival_options import ELSEWHERE, NOT_KNOWN, is_rival
from experiments.harness.study import Context
from segjax.evaluation import Interval
from segjax.reports import Chart, Gallery, Line, Look, chart, line_chart, look
from segjax.reports.gallery import PREDICTION_LEGEND, dice_scale, prediction_layer, prediction_look, truth_layer
from segjax.reports.lines import BeforeAfter, before_after_chart, outcome_chart
from segjax.reports.words import amount_of, joined, network_name
from segjax.sweeps import ResultTable

LABELS = ("label_dice", "upgraded_dice")  # before and after
KNEW = {  # of an upgrade network
    "known": "knew the error",
    "mixture": "learnt a mixture of errors",
    "estimated": "estimated the error from pairs",
}
USES = {
    UPGRADED: "",
    IGNORING: ", unsure pixels ignored",
    WEIGHTED: ", weighted by confidence",
    ITERATED: ", in two rounds",
}
METHODS = {
    UPGRADE: "repaired, of test pictures",
    CLEAN: "clean only",
    RAW: "noisy",
    **{use: f"repaired{words}" for use, words in USES.items()},
    ALL_CLEAN: "all clean",
    PREDICTIONS: "predicted",
    UPGRADED_PREDICTIONS: "predicted, then repaired",
    **{rival: rival.replace("_", " ") for rival in RIVALS},
    ELSEWHERE: NOT_KNOWN,
}
OTHER_METHODS = {
    CONFIDENT: "{} noisy pictures, confident learning",
    TEACHER: "{} unlabelled pictures, mean teacher",
    **{loss: f"{{}} noisy pictures, {METHODS[loss]}" for loss in LOSSES},
}
BUDGETS = {UPGRADED: "clean + repaired", RAW: "clean + noisy", CLEAN: "clean only", ALL_CLEAN: "all clean"}
LABEL_MASKS = ("before", "after")
RANKS = {1: ("only picture",), 2: ("worst", "best"), 3: ("worst", "median", "best")}
_MEANINGS = ("outline of a true object", "marked correctly", "marked wrongly", "missing from the labels")
LABEL_LEGEND = [(colour, meaning) for (colour, _), meaning in zip(PREDICTION_LEGEND, _MEANINGS, strict=True)]
Table = ResultTable[Trial]


def trained(config: Config, network: str) -> dict[str, Trial]:
    """Networks of the laboratory by their training pictures, the one with repaired labels first."""
    clean, noisy, (first, *others) = config.clean, config.noisy, config.repairs
    repaired = laboratory(config, network, first)
    return {
        f"{clean} clean + {noisy} repaired pictures{USES[first]}": repaired,
        f"{clean} clean pictures only": laboratory(config, network, CLEAN),
        f"{clean} clean + {noisy} noisy pictures": laboratory(config, network, RAW),
        f"{clean} clean + {noisy} pictures repaired without knowing the error": replace(repaired, learnt="mixture"),
        **{f"{clean} clean + {noisy} repaired pictures{USES[use]}": laboratory(config, network, use) for use in others},
        **{
            f"{clean} clean + {OTHER_METHODS[rival].format(noisy)}": laboratory(config, network, rival)
            for rival in config.rivals
        },
        f"{clean + noisy} clean pictures": laboratory(config, network, ALL_CLEAN),
    }


def rungs_of(config: Config) -> dict[str, Trial]:
    """Rungs of the ladder by the pictures that they are fitted to."""
    pictures = {
        CLEAN: f"{config.clean} clean pictures only",
        RAW: f"{config.clean} clean + {config.noisy} noisy pictures",
    }
    return {
        f"{said}, {network_name(rung)}": laboratory(config, rung, method)
        for rung in config.classical.baselines
        for method, said in pictures.items()
    }


def from_elsewhere(table: Table) -> dict[str, Trial]:
    """Programs from elsewhere by their names."""
    return {network_name(trial.network): trial for trial in table.trials() if is_rival(trial.network)}


def retrained(config: Config, network: str, number: int = 1) -> dict[str, Trial]:
    """Networks whose other training pictures are predicted, in a round, by their pictures; repaired ones first."""
    clean, noisy = config.clean, config.noisy
    after = f" (round {number})" if config.rounds > 1 else ""
    return {
        f"{clean} clean + {noisy} repaired predictions{after}": laboratory(
            config, network, UPGRADED_PREDICTIONS, number
        ),
        f"{clean} clean pictures only": laboratory(config, network, CLEAN),
        f"{clean} clean + {noisy} predictions{after}": laboratory(config, network, PREDICTIONS, number),
    }


def variants(config: Config, network: str, coarsening: float) -> dict[str, Trial]:
    """Upgrade networks that know less about the main error, or learn from fewer volumes or worse clean labels."""
    found = {
        f"that {KNEW[learnt]}": labels_upgraded(config, network, learnt=learnt) for learnt in ("mixture", "estimated")
    }
    for count in config.volumes:
        name = f"that learnt from {count} volume{'s' if count > 1 else ''}"
        found[name] = labels_upgraded(config, network, volumes=count)
    for error in config.clean_errors:
        name = f"that learnt from clean labels with {error_name(error, coarsening)}"
        found[name] = labels_upgraded(config, network, clean_error=error)
    return found


def error_name(error: str, coarsening: float = 1.0) -> str:
    """An error in words, lengths in pixels of the pictures: "30 % omitted cells and outline errors of up to 4 px"."""
    if error in ("mixture", "none"):
        return {"mixture": "a mixture", "none": "no error"}[error]
    return amount_of(error, 1, coarsening)


def charts_of(config: Config, table: Table) -> dict[str, Chart]:
    """The charts that there are results for, of the first network; the one that answers the question comes first."""
    network = config.segmentation.networks[0]
    makers = {
        "does_it_pay": pay_chart,
        "labels_before_and_after": labels_chart,
        "clean_pictures": quality_chart,
        "budgets": budgets_chart,
        "predictions": predictions_chart,
    }
    drawn = {stem: make(config, table, network) for stem, make in makers.items()}
    return {stem: one for stem, one in drawn.items() if one is not None}


def pay_chart(config: Config, table: Table, network: str) -> Chart | None:
    """Dice of the networks of the laboratory, by their training pictures."""
    values = _values(table, "dice_pooled", trained(config, network) | rungs_of(config) | from_elsewhere(table))
    upgraded, clean, raw, *_ = trained(config, network)
    if upgraded not in values:
        return None
    said = {upgraded: "with repaired labels", clean: "with the clean ones alone", raw: "with noisy ones"}
    levels = [f"{values[name].mean:.3f} {words}" for name, words in said.items() if name in values]
    title = f"{network_name(network)} reaches a Dice of {joined(levels)}"
    return _outcomes(title, network, values, upgraded, clean)


def predictions_chart(config: Config, table: Table, network: str) -> Chart | None:
    """Dice of networks whose other training pictures have predicted labels."""
    rounds = [retrained(config, network, number) for number in range(1, config.rounds + 1)]
    values = _values(table, "dice_pooled", {name: trial for trials in rounds for name, trial in trials.items()})
    repaired, clean, as_they_are = rounds[-1]
    if repaired not in values or as_they_are not in values:
        return None
    title = (
        f"Trained on its own predictions {network_name(network)} reaches a Dice of {values[as_they_are].mean:.3f}, and "
        f"{values[repaired].mean:.3f} once they are repaired"
    )
    return _outcomes(title, network, values, repaired, clean)


def _outcomes(title: str, network: str, values: Mapping[str, Interval], marked: str, baseline: str) -> Chart:
    ranked = dict(sorted(values.items(), key=lambda item: -item[1].mean))
    line = (
        f"Dashed line: {baseline}. A dot to its right has gained from the other pictures." if baseline in values else ""
    )
    return chart(
        title,
        f"Which training pictures does {network_name(network)} learn most from?",
        lambda narrow: outcome_chart(ranked, "Dice of the test pictures", marked, baseline, narrow),
        _numbers("trained on", ranked),
        " ".join(part for part in (line, _bars(values.values())) if part),
    )


def labels_chart(config: Config, table: Table, network: str) -> Chart | None:
    """Labels before and after: by error, the main error by what the upgrade network knows, and predictions."""
    rows = label_rows(config, table, network)
    if not rows:
        return None
    first = rows[0]
    verb = "raises" if first.after.mean > first.before.mean else "lowers"
    numbers = [_numbers("labels", {row.name: value}) for row in rows for value in (row.before, row.after)]
    return chart(
        f"Repair {verb} the Dice of noisy labels from {first.before.mean:.3f} to {first.after.mean:.3f}",
        f"How good are the labels if the upgrade network learns from {config.compare_at} clean pictures?",
        lambda narrow: before_after_chart(rows, narrow),
        pd.concat(numbers).assign(when=["noisy", "repaired"] * len(rows)),
        f"Labels of the test pictures, compared with the clean ones. {_bars(row.after for row in rows)}".strip(),
    )


def label_rows(config: Config, table: Table, network: str) -> list[BeforeAfter]:
    """Labels before and after: by error, and the main error by what the upgrade network knows."""
    coarsening, less = table.coarsening, variants(config, network, table.coarsening)
    rows = {error_name(config.error, coarsening): labels_upgraded(config, network)}
    rows |= {f"the same, by a network {name}": trial for name, trial in less.items()}
    rows |= {error_name(e, coarsening): labels_upgraded(config, network, error=e) for e in config.all_errors()[1:]}
    found = [BeforeAfter(name, *(table.interval(m, trial) for m in LABELS)) for name, trial in rows.items()]
    return [row for row in found if row.after.n]


def quality_chart(config: Config, table: Table, network: str) -> Chart | None:
    """Dice of repaired labels against the number of clean pictures."""
    lines = quality_lines(config, table, network)
    if not lines:
        return None
    first, values = lines[0], {x: y.mean for x, y in zip(lines[0].x, lines[0].y, strict=True)}
    reached = [f"{values[count]:.3f} with {count}" for count in sorted({min(first.x), max(first.x)})]
    return chart(
        f"Repaired labels reach a Dice of {joined(reached)} clean pictures",
        "How many clean pictures does the upgrade network need to learn from?",
        lambda narrow: line_chart({"": lines}, "clean pictures", "Dice of the labels", narrow),
        _line_numbers("clean pictures", {"": lines}).drop(columns="panel"),
        f"Labels with {error_name(config.error, table.coarsening)}. {_bars(first.y)}".strip(),
    )


def quality_lines(config: Config, table: Table, network: str) -> list[Line]:
    """Dice of upgraded labels against clean pictures, by what is known of the error, and of the labels before."""
    counts = sorted({*config.clean_counts, config.compare_at})
    lines = []
    for learnt, words in KNEW.items():
        trials = {n: labels_upgraded(config, network, clean_pictures=n, learnt=learnt) for n in counts}
        lines.append(_line(table, f"the network {words}", "upgraded_dice", trials))
    trials = {n: labels_upgraded(config, network, clean_pictures=n) for n in counts}
    before = _line(table, "noisy labels, not repaired", "label_dice", trials, grey=True)
    lines.append(before._replace(y=[value._replace(low=float("nan")) for value in before.y]))
    return [line for line in lines if line.x]


def budgets_chart(config: Config, table: Table, network: str) -> Chart | None:
    """Dice against the number of training pictures, a panel per share of clean ones."""
    panels = budget_panels(config, table, network)
    best = [_best(lines, x) for lines in panels.values() for x in sorted({x for line in lines for x in line.x})]
    if not best:
        return None
    return chart(
        f"Repaired labels give the highest Dice in {best.count(BUDGETS[UPGRADED])} of {len(best)} comparisons",
        "Which labels are best for a given number of training pictures?",
        lambda narrow: line_chart(panels, "training pictures", "Dice of the test pictures", narrow),
        _line_numbers("training pictures", panels),
        f"Panels differ in the share of clean pictures. The upgrade network learns from {config.clean} or more. "
        f"{_bars(y for lines in panels.values() for line in lines for y in line.y)}".strip(),
    )


def budget_panels(config: Config, table: Table, network: str) -> dict[str, list[Line]]:
    """Dice against the number of training pictures, a panel per share of clean ones."""
    panels = {}
    for share in config.clean_shares if "pays" in config.questions else ():
        lines = []
        for method, name in BUDGETS.items():
            trials = {budget: within_budget(config, network, method, budget, share) for budget in config.budgets}
            lines.append(_line(table, name, "dice_pooled", trials, grey=method == ALL_CLEAN))
        panels[f"{100 * share:g} % clean"] = [line for line in lines if line.x]
    return {name: lines for name, lines in panels.items() if lines}


def _best(lines: Sequence[Line], place: float) -> str:
    """The line that is highest at a place, of those that are not grey."""
    found = [
        (y.mean, line.name)
        for line in lines
        for x, y in zip(line.x, line.y, strict=True)
        if x == place and not line.grey
    ]
    return max(found, default=(0.0, ""))[1]


def _line(table: Table, name: str, metric: str, trials: Mapping[int, Trial], grey: bool = False) -> Line:
    values = {x: value for x, trial in trials.items() if (value := table.interval(metric, trial)).n}
    return Line(name, list(values), list(values.values()), grey)


def _values(table: Table, metric: str, trials: Mapping[str, Trial]) -> dict[str, Interval]:
    return {name: value for name, trial in trials.items() if (value := table.interval(metric, trial)).n}


def _bars(values: Iterable[Interval]) -> str:
    return "Bars are 95 % intervals over test sets." if any(value.low == value.low for value in values) else ""


def _numbers(name: str, values: Mapping[Any, Interval]) -> pd.DataFrame:
    """A row per value of a chart."""
    rows = [{name: key, "Dice": y.mean, "from": y.low, "to": y.high, "test sets": y.n} for key, y in values.items()]
    return pd.DataFrame(rows)


def _line_numbers(x: str, panels: Mapping[str, Sequence[Line]]) -> pd.DataFrame:
    """A row per point of a chart of lines."""
    parts = [
        _numbers(x, dict(zip(line.x, line.y, strict=True))).assign(panel=panel, line=line.name)
        for panel, lines in panels.items()
        for line in lines
    ]
    return pd.concat(parts)


def gallery(context: Context[Config, AnnotatedPictures, Trial]) -> list[Gallery]:
    """Labels before and after repair, what networks trained on them predict, and how much a Dice is."""
    config, domain = context.config, context.data.domain
    network = config.segmentation.networks[0]
    labels: dict[str, list[Look]] = {}
    for error in config.all_errors():
        for rank, index, before, after in _kept(context, labels_upgraded(config, network, error=error), LABEL_MASKS):
            shown = _label_look(rank, domain.images[index], domain.labels[index], before, after)
            labels.setdefault(error_name(error, domain.source.coarsening), []).append(shown)
    found: dict[str, list[Look]] = {}
    predictions = []
    methods = list(trained(config, network).items())
    # the main ones, the best that there could be, and those without a network
    for name, trial in (*methods[:3], methods[-1], *rungs_of(config).items()):
        for rank, index, mask in _kept(context, trial, ("masks",)):
            predictions.append((domain.images[index], domain.labels[index], mask))
            found.setdefault(f"Trained on {name}", []).append(prediction_look(rank, *predictions[-1]))
    galleries = [
        Gallery(
            "Labels before and after repair",
            "The test pictures with the worst, the median and the best repaired labels (seed 0). The upgrade network "
            f"learnt from {config.compare_at} clean pictures.",
            ("picture", "noisy labels", "repaired labels", "clean labels"),
            LABEL_LEGEND,
            labels,
        ),
        Gallery(
            f"Test pictures segmented by {network_name(network)}",
            "The worst, the median and the best test picture of each network (seed 0).",
            ("picture", "ground truth", "prediction"),
            PREDICTION_LEGEND,
            found,
        ),
    ]
    networks = (network, *config.classical.baselines)
    kept = {name: context.examples.load(laboratory(config, name, CLEAN)) for name in networks}
    scale = dice_scale(predictions)
    return [
        one
        for one in (*galleries, strip_gallery(kept, domain.images, domain.labels), scale)
        if one is not None and one.rows
    ]


def _kept(
    context: Context[Config, AnnotatedPictures, Trial], trial: Trial, names: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Rank, index and masks of the pictures that a trial left, the worst first."""
    kept = context.examples.load(trial)
    if kept is None:
        return []
    ranks = RANKS[len(kept["indices"])]
    return list(zip(ranks, kept["indices"], *(kept[name] for name in names), strict=True))


def _label_look(rank: str, image: np.ndarray, clean: np.ndarray, before: np.ndarray, after: np.ndarray) -> Look:
    old, new = (pooled_dice(mask, clean > 0) for mask in (before, after))
    layers = (*(prediction_layer(clean, mask) for mask in (before, after)), truth_layer(clean))
    return look(f"{rank}: Dice {old:.2f} before, {new:.2f} after", image, *layers)
