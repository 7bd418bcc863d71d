"""What came out of study 4B, in names and numbers: what networks were trained on, what it is worth, what is weak."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from experiments.harness.classifiers import USABLE_AUC
from experiments.harness.ladder import rungs_among
from experiments.harness.ladder_options import is_rung
from experiments.harness.map_options import MAP_TITLES
from experiments.harness.rival_options import is_rival
from experiments.site_segmentation.grid import BASELINES, FROM_MAPS, MASKS, NONE, OUTLINES, Config, Trial, Way
from segjax.evaluation import Interval, interval
from segjax.reports.words import network_name
from segjax.sweeps import ResultTable

Table = ResultTable[Trial]
DICE, FOUND, FALSE_ALARMS = "dice_pooled", "detection_rate", "false_positive_rate"
AT_HALF = ("half_detection_rate", "half_false_positive_rate")  # with a plain level of 0.5, beside the chosen one
HALF = 0.5  # a network that is worse than this is no yardstick
# boxes are left out: an ellipse in a box is nearly the outline, so a good network may do as well with them
COARSE = ("points", "walked_points")
WEAK = (
    "The network trained on all outlines is called weak, and nothing is concluded from it, where its Dice or its share "
    "of sites found is under one half, where it marks something in more than half of the pictures without a site, or "
    "where the same network does as well with fewer outlines or with points."
)
LEVELS = {
    "fixed": "fixed level",
    "otsu": "Otsu's level",
    "percentile": "percentile level",
    "dataset": "one level for all pictures",
    "contour": "contour level",
}
COMPLETED = {"none": "", "random_walk": ", grown by a random walk", "geodesic": ", grown along geodesics"}
BASELINE_TITLES = {
    "points": "points",
    "walked_points": "points grown by a random walk",
    "boxes": "boxes",
}


def networks_of(table: Table) -> list[str]:
    """The networks that segment, the one with the highest Dice from all outlines first."""
    every = dict.fromkeys(trial.network for trial in table.trials())
    names = [name for name in every if not (name == NONE or is_rival(name) or is_rung(name))]
    return sorted(names, key=lambda name: -np.nan_to_num(table.interval(DICE, yardstick(name)).mean))


def yardstick(network: str) -> Trial:
    """The trial of a network that learns from all outlines."""
    return Trial(network, 0, OUTLINES)


def learnt_by(table: Table, network: str) -> list[Trial]:
    """What a network learnt from, as its trials of seed 0: maps, baselines, outlines of few sites and of all."""
    order = (FROM_MAPS, *BASELINES, OUTLINES)
    own = [trial for trial in table.trials() if trial.network == network]
    return sorted(own, key=lambda trial: (order.index(trial.method), trial.outlines or math.inf))


def compared_with(table: Table, network: str) -> list[Trial]:
    """As `learnt_by`, and then the rungs and the programs from elsewhere, which stand beside every network."""
    rungs = [trial for rung in rungs_among(table) for trial in learnt_by(table, rung)]
    return [*learnt_by(table, network), *rungs, *(trial for trial in table.trials() if is_rival(trial.network))]


def title_of(config: Config, trial: Trial) -> str:
    """The annotations that a trial's network is trained on, as the page calls them."""
    if trial.method == FROM_MAPS:
        several = len(config.classification.classifiers) > 1
        return f"maps ({way_title(trial.way)}{f' of {network_name(trial.classifier)}' if several else ''})"
    if is_rival(trial.network):
        return network_name(trial.network)
    if is_rung(trial.network):
        return f"{network_name(trial.network)} from {outlines_said(trial.outlines)}"
    return outlines_said(trial.outlines) if trial.method == OUTLINES else BASELINE_TITLES[trial.method]


def full_title_of(config: Config, trial: Trial) -> str:
    """A trial's network with the annotations that it is trained on."""
    title, stands_alone = title_of(config, trial), is_rival(trial.network) or is_rung(trial.network)
    return title if stands_alone else f"{network_name(trial.network)} trained on {title}"


def outlines_said(count: int) -> str:
    """A number of outlines; 0 are all."""
    return f"{count or 'all'} outline{'' if count == 1 else 's'}"


def way_title(way: Way) -> str:
    """A way of making masks as the page calls it."""
    return f"{MAP_TITLES[way.map]}, {LEVELS[way.rule]}{COMPLETED[way.completion]}"


def best_of(table: Table, trials: Sequence[Trial]) -> Trial | None:
    """The trial with the highest mean Dice; None where none has one."""
    known = [trial for trial in trials if table.interval(DICE, trial).n]
    return max(known, key=lambda trial: table.interval(DICE, trial).mean, default=None)


def best_maps(table: Table, network: str) -> Trial | None:
    """The maps that a network learnt most from; None where it learnt from none."""
    return best_of(table, [trial for trial in learnt_by(table, network) if trial.method == FROM_MAPS])


def most_of_few(table: Table, network: str) -> Trial | None:
    """The largest number of outlines that is not all of them; None where there is none."""
    return max((one for one in learnt_by(table, network) if one.outlines), key=lambda one: one.outlines, default=None)


def masks_of(table: Table) -> dict[str, list[Trial]]:
    """Trials of masks themselves, by classifier."""
    masks = [trial for trial in table.trials() if trial.method == MASKS]
    names = dict.fromkeys(trial.classifier for trial in masks)
    return {name: [trial for trial in masks if trial.classifier == name] for name in names}


# ---- what is weak


def weaknesses(table: Table, network: str) -> list[str]:
    """Why the network trained on all outlines is no yardstick for maps, by the rule `WEAK`; empty where it is one."""
    full = yardstick(network)
    dice = table.interval(DICE, full)
    if not dice.n:
        return ["has no result yet"]
    said = []
    alarms, found = (table.interval(metric, full) for metric in (FALSE_ALARMS, FOUND))
    if alarms.mean > HALF:
        said.append(f"marks something in {percent(alarms.mean)} of the pictures without a site")
    if found.mean < HALF:
        said.append(f"finds the site in only {percent(found.mean)} of the pictures that show one")
    learnt = learnt_by(table, network)
    rivals = [best_of(table, [one for one in learnt if one.outlines]), *(one for one in learnt if one.method in COARSE)]
    better = [one for one in rivals if one is not None and table.interval(DICE, one).mean >= dice.mean]
    if better:
        names = [outlines_said(one.outlines) if one.outlines else BASELINE_TITLES[one.method] for one in better]
        said.append(f"does no better than with {' or '.join(names)}")
    if dice.mean < HALF:
        said.append(f"stays under a Dice of {HALF:g}")
    return said


def untaught(table: Table) -> dict[str, Interval]:
    """The area under the curve of classifiers that have not learnt to tell pictures with a site from others."""
    found = {name: table.interval("auc", trials[0]) for name, trials in masks_of(table).items()}
    return {name: auc for name, auc in found.items() if auc.mean < USABLE_AUC}


def percent(share: float) -> str:
    """A share as the page writes it."""
    return f"{100 * share:.0f} %"


# ---- what it is worth


def share(table: Table, trial: Trial) -> Interval:
    """Dice as a share of that of the same network on the same test set that learnt from all outlines."""
    full = table.values(DICE, yardstick(trial.network))
    shares = table.values(DICE, trial) / full.where(full > 0)
    return interval(shares.to_numpy(float), overlap=table.replicates.overlap)


def curve(table: Table, network: str) -> list[tuple[int, Interval]]:
    """Dice against the number of outlined sites."""
    trials = [trial for trial in learnt_by(table, network) if trial.outlines]
    return [(trial.outlines, table.interval(DICE, trial)) for trial in trials]


def worth(table: Table, trial: Trial) -> str:
    """How many outlined sites it is worth, in words, by the curve of means (straight over the logarithm)."""
    value, points = table.interval(DICE, trial), curve(table, trial.network)
    full = table.interval(DICE, yardstick(trial.network))
    if not (value.n and points) or full.mean == 0:  # where nothing is found, nothing is worth more
        return "not known"
    if full.n and value.mean >= full.mean:
        return "all"
    if value.mean < points[0][1].mean:
        return f"fewer than {points[0][0]}" if points[0][0] > 1 else "less than one"
    best = np.maximum.accumulate([mean.mean for _, mean in points])  # more outlines are never worth less
    for place, ((low, _), (high, _)) in enumerate(pairwise(points)):
        if best[place] <= value.mean < best[place + 1]:
            part = (value.mean - best[place]) / (best[place + 1] - best[place])
            return f"about {math.exp(math.log(low) + part * math.log(high / low)):.0f}"
    return f"more than {points[-1][0]}"
