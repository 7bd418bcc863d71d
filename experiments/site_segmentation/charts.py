"""Charts and pictures of study 4B."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.harness.classifiers import LabelledDomain
from experiments.harness.examples import ranks_shown
from experiments.harness.ladder import strip_gallery
from experiments.harness.ladder_options import is_rung
from experiments.harness.rival_options import ELSEWHERE
from experiments.harness.study import Context
from experiments.site_segmentation.findings import (
    DICE,
    FALSE_ALARMS,
    FOUND,
    Table,
    best_maps,
    best_of,
    compared_with,
    curve,
    full_title_of,
    learnt_by,
    masks_of,
    outlines_said,
    percent,
    title_of,
    way_title,
    weaknesses,
    worth,
    yardstick,
)
from experiments.site_segmentation.grid import FROM_MAPS, MASKS, OUTLINES, Config, Training
from segjax.evaluation import Interval
from segjax.reports import Chart, Gallery, Line, Look, Panel, chart, dot_chart, line_chart, look
from segjax.reports.charts import means_said
from segjax.reports.gallery import PREDICTION_LEGEND, dice_scale, prediction_layer, prediction_look, truth_layer
from segjax.reports.words import METRIC_NAMES, network_name

STEPS = ("picture", "true outline", "prediction")
MASK_STEPS = ("picture", "true outline", "mask")


def charts_of(config: Config, table: Table, networks: Sequence[str]) -> dict[str, Chart]:
    """The charts that there are results for: the network that learns most from outlines first."""
    found: dict[str, Chart | None] = {}
    for network in networks:
        found |= {
            f"found_by_{network}": _found(config, table, network),
            f"worth_in_outlines_{network}": _worth(config, table, network),
            f"boundaries_{network}": _boundaries(config, table, network),
        }
    found["masks_of_maps"] = _masks(table)
    return {stem: one for stem, one in found.items() if one is not None}


def _found(config: Config, table: Table, network: str) -> Chart | None:
    """Dice, and beside it how often anything is marked in pictures with and without a site."""
    dice = _values(config, table, network, DICE)
    if not dice:
        return None
    name, drawn = network_name(network), {title_of(config, trial): trial for trial in compared_with(table, network)}
    kinds = {
        "trained on maps": {row: value for row, value in dice.items() if drawn[row].method == FROM_MAPS},
        "trained on drawn annotations": {
            row: value
            for row, value in dice.items()
            if drawn[row].method not in (FROM_MAPS, ELSEWHERE) and not is_rung(drawn[row].network)
        },
        "without a network": {row: value for row, value in dice.items() if is_rung(drawn[row].network)},
        "predicted elsewhere": {row: value for row, value in dice.items() if drawn[row].method == ELSEWHERE},
    }
    rates = {
        "pictures with a site: found": _values(config, table, network, FOUND),
        "pictures without a site: false alarm": _values(config, table, network, FALSE_ALARMS),
    }
    panels = [Panel("Dice of the test pictures", {kind: values for kind, values in kinds.items() if values})]
    if any(rates.values()):
        panels.append(Panel("% of the test pictures", rates, is_share=True))
    reasons, maps, full = weaknesses(table, network), best_maps(table, network), yardstick(network)
    if reasons:
        title = f"Even with all outlines, {name} {reasons[0]}"
    elif maps is None:
        title = f"{name} reaches a Dice of {table.interval(DICE, full).mean:.3f} with all outlines"
    else:
        values = [table.interval(DICE, trial).mean for trial in (maps, full)]
        title = f"{name} reaches a Dice of {values[0]:.3f} with maps and {values[1]:.3f} with all outlines"
    wanted = " A good network finds every site and raises no false alarm." if len(panels) > 1 else ""
    return chart(
        title,
        f"How well does {name} find sites after training on each kind of annotation, and how often is it wrong?",
        lambda narrow: dot_chart(panels, narrow=narrow),
        _numbers(config, table, network, (DICE, FOUND, FALSE_ALARMS)),
        f"{means_said(dice.values())}{wanted}",
    )


def _worth(config: Config, table: Table, network: str) -> Chart | None:
    """Dice against outlined sites, with everything else that was learnt from as level lines."""
    points = curve(table, network)
    if len(points) < 2:  # a single number of outlines makes no curve
        return None
    ends, full = [points[0][0], points[-1][0]], yardstick(network)
    lines = [Line("that many outlines", [x for x, _ in points], [y for _, y in points])]
    for trial in learnt_by(table, network):
        mean = table.interval(DICE, trial)
        if not trial.outlines and mean.n:
            level = mean._replace(low=math.nan, high=math.nan)
            lines.append(Line(title_of(config, trial), ends, [level, level], trial.method == OUTLINES))
    best = best_of(table, [one for one in learnt_by(table, network) if one.outlines])
    maps, dice = best_maps(table, network), table.interval(DICE, full).mean
    if maps is not None and not weaknesses(table, network):
        title = f"Masks of maps are worth {worth(table, maps)} outlines"
    elif best is not None:
        verb, few = "gives" if best.outlines == 1 else "give", table.interval(DICE, best).mean
        title = f"{outlines_said(best.outlines)} {verb} a Dice of {few:.3f}, all outlines {dice:.3f}"
    else:
        title = f"All outlines give a Dice of {dice:.3f}"
    return chart(
        title,
        f"How many outlines does {network_name(network)} need to do as well as with cheaper annotations?",
        lambda narrow: line_chart({network_name(network): lines}, "outlines", "Dice of the test pictures", narrow),
        _numbers(config, table, network, (DICE,)),
        "Where a level line crosses the curve, the annotations of that line are worth so many outlines. "
        + means_said(value for _, value in points),
    )


def _boundaries(config: Config, table: Table, network: str) -> Chart | None:
    values = _values(config, table, network, "boundary_f_4px")
    if not values:
        return None
    best = max(values, key=lambda row: values[row].mean)
    is_trained = best in {title_of(config, trial) for trial in learnt_by(table, network)}
    return chart(
        f"Predicted outlines lie nearest to the true ones {'after training on' if is_trained else 'from'} {best}",
        "What share of the predicted and of the true outline lies within 4 px of the other, in test pictures with a "
        "site?",
        lambda narrow: dot_chart([Panel("boundary F at 4 px", {network_name(network): values})], narrow=narrow),
        _numbers(config, table, network, ("boundary_f_4px",)),
        means_said(values.values()),
    )


def _masks(table: Table) -> Chart | None:
    masks = masks_of(table)
    series = {
        network_name(name): {way_title(trial.way): table.interval("label_dice", trial) for trial in trials}
        for name, trials in masks.items()
    }
    values = [value for rows in series.values() for value in rows.values() if value.n]
    if not values:
        return None
    trials = [trial for those in masks.values() for trial in those if table.interval("label_dice", trial).n]
    best = max(trials, key=lambda trial: table.interval("label_dice", trial).mean)
    dice = table.interval("label_dice", best).mean
    return chart(
        f"Masks of {way_title(best.way)}, cover the true sites best, with a Dice of {dice:.3f}",
        "How well do masks of each map cover the true sites of the training pictures, before any network is trained "
        "on them?",
        lambda narrow: dot_chart([Panel("Dice of the training masks", series)], narrow=narrow),
        pd.DataFrame(
            {"classifier": network_name(one.classifier), "masks": way_title(one.way)}
            | {"Dice of the training masks": round(table.interval("label_dice", one).mean, 4)}
            for one in trials
        ),
        means_said(values),
    )


def _values(config: Config, table: Table, network: str, metric: str) -> dict[str, Interval]:
    """The values of a metric by the annotations that a network was trained on."""
    found = {title_of(config, trial): table.interval(metric, trial) for trial in compared_with(table, network)}
    return {row: value for row, value in found.items() if value.n}


def _numbers(config: Config, table: Table, network: str, metrics: Sequence[str]) -> pd.DataFrame:
    """The numbers of a chart."""
    return pd.DataFrame(
        {"trained on": title_of(config, trial)}
        | {METRIC_NAMES[metric]: round(table.interval(metric, trial).mean, 4) for metric in metrics}
        for trial in compared_with(table, network)
    )


# ---- pictures


def gallery(context: Context[Config, LabelledDomain, Training]) -> list[Gallery]:
    """What networks found, and masks made of maps, each on the worst, the median and the best picture of seed 0."""
    config = context.config
    networks: dict[str, list[Look]] = {}
    masks: dict[str, list[Look]] = {}
    shown = []
    for trial in config.trials():
        is_mask = trial.method == MASKS
        if trial.seed or (is_mask and trial.way not in config.trained_ways()):
            continue
        if (kept := context.examples.load(trial)) is None:
            continue
        looks = looks_of(context.data, kept)
        if is_mask:
            masks[f"{way_title(trial.way)}, {network_name(trial.classifier)}"] = looks
        else:
            networks[full_title_of(config, trial)] = looks
            shown += [(context.data.images[index], context.data.labels[index], mask) for index, mask in _pairs(kept)]
    text = "{}: the worst, the median and the best test picture with a site, by Dice (seed 0).{}"
    without = " Beside them, the picture without a site in which most is marked."
    found = [
        Gallery(
            "What the networks found", text.format("For each training", without), STEPS, PREDICTION_LEGEND, networks
        ),
        Gallery("Masks made of maps", text.format("For each map", ""), MASK_STEPS, PREDICTION_LEGEND, masks),
    ]
    scale = dice_scale(shown)
    names = (*config.segmentation.networks, *filter(is_rung, config.baselines))
    kept_by = {name: context.examples.load(yardstick(name)) for name in names}
    strip = strip_gallery(kept_by, context.data.images, context.data.labels)
    return [*(one for one in found if one.rows), *(one for one in (strip, scale) if one is not None)]


def looks_of(domain: LabelledDomain, kept: Mapping[str, np.ndarray]) -> list[Look]:
    """Pictures that a trial kept as examples: those with a site by rank, then those without."""
    found, empty = _pairs(kept), _pairs(kept, "empty_")
    looks = [
        prediction_look(rank, domain.images[index], domain.labels[index], mask)
        for rank, (index, mask) in zip(ranks_shown(len(found)), found, strict=True)
    ]
    for index, mask in empty:
        image, truth = domain.images[index], domain.labels[index]
        layers = truth_layer(truth), prediction_layer(truth, mask)
        looks.append(look(f"worst without a site: {percent(mask.mean())} marked", image, *layers))
    return looks


def _pairs(kept: Mapping[str, np.ndarray], side: str = "") -> list[tuple[int, np.ndarray]]:
    """Index and mask of the pictures of a side; none where a trial kept none."""
    if f"{side}indices" not in kept:
        return []
    return [(int(i), mask > 0) for i, mask in zip(kept[f"{side}indices"], kept[f"{side}masks"], strict=True)]
