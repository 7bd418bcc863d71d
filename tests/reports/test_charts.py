"""What all charts share: hover texts, and SVG that is at home on a page."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segjax.evaluation import Interval
from segjax.reports.charts import (
    GREY,
    GRID,
    INK,
    NARROW,
    chart,
    inline,
    legend_below,
    name_rows,
    row_height,
    svg,
    tip,
    tips,
)

NAN = float("nan")


def drawn(*texts, ids=1):
    """A figure with points that say these texts, and lines that are cut at the panel."""
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    for place in range(ids):
        axes.plot([0, 1], [place, 2 * place], color=(INK, GREY, GRID)[place % 3], marker="o")
    tips(axes, range(len(texts)), [0.5] * len(texts), texts)
    axes.set_xlabel("x")
    return figure


def elements(text):
    return list(ET.fromstring(text).iter())


def test_a_hover_text_is_the_title_of_a_disc_at_its_point():
    root = ET.fromstring(inline(drawn("U-Net, 30 %: 0.820", "a < b & 'c'"), "main", "a chart"))
    discs = [element for element in root.iter() if element.get("class") == "tip"]
    assert [disc[0].text for disc in discs] == ["U-Net, 30 %: 0.820", "a < b & 'c'"]
    # the second stands at x = 1, right of the first and at its height
    places = [(float(disc.get("cx")), float(disc.get("cy"))) for disc in discs]
    assert places[0][0] < places[1][0] and places[0][1] == places[1][1]


def test_points_without_a_value_have_no_hover_text():
    figure = Figure()
    axes = figure.subplots()
    tips(axes, [1, 2, NAN], [0.5, NAN, 0.5], ["one", "two", "three"])
    assert re.findall("<title>(.*?)</title>", inline(figure, "f", "")) == ["one"]


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (Interval(0.91, 0.89, 0.93, 5), 3, "MSD: 0.910 (0.890 to 0.930)"),
        (Interval(7.25, NAN, NAN, 2), 1, "MSD: 7.2"),
    ],
)
def test_hover_texts_have_the_interval_where_there_is_one(value, digits, said):
    assert tip("MSD", value, digits) == said


def test_ids_are_those_of_the_figure_alone_and_all_references_meet_them():
    first, second = (inline(drawn("a", ids=3), prefix, "x") for prefix in ("one-w", "one-n"))
    ids = [[element.get("id") for element in elements(text) if element.get("id")] for text in (first, second)]
    assert ids[0] and len(set(ids[0] + ids[1])) == len(ids[0]) + len(ids[1])
    for text, own in zip((first, second), ids, strict=True):
        used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
        assert used and {a or b for a, b in used} <= set(own)


def test_colours_follow_the_page_and_the_file_alone_stays_as_it_was():
    figure = drawn("a", ids=3)
    before = svg(figure)
    shown = inline(figure, "main", "what it shows")
    for colour, own in ((INK, "currentColor"), (GREY, "var(--soft)"), (GRID, "var(--line)")):
        assert colour in before and colour not in shown and own in shown
    assert "#ffffff" in before and "#ffffff" not in shown  # no white paper on a dark page
    assert svg(figure) == before


def test_who_cannot_see_a_chart_is_told_what_it_shows():
    root = ET.fromstring(inline(drawn(), "main", 'Dice "a" < b'))
    assert (root.get("role"), root.get("aria-label")) == ("img", 'Dice "a" < b')


def test_a_chart_is_drawn_for_screens_and_for_phones():
    made = chart(
        "a finding", "what is asked?", lambda narrow: Figure(figsize=(NARROW if narrow else 8, 2)), pd.DataFrame()
    )
    assert [figure.get_size_inches()[0] for figure in (made.wide, made.narrow)] == [8, NARROW]


def test_on_phones_names_stand_above_their_rows():
    names = ["short", "a name that is long enough to need two lines above its row on a phone"]
    wide, narrow = (Figure().subplots() for _ in range(2))
    name_rows(wide, [1, 0], names, False)
    name_rows(narrow, [1, 0], names, True)
    assert wide.get_yticklabels()[0].get_text() == "short"
    assert [label.get_text() for label in narrow.get_yticklabels()] == ["", ""]
    assert [text.get_text().replace("\n", " ") for text in narrow.texts] == names
    assert row_height(names, True) > row_height(names[:1], True) > row_height(names, False)


def test_svg_is_small_and_says_no_date():
    figure = drawn("Dice 0.8204", ids=3)
    figure.axes[0].set_title("0.8136")
    text = svg(figure)
    assert re.findall(r"\d\.\d{3,}", text) == ["0.8136"]  # what is read keeps its digits; a file shows no hover texts
    assert re.findall(r"\d\.\d{3,}", inline(figure, "f", "")) == ["0.8136", "0.8204"]
    assert "date" not in text
    assert np.isclose(float(ET.fromstring(text).get("width").removesuffix("pt")), 3 * 72)


def test_a_dollar_in_a_name_begins_no_formula():
    figure = drawn("a$_$b")
    axes = figure.axes[0]
    axes.set_title("a$_$b")
    name_rows(axes, [0, 1], ["50 $ to 60 $", "a$_$b"], narrow=False)
    assert [one.text for one in elements(svg(figure)) if "$" in (one.text or "")][:2] == ["50 $ to 60 $", "a$_$b"]


def test_a_legend_has_no_more_columns_than_fit():
    figure = Figure(figsize=(6.6, 4), layout="constrained")
    lines = [Line2D([], []) for _ in range(4)]
    legend_below(figure, lines, ["careful", "quick", "both", "none"], most=3)
    legend_below(figure, lines, ["a mixture of careful and quick outlines"] * 4, most=3)
    legend_below(figure, lines, ["a name that is wider than the whole figure " * 4] * 4, most=3)
    assert [legend._ncols for legend in figure.legends] == [3, 2, 1]
