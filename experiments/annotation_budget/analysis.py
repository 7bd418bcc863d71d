"""Answer, charts, tables and claims of study 5: what is ahead at each budget, what more is worth, what prices turn."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.annotation_budget.grid import ARMS, COUNT, NONE, Config, Trial
from experiments.harness.study import Analysis
from segjax.evaluation import Interval
from segjax.evaluation.claims import Claim, format_interval
from segjax.evaluation.picture import METRICS
from segjax.evaluation.saturation import LEAST_POINTS, expected_gain
from segjax.reports import Chart, chart
from segjax.reports.charts import means_said
from segjax.reports.priced import Bought, Priced, priced_chart
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
    "are what was spent. All arms have the same lots, test pictures, validation pictures and training steps; a few- "
    "shot head is fitted until it gains no more. Quick outlines miss objects and are off. Points: a disc of 0.7 times "
    "the median radius is object, beyond 1.4 times is background, what lies between counts nowhere. Boxes: the "
    "ellipse in the box is object, the rest of the box counts nowhere. Repaired: a network that learnt from the "
    "careful outlines repairs the quick ones. Corrected: the network of the round before proposes, and what overlaps "
    "too little is redrawn. Where an arm has bought the whole pool, larger budgets buy no more of it, and its values "
    "stay. Another price changes the hours of what was bought; between purchases, values are read off along the "
    "logarithm of hours."
)
Table = ResultTable[Trial]


def way_name(trial: Trial, networks: Sequence[str]) -> str:
    """What a budget is spent on, and the network where there are several."""
    several = len(networks) > 1 and trial.network != NONE
    return ARMS[trial.arm] + (f" ({network_name(trial.network)})" if several else "")


def analyse(config: Config, table: Table) -> Analysis:
    """What budgets are best spent on."""
    whole = carried(table, config.budgets)
    families = {hours: claims_at(config, whole, hours) for hours in config.budgets}
    asked = asked_of(config.budgets)
    drawn = {metric: priced_of(config, table, metric) for metric in AXES}
    priced, gains = drawn["dice_pooled"], gains_of(config, table)
    turned = turned_by_prices(priced)
    tables = {
        "The front": front_table(config, table, priced),
        "What twice the hours are worth": gains,
        "The last budget, predicted from those before it": predictions_of(config, table),
        "Where half or twice a price changes what reaches most": turned,
        "All values": table.overview([*AXES, "label_dice", "pictures", "hours"]),
    }
    return Analysis(
        title=f"What an hour of annotation is worth: {data_name(config.source.data)}",
        question=QUESTION,
        verdict=_capital("; ".join(said_at(whole, config, hours, families[hours]) for hours in asked)) + ".",
        notes=[*_gain_said(gains), *_turned_said(turned, priced)],
        claims=[claim for own in families.values() for claim in own],
        main=[claim for hours in asked for claim in families[hours]],
        charts={f"{metric}_by_hours": _chart(priced, AXES[metric]) for metric, priced in drawn.items()},
        priced=priced,
        tables={name: frame for name, frame in tables.items() if len(frame)},
        cautions=["Gains beyond the largest budget extrapolate a fitted curve."] if len(gains) else [],
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
    own = {name: trial for name, trials in ways_of(config, table).items() for trial in trials if trial.budget == hours}
    means = {name: table.interval("dice_pooled", trial).mean for name, trial in own.items()}
    if not means:
        return []
    best = max(means, key=means.__getitem__)
    rivals = {f"{name}, {hours:g} h": trial for name, trial in own.items() if name != best}
    return table.compare("dice_pooled", (f"{best}, {hours:g} h", own[best]), rivals)


def asked_of(budgets: Sequence[float]) -> list[float]:
    """The budgets that the verdict speaks of: 1, 5 and 20 hours, or the least, the middle and the largest."""
    known = [hours for hours in ASKED if hours in budgets]
    return known or sorted({budgets[0], budgets[len(budgets) // 2], budgets[-1]})


def said_at(table: Table, config: Config, hours: float, claims: Sequence[Claim]) -> str:
    """What to do with a budget, and by how much that is ahead, or what cannot be told."""
    if not claims:
        only = [name for name, own in ways_of(config, table).items() if any(one.budget == hours for one in own)]
        return f"for {hours:g} h, {joined(only) or 'nothing'} alone can be judged"
    best, rivals = claims[0].subject.rpartition(",")[0], {one: one.rival.rpartition(",")[0] for one in claims}
    nearest = min(claims, key=lambda claim: claim.decision.mean)
    margin = f"{format_interval(Interval(*nearest.decision[:4]), 1)} Dice points over {rivals[nearest]}"
    open_ones = [rivals[claim] for claim in claims if claim.decision.verdict == "not decided"]
    if open_ones:
        what = "any other" if len(open_ones) == len(claims) else joined(open_ones)
        return f"for {hours:g} h, {best} reach most, but whether more than {what} cannot be told"
    is_decided = nearest.decision.verdict == "ahead"
    return f"for {hours:g} h, {'take' if is_decided else 'most is reached with'} {best}, {margin}"


def priced_of(config: Config, table: Table, metric: str) -> Priced:
    """Every purchase with its counts, means over replicates, for charts and other prices."""
    prices = vars(config.prices.prices())

    def counts(trial: Trial) -> dict[str, float]:
        found = {name: table.interval(f"{COUNT}{name}", trial).mean for name in prices}
        return {name: float(count) for name, count in found.items() if count == count}

    ways = ways_of(config, table)
    curves = {
        name: [Bought(counts(one), value) for one in trials if (value := table.interval(metric, one)).n]
        for name, trials in ways.items()
    }
    careful = next((one for trials in ways.values() for one in trials[::-1] if one.arm == "careful"), None)
    each = {} if careful is None else counts(careful)
    picture = {name: count / each["picture"] for name, count in each.items()} if each else {}
    return Priced(prices, TITLES, {k: v for k, v in curves.items() if v}, config.budgets, picture, AXES[metric])


def front_table(config: Config, table: Table, priced: Priced) -> pd.DataFrame:
    """The purchases than which none is both no dearer and better."""
    lines = [
        {"spent on": name, "hours": f"{hours:.2f}", "pictures": f"{one.counts['picture']:.1f}"}
        | {AXES["dice_pooled"]: format_interval(one.value)}
        for hours, name, one in priced.front()
    ]
    return pd.DataFrame(lines)


def _spent(config: Config, table: Table) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean hours of each purchase and values by replicate, of what has enough budgets for a curve."""
    found = {}
    for name, trials in ways_of(config, table).items():
        values = pd.concat([table.values("dice_pooled", trial) for trial in trials], axis=1).to_numpy(float)
        hours = np.asarray([table.interval("hours", trial).mean for trial in trials])
        if len(np.unique(hours)) >= LEAST_POINTS and np.isfinite(values).all(1).any():
            found[name] = hours, values
    return found


def gains_of(config: Config, table: Table) -> pd.DataFrame:
    """Dice points by which a fitted curve rises while the hours double, from every purchase on."""
    lines = []
    for name, (hours, values) in _spent(config, table).items():
        for start in hours:
            gain = expected_gain(hours, values, float(start), 2 * float(start), overlap=table.replicates.overlap)
            lines.append(
                {"spent on": name, "from, h": f"{start:.2f}", "to, h": f"{2 * start:.2f}", **_points(gain)}
                | {"beyond the runs": "yes" if 2 * start > hours.max() else "no"}
            )
    return pd.DataFrame(lines)


def predictions_of(config: Config, table: Table) -> pd.DataFrame:
    """What the purchases before the last one say of it, beside what it was."""
    lines = []
    for name, (hours, values) in _spent(config, table).items():
        if len(np.unique(hours[:-1])) < LEAST_POINTS:
            continue
        before, last = float(hours[-2]), float(hours[-1])
        gain = expected_gain(hours[:-1], values[:, :-1], before, last, overlap=table.replicates.overlap)
        was = float(np.nanmean(values[:, -1] - values[:, -2]))
        inside = "-" if gain.low != gain.low else "yes" if gain.low <= was <= gain.high else "no"
        lines.append(
            {"spent on": name, "from, h": f"{before:.2f}", "to, h": f"{last:.2f}", **_points(gain)}
            | {"was": f"{100 * was:+.1f}", "inside": inside}
        )
    return pd.DataFrame(lines)


def _points(gain: Interval) -> dict[str, str]:
    return {"Dice points": format_interval(Interval(100 * gain.mean, 100 * gain.low, 100 * gain.high, gain.n), 1)}


def turned_by_prices(priced: Priced) -> pd.DataFrame:
    """Where half or twice one price changes what reaches most."""
    lines = []
    for name in priced.movable:
        for factor in FACTORS:
            other = priced.moved(**{name: factor})
            for hours in priced.budgets:
                before, after = priced.best_at(hours), other.best_at(hours)
                if before != after:
                    seconds = f"{other.prices[name]:.3g} s for {priced.titles[name]}"
                    lines.append(
                        {"price": seconds, "hours": f"{hours:g}", "before": before or "-", "then": after or "-"}
                    )
    return pd.DataFrame(lines)


def _gain_said(gains: pd.DataFrame) -> list[str]:
    if not len(gains):
        return []
    last = gains.groupby("spent on", sort=False).tail(1)
    best = last.loc[last["Dice points"].map(lambda text: float(text.split()[0])).idxmax()]
    worth = f"{best['Dice points']} Dice points, extrapolated"
    return [f"Twice the largest budget is worth most for {best['spent on']}: {worth}."]


def _turned_said(turned: pd.DataFrame, priced: Priced) -> list[str]:
    cases = len(priced.movable) * len(FACTORS) * len(priced.budgets)
    return [f"Half or twice one price changes what reaches most in {len(turned)} of {cases} cases."] if cases else []


def _chart(priced: Priced, axis: str) -> Chart:
    front = priced.front()
    names = list(dict.fromkeys(name for _, name, _ in front))
    numbers = [
        {"spent on": name, "hours": round(priced.hours(one.counts), 4), axis: round(one.value.mean, 4)}
        | {"95 % interval from": round(one.value.low, 4), "to": round(one.value.high, 4), "test sets": one.value.n}
        for name, points in priced.curves.items()
        for one in points
    ]
    caption = means_said(one.value for points in priced.curves.values() for one in points)
    return chart(
        f"On the front: {joined(names)}" if names else "Nothing is known yet",
        f"{axis} by hours of annotation",
        lambda narrow: priced_chart(priced, narrow),
        pd.DataFrame(numbers),
        f"{caption} Grey: the front; everything else costs no less and reaches no more.",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
