"""Charts of methods beside each other, a row each, in one or more panels."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segjax.evaluation import Interval
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

_LINES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 4)))  # of the references


class Panel(NamedTuple):
    """A panel of a chart of rows.

    Attributes:
        axis: its label; that of shares says "%".
        series: values by series and row.
        references: grey lines from top to bottom, by name.
        is_share: whether the values are shares, which are drawn in percent.
        digits: of the values in hover texts, after the point.
    """

    axis: str
    series: Mapping[str, Mapping[str, Interval]]
    references: Mapping[str, Interval] = {}
    is_share: bool = False
    digits: int = 3


def dot_chart(
    panels: Sequence[Panel], faded: Sequence[str] = (), narrow: bool = False, rows: Sequence[str] = ()
) -> Figure:
    """One row per name, and in each panel a dot with its 95 % interval per series.

    Rows come in the order of the first panel's means, highest first; those of `faded` series are drawn pale. An
    interval whose bounds are NaN is not drawn. Every series has a colour of its own, in all panels the same.

    Args:
        narrow: for phones: panels stand below each other.
        rows: all of them, in another order.

    >>> values = {"otsu": Interval(0.6, 0.5, 0.7, 5), "unet": Interval(0.9, 0.8, 1.0, 5)}
    >>> (axes,) = dot_chart([Panel("Dice", {"test pictures": values})]).axes
    >>> [label.get_text() for label in axes.get_yticklabels()], axes.get_yticks().tolist()
    (['unet', 'otsu'], [1.0, 0.0])
    """
    rows = rows or _ordered(panels)
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    lines = list(dict.fromkeys(name for panel in panels for name, value in panel.references.items() if value.n))
    most = max((len(_present(panel, row)) for panel in panels for row in rows), default=1)
    height = (row_height(rows, narrow) + 0.12 * (most - 1)) * max(1, len(rows)) + 0.6
    count, legend = len(panels), 0.24 * (len(names) + len(lines)) / (1 if narrow else 3) + 0.5
    size = (NARROW, count * height + legend) if narrow else (6.4 + 2.4 * count, height + legend)
    figure = Figure(figsize=size, layout="constrained")
    if not rows:
        return nothing(figure)
    grid = figure.subplots(count if narrow else 1, 1 if narrow else count, sharey=not narrow, squeeze=False)
    places = {row: float(len(rows) - 1 - place) for place, row in enumerate(rows)}
    for number, (axes, panel) in enumerate(zip(grid.flat, panels, strict=True)):
        drawn = [*_draw_dots(axes, panel, places, names, faded, narrow), *_draw_references(axes, panel, lines)]
        if min(drawn) < 0:
            axes.axvline(0, color=INK, lw=0.8, zorder=0)
        else:
            axes.set_xlim(left=0 if max(drawn) else -0.05)
            if panel.is_share and max(drawn) <= 100:  # intervals are not clipped, but there is no rate to see beyond
                axes.set_xlim(right=min(axes.get_xlim()[1], 102))
        if narrow or not number:
            name_rows(axes, list(places.values()), rows, narrow)
        axes.set_xlabel(panel.axis, color=INK)
        tidy(axes, "x")
    if len(names) > 1 or lines:
        found = {label: one for axes in grid.flat for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        legend_below(figure, found.values(), found, most=1 if narrow else 3)
    return figure


def _draw_dots(
    axes: Axes,
    panel: Panel,
    places: Mapping[str, float],
    names: Sequence[str],
    faded: Sequence[str],
    narrow: bool,
) -> list[float]:
    """Draw the dots of a panel; returns the means, 0 among them."""
    drawn = [0.0]
    for name, values in panel.series.items():
        colour, marker = STYLES[names.index(name) % len(STYLES)]
        alpha = 0.3 if name in faded else 1.0
        shown = {row: _scaled(panel, value) for row, value in values.items() if value.n}
        heights = [places[row] + _shift(_present(panel, row), name, narrow) for row in shown]
        means = [value.mean for value in shown.values()]
        half = [value.mean - value.low for value in shown.values()]  # NaN, and no bar, where there is no interval
        style = {"color": colour, "ms": 5.5, "capsize": 2.5, "elinewidth": 1.1, "alpha": alpha}
        axes.errorbar(means, heights, xerr=half, fmt=marker, label=name, **style)  # type: ignore[arg-type]
        for (row, value), height in zip(shown.items(), heights, strict=True):
            text = tip(f"{row}, {name}" if len(names) > 1 else row, value, 0 if panel.is_share else panel.digits)
            tips(axes, [value.mean], [height], [f"{text} %" if panel.is_share else text])
        drawn += means
    return drawn


def _shift(present: Sequence[str], name: str, narrow: bool) -> float:
    """How far from the middle of its row a series stands among those that are in it."""
    if len(present) == 1:
        return 0.0
    shift = 0.3 * (0.5 - present.index(name) / (len(present) - 1))
    return 0.8 * shift - 0.1 if narrow else shift


def _draw_references(axes: Axes, panel: Panel, lines: Sequence[str]) -> list[float]:
    """Draw the references of a panel; returns their places."""
    known = {name: _scaled(panel, value).mean for name, value in panel.references.items() if value.n}
    for name, place in known.items():
        style = _LINES[lines.index(name) % len(_LINES)]
        axes.axvline(place, color=GREY, lw=1.2, ls=style, label=name, zorder=0)
    return list(known.values())


def _scaled(panel: Panel, value: Interval) -> Interval:
    scale = 100 if panel.is_share else 1
    return Interval(value.mean * scale, value.low * scale, value.high * scale, value.n)


def _present(panel: Panel, row: str) -> list[str]:
    """The series of a panel that have a value in a row."""
    return [name for name, values in panel.series.items() if row in values and values[row].n]


def _ordered(panels: Sequence[Panel]) -> list[str]:
    """All rows by the first value that the first panel has of each, highest first; those without one last."""
    found = dict.fromkeys(row for panel in panels for values in panel.series.values() for row in values)
    first = panels[0] if panels else Panel("", {})

    def rank(row: str) -> tuple[bool, float]:
        present = _present(first, row)
        return not present, -first.series[present[0]][row].mean if present else 0.0

    return sorted(found, key=rank)
