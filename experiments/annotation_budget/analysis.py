"""Answer, charts, tables and claims of study 5: what is ahead at each budget, what more is worth, what prices turn."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.annotation_budget.grid import ARMS, COUNT, NONE, Config, Trial
from experiments.annotation_budget.statements import judged
from experiments.harness.statements import statements_table
from experiments.harness.study import Analysis
from segjax.evaluation import Interval, interval
from segjax.evaluation.claims import Claim, format_interval
from segjax.evaluation.picture import METRICS
from segjax.evaluation.saturation import LEAST_POINTS, gains_by_replicate
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
    "A budget buys annotations of whole pictures, drawn by lot from a pool, until the next one does not fit. Pictures "
    "that cost more than the whole budget are passed over, so that a small one buys careful outlines of pictures with "
    "few objects. Hours are what was spent. All arms have the same lots and test pictures, and all networks the same "
    "validation pictures and the same rule for how long they train. A baseline and a few-shot head need no validation "
    "pictures. The head learns from those pictures alone that show an object. Quick outlines miss objects and are "
    "off. Points: a disc of 0.7 times the median radius is object, beyond 1.4 times is background, what lies between "
    "counts nowhere. Boxes: the ellipse in the box is object, the rest of the box counts nowhere. Repaired: a network "
    "that learnt from the careful outlines repairs the quick ones. Corrected: the network of the round before "
    "proposes, and what overlaps too little is redrawn, as well as a careful outline would be, at the price of a "
    "correction. All of them find masks, whose connected pieces are the objects; lines that a head learns between "
    "touching objects do not count. A network that marks nothing counts with what it marks. Where an arm has bought "
    "the whole pool, larger budgets buy no more of it, and its values stay. Another price changes the hours of what "
    "was bought; between purchases, values are read off along the logarithm of hours."
)
SAID = ("ahead", "behind", "not decided", "too few")  # verdicts
Table = ResultTable[Trial]


class Worth(NamedTuple):
    """What a curve says of more hours, in Dice points; and what it was, and by how much it is off, where known.

    The interval of `gain` counts the fit alone, that of `off` also the noise of what it was.
    """

    spent_on: str
    start: float
    end: float
    gain: Interval
    is_beyond: bool
    was: float | None = None
    off: Interval | None = None

    @property
    def is_right(self) -> bool | None:
        """Whether the interval of how much it is off holds 0; None: it has none."""
        return self.off.low <= 0 <= self.off.high if self.off and self.off.low == self.off.low else None

    @property
    def holds(self) -> bool:
        """Whether the interval of the gain holds what it was."""
        return self.was is not None and self.gain.low <= self.was <= self.gain.high


def way_name(trial: Trial, config: Config) -> str:
    """What a budget is spent on, and the network where there are several."""
    several = len(config.segmentation.networks) > 1 and trial.network != NONE
    spent_on = ARMS[trial.arm]
    if trial.arm == "mixture":
        kinds = joined(ARMS[kind] for kind in config.mixed).replace("careful outlines and quick", "careful and quick")
        spent_on = f"a mix of {'two of ' * (len(config.mixed) > 2)}{kinds}"
    if trial.arm == "classical" and config.baseline != "forest":
        spent_on = f"careful outlines for {network_name(config.baseline)}"
    return spent_on + (f" ({network_name(trial.network)})" if several else "")


def analyse(config: Config, table: Table) -> Analysis:
    """What budgets are best spent on."""
    table = carried(with_collapsed(table), config.budgets, within=True)
    ways, whole = ways_of(config, table), carried(table, config.budgets)
    families = {hours: claims_at(config, whole, hours) for hours in config.budgets}
    enough = next((hours for hours in config.budgets if _is_all_bought(whole, hours)), None)
    asked = asked_of(config.budgets, enough)
    priced = {metric: priced_of(config, table, metric) for metric in AXES}
    dice = priced["dice_pooled"]
    gains, checked, cases = gains_of(table, ways), predictions_of(table, ways), dice.cases(FACTORS)
    tables = {
        "The front": _front_table(dice),
        "Beside two papers": statements_table(judged(whole)),
        "What twice the hours are worth": _worth_table(gains),
        "The last budget, predicted from those before it": _worth_table(checked),
        "Where half or twice a price changes what reaches most": _turned_table(dice, cases),
        "All values": table.overview([*AXES, "label_dice", "pictures", "hours"]),
    }
    said = "; ".join(said_at(budget_name(hours, enough), families[hours], ways) for hours in asked)
    return Analysis(
        title=f"What an hour of annotation is worth: {data_name(config.source.data)}",
        question=QUESTION,
        verdict=f"{said[0].upper()}{said[1:]}.",
        notes=[
            *_gain_said(gains, families[config.budgets[-1]]),
            *_checked_said(checked),
            *_turned_said(cases),
            *_objects_said(priced, asked),
        ],
        claims=[claim for own in families.values() for claim in own],
        main=[leading(own) for hours in asked if (own := families[hours])],
        charts={f"{metric}_by_hours": front_chart(one) for metric, one in priced.items()},
        priced=dice,
        tables={name: frame for name, frame in tables.items() if len(frame)},
        metrics=METRICS,
        shown=["dice_pooled_by_hours"],
        glossary=GLOSSARY,
    )


def with_collapsed(table: Table) -> Table:
    """With the values of networks that mark nothing: that is what their purchase taught them, and no failure."""
    frame = table.frame.assign(status=table.frame["status"].replace("collapsed", "ok"))
    return ResultTable(frame, Trial, table.replicates, table.coarsening, table.rows)


def carried(table: Table, budgets: Sequence[float], within: bool = False) -> Table:
    """With the values of trials that used up their pool at larger budgets, which buy the same.

    Args:
        within: up to the largest budget that some seed had for the same arm and network, so that all seeds have a value
            at every point of a curve.
    """
    frame, arm = table.frame, ["network", "arm"]
    ended = frame[frame["at_end"] == 1] if "at_end" in frame else frame[:0]
    most = ended[arm].merge(frame.groupby(arm)["budget"].max().reset_index(), on=arm)["budget"].to_numpy()
    more = [
        ended[(ended["budget"] < hours) & ((hours <= most) | (not within))].assign(budget=hours) for hours in budgets
    ]
    frame = pd.concat([frame, *more], ignore_index=True)
    return ResultTable(frame, Trial, table.replicates, table.coarsening, table.rows)


def ways_of(config: Config, table: Table) -> dict[str, list[Trial]]:
    """The trials of everything that budgets are spent on, by its name, by rising budget."""
    found: dict[str, list[Trial]] = {}
    for trial in sorted(table.trials(), key=lambda trial: (list(ARMS).index(trial.arm), trial.budget)):
        found.setdefault(way_name(trial, config), []).append(trial)
    return found


def claims_at(config: Config, table: Table, hours: float) -> list[Claim]:
    """Everything that a budget is spent on against careful outlines (or what comes first), one family.

    Each network is compared with its own careful outlines, and these, and what needs no network, with the first ones.
    """
    own = [
        (f"{name}, {hours:g} h", one) for name, trials in ways_of(config, table).items() for one in trials
        if one.budget == hours
    ]  # fmt: skip
    usual = {one.network: (name, one) for name, one in reversed(own) if one.network != NONE}
    rivals = [usual.get(one.network, own[0]) for _, one in own]
    pairs = [(one, own[0] if one == rival else rival) for one, rival in zip(own, rivals, strict=True)]
    claims = table.compare_pairs("dice_pooled", pairs[1:])
    return [claim for claim in claims if claim.decision.n]


def _is_all_bought(table: Table, hours: float) -> bool:
    """Whether a budget buys the whole pool in every way, so that larger ones buy the same."""
    own = [trial for trial in table.trials() if trial.budget == hours]
    return bool(own) and all(table.interval("at_end", trial).mean == 1 for trial in own)


def asked_of(budgets: Sequence[float], enough: float | None = None) -> list[float]:
    """The budgets that the verdict speaks of: 1, 5 and 20 hours, or the least, the middle and the largest.

    Args:
        enough: the budget that stands for all larger ones, if any.
    """
    known = [hours for hours in ASKED if hours in budgets]
    known = known or sorted({budgets[0], budgets[len(budgets) // 2], budgets[-1]})
    return sorted({hours if enough is None else min(hours, enough) for hours in known})


def budget_name(hours: float, enough: float | None) -> str:
    """A budget in words."""
    return f"{hours:g} h and more, which buy the whole pool" if hours == enough else f"{hours:g} h"


def leading(claims: Sequence[Claim]) -> Claim:
    """Of what is ahead, or else of all, what is so by most."""
    ahead = [claim for claim in claims if claim.decision.verdict == "ahead"]
    return max(ahead or claims, key=lambda claim: claim.decision.mean)


def said_at(budget: str, claims: Sequence[Claim], ways: dict[str, list[Trial]]) -> str:
    """What to do with a budget, and by how much that is ahead, or what cannot be told."""
    if not claims:
        return f"for {budget}, only {joined(ways) if len(ways) == 1 else 'one kind of annotation'} can be judged"
    best = leading(claims)
    usual, margin = _name(best.rival), f"{format_interval(Interval(*best.decision[:4]), 1)} Dice points"
    by = {verdict: [claim for claim in claims if claim.decision.verdict == verdict] for verdict in SAID}
    if by["too few"]:
        if best.decision.mean <= 0:
            mean, low, high, n = best.decision[:4]
            less = f"{format_interval(Interval(-mean, -high, -low, n), 1)} Dice points less"
            return f"for {budget}, {usual} reach most, {_name(best.subject)} {less}"
        return f"for {budget}, {_name(best.subject)} reach {margin} more than {usual}"
    is_open = [_name(claim.subject) for claim in by["not decided"]]
    if best.decision.verdict == "ahead":
        others = [_name(claim.subject) for claim in by["ahead"] if claim != best]
        beside = f"; {joined(others)} are ahead of {usual}, too" if others else ""
        above = [_name(one.subject) for one in by["not decided"] if one.decision.mean > best.decision.mean]
        beside += f"; for {joined(above)}, which reached more on average, it cannot be told" if above else ""
        return f"for {budget}, take {_name(best.subject)}: {margin} ahead of {usual}{beside}"
    if not is_open:
        return f"for {budget}, take {usual}: everything else is behind, {_name(best.subject)} least ({margin})"
    which = f"any of {joined(is_open)} beats" if is_open[1:] else f"{is_open[0]} beat"
    which = "anything beats" if 1 < len(claims) == len(is_open) else which
    return f"for {budget}, it cannot be told whether {which} {usual}"


def _name(spent: str) -> str:
    return spent.rpartition(",")[0]


def priced_of(config: Config, table: Table, metric: str) -> Priced:
    """Every purchase with its counts, means over replicates, for charts and other prices."""
    prices = vars(config.prices.prices())

    def counts(trial: Trial) -> dict[str, float]:
        found = {name: table.interval(f"{COUNT}{name}", trial) for name in prices}
        every = table.interval("hours", trial)
        # a seed whose purchase lacks a part has no count of it
        return {name: count.mean * count.n / every.n for name, count in found.items() if count.n}

    curves: dict[str, list[Bought]] = {}
    ended: set[str] = set()
    picture: dict[str, float] = {}
    for name, trials in ways_of(config, table).items():
        values = [(counts(trial), table.interval(metric, trial)) for trial in trials]
        curves[name] = [Bought(count, value) for count, value in values if value.n]
        if trials[0].arm == "careful":
            picture = {name: count / values[-1][0]["picture"] for name, count in values[-1][0].items()}
        if table.interval("at_end", trials[-1]).mean == 1:
            ended.add(name)
    known = {name: points for name, points in curves.items() if points}
    return Priced(prices, TITLES, known, config.budgets, picture, AXES[metric], frozenset(ended))


def gains_of(table: Table, ways: dict[str, list[Trial]]) -> list[Worth]:
    """By how much a fitted curve rises while the hours double, from every purchase on."""
    return [
        Worth(name, start, 2 * start, _mean(table, _gains(hours, values, start, 2 * start)), 2 * start > hours[-1])
        for name, (hours, values) in _spent(table, ways).items()
        for start in map(float, hours)
    ]


def predictions_of(table: Table, ways: dict[str, list[Trial]]) -> list[Worth]:
    """What the purchases before the last one say of it, beside what it was."""
    found = []
    for name, (hours, values) in _spent(table, ways).items():
        if len(np.unique(hours[:-1])) >= LEAST_POINTS:
            start, end = map(float, hours[-2:])
            gains, was = _gains(hours[:-1], values[:, :-1], start, end), values[:, -1] - values[:, -2]
            off = _mean(table, gains - was)
            found.append(Worth(name, start, end, _mean(table, gains), True, float(np.mean(was)), off))
    return found


def _spent(table: Table, ways: dict[str, list[Trial]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean hours of each purchase and Dice points by replicate, of what has enough budgets for a curve."""
    found = {}
    for name, trials in ways.items():
        mean_hours = {trial: table.interval("hours", trial).mean for trial in trials}
        costly = [trial for trial, own in mean_hours.items() if own > 0]  # a picture without objects may cost nothing
        hours = np.asarray([mean_hours[trial] for trial in costly])
        if not costly:
            continue
        values = pd.concat([table.values("dice_pooled", trial) for trial in costly], axis=1).dropna().to_numpy(float)
        if len(np.unique(hours)) >= LEAST_POINTS and len(values):
            found[name] = hours, 100 * values
    return found


def _gains(hours: np.ndarray, points: np.ndarray, start: float, end: float) -> np.ndarray:
    """Of each replicate, in Dice points."""
    return 100 * np.asarray(gains_by_replicate(hours, points / 100, start, end))


def _mean(table: Table, values: np.ndarray) -> Interval:
    return interval(values, overlap=table.replicates.overlap)


def _worth_table(found: Sequence[Worth]) -> pd.DataFrame:
    lines = []
    for one in found:
        line = {"spent on": one.spent_on, "from, h": f"{one.start:.2f}", "to, h": f"{one.end:.2f}"}
        line |= {"Dice points": format_interval(one.gain, 1), "beyond the data": "yes" if one.is_beyond else "no"}
        if one.off is not None:
            said = {True: "yes", False: "no", None: "-"}[one.is_right]
            line |= {"was": f"{one.was:+.1f}", "is within the interval of the fit": "yes" if one.holds else "no"}
            line |= {"off by": format_interval(one.off, 1), "0 is within its interval": said}
        lines.append(line)
    return pd.DataFrame(lines)


def _front_table(priced: Priced) -> pd.DataFrame:
    return pd.DataFrame(
        {"hours": f"{hours:.2f}", "spent on": name, "pictures": f"{one.counts['picture']:.1f}"}
        | {priced.axis: format_interval(one.value)}
        for hours, name, one in priced.front()
    )


def _turned_table(priced: Priced, cases: Sequence[tuple[str, float, float, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"price": f"{factor * priced.prices[name]:.3g} s for {priced.titles[name]}", "hours": f"{hours:g}"}
        | {"before": before or "-", "then": then or "-"}
        for name, factor, hours, before, then in cases
        if before != then
    )


def _gain_said(gains: Sequence[Worth], claims: Sequence[Claim]) -> list[str]:
    """Of what reaches most with the largest budget."""
    last = {one.spent_on: one for one in gains}
    ahead = max(claims, key=lambda claim: claim.decision.mean, default=None)
    best = next(iter(last.values()), None)
    if ahead is not None:
        best = last.get(_name(ahead.subject if ahead.decision.mean > 0 else ahead.rival))
    if best is None:
        return []
    gain = f"{format_interval(best.gain, 1)} Dice points by a fitted curve, which extrapolates"
    spent = f"Twice the {best.start:.2g} h spent on {best.spent_on}"
    return [f"{spent} would be worth {gain}. The interval is of the fit alone."]


def _checked_said(checked: Sequence[Worth]) -> list[str]:
    known = [one for one in checked if one.is_right is not None]
    if not known:
        return []
    said = f"For {sum(one.is_right is True for one in known)} of {len(known)} kinds of annotation, it cannot be told"
    said += " that the curve through the other budgets was wrong about what the last one brought, by an interval that"
    said += f" counts the noise of both; the interval of the fit alone holds it for {sum(one.holds for one in known)}."
    return [said]


def _turned_said(cases: Sequence[tuple[str, float, float, str, str]]) -> list[str]:
    turned = sum(before != then for *_, before, then in cases)
    said = f"By the means alone, half or twice one price changes what reaches most in {turned} of {len(cases)} cases."
    return [said] if cases else []


def _objects_said(priced: Mapping[str, Priced], asked: Sequence[float]) -> list[str]:
    """Where something else is best at finding objects than at marking their pixels."""
    pixels, objects = priced.values()
    best = {hours: (objects.best_at(hours), pixels.best_at(hours)) for hours in asked}
    other = [
        f"{one} at {hours:g} h"
        for hours, (one, usual) in best.items()
        if one and objects.value_at(one, hours) > objects.value_at(usual, hours)
    ]
    return [f"By F1 of the objects, and by the means alone, most is reached with {joined(other)}."] if other else []
