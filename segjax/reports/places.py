"""A chart of places: for every combination of two things a square that says, by its colour and words, what holds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from segjax.reports.charts import GREY, INK, NARROW, STYLES, nothing, tips

# the look of each answer: colour, hatch and colour of its letters; neither pure black nor white, which follow a page
_BLUE, _ORANGE, _PINK = STYLES[0][0], STYLES[4][0], STYLES[3][0]
LOOKS: dict[str, dict[str, Any]] = {
    "repairing is ahead": {"facecolor": _BLUE, "letters": "#fefefe"},
    "noisy labels gain as they are": {"facecolor": _ORANGE, "letters": "#010101"},
    "neither gains": {"facecolor": _PINK, "letters": "#010101"},
    "not decided": {"facecolor": "none", "hatch": "///", "letters": INK},
    "too few test sets": {"facecolor": "none", "linestyle": ":", "letters": INK},
}


class Square(NamedTuple):
    """What is drawn at a place.

    Attributes:
        look: one of `LOOKS`.
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
    narrow: bool = False,
) -> Figure:
    """Squares by row and column, the first row at the top; a panel per name, and a legend of the looks that occur.

    Args:
        panels: by title, the squares by row and column; a place without one stays empty.
        rows, columns: their names; those of rows stand above the squares.
        narrow: for phones.
    """
    count = max(1, len(panels))
    height = 0.75 * len(rows) + 0.7
    size = (NARROW, 1.1 + height * count) if narrow else (1.2 + max(3.2, 0.75 * len(columns)) * count, 1.1 + height)
    figure = Figure(figsize=size, layout="constrained")
    if not any(panels.values()):
        return nothing(figure)
    grid = figure.subplots(count if narrow else 1, 1 if narrow else count, squeeze=False)
    for axes, (title, squares) in zip(grid.flat, panels.items(), strict=True):
        axes.set_title(title, fontsize=10, color=INK)
        _draw(axes, squares, rows, columns)
    used = {square.look for squares in panels.values() for square in squares.values()}
    handles = [Patch(label=look, **_patch(look)) for look in LOOKS if look in used]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=1 if narrow else 3, frameon=False, fontsize=9, labelcolor=INK
    )
    return figure


def _patch(look: str) -> dict[str, Any]:
    return {"edgecolor": GREY, "lw": 1.0, **{name: value for name, value in LOOKS[look].items() if name != "letters"}}


def _draw(axes: Axes, squares: Mapping[tuple[int, int], Square], rows: Sequence[str], columns: Sequence[str]) -> None:
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    axes.set_xticks([place + 0.5 for place in range(len(columns))], list(columns))
    axes.set_yticks([])
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.spines[:].set_visible(False)
    for row, name in enumerate(rows):
        axes.text(0.04, row + 0.13, name, fontsize=8, color=INK, va="center")
    for (row, column), square in squares.items():
        axes.add_patch(Rectangle((column + 0.04, row + 0.26), 0.92, 0.7, **_patch(square.look)))
        backed = {"facecolor": "#ffffff", "lw": 0, "pad": 1.5} if LOOKS[square.look].get("hatch") else None
        axes.text(
            column + 0.5, row + 0.61, square.text, ha="center", va="center", fontsize=8.5,
            color=LOOKS[square.look]["letters"], bbox=backed,
        )  # fmt: skip
    places = list(squares)
    tips(axes, [c + 0.5 for _, c in places], [r + 0.61 for r, _ in places], [squares[place].tip for place in places])
