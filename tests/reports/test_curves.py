"""What the figures draw, read back from their axes."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from segjax.reports import dose_response, svg
from segjax.reports.charts import NARROW

NAN = float("nan")
COLUMNS = ["network", "error", "level", "mean", "low", "high", "label_dice"]


def frame(*points):
    """Points (network, error, level, mean[, low, high[, label_dice]])."""
    return pd.DataFrame([(*point, NAN, NAN, NAN)[:7] for point in points], columns=COLUMNS)


@pytest.fixture
def doses():
    return frame(
        ("unet", "omission", 0.0, 0.91, 0.89, 0.93, 1.0),
        ("unet", "omission", 0.3, 0.82, 0.80, 0.84, 0.83),
        ("unet", "omission", 0.5, NAN),
        ("unet", "omission", 0.7, 0.45, 0.40, 0.50, 0.46),
        ("msd", "omission", 0.0, 0.93),
        ("msd", "omission", 0.3, 0.92),
        ("msd", "omission", 0.5, 0.90),
        ("msd", "omission", 0.7, 0.83, 0.80, 0.86),
        ("unet", "bias", 0, 0.91),
        ("unet", "bias", 2, 0.89),
        ("msd", "bias", 0, 0.93),
        ("msd", "bias", 2, 0.905),
    )


PUBLISHED = pd.DataFrame(
    [
        (network, "omission", level, dice)
        for network, dice in (("msd", 0.96), ("segnet", 0.9))
        for level in (0, 0.3, 0.9)
    ],
    columns=["network", "error", "level", "dice"],
)


def lines(axes):
    """Main line of every labelled series by its label."""
    drawn = {container.get_label(): container.lines[0] for container in axes.containers}
    return drawn | {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def tips_of(axes):
    """Hover texts in the order of their points."""
    return [line.get_gid().removeprefix("tip:") for line in axes.lines if line.get_gid()]


def drawn_bars(axes, network):
    """Ends of every bar that is drawn."""
    (bars,) = next(c for c in axes.containers if c.get_label() == network).lines[2]
    return [tuple(segment[:, 1]) for segment in bars.get_segments() if np.isfinite(segment).all() and len(segment)]


def test_one_panel_per_error_one_line_per_network(doses):
    omission, bias = dose_response(doses).axes
    assert omission.get_xlabel() == "omitted cells, %"
    assert bias.get_xlabel() == "outline errors of up to … pixels"
    assert set(lines(omission)) == {"unet", "msd", "label_dice"} and set(lines(bias)) - {"label_dice"} == {
        "unet",
        "msd",
    }
    np.testing.assert_allclose(lines(omission)["msd"].get_ydata().astype(float), [0.93, 0.92, 0.9, 0.83])
    np.testing.assert_allclose(lines(omission)["msd"].get_xdata(), [0, 30, 50, 70], atol=1)
    np.testing.assert_allclose(lines(bias)["unet"].get_ydata().astype(float), [0.91, 0.89])


def test_strengths_in_pixels_are_those_of_the_pictures(doses):
    paper = PUBLISHED.assign(error="bias", level=[0, 1, 2] * 2)
    omission, bias = dose_response(doses, published=paper, coarsening=2.0).axes
    assert [tick.get_text() for tick in bias.get_xticklabels()] == ["0", "1"]
    assert [tick.get_text() for tick in omission.get_xticklabels()] == ["0", "30", "50", "70"]
    np.testing.assert_allclose(lines(bias)["msd, published"].get_xdata().astype(float), [0, 0.5, 1])


def test_on_phones_panels_stand_below_each_other(doses):
    figure = dose_response(doses, narrow=True)
    tops = [axes.get_subplotspec().rowspan.start for axes in figure.axes]
    assert tops == [0, 1] and figure.get_size_inches()[0] == NARROW


def test_a_point_says_its_network_strength_and_interval(doses):
    assert tips_of(dose_response(doses).axes[0])[:2] == [
        "U-Net, clean: 0.910 (0.890 to 0.930)", "U-Net, 30 %: 0.820 (0.800 to 0.840)"
    ]  # fmt: skip
    assert "MSD, up to 1 px: 0.905" in tips_of(dose_response(doses, coarsening=2.0).axes[1])


def test_a_missing_value_is_a_gap(doses):
    omission, _ = dose_response(doses).axes
    assert np.isnan(lines(omission)["unet"].get_ydata().astype(float)).tolist() == [False, False, True, False]


def test_intervals_are_bars_where_they_are_known(doses):
    omission, bias = dose_response(doses).axes
    assert drawn_bars(omission, "unet") == [pytest.approx(ends) for ends in ((0.89, 0.93), (0.8, 0.84), (0.4, 0.5))]
    assert drawn_bars(omission, "msd") == [pytest.approx((0.8, 0.86))]
    assert drawn_bars(bias, "unet") == []


def test_a_long_bar_ends_at_the_edge_of_the_panel(doses):
    doses.loc[doses["mean"] == 0.45, ["low", "high"]] = (-3.0, 3.9)
    low, high = dose_response(doses).axes[0].get_ylim()
    assert low == pytest.approx(0.3) and high == pytest.approx(1.005)  # 0.1 below the lowest mean, to the next 0.05


def test_networks_differ_in_colour_and_marker(doses):
    drawn = lines(dose_response(doses).axes[0])
    assert drawn["unet"].get_color() != drawn["msd"].get_color()
    assert drawn["unet"].get_marker() != drawn["msd"].get_marker()


def test_published_curves_are_dashed_in_the_same_colour_up_to_the_highest_level(doses):
    omission, bias = dose_response(doses, published=PUBLISHED).axes
    dashed = lines(omission)["msd, published"]
    assert dashed.get_linestyle() == "--"
    assert dashed.get_color() == lines(omission)["msd"].get_color()
    np.testing.assert_allclose(dashed.get_xdata().astype(float), [0, 30])
    np.testing.assert_allclose(dashed.get_ydata().astype(float), [0.96, 0.96])
    assert "segnet, published" not in lines(omission)
    assert not len(lines(bias)["msd, published"].get_xdata())


def test_label_dice_is_a_grey_reference_from_one(doses):
    omission, _ = dose_response(doses).axes
    reference = lines(omission)["label_dice"]
    np.testing.assert_allclose(reference.get_ydata().astype(float), [1, 0.83, 0.46])
    np.testing.assert_allclose(reference.get_xdata(), [0, 30, 70])
    assert "label_dice" not in lines(dose_response(doses, "Panoptic quality").axes[0])
    assert "label_dice" not in lines(dose_response(doses.assign(label_dice=NAN)).axes[0])


def test_fewer_corners_stand_further_right():
    levels = ((0.0, 0.9), (12.0, 0.8), (5.0, 0.6))
    (axes,) = dose_response(frame(*[("msd", "polygon", level, mean) for level, mean in levels])).axes
    np.testing.assert_allclose(lines(axes)["msd"].get_ydata().astype(float), [0.9, 0.8, 0.6])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["clean", "12", "5"]


def test_svg_is_the_same_bytes_again_and_its_letters_are_text(doses):
    first, second = (svg(dose_response(doses, "a < b & c", PUBLISHED)) for _ in range(2))
    assert first == second
    assert "dc:date" not in first
    root = ET.fromstring(first)
    assert root.tag.endswith("svg")
    texts = {"".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("}text")}
    assert {"a < b & c", "omitted cells, %", "U-Net", "published, in the same colours"} <= texts


@pytest.mark.parametrize("nothing", [frame(), frame(("unet", "omission", 0.3, NAN))])
def test_nothing_yet(nothing):
    figure = dose_response(nothing)
    assert [text.get_text() for text in figure.texts if text.get_text()] == ["no results yet"]


def test_more_than_three_errors_take_a_second_row():
    errors = ["omission", "bias", "jitter", "shift"]
    axes = dose_response(frame(*[("msd", error, level, 0.9) for error in errors for level in (0, 0.5)])).axes
    assert [panel.get_xlabel().split(",")[0] for panel in axes if panel.axison] == [
        "omitted cells", "outline errors of up to … pixels", "jittered outlines", "shifted labels"
    ]  # fmt: skip


def test_a_mark_stands_at_its_strength_in_its_panel_alone():
    doses = frame(*[("msd", error, level, 0.9) for error in ("omission", "bias") for level in (0.0, 0.5)])
    figure = dose_response(doses, marks={"omission": 0.02}, mark_name="corrected nuclei")
    omission, bias = figure.axes
    (mark,) = [line for line in omission.lines if line.get_label() == "mark"]
    assert list(mark.get_xdata()) == [2, 2]
    assert not [line for line in bias.lines if line.get_label() == "mark"]
    assert "corrected nuclei" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(dose_response(doses, marks={"jitter": 1.0}).legends[0].get_texts()) < len(figure.legends[0].get_texts())
