"""Charts of study 3: Dice against annotated pictures with quartiles, and a heat map of pictures and features."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segjax.evaluation.decision import Interval
from segjax.reports.charts import GREY, INK, NARROW, STYLES, legend_below, nothing, tidy, tip, tips

_ACROSS = 3  # panels in a row


class Spread(NamedTuple):
    """A median and the quartiles."""

    median: float
    low: float
    high: float


class Band(NamedTuple):
    """A line of a panel: medians and quartiles at numbers of shots."""

    name: str
    shots: Sequence[int]
    values: Sequence[Spread]


def shots_chart(
    panels: Mapping[str, tuple[Sequence[Band], Interval]],
    narrow: bool = False,
    metric: str = "Dice",
    dotted: Mapping[str, Band] | None = None,
) -> Figure:
    """Medians over draws with the range between the quartiles against shots; a panel per type, after Figure 1.11.

    Args:
        panels: by type, bands, and the Dice of the network with all labels (dashed; its interval where it has one).
        narrow: for phones: panels below each other.
        metric: what stands upwards.
        dotted: another study's values, in the panels of these types.
    """
    count = max(1, len(panels))
    across = 1 if narrow else min(count, _ACROSS)
    rows = -(-count // across)
    size = (NARROW, 1.3 + 2.6 * rows) if narrow else (1.4 + 3.3 * across, 1.1 + 2.9 * rows)
    figure = Figure(figsize=size, layout="constrained")
    if not any(bands for bands, _ in panels.values()):
        return nothing(figure)
    grid = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, (bands, whole)) in zip(grid.flat, panels.items(), strict=False):
        _panel(axes, bands, whole)
        if other := (dotted or {}).get(name):
            medians = [value.median for value in other.values]
            axes.plot(other.shots, medians, color=GREY, ls=":", lw=1.6, label=other.name)
            tips(axes, other.shots, medians, [f"{other.name}: {value:.3f}" for value in medians])
            _mark(axes, {*map(int, axes.get_xticks()), *other.shots})
        axes.set_title(name, fontsize=10, color=INK)
    for axes in grid[-1]:
        axes.set_xlabel("annotated pictures", color=INK)
    for axes in grid[:, 0]:
        axes.set_ylabel(metric, color=INK)
    legend = {
        label: handle
        for axes in grid.flat[: len(panels)]
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    legend_below(figure, legend.values(), legend, most=1 if narrow else 4)
    return figure


def heat_chart(
    maps: Mapping[str, Float[np.ndarray, "F S"]], features: Sequence[int], shots: Sequence[int], narrow: bool = False
) -> Figure:
    """Median Dice for every number of features (upwards) and shots (to the right); a panel per selection.

    On phones (`narrow`) panels stand below each other.
    """
    count = max(1, len(maps))
    height = 1.2 + 0.36 * len(features)
    size = (NARROW, 0.2 + height * count) if narrow else (1.6 + 2.9 * count, 0.2 + height)
    figure = Figure(figsize=size, layout="constrained")
    known = np.concatenate([values[np.isfinite(values)] for values in maps.values()]) if maps else np.empty(0)
    if not known.size:
        return nothing(figure)
    grid = figure.subplots(count if narrow else 1, 1 if narrow else count, sharey=True, squeeze=False)
    for axes, (name, values) in zip(grid.flat, maps.items(), strict=True):
        image = axes.imshow(values, origin="lower", aspect="auto", cmap="viridis", vmin=known.min(), vmax=known.max())
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                # not pure black or white, which follow the colours of a page
                colour = "#fefefe" if image.norm(value) < 0.45 else "#010101"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(shots)), [str(count) for count in shots])
        axes.set_yticks(range(len(features)), [*map(str, features[:-1]), f"all {features[-1]}"])
        axes.tick_params(colors=INK, labelsize=9)
        axes.set_xlabel("annotated pictures", color=INK)
        axes.set_title(name, fontsize=10, color=INK)
    for axes in grid[:, 0]:
        axes.set_ylabel("features", color=INK)
    return figure


def _panel(axes: Axes, bands: Sequence[Band], whole: Interval) -> None:
    for band, (colour, marker) in zip(bands, STYLES, strict=False):
        median, low, high = np.array(band.values, float).reshape(-1, 3).T
        axes.plot(band.shots, median, color=colour, marker=marker, ms=4.5, lw=1.6, label=band.name)
        axes.fill_between(band.shots, low, high, color=colour, alpha=0.18, lw=0)
        values = [Interval(value.median, value.low, value.high, 0) for value in band.values]
        texts = [tip(f"{band.name}, {shots}", value) for shots, value in zip(band.shots, values, strict=True)]
        tips(axes, band.shots, list(median), texts)
    if whole.n:
        axes.axhline(whole.mean, color=GREY, ls="--", lw=1.3, label="all labels")
    axes.set_xscale("log")
    _mark(axes, {shots for band in bands for shots in band.shots})
    axes.minorticks_off()
    tidy(axes, "y")


def _mark(axes: Axes, shots: Collection[int]) -> None:
    axes.set_xticks(sorted(shots), [str(count) for count in sorted(shots)])
