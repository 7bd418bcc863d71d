"""Means, gaps and failures from hand-made tables."""

import pandas as pd
import pytest

from segjax.reports.summary import (
    failed_runs,
    missing_cells,
    number_tables,
    points_between,
    seed_values,
    summary,
)
from segjax.types import InputError


def cell(frame, network, error, level):
    return frame[(frame["network"] == network) & (frame["error"] == error) & (frame["level"] == level)].iloc[0]


def test_mean_and_interval_by_hand(make_table):
    table = make_table(("msd", "none", 0, [0.9, 0.9]), ("msd", "omission", 0.3, [0.80, 0.82, 0.84]))
    at = cell(summary(table, "dice_pooled"), "msd", "omission", 0.3)
    # s = 0.02, t(0.975, 2) = 4.302653, half width 4.302653 * 0.02 / sqrt(3)
    assert at["n"] == 3
    assert at["mean"] == pytest.approx(0.82)
    assert at["low"] == pytest.approx(0.82 - 0.0496828, abs=1e-6)
    assert at["high"] == pytest.approx(0.82 + 0.0496828, abs=1e-6)


def test_clean_runs_start_every_curve_but_inclusion(make_table):
    table = make_table(
        ("msd", "none", 0, [0.9]),
        ("msd", "omission", 0.3, [0.8]),
        ("msd", "bias", 2, [0.7]),
        ("msd", "inclusion", 0, [0.6]),
        ("msd", "inclusion", 0.3, [0.5]),
    )
    cells = summary(table, "dice_pooled")
    starts = {error: cell(cells, "msd", error, 0)["mean"] for error in ("omission", "bias", "inclusion")}
    assert starts == {"omission": 0.9, "bias": 0.9, "inclusion": 0.6}
    without = summary(table[~((table["error"] == "inclusion") & (table["level"] == 0))], "dice_pooled")
    assert cell(without, "msd", "inclusion", 0)["n"] == 0


def test_failed_and_nan_runs_do_not_count(make_table):
    table = make_table(
        ("unet", "none", 0, [0.9, float("nan"), 0.7]),
        ("unet", "omission", 0.5, [None, None]),
        ("msd", "none", 0, [0.9]),
        ("msd", "omission", 0.5, [0.8, 0.6]),
    )
    # A value beside a status that is not "ok" must not slip in.
    table.loc[table["status"] == "failed", "value"] = 0.99
    cells = summary(table, "dice_pooled")
    clean = cell(cells, "unet", "omission", 0)
    assert (clean["mean"], clean["n"]) == (pytest.approx(0.8), 2)
    assert missing_cells(table) == [("unet", "omission", 0.5)]
    assert failed_runs(table).values.tolist() == [
        ["U-Net", "omitted cells", "50 %", 0, "stopped with an error"],
        ["U-Net", "omitted cells", "50 %", 1, "stopped with an error"],
    ]


def test_restarted_runs_are_listed_though_they_ended_well(make_table):
    ended = make_table(("unet", "none", 0, [0.9, 0.8, 0.7]))
    restarts = make_table(("unet", "none", 0, [0, 2, 0]), metric="restarts")
    assert failed_runs(pd.concat([ended, restarts], ignore_index=True)).values.tolist() == [
        ["U-Net", "clean labels", "clean", 1, "restarted, then ended well"],
    ]


def test_pictures_are_averaged_within_a_seed_first(make_table):
    one = make_table(("msd", "bias", 2, [0.2, 0.8]), metric="dice").assign(picture="a")
    other = make_table(("msd", "bias", 2, [0.4]), metric="dice").assign(picture="b")
    table = pd.concat([one, other], ignore_index=True)
    values = seed_values(table, "dice")
    assert dict(zip(values["seed"], values["value"], strict=True)) == pytest.approx({0: 0.3, 1: 0.8})


def test_a_results_file_read_back_gives_the_same(make_table, tmp_path):
    table = make_table(("unet", "none", 0, [0.9, 0.8]), ("unet", "omission", 0.5, [0.5, None]))
    table.to_csv(tmp_path / "results.csv", index=False)
    again = pd.read_csv(tmp_path / "results.csv")
    pd.testing.assert_frame_equal(summary(again, "dice_pooled"), summary(table, "dice_pooled"))


def test_printed_numbers(make_table):
    table = make_table(
        ("unet", "none", 0, [0.91234]), ("unet", "omission", 0.5, [0.5, 0.5]), ("unet", "bias", 2, [None])
    )
    printed = number_tables(table)["dice_pooled"]
    assert printed.values.tolist() == [
        ["U-Net", "omitted cells", "clean", "0.9123", "-", 1],
        ["U-Net", "omitted cells", "50 %", "0.5000", "-", 2],
        ["U-Net", "outline errors", "clean", "0.9123", "-", 1],
        ["U-Net", "outline errors", "up to 2 px", "no result", "-", 0],
    ]


def test_three_seeds_give_an_interval_and_two_none(make_table):
    table = make_table(("unet", "none", 0, [0.9, 0.7]), ("unet", "bias", 8, [0.5, 0.5, 0.5]))
    cells = summary(table, "dice_pooled")
    clean, biased = cell(cells, "unet", "bias", 0), cell(cells, "unet", "bias", 8)
    assert clean["mean"] == pytest.approx(0.8) and pd.isna(clean["low"]) and pd.isna(clean["high"])
    assert (biased["low"], biased["high"]) == (0.5, 0.5)
    assert number_tables(table, coarsening=4.0)["dice_pooled"].values.tolist() == [
        ["U-Net", "outline errors", "clean", "0.8000", "-", 2],
        ["U-Net", "outline errors", "up to 8 published px", "0.5000", "0.5000 to 0.5000", 3],
    ]


def test_points_are_paired_by_seed():
    first, second = pd.Series({0: 0.9, 1: 0.8, 2: 0.7, 7: 0.1}), pd.Series({2: 0.4, 1: 0.6, 0: 0.8, 9: 0.9})
    # Pairs 10, 20 and 30 points: s = 10, half width 4.302653 * 10 / sqrt(3)
    found = points_between(first, second)
    assert (found.mean, found.n) == (pytest.approx(20), 3)
    assert (found.low, found.high) == (pytest.approx(20 - 24.84138), pytest.approx(20 + 24.84138))
    two = points_between(first[:2], second)
    assert (two.mean, two.n) == (pytest.approx(15), 2) and pd.isna(two.low) and pd.isna(two.high)


def test_wrong_tables_are_refused(make_table):
    table = make_table(("unet", "none", 0, [0.9, 0.8]))
    with pytest.raises(InputError, match="'status' is missing"):
        summary(table.drop(columns="status"), "dice_pooled")
    with pytest.raises(InputError, match="several data sets"):
        summary(table.assign(data=["folder:a", "folder:b"]), "dice_pooled")
