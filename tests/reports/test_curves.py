"""What the figures draw, read back from their axes."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from segjax.reports.curves import curve_caption, dose_response, svg
from segjax.reports.published import published


@pytest.fixture
def table(make_table):
    return make_table(
        ("unet", "none", 0, [0.9, 0.92]),
        ("unet", "omission", 0.3, [0.8, 0.84]),
        ("unet", "omission", 0.5, [None, None]),
        ("unet", "omission", 0.7, [0.4, 0.5]),
        ("unet", "bias", 2, [0.88, 0.9]),
        ("msd", "none", 0, [0.93, 0.93]),
        ("msd", "omission", 0.3, [0.92, 0.92]),
        ("msd", "omission", 0.5, [0.9, 0.9]),
        ("msd", "omission", 0.7, [0.8, 0.86]),
        ("msd", "bias", 2, [0.9, 0.91]),
    )


def lines(axes):
    """Main line of every labelled series by its label."""
    drawn = {container.get_label(): container.lines[0] for container in axes.containers}
    return drawn | {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_one_panel_per_error_one_line_per_network(table):
    omission, bias = dose_response(table).axes
    assert omission.get_xlabel() == "omitted cells, %"
    assert bias.get_xlabel() == "outline errors (bias): most pixels moved"
    assert dose_response(table, coarsening=6.0).axes[1].get_xlabel().endswith("\n(published pixels; 1 pixel here = 6)")
    assert set(lines(omission)) == set(lines(bias)) == {"unet", "msd", "unet, runs", "msd, runs"}
    np.testing.assert_allclose(lines(omission)["msd"].get_ydata().astype(float), [0.93, 0.92, 0.9, 0.83])
    np.testing.assert_allclose(lines(omission)["msd"].get_xdata(), [0, 30, 50, 70], atol=1)
    np.testing.assert_allclose(lines(bias)["unet"].get_ydata().astype(float), [0.91, 0.89])


def test_a_cell_without_result_is_a_gap_and_named(table):
    omission, bias = dose_response(table).axes
    assert np.isnan(lines(omission)["unet"].get_ydata().astype(float)).tolist() == [False, False, True, False]
    assert [text.get_text() for text in omission.texts] == ["no result: U-Net 50 %"]
    assert not bias.texts
    assert "Gaps, because there is no result: U-Net at 50 % omitted cells." in curve_caption(table)


def drawn_bars(axes, network):
    """Ends of every bar that is drawn."""
    (bars,) = next(c for c in axes.containers if c.get_label() == network).lines[2]
    return [tuple(segment[:, 1]) for segment in bars.get_segments() if len(segment)]


def test_intervals_are_bars(make_table):
    table = make_table(("msd", "none", 0, [0.9, 0.9]), ("msd", "omission", 0.3, [0.80, 0.82, 0.84]))
    (axes,) = dose_response(table).axes
    # Three seeds: s = 0.02, half width 4.302653 * 0.02 / sqrt(3); two seeds have none
    assert drawn_bars(axes, "msd") == [(pytest.approx(0.82 - 0.0496828), pytest.approx(0.82 + 0.0496828))]
    assert lines(axes)["msd"].get_markevery() == [False, True]
    assert curve_caption(table) == (
        "Points are means over 2 to 3 seeds, bars their 95 % intervals (Student's t). "
        "Where only one or two seeds have a result, small dots are the single runs."
    )


def test_two_seeds_are_dots_about_a_line(table):
    omission, bias = dose_response(table).axes
    assert drawn_bars(omission, "msd") == drawn_bars(bias, "unet") == []
    runs = lines(omission)["unet, runs"]
    assert runs.get_linestyle() == "None" and runs.get_color() == lines(omission)["unet"].get_color()
    assert sorted(runs.get_ydata().astype(float)) == [0.4, 0.5, 0.8, 0.84, 0.9, 0.92]
    about = np.round(runs.get_xdata().astype(float), -1)
    assert sorted(zip(about, runs.get_ydata().astype(float), strict=True)) == [
        (0, 0.9), (0, 0.92), (30, 0.8), (30, 0.84), (70, 0.4), (70, 0.5)
    ]  # fmt: skip


def test_networks_differ_in_colour_and_marker(table):
    drawn = lines(dose_response(table).axes[0])
    assert drawn["unet"].get_color() != drawn["msd"].get_color()
    assert drawn["unet"].get_marker() != drawn["msd"].get_marker()


def test_published_curves_are_dashed_in_the_same_colour(table):
    paper = published("hl60")
    omission, bias = dose_response(table, published=paper).axes
    dashed = lines(omission)["msd, published"]
    assert dashed.get_linestyle() == "--"
    assert dashed.get_color() == lines(omission)["msd"].get_color()
    np.testing.assert_allclose(dashed.get_ydata().astype(float), [0.9605, 0.9605, 0.9585, 0.9558, 0.9310, 0.8810])
    np.testing.assert_allclose(dashed.get_xdata().astype(float), [0, 10, 20, 30, 50, 70])
    assert "segnet, published" not in lines(omission)
    np.testing.assert_allclose(lines(bias)["unet, published"].get_ydata().astype(float), [0.9593, 0.9429])
    assert "MIDL 2022" in curve_caption(table, published=paper)


def test_published_inclusion_start_is_explained(make_table):
    table = make_table(("unet", "inclusion", 0, [0.9]), ("unet", "inclusion", 0.3, [0.8]))
    caption = curve_caption(table, published=published("hl60"))
    assert "without foreign objects" in caption
    assert caption.startswith("Lines join means over 1 seed; dots are the single runs.")


def test_label_dice_is_a_grey_reference_from_one(table, make_table):
    labels = make_table(
        ("unet", "omission", 0.3, [0.82, 0.84]), ("unet", "omission", 0.7, [0.46, 0.46]), metric="label_dice"
    )
    omission, bias = dose_response(pd.concat([table, labels], ignore_index=True)).axes
    reference = lines(omission)["label_dice"]
    np.testing.assert_allclose(reference.get_ydata().astype(float), [1, 0.83, 0.46])
    np.testing.assert_allclose(reference.get_xdata(), [0, 30, 70])
    assert "label_dice" not in lines(bias)


def test_caption_counts_seeds(table):
    assert curve_caption(table).startswith("Lines join means over 2 seeds; dots are the single runs.")


def test_fewer_corners_stand_further_right(make_table):
    table = make_table(("msd", "none", 0, [0.9]), ("msd", "polygon", 12, [0.8]), ("msd", "polygon", 5, [0.6]))
    (axes,) = dose_response(table).axes
    np.testing.assert_allclose(lines(axes)["msd"].get_ydata().astype(float), [0.9, 0.8, 0.6])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["clean", "12", "5"]


def test_svg_is_the_same_bytes_again_and_well_formed(table):
    first, second = (svg(dose_response(table, published=published("hl60"), title="a < b & c")) for _ in range(2))
    assert first == second
    assert "dc:date" not in first
    assert ET.fromstring(first).tag.endswith("svg")


def test_nothing_yet(make_table):
    figure = dose_response(make_table())
    assert [text.get_text() for text in figure.texts if text.get_text()] == ["no results yet"]
    assert curve_caption(make_table()) == "No results yet."


def test_more_than_three_errors_take_a_second_row(make_table):
    errors = ["omission", "bias", "jitter", "shift"]
    table = make_table(("msd", "none", 0, [0.9]), *[("msd", error, 0.5, [0.8]) for error in errors])
    axes = dose_response(table).axes
    assert [panel.get_xlabel().split(",")[0] for panel in axes if panel.axison] == [
        "omitted cells", "outline errors (bias): most pixels moved", "jittered outlines", "shifted labels"
    ]  # fmt: skip
