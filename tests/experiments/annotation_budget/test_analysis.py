"""What study 5 says of numbers made up by hand."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.annotation_budget.analysis import FACTORS, analyse, asked_of, carried, priced_of
from experiments.annotation_budget.grid import NONE, Trial
from experiments.annotation_budget.study import STUDY
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from segjax.sweeps import Replicates, ResultTable

BUDGETS = (0.5, 1.0, 2.0, 4.0, 8.0)
NOISE = np.array([-0.01, 0.0, 0.01, 0.005, -0.005])


def config(**changes):
    return resolved(
        STUDY, overlaid(defaults_of(STUDY, "reduced"), {"run": {"out": Path("x")}, "budgets": BUDGETS, **changes})
    )


def rows(arm, means, counts, *, at_end=None, network="unet", noise=NOISE, f1=0.5, status="ok"):
    """Rows of a trial per budget and seed. `counts`: of the things that an hour buys, by name."""
    for hours, mean in zip(BUDGETS, means, strict=False):
        for seed, off in enumerate(noise):
            facts = {"dice_pooled": mean + off, "f1": f1, "label_dice": 0.9, "hours": hours, "pictures": 10 * hours}
            facts |= {f"count_{name}": count * hours for name, count in counts.items()}
            facts |= {"at_end": float(hours == at_end), "restarts": 0.0}
            trial = dataclasses.asdict(Trial(network, seed, arm, hours))
            for metric, value in facts.items():
                yield {**trial, "picture": "", "metric": metric, "value": value, "status": status, "code": "abc"}


CAREFUL = {"picture": 36.0, "outline": 3240 / 79.2}  # an hour, at the default prices
BOXES = {"picture": 36.0, "box": 3240 / 7}


def table_of(*parts, seeds=5):
    frame = pd.DataFrame([row for part in parts for row in part])
    return ResultTable.from_rows(frame, Trial, Replicates(tuple("abcde"[:seeds])))


def both(noise=NOISE):
    """Boxes are ahead by 10 points at half an hour, and 10 behind at eight hours; their pool ends at two."""
    careful = rows("careful", (0.5, 0.6, 0.7, 0.75, 0.8), CAREFUL, noise=noise)
    boxes = rows("boxes", (0.6, 0.66, 0.7), BOXES, at_end=2.0, noise=noise + 0.002 * np.arange(len(noise)))
    return table_of(careful, boxes, seeds=len(noise))


def test_the_verdict_says_what_to_do_where_it_is_decided_and_what_cannot_be_told():
    found = analyse(config(), both())
    # boxes: +10.4 points on average, each pair 10.0 to 10.8
    assert found.verdict.startswith("For 1 h, take boxes: 6.4 (")
    own = {claim.subject.rpartition(",")[2].strip(): claim for claim in found.claims}
    assert own["0.5 h"].decision.mean == pytest.approx(10.4) and own["0.5 h"].decision.verdict == "ahead"
    assert own["8 h"].subject == "careful outlines, 8 h" and own["8 h"].decision.mean == pytest.approx(9.6)
    assert own["2 h"].decision.mean == pytest.approx(0.4) and len(found.claims) == 5
    assert [claim.subject for claim in found.main] == ["boxes, 1 h"]


def test_equal_ones_cannot_be_told_apart():
    parts = (rows(arm, (0.6,) * 5, CAREFUL, noise=NOISE[::step]) for arm, step in (("careful", 1), ("quick", -1)))
    found = analyse(config(), table_of(*parts))
    said = "it cannot be told which is best: careful outlines or quick outlines"
    assert found.verdict == f"For 1 h, {said}."


def test_few_test_sets_give_no_verdict_but_numbers():
    found = analyse(config(), both(NOISE[:2]))
    assert found.verdict == "For 1 h, most is reached with boxes: 6.1 Dice points more than with careful outlines."


def test_one_kind_alone_is_compared_with_nothing():
    found = analyse(config(), table_of(rows("careful", (0.5,) * 5, CAREFUL)))
    assert found.verdict == "For 1 h, only careful outlines can be judged." and not found.claims


def test_a_pool_that_is_used_up_keeps_its_value_at_larger_budgets():
    table = carried(both(), BUDGETS)
    for hours in (2.0, 4.0, 8.0):
        assert table.interval("dice_pooled", Trial("unet", 0, "boxes", hours)).mean == pytest.approx(0.704)
    assert len(table.frame) == len(both().frame) + 10
    assert not len(carried(table_of(rows("careful", (0.5,) * 5, CAREFUL)), BUDGETS).frame) > 25


@pytest.mark.parametrize(
    ("budgets", "asked"),
    [
        ((0.5, 1.0, 5.0, 20.0), [1.0, 5.0, 20.0]),
        ((1.0, 2.0), [1.0]),
        ((0.1, 0.4, 1.6), [0.1, 0.4, 1.6]),
        ((3.0,), [3.0]),
    ],
)
def test_the_budgets_that_the_verdict_speaks_of(budgets, asked):
    assert asked_of(budgets) == asked


def test_purchases_are_priced_by_their_counts():
    priced = priced_of(config(prices={"price": ("box=14",)}), both(), "dice_pooled")
    assert priced.prices["box"] == 14 and list(priced.curves) == ["careful outlines", "boxes"]
    careful, boxes = (priced.curves[name] for name in priced.curves)
    assert [priced.hours(one.counts) for one in careful] == pytest.approx(BUDGETS)
    assert priced.hours(boxes[1].counts) == pytest.approx(36 * 10 / 3600 + 2 * 3240 / 3600)
    assert boxes[2].value.mean == pytest.approx(0.704) and priced.picture["picture"] == 1
    assert priced.picture["outline"] == pytest.approx(3240 / 79.2 / 36)


def test_prices_that_turn_what_reaches_most_are_listed():
    found = analyse(config(), both())
    table = found.tables["Where half or twice a price changes what reaches most"]
    # at twice its price, a box of 14 s makes what 2 h reached cost 3.8 h: at 2 h, careful outlines are ahead
    assert ["14 s for a box", "2", "boxes", "careful outlines"] in table.to_numpy().tolist()
    assert (
        found.notes[-1]
        == f"Half or twice one price changes what reaches most in {len(table)} of {3 * len(FACTORS) * 5} cases."
    )
    assert found.priced is not None and len(found.priced.turned(FACTORS)) == len(table)


def test_the_front_and_its_numbers():
    front = analyse(config(), both()).tables["The front"]
    assert front["spent on"].tolist() == ["boxes", "boxes", "boxes", "careful outlines", "careful outlines"]
    assert front["hours"].tolist() == ["0.50", "1.00", "2.00", "4.00", "8.00"] and front["pictures"].iloc[0] == "18.0"


def test_what_more_is_worth_by_a_curve_and_how_it_was_foretold():
    means = 0.9 - 0.4 * (np.array(BUDGETS) / 0.5) ** -0.5
    found = analyse(config(), table_of(rows("careful", means, CAREFUL)))
    gains = found.tables["What twice the hours are worth"]
    assert gains["beyond the data"].tolist() == ["no"] * 4 + ["yes"]
    expected = 100 * 0.4 * (16**-0.5 - 32**-0.5)
    assert float(gains["Dice points"].iloc[-1].split()[0]) == pytest.approx(expected, abs=0.1)
    assert found.notes[0].startswith("Twice the last purchase is worth most for careful outlines: 2.9 (")
    (checked,) = found.tables["The last budget, predicted from those before it"].to_dict("records")
    assert checked["was"] == f"{100 * (means[4] - means[3]):+.1f}" and checked["inside"] == "yes"
    few = analyse(config(), table_of(rows("careful", means[:3], CAREFUL)))
    assert "What twice the hours are worth" not in few.tables


def test_trials_that_failed_have_no_value_and_several_networks_are_named():
    table = table_of(
        rows("careful", (0.5,) * 5, CAREFUL),
        rows("careful", (0.4,) * 5, CAREFUL, network="msd"),
        rows("few_shot", (0.7,) * 5, CAREFUL, network=NONE),
        rows("quick", (0.9,) * 5, CAREFUL, status="collapsed"),
    )
    found = analyse(config(segmentation={"networks": ("unet", "msd")}), table)
    assert {claim.rival for claim in found.main} == {"careful outlines (U-Net), 1 h", "careful outlines (MSD), 1 h"}
    assert found.main[0].subject == "careful outlines for a few-shot head, 1 h"
    assert set(found.charts) == {"dice_pooled_by_hours", "f1_by_hours"}
