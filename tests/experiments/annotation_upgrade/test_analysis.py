"""Claims, tables and charts of study 2 from tables written by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from experiments.annotation_upgrade.analysis import NO_ANSWER, analyse, mismatch, readable, verdict_on_networks
from experiments.annotation_upgrade.charts import budget_panels, error_name, label_rows, quality_lines
from experiments.annotation_upgrade.grid import Trial, labels_upgraded, laboratory, within_budget
from experiments.annotation_upgrade.study import STUDY
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from segjax.evaluation import Decision
from segjax.sweeps import ResultTable
from tests.experiments.annotation_upgrade.tables import SEEDS, rows, table_of

CLEAN = [0.70, 0.72, 0.74, 0.71, 0.73]


@pytest.fixture
def config(tmp_path):
    changes = {"run": {"out": tmp_path}, "clean": 10, "noisy": 40, "error": "omission=0.5"}
    return resolved(STUDY, overlaid(defaults_of(STUDY, "reduced"), changes))


def of_laboratory(config, upgraded):
    trial = {
        name: laboratory(config, "unet", name) for name in ("clean", "raw", "upgraded", "mean_teacher", "all_clean")
    }
    return [
        rows(trial["clean"], dice_pooled=CLEAN),
        rows(trial["raw"], dice_pooled=[0.65, 0.66, 0.67, 0.66, 0.66], label_dice=0.6),
        rows(trial["upgraded"], dice_pooled=upgraded, label_dice=0.6, upgraded_dice=0.9),
        rows(trial["mean_teacher"], dice_pooled=0.7),
        rows(trial["all_clean"], dice_pooled=[0.90, 0.91, 0.92, 0.90, 0.92]),
    ]


def claims_of(config, table):
    return {(claim.subject, claim.rival): claim for claim in analyse(config, table).claims}


UPGRADED = "U-Net with repaired labels"
BETTER, WORSE = [0.80, 0.83, 0.83, 0.81, 0.83], [0.60, 0.63, 0.63, 0.61, 0.63]


def test_upgrading_is_compared_with_every_method_in_one_family(config):
    # 10, 11, 9, 10 and 10 points: s = sqrt(1/2), t(0.975, 4) = 2.7764
    found = analyse(config, table_of(*of_laboratory(config, BETTER)))
    assert [claim.rival for claim in found.claims] == [
        "10 clean pictures only", "10 clean + 40 noisy pictures", "10 clean + 40 unlabelled pictures, mean teacher",
        "50 clean pictures",
    ]  # fmt: skip
    assert {claim.subject for claim in found.claims} == {UPGRADED}
    clean, all_clean = found.claims[0].decision, found.claims[-1].decision
    assert clean.mean == pytest.approx(10.0) and clean.verdict == "ahead"
    assert clean.high - clean.mean == pytest.approx(2.7764 * np.sqrt(0.5 / 5), abs=1e-3)
    assert all_clean.verdict == "behind"
    assert list(found.main) == list(found.claims)


@pytest.mark.parametrize(
    ("upgraded", "verdict"),
    [
        (
            BETTER,
            "Repairing pays: with the repaired labels U-Net scores 10.0 Dice points more than with the clean labels "
            "alone, and 16.0 more than with the noisy labels as they are.",
        ),
        (
            WORSE,
            "Repairing does not pay: with the repaired labels U-Net scores 10.0 Dice points less than with the clean "
            "labels alone, and 4.0 less than with the noisy labels as they are.",
        ),
        (
            [0.70, 0.73, 0.73, 0.71, 0.74],
            "It is not decided whether repairing pays: with the repaired labels U-Net scores 6.2 Dice points more than "
            "with the noisy labels as they are, but the difference from the clean labels alone (+0.2 Dice points) is "
            "not decided.",
        ),
    ],
)
def test_the_verdict_follows_the_decisions(config, upgraded, verdict):
    assert analyse(config, table_of(*of_laboratory(config, upgraded))).verdict == verdict


def test_a_verdict_names_both_differences_that_are_not_decided():
    undecided = Decision(0.61, -1.0, 2.2, 5, 0.4, "not decided")
    assert verdict_on_networks("U-Net", undecided, undecided._replace(mean=-0.2)) == (
        "It is not decided whether repairing pays: the differences from the clean labels alone (+0.6 Dice points) and "
        "the noisy labels as they are (-0.2 Dice points) are not decided."
    )


@pytest.mark.parametrize(
    ("upgraded", "said"),
    [
        (BETTER, "repairing paid: with the repaired labels U-Net scored 10.5 Dice points more than with the"),
        (
            WORSE,
            "repairing did not pay: with the repaired labels U-Net scored 9.5 Dice points less than with the",
        ),
        (CLEAN, "repairing did not pay: with the repaired labels U-Net scored the same as with the clean labels alone"),
        (
            0.68,
            "3.0 Dice points less than with the clean labels alone, but 2.5 more than with the noisy labels as",
        ),
    ],
)
def test_two_test_sets_are_described_and_nothing_is_decided(config, upgraded, said):
    few = [[row for row in part if row["seed"] < 2] for part in of_laboratory(config, upgraded)]
    found = analyse(config, table_of(*few))
    assert {claim.decision.verdict for claim in found.claims} == {"too few"}
    assert found.verdict.startswith("In 2 test sets, ") and said in found.verdict
    assert not any("ahead" in text or "behind" in text for text in (found.verdict, *found.notes))


@pytest.mark.parametrize(
    ("seeds", "after", "verdict"),
    [
        (5, 0.9, "Repair raises the Dice of the labels: it changes from 0.600 to 0.900."),
        (5, 0.5, "Repair lowers the Dice of the labels: it changes from 0.600 to 0.500."),
        (2, 0.9, "In 2 test sets, repair raised the Dice of the labels, from 0.600 to 0.900."),
        (1, 0.5, "In 1 test set, repair did not raise the Dice of the labels (from 0.600 to 0.500)."),
    ],
)
def test_where_no_network_is_trained_the_verdict_is_about_labels(config, seeds, after, verdict):
    config = dataclasses.replace(config, questions=("quality",))
    trial = rows(labels_upgraded(config, "unet"), label_dice=0.6, upgraded_dice=after)
    found = analyse(config, table_of([row for row in trial if row["seed"] < seeds]))
    assert found.verdict == verdict and found.question.endswith("How good are the repaired labels?")
    assert list(found.charts) == ["labels_before_and_after", "clean_pictures"]


def test_a_failed_run_counts_in_no_mean_but_is_listed(config):
    broken = rows(laboratory(config, "unet", "generalized_cross_entropy"), "collapsed", dice_pooled=0.1)
    table = table_of(*of_laboratory(config, 0.8), broken)
    assert (UPGRADED, "10 clean + 40 noisy pictures, generalized cross entropy") not in claims_of(config, table)
    failures = analyse(config, table).failures
    assert failures["labels"].tolist() == ["generalized cross entropy"] * SEEDS
    assert failures["error of the noisy labels"].tolist() == ["50 % omitted cells"] * SEEDS
    assert failures["what happened"].tolist() == ["collapsed"] * SEEDS


def of_labels(config):
    for count, after in ((5, 0.7), (40, 0.9)):
        trial = labels_upgraded(config, "unet", clean_pictures=count)
        yield rows(trial, label_dice=0.6, upgraded_dice=[after, after, after + 0.03, after, after + 0.02])
    yield rows(labels_upgraded(config, "unet", learnt="mixture"), label_dice=0.6, upgraded_dice=0.85)


def test_quality_curve_and_the_price_of_not_knowing_the_error(config):
    table = table_of(*of_labels(config))
    known, mixture, before = quality_lines(config, table, "unet")
    assert known.x == [5, 40] and [round(y.mean, 3) for y in known.y] == [0.71, 0.91]
    assert mixture.x == [40] and before.grey and [y.mean for y in before.y] == pytest.approx([0.6, 0.6])
    claims = claims_of(config, table)
    # 0.91 - 0.85, and 0.91 - 0.6 of the same labels
    learnt = claims["Labels repaired by U-Net that knows the error", "by U-Net that learnt a mixture of errors"]
    assert learnt.decision.mean == pytest.approx(6)
    raised = claims["Noisy labels after repair", "the same labels before"]
    assert raised.decision.mean == pytest.approx(31) and raised.decision.verdict == "ahead"


def test_worse_clean_labels_and_fewer_volumes_are_rows_and_claims(config):
    noisy = labels_upgraded(config, "unet", clean_error="bias=6")
    two = labels_upgraded(config, "unet", volumes=5)
    table = table_of(
        *of_labels(config),
        rows(noisy, label_dice=0.6, upgraded_dice=0.8),
        rows(two, label_dice=0.6, upgraded_dice=0.88),
    )
    rows_shown = {row.name: row.after.mean for row in label_rows(config, table, "unet")}
    assert rows_shown == pytest.approx(
        {
            "50 % omitted cells": 0.91,
            "the same, by a network that learnt a mixture of errors": 0.85,
            "the same, by a network that learnt from 5 volumes": 0.88,
            "the same, by a network that learnt from clean labels with outline errors of up to 1.5 px": 0.8,
        }
    )
    family = [rival for subject, rival in claims_of(config, table) if "knows the error" in subject]
    assert family == [name.replace("the same, by a network", "by U-Net") for name in rows_shown if "same" in name]


def test_retraining_on_predictions(config):
    table = table_of(
        rows(laboratory(config, "unet", "clean"), dice_pooled=CLEAN),
        rows(laboratory(config, "unet", "predictions"), dice_pooled=[0.71, 0.72, 0.73, 0.71, 0.73], label_dice=0.6),
        rows(
            laboratory(config, "unet", "upgraded_predictions"),
            dice_pooled=[0.75, 0.77, 0.79, 0.76, 0.78],
            label_dice=[0.5, 0.6, 0.7, 0.6, 0.6],
            upgraded_dice=0.7,
        ),
    )
    claims = claims_of(config, table)
    subject = "U-Net with repaired predictions"
    assert claims[subject, "10 clean pictures only"].decision.mean == pytest.approx(5.0)
    assert claims[subject, "10 clean + 40 predictions (round 1)"].decision.mean == pytest.approx(5.0)
    labels = claims["Predictions of U-Net after repair", "the same labels before"]
    assert labels.decision.mean == pytest.approx(10.0)


def test_the_chart_of_predictions_has_every_round(config):
    parts = [
        rows(laboratory(config, "unet", method, number), dice_pooled=0.7 + number / 100)
        for method in ("predictions", "upgraded_predictions") for number in (1, 2)
    ]  # fmt: skip
    shown = analyse(config, table_of(*parts)).charts["predictions"]
    assert shown.title.endswith("reaches a Dice of 0.720, and 0.720 once they are repaired")
    names = [f"10 clean + 40 {which}predictions (round {number})" for which in ("", "repaired ") for number in (1, 2)]
    assert sorted(shown.table["trained on"]) == names


def test_the_main_chart_ranks_the_methods_and_gives_its_numbers(config):
    found = analyse(config, table_of(*of_laboratory(config, BETTER)))
    shown = found.charts["does_it_pay"]
    assert next(iter(found.charts)) == "does_it_pay"
    assert shown.title == (
        "U-Net reaches a Dice of 0.820 with repaired labels, 0.720 with the clean ones alone and 0.660 with noisy ones"
    )
    assert shown.table["trained on"].tolist() == [
        "50 clean pictures", "10 clean + 40 repaired pictures", "10 clean pictures only",
        "10 clean + 40 unlabelled pictures, mean teacher", "10 clean + 40 noisy pictures",
    ]  # fmt: skip
    assert shown.table["Dice"].tolist() == pytest.approx([0.91, 0.82, 0.72, 0.70, 0.66])
    assert "Dashed line: 10 clean pictures only." in shown.caption


def test_captions_speak_of_intervals_only_where_there_are_some(config):
    parts = [[*part] for part in (*of_laboratory(config, BETTER), *of_labels(config))]
    few = [[row for row in part if row["seed"] < 2] for part in parts]
    for table, has_bars in ((table_of(*parts), True), (table_of(*few), False)):
        captions = [one.caption for one in analyse(config, table).charts.values()]
        assert [("95 % intervals" in caption) for caption in captions] == [has_bars] * 3


def test_budgets_have_a_panel_per_share(config):
    parts = [
        rows(within_budget(config, "unet", method, budget, share), dice_pooled=0.5 + share + budget / 100)
        for method in ("raw", "upgraded") for budget in (10, 50) for share in (0.0, 0.1)
    ]  # fmt: skip
    panels = budget_panels(config, table_of(*parts), "unet")
    assert list(panels) == ["0 % clean", "10 % clean"]
    assert [line.name for line in panels["10 % clean"]] == ["clean + repaired", "clean + noisy"]
    assert [y.mean for y in panels["10 % clean"][0].y] == pytest.approx([0.7, 1.1])


def test_the_chart_of_budgets_counts_where_repaired_labels_are_best(config):
    best = {("raw", 10): 0.6, ("upgraded", 10): 0.7, ("raw", 50): 0.9, ("upgraded", 50): 0.8, ("all_clean", 10): 0.95}
    parts = [
        rows(within_budget(config, "unet", method, budget, 0.1), dice_pooled=value)
        for (method, budget), value in best.items()
    ]
    shown = analyse(config, table_of(*parts)).charts["budgets"]
    assert shown.title == "Repaired labels give the highest Dice in 1 of 2 comparisons"
    assert len(shown.table) == 5


def test_a_mismatch_has_a_row_per_error_and_a_column_per_error_learnt(config):
    config = dataclasses.replace(config, errors=("bias=8",))
    cross = labels_upgraded(config, "unet", error="bias=8", learnt="omission=0.5")
    table = table_of(*of_labels(config), rows(cross, label_dice=0.8, upgraded_dice=0.75))
    found = mismatch(config, table)
    assert found["learnt 50 % omitted cells"].tolist() == ["0.910", "0.750"]
    assert found["learnt a mixture"].tolist() == ["0.850", "-"] and found["before repair"].tolist() == ["0.600", "-"]


def test_the_page_of_published_values_is_that_of_the_run(config, tmp_path):
    table = table_of(*of_laboratory(config, [0.80, 0.83, 0.83, 0.81, 0.83]), *of_labels(config))
    table.write(tmp_path / "trials.csv")
    again = ResultTable.read(tmp_path / "trials.csv", Trial, 0.0, 4.0)
    ours, theirs = analyse(config, table), analyse(config, again)
    assert ours.verdict == theirs.verdict and list(ours.claims) == list(theirs.claims)
    assert list(ours.charts) == ["does_it_pay", "labels_before_and_after", "clean_pictures"] == list(theirs.charts)
    assert set(ours.shown) <= {*ours.charts}
    for name, frame in ours.tables.items():
        pd.testing.assert_frame_equal(frame, theirs.tables[name])


def test_an_empty_table_has_a_question_and_no_claims(config):
    table = table_of(rows(Trial("unet", 0, "raw"), "failed", dice_pooled=0.1))
    found = analyse(config, table)
    assert list(found.claims) == [] and found.charts == {} and "10 pictures" in found.question
    assert found.verdict == NO_ANSWER


def test_each_network_has_families_of_its_own(config):
    both = overlaid(config, {"segmentation": {"networks": ("unet", "msd")}})
    parts = [
        rows(laboratory(both, network, method), dice_pooled=value)
        for network in ("unet", "msd")
        for method, value in (("upgraded", CLEAN), ("clean", 0.7))
    ]
    found = analyse(both, table_of(*parts))
    assert [(claim.subject, claim.rival) for claim in found.main] == [
        (f"{network} with repaired labels", "10 clean pictures only") for network in ("U-Net", "MSD")
    ]
    assert any("the charts are about U-Net" in caution for caution in found.cautions)


def test_tables_say_in_words_which_trials_they_are_about(config):
    found = analyse(config, table_of(*of_laboratory(config, BETTER), *of_labels(config)))
    shown = found.tables["upgraded_dice"]
    assert not any("_" in name for name in shown.columns)
    assert set(shown["labels"]) == {"repaired", "repaired, of test pictures"}
    assert set(shown["the upgrade network"]) == {"knew the error", "learnt a mixture of errors"}


def test_tables_say_what_an_upgrade_network_learnt():
    learnt = pd.DataFrame({"learnt": ["estimated", "none", "omission=0.5"]})
    assert readable(learnt, 4.0)["the upgrade network"].tolist() == [
        "estimated the error from pairs", "-", "learnt 50 % omitted cells",
    ]  # fmt: skip


def test_the_subject_of_the_main_comparison_says_how_repaired_labels_are_used(tmp_path, config):
    ignoring = dataclasses.replace(config, repairs=("upgraded_ignoring",))
    better, clean = (laboratory(ignoring, "unet", name) for name in ("upgraded_ignoring", "clean"))
    found = analyse(ignoring, table_of(rows(better, dice_pooled=BETTER), rows(clean, dice_pooled=CLEAN)))
    assert {claim.subject for claim in found.main} == {"U-Net with repaired labels, unsure pixels ignored"}


def test_errors_in_words():
    assert error_name("omission=0.3") == "30 % omitted cells"
    assert error_name("omission=0.3+bias=4", 4.0) == "30 % omitted cells and outline errors of up to 1 px"
    assert error_name("mixture") == "a mixture"
