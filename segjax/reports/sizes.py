"""How large the objects of a set of pictures are."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from segjax.reports.charts import INK, NARROW, tidy

_BAR, _MARK = "#56B4E9", "#D55E00"
_BARS = 40


def size_chart(diameters: Float[np.ndarray, " N"], small: float, large: float, narrow: bool = False) -> Figure:
    """Histogram of the objects' diameters in pixels, in steps of equal ratio.

    Args:
        diameters: of the disc of each object's area; at least one.
        small, large: marked; smaller and larger objects are worth a look.
        narrow: for phones.
    """
    figure = Figure(figsize=(NARROW if narrow else 7.2, 2.9), layout="constrained")
    axes = figure.subplots()
    lowest, highest = min(diameters.min(), small) * 0.9, max(diameters.max(), large) * 1.1
    axes.hist(diameters, bins=np.geomspace(lowest, highest, _BARS + 1).tolist(), color=_BAR, edgecolor="white", lw=0.5)
    axes.set_xscale("log")
    median = float(np.median(diameters))
    marks = ((small, f"{small:g} px", ":", 1.03, "center"), (large, "half a picture", ":", 1.03, "center"))
    for place, text, style, height, side in (*marks, (median, f" median {median:.0f} px ", "-", 0.94, "left")):
        axes.axvline(place, color=_MARK, lw=1.2, ls=style)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
        axes.text(place, height, text, transform=axes.get_xaxis_transform(), ha=side, fontsize=8.5, color=INK, bbox=box)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if lowest <= tick <= highest]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("equivalent diameter, pixels", color=INK)
    axes.set_ylabel("objects", color=INK)
    tidy(axes, "y")
    return figure
