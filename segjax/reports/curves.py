"""Dose-response figures: a metric against the strength of each annotation error, one line per network."""

import io
from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segjax.reports import words
from segjax.reports.published import INCLUSION_NOTE, SOURCE
from segjax.reports.summary import SEEDS_FOR_INTERVAL, levels, missing_cells, networks, seed_values, summary

# Colours of Okabe and Ito, told apart with every common colour vision; markers say the same once more.
_STYLES = {"unet": ("#0072B2", "o"), "segnet": ("#D55E00", "s"), "msd": ("#009E73", "^")}
_MORE_STYLES = (("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"), ("#000000", "X"))
_GREY = "#8a8a8a"
_INK = "#333333"
_DICE = ("dice_pooled", "dice")
_PANELS_IN_ROW = 3


def dose_response(
    table: pd.DataFrame,
    metric: str = "dice_pooled",
    published: pd.DataFrame | None = None,
    title: str = "",
    coarsening: float = 1.0,
) -> Figure:
    """One panel per error, one line per network: mean over seeds with its 95 % interval (Student's t).

    Fewer than three seeds give no interval: there the single runs are dots about the line. Cells without a result are
    gaps and are named in their panel. For Dice, a thin grey line shows what the faulty training labels themselves score
    against the clean ones. Bars end at the edge of a panel.

    Args:
        table: results in long form, of one data set.
        metric: name of the metric in the table.
        published: rows of `published()`; drawn dashed, for pooled Dice and for networks in the table.
        title: heading of the figure.
        coarsening: edge of a pixel of the pictures in published pixels.

    Raises:
        InputError: as `seed_values`.
    """
    cells = summary(table, metric)
    errors = words.in_order(set(table["error"]))
    columns = min(_PANELS_IN_ROW, max(1, len(errors)))
    rows = max(1, -(-len(errors) // columns))
    figure = Figure(figsize=(1.2 + 3.3 * columns, 1.3 + 3.9 * rows), layout="constrained")
    figure.suptitle(title, fontsize=12, color=_INK)
    if not cells["n"].any():
        figure.text(0.5, 0.5, "no results yet", ha="center", color=_GREY)
        return figure
    shown = published if metric == "dice_pooled" else None
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    styles = _styles(networks(table))
    runs = seed_values(table, metric)
    for axes, error in zip(panels.flat, errors, strict=False):
        axes.set_xlabel(words.error_words(error, coarsening).axis, color=_INK)
        _panel(axes, cells[cells["error"] == error], runs[runs["error"] == error], error, styles, shown)
        if metric in _DICE:
            _label_dice(axes, table, error)
        _name_gaps(axes, cells[(cells["error"] == error) & (cells["n"] == 0)], coarsening)
    for axes in list(panels.flat)[len(errors) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel(words.METRIC_NAMES.get(metric, metric), color=_INK)
    _limit(panels[0, 0], cells, float(runs["value"].min()), shown, metric)
    figure.legend(
        handles=_legend(styles, shown, metric in _DICE and "label_dice" in set(table["metric"])),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    return figure


def curve_caption(
    table: pd.DataFrame, metric: str = "dice_pooled", published: pd.DataFrame | None = None, coarsening: float = 1.0
) -> str:
    """What the figure shows, over how many seeds, beside which published runs, and which cells have no result."""
    cells = summary(table, metric)
    with_result = cells[cells["n"] > 0]
    if with_result.empty:
        return "No results yet."
    least, most = int(with_result["n"].min()), int(with_result["n"].max())
    count = words.seeds(most) if least == most else f"{least} to {words.seeds(most)}"
    if most < SEEDS_FOR_INTERVAL:
        sentences = [f"Lines join means over {count}; dots are the single runs."]
    else:
        sentences = [f"Points are means over {count}, bars their 95 % intervals (Student's t)."]
        if least < SEEDS_FOR_INTERVAL:
            sentences.append("Where only one or two seeds have a result, small dots are the single runs.")
    if published is not None and metric == "dice_pooled":
        sentences.append(f"Dashed: published means, {SOURCE}.")
        if words.OWN_ZERO in set(with_result["error"]):
            sentences.append(INCLUSION_NOTE)
    gaps = missing_cells(table, metric)
    if gaps:
        sentences.append(f"Gaps, because there is no result: {words.cells_named(gaps, coarsening)}.")
    return " ".join(sentences)


def svg(figure: Figure) -> str:
    """The figure as SVG text, the same bytes for the same figure: no date, fixed ids, letters as outlines."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "segjax", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    return text.getvalue()


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
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    error: str,
    styles: Mapping[str, tuple[str, str]],
    published: pd.DataFrame | None,
) -> None:
    at = _positions(error, words.by_severity(error, cells["level"]))
    step = 0.012 * (max(at.values()) - min(at.values()) or 1)
    for i, (network, (colour, marker)) in enumerate(styles.items()):
        line = cells[cells["network"] == network]
        # Neighbouring networks stand a little apart, so that no interval hides behind another.
        x = np.array([at[level] for level in line["level"]]) + step * (i - (len(styles) - 1) / 2)
        axes.errorbar(
            x,
            line["mean"],
            yerr=line["mean"] - line["low"],
            color=colour,
            marker=marker,
            markevery=(line["n"] >= SEEDS_FOR_INTERVAL).to_list(),
            ms=5.5,
            lw=1.7,
            elinewidth=1.1,
            capsize=2.5,
            label=network,
        )
        few = line.loc[line["n"] < SEEDS_FOR_INTERVAL, "level"]
        single = runs[(runs["network"] == network) & runs["level"].isin(few)]
        places = [dict(zip(line["level"], x, strict=True))[level] for level in single["level"]]
        axes.plot(places, single["value"], marker, ls="", color=colour, ms=4, alpha=0.8, label=f"{network}, runs")
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


def _label_dice(axes: Axes, table: pd.DataFrame, error: str) -> None:
    values = seed_values(table, "label_dice")
    means = values[values["error"] == error].groupby("level")["value"].mean()
    if means.empty:
        return
    # Without an error the labels are the clean ones.
    points = means.to_dict() | {0.0: 1.0}
    at = _positions(error, levels(table, error))
    known = [level for level in at if level in points]
    axes.plot([at[lv] for lv in known], [points[lv] for lv in known], color=_GREY, lw=1.0, zorder=1, label="label_dice")


def _name_gaps(axes: Axes, gaps: pd.DataFrame, coarsening: float) -> None:
    if gaps.empty:
        return
    lines = [
        f"{words.network_name(network)} "
        + ", ".join(words.amount(cell.error, cell.level, coarsening) for cell in group.itertuples())
        for network, group in gaps.groupby("network", sort=False)
    ]
    note = "no result: " + "\n".join(lines)
    axes.text(0.02, 0.02, note, transform=axes.transAxes, fontsize=8, color=_GREY, va="bottom")


def _limit(axes: Axes, cells: pd.DataFrame, least: float, published: pd.DataFrame | None, metric: str) -> None:
    if metric == "hd95":
        axes.set_ylim(bottom=0)
        return
    # Bars end at the edge of the panel rather than press the curves together.
    bars = max(np.nanmin([cells["low"].min(), 1.0]), cells["mean"].min() - 0.1)
    lowest = [least, bars]
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
