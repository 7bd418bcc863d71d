"""Tables, charts, claims and pictures of study 4B: what masks of maps are worth beside drawn outlines."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from experiments.harness.classifiers import USABLE_AUC, LabelledDomain
from experiments.harness.map_options import MAP_TITLES, OURS
from experiments.harness.study import Analysis, Context
from experiments.site_segmentation.grid import (
    BASELINES,
    FROM_MAPS,
    MASKS,
    NONE,
    OUTLINES,
    Config,
    Training,
    Trial,
    Way,
)
from segjax.evaluation import METRICS, Claim, Interval, Metric, format_interval, interval
from segjax.reports import Figure, Illustration, Line, MapTile, data_name, dot_chart, line_chart, map_panel, svg
from segjax.reports.words import network_name
from segjax.sweeps import ResultTable

Table = ResultTable[Trial]
DICE = "dice_pooled"
COLUMNS = (
    "detection_rate", "false_positive_rate", "site_iou", "boundary_f_4px", "hd95_px", "label_dice", "marked_rate",
)  # fmt: skip
WORTH, NETWORKS = "How many outlines the maps are worth", "Networks by what they learnt from"
HEADINGS = {
    "curves": "What the maps are worth",
    "labels": "Masks made of maps",
    "predictions": "What the networks found",
}
GLOSSARY = (
    "Dice says how well what was found covers the true sites: 1 is perfect, 0 is no overlap at all; a Dice point is "
    "0.01. Full supervision means that all sites of the training pictures are outlined by hand. A seed is one complete "
    "repetition: another start of the networks, other held-out pictures. Intervals count distinct test sets."
)
INTERVALS = "Points are means over test sets, bars their 95 % intervals, where there are enough test sets for one."
OWN_METRICS = {
    "detection_rate": Metric("share of test pictures with a site in which any of its pixels is found", "1", "higher",
                             "-", 1),
    "false_positive_rate": Metric("share of test pictures without a site in which anything is found", "1", "lower", "-",
                                  1),
    "site_iou": Metric("TP / (TP + FP + FN) of one test picture with a site", "1", "higher", "one empty: 0", 1),
    "boundary_f_4px": Metric("2 P R / (P + R), P and R the shares of either outline within 4 pixels of the other", "1",
                             "higher", "one empty: 0", 1),
    "label_dice": Metric("Dice of what is learnt from against the outlines, training pictures with a site pooled", "1",
                         "higher", "NaN", 1),
    "marked_rate": Metric("share of training pictures with a site in which anything is marked", "1", "higher", "-", 1),
}  # fmt: skip
LEVELS = {
    "fixed": "a fixed level",
    "otsu": "Otsu's level",
    "percentile": "the level of a percentile",
    "dataset": "one level for all",
    "contour": "the contour level",
}
COMPLETED = {"none": "", "random_walk": " and a random walk", "geodesic": " and geodesics"}
BASELINE_TITLES = {
    "points": "discs on the sites' points",
    "walked_points": "points completed by a random walk",
    "boxes": "ellipses in the sites' boxes",
}


def analyse(config: Config, table: Table) -> Analysis:
    """What masks of maps are worth."""
    networks = list(dict.fromkeys(trial.network for trial in table.trials() if trial.network != NONE))
    families = [_family(config, table, network) for network in networks]
    return Analysis(
        title=f"Site outlines from image-level labels: {data_name(config.source.data)}",
        question=(
            f"Of {data_name(config.source.data)} it is known only which show what is looked for. Masks are made of "
            "what a classifier looks at. How good is a segmentation network that learns from them, beside networks "
            "that learn from drawn outlines and from cheap annotations?"
        ),
        claims=[claim for family in families for claim in family.values()],
        main=[claim for family in families for claim in _main(table, family)],
        tables={NETWORKS: networks_table(config, table, networks), "Masks made of maps": _masks_table(table)},
        figures=_figures(config, table, networks),
        cautions=_cautions(table, networks),
        metrics={**{name: METRICS[name] for name in (DICE, "dice")}, **OWN_METRICS},
        shown=[WORTH],
        headings=HEADINGS,
        glossary=GLOSSARY,
    )


def learnt_by(table: Table, network: str) -> list[Trial]:
    """What a network learnt from, as its trials of seed 0: maps, baselines, outlines of few sites and of all."""
    order = (FROM_MAPS, *BASELINES, OUTLINES)
    own = [trial for trial in table.trials() if trial.network == network]
    return sorted(own, key=lambda trial: (order.index(trial.method), trial.outlines or math.inf))


def title_of(config: Config, trial: Trial) -> str:
    """What a trial's network learnt from, as the page calls it."""
    if trial.method == FROM_MAPS:
        several = len(config.classification.classifiers) > 1
        return f"masks of {way_title(trial.way)}" + (f" ({network_name(trial.classifier)})" if several else "")
    if trial.method == OUTLINES:
        return f"outlines of {trial.outlines or 'all'} site{'' if trial.outlines == 1 else 's'}"
    return BASELINE_TITLES[trial.method]


def way_title(way: Way) -> str:
    """A way of making masks as the page calls it."""
    return f"{MAP_TITLES[way.map]} by {LEVELS[way.rule]}{COMPLETED[way.completion]}"


def best_of(table: Table, trials: Sequence[Trial]) -> Trial | None:
    """The trial with the highest mean Dice; None where none has one."""
    known = [trial for trial in trials if table.interval(DICE, trial).n]
    return max(known, key=lambda trial: table.interval(DICE, trial).mean, default=None)


# ---- claims


def _family(config: Config, table: Table, network: str) -> dict[tuple[Trial, Trial], Claim]:
    """Networks that learnt from maps against those that did not, and from our map against those from other maps.

    All of it is looked at together, so that the best maps count as one of many; claims are on ours and on the best.
    """
    learnt = learnt_by(table, network)
    maps = [trial for trial in learnt if trial.method == FROM_MAPS]
    pairs = [
        (subject, rival)
        for subject in maps
        for rival in learnt
        if rival.method != FROM_MAPS or (subject.map == OURS and rival.map != OURS)
    ]
    names = {trial: f"{network_name(network)} from {title_of(config, trial)}" for trial in learnt}
    named = [((names[subject], subject), (names[rival], rival)) for subject, rival in pairs]
    best = best_of(table, maps)
    found = zip(pairs, table.compare_pairs(DICE, named), strict=True)
    return {pair: claim for pair, claim in found if claim.decision.n and (pair[0].map == OURS or pair[0] == best)}


def _main(table: Table, family: Mapping[tuple[Trial, Trial], Claim]) -> list[Claim]:
    """Of our best masks: against other maps, points, most of the outlines, and all of them."""
    subject = best_of(table, [one for one, _ in family if one.map == OURS])
    most = max((rival.outlines for _, rival in family), default=0)
    return [
        claim
        for (one, rival), claim in family.items()
        if one == subject and rival.method in (FROM_MAPS, "points", OUTLINES) and rival.outlines in (0, most)
    ]


def _cautions(table: Table, networks: Sequence[str]) -> list[str]:
    said = ["Shares of full supervision say little where the network that learnt from all outlines is weak itself."]
    for network in networks:
        if table.interval(DICE, Trial(network, 0, OUTLINES)).mean == 0:
            said.append(f"{network_name(network)} finds nothing even with all outlines: train longer.")
    for name, trials in _masks(table).items():
        auc = table.interval("auc", trials[0])
        if auc.mean < USABLE_AUC:
            said.append(
                f"{network_name(name)} has an area under the curve of {format_interval(auc)}, under {USABLE_AUC:g}: "
                "it has not learnt its task, and masks of its maps mean nothing."
            )
    return said


# ---- tables


def networks_table(config: Config, table: Table, networks: Sequence[str]) -> pd.DataFrame:
    """All networks by what they learnt from; `--learnt` is what `outline_sites` calls it."""
    rows = []
    for network in networks:
        for trial in learnt_by(table, network):
            dice = table.interval(DICE, trial)
            row: dict[str, Any] = {
                "network": network_name(network),
                "learnt from": title_of(config, trial),
                "--learnt": trial.learnt,
            }
            row |= {"Dice": format_interval(dice), "test sets": dice.n}
            for metric in COLUMNS:
                value = table.interval(metric, trial)
                row[metric] = f"{value.mean:.3f}" if value.n else "-"
            row["share of full supervision"] = f"{share(table, trial).mean:.2f}"
            row["worth in outlined sites"] = "-" if trial.method == OUTLINES else worth(table, trial)
            rows.append(row)
    return pd.DataFrame(rows)


def share(table: Table, trial: Trial) -> Interval:
    """Dice as a share of that of the same network on the same test set that learnt from all outlines."""
    full = table.values(DICE, Trial(trial.network, 0, OUTLINES))
    shares = table.values(DICE, trial) / full.where(full > 0)
    return interval(shares.to_numpy(float), overlap=table.replicates.overlap)


def curve(table: Table, network: str) -> list[tuple[int, Interval]]:
    """Dice against the number of outlined sites."""
    trials = [trial for trial in learnt_by(table, network) if trial.outlines]
    return [(trial.outlines, table.interval(DICE, trial)) for trial in trials]


def worth(table: Table, trial: Trial) -> str:
    """How many outlined sites it is worth, in words, by the curve of means (straight over the logarithm)."""
    value, points = table.interval(DICE, trial), curve(table, trial.network)
    full = table.interval(DICE, Trial(trial.network, 0, OUTLINES))
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


def _masks(table: Table) -> dict[str, list[Trial]]:
    """Trials of masks themselves, by classifier."""
    masks = [trial for trial in table.trials() if trial.method == MASKS]
    names = dict.fromkeys(trial.classifier for trial in masks)
    return {name: [trial for trial in masks if trial.classifier == name] for name in names}


def _masks_table(table: Table) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "classifier": network_name(name),
            "area under the curve": format_interval(table.interval("auc", trial)),
            "masks": way_title(trial.way),
            "Dice of training masks": format_interval(table.interval("label_dice", trial)),
            "Dice of test masks": format_interval(table.interval(DICE, trial)),
        }
        for name, trials in _masks(table).items()
        for trial in trials
    )


# ---- figures


def _figures(config: Config, table: Table, networks: Sequence[str]) -> dict[str, Illustration]:
    """The charts that there are results for."""
    found: dict[str, tuple[Figure, str]] = {}
    if panels := _worth_panels(config, table, networks):
        said = (
            f"Where a level line crosses the curve, what was learnt from is worth so many outlined sites. {INTERVALS}"
        )
        found[WORTH] = (line_chart(panels, "outlined sites", "Dice of the test pictures"), said)
    for heading, metric, axis in (
        (NETWORKS, DICE, "Dice of the test pictures"),
        ("Their boundaries", "boundary_f_4px", "boundary F at 4 pixels, test pictures with a site"),
    ):
        series = {
            network_name(network): {
                title_of(config, trial): value
                for trial in learnt_by(table, network)
                if (value := table.interval(metric, trial)).n
            }
            for network in networks
        }
        if any(series.values()):
            found[heading] = (dot_chart(series, axis), INTERVALS)
    masks = {
        network_name(name): {way_title(trial.way): table.interval("label_dice", trial) for trial in trials}
        for name, trials in _masks(table).items()
    }
    if masks:
        said = f"Every map, rule for its level and completion. {INTERVALS}"
        found["Masks before any network learns from them"] = (dot_chart(masks, "Dice of the training masks"), said)
    return {name: Illustration(svg(figure), caption) for name, (figure, caption) in found.items()}


def _worth_panels(config: Config, table: Table, networks: Sequence[str]) -> dict[str, list[Line]]:
    """A panel per network: Dice against outlined sites, with everything else that was learnt from as level lines."""
    panels = {}
    for network in networks:
        points = curve(table, network)
        if not points:
            continue
        ends = (points[0][0], points[-1][0])
        lines = [Line("outlined sites", [x for x, _ in points], [y for _, y in points])]
        for trial in learnt_by(table, network):
            if not trial.outlines:
                level = table.interval(DICE, trial)._replace(low=math.nan, high=math.nan)
                lines.append(Line(title_of(config, trial), ends, (level, level), trial.method == OUTLINES))
        panels[network_name(network)] = lines
    return panels


def gallery(context: Context[Config, LabelledDomain, Training]) -> Mapping[str, Illustration]:
    """Masks on a picture, and what networks found on it."""
    config, domain = context.config, context.data
    masks: list[MapTile] = []
    networks: list[MapTile] = []
    for trial in config.trials():
        is_mask = trial.method == MASKS
        if trial.seed or (is_mask and trial.way not in config.trained_ways()):
            continue
        if (kept := context.examples.load(trial)) is not None:
            middle = len(kept["indices"]) // 2
            index, mask = int(kept["indices"][middle]), kept["masks"][middle].astype(float)
            row, column = (
                (trial.classifier, way_title(trial.way)) if is_mask else (trial.network, title_of(config, trial))
            )
            tile = MapTile(network_name(row), column, domain.images[index], mask, domain.labels[index] > 0)
            (masks if is_mask else networks).append(tile)
    found = {}
    text = "One test picture with a site (seed 0), the expert's outline in red."
    if masks:
        found["Masks on a picture"] = Illustration(map_panel(masks), f"Masks made of maps. {text}", "labels")
    if networks:
        found["Found on a picture"] = Illustration(map_panel(networks), f"By what was learnt. {text}", "predictions")
    return found
