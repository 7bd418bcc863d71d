"""A chart of places: for every combination of two things a square that says, by its colour and words, what holds."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from segjax.reports.charts import GREY, INK, NARROW, legend_below, nothing, tips

Looks = Mapping[str, Mapping[str, Any]]


class Square(NamedTuple):
    """What is drawn at a place.

    Attributes:
        look: the name of one of the looks that the chart is given.
        text: a few numbers, line by line.
        tip: shown where the pointer is.
    """

    look: str
    text: str
    tip: str


def place_chart(
    panels: Mapping[str, Mapping[tuple[int, int], Square]],
    rows: Sequence[str],
    columns: Sequence[str],
    looks: Looks,
    narrow: bool = False,
) -> Figure:
    """Squares by row and column, the first row at the top; panels below each other, and a legend of looks that occur.

    Args:
        panels: by title, the squares by row and column; a place without one stays empty.
        rows, columns: their names; those of rows stand above the squares.
        looks: by name, in the order of the legend: options of a `matplotlib.patches.Patch`, "facecolor" among them, and
            the colour of its "letters".
        narrow: for phones.
    """
    width = NARROW if narrow else max(6.4, 0.8 * len(columns))
    names = [textwrap.wrap(name, int(width * 13)) for name in rows]  # letters of an inch
    lines = max(map(len, names), default=1)
    size = (width, 1.2 + (0.6 + (0.5 + 0.15 * lines) * len(rows)) * max(1, len(panels)))
    figure = Figure(figsize=size, layout="constrained")
    if not any(panels.values()):
        return nothing(figure)
    grid = figure.subplots(len(panels), 1, squeeze=False)
    for axes, (title, squares) in zip(grid.flat, panels.items(), strict=True):
        axes.set_title(title, fontsize=10, color=INK)
        _draw(axes, squares, ["\n".join(name) for name in names], columns, looks, 0.15 * lines / (0.5 + 0.15 * lines))
    used = {square.look for squares in panels.values() for square in squares.values()}
    handles = [Patch(label=name, **_patch(look)) for name, look in looks.items() if name in used]
    legend_below(figure, handles, [str(one.get_label()) for one in handles], most=1 if narrow else 3)
    return figure


def _patch(look: Mapping[str, Any]) -> dict[str, Any]:
    return {"edgecolor": GREY, "lw": 1.0, **{name: value for name, value in look.items() if name != "letters"}}


def _draw(
    axes: Axes,
    squares: Mapping[tuple[int, int], Square],
    rows: Sequence[str],
    columns: Sequence[str],
    looks: Looks,
    head: float,
) -> None:
    """One panel; `head` is the share of a row's height that its name takes."""
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    axes.set_xticks([place + 0.5 for place in range(len(columns))], list(columns))
    axes.set_yticks([])
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.spines[:].set_visible(False)
    for row, name in enumerate(rows):
        said = axes.text(0.03, row + head / 2, name, fontsize=8, color=INK, va="center")
        said.set_in_layout(False)  # it is as wide as the panel, and moves nothing
    middle = head + (1 - head) * 0.47
    for (row, column), square in squares.items():
        look = looks[square.look]
        corner, edges = (column + 0.03, row + head), (0.94, 0.94 * (1 - head))
        axes.add_patch(Rectangle(corner, *edges, **_patch(look)))
        colour = "#ffffff" if look["facecolor"] == "none" else look["facecolor"]
        backed = {"facecolor": colour, "lw": 0, "pad": 1.5} if look.get("hatch") else None
        axes.text(
            column + 0.5, row + middle, square.text, ha="center", va="center", fontsize=8.5,
            color=look["letters"], bbox=backed,
        )  # fmt: skip
    x, y = ([place[axis] + offset for place in squares] for axis, offset in ((1, 0.5), (0, middle)))
    tips(axes, x, y, [square.tip for square in squares.values()])
