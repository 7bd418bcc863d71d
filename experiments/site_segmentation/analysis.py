"""The answer, claims and tables of study 4B: can masks of maps replace drawn outlines?"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from experiments.harness.classifiers import USABLE_AUC
from experiments.harness.ladder_options import is_rung
from experiments.harness.map_options import OURS
from experiments.harness.rival_options import ELSEWHERE, NOT_KNOWN
from experiments.harness.study import Analysis
from experiments.site_segmentation.charts import charts_of
from experiments.site_segmentation.findings import (
    AT_HALF,
    DICE,
    FALSE_ALARMS,
    FOUND,
    HALF,
    WEAK,
    Table,
    best_maps,
    best_of,
    compared_with,
    full_title_of,
    learnt_by,
    masks_of,
    most_of_few,
    networks_of,
    outlines_said,
    percent,
    share,
    title_of,
    untaught,
    way_title,
    weaknesses,
    worth,
    yardstick,
)
from experiments.site_segmentation.grid import FROM_MAPS, OUTLINES, Config, Trial
from experiments.site_segmentation.operating import POINT
from segjax.evaluation.claims import Claim, format_interval
from segjax.evaluation.picture import METRICS, Metric
from segjax.reports.words import METRIC_NAMES, data_name, joined, network_name

SHARES = (FOUND, FALSE_ALARMS, *AT_HALF, "marked_rate")
COLUMNS = (FOUND, FALSE_ALARMS, "site_iou", "boundary_f_4px", "hd95_px", "label_dice", "marked_rate")
CHOSEN = (*AT_HALF, *POINT)  # columns where levels were chosen on validation pictures


class Rate(NamedTuple):
    """How often a network is right about a whole picture: the metric, its name in claims, and points per unit."""

    metric: str
    label: str
    scale: float


RATES = (Rate(FALSE_ALARMS, "pictures without a site left empty", -100.0), Rate(FOUND, "sites found", 100.0))
QUESTION = (
    "A classifier learns only which pictures show a site, and its activation maps become masks. Can a network that is "
    "trained on these masks replace one that is trained on drawn outlines?"
)
GLOSSARY = (
    "Dice says how well the predicted area covers the true sites: 1 is perfect, 0 is no overlap at all; a Dice point "
    "is 0.01. A site counts as found where any of its pixels is marked. A false alarm is a picture without a site in "
    "which anything is marked. An activation map shows how strongly each part of a picture speaks for a site. 5 "
    "outlines means that the network sees 5 pictures whose site is outlined by hand; points mark only the middle of "
    "each site, and boxes only its extent. A seed is one complete repetition: another start of the networks, other "
    f"test pictures. {WEAK}"
)
LEVEL = (
    "A piece of a prediction counts as a site only where enough of its pixels exceed a level{}. These numbers are "
    "chosen for each network on validation pictures, by one rule for all: something is marked in as many pictures with "
    "a site as possible, and in at most {} of those without one."
)
GATE = ", in pictures to which the classifier gives a high enough probability of a site"
OWN_METRICS = {
    FOUND: Metric("share of test pictures with a site in which any of its pixels is marked", "1", "higher", "-", 1),
    FALSE_ALARMS: Metric("share of test pictures without a site in which anything is marked", "1", "lower", "-", 1),
    "site_iou": Metric("TP / (TP + FP + FN) of one test picture with a site", "1", "higher", "one empty: 0", 1),
    "boundary_f_4px": Metric("2 P R / (P + R), P and R the shares of either outline within 4 px of the other", "1",
                             "higher", "one empty: 0", 1),
    "hd95_px": Metric("larger of the two 95th percentiles of the distances between outlines", "px", "lower",
                      "one empty: the diagonal of the picture", 1),
    "label_dice": Metric("Dice of the training masks against the outlines, training pictures with a site pooled", "1",
                         "higher", "NaN", 1),
    "marked_rate": Metric("share of training pictures with a site in which anything is marked", "1", "higher", "-", 1),
    AT_HALF[0]: Metric("sites found where all pixels with a probability above 0.5 are marked", "1", "higher", "-", 1),
    AT_HALF[1]: Metric("false alarms where all pixels with a probability above 0.5 are marked", "1", "lower", "-", 1),
}  # fmt: skip


def analyse(config: Config, table: Table) -> Analysis:
    """Can masks of maps replace outlines?"""
    networks = networks_of(table)
    families = [_family(config, table, network) for network in networks]
    rates = [_rates(config, table, network, rate) for network in networks for rate in RATES]
    charts = charts_of(config, table, networks)
    answer, *numbers = verdict(table, networks[0], families[0]) if networks else ["No network has been trained yet."]
    return Analysis(
        title=f"Activation maps in place of outlines: {data_name(config.source.data)}",
        question=QUESTION,
        verdict=answer,
        notes=numbers,
        claims=[claim for family in [*families, *rates] for claim in family.values()],
        main=[claim for family in [*families, *rates] for claim in _main(table, family)],
        is_weak=any(weaknesses(table, network) for network in networks),
        tables={"All networks": networks_table(config, table, networks), "Masks made of maps": _masks_table(table)},
        charts=charts,
        cautions=_cautions(table, networks),
        metrics={**{name: METRICS[name] for name in (DICE, "dice")}, **OWN_METRICS},
        shown=[stem for stem in charts if stem.startswith(("found_by_", "worth"))],
        glossary=_glossary(config),
    )


def _glossary(config: Config) -> str:
    if config.level == "half":
        return GLOSSARY
    return f"{GLOSSARY} {LEVEL.format(GATE if config.level == 'gated' else '', percent(config.false_alarms))}"


# ---- the answer


def verdict(table: Table, network: str, family: Mapping[tuple[Trial, Trial], Claim]) -> list[str]:
    """Whether maps replace outlines for a network, or why that cannot be said, and then the numbers."""
    maps = best_maps(table, network)
    if maps is None:
        return [f"Nothing can be said about maps yet: no {network_name(network)} has been trained on them."]
    numbers = _numbers(table, maps)
    if reasons := weaknesses(table, network):
        why = f"even with all outlines, {network_name(network)} {' and '.join(reasons[:2])}"
        return [f"Nothing can be concluded about maps in place of outlines: {why}.", numbers]
    if maps.classifier in (unfit := untaught(table)):
        why = f"the classifier has not learnt its task (area under the curve {unfit[maps.classifier].mean:.2f})"
        return [f"Nothing can be concluded about maps in place of outlines: {why}.", numbers]
    claim = family.get((maps, yardstick(network)))
    answers = {
        "ahead": "Yes, maps can replace outlines here.",
        "not decided": "Maps may replace outlines here: the difference is not decided.",
        "behind": "No, maps do not replace outlines here.",
        "too few": "Whether maps can replace outlines here is not decided.",
    }
    fails = table.interval(FALSE_ALARMS, maps).mean > HALF or table.interval(FOUND, maps).mean < HALF
    answer = "behind" if fails else claim.decision.verdict if claim else "too few"
    few = most_of_few(table, network)
    lead = family.get((maps, few)) if few and not fails else None
    if answer == "behind" and few and lead and lead.decision.verdict == "ahead":
        worth = f"they are worth more than {outlines_said(few.outlines)}"
        return [f"Maps do not replace all outlines here, but {worth}.", numbers]
    return [answers[answer], numbers]


def _numbers(table: Table, maps: Trial) -> str:
    """Dice with maps beside outlines, and how often the network trained on maps is right and wrong about a picture."""
    full, few, name = yardstick(maps.network), most_of_few(table, maps.network), network_name(maps.network)
    others = {"with all outlines": full} | ({} if few is None else {f"with {outlines_said(few.outlines)}": few})
    dice = {said: table.interval(DICE, trial) for said, trial in {"with maps": maps, **others}.items()}
    numbers = joined(f"{value.mean:.3f} {said}" for said, value in dice.items() if value.n)
    said = f"{name} reaches a Dice of {numbers}."
    rates = {trial: [table.interval(metric, trial) for metric in (FOUND, FALSE_ALARMS)] for trial in (maps, full)}
    known = {trial: [percent(value.mean) for value in both] for trial, both in rates.items() if all(v.n for v in both)}
    if maps in known:
        said += (
            f" With maps it finds {known[maps][0]} of the sites and marks something in {known[maps][1]} of the "
            "pictures without one"
        )
        said += f"; with all outlines, {' and '.join(known[full])}." if full in known else "."
    plain = [table.interval(AT_HALF[1], trial) for trial in (maps, full)]
    if all(value.n for value in plain):
        shares = " and ".join(percent(value.mean) for value in plain)
        said += f" With a plain level of 0.5, something would be marked in {shares} of the pictures without a site."
    return said


# ---- claims


def _names(config: Config, learnt: Sequence[Trial]) -> dict[Trial, str]:
    return {trial: full_title_of(config, trial) for trial in learnt}


def _family(config: Config, table: Table, network: str) -> dict[tuple[Trial, Trial], Claim]:
    """Dice of networks that learnt from maps against those that did not, and from our map against other maps.

    All of it is looked at together, so that the best maps count as one of many; claims are on ours and on the best.
    """
    learnt = compared_with(table, network)
    maps = [trial for trial in learnt if trial.method == FROM_MAPS]
    pairs = [
        (subject, rival)
        for subject in maps
        for rival in learnt
        if rival.method != FROM_MAPS or (subject.map == OURS and rival.map != OURS)
    ]
    names, best = _names(config, learnt), best_of(table, maps)
    named = [((names[subject], subject), (names[rival], rival)) for subject, rival in pairs]
    found = zip(pairs, table.compare_pairs(DICE, named), strict=True)
    return {pair: claim for pair, claim in found if claim.decision.n and (pair[0].map == OURS or pair[0] == best)}


def _rates(config: Config, table: Table, network: str, rate: Rate) -> dict[tuple[Trial, Trial], Claim]:
    """How often the network with the best maps is right about a whole picture, against drawn annotations."""
    maps, learnt = best_maps(table, network), compared_with(table, network)
    if maps is None:
        return {}
    names, rivals = _names(config, learnt), [trial for trial in learnt if trial.method != FROM_MAPS]
    claims = table.compare_pairs(
        rate.metric,
        [((names[maps], maps), (names[rival], rival)) for rival in rivals],
        label=rate.label,
        unit="percentage points",
        scale=rate.scale,
    )
    return {(maps, rival): claim for rival, claim in zip(rivals, claims, strict=True) if claim.decision.n}


def _main(table: Table, family: Mapping[tuple[Trial, Trial], Claim]) -> list[Claim]:
    """Of the best maps: against all outlines, most of the few, points, boxes, other maps, and other programs."""
    subject = best_of(table, [one for one, _ in family])
    most = max((rival.outlines for _, rival in family), default=0)
    order = (OUTLINES, "points", "boxes", FROM_MAPS, ELSEWHERE)
    main = {
        rival: claim
        for (one, rival), claim in family.items()
        if one == subject and rival.method in order and rival.outlines in (0, most)
    }
    return [main[rival] for rival in sorted(main, key=lambda one: (order.index(one.method), one.outlines))]


def _cautions(table: Table, networks: Sequence[str]) -> list[str]:
    said = []
    for network in networks:
        if reasons := weaknesses(table, network):
            why = joined(reasons)
            said.append(f"{network_name(network)} is no yardstick for maps here: trained on all outlines, it {why}.")
    for name, auc in untaught(table).items():
        said.append(
            f"{network_name(name)} has not learnt to tell pictures with a site from pictures without: its area under "
            f"the curve is {format_interval(auc)}, below {USABLE_AUC:g}. Masks of its maps mean nothing."
        )
    return said


# ---- tables


def networks_table(config: Config, table: Table, networks: Sequence[str]) -> pd.DataFrame:
    """All networks by what they were trained on, and what `outline_sites` calls it."""
    rows = []
    for place, network in enumerate(networks):
        is_weak = bool(weaknesses(table, network))
        for trial in (learnt_by if place else compared_with)(table, network):  # what stands beside every network, once
            dice, has_no_name = table.interval(DICE, trial), trial.method == ELSEWHERE or is_rung(trial.network)
            trained_on = NOT_KNOWN if trial.method == ELSEWHERE else title_of(config, trial)
            if is_rung(trial.network):
                trained_on = outlines_said(trial.outlines)
            row: dict[str, Any] = {"network": network_name(trial.network), "trained on": trained_on}
            row |= {"Dice": format_interval(dice), "test sets": dice.n}
            for metric in COLUMNS if config.level == "half" else (*COLUMNS, *CHOSEN):
                value = table.interval(metric, trial)
                digits = 1 if metric.endswith(("_px", "_pixels")) else 3
                shown = percent(value.mean) if metric in SHARES else f"{value.mean:.{digits}f}"
                row[METRIC_NAMES[metric]] = shown if value.n else "-"
            if not is_weak:  # a share of a weak network's Dice says nothing
                part = "-" if trial.method == ELSEWHERE else percent(share(table, trial).mean)
                row["share of the Dice with all outlines"] = part
                row["worth in outlines"] = "-" if trial.method in (OUTLINES, ELSEWHERE) else worth(table, trial)
            rows.append({**row, "name for --learnt": "-" if has_no_name else trial.learnt})
    return pd.DataFrame(rows)


def _masks_table(table: Table) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "classifier": network_name(name),
            "area under the curve": format_interval(table.interval("auc", trial)),
            "masks": way_title(trial.way),
            "Dice of training masks": format_interval(table.interval("label_dice", trial)),
            "Dice of test masks": format_interval(table.interval(DICE, trial)),
        }
        for name, trials in masks_of(table).items()
        for trial in trials
    )
