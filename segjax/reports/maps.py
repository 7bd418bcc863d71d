"""Figures of studies 4A and 4B: methods beside each other, and the panel of maps on pictures."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.figure import Figure

from segjax.evaluation import Interval
from segjax.reports.upgrades import GREY, INK, STYLES, nothing, tidy

_OUTLINE = "#ff2020"
_OPACITY = 0.55
_COLUMNS = 7  # of a panel; more maps go into further blocks below


class MapTile(NamedTuple):
    """A map (signed, at the size of the picture) on its picture, with the expert's outline.

    Attributes:
        row, column: where the tile stands, by name: the network and the map.
        faded: maps of a classifier that has not learnt its task are drawn pale.
    """

    row: str
    column: str
    image: Float[np.ndarray, "H W C"]
    found: Float[np.ndarray, "H W"]
    outline: Bool[np.ndarray, "H W"]
    faded: bool = False


def dot_chart(
    series: Mapping[str, Mapping[str, Interval]],
    xlabel: str,
    references: Mapping[str, Interval] | None = None,
    faded: Sequence[str] = (),
) -> Figure:
    """One row per name, a dot with its 95 % interval per series; references are grey lines from top to bottom.

    Rows come in the order of the first series' means, highest first; those of `faded` series are drawn pale. An
    interval whose bounds are NaN is not drawn.
    """
    rows = _ordered(series)
    drawn = {name: value for name, value in (references or {}).items() if value.n}
    figure = Figure(figsize=(8.6, 1.6 + 0.34 * max(1, len(rows)) * max(1.0, 0.45 * len(series))), layout="constrained")
    if not rows:
        return nothing(figure)
    axes = figure.subplots()
    places = {row: len(rows) - 1 - place for place, row in enumerate(rows)}
    for index, (name, values) in enumerate(series.items()):
        colour, marker = STYLES[index % len(STYLES)]
        shift = 0.0 if len(series) == 1 else 0.5 * (0.5 - index / (len(series) - 1))
        for row, value in values.items():
            known = value.low == value.low
            axes.errorbar(
                value.mean,
                places[row] + shift,
                xerr=[[value.mean - value.low], [value.high - value.mean]] if known else None,
                fmt=marker,
                color=colour,
                ms=5.5,
                capsize=2.5,
                elinewidth=1.1,
                alpha=0.3 if name in faded else 1.0,
            )
        axes.plot([], [], marker, color=colour, ms=5.5, alpha=0.3 if name in faded else 1.0, label=name)
    for style, (name, value) in zip(("--", ":", "-.", (0, (5, 1)), (0, (1, 4))), drawn.items(), strict=False):
        axes.axvline(value.mean, color=GREY, lw=1.2, ls=style, label=name, zorder=0)
    axes.set_yticks(list(places.values()), [textwrap.fill(row, 44) for row in places])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(xlabel, color=INK)
    tidy(axes, "x")
    if len(series) > 1 or drawn:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def map_panel(tiles: Sequence[MapTile], names: Mapping[str, str] | None = None) -> bytes:
    """PNG: networks in rows, maps in columns (seven side by side, further ones below), each as warm colours on its
    picture, the expert's outline in red.

    A map is drawn from 0 (nothing) to its own maximum; what is negative is not drawn.

    Args:
        tiles: any order; a place without a tile stays empty.
        names: heading of each column, where it is not the column's name.
    """
    rows, columns = (list(dict.fromkeys(getattr(tile, part) for tile in tiles)) for part in ("row", "column"))
    wide, blocks = min(len(columns), _COLUMNS), -(-len(columns) // _COLUMNS)
    figure = Figure(figsize=(0.9 + 1.75 * wide, blocks * (0.5 + 1.85 * len(rows))), dpi=110, layout="constrained")
    panels = figure.subplots(blocks * len(rows), wide, squeeze=False)
    for axes in panels.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    for place, column in enumerate(columns):
        first = panels[place // wide * len(rows), place % wide]
        first.set_title(textwrap.fill((names or {}).get(column, column), 18), fontsize=9, color=INK)
    for place, row in enumerate(rows * blocks):
        panels[place, 0].set_ylabel(textwrap.fill(row, 18), fontsize=9, color=INK)
    for tile in tiles:
        block, place = divmod(columns.index(tile.column), wide)
        axes = panels[block * len(rows) + rows.index(tile.row), place]
        axes.imshow(_overlay(tile), interpolation="nearest")
        if tile.outline.any() and not tile.outline.all():
            axes.contour(tile.outline.astype(float), [0.5], colors=_OUTLINE, linewidths=1.2)
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight", metadata={"Software": None})
    return png.getvalue()


def _overlay(tile: MapTile) -> Float[np.ndarray, "H W 3"]:
    dark, bright = np.percentile(tile.image, (0.5, 99.8))
    grey = np.clip((tile.image.mean(-1) - dark) / max(bright - dark, 1e-6), 0, 1)
    highest = float(np.max(tile.found))
    heat = np.clip(tile.found / highest, 0, 1) if highest > 0 else np.zeros_like(tile.found)
    colours = colormaps["inferno"](heat)[..., :3]
    share = (_OPACITY * (0.35 if tile.faded else 1.0) * np.sqrt(heat))[..., None]
    return (1 - share) * grey[..., None] + share * colours


def _ordered(series: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    """All rows, those of the first series first and by its means, those without a value last."""
    found = dict.fromkeys(row for values in series.values() for row in values)
    first = next(iter(series.values()), {})

    def rank(row: str) -> tuple[bool, float]:
        value = first.get(row)
        known = value is not None and value.n > 0
        return not known, -value.mean if known and value is not None else 0.0

    return sorted(found, key=rank)
