"""Dose-response figures: a metric against the strength of each annotation error, one line per network."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segjax.reports import words

_STYLES = {"unet": ("#0072B2", "o"), "segnet": ("#D55E00", "s"), "msd": ("#009E73", "^")}
_MORE_STYLES = (("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"), ("#000000", "X"))
_GREY = "#8a8a8a"
_INK = "#333333"
_PANELS_IN_ROW = 3


def dose_response(
    doses: pd.DataFrame, ylabel: str = "Dice", published: pd.DataFrame | None = None, coarsening: float = 1.0
) -> Figure:
    """One panel per error, one line per network: means with their 95 % intervals, where these are known.

    Where a value is missing, the line has a gap. A thin grey line shows what the faulty training labels themselves
    score against the clean ones, where that is known. Bars end at the edge of a panel.

    Args:
        doses: a row per network, error and level, level 0 included: the columns network, error, level, mean, low, high
            (NaN without an interval) and label_dice.
        ylabel: what is measured.
        published: rows with network, error, level and dice; drawn dashed, for networks among the doses.
        coarsening: edge of a pixel of the pictures in published pixels.
    """
    errors = words.in_order(set(doses["error"]))
    columns = min(_PANELS_IN_ROW, max(1, len(errors)))
    rows = max(1, -(-len(errors) // columns))
    figure = Figure(figsize=(1.2 + 3.3 * columns, 1.3 + 3.9 * rows), layout="constrained")
    if not errors or doses["mean"].isna().all():
        figure.text(0.5, 0.5, "no results yet", ha="center", color=_GREY)
        return figure
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    styles = _styles(list(dict.fromkeys(doses["network"])))
    has_labels = bool(doses["label_dice"].notna().any()) and ylabel.startswith("Dice")
    for axes, error in zip(panels.flat, errors, strict=False):
        own = doses[doses["error"] == error]
        axes.set_xlabel(words.error_words(error, coarsening).axis, color=_INK)
        _panel(axes, own, error, styles, published)
        if has_labels:
            _label_dice(axes, own, error)
    for axes in list(panels.flat)[len(errors) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel(ylabel, color=_INK)
    _limit(panels[0, 0], doses, published)
    handles = _legend(styles, published, has_labels)
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _styles(names: list[str]) -> dict[str, tuple[str, str]]:
    others = [name for name in names if name not in _STYLES]
    more = {name: _MORE_STYLES[i % len(_MORE_STYLES)] for i, name in enumerate(others)}
    return {name: (_STYLES | more)[name] for name in names}


def _positions(error: str, shown: list[float]) -> dict[float, float]:
    """Where each level stands on the axis: at its value, or by rank where a smaller level is the worse one."""
    if words.error_words(error).falling:
        return {level: float(i) for i, level in enumerate(shown)}
    return {level: words.shown_level(error, level) for level in shown}


def _panel(
    axes: Axes,
    doses: pd.DataFrame,
    error: str,
    styles: Mapping[str, tuple[str, str]],
    published: pd.DataFrame | None,
) -> None:
    at = _positions(error, words.by_severity(error, doses["level"]))
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
        if published is not None:
            paper = published[(published["network"] == network) & (published["error"] == error)]
            paper = paper[paper["level"] <= max(at)]
            axes.plot(
                [words.shown_level(error, level) for level in paper["level"]],
                paper["dice"],
                "--",
                color=colour,
                lw=1.2,
                alpha=0.75,
                label=f"{network}, published",
            )
    axes.set_xticks(
        list(at.values()),
        ["clean" if lv == 0 and words.error_words(error).falling else f"{words.shown_level(error, lv):g}" for lv in at],
    )
    axes.grid(axis="y", color="#e6e6e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9)


def _label_dice(axes: Axes, doses: pd.DataFrame, error: str) -> None:
    means = doses.groupby("level")["label_dice"].mean().dropna().to_dict() | {0.0: 1.0}  # clean labels at level 0
    at = _positions(error, words.by_severity(error, doses["level"]))
    known = [level for level in at if level in means]
    axes.plot([at[lv] for lv in known], [means[lv] for lv in known], color=_GREY, lw=1.0, zorder=1, label="label_dice")


def _limit(axes: Axes, doses: pd.DataFrame, published: pd.DataFrame | None) -> None:
    # Bars end at the edge of the panel rather than press the curves together.
    bars = max(np.nanmin([doses["low"].min(), 1.0]), doses["mean"].min() - 0.1)
    lowest = [doses["mean"].min(), bars]
    if published is not None:
        lowest.append(published["dice"].min())
    axes.set_ylim(max(0.0, np.floor((np.nanmin(lowest) - 0.02) * 20) / 20), 1.005)


def _legend(styles: Mapping[str, tuple[str, str]], published: pd.DataFrame | None, faulty_labels: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=5.5, lw=1.7, label=words.network_name(network))
        for network, (colour, marker) in styles.items()
    ]
    if faulty_labels:
        handles.append(Line2D([], [], color=_GREY, lw=1.0, label="Dice of the faulty labels themselves"))
    if published is not None:
        handles.append(Line2D([], [], color=_INK, ls="--", lw=1.2, label="published, same colours"))
    return handles
