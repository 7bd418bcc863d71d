"""A run beside the shape of the published curves: statements that any faithful run must show, each put to the test."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from segjax.evaluation.statistics import Difference
from segjax.reports import words
from segjax.reports.published import published
from segjax.reports.summary import SEEDS_FOR_INTERVAL, by_seed, levels, networks, points_between, seed_values

STATEMENTS = {
    "i": "Small errors are nearly free: up to 30 % omitted cells cost U-Net and MSD less than one Dice point on HL60.",
    "ii": "At 50 and 70 % omitted cells MSD stays far above U-Net and SegNet.",
    "iii": "Wrongly included objects ruin small cells (granulocytes) and hardly touch large ones (HL60). "
    "(Published losses count from pictures without foreign objects, ours from pictures with them.)",
    "iv": "The cost of outline errors grows steadily with their strength and is worse for small cells (granulocytes).",
}
SETS = {"hl60": "HL60", "granulocytes": "granulocytes", "granulocytes - hl60": "granulocytes against HL60"}
# Limits in Dice points. Published: i at most 0.6, ii 43 (U-Net) and 45 (SegNet), iii 8 (HL60) and 57 to 63.
_NEARLY_FREE, _FAR_ABOVE, _HARDLY, _RUINED = 1.0, 10.0, 10.0, 30.0
_FREE_UP_TO, _JUDGED_AT = 0.3, 0.7  # rates
_METRIC = "dice_pooled"


class Finding(NamedTuple):
    """One number of a run that a statement speaks of.

    Attributes:
        statement: "i" to "iv", as in `STATEMENTS`.
        set: "hl60", "granulocytes", or "granulocytes - hl60" for what small cells cost more.
        network: a network, or "msd - unet" for what one is above the other.
        error, level: as in results.
        ours_mean: Dice points over the seeds: a loss, or the difference that `set` or `network` names.
        interval_low, interval_high: its 95 % interval (Student's t); NaN with fewer than three seeds.
        seeds: number of seeds behind it.
        published: the same from the published means; NaN where that strength was not published.
        came_out: "yes" or "no" for the mean; empty where the statement names no limit.
    """

    statement: str
    set: str
    network: str
    error: str
    level: float
    ours_mean: float
    interval_low: float
    interval_high: float
    seeds: int
    published: float
    came_out: str


def findings(table: pd.DataFrame, kind: str) -> list[Finding]:
    """What the run of one set has to say on each statement; what its grid cannot judge is left out.

    Args:
        table: results in long form of that set.
        kind: "hl60" or "granulocytes".

    Raises:
        InputError: as `seed_values`.
    """
    values, paper = seed_values(table, _METRIC), published(kind)
    names, rates = networks(table), levels(table, "omission")[1:]
    found = []
    if kind == "hl60":
        free = [rate for rate in rates if rate <= _FREE_UP_TO]
        for network, level, loss in _losses(values, [name for name in names if name != "segnet"], "omission", free):
            verdict = _yes(loss.mean < _NEARLY_FREE)
            beside = _published_loss(paper, network, "omission", level)
            found.append(Finding("i", kind, network, "omission", level, *loss[:4], beside, verdict))
    for other in ("unet", "segnet"):
        for level in (rate for rate in rates if rate > _FREE_UP_TO):
            lead = points_between(*(by_seed(values, name, "omission", level) for name in ("msd", other)))
            beside = 100 * (_published(paper, "msd", "omission", level) - _published(paper, other, "omission", level))
            verdict = _yes(lead.mean >= _FAR_ABOVE) if level >= _JUDGED_AT else ""
            found.append(Finding("ii", kind, f"msd - {other}", "omission", level, *lead[:4], beside, verdict))
    for network, level, loss in _losses(values, names, "inclusion", levels(table, "inclusion")[1:][-1:]):
        verdict = _yes(loss.mean < _HARDLY if kind == "hl60" else loss.mean >= _RUINED)
        beside = _published_loss(paper, network, "inclusion", level)
        found.append(Finding("iii", kind, network, "inclusion", level, *loss[:4], beside, verdict))
    strengths = levels(table, "bias")[1:]
    for name in names if len(strengths) > 1 else []:
        milder = 0.0
        for network, level, loss in _losses(values, [name], "bias", strengths):
            beside = _published_loss(paper, network, "bias", level)
            found.append(Finding("iv", kind, network, "bias", level, *loss[:4], beside, _yes(loss.mean > milder)))
            milder = loss.mean
    return [finding for finding in found if finding.seeds]


def set_findings(large: pd.DataFrame, small: pd.DataFrame) -> list[Finding]:
    """What inclusion (at the highest rate) and outline errors cost granulocytes more than HL60; came out where more.

    Intervals are over the seeds that both sets have. They share nothing but their number, so that is no bias.

    Args:
        large, small: results in long form of HL60 and of granulocytes.

    Raises:
        InputError: as `seed_values`.
    """
    values = [seed_values(table, _METRIC) for table in (large, small)]
    papers = [published("hl60"), published("granulocytes")]
    names = [name for name in networks(large) if name in networks(small)]
    found = []
    for statement, error in (("iii", "inclusion"), ("iv", "bias")):
        common = [level for level in levels(large, error)[1:] if level in levels(small, error)]
        for network in names:
            for level in common[-1:] if error == "inclusion" else common:
                lost = [by_seed(v, network, error, 0.0) - by_seed(v, network, error, level) for v in values]
                more = points_between(lost[1].dropna(), lost[0].dropna())
                of_large, of_small = (_published_loss(paper, network, error, level) for paper in papers)
                judged = (*more[:4], of_small - of_large, _yes(more.mean > 0))
                found.append(Finding(statement, "granulocytes - hl60", network, error, level, *judged))
    return [finding for finding in found if finding.seeds]


def sentence(finding: Finding, coarsening: float = 1.0) -> str:
    """A finding in words: the number, its interval and seeds, the published one, and whether it came out."""
    strength = words.amount_of(finding.error, finding.level, coarsening)
    points = f"{finding.ours_mean:.1f} points"
    first, _, second = (words.network_name(name) for name in finding.network.partition(" - "))
    if second:
        said = f"At {strength} MSD is {points} above {second}"
    elif " - " in finding.set:
        said = f"{words.capital(strength)} cost {first} {points} more on granulocytes than on HL60"
    else:
        said = f"{words.capital(strength)} cost {first} {points}"
    interval = f"95 % interval {finding.interval_low:.1f} to {finding.interval_high:.1f}, "
    seeds = f"{interval if finding.seeds >= SEEDS_FOR_INTERVAL else ''}{words.seeds(finding.seeds)}"
    beside = "not published" if np.isnan(finding.published) else f"published {finding.published:.1f}"
    verdict = f" Came out ({_limit(finding)}): {finding.came_out}." if finding.came_out else ""
    return f"{said} ({seeds}; {beside}).{verdict}"


def by_statement(found: Iterable[Finding], coarsening: float = 1.0) -> dict[str, list[str]]:
    """The sentences of one set under the statement that each of them tests."""
    grouped: dict[str, list[str]] = {}
    for finding in found:
        grouped.setdefault(STATEMENTS[finding.statement], []).append(sentence(finding, coarsening))
    return grouped


def _limit(finding: Finding) -> str:
    """What had to be so for the finding to come out."""
    if " - " in finding.set:
        return "more"
    if finding.statement == "iii":
        return f"less than {_HARDLY:g} points" if finding.set == "hl60" else f"at least {_RUINED:g} points"
    return {
        "i": f"less than {_NEARLY_FREE:g} point",
        "ii": f"at least {_FAR_ABOVE:g} points",
        "iv": "more than at the strength before",
    }[finding.statement]


def _losses(
    values: pd.DataFrame, names: Iterable[str], error: str, strengths: Iterable[float]
) -> list[tuple[str, float, Difference]]:
    """Network, strength and Dice points lost against the run without the error, where a seed has both."""
    losses = [
        (name, level, points_between(by_seed(values, name, error, 0.0), by_seed(values, name, error, level)))
        for name in names
        for level in strengths
    ]
    return [entry for entry in losses if entry[2].n]


def _yes(came_out: bool) -> str:
    return "yes" if came_out else "no"


def _published_loss(paper: pd.DataFrame, network: str, error: str, level: float) -> float:
    """Published loss in Dice points; NaN where that cell was not published."""
    return 100 * (_published(paper, network, error, 0.0) - _published(paper, network, error, level))


def _published(paper: pd.DataFrame, network: str, error: str, level: float) -> float:
    here = paper[(paper["network"] == network) & (paper["error"] == error) & np.isclose(paper["level"], level)]
    return float(here["dice"].iloc[0]) if len(here) else float("nan")
