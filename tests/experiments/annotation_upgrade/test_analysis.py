"""Claims, tables and charts of study 2 from tables written by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from experiments.annotation_upgrade.analysis import (
    analyse,
    budget_panels,
    compared_rows,
    error_name,
    label_rows,
    mismatch,
    predicted_label_rows,
    quality_lines,
)
from experiments.annotation_upgrade.grid import Trial, labels_upgraded, laboratory, within_budget
from experiments.annotation_upgrade.study import STUDY
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from segjax.evaluation import sentence
from segjax.sweeps import Replicates, ResultTable

SEEDS = 5
CLEAN = [0.70, 0.72, 0.74, 0.71, 0.73]


@pytest.fixture
def config(tmp_path):
    changes = {"run": {"out": tmp_path}, "clean": 10, "noisy": 40, "error": "omission=0.5"}
    return resolved(STUDY, overlaid(defaults_of(STUDY, "reduced"), changes))


def rows(trial, status="ok", **values):
    """Rows of results of a trial: by metric one number for all seeds, or one per seed."""
    for metric, given in {**values, "restarts": 0}.items():
        for seed, value in enumerate(given if isinstance(given, list) else [given] * SEEDS):
            factors = dataclasses.asdict(dataclasses.replace(trial, seed=seed))
            yield {**factors, "picture": "", "metric": metric, "value": value, "status": status, "code": "abc"}


def table_of(*parts, coarsening=4.0):
    frame = pd.DataFrame([row for part in parts for row in part])
    return ResultTable.from_rows(frame, Trial, Replicates(tuple("abcde")), coarsening)


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


UPGRADED = "U-Net on 10 clean + 40 upgraded pictures"


def test_upgrading_is_compared_with_every_method_in_one_family(config):
    # 10, 11, 9, 10 and 10 points: s = sqrt(1/2), t(0.975, 4) = 2.7764
    found = analyse(config, table_of(*of_laboratory(config, [0.80, 0.83, 0.83, 0.81, 0.83])))
    assert [claim.rival for claim in found.claims] == [
        "U-Net on 10 clean pictures only", "U-Net on 10 clean + 40 noisy pictures", "U-Net with mean teacher",
        "U-Net on 50 clean pictures",
    ]  # fmt: skip
    assert {claim.subject for claim in found.claims} == {UPGRADED}
    clean, all_clean = found.claims[0].decision, found.claims[-1].decision
    assert clean.mean == pytest.approx(10.0) and clean.verdict == "ahead"
    assert clean.high - clean.mean == pytest.approx(2.7764 * np.sqrt(0.5 / 5), abs=1e-3)
    assert all_clean.verdict == "behind"
    assert list(found.main) == list(found.claims[:2])


@pytest.mark.parametrize(
    ("upgraded", "verdict", "said"),
    [
        ([0.80, 0.83, 0.83, 0.81, 0.83], "ahead", "is ahead of U-Net on 10 clean pictures only by 10.0 Dice points"),
        ([0.60, 0.63, 0.63, 0.61, 0.63], "behind", "is behind U-Net on 10 clean pictures only by 10.0 Dice points"),
        ([0.60, 0.72, 0.85, 0.90, 0.60], "not decided", "are not told apart"),
    ],
)
def test_the_verdict_follows_the_decision(config, upgraded, verdict, said):
    claim = analyse(config, table_of(*of_laboratory(config, upgraded))).claims[0]
    assert claim.decision.verdict == verdict and said in sentence(claim)


def test_two_test_sets_are_too_few(config):
    few = [[row for row in part if row["seed"] < 2] for part in of_laboratory(config, [0.80, 0.83, 0.83, 0.81, 0.83])]
    found = analyse(config, table_of(*few))
    assert {claim.decision.verdict for claim in found.claims} == {"too few"}


def test_a_failed_run_counts_in_no_mean_but_is_listed(config):
    broken = rows(laboratory(config, "unet", "generalized_cross_entropy"), "collapsed", dice_pooled=0.1)
    table = table_of(*of_laboratory(config, 0.8), broken)
    assert (UPGRADED, "U-Net with generalized cross entropy") not in claims_of(config, table)
    failures = table.failures()
    assert failures["method"].tolist() == ["generalized_cross_entropy"] * SEEDS
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
    assert claims["U-Net that knows the error", "U-Net that learnt a mixture of errors"].decision.mean == pytest.approx(
        6
    )
    raised = claims["Upgrading of noisy labels by U-Net", "the labels as they are"]
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
            "main error, by a network that learnt a mixture of errors": 0.85,
            "main error, by a network that learnt from 5 volumes": 0.88,
            "main error, by a network that learnt from clean labels with outline errors of up to 6 published px": 0.8,
        }
    )
    family = [rival for subject, rival in claims_of(config, table) if subject == "U-Net that knows the error"]
    assert family == [name.replace("main error, by a network", "U-Net") for name in rows_shown if "main" in name]


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
    subject = "U-Net retrained on its upgraded predictions"
    assert claims[subject, "U-Net on 10 clean pictures only"].decision.mean == pytest.approx(5.0)
    assert claims[subject, "U-Net retrained on its predictions"].decision.mean == pytest.approx(5.0)
    labels = claims["Upgrading of predictions of U-Net", "the predictions as they are"]
    assert labels.decision.mean == pytest.approx(10.0)
    (row,) = predicted_label_rows(config, table, "unet")
    assert row.before.mean == pytest.approx(0.6) and row.name == "predictions, round 1"


def test_the_chart_of_methods_begins_with_upgrading(config):
    table = table_of(*of_laboratory(config, [0.80, 0.83, 0.83, 0.81, 0.83]))
    shown = compared_rows(config, table, "unet")
    assert [row.behind is None for row in shown] == [True, False, False, False, False]
    assert shown[0].dice.mean == pytest.approx(0.82) and shown[1].behind.mean == pytest.approx(10.0)


def test_budgets_have_a_panel_per_share(config):
    parts = [
        rows(within_budget(config, "unet", method, budget, share), dice_pooled=0.5 + share + budget / 100)
        for method in ("raw", "upgraded") for budget in (10, 50) for share in (0.0, 0.1)
    ]  # fmt: skip
    panels = budget_panels(config, table_of(*parts), "unet")
    assert list(panels) == ["0 % clean", "10 % clean"]
    assert [line.name for line in panels["10 % clean"]] == ["clean + upgraded", "clean + noisy"]
    assert [y.mean for y in panels["10 % clean"][0].y] == pytest.approx([0.7, 1.1])


def test_a_mismatch_has_a_row_per_error_and_a_column_per_error_learnt(config):
    config = dataclasses.replace(config, errors=("bias=8",))
    cross = labels_upgraded(config, "unet", error="bias=8", learnt="omission=0.5")
    table = table_of(*of_labels(config), rows(cross, label_dice=0.8, upgraded_dice=0.75))
    found = mismatch(config, table)
    assert found["learnt 50 % omitted cells"].tolist() == ["0.910", "0.750"]
    assert found["learnt a mixture"].tolist() == ["0.850", "-"] and found["before"].tolist() == ["0.600", "-"]


def test_the_page_of_published_values_is_that_of_the_run(config, tmp_path):
    table = table_of(*of_laboratory(config, [0.80, 0.83, 0.83, 0.81, 0.83]), *of_labels(config))
    table.write(tmp_path / "trials.csv")
    again = ResultTable.read(tmp_path / "trials.csv", Trial, 0.0, 4.0)
    ours, theirs = analyse(config, table), analyse(config, again)
    assert [sentence(claim) for claim in ours.claims] == [sentence(claim) for claim in theirs.claims]
    assert list(ours.figures) == ["Does it pay", "Labels before and after", "Quality against clean pictures"]
    assert list(ours.figures) == list(theirs.figures)
    for name, frame in ours.tables.items():
        pd.testing.assert_frame_equal(frame, theirs.tables[name])


def test_an_empty_table_has_a_question_and_no_claims(config):
    table = table_of(rows(Trial("unet", 0, "raw"), "failed", dice_pooled=0.1))
    found = analyse(config, table)
    assert list(found.claims) == [] and found.figures == {} and "10 pictures" in found.question


def test_each_network_has_families_of_its_own(config):
    both = overlaid(config, {"segmentation": {"networks": ("unet", "msd")}})
    parts = [
        rows(laboratory(both, network, method), dice_pooled=value)
        for network in ("unet", "msd")
        for method, value in (("upgraded", CLEAN), ("clean", 0.7))
    ]
    found = analyse(both, table_of(*parts))
    assert [claim.rival for claim in found.claims] == [
        "U-Net on 10 clean pictures only", "MSD on 10 clean pictures only",
    ]  # fmt: skip
    assert [claim.rival for claim in found.main] == ["U-Net on 10 clean pictures only"]
    assert any("Figures are about U-Net" in caution for caution in found.cautions)


def test_errors_in_words():
    assert error_name("omission=0.3") == "30 % omitted cells"
    assert error_name("omission=0.3+bias=4", 4.0) == "30 % omitted cells and outline errors of up to 4 published px"
    assert error_name("mixture") == "a mixture"
