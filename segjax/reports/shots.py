"""Figures of study 3: Dice against shots with quartiles, and a heat map of shots and features."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from segjax.evaluation.decision import Interval
from segjax.reports.charts import GREY, INK, STYLES, nothing, tidy

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


def shots_chart(panels: Mapping[str, tuple[Sequence[Band], Interval]]) -> Figure:
    """Medians over draws with the range between the quartiles against shots; a panel per type, after Figure 1.11.

    Args:
        panels: by type, bands, and the Dice of the network with all labels (dashed; its interval where it has one).
    """
    count = max(1, len(panels))
    rows, across = -(-count // _ACROSS), min(count, _ACROSS)
    figure = Figure(figsize=(1.4 + 3.3 * across, 1.1 + 2.9 * rows), layout="constrained")
    if not any(bands for bands, _ in panels.values()):
        return nothing(figure)
    grid = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, (bands, whole)) in zip(grid.flat, panels.items(), strict=False):
        for band, (colour, marker) in zip(bands, STYLES, strict=False):
            median, low, high = np.array(band.values, float).reshape(-1, 3).T
            axes.plot(band.shots, median, color=colour, marker=marker, ms=4.5, lw=1.6, label=band.name)
            axes.fill_between(band.shots, low, high, color=colour, alpha=0.18, lw=0)
        if whole.n:
            axes.axhline(whole.mean, color=GREY, ls="--", lw=1.3, label="all labels")
        places = sorted({shots for band in bands for shots in band.shots})
        axes.set_xscale("log")
        axes.set_xticks(places, [str(place) for place in places])
        axes.minorticks_off()
        axes.set_title(name, fontsize=10, color=INK)
        tidy(axes, "y")
    for axes in grid[-1]:
        axes.set_xlabel("annotated pictures (shots)", color=INK)
    for axes in grid[:, 0]:
        axes.set_ylabel("Dice", color=INK)
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def heat_chart(maps: Mapping[str, Float[np.ndarray, "F S"]], features: Sequence[int], shots: Sequence[int]) -> Figure:
    """Median Dice for every number of features (upwards) and shots (to the right); a panel per selection."""
    figure = Figure(figsize=(1.6 + 2.9 * max(1, len(maps)), 1.4 + 0.36 * len(features)), layout="constrained")
    known = np.concatenate([values[np.isfinite(values)] for values in maps.values()]) if maps else np.empty(0)
    if not known.size:
        return nothing(figure)
    panels = figure.subplots(1, len(maps), sharey=True, squeeze=False)[0]
    for axes, (name, values) in zip(panels, maps.items(), strict=True):
        image = axes.imshow(values, origin="lower", aspect="auto", cmap="viridis", vmin=known.min(), vmax=known.max())
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = image.norm(value) < 0.6
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="w" if dark else "k", fontsize=8)
        axes.set_xticks(range(len(shots)), [str(count) for count in shots])
        axes.set_yticks(range(len(features)), [*map(str, features[:-1]), f"all {features[-1]}"])
        axes.set_xlabel("shots", color=INK)
        axes.set_title(name, fontsize=10, color=INK)
    panels[0].set_ylabel("features", color=INK)
    return figure
