"""Figures of studies 2 and 3: lines with intervals, labels before and after, and methods compared."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from segjax.evaluation import Decision, Interval

# Colours of Okabe and Ito, told apart with every common colour vision; markers say the same once more.
STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
    ("#000000", "X"),
)
_DASHES = ("-", "--", ":")  # of the lines that have the colours for the first, second and third time
GREY, INK, _GRID = "#8a8a8a", "#333333", "#e6e6e6"
_BEFORE, _AFTER = "#D55E00", "#0072B2"


class Line(NamedTuple):
    """A line of a chart: means with their 95 % intervals at places on the axis; `grey` for what is compared with."""

    name: str
    x: Sequence[float]
    y: Sequence[Interval]
    grey: bool = False


class BeforeAfter(NamedTuple):
    """A row of a chart: Dice of labels before and after."""

    name: str
    before: Interval
    after: Interval


class Compared(NamedTuple):
    """A row of a chart: a method's Dice, and by how many Dice points the one compared is ahead (None for itself)."""

    name: str
    dice: Interval
    behind: Decision | None


def line_chart(panels: Mapping[str, Sequence[Line]], xlabel: str, ylabel: str) -> Figure:
    """Lines with 95 % intervals over a logarithmic axis, one panel per name; without values a note.

    Intervals that are NaN are not drawn.
    """
    figure = Figure(figsize=(max(6.6, 1.2 + 3.4 * len(panels)), 4.6), layout="constrained")
    if not any(lines for lines in panels.values()):
        return nothing(figure)
    axes_row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(line.name for lines in panels.values() for line in lines if not line.grey))
    for axes, (name, lines) in zip(axes_row, panels.items(), strict=True):
        for line in lines:
            _draw_line(axes, line, 0 if line.grey else names.index(line.name))
        places = sorted({x for line in lines for x in line.x})
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.minorticks_off()
        axes.set_xlabel(xlabel, color=INK)
        axes.set_title(name, fontsize=10, color=INK)
        tidy(axes, "y")
    axes_row[0].set_ylabel(ylabel, color=INK)
    handles, labels = axes_row[0].get_legend_handles_labels()
    for axes in axes_row[1:]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def before_after_chart(rows: Sequence[BeforeAfter]) -> Figure:
    """One row per name: Dice of labels before (open) and after (filled) with its 95 % interval, joined by a line."""
    figure = Figure(figsize=(8.4, 1.5 + 0.5 * max(1, len(rows))), layout="constrained")
    if not rows:
        return nothing(figure)
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        axes.plot([row.before.mean, row.after.mean], [place, place], color=GREY, lw=1.2, zorder=1)
    axes.plot([row.before.mean for row in rows], places, "o", mfc="white", mec=_BEFORE, ms=6.5, mew=1.6, label="before")
    _dots(axes, [row.after for row in rows], places, _AFTER, "after upgrading")
    axes.set_yticks(places, [textwrap.fill(row.name, 44) for row in rows])
    axes.set_xlabel("Dice of the labels", color=INK)
    axes.set_xlim(0, 1.02)
    tidy(axes, "x")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def comparison_chart(rows: Sequence[Compared], ahead: str) -> Figure:
    """Left the Dice of every method, right how far one of them is ahead, in Dice points, with 95 % intervals.

    `ahead` names that one.
    """
    figure = Figure(figsize=(10.6, 1.5 + 0.42 * max(1, len(rows))), layout="constrained")
    if not rows:
        return nothing(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(rows))[::-1]
    _dots(left, [row.dice for row in rows], places, _AFTER)
    left.set_yticks(places, [row.name for row in rows])
    left.set_xlabel("Dice of the test pictures", color=INK)
    right.axvline(0, color=INK, lw=1)
    for place, row in zip(places, rows, strict=True):
        if row.behind is not None and row.behind.n:
            colour = _AFTER if row.behind.mean > 0 else _BEFORE
            _dots(right, [Interval(*row.behind[:4])], [place], colour)
            shown = f"{row.behind.mean:+.1f}"
            right.annotate(
                shown, (row.behind.mean, place), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8
            )
    right.set_xlabel(f"{ahead} is ahead by, Dice points", color=INK)
    for axes in (left, right):
        tidy(axes, "x")
    left.margins(x=0.08)
    left.set_ylim(-0.6, len(rows) - 0.4)
    return figure


def _draw_line(axes: Axes, line: Line, number: int) -> None:
    turn, place = divmod(number, len(STYLES))
    colour, marker = (GREY, "") if line.grey else STYLES[place]
    mean, low = (np.asarray([getattr(y, part) for y in line.y], float) for part in ("mean", "low"))
    axes.errorbar(
        line.x,
        mean,
        yerr=mean - low,
        color=colour,
        marker=marker,
        ms=5.5,
        lw=1.1 if line.grey else 1.7,
        ls="-." if line.grey else _DASHES[turn % len(_DASHES)],
        elinewidth=1.1,
        capsize=2.5,
        label=line.name,
    )


def _dots(axes: Axes, values: Sequence[Interval], places: ArrayLike, colour: str, label: str = "") -> None:
    mean, low = (np.asarray([getattr(value, part) for value in values], float) for part in ("mean", "low"))
    axes.errorbar(mean, places, xerr=mean - low, fmt="o", color=colour, ms=6, capsize=3, elinewidth=1.2, label=label)


def tidy(axes: Axes, grid: str) -> None:
    """Light grid lines of one axis, no box."""
    axes.grid(axis=grid, color=_GRID, lw=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)


def nothing(figure: Figure) -> Figure:
    """The figure with a note that there is nothing to show."""
    figure.text(0.5, 0.5, "no results yet", ha="center", color=GREY)
    return figure
