"""Programs from elsewhere in claims, tables and charts: compared in the families of the other rivals, and marked."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.annotation_errors.analysis import untaught
from experiments.annotation_errors.grid import Trial as ErrorTrial
from experiments.annotation_upgrade.grid import Trial as UpgradeTrial
from experiments.annotation_upgrade.grid import laboratory
from experiments.few_shot.grid import Trial as FewShotTrial
from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of
from experiments.publish import study_of
from experiments.site_segmentation.grid import Trial as SiteTrial
from segjax.evaluation import decide
from segjax.sweeps import Replicates, ResultTable

SEEDS = np.array([0.0, 0.01, 0.02, 0.01, 0.03])
OTHER, NAMED = "Other@1a2b3c4d", "Other (predicted elsewhere)"


def config_of(name, scale="smoke", **changes):
    return overlaid(defaults_of(study_of(name), scale), {"run": {"out": Path("out")}, **changes})


def table_of(values, metrics=("dice_pooled",)):
    """A table of trials with a value per seed, the same for every metric, but for false positives one less that."""
    rows = [
        {**dataclasses.asdict(dataclasses.replace(trial, seed=seed)), "picture": "", "metric": metric}
        | {"value": 1 - value if metric == "false_positive_rate" else value}
        for trial, by_seed in values.items()
        for seed, value in enumerate(by_seed)
        for metric in metrics
    ]
    frame = pd.DataFrame(rows).assign(status="ok", code="c0de")
    return ResultTable.from_rows(frame, type(next(iter(values))), Replicates(tuple("abcde")))


def beside_other(claims):
    return [claim for claim in claims if claim.rival == NAMED]


def expected(values, pairs):
    return [one.p for one in decide([100 * (values[one] - values[other]) for one, other in pairs])]


def test_networks_trained_on_noisy_labels_stand_beside_it():
    clean, omitted = ErrorTrial("unet", 0), ErrorTrial("unet", 0, "omission", 0.5)
    pasted, included = ErrorTrial("unet", 0, "inclusion"), ErrorTrial("unet", 0, "inclusion", 0.5)
    other = ErrorTrial(OTHER, 0)
    values = {
        omitted: 0.70 + 2 * SEEDS, clean: 0.90 + SEEDS, pasted: 0.85 + SEEDS, included: 0.8 - SEEDS,
        other: 0.40 + SEEDS[::-1],
    }  # fmt: skip
    table = table_of(values)
    found = study_of("annotation_errors").analyse(config_of("annotation_errors"), table)
    claims = beside_other(found.claims)  # of the plain pictures alone
    assert [claim.subject for claim in claims] == ["U-Net with clean labels", "U-Net with 50 % omitted cells"]
    family = expected(values, [(clean, other), (omitted, other)])
    np.testing.assert_allclose([claim.decision.p for claim in claims], family)
    assert beside_other(found.main) == claims[:1]
    assert untaught(table) == {} and "Other" not in found.verdict  # no network of ours
    without = table_of({trial: value for trial, value in values.items() if trial != other})
    assert study_of("annotation_errors").analyse(config_of("annotation_errors"), without).verdict == found.verdict
    shown = found.charts["dice_of_the_test_set"]
    lines = shown.table[shown.table["network"] == NAMED]
    assert lines["labels"].tolist() == ["not known here"] and lines["Dice"].tolist() == [0.414]
    assert "Horizontal lines: programs from elsewhere" in shown.caption
    assert len(shown.wide.axes[0].get_lines()) > 0  # it can be drawn
    rows = found.tables["dice_pooled"].set_index("network")
    assert rows.loc[NAMED, "labels"] == "not known here" and rows.loc[NAMED, "test sets"] == 5


def test_repaired_labels_stand_beside_it():
    config = config_of("annotation_upgrade", error="omission=0.5", questions=("rivals",), rivals=())
    own = {method: laboratory(config, "unet", method) for method in ("upgraded", "clean", "raw", "all_clean")}
    other = UpgradeTrial(OTHER, 0, "elsewhere")
    values = {trial: 0.6 + place / 10 + SEEDS * place for place, trial in enumerate(own.values())}
    values[other] = 0.8 - SEEDS
    found = study_of("annotation_upgrade").analyse(config, table_of(values))
    (claim,) = beside_other(found.main)
    assert claim.subject == "U-Net with repaired labels"
    rivals = [own["clean"], own["raw"], own["all_clean"], other]
    assert claim.decision.p == pytest.approx(expected(values, [(own["upgraded"], one) for one in rivals])[-1])
    assert NAMED in found.charts["does_it_pay"].table["trained on"].tolist()
    rows = found.tables["dice_pooled"].set_index("network")
    assert rows.loc[NAMED, "labels"] == "not known here" and rows.index[0] == "U-Net"


def test_heads_stand_beside_it():
    config = config_of("few_shot")
    head, prototype = (
        FewShotTrial("unet", 0, "disc", method, "joint_ignored", "all", 2, 4) for method in ("logistic", "prototype")
    )
    whole, other = FewShotTrial("unet", 0, "disc", "all_labels"), FewShotTrial(OTHER, 0, "disc", "elsewhere")
    values = {whole: 0.8 + SEEDS, head: 0.7 - SEEDS, prototype: 0.6 + SEEDS, other: 0.75 + 2 * SEEDS}
    metrics = ("dice_pooled", "dice_pooled_q25", "dice_pooled_median", "dice_pooled_q75", "f1")
    found = study_of("few_shot").analyse(config, table_of(values, metrics))
    (claim,) = beside_other(found.claims)
    assert claim.subject == "2 annotated pictures, perceptron (logistic loss)"
    assert claim.decision.p == pytest.approx(expected(values, [(head, prototype), (head, other)])[-1])
    assert beside_other(found.main) == [claim]
    assert NAMED in found.charts["heads_and_baselines_with_2_shots"].table["method"].tolist()
    rows = found.tables["Heads and baselines, Dice over types"].set_index("method")
    assert rows.loc[NAMED, "Dice"].startswith("0.778")


def test_maps_stand_beside_it():
    config = config_of("site_segmentation")
    maps = SiteTrial("unet", 0, "maps", "resnet18", "contour_cam", "otsu", "none")
    outlines, points = SiteTrial("unet", 0, "outlines"), SiteTrial("unet", 0, "points")
    other = SiteTrial(OTHER, 0, "elsewhere")
    values = {maps: 0.6 - SEEDS, outlines: 0.8 + SEEDS, points: 0.5 + SEEDS, other: 0.65 + 2 * SEEDS}
    metrics = ("dice_pooled", "detection_rate", "false_positive_rate", "boundary_f_4px")
    found = study_of("site_segmentation").analyse(config, table_of(values, metrics))
    of_dice = [claim for claim in beside_other(found.claims) if claim.metric == "Dice"]
    (claim,) = of_dice
    pairs = [(maps, one) for one in (points, outlines, other)]
    assert claim.decision.p == pytest.approx(expected(values, pairs)[-1])
    assert claim in found.main and len(beside_other(found.main)) == 3  # Dice and both rates
    rows = found.tables["All networks"].set_index("network")
    assert rows.loc[NAMED, "trained on"] == "not known here" and rows.loc[NAMED, "worth in outlines"] == "-"
    panel = found.charts["found_by_unet"].table
    assert NAMED in panel["trained on"].tolist()
    assert found.charts["boundaries_unet"].title.endswith("after training on all outlines")
    better = {**values, other: 0.9 + SEEDS}
    found = study_of("site_segmentation").analyse(config, table_of(better, metrics))
    assert found.charts["boundaries_unet"].title == f"Predicted outlines lie nearest to the true ones from {NAMED}"
