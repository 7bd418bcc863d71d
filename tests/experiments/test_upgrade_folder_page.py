"""The page of a repaired folder: Dice of held-out labels worked out by hand, and no verdict from few pictures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments.upgrade_folder.held_out import HeldOut, judge
from experiments.upgrade_folder.report import caption, held_out_table, mistakes, notes, summary, verdict, warnings
from experiments.upgrade_folder.training_sets import TrainingSets
from segjax.annotations import Recipe
from segjax.evaluation import interval
from segjax.upgrade import mixture
from segjax.upgrade.objects import Change


def held_out(*values):
    before, after = np.transpose(values)
    return HeldOut(tuple(f"{place}" for place in range(len(values))), before, after, ())


def line(*columns):
    mask = np.zeros((1, 1, 8), bool)
    mask[..., list(columns)] = True
    return mask


def test_draws_and_pictures_of_a_group_are_pooled():
    clean = np.concatenate([line(0, 1), line(0, 1), line(3), line()]).astype(np.int32)
    noisy = np.concatenate([line(0), line(0, 2), line(4), line()])
    repaired = np.concatenate([line(0, 1), line(0), line(3), line()])
    images = np.arange(32, dtype=np.float32).reshape(4, 1, 8, 1)
    found = judge(("a", "a", "b", "empty"), images, clean, noisy, repaired)
    assert found.names == ("a", "b", "empty")
    np.testing.assert_allclose(found.before, [2 * 2 / (3 + 4), 0, np.nan])
    np.testing.assert_allclose(found.after, [2 * 3 / (3 + 4), 1, np.nan])
    assert found.means == (pytest.approx(2 / 7), pytest.approx((6 / 7 + 1) / 2))
    np.testing.assert_array_equal(found.examples[1].image, images[2])
    np.testing.assert_array_equal(found.examples[0].repaired, repaired[0])
    assert found.claim.decision.n == 2 and found.claim.decision.mean == pytest.approx(100 * (2 / 7 + 1) / 2)
    assert list(held_out_table(found)["difference, points"]) == ["+28.6", "+100.0", "-"]


def test_few_held_out_pictures_give_numbers_and_no_verdict():
    few = held_out((0.7, 0.8), (0.6, 0.8))
    assert (
        verdict(few)
        == "With drawn errors, repair raised the Dice of held-out labels from 0.650 to 0.800, by 15.0 points."
    )
    assert (
        notes(few, knows_training_sets=True)[1]
        == "2 held-out pictures are too few to decide whether repair makes labels better; 5 are needed."
    )
    assert "1 held-out picture is too few" in notes(held_out((0.7, 0.6)), knows_training_sets=True)[1]
    assert "repair lowered the Dice of held-out labels from 0.700 to 0.600, by 10.0 points" in verdict(
        held_out((0.7, 0.6))
    )


def test_five_held_out_pictures_decide_whether_repair_makes_labels_better():
    gain = np.array([0.1, 0.12, 0.09, 0.11, 0.1])
    pairs = np.stack([np.full(5, 0.7), 0.7 + gain], axis=1)
    better, worse = held_out(*pairs), held_out(*pairs[:, ::-1])
    assert verdict(better).startswith(
        "Repair makes labels better here: with drawn errors, repair raised the Dice of held-out labels"
    )
    assert verdict(worse).startswith("Repair makes labels worse here: ")
    level = held_out((0.7, 0.8), (0.7, 0.6), (0.7, 0.75), (0.7, 0.65), (0.7, 0.71))
    assert verdict(level).startswith("It is not decided whether repair makes labels better here: ")
    decision = better.claim.decision
    assert (decision.low, decision.high) == pytest.approx(interval(100 * gain)[1:3])
    for one in (better, worse, level):  # these pictures are not independent of the training, and the page says so
        assert notes(one, knows_training_sets=True) == [
            "The held-out pictures also decided when training stopped, so expect slightly less for other pictures."
        ]


def test_that_better_labels_train_better_networks_is_not_said_without_folds():
    (said,) = set(notes(held_out((0.7, 0.8)), False)) - set(notes(held_out((0.7, 0.8)), True))
    assert said.startswith("A network does not always learn more from better labels. --folds 5 finds out")


def test_what_speaks_against_the_repaired_labels_is_said():
    results = pd.DataFrame({"file": ["network", "labels/a.tif"], "status": ["ok", "failed"]})
    worse, better = (
        SimpleNamespace(held_out=lambda one=one: one, of_weights=[])
        for one in (held_out((0.7, 0.7)), held_out((0.7, 0.8)))
    )
    assert "Do not use the repaired labels." in warnings(worse, results)[0]
    (said,) = warnings(better, results)
    assert said == "1 of the pictures or folds failed (labels/a.tif). The same command tries them again."
    assert warnings(better, results[:1]) == []


def test_changes_and_errors_are_put_into_words():
    def change(number, kind, confidence):
        return {"picture": "a", **Change(number, kind, confidence, 4, 4, 3, 1.0, 0.0, 0.0)._asdict()}

    changes = pd.DataFrame([change(7, "added", 0.9), change(8, "added", 0.61), change(9, "moved", 0.8)])
    assert caption("a", changes) == "a: 2 added, 1 moved; least sure: object 8, confidence 0.61"
    folder = SimpleNamespace(noisy=("a", "b", "c"))
    assert summary(folder, changes) == (
        "Objects added: 2, removed: 0, with a new outline: 1. Label images without any change: 2 of 3."
    )
    recipes = mixture("picture", omission=(0.25, 0.5), bias=(2, 4, 6))
    said = mistakes(SimpleNamespace(recipes=recipes))
    assert said == "any combination of omission of 25 % or 50 %; bias of up to 2 px, 4 px or 6 px"
    assert mistakes(SimpleNamespace(recipes=[Recipe(omission=0.5)])).startswith("50 % omission")


CLEAN = np.array([0.70, 0.72, 0.74, 0.71, 0.73])
GAIN = np.array([0.1, 0.11, 0.09, 0.1, 0.1])
LITTLE = np.array([0.01, -0.01, 0.02, -0.02, 0])


@pytest.mark.parametrize(
    ("noisy", "repaired", "said"),
    [
        (GAIN, 2 * GAIN, "Repairing is ahead here: trained on the repaired labels too, a network scores 20.0 ("),
        (GAIN, GAIN + LITTLE, "Train on the noisy labels too, as they are: they add 10.0 ("),
        (-GAIN, -2 * GAIN, "Train on the clean labels alone: the noisy labels add -10.0 ("),
        (GAIN - 0.1, GAIN - 0.1, "It is not decided which labels to train on: the noisy labels add "),
    ],
)
def test_which_labels_to_train_on_is_told_with_intervals(noisy, repaired, said):
    found = TrainingSets({"clean": CLEAN, "noisy": CLEAN + noisy, "repaired": CLEAN + repaired}, overlap=0.1)
    assert found.verdict.startswith(said)
    over_clean, over_noisy, gain = (claim.decision for claim in found.claims)
    assert (over_clean.low, over_clean.high) == pytest.approx(interval(100 * repaired, overlap=0.1)[1:3])
    assert gain.mean == pytest.approx(100 * noisy.mean())
    told = over_noisy if "too, as they are" in said else over_clean
    assert f"{told.mean:.1f} ({told.low:.1f} to {told.high:.1f})" in found.verdict


def test_few_folds_name_the_labels_that_scored_highest():
    dice = {"clean": CLEAN[:2], "noisy": CLEAN[:2] - 0.1, "repaired": np.array([0.8, np.nan])}
    assert TrainingSets(dice, 0.1).verdict == (
        "In 1 test set, a network trained on clean and repaired labels scored highest: Dice 0.800."
    )
    nothing = {name: np.full(2, np.nan) for name in dice}
    assert TrainingSets(nothing, 0.1).verdict.startswith("No network learnt")
