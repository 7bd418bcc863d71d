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


def all_of(means):
    return list(rows("careful", means, CAREFUL))


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
    assert found.verdict.endswith(") Dice points ahead of careful outlines.")
    own = {claim.subject: claim.decision for claim in found.claims}
    assert own["boxes, 0.5 h"].mean == pytest.approx(10.4) and own["boxes, 0.5 h"].verdict == "ahead"
    assert own["boxes, 8 h"].mean == pytest.approx(-9.6) and own["boxes, 8 h"].verdict == "behind"
    assert own["boxes, 2 h"].mean == pytest.approx(0.4) and len(found.claims) == 5
    assert [claim.subject for claim in found.main] == ["boxes, 1 h"]


def test_what_is_ahead_beside_the_best_and_what_is_behind_is_said():
    def said(**means):
        parts = (rows(arm, (mean,) * 5, CAREFUL) for arm, mean in {"careful": 0.6, **means}.items())
        return analyse(config(), table_of(*parts)).verdict

    # pairs of equal noise differ by the same in every set, which the rule counts as decided
    assert said(quick=0.62, boxes=0.7).startswith("For 1 h, take boxes: 10.0")
    assert "; quick outlines are ahead of careful outlines, too" in said(quick=0.62, boxes=0.7)
    assert said(quick=0.58, boxes=0.5).startswith("For 1 h, take careful outlines: everything else is behind, quick")


def test_what_is_ahead_is_said_where_something_undecided_reached_more():
    careful, quick = rows("careful", (0.6,) * 5, CAREFUL), rows("quick", (0.63,) * 5, CAREFUL)
    unsure = rows("boxes", (0.7,) * 5, CAREFUL, noise=20 * np.roll(NOISE, 1))
    found = analyse(config(), table_of(careful, quick, unsure))
    assert found.verdict.startswith("For 1 h, take quick outlines: 3.0 (")
    assert found.verdict.endswith("; for boxes, which reached more on average, it cannot be told.")
    assert found.main[0].subject == "quick outlines, 1 h"


def test_a_budget_that_buys_the_whole_pool_in_every_way_stands_for_all_larger_ones():
    found = analyse(
        config(), table_of(rows("careful", (0.5,), CAREFUL, at_end=0.5), rows("boxes", (0.6,), BOXES, at_end=0.5))
    )
    assert found.verdict.startswith("For 0.5 h and more, which buy the whole pool, take boxes: 10.0")
    assert [claim.subject for claim in found.main] == ["boxes, 0.5 h"]
    assert asked_of((0.5, 1.0, 2.0, 5.0, 20.0), 2.0) == [1.0, 2.0]


def test_what_finds_most_objects_is_said_where_it_is_another():
    table = table_of(rows("careful", (0.5,) * 5, CAREFUL, f1=0.7), rows("boxes", (0.6,) * 5, BOXES, f1=0.4))
    said = "By F1 of the objects, and by the means alone, most is reached with careful outlines at 1 h."
    assert analyse(config(), table).notes[-1] == said
    assert not any(note.startswith("By F1") for note in analyse(config(), both()).notes)


def test_a_thing_that_some_seeds_did_not_buy_is_counted_as_none_of_it():
    some = [
        row
        for row in rows("corrected", (0.5,), {"picture": 20, "look": 50})
        if (row["seed"], row["metric"]) != (0, "count_look")
    ]
    (points,) = priced_of(config(), table_of(some), "dice_pooled").curves.values()
    assert points[0].counts["look"] == pytest.approx(0.8 * 25) and points[0].counts["picture"] == 10


def test_what_papers_stated_is_judged_while_careful_outlines_of_the_pool_are_too_dear():
    table = analyse(config(), both()).tables["Beside two papers"]
    assert table["case"].tolist() == [f"boxes against careful ones, {hours:g} h" for hours in BUDGETS]
    assert table["margin, Dice points"].tolist() == ["+10.4", "+6.4", "+0.4", "-4.6", "-9.6"]
    assert table["verdict"].tolist() == ["holds", "holds", "holds", "does not hold", "does not hold"]
    ended = table_of(rows("careful", (0.5, 0.6), CAREFUL, at_end=1.0), rows("image_labels", (0.6, 0.7), BOXES))
    left = analyse(config(), ended).tables["Beside two papers"]
    assert left["case"].tolist() == ["image labels against careful ones, 0.5 h"]
    assert "Beside two papers" not in analyse(config(), table_of(rows("careful", (0.5,) * 5, CAREFUL))).tables


def test_equal_ones_cannot_be_told_apart():
    parts = (rows(arm, (0.6,) * 5, CAREFUL, noise=NOISE[::step]) for arm, step in (("careful", 1), ("quick", -1)))
    found = analyse(config(), table_of(*parts))
    assert found.verdict == "For 1 h, it cannot be told whether quick outlines beat careful outlines."
    parts = (
        rows(arm, (0.6,) * 5, CAREFUL, noise=np.roll(NOISE, at)) for at, arm in enumerate(("careful", "quick", "boxes"))
    )
    assert analyse(config(), table_of(*parts)).verdict.endswith(
        "cannot be told whether anything beats careful outlines."
    )


def test_few_test_sets_give_no_verdict_but_numbers():
    found = analyse(config(), both(NOISE[:2]))
    assert found.verdict == "For 1 h, boxes reach 6.1 Dice points more than careful outlines."
    less = table_of(rows("careful", (0.7,) * 5, CAREFUL), rows("boxes", (0.6,) * 5, BOXES), seeds=2)
    assert analyse(config(), less).verdict == "For 1 h, careful outlines reach most, boxes 10.0 Dice points less."


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
    assert found.priced is not None
    cases = found.priced.cases(FACTORS)
    said = (
        f"By the means alone, half or twice one price changes what reaches most in {len(table)} of {len(cases)} cases."
    )
    assert found.notes[-1] == said and len(cases) < 3 * len(FACTORS) * 5
    # nobody bought twice as many careful outlines as 8 h pay for, but all boxes of the pool were bought
    assert {case[2] for case in cases if case[:2] == ("outline", 0.5)} == {0.5, 1.0, 2.0, 4.0}
    assert {case[2] for case in cases if case[:2] == ("box", 0.5)} == set(BUDGETS)


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
    assert found.notes[0].startswith("Twice the 8 h spent on careful outlines would be worth 2.9 (")
    assert found.notes[1].startswith("For 1 of 1 kinds of annotation, it cannot be told that the curve")
    assert found.notes[1].endswith("; the interval of the fit alone holds it for 1.")
    (checked,) = found.tables["The last budget, predicted from those before it"].to_dict("records")
    assert checked["was"] == f"{100 * (means[4] - means[3]):+.1f}" and checked["0 is within its interval"] == "yes"
    assert checked["is within the interval of the fit"] == "yes"
    free = [row | {"value": 0.0} if row["metric"] == "hours" and row["budget"] == 0.5 else row for row in all_of(means)]
    gained = analyse(config(), table_of(free)).tables["What twice the hours are worth"]
    assert gained["from, h"].tolist() == ["1.00", "2.00", "4.00", "8.00"]  # what cost nothing is no place on the curve
    few = analyse(config(), table_of(rows("careful", means[:3], CAREFUL)))
    assert "What twice the hours are worth" not in few.tables


def test_curves_have_all_seeds_where_some_used_up_the_pool_before():
    careful = rows("careful", (0.5, 0.6, 0.7, 0.75, 0.8), CAREFUL)
    early = list(rows("boxes", (0.5, 0.6, 0.7), BOXES, at_end=2.0, noise=NOISE[:4]))
    late = [row for row in rows("boxes", (0.5, 0.6, 0.7, 0.9), BOXES, at_end=4.0) if row["seed"] == 4]
    found = analyse(config(), table_of(careful, early, late))
    assert found.priced is not None
    boxes = found.priced.curves["boxes"]
    assert [one.value.n for one in boxes] == [5] * 4 and found.priced.ended == {"boxes"}
    assert boxes[3].value.mean == pytest.approx((4 * 0.7 + 0.9) / 5 + NOISE.mean())
    gains = found.tables["What twice the hours are worth"]
    assert "(" in gains[gains["spent on"] == "boxes"]["Dice points"].iloc[-1]


def test_networks_that_mark_nothing_count_with_it():
    nothing = rows("careful", (0.0,) * 5, CAREFUL, noise=np.zeros(5), status="collapsed")
    found = analyse(config(), table_of(nothing, rows("boxes", (0.6,) * 5, BOXES)))
    (claim,) = found.main
    assert claim.subject == "boxes, 1 h" and claim.decision.mean == pytest.approx(60) and claim.decision.n == 5


def test_the_arms_of_a_budget_are_one_family_against_careful_outlines():
    arms = ("careful", "quick", "points", "boxes")
    rolled = (rows(arm, (0.6,) * 5, CAREFUL, noise=np.roll(3 * NOISE, place)) for place, arm in enumerate(arms))
    table = table_of(*rolled)
    found = [claim.decision.p for claim in analyse(config(), table).claims if claim.subject.endswith(" 1 h")]
    trials = {trial.arm: trial for trial in table.trials() if trial.budget == 1}
    family = table.compare_pairs("dice_pooled", [((arm, trials[arm]), ("", trials["careful"])) for arm in arms[1:]])
    assert found == [claim.decision.p for claim in family]


def test_trials_that_failed_have_no_value_and_several_networks_are_named():
    parts = [
        *rows("careful", (0.5,) * 5, CAREFUL),
        *rows("careful", (0.4,) * 5, CAREFUL, network="msd"),
        *rows("few_shot", (0.7,) * 5, CAREFUL, network=NONE),
        *rows("quick", (0.9,) * 5, CAREFUL, status="diverged"),
    ]
    found = analyse(config(segmentation={"networks": ("unet", "msd")}), table_of(parts))
    own = [claim for claim in found.claims if claim.subject.endswith(" 1 h")]
    assert {claim.rival for claim in own} == {"careful outlines (U-Net), 1 h"}
    quick = rows("quick", (0.6,) * 5, CAREFUL, network="msd")
    more = analyse(config(segmentation={"networks": ("unet", "msd")}), table_of(parts, quick))
    rivals = {claim.subject: claim.rival for claim in more.claims}
    assert rivals["quick outlines (MSD), 1 h"] == "careful outlines (MSD), 1 h"
    assert rivals["careful outlines (MSD), 1 h"] == "careful outlines (U-Net), 1 h"
    subjects = ["careful outlines (MSD), 1 h", "careful outlines for a few-shot head, 1 h"]
    assert sorted(claim.subject for claim in own) == subjects and found.main[0].subject == subjects[1]
    assert set(found.charts) == {"dice_pooled_by_hours", "f1_by_hours"}
