"""Slopes in double logarithmic panels."""

import math

import pandas as pd
import pytest

from segjax.reports.growth import fitted_exponent, growth


def test_exponent_of_exact_powers():
    assert fitted_exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
    assert fitted_exponent([10, 1000], [5, 0.5]) == pytest.approx(-0.5)


def test_exponent_by_least_squares():
    # Logarithms to base 2: sizes 0, 1, 2 and costs 0, 0, 3; the slope is sum((x - 1) (y - 1)) / sum((x - 1)^2) = 3 / 2.
    assert fitted_exponent([1, 2, 4], [1, 1, 8]) == pytest.approx(1.5)


def test_one_size_has_no_exponent():
    assert math.isnan(fitted_exponent([4], [1.0])) and math.isnan(fitted_exponent([4, 4], [1.0, 2.0]))


def test_every_curve_is_drawn_in_its_panel_with_its_exponent():
    rows = [
        {"curve": curve, "quantity": quantity, "size": size, "ms": size**power, "mb": 5.0 * size}
        for curve, quantity, power in (("unet", "pixels", 1), ("msd", "pixels", 2), ("unet", "width", 2))
        for size in (1, 2, 4)
    ]
    figure = growth(pd.DataFrame(rows), {"ms": "time, ms", "mb": "memory, MB"})
    panels = figure.axes
    assert [axes.get_ylabel() for axes in panels] == ["time, ms", "", "memory, MB", ""]
    assert [axes.get_xlabel() for axes in panels] == ["", "", "pixels", "width"]
    assert [[line.get_label() for line in axes.lines] for axes in panels] == [
        ["unet: size^1.00", "msd: size^2.00"], ["unet: size^2.00"],
        ["unet: size^1.00", "msd: size^1.00"], ["unet: size^1.00"],
    ]  # fmt: skip
    assert list(panels[0].lines[1].get_ydata()) == [1, 4, 16]
    assert {axes.get_xscale() for axes in panels} == {axes.get_yscale() for axes in panels} == {"log"}
