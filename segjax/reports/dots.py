"""Charts of methods beside each other, a row each."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from segjax.evaluation import Interval
from segjax.reports.charts import GREY, INK, NARROW, STYLES, name_rows, nothing, row_height, tidy, tip, tips

_LINES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 4)))  # of the references


def dot_chart(
    series: Mapping[str, Mapping[str, Interval]],
    xlabel: str,
    references: Mapping[str, Interval] | None = None,
    faded: Sequence[str] = (),
    narrow: bool = False,
    rows: Sequence[str] = (),
    digits: int = 3,
) -> Figure:
    """One row per name, a dot with its 95 % interval per series; references are grey lines from top to bottom.

    Rows come in the order of the first series' means, highest first; those of `faded` series are drawn pale. An
    interval whose bounds are NaN is not drawn.

    Args:
        narrow: for phones.
        rows: all of them, in another order.
        digits: of hover texts, after the point.
    """
    rows = rows or _ordered(series)
    drawn = {name: value for name, value in (references or {}).items() if value.n}
    legend_height = 0.24 * (len(series) + len(drawn)) if narrow else 0.0
    height = (row_height(rows, narrow) + 0.12 * (len(series) - 1)) * max(1, len(rows))
    figure = Figure(figsize=(NARROW if narrow else 8.6, 1.4 + legend_height + height), layout="constrained")
    if not rows:
        return nothing(figure)
    axes = figure.subplots()
    places = {row: float(len(rows) - 1 - place) for place, row in enumerate(rows)}
    for index, (name, values) in enumerate(series.items()):
        colour, marker = STYLES[index % len(STYLES)]
        alpha = 0.3 if name in faded else 1.0
        shift = 0.0 if len(series) == 1 else (0.3 if narrow else 0.5) * (0.5 - index / (len(series) - 1))
        for row, value in values.items():
            bars = [[value.mean - value.low], [value.high - value.mean]] if value.low == value.low else None
            place = places[row] + shift - (0.15 if narrow and len(series) > 1 else 0.0)
            axes.errorbar(
                value.mean, place, xerr=bars, fmt=marker, color=colour, ms=5.5, capsize=2.5, elinewidth=1.1, alpha=alpha
            )
            tips(axes, [value.mean], [place], [tip(f"{row}, {name}" if len(series) > 1 else row, value, digits)])
        axes.plot([], [], marker, color=colour, ms=5.5, alpha=alpha, label=name)
    for line, (name, value) in zip(_LINES, drawn.items(), strict=False):
        axes.axvline(value.mean, color=GREY, lw=1.2, ls=line, label=name, zorder=0)
    name_rows(axes, list(places.values()), rows, narrow)
    axes.set_xlabel(xlabel, color=INK)
    tidy(axes, "x")
    if len(series) > 1 or drawn:
        figure.legend(loc="outside lower center", ncols=1 if narrow else 3, frameon=False, fontsize=9)
    return figure


def _ordered(series: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """All rows, those of the first series first and by its means, those without a value last."""
    found = dict.fromkeys(row for values in series.values() for row in values)
    first = next(iter(series.values()), {})

    def rank(row: str) -> tuple[bool, float]:
        value = first.get(row)
        known = value is not None and value.n > 0
        return not known, -value.mean if known and value is not None else 0.0

    return sorted(found, key=rank)
