"""Charts of lines with intervals, of labels before and after, and of methods compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from segjax.evaluation import Decision, Interval
from segjax.reports.charts import (
    GREY,
    INK,
    NARROW,
    STYLES,
    legend_below,
    name_rows,
    nothing,
    row_height,
    tidy,
    tip,
    tips,
)

_DASHES = ("-", "--", ":")  # of the lines that have the colours for the first, second and third time
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


def line_chart(panels: Mapping[str, Sequence[Line]], xlabel: str, ylabel: str, narrow: bool = False) -> Figure:
    """Lines with 95 % intervals over a logarithmic axis, one panel per name; without values a note.

    Intervals that are NaN are not drawn. On phones (`narrow`) panels stand below each other.

    >>> values = [Interval(0.6, 0.5, 0.7, 5), Interval(0.9, 0.8, 1.0, 5)]
    >>> (axes,) = line_chart({"nuclei": [Line("unet", [1, 10], values)]}, "pictures", "Dice").axes
    >>> axes.get_xscale(), [label.get_text() for label in axes.get_xticklabels()]
    ('log', ['1', '10'])
    """
    count = len(panels)
    size = (NARROW, 1.0 + 3.1 * max(count, 1)) if narrow else (max(6.6, 1.2 + 3.4 * count), 4.6)
    figure = Figure(figsize=size, layout="constrained")
    if not any(lines for lines in panels.values()):
        return nothing(figure)
    grid = figure.subplots(count if narrow else 1, 1 if narrow else count, sharey=True, squeeze=False)
    names = list(dict.fromkeys(line.name for lines in panels.values() for line in lines if not line.grey))
    for axes, (name, lines) in zip(grid.flat, panels.items(), strict=True):
        for line in lines:
            _draw_line(axes, line, 0 if line.grey else names.index(line.name))
        places = sorted({x for line in lines for x in line.x})
        axes.set_xscale("log")
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.minorticks_off()
        axes.set_xlabel(xlabel, color=INK)
        axes.set_title(name, fontsize=10, color=INK)
        tidy(axes, "y")
    for axes in grid[:, 0]:
        axes.set_ylabel(ylabel, color=INK)
    found = [pair for axes in grid.flat for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in reversed(found)}
    labels = list(dict.fromkeys(label for _, label in found))
    legend_below(figure, [handles[label] for label in labels], labels, most=1 if narrow else 2)
    return figure


def before_after_chart(rows: Sequence[BeforeAfter], narrow: bool = False) -> Figure:
    """One row per name: Dice of labels before (open) and after (filled) with its 95 % interval, joined by a line."""
    height = 1.4 + row_height([row.name for row in rows], narrow) * max(1, len(rows))
    figure = Figure(figsize=(NARROW if narrow else 8.4, height), layout="constrained")
    if not rows:
        return nothing(figure)
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        axes.plot([row.before.mean, row.after.mean], [place, place], color=GREY, lw=1.2, zorder=1)
    before = [row.before.mean for row in rows]
    axes.plot(before, places, "o", mfc="white", mec=_BEFORE, ms=6.5, mew=1.6, label="before repair")
    _dots(axes, [row.after for row in rows], places, _AFTER, "after repair")
    tips(axes, before, places, [tip(f"{row.name}, before", row.before) for row in rows])
    tips(axes, [row.after.mean for row in rows], places, [tip(f"{row.name}, after", row.after) for row in rows])
    name_rows(axes, places, [row.name for row in rows], narrow)
    axes.set_xlabel("Dice of the labels", color=INK)
    axes.set_xlim(0, 1.02)
    tidy(axes, "x")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def comparison_chart(rows: Sequence[Compared], ahead: str, narrow: bool = False) -> Figure:
    """The Dice of every method, and beside it how far one of them is ahead, in Dice points, with 95 % intervals.

    `ahead` names that one. On phones (`narrow`) the second panel stands below the first.
    """
    height = row_height([row.name for row in rows], narrow) * max(1, len(rows))
    size = (NARROW, 1.6 + 2 * height) if narrow else (10.6, 1.5 + height)
    figure = Figure(figsize=size, layout="constrained")
    if not rows:
        return nothing(figure)
    left, right = figure.subplots(2 if narrow else 1, 1 if narrow else 2, sharey=not narrow)
    places = np.arange(len(rows))[::-1]
    _dots(left, [row.dice for row in rows], places, _AFTER)
    tips(left, [row.dice.mean for row in rows], places, [tip(row.name, row.dice) for row in rows])
    left.set_xlabel("Dice of the test pictures", color=INK)
    right.axvline(0, color=INK, lw=1)
    for place, row in zip(places, rows, strict=True):
        if row.behind is not None and row.behind.n:
            value = Interval(*row.behind[:4])
            _dots(right, [value], [place], _AFTER if value.mean > 0 else _BEFORE)
            tips(right, [value.mean], [place], [tip(f"{ahead} against {row.name}, Dice points", value, 1)])
            right.annotate(
                f"{value.mean:+z.1f}", (value.mean, place), xytext=(0, -13 if narrow else 6),
                textcoords="offset points", ha="center", fontsize=8,
            )  # fmt: skip
    right.set_xlabel(f"{ahead} is ahead by, Dice points", color=INK)
    for axes in (left, right) if narrow else (left,):
        name_rows(axes, places, [row.name for row in rows], narrow)
    for axes in (left, right):
        tidy(axes, "x")
    left.margins(x=0.08)
    return figure


def outcome_chart(
    rows: Mapping[str, Interval], xlabel: str, marked: str, baseline: str, narrow: bool = False
) -> Figure:
    """One row per name, a dot with its value and its 95 % interval; without rows a note.

    Args:
        marked: the row that stands out.
        baseline: the row through whose value a dashed line runs.
        narrow: for phones.
    """
    figure = Figure(
        figsize=(NARROW if narrow else 8.4, 0.9 + row_height(list(rows), narrow) * max(1, len(rows))),
        layout="constrained",
    )
    if not rows:
        return nothing(figure)
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    if baseline in rows:
        axes.axvline(rows[baseline].mean, color=GREY, lw=1.2, ls="--", zorder=0)
    for place, (name, value) in zip(places, rows.items(), strict=True):
        _dots(axes, [value], [place], _AFTER if name == marked else INK)
        axes.annotate(
            f"{value.mean:.3f}", (value.mean, place), xytext=(0, -13 if narrow else 5), textcoords="offset points",
            ha="center", fontsize=8.5, color=INK,
        )  # fmt: skip
        tips(axes, [value.mean], [place], [tip(name, value)])
    name_rows(axes, list(places), list(rows), narrow)
    for text in (*axes.get_yticklabels(), *axes.texts):
        if " ".join(text.get_text().split()) == marked:
            text.set_fontweight("bold")
    axes.set_xlabel(xlabel, color=INK)
    axes.margins(x=0.12)
    tidy(axes, "x")
    return figure


def _draw_line(axes: Axes, line: Line, number: int) -> None:
    turn, place = divmod(number, len(STYLES))
    colour, marker = (GREY, "") if line.grey else STYLES[place]
    mean, low = (np.asarray([getattr(y, part) for y in line.y], float) for part in ("mean", "low"))
    axes.errorbar(
        line.x,
        mean,
        yerr=_lengths(mean - low),
        color=colour,
        marker=marker,
        ms=5.5,
        lw=1.1 if line.grey else 1.7,
        ls="-." if line.grey else _DASHES[turn % len(_DASHES)],
        elinewidth=1.1,
        capsize=2.5,
        label=line.name,
    )
    texts = [tip(f"{line.name}, {x:g}", y) for x, y in zip(line.x, line.y, strict=True)]
    tips(axes, line.x, [y.mean for y in line.y], texts)


def _dots(axes: Axes, values: Sequence[Interval], places: ArrayLike, colour: str, label: str = "") -> None:
    mean, low = (np.asarray([getattr(value, part) for value in values], float) for part in ("mean", "low"))
    bars = _lengths(mean - low)
    axes.errorbar(mean, places, xerr=bars, fmt="o", color=colour, ms=6, capsize=3, elinewidth=1.2, label=label)


def _lengths(found: np.ndarray) -> np.ndarray | None:
    """Lengths of bars; None where none is known, for a legend without bars."""
    return None if np.isnan(found).all() else found
