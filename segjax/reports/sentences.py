"""The question and the answer in plain sentences, every number taken from the table of results."""

from typing import NamedTuple

import pandas as pd

from segjax.evaluation import Difference, holm, mean_interval
from segjax.reports import words
from segjax.reports.summary import (
    SEEDS_FOR_INTERVAL,
    by_seed,
    levels,
    missing_cells,
    networks,
    points_between,
    seed_values,
)

# One Dice point is 0.01. What a strength may cost, in points, to be called nearly free and bearable.
_LIMITS = ((1.0, "less than one Dice point"), (5.0, "less than five points"))
_SIGNIFICANT = 0.05
# Wilcoxon's test of n pairs cannot fall below 2 / 2^n: from six pairs on it can reach 5 %.
_PAIRS_FOR_TEST = 6
_METRIC = "dice_pooled"


class _Cost(NamedTuple):
    level: float
    points: Difference


def question(table: pd.DataFrame, coarsening: float = 1.0) -> str:
    """What the study asked, which networks and errors it tried, and how it judged them.

    Args:
        table: results in long form, of one data set.
        coarsening: edge of a pixel of the pictures in published pixels.

    Raises:
        InputError: as `seed_values`.
    """
    errors = words.in_order(set(table["error"]))
    start = "How wrong may the annotations be that a network learns from?"
    if table.empty or not errors:
        return start
    tried = []
    for error in errors:
        strengths = levels(table, error)[1:]
        thing = words.error_words(error).thing
        tried.append(f"{thing} ({words.amounts(error, strengths, coarsening)})" if strengths else thing)
    names = [words.network_name(network) for network in networks(table)]
    trained = f"{words.joined(names)} {'was' if len(names) == 1 else 'were'} trained"
    return (
        f"{start} {trained} on labels that were made faulty on purpose: "
        f"{words.joined(tried)}, one kind of error at a time. Every prediction was then compared with faultless labels."
    )


def answers(table: pd.DataFrame, coarsening: float = 1.0) -> tuple[str, ...]:
    """What came out, one sentence or two per finding, with intervals and the number of seeds behind each.

    Fewer than three seeds give no interval and no verdict; one sentence says so.

    Costs are paired by seed against the run without the error. Networks are called distinguishable at the strongest
    error only when Wilcoxon's signed-rank test, Holm-corrected over the networks compared, is below 5 % (six seeds or
    more), or, where three to five seeds leave that test no chance, when the 95 % interval of the difference (not
    corrected for the number of networks) leaves out zero; the sentence says which.

    Raises:
        InputError: as `seed_values`.
    """
    values = seed_values(table, _METRIC)
    if values.empty:
        return ("There is no result yet: no run has finished with a Dice value.",)
    found = [*_clean(table, values), _without_interval(values)]
    for error in words.in_order(set(table["error"])):
        strengths = levels(table, error)
        found += [_tolerance(values, network, error, strengths[1:], coarsening) for network in networks(table)]
        found += _best(values, error, strengths[-1], coarsening)
    gaps = missing_cells(table, _METRIC)
    if gaps:
        found.append(f"Nothing can be said about {words.cells_named(gaps, coarsening)}: no run there gave a result.")
    return tuple(sentence for sentence in found if sentence)


def _clean(table: pd.DataFrame, values: pd.DataFrame) -> list[str]:
    parts = []
    for network in networks(table):
        mean, low, high, n = mean_interval(by_seed(values, network, words.CLEAN, 0.0))
        interval = f"95 % interval {low:.3f} to {high:.3f}, " if n >= SEEDS_FOR_INTERVAL else ""
        if n:
            parts.append(f"{words.network_name(network)} {mean:.3f} ({interval}{words.seeds(n)})")
    if not parts:
        return ["There is no run on clean labels to compare with."]
    return [f"Trained on clean labels, the networks reach a Dice of: {words.joined(parts)}."]


def _without_interval(values: pd.DataFrame) -> str:
    """Why some or all numbers stand without an interval; empty where none does."""
    counts = values.groupby(["network", "error", "level"]).size()
    if counts.min() >= SEEDS_FOR_INTERVAL:
        return ""
    where = "Where only one or two seeds have a result" if counts.max() >= SEEDS_FOR_INTERVAL else ""
    where = where or f"With {words.seeds(int(counts.max()))}"
    return f"{where} no interval can be given; run with --seeds 5 or more."


def _tolerance(values: pd.DataFrame, network: str, error: str, strengths: list[float], coarsening: float) -> str:
    """How far the error may go before it costs one and five points, and what its worst strength costs."""
    if not strengths:
        return ""
    name = words.network_name(network)
    clean = by_seed(values, network, error, 0.0)
    costs = [_Cost(level, points_between(clean, by_seed(values, network, error, level))) for level in strengths]
    known = [cost for cost in costs if cost.points.n]
    if not known:
        thing = words.error_words(error).thing
        return f"What {thing} cost {name} cannot be said: no seed has a result both with and without them."
    parts: list[str] = []
    said, last = 0.0, known[-1].level
    for limit, phrase in _LIMITS:
        bearable = _bearable(costs, limit)
        if bearable and costs[bearable - 1].level != said:
            said, points = costs[bearable - 1]
            first = f"{words.most_of(error, said, coarsening)} cost {name}"
            start = words.most(error, said, coarsening) if parts else first
            parts.append(f"{start} {phrase} ({_points(points)}{_caution(points, limit)})")
        elif not parts:
            said, points = known[0]
            already = "already " if points.mean >= limit else ""
            parts.append(f"{already}{words.amount_of(error, said, coarsening)} cost {name} {_points(points)}")
    if said != last:
        parts.append(f"{words.amount(error, last, coarsening)} cost {_points(known[-1].points)}")
    return words.capital("; ".join(parts)) + "."


def _bearable(costs: list[_Cost], limit: float) -> int:
    """How many strengths, from the mildest on, stay below the limit; one without a result ends the row."""
    below = [cost.points.mean < limit for cost in costs]
    return below.index(False) if False in below else len(costs)


def _points(points: Difference) -> str:
    """A loss in Dice points with its interval and the number of seeds; a gain is a negative loss."""
    mean, low, high = (round(value, 1) + 0.0 for value in points[:3])
    interval = f"95 % interval {low:.1f} to {high:.1f}, " if points.n >= SEEDS_FOR_INTERVAL else ""
    return f"{mean:.1f} points, {interval}{words.seeds(points.n)}"


def _caution(points: Difference, limit: float) -> str:
    return f"; the interval reaches beyond {limit:g}" if points.n >= SEEDS_FOR_INTERVAL and points.high >= limit else ""


def _best(values: pd.DataFrame, error: str, level: float, coarsening: float) -> list[str]:
    """The network with the highest mean at the strongest error, and whether it can be told from the others."""
    runs = {network: by_seed(values, network, error, level) for network in values["network"].unique()}
    runs = {network: dice for network, dice in runs.items() if len(dice)}
    if level == 0 or len(runs) < 2:
        return []
    best, *others = sorted(runs, key=lambda network: (-runs[network].mean(), network))
    differences = [points_between(runs[best], runs[other]) for other in others]
    corrected = holm([difference.p for difference in differences])
    versus = [
        f"{_lead(difference)} {words.network_name(other)} ({_verdict(difference, float(p))})"
        for other, difference, p in zip(others, differences, corrected, strict=True)
    ]
    first = f"At the strongest error tried, {words.amount_of(error, level, coarsening)}, {words.network_name(best)}"
    mean = f"{runs[best].mean():.3f} ({words.seeds(len(runs[best]))})"
    sentence = f"{first} has the highest mean Dice, {mean}: {words.joined(versus)}."
    if any(SEEDS_FOR_INTERVAL <= difference.n < _PAIRS_FOR_TEST for difference in differences):
        sentence += (
            " With fewer than six seeds only the interval can judge; the Wilcoxon test cannot confirm a difference."
        )
    return [sentence]


def _lead(difference: Difference) -> str:
    return f"{difference.mean:.1f} points above" if difference.n else "not to be compared with"


def _verdict(difference: Difference, p: float) -> str:
    low, high, n = round(difference.low, 1) + 0.0, round(difference.high, 1) + 0.0, difference.n
    if n == 0:
        return "no seed in common"
    if n < SEEDS_FOR_INTERVAL:
        return f"{words.seeds(n)}, too few to tell it from chance"
    measured = f"95 % interval {low:.1f} to {high:.1f}, {words.seeds(n)}"
    if n < _PAIRS_FOR_TEST:
        return (
            f"{measured}: {'distinguishable' if difference.low > 0 or difference.high < 0 else 'not distinguishable'}"
        )
    verdict = "distinguishable" if p < _SIGNIFICANT else "not distinguishable"
    return f"{measured}, Wilcoxon p = {p:.2g} after Holm's correction: {verdict}"
