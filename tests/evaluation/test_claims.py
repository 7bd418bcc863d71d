"""Short forms of comparisons, against texts written by hand."""

from segjax.evaluation import Interval
from segjax.evaluation.claims import digits_of, format_interval, format_test_sets

NAN = float("nan")


def test_short_forms():
    assert format_interval(Interval(0.5, 0.25, 0.75, 5)) == "0.500 (0.250 to 0.750)"
    assert format_interval(Interval(0.5, NAN, NAN, 2), 1) == "0.5"
    assert format_interval(Interval(NAN, NAN, NAN, 0)) == "-"
    assert format_interval(Interval(-0.04, -0.5, -0.01, 5), 1) == "0.0 (-0.5 to 0.0)"  # no negative zero
    assert [format_test_sets(number) for number in (0, 1, 5)] == ["0 test sets", "1 test set", "5 test sets"]
    assert [digits_of(unit) for unit in ("Dice points", "points", "", "pixels")] == [1, 1, 3, 3]
