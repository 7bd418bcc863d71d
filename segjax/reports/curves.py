"""Dose-response figures: a metric against the strength of each annotation error, one line per network."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segjax.evaluation import Interval
from segjax.reports import words
from segjax.reports.charts import GREY, INK, NARROW, STYLES, legend_below, nothing, tidy, tip, tips

_NETWORKS = ("unet", "segnet", "msd")  # have the first styles, whichever of them are there
_PANELS_IN_ROW = 3


def dose_response(
    doses: pd.DataFrame,
    ylabel: str = "Dice",
    published: pd.DataFrame | None = None,
    coarsening: float = 1.0,
    narrow: bool = False,
    marks: Mapping[str, float] | None = None,
    mark_name: str = "found elsewhere",
) -> Figure:
    """One panel per error, one line per network: means with their 95 % intervals, where these are known.

    Where a value is missing, the line has a gap. A thin grey line shows what the noisy training labels themselves
    score against the clean ones, where that is known. Bars end at the edge of a panel.

    Args:
        doses: a row per network, error and level, level 0 included: the columns network, error, level, mean, low, high
            (NaN without an interval) and label_dice.
        ylabel: what is measured.
        published: rows with network, error, level and dice; drawn dashed, for networks among the doses.
        coarsening: edge of a pixel of the pictures in published pixels, which levels of some errors count.
        narrow: for phones: panels below each other.
        marks: a strength of some errors, drawn as a dotted upright line where the panel reaches as far.
        mark_name: what the marks are, for the legend.

    >>> row = {"network": "unet", "low": 0.8, "high": 1.0, "label_dice": 1.0}
    >>> points = [("omission", 0.0, 0.95), ("omission", 0.5, 0.9), ("bias", 0.0, 0.95), ("bias", 2.0, 0.85)]
    >>> doses = pd.DataFrame([{**row, "error": error, "level": level, "mean": mean} for error, level, mean in points])
    >>> omission, bias = dose_response(doses).axes
    >>> omission.get_xlabel(), [label.get_text() for label in omission.get_xticklabels()]
    ('omitted cells, %', ['0', '50'])
    """
    errors = words.in_order(set(doses["error"]))
    columns = 1 if narrow else min(_PANELS_IN_ROW, max(1, len(errors)))
    rows = max(1, -(-len(errors) // columns))
    size = (NARROW, 1.6 + 2.9 * rows) if narrow else (1.2 + 3.3 * columns, 1.3 + 3.4 * rows)
    figure = Figure(figsize=size, layout="constrained")
    if not errors or doses["mean"].isna().all():
        return nothing(figure)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    styles = _styles(list(dict.fromkeys(doses["network"])))
    has_labels = bool(doses["label_dice"].notna().any()) and ylabel.startswith("Dice")
    for axes, error in zip(panels.flat, errors, strict=False):
        own = doses[doses["error"] == error]
        at = _positions(error, words.by_severity(error, own["level"]), coarsening)
        axes.set_xlabel(words.error_words(error).axis, color=INK)
        if has_labels:
            _label_dice(axes, own, at)
        _panel(axes, own, at, styles, {level: words.amount(error, level, coarsening) for level in at})
        if published is not None:
            _published(axes, published[published["error"] == error], at, styles, coarsening)
        _ticks(axes, error, at, coarsening)
        if marks and error in marks and not words.error_words(error).falling:
            axes.axvline(words.shown_level(error, marks[error], coarsening), color=INK, ls=":", lw=1.4, label="mark")
    for axes in list(panels.flat)[len(errors) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel(ylabel, color=INK)
    _limit(panels[0, 0], doses, published)
    handles = _legend(styles, published, has_labels)
    if marks and any(error in marks for error in errors):
        handles.append(Line2D([], [], color=INK, ls=":", lw=1.4, label=mark_name))
    legend_below(figure, handles, [str(one.get_label()) for one in handles], most=1 if narrow else 3)
    return figure


def _styles(names: list[str]) -> dict[str, tuple[str, str]]:
    order = [*_NETWORKS, *(name for name in names if name not in _NETWORKS)]
    return {name: STYLES[order.index(name) % len(STYLES)] for name in names}


def _positions(error: str, shown: list[float], coarsening: float) -> dict[float, float]:
    """Where each level stands on the axis: at its value, or by rank where a smaller level is the worse one."""
    if words.error_words(error).falling:
        return {level: float(i) for i, level in enumerate(shown)}
    return {level: words.shown_level(error, level, coarsening) for level in shown}


def _panel(
    axes: Axes,
    doses: pd.DataFrame,
    at: Mapping[float, float],
    styles: Mapping[str, tuple[str, str]],
    amounts: Mapping[float, str],
) -> None:
    step = 0.012 * (max(at.values()) - min(at.values()) or 1)
    for i, (network, (colour, marker)) in enumerate(styles.items()):
        line = doses[doses["network"] == network]
        # Neighbouring networks stand a little apart, so that no interval hides behind another.
        x = np.array([at[level] for level in line["level"]]) + step * (i - (len(styles) - 1) / 2)
        axes.errorbar(
            x,
            line["mean"],
            yerr=line["mean"] - line["low"],
            color=colour,
            marker=marker,
            ms=5.5,
            lw=1.7,
            elinewidth=1.1,
            capsize=2.5,
            label=network,
        )
        values = [Interval(row.mean, row.low, row.high, 0) for row in line.itertuples()]
        names = [f"{words.network_name(network)}, {amounts[level]}" for level in line["level"]]
        tips(axes, list(x), list(line["mean"]), [tip(*pair) for pair in zip(names, values, strict=True)])


def _published(
    axes: Axes,
    published: pd.DataFrame,
    at: Mapping[float, float],
    styles: Mapping[str, tuple[str, str]],
    coarsening: float,
) -> None:
    """Dashed, up to the highest level of the panel."""
    for network, (colour, _) in styles.items():
        paper = published[(published["network"] == network) & (published["level"] <= max(at))]
        x = [words.shown_level(row.error, row.level, coarsening) for row in paper.itertuples()]
        axes.plot(x, paper["dice"], "--", color=colour, lw=1.2, alpha=0.75, label=f"{network}, published")


def _ticks(axes: Axes, error: str, at: Mapping[float, float], coarsening: float) -> None:
    falling = words.error_words(error).falling
    names = ["clean" if level == 0 and falling else f"{words.shown_level(error, level, coarsening):g}" for level in at]
    axes.set_xticks(list(at.values()), names)
    tidy(axes, "y")


def _label_dice(axes: Axes, doses: pd.DataFrame, at: Mapping[float, float]) -> None:
    means = doses.groupby("level")["label_dice"].mean().dropna().to_dict() | {0.0: 1.0}  # clean labels at level 0
    known = [level for level in at if level in means]
    axes.plot([at[lv] for lv in known], [means[lv] for lv in known], color=GREY, lw=1.0, zorder=1, label="label_dice")


def _limit(axes: Axes, doses: pd.DataFrame, published: pd.DataFrame | None) -> None:
    # Bars end at the edge of the panel rather than press the curves together.
    bars = max(np.nanmin([doses["low"].min(), 1.0]), doses["mean"].min() - 0.1)
    lowest = [doses["mean"].min(), bars]
    if published is not None:
        lowest.append(published["dice"].min())
    axes.set_ylim(max(0.0, np.floor((np.nanmin(lowest) - 0.02) * 20) / 20), 1.005)


def _legend(styles: Mapping[str, tuple[str, str]], published: pd.DataFrame | None, has_labels: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=5.5, lw=1.7, label=words.network_name(network))
        for network, (colour, marker) in styles.items()
    ]
    if has_labels:
        handles.append(Line2D([], [], color=GREY, lw=1.0, label="training labels against clean labels"))
    if published is not None:
        handles.append(Line2D([], [], color=INK, ls="--", lw=1.2, label="published, in the same colours"))
    return handles
