"""Study 4A: its answer, claims and cautions follow from the table, and say first where nothing can be concluded."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.activation_maps.analysis import analyse
from experiments.activation_maps.findings import usable
from experiments.activation_maps.grid import CLASSIFIER, CUES, FIXED_DISC, MATCHED_DISC, REFERENCE, Config, Trial
from experiments.activation_maps.study import STUDY
from experiments.harness.map_options import OURS
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of
from segjax.sweeps import Replicates, ResultTable

NOISE = np.array([-0.02, 0.01, 0.0, 0.02, -0.01])
IOUS = {OURS: 0.61, "cam": 0.41, "grad_cam": 0.5, "layer_cam_fusion": 0.2}


@pytest.fixture
def smoke() -> Config:
    return overlaid(defaults_of(STUDY, "smoke"), {"run": {"out": Path("out")}})


def said(found):
    """The answer and what stands under it."""
    return " ".join([found.verdict, *found.notes])


def table_of(values) -> ResultTable[Trial]:
    """A table of results from (network, map, metric) -> values by seed, each with its own test set."""
    same = {"picture": "", "status": "ok", "code": ""}
    rows = [
        {**vars(Trial(network, seed, kind)), **same, "metric": metric, "value": value}
        for (network, kind, metric), found in values.items()
        for seed, value in enumerate(found)
    ]
    return ResultTable.from_rows(pd.DataFrame(rows), Trial, Replicates(("a", "b", "c", "d", "e")))


def values_of(networks=("resnet18",), auc=0.95, count=5):
    """Values of classifiers whose best map is ours, and which rely on the rim."""
    values = {(REFERENCE, MATCHED_DISC, "iou"): [0.7] * count, (REFERENCE, FIXED_DISC, "iou"): [0.4] * count}
    for network in networks:
        values[network, CLASSIFIER, "auc"] = [auc] * count
        for number, (kind, iou) in enumerate(IOUS.items()):
            noise = np.roll(NOISE, number)[:count]
            values[network, kind, "iou"] = iou + noise
            values[network, kind, "boundary_f_4px"] = 1 - iou + noise
            values[network, kind, "road"] = 0.3 + noise
            values[network, kind, "false_positive_rate"] = [0.84] * count
            values[network, kind, "sanity"] = [0.8 if kind == "cam" else 0.1] * count
            values[network, kind, "brightness_correlation"] = [-0.6 if kind == "grad_cam" else 0.1] * count
        for part, lost in {"inside": 0.1, "rim": 0.5, "halo": -0.1, "surroundings": 0.7, "elsewhere": 0.0}.items():
            values[network, CUES, f"cue_lost_without_{part}"] = [lost] * count
            values[network, CUES, f"cue_area_{part}"] = [0.0 if part == "surroundings" else 0.2] * count
    return values


def test_a_classifier_that_was_begun_again_is_one_failure_however_often_it_is_looked_at(smoke):
    restarted = {("resnet18", kind, "restarts"): [1] for kind in (CLASSIFIER, CUES, "cam")}
    table = table_of({**restarted, ("resnet18", "grad_cam", "restarts"): [0]})
    assert len(table.failures()) == 3
    assert analyse(smoke, table).failures["map"].tolist() == [CLASSIFIER]


def test_claims_are_against_all_maps_and_cautions_say_whose_maps_are_meaningless(smoke):
    values = values_of(("resnet18", "msd_classifier"))
    values["msd_classifier", CLASSIFIER, "auc"] = [0.6, 0.7, 0.5, 0.6, 0.6]
    table = table_of(values)
    assert usable(smoke, table) == {"resnet18": True, "msd_classifier": False}
    found = analyse(smoke, table)
    by_metric = {
        metric: [claim.rival for claim in found.claims if claim.metric == metric]
        for metric in ("IoU", "boundary F at 4 px", "ROAD")
    }
    rivals = ["CAM", "Grad-CAM", "LayerCAM, layers fused"]
    assert by_metric == dict.fromkeys(by_metric, rivals) and len(found.claims) == 9
    verdicts = {(claim.metric, claim.rival): claim.decision.verdict for claim in found.claims}
    assert {verdicts["IoU", rival] for rival in rivals} == {"ahead"}
    assert {verdicts["boundary F at 4 px", rival] for rival in rivals} == {"behind"}
    assert {verdicts["ROAD", rival] for rival in rivals} == {"not decided"}
    assert [(claim.metric, claim.rival) for claim in found.main] == [
        ("IoU", "Grad-CAM"),
        ("boundary F at 4 px", "LayerCAM, layers fused"),
    ]
    assert (found.main[0].subject, found.main[0].rival) == ("Contour-CAM of ResNet-18", "Grad-CAM")
    assert found.main[0].decision.mean == pytest.approx(0.110)
    said = " ".join(found.cautions)
    assert "MSD classifier has not learnt its task: its area under the curve is 0.60, below 0.9." in said
    assert "Some maps of ResNet-18 largely copy the brightness of the picture (correlation): Grad-CAM (-0.60)." in said
    assert "hardly change when its weights are shuffled, so they say little about what it has learnt: CAM." in said
    assert "reaches an IoU of 0.700. No map knows area and centre" in said and "maps of MSD classifier" not in said
    assert not analyse(dataclasses.replace(smoke, questions=("training",)), table).claims


def test_the_answer_names_the_best_map_its_false_alarms_and_what_classifiers_rely_on(smoke):
    found = analyse(smoke, table_of(values_of()))
    # the surroundings matter most by the numbers, but these pictures have none
    assert said(found) == (
        "With ResNet-18, Contour-CAM matches the object better than every other map (IoU 0.61, the next map 0.50; 1 is "
        "perfect). Contour-CAM marks something in 84 % of the pictures without the object. ResNet-18 relies most on "
        "the rim of the object: without it, 50 % of the evidence for the object is gone."
    )
    lost = found.charts["what_the_decision_rests_on"]
    assert lost.title == "The decision rests most on the rim of the object"
    assert "rest of the picture" not in set(lost.table["part of the picture"])
    assert "less than 1 % of the pictures are left out" in lost.caption and "bars their 95 % intervals" in lost.caption
    overlap = next(iter(found.charts.values()))
    assert overlap.title == "Contour-CAM reaches the highest IoU, 0.610"
    numbers = overlap.table.set_index("map")
    assert numbers.loc["CAM", "IoU"] == 0.41
    assert numbers.loc["CAM", "false alarms, % of the pictures without the object"] == 84


def test_against_one_rival_every_measure_is_shown(smoke):
    values = values_of()
    for metric in ("boundary_f_2px", "boundary_f_8px", "contour_level_boundary_f_4px"):
        values["resnet18", OURS, metric], values["resnet18", "cam", metric] = 0.5 + NOISE, [0.4] * 5
    found = analyse(dataclasses.replace(smoke, maps=(OURS, "cam")), table_of(values))
    at = {claim.metric: claim.decision.mean for claim in found.main}
    assert list(at)[2:] == ["boundary F at 2 px", "boundary F at 8 px", "boundary F at 4 px, contour level", "ROAD"]
    assert at["boundary F at 8 px"] == pytest.approx(0.1)
    assert {claim.metric for claim in analyse(smoke, table_of(values)).main} == {"IoU", "boundary F at 4 px"}


def test_a_term_of_consistency_is_judged_by_contour_cam_with_and_without_it(smoke):
    names = ("vgg16", "vgg16+puzzle", "vgg16+seam", "resnet18+seam")
    config = overlaid(smoke, {"classification": {"classifiers": names}})
    values = values_of(names)
    values["vgg16+puzzle", OURS, "iou"] = values["vgg16", OURS, "iou"] + 0.05 + NOISE
    found = analyse(config, table_of(values))
    claims = [claim for claim in found.claims if claim.rival.startswith("Contour-CAM")]
    assert [(claim.subject, claim.rival, claim.metric, claim.decision.verdict) for claim in claims] == [
        ("Contour-CAM of VGG16 with Puzzle-CAM term", "Contour-CAM of VGG16", "IoU", "ahead"),
        ("Contour-CAM of VGG16 with SEAM term", "Contour-CAM of VGG16", "IoU", "not decided"),
        ("Contour-CAM of VGG16 with Puzzle-CAM term", "Contour-CAM of VGG16", "boundary F at 4 px", "not decided"),
        ("Contour-CAM of VGG16 with SEAM term", "Contour-CAM of VGG16", "boundary F at 4 px", "not decided"),
    ]
    assert claims[0].decision.mean == pytest.approx(0.05) and found.main[-4:] == claims
    # the answer is about maps of one classifier, whatever its terms do
    assert found.verdict.startswith("With every classifier, Contour-CAM matches the object better than every other map")


def test_with_few_test_sets_no_map_is_better_and_no_bars_are_explained(smoke):
    found = analyse(smoke, table_of(values_of(("resnet18", "msd_classifier"), count=2)))
    assert said(found).startswith(
        "With every classifier, Contour-CAM matches the object best on average (IoU 0.60; 1 is"
    )
    assert "better than every other" not in said(found) and "Every classifier relies most on the rim" in said(found)
    assert all("bars" not in chart.caption and "2 test sets" in chart.caption for chart in found.charts.values())


def test_a_disc_that_is_better_and_a_map_that_copies_the_brightness_are_said_with_the_answer(smoke):
    values = values_of()
    values[REFERENCE, FIXED_DISC, "iou"] = [0.66] * 5
    values["resnet18", OURS, "brightness_correlation"] = [-0.8] * 5
    answer = said(analyse(smoke, table_of(values)))
    assert "A plain disc of fixed size on the true centre would match the object better (0.66)." in answer
    assert "of the pictures without the object and largely copies the brightness of the picture." in answer


def test_classifiers_that_have_not_learnt_their_task_answer_nothing(smoke):
    found = analyse(smoke, table_of(values_of(auc=0.7)))
    assert said(found) == (
        "Nothing can be concluded about maps: no classifier has learnt to tell the pictures apart (area under the "
        "curve: ResNet-18 0.70; 0.9 is needed)."
    )
    assert {chart.title for chart in found.charts.values()} == {
        "No classifier has learnt its task, so its maps and cues mean nothing"
    }
    assert said(analyse(smoke, table_of({("resnet18", "cam", "iou"): [0.5]}))) == "No classifier has been trained yet."


def test_column_heads_and_definitions_are_words(smoke):
    found = analyse(smoke, table_of(values_of()))
    heads = {str(column) for frame in found.tables.values() for column in frame.columns}
    assert {"False alarms", "Evidence lost without the rim", "Area under the curve (AUC)"} <= heads
    assert not [head for head in heads if "_" in head]
    shown = found.tables["Maps as outlines"]
    assert set(shown["False alarms"].dropna()) == {"84 %"}
