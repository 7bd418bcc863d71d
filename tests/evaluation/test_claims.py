"""Sentences and short forms of comparisons, against sentences written by hand."""

import numpy as np
import pytest

from segjax.evaluation import Claim, Interval, decide, sentence
from segjax.evaluation.claims import digits_of, format_interval, format_test_sets

NAN = float("nan")
FIVE = np.array([1.0, 2.0, 3.0, 4.0, 5.0])  # mean 3; half width 2.776 sqrt(2.5 / 5) = 1.963


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (FIVE, "MSD is ahead of U-Net by 3.0 Dice points (95 % interval 1.0 to 5.0, 5 test sets)."),
        (-FIVE, "MSD is behind U-Net by 3.0 Dice points (95 % interval 1.0 to 5.0, 5 test sets)."),
        (
            FIVE - 2,
            "MSD and U-Net are not told apart: MSD is ahead by 1.0 Dice points on average "
            "(95 % interval -1.0 to +3.0, 5 test sets).",
        ),
        (
            2 - FIVE,
            "MSD and U-Net are not told apart: MSD is behind by 1.0 Dice points on average "
            "(95 % interval -3.0 to +1.0, 5 test sets).",
        ),
        (FIVE[:2], "MSD is ahead of U-Net by 1.5 Dice points on 2 test sets, too few for a verdict."),
        (-FIVE[:1], "MSD is behind U-Net by 1.0 Dice points on 1 test set, too few for a verdict."),
        ([2.0] * 6, "MSD is ahead of U-Net by 2.0 Dice points (95 % interval 2.0 to 2.0, 6 test sets)."),
        ([], "MSD and U-Net have no result in common."),
    ],
)
def test_a_sentence_per_verdict(values, expected):
    (decision,) = decide([values])
    assert sentence(Claim("MSD", "U-Net", "Dice", decision, "Dice points")) == expected


@pytest.mark.parametrize(
    ("metric", "unit", "said"),
    [
        ("Dice", "Dice points", "by 3.0 Dice points ("),
        ("surface Dice", "points", "by 3.0 points in surface Dice ("),
        ("detection rate", "percentage points", "by 3.0 percentage points in detection rate ("),
        ("IoU", "", "by 3.000 in IoU ("),
    ],
)
def test_unit_and_metric_are_each_said_once(metric, unit, said):
    assert f"is ahead of U-Net {said}" in sentence(Claim("MSD", "U-Net", metric, decide([FIVE])[0], unit))


def test_short_forms():
    assert format_interval(Interval(0.5, 0.25, 0.75, 5)) == "0.500 (0.250 to 0.750)"
    assert format_interval(Interval(0.5, NAN, NAN, 2), 1) == "0.5"
    assert format_interval(Interval(NAN, NAN, NAN, 0)) == "-"
    assert [format_test_sets(number) for number in (0, 1, 5)] == ["0 test sets", "1 test set", "5 test sets"]
    assert [digits_of(unit) for unit in ("Dice points", "points", "", "pixels")] == [1, 1, 3, 3]
