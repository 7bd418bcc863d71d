"""Answer, charts, tables and claims of study 5: what is ahead at each budget, what more is worth, what prices turn."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.annotation_budget.grid import ARMS, COUNT, NONE, Config, Trial
from experiments.harness.study import Analysis
from segjax.evaluation import Interval
from segjax.evaluation.claims import Claim, format_interval
from segjax.evaluation.picture import METRICS
from segjax.evaluation.saturation import LEAST_POINTS, expected_gain
from segjax.reports.priced import Bought, Priced, front_chart
from segjax.reports.words import data_name, joined, network_name
from segjax.sweeps import ResultTable

QUESTION = "What should the next hour of an annotator be spent on? Networks were trained on what equal budgets buy."
AXES = {"dice_pooled": "Dice of the test pictures", "f1": "F1 of the objects"}
ASKED = (1.0, 5.0, 20.0)  # hours that the verdict speaks of, where they are among the budgets
FACTORS = (0.5, 2.0)  # by which one price at a time is changed
TITLES = {
    "outline": "a careful outline", "outline_per_px": "a pixel of a careful outline", "quick": "a quick outline",
    "quick_per_px": "a pixel of a quick outline", "point": "a point", "box": "a box", "image_label": "an image label",
    "correction": "a redrawn proposal", "look": "a proposal looked at", "picture": "a picture opened",
}  # fmt: skip
GLOSSARY = (
    "A budget buys annotations of whole pictures, drawn by lot from a pool, until the next one does not fit. Hours "
    "are what was spent. All arms have the same lots, test pictures, validation pictures and training steps; a few-"
    "shot head is fitted until it gains no more. Quick outlines miss objects and are off. Points: a disc of 0.7 times "
    "the median radius is object, beyond 1.4 times is background, what lies between counts nowhere. Boxes: the "
    "ellipse in the box is object, the rest of the box counts nowhere. Repaired: a network that learnt from the "
    "careful outlines repairs the quick ones. Corrected: the network of the round before proposes, and what overlaps "
    "too little is redrawn. Where an arm has bought the whole pool, larger budgets buy no more of it, and its values "
    "stay. Another price changes the hours of what was bought; between purchases, values are read off along the "
    "logarithm of hours."
)
Table = ResultTable[Trial]


class Worth(NamedTuple):
    """What a curve says of more hours, in Dice points, and what it really was where that is known."""

    spent_on: str
    start: float
    end: float
    gain: Interval
    was: float | None = None
    is_beyond: bool = False


def way_name(trial: Trial, networks: Sequence[str]) -> str:
    """What a budget is spent on, and the network where there are several."""
    several = len(networks) > 1 and trial.network != NONE
    return ARMS[trial.arm] + (f" ({network_name(trial.network)})" if several else "")


def analyse(config: Config, table: Table) -> Analysis:
    """What budgets are best spent on."""
    ways, whole = ways_of(config, table), carried(table, config.budgets)
    families = {hours: claims_at(config, whole, hours) for hours in config.budgets}
    asked, priced = asked_of(config.budgets), {metric: priced_of(config, table, metric) for metric in AXES}
    dice = priced["dice_pooled"]
    gains, checked, turned = gains_of(table, ways), predictions_of(table, ways), dice.turned(FACTORS)
    tables = {
        "The front": _front_table(dice),
        "What twice the hours are worth": _worth_table(gains),
        "The last budget, predicted from those before it": _worth_table(checked),
        "Where half or twice a price changes what reaches most": _turned_table(dice, turned),
        "All values": table.overview([*AXES, "label_dice", "pictures", "hours"]),
    }
    said = "; ".join(said_at(hours, families[hours], ways) for hours in asked)
    return Analysis(
        title=f"What an hour of annotation is worth: {data_name(config.source.data)}",
        question=QUESTION,
        verdict=f"{said[0].upper()}{said[1:]}.",
        notes=[*_gain_said(gains), *_turned_said(dice, turned)],
        claims=[claim for own in families.values() for claim in own],
        main=[claim for hours in asked for claim in families[hours]],
        charts={f"{metric}_by_hours": front_chart(one) for metric, one in priced.items()},
        priced=dice,
        tables={name: frame for name, frame in tables.items() if len(frame)},
        metrics=METRICS,
        shown=["dice_pooled_by_hours"],
        glossary=GLOSSARY,
    )


def carried(table: Table, budgets: Sequence[float]) -> Table:
    """With the values of trials that used up their pool at all larger budgets, which buy the same."""
    ended = table.frame[table.frame["at_end"] == 1] if "at_end" in table.frame else table.frame[:0]
    more = [ended[ended["budget"] < hours].assign(budget=hours) for hours in budgets]
    frame = pd.concat([table.frame, *more], ignore_index=True)
    return ResultTable(frame, Trial, table.replicates, table.coarsening, table.rows)


def ways_of(config: Config, table: Table) -> dict[str, list[Trial]]:
    """The trials of everything that budgets are spent on, by its name, by rising budget."""
    found: dict[str, list[Trial]] = {}
    for trial in sorted(table.trials(), key=lambda trial: (list(ARMS).index(trial.arm), trial.budget)):
        found.setdefault(way_name(trial, config.segmentation.networks), []).append(trial)
    return found


def claims_at(config: Config, table: Table, hours: float) -> list[Claim]:
    """What reaches most for a budget against everything else, one family as it was chosen afterwards."""
    own = {name: one for name, trials in ways_of(config, table).items() for one in trials if one.budget == hours}
    means = {name: value.mean for name, one in own.items() if (value := table.interval("dice_pooled", one)).n}
    if not means:
        return []
    best = max(means, key=means.__getitem__)
    rivals = {f"{name}, {hours:g} h": one for name, one in own.items() if name != best}
    return table.compare("dice_pooled", (f"{best}, {hours:g} h", own[best]), rivals)


def asked_of(budgets: Sequence[float]) -> list[float]:
    """The budgets that the verdict speaks of: 1, 5 and 20 hours, or the least, the middle and the largest."""
    known = [hours for hours in ASKED if hours in budgets]
    return known or sorted({budgets[0], budgets[len(budgets) // 2], budgets[-1]})


def said_at(hours: float, claims: Sequence[Claim], ways: dict[str, list[Trial]]) -> str:
    """What to do with a budget, and by how much that is ahead, or what cannot be told."""
    if not claims:
        return f"for {hours:g} h, only {joined(ways) if len(ways) == 1 else 'one kind of annotation'} can be judged"
    best, *names = (name.rpartition(",")[0] for name in (claims[0].subject, *(claim.rival for claim in claims)))
    nearest, rival = min(zip(claims, names, strict=True), key=lambda pair: pair[0].decision.mean)
    margin = f"{format_interval(Interval(*nearest.decision[:4]), 1)} Dice points"
    open_ones = [name for name, claim in zip(names, claims, strict=True) if claim.decision.verdict == "not decided"]
    if open_ones:
        return f"for {hours:g} h, it cannot be told which is best: {' or '.join([best, *open_ones])}"
    if nearest.decision.verdict == "ahead":
        return f"for {hours:g} h, take {best}: {margin} ahead of {rival}"
    return f"for {hours:g} h, most is reached with {best}: {margin} more than with {rival}"


def priced_of(config: Config, table: Table, metric: str) -> Priced:
    """Every purchase with its counts, means over replicates, for charts and other prices."""
    prices = vars(config.prices.prices())

    def counts(trial: Trial) -> dict[str, float]:
        found = {name: table.interval(f"{COUNT}{name}", trial) for name in prices}
        return {name: count.mean for name, count in found.items() if count.n}

    curves: dict[str, list[Bought]] = {}
    picture: dict[str, float] = {}
    for name, trials in ways_of(config, table).items():
        values = [(counts(trial), table.interval(metric, trial)) for trial in trials]
        curves[name] = [Bought(count, value) for count, value in values if value.n]
        if trials[0].arm == "careful":
            picture = {name: count / values[-1][0]["picture"] for name, count in values[-1][0].items()}
    known = {name: points for name, points in curves.items() if points}
    return Priced(prices, TITLES, known, config.budgets, picture, AXES[metric])


def gains_of(table: Table, ways: dict[str, list[Trial]]) -> list[Worth]:
    """By how much a fitted curve rises while the hours double, from every purchase on."""
    return [
        Worth(name, start, 2 * start, _gain(table, hours, values, start, 2 * start), None, 2 * start > hours[-1])
        for name, (hours, values) in _spent(table, ways).items()
        for start in map(float, hours)
    ]


def predictions_of(table: Table, ways: dict[str, list[Trial]]) -> list[Worth]:
    """What the purchases before the last one say of it, beside what it was."""
    found = []
    for name, (hours, values) in _spent(table, ways).items():
        if len(np.unique(hours[:-1])) >= LEAST_POINTS:
            start, end = map(float, hours[-2:])
            gain = _gain(table, hours[:-1], values[:, :-1], start, end)
            found.append(Worth(name, start, end, gain, float(np.mean(values[:, -1] - values[:, -2])), True))
    return found


def _spent(table: Table, ways: dict[str, list[Trial]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean hours of each purchase and Dice points by replicate, of what has enough budgets for a curve."""
    found = {}
    for name, trials in ways.items():
        values = pd.concat([table.values("dice_pooled", trial) for trial in trials], axis=1).dropna().to_numpy(float)
        hours = np.asarray([table.interval("hours", trial).mean for trial in trials])
        if len(np.unique(hours)) >= LEAST_POINTS and len(values):
            found[name] = hours, 100 * values
    return found


def _gain(table: Table, hours: np.ndarray, values: np.ndarray, start: float, end: float) -> Interval:
    """In Dice points."""
    gain = expected_gain(hours, values / 100, start, end, overlap=table.replicates.overlap)
    return Interval(100 * gain.mean, 100 * gain.low, 100 * gain.high, gain.n)


def _worth_table(found: Sequence[Worth]) -> pd.DataFrame:
    lines = []
    for one in found:
        line = {"spent on": one.spent_on, "from, h": f"{one.start:.2f}", "to, h": f"{one.end:.2f}"}
        line |= {"Dice points": format_interval(one.gain, 1), "beyond the data": "yes" if one.is_beyond else "no"}
        if one.was is not None:
            is_inside = "yes" if one.gain.low <= one.was <= one.gain.high else "no"
            line |= {"was": f"{one.was:+.1f}", "inside": is_inside if one.gain.low == one.gain.low else "-"}
        lines.append(line)
    return pd.DataFrame(lines)


def _front_table(priced: Priced) -> pd.DataFrame:
    return pd.DataFrame(
        {"hours": f"{hours:.2f}", "spent on": name, "pictures": f"{one.counts['picture']:.1f}"}
        | {priced.axis: format_interval(one.value)}
        for hours, name, one in priced.front()
    )


def _turned_table(priced: Priced, turned: Sequence[tuple[str, float, float, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"price": f"{factor * priced.prices[name]:.3g} s for {priced.titles[name]}", "hours": f"{hours:g}"}
        | {"before": before or "-", "then": then or "-"}
        for name, factor, hours, before, then in turned
    )


def _gain_said(gains: Sequence[Worth]) -> list[str]:
    last = {one.spent_on: one for one in gains}
    if not last:
        return []
    best = max(last.values(), key=lambda one: one.gain.mean)
    worth = f"{format_interval(best.gain, 1)} Dice points by a fitted curve, which extrapolates"
    return [f"Twice the last purchase is worth most for {best.spent_on}: {worth}."]


def _turned_said(priced: Priced, turned: Sequence[object]) -> list[str]:
    cases = len(priced.movable) * len(FACTORS) * len(priced.budgets)
    return [f"Half or twice one price changes what reaches most in {len(turned)} of {cases} cases."] if cases else []
