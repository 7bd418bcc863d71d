"""What the chart of places draws, read back from its axes."""

from matplotlib.colors import to_hex

from segjax.reports import svg
from segjax.reports.charts import NARROW
from segjax.reports.places import Square, place_chart

LOOKS = {
    "won": {"facecolor": "#0072B2", "hatch": "..", "letters": "#fefefe"},
    "open": {"facecolor": "none", "hatch": "///", "letters": "#333333"},
    "lost": {"facecolor": "#CC79A7", "letters": "#010101"},
    "few": {"facecolor": "none", "linestyle": ":", "letters": "#333333"},
}
ROWS, COLUMNS = ["half omitted", "outlines moved"], ["5 + 20", "5 + 80", "20 + 20"]
PANELS = {
    "This error": {
        (0, 0): Square("won", "+2.1\n+1.0", "first"),
        (1, 2): Square("open", "+0.1\n-0.2", "second"),
    },
    "A mixture": {(0, 1): Square("few", "+0.3\n+0.4", "third")},
}


def test_squares_stand_where_they_belong_and_look_as_they_should():
    first, second = place_chart(PANELS, ROWS, COLUMNS, LOOKS).axes
    squares = {(int(patch.get_y()), int(patch.get_x())): patch for patch in first.patches}
    assert set(squares) == {(0, 0), (1, 2)}
    assert to_hex(squares[0, 0].get_facecolor()) == LOOKS["won"]["facecolor"].lower()
    assert squares[1, 2].get_hatch() == "///" and squares[0, 0].get_hatch() == ".."
    assert second.patches[0].get_linestyle() == ":"
    assert first.yaxis_inverted()  # the first row is at the top
    assert [text.get_text() for text in first.texts] == [*ROWS, "+2.1\n+1.0", "+0.1\n-0.2"]
    assert [line.get_gid() for line in first.lines] == ["tip:first", "tip:second"]


def test_the_legend_has_the_looks_that_occur():
    figure = place_chart(PANELS, ROWS, COLUMNS, LOOKS)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "won", "open", "few",
    ]  # fmt: skip
    assert svg(figure).startswith("<?xml")


def test_numbers_on_a_hatch_stand_on_the_colour_of_their_square():
    first, second = place_chart(PANELS, ROWS, COLUMNS, LOOKS).axes
    backs = {text.get_text(): text.get_bbox_patch() for text in first.texts if "\n" in text.get_text()}
    assert to_hex(backs["+2.1\n+1.0"].get_facecolor()) == "#0072b2"
    assert to_hex(backs["+0.1\n-0.2"].get_facecolor()) == "#ffffff"
    assert second.texts[-1].get_bbox_patch() is None  # nothing is hatched there


def test_panels_stand_below_each_other_and_long_names_are_wrapped():
    figure = place_chart(PANELS, [" and ".join(ROWS * 2), ROWS[1]], COLUMNS, LOOKS, narrow=True)
    assert figure.get_figwidth() == NARROW
    above, below = figure.axes
    assert above.texts[0].get_text().count("\n") == 1
    assert above.get_subplotspec().rowspan.start < below.get_subplotspec().rowspan.start


def test_without_places_it_says_so():
    assert "no results yet" in svg(place_chart({}, ROWS, COLUMNS, LOOKS))
