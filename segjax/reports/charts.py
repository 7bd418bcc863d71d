"""What all charts share: a finding drawn twice, for screens and for phones, its colours, hover texts, and SVG."""

import html
import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, SupportsFloat

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

from segjax.evaluation import Interval

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
GREY, INK, GRID = "#8a8a8a", "#333333", "#e6e6e6"
NARROW = 4.2  # inches: the width of a figure for phones
_TIP = "tip:"
# takes the pointer, for less than the kilobyte of a marker
_DISC = r'<circle class="tip" cx="\2" cy="\3" r="8" fill-opacity="0"><title>\1</title></circle>'
# on a page these follow the reader's light or dark colours
_PAGE_COLOURS = {
    INK: "currentColor",
    "#000000": "currentColor",
    "#ffffff": "var(--page)",
    GRID: "var(--line)",
    GREY: "var(--soft)",
}


class Chart(NamedTuple):
    """A chart of a page.

    Attributes:
        title: its finding, a sentence without a full stop.
        question: what is asked or shown, as a subtitle.
        wide, narrow: the figure for screens and print, and for phones, `NARROW` inches wide.
        table: the numbers that are drawn.
        caption: how to read it.
    """

    title: str
    question: str
    wide: Figure
    narrow: Figure
    table: pd.DataFrame
    caption: str = ""


def chart(title: str, question: str, draw: Callable[[bool], Figure], table: pd.DataFrame, caption: str = "") -> Chart:
    """A chart of a function that draws it, given whether it is for phones.

    >>> table = pd.DataFrame({"rate": [0.0, 0.5], "dice": [0.9, 0.8]})
    >>> found = chart("Omission costs", "Dice by rate", lambda narrow: Figure((4 if narrow else 8, 3)), table)
    >>> float(found.wide.get_figwidth()), float(found.narrow.get_figwidth()), found.table is table
    (8.0, 4.0, True)
    """
    return Chart(title, question, draw(False), draw(True), table, caption)


def tips(axes: Axes, x: Iterable[SupportsFloat], y: Iterable[SupportsFloat], texts: Sequence[str]) -> None:
    """Texts that show where the pointer is near a point."""
    for one, other, text in zip(x, y, texts, strict=True):
        if math.isfinite(one) and math.isfinite(other):
            axes.plot([float(one)], [float(other)], "o", ms=16, alpha=0.0, gid=f"{_TIP}{text}", zorder=9)


def tip(name: str, value: Interval, digits: int = 3) -> str:
    """The hover text of a value: its name, the mean, and the interval where there is one."""
    bounds = f" ({value.low:.{digits}f} to {value.high:.{digits}f})" if value.low == value.low else ""
    return f"{name}: {value.mean:.{digits}f}{bounds}"


def means_said(values: Iterable[Interval]) -> str:
    """What the points of a chart are, as a caption says it; bars only where there are some."""
    known = [value for value in values if value.n]
    sets = max((value.n for value in known), default=0)
    if sets <= 1:
        return "Every point is one test set." if sets else ""
    bars = ", bars their 95 % intervals" if any(value.low == value.low for value in known) else ""
    return f"Points are means over {sets} test sets{bars}."


def row_height(names: Sequence[str], narrow: bool) -> float:
    """Inches of a row with a name of `name_rows`."""
    return 0.5 + 0.15 * max((len(_lines(name)) for name in names), default=1) if narrow else 0.42


def name_rows(axes: Axes, places: Iterable[SupportsFloat], names: Sequence[str], narrow: bool) -> None:
    """Names of rows, the first at the top, left of the axis or, on phones, above each row."""
    heights = [float(place) for place in places]
    axes.set_yticks(heights, [""] * len(names) if narrow else [textwrap.fill(name, 44) for name in names])
    axes.set_ylim(-0.5, len(names) - (0.2 if narrow else 0.5))
    for place, name in zip(heights, names, strict=True) if narrow else ():
        text = "\n".join(_lines(name))
        where = {"xycoords": ("axes fraction", "data"), "xytext": (2, 7), "textcoords": "offset points"}
        axes.annotate(text, (0, place), va="bottom", fontsize=9, color=INK, **where)  # type: ignore[arg-type]


def _lines(name: str) -> list[str]:
    return textwrap.wrap(name, 48) or [""]


def tidy(axes: Axes, grid: str) -> None:
    """Light grid lines of one axis, no box."""
    axes.grid(axis=grid, color=GRID, lw=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)


def legend_below(figure: Figure, handles: Iterable[Any], labels: Iterable[str], most: int) -> None:
    """A legend below the axes, in as many columns as the figure is wide enough for, `most` of them at most."""
    named = list(handles), list(labels)
    for columns in range(most, 0, -1):
        legend = figure.legend(*named, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
        if legend.get_window_extent().width <= figure.bbox.width:
            return
        if columns > 1:
            legend.remove()


def nothing(figure: Figure) -> Figure:
    """The figure with a note that there is nothing to show."""
    figure.text(0.5, 0.5, "no results yet", ha="center", color=GREY)
    return figure


def svg(figure: Figure) -> str:
    """The figure as SVG text on white, the same bytes for the same figure: no date, fixed ids, letters as text.

    Hover texts are left out, since a picture file shows none.

    >>> figure = Figure()
    >>> _ = figure.text(0.5, 0.5, "Dice")
    >>> text = svg(figure)
    >>> ">Dice</text>" in text, text == svg(figure)
    (True, True)
    """
    return _svg(figure, "")


def _svg(figure: Figure, tip: str) -> str:
    """As `svg`; `tip` is put where a hover text is, as a replacement for its text and place."""
    for said in figure.findobj(Text):
        if "$" in said.get_text():  # in a name; it begins no formula
            said.set_parse_math(False)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "segjax", "svg.fonttype": "none", "font.sans-serif": "DejaVu Sans"}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    # a hundredth of a point is finer than anyone sees, and indentation is a tenth of the file
    places = r'(?<= )(d|transform|x|y|points)="[^"]*"'  # and never the texts
    rounded = re.sub(places, lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), text.getvalue())
    small = re.sub(r"<!--.*?-->", "", re.sub(r"\n\s+", "\n", rounded), flags=re.DOTALL)
    group = rf'<g id="{_TIP}([^"]*)">.*?<use [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*/>\n</g>\n</g>\n?'
    drawn = re.sub(group, tip, small, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', drawn))
    bare = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", drawn)
    return re.sub(r"\n\n+", "\n", bare)


def inline(figure: Figure, prefix: str, label: str) -> str:
    """The figure as an element of a page: no background, colours that follow the page's, ids of its own.

    Args:
        prefix: of its ids, different for every figure of a page.
        label: what a reader who cannot see it is told.
    """
    shown = [figure.patch, *(axes.patch for axes in figure.axes)]
    before = [patch.get_visible() for patch in shown]
    for patch in shown:
        patch.set_visible(False)
    text = _svg(figure, _DISC)
    for patch, is_visible in zip(shown, before, strict=True):
        patch.set_visible(is_visible)
    body = text[text.index("<svg") :]
    body = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", body)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    for colour, own in _PAGE_COLOURS.items():
        body = body.replace(colour, own)
    return body.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1).strip()
