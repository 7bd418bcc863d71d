"""What the chart of places draws, read back from its axes."""

from matplotlib.colors import to_hex

from segjax.reports import svg
from segjax.reports.charts import NARROW
from segjax.reports.places import LOOKS, Square, place_chart

ROWS, COLUMNS = ["half omitted", "outlines moved"], ["5 + 20", "5 + 80", "20 + 20"]
PANELS = {
    "This error": {
        (0, 0): Square("repairing is ahead", "+2.1\n+1.0", "first"),
        (1, 2): Square("not decided", "+0.1\n-0.2", "second"),
    },
    "A mixture": {(0, 1): Square("too few test sets", "+0.3\n+0.4", "third")},
}


def test_squares_stand_where_they_belong_and_look_as_they_should():
    first, second = place_chart(PANELS, ROWS, COLUMNS).axes
    squares = {(int(patch.get_y()), int(patch.get_x())): patch for patch in first.patches}
    assert set(squares) == {(0, 0), (1, 2)}
    assert to_hex(squares[0, 0].get_facecolor()) == LOOKS["repairing is ahead"]["facecolor"].lower()
    assert squares[1, 2].get_hatch() == "///" and squares[0, 0].get_hatch() is None
    assert second.patches[0].get_linestyle() == ":"
    assert first.yaxis_inverted()  # the first row is at the top
    assert [text.get_text() for text in first.texts] == [*ROWS, "+2.1\n+1.0", "+0.1\n-0.2"]
    assert [line.get_gid() for line in first.lines] == ["tip:first", "tip:second"]


def test_the_legend_has_the_looks_that_occur():
    figure = place_chart(PANELS, ROWS, COLUMNS)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "repairing is ahead", "not decided", "too few test sets",
    ]  # fmt: skip
    assert svg(figure).startswith("<?xml")


def test_every_look_differs_without_colours():
    marks = [(look.get("hatch"), look.get("linestyle")) for look in LOOKS.values() if look["facecolor"] == "none"]
    assert len(set(marks)) == len(marks)


def test_panels_stand_below_each_other_and_long_names_are_wrapped():
    figure = place_chart(PANELS, [" and ".join(ROWS * 2), ROWS[1]], COLUMNS, narrow=True)
    assert figure.get_figwidth() == NARROW
    above, below = figure.axes
    assert above.texts[0].get_text().count("\n") == 1
    assert above.get_subplotspec().rowspan.start < below.get_subplotspec().rowspan.start


def test_without_places_it_says_so():
    assert "no results yet" in svg(place_chart({}, ROWS, COLUMNS))
