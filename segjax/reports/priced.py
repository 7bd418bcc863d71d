"""What is reached for what it costs: curves of purchases that can be priced anew, their front, and a chart of them.

`priced.js.j2` does the same in a page, where a reader moves the prices.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from segjax.evaluation.decision import Interval
from segjax.reports.charts import (
    GREY,
    INK,
    NARROW,
    STYLES,
    Chart,
    chart,
    legend_below,
    means_said,
    nothing,
    tidy,
    tip,
    tips,
)
from segjax.reports.words import joined

SECONDS = 3600.0  # of an hour
_DASHES = ("-", "--")


class Bought(NamedTuple):
    """A point of a curve: how much of each thing with a price was bought, and what came of it."""

    counts: Mapping[str, float]
    value: Interval


class Priced(NamedTuple):
    """What a page needs to price purchases anew.

    Attributes:
        prices: seconds by name.
        titles: what a price is paid for, by the same names.
        curves: purchases by the name of what they are spent on.
        budgets: hours at which the best is asked for.
        picture: counts of one picture of the usual kind, which the upper axis counts; {}: there is no such axis.
        axis: what stands upwards, from 0 to 1.
        ended: curves whose last purchase bought all there is, so that more hours buy no more.
    """

    prices: Mapping[str, float]
    titles: Mapping[str, str]
    curves: Mapping[str, Sequence[Bought]]
    budgets: Sequence[float]
    picture: Mapping[str, float]
    axis: str
    ended: frozenset[str] = frozenset()

    def moved(self, **factors: float) -> "Priced":
        """With some prices multiplied."""
        return self._replace(prices={name: own * factors.get(name, 1.0) for name, own in self.prices.items()})

    @property
    def movable(self) -> list[str]:
        """Prices above 0 of things that were bought."""
        used = {
            name for points in self.curves.values() for one in points for name, count in one.counts.items() if count
        }
        return [name for name, price in self.prices.items() if name in used and price > 0]

    def hours(self, counts: Mapping[str, float]) -> float:
        """What a purchase costs."""
        return sum(count * self.prices[name] for name, count in counts.items()) / SECONDS

    def value_at(self, name: str, hours: float) -> float:
        """What a budget reaches: between two purchases by the logarithm of their hours, beyond the last as the last.

        NaN where the smallest purchase costs more.
        """
        known = sorted((self.hours(one.counts), one.value.mean) for one in self.curves[name])
        after = next((place for place, (cost, _) in enumerate(known) if cost > hours), len(known))
        if after == 0:
            return float("nan")
        (before, low), rest = known[after - 1], known[after:]
        if not rest or before <= 0:
            return low
        cost, high = rest[0]
        return low + (high - low) * math.log(hours / before) / math.log(cost / before)

    def best_at(self, hours: float) -> str:
        """The name that reaches most for a budget, the first of equals; "" where it buys nothing of any."""
        found = {name: self.value_at(name, hours) for name in self.curves}
        known = {name: value for name, value in found.items() if value == value}
        return max(known, key=known.__getitem__) if known else ""

    def cases(self, factors: Sequence[float]) -> list[tuple[str, float, float, str, str]]:
        """What reaches most at another price: the price, its factor, hours, and the best before and then.

        Budgets of which it is not known are left out: at the lower price, they buy more than was bought, or at the
        higher one, less.
        """
        return [
            (name, factor, hours, self.best_at(hours), then.best_at(hours))
            for name in self.movable
            for factor in factors
            for hours in self.budgets
            if self.is_known(then := self.moved(**{name: factor}), hours)
        ]

    def is_known(self, then: "Priced", hours: float) -> bool:
        """Whether what was bought says what a budget buys in every way at other prices."""
        for name, points in self.curves.items():
            before, after = (prices.hours(points[-1].counts) for prices in (self, then))
            is_more = name not in self.ended and hours * before > self.budgets[-1] * after * (1 + 1e-9)
            if is_more or (math.isnan(then.value_at(name, hours)) and not math.isnan(self.value_at(name, hours))):
                return False
        return True

    def front(self) -> list[tuple[float, str, Bought]]:
        """Hours, name and purchase of every purchase than which none is both no dearer and better, the cheapest first.

        Source: Pareto, Manuale di economia politica (1906).
        """
        every = [(self.hours(one.counts), name, one) for name, points in self.curves.items() for one in points]
        every.sort(key=lambda entry: (entry[0], -entry[2].value.mean))
        found: list[tuple[float, str, Bought]] = []
        for entry in every:
            if not found or entry[2].value.mean > found[-1][2].value.mean:
                found.append(entry)
        return found

    def facts(self) -> dict[str, Any]:
        """What the script of a page is told, as JSON can hold it."""
        names = list(self.curves)
        return {
            "prices": dict(self.prices),
            "budgets": list(self.budgets),
            "picture": dict(self.picture),
            "axis": self.axis,
            "curves": [
                {
                    "name": name,
                    "ended": name in self.ended,
                    "colour": style_of(names.index(name))[0].replace("#000000", "currentColor"),
                    "points": [{"counts": dict(one.counts), **_numbers(one.value)} for one in points],
                }
                for name, points in self.curves.items()
            ],
        }


def style_of(number: int) -> tuple[str, str, str]:
    """Colour, marker and dashes of a curve."""
    return *STYLES[number % len(STYLES)], _DASHES[number // len(STYLES) % len(_DASHES)]


def _numbers(value: Interval) -> dict[str, float | None]:
    has_bounds = value.low == value.low
    return {"mean": value.mean, "low": value.low if has_bounds else None, "high": value.high if has_bounds else None}


def front_chart(priced: Priced) -> Chart:
    """`priced_chart` with what is on the front as its title, and its numbers."""
    values = [one.value for points in priced.curves.values() for one in points]
    numbers = [
        {"spent on": name, "hours": round(priced.hours(one.counts), 4), priced.axis: round(one.value.mean, 4)}
        | {"95 % interval from": round(one.value.low, 4), "to": round(one.value.high, 4), "test sets": one.value.n}
        for name, points in priced.curves.items()
        for one in points
    ]
    names = joined(dict.fromkeys(name for _, name, _ in priced.front())) if values else "nothing yet"
    return chart(
        f"On the front: {names}",
        f"{priced.axis} by hours of annotation",
        functools.partial(priced_chart, priced),
        pd.DataFrame(numbers),
        f"{means_said(values)} Grey: the front. Everything else costs no less and reaches no more.",
    )


def priced_chart(priced: Priced, narrow: bool = False) -> Figure:
    """Values with 95 % intervals over hours, a line per curve, and the front in grey; above, hours as pictures."""
    figure = Figure(figsize=(NARROW, 5.6) if narrow else (8.4, 5.2), layout="constrained")
    if not any(priced.curves.values()):
        return nothing(figure)
    axes = figure.subplots()
    for number, (name, points) in enumerate(priced.curves.items()):
        colour, marker, dashes = style_of(number)
        x, y = [priced.hours(one.counts) for one in points], [one.value.mean for one in points]
        half = [one.value.mean - one.value.low for one in points]
        bars = None if all(math.isnan(one) for one in half) else half
        style: dict[str, Any] = {"color": colour, "marker": marker, "ls": dashes, "ms": 5, "lw": 1.6}
        axes.errorbar(x, y, yerr=bars, elinewidth=1, capsize=2.5, label=name, **style)
        tips(axes, x, y, [tip(f"{name}, {cost:.3g} h", one.value) for cost, one in zip(x, points, strict=True)])
    front = priced.front()
    values = [one.value.mean for _, _, one in front]
    axes.plot([hours for hours, _, _ in front], values, color=GREY, lw=5, alpha=0.35, zorder=0, label="front")
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, 0), min(top, 1))  # intervals may reach beyond what a value can be
    axes.set_xscale("log")
    axes.set_xticks(priced.budgets, [f"{hours:g}" for hours in priced.budgets])
    axes.minorticks_off()
    axes.set_xlabel("hours of annotation", color=INK)
    axes.set_ylabel(priced.axis, color=INK)
    tidy(axes, "y")
    if priced.picture and (each := priced.hours(priced.picture)) > 0:
        above = axes.secondary_xaxis("top", functions=(lambda x: np.divide(x, each), lambda x: np.multiply(x, each)))
        pictures = [hours / each for hours in priced.budgets]
        above.set_xticks(pictures, [f"{float(f'{count:.2g}'):g}" for count in pictures])
        above.minorticks_off()
        above.set_xlabel("pictures with careful outlines for that time", color=INK)
        above.tick_params(colors=INK, labelsize=9)
    legend_below(figure, *axes.get_legend_handles_labels(), most=1 if narrow else 3)
    return figure
