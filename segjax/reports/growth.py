"""How cost grows with size: straight lines in double logarithmic panels, with their slopes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v")
_INK = "#333333"


def fitted_exponent(sizes: Sequence[float | int], costs: Sequence[float | int]) -> float:
    """The a of cost ~ size^a: slope of the straight line through the logarithms by least squares.

    NaN with fewer than two sizes. Sizes and costs have to be positive.
    """
    if len(set(sizes)) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def growth(table: pd.DataFrame, costs: dict[str, str]) -> Figure:
    """One column of panels per kind of size, one row per cost, one line per curve; both axes logarithmic.

    Args:
        table: one row per point, with the columns `curve`, `quantity` (the kind of size, which names the axis), `size`
            and those of `costs`.
        costs: column -> what its axis says.
    """
    quantities = list(dict.fromkeys(table["quantity"]))
    figure = Figure(figsize=(0.6 + 3.6 * len(quantities), 0.4 + 3.2 * len(costs)), layout="constrained")
    panels = figure.subplots(len(costs), len(quantities), sharex="col", squeeze=False)
    for row, (column, words) in zip(panels, costs.items(), strict=True):
        for axes, quantity in zip(row, quantities, strict=True):
            shown = table[table["quantity"] == quantity]
            styles = zip(_COLOURS, _MARKERS, shown.groupby("curve", sort=False), strict=False)
            for colour, marker, (curve, points) in styles:
                exponent = fitted_exponent(list(points["size"]), list(points[column]))
                label = f"{curve}: size^{exponent:.2f}"
                axes.plot(points["size"], points[column], color=colour, marker=marker, lw=1.7, label=label)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.grid(color="#e6e6e6", lw=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(colors=_INK, labelsize=9)
            axes.legend(frameon=False, fontsize=8)
        row[0].set_ylabel(words, color=_INK)
    for axes, quantity in zip(panels[-1], quantities, strict=True):
        axes.set_xlabel(quantity, color=_INK)
    return figure
