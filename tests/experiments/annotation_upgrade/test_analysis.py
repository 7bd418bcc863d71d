"""Findings, sentences and the page of study 2 from tables written by hand."""

import dataclasses
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
from experiments.annotation_upgrade.answers import answers, question, verdict
from experiments.annotation_upgrade.config import defaults_of, resolve
from experiments.annotation_upgrade.findings import Findings, error_name
from experiments.annotation_upgrade.report import figures_of, number_tables
from experiments.committed import read_results

from experiments.annotation_upgrade import results
from experiments.annotation_upgrade.grid import FACTORS
from segjax.evaluation import Difference
from segjax.reports import failed_cells
from segjax.types import InputError

SEEDS = 3


@pytest.fixture
def config(tmp_path):
    return resolve(
        dataclasses.replace(defaults_of("reduced"), out=tmp_path, careful=10, careless=40, error="omission=0.5")
    )


def rows(values, status="ok", **factors):
    """Rows of results: values are by metric, one number per seed."""
    neutral = {
        "data": "microscope:mixed", "network": "unet", "error": "omission=0.5", "learnt": "none", "careful": 10,
        "volumes": 0, "careful_error": "none", "clean": 8, "total": 48, "round": 0,
    }  # fmt: skip
    for metric, numbers in {**values, "restarts": [0] * SEEDS}.items():
        for seed, value in enumerate(numbers):
            yield {
                "study": "annotation_upgrade", **neutral, "seed": seed, **factors, "picture": "", "metric": metric,
                "value": value, "status": status,
            }  # fmt: skip


def found_in(config, *parts):
    table = pd.DataFrame([row for part in parts for row in part])
    return Findings(config, table[["study", *FACTORS, "picture", "metric", "value", "status"]], "unet", 4.0), table


def laboratory(upgraded):
    labels = {"label_dice": [0.6, 0.6, 0.6], "upgraded_dice": [0.9, 0.9, 0.9]}
    return [
        rows({"dice_pooled": [0.70, 0.72, 0.74]}, method="clean", error="none", total=8),
        rows({"dice_pooled": [0.65, 0.66, 0.67], "label_dice": [0.6] * 3}, method="raw"),
        rows({"dice_pooled": upgraded, **labels}, method="upgraded", learnt="known"),
        rows({"dice_pooled": [0.70, 0.70, 0.70]}, method="mean teacher"),
        rows({"dice_pooled": [0.90, 0.91, 0.92]}, method="all clean", error="none"),
    ]


def test_upgrading_is_compared_with_every_method_in_pairs(config):
    found, _ = found_in(config, *laboratory([0.80, 0.83, 0.83]))
    ahead = {name: difference for name, difference in found.ahead()}
    assert list(ahead) == ["clean", "raw", "mean teacher", "all clean"]
    # 10, 11 and 9 points; t(0.975, 2) = 4.3027 and s = 1
    assert ahead["clean"].mean == pytest.approx(10.0)
    assert ahead["clean"].high - ahead["clean"].mean == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)
    assert ahead["all clean"].mean == pytest.approx(-9.0)
    assert [row.behind is None for row in found.compared()] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("upgraded", "said"),
    [
        ([0.80, 0.83, 0.83], "Repairing pays."),
        ([0.60, 0.63, 0.63], "Repairing does harm here."),
        ([0.60, 0.72, 0.85], "Whether repairing pays is not decided by these runs."),
    ],
)
def test_the_verdict_follows_the_interval(config, upgraded, said):
    found, _ = found_in(config, *laboratory(upgraded))
    assert answers(found)[0].startswith(said)
    assert "10 careful pictures only, the network reaches Dice 0.720" in answers(found)[0]
    assert f"upgrading {'loses' if upgraded[1] < 0.7 else 'gains'} " in answers(found)[0]


def test_two_seeds_are_no_finding():
    nan = float("nan")
    assert "impression" in verdict(Difference(5.0, nan, nan, 2, 0.5))
    assert verdict(Difference(nan, nan, nan, 0, nan)) == "There is no result yet."


def test_a_failed_run_counts_in_no_mean_but_is_listed(config):
    broken = rows({"dice_pooled": [0.1, 0.1, 0.1]}, method="generalized cross entropy", status="collapsed")
    found, table = found_in(config, *laboratory([0.8, 0.8, 0.8]), broken)
    assert "generalized cross entropy" not in dict(found.ahead())
    assert failed_cells(table, ["network", "method"])["what happened"].tolist() == ["predicted background only"] * SEEDS


def upgrades(config):
    base = {"method": "upgrade", "learnt": "known", "clean": 0, "total": 0}
    for careful, after in ((5, 0.7), (40, 0.9)):
        yield rows({"label_dice": [0.6] * 3, "upgraded_dice": [after, after, after + 0.03]}, careful=careful, **base)
    yield rows({"label_dice": [0.6] * 3, "upgraded_dice": [0.85] * 3}, careful=40, **{**base, "learnt": "mixture"})


def test_quality_curve_and_the_price_of_not_knowing_the_error(config):
    found, _ = found_in(config, *upgrades(config))
    known, mixture, before = found.quality_lines()
    assert known.x == [5, 40] and [round(y.mean, 3) for y in known.y] == [0.71, 0.91]
    assert mixture.x == [40] and before.grey and [y.mean for y in before.y] == pytest.approx([0.6, 0.6])
    text = " ".join(answers(found))
    assert "have Dice 0.600" in text and "0.710" in text and "with 40" in text
    assert "6.0 Dice points" in text  # 0.91 - 0.85


def test_sentences_about_predictions(config):
    base = {"error": "predictions", "round": 1}
    labels = {"label_dice": [0.5, 0.6, 0.7], "upgraded_dice": [0.7, 0.7, 0.7]}
    found, _ = found_in(
        config,
        rows({"dice_pooled": [0.70, 0.72, 0.74]}, method="clean", error="none", total=8),
        rows({"dice_pooled": [0.71, 0.72, 0.73], "label_dice": [0.5, 0.6, 0.7]}, method="predictions", **base),
        rows({"dice_pooled": [0.75, 0.77, 0.79], **labels}, method="upgraded predictions", learnt="mixture", **base),
    )
    text = " ".join(answers(found))
    assert "predicts the other pictures with Dice 0.600; upgraded, these predictions have 0.700" in text
    assert "ahead of the network of careful pictures only by 5.0 Dice points" in text
    assert [row.before.mean for row in found.prediction_rows()] == [pytest.approx(0.6)]


def test_an_empty_table_has_a_question_and_no_answers(config):
    found, table = found_in(config, *laboratory([0.8, 0.8, 0.8]))
    empty = Findings(config, table.iloc[:0], "unet", 4.0)
    assert answers(empty) == [] and figures_of(empty) == {} and "10 pictures" in question(empty)
    assert next(iter(number_tables(table))) == "dice_pooled"
    json.dumps(question(found))


def test_errors_in_words():
    assert error_name("omission=0.3") == "30 % omitted cells"
    assert error_name("omission=0.3+bias=4", 4.0) == "30 % omitted cells and outline errors of up to 4 published px"
    assert error_name("mixture") == "a mixture"


def test_results_are_written_for_keeping(config, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    _, table = found_in(config, *laboratory([0.80, 0.83, 0.83]), *upgrades(config))
    table.to_csv(run / "results.csv", index=False)
    stored = json.loads(json.dumps(dataclasses.asdict(dataclasses.replace(config, out=run)), default=str))
    plan = {"study": "annotation_upgrade", "config": stored, "commit": "abc", "machine": "an abacus"}
    (run / "plan.json").write_text(json.dumps(plan))
    monkeypatch.setattr(sys, "argv", ["results", str(run), "--out", str(tmp_path / "kept")])
    results.main()
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    tables = {f"{stem}_hl60.csv" for stem in ("labels", "methods", "seeds")}
    figures = {f"{stem}_hl60.svg" for stem in ("does_it_pay", "quality_against_careful_pictures")}
    assert tables | figures | {"findings.md"} <= kept
    head = (tmp_path / "kept" / "methods_hl60.csv").read_text()
    assert "# commit of the study: abc" in head and "--error omission=0.5" in head
    methods = pd.read_csv(io.StringIO(head), comment="#")
    assert methods["upgraded_ahead"].round(1).tolist()[1:] == [10.0, 16.0, 12.0, -9.0]
    labels = pd.read_csv(tmp_path / "kept" / "labels_hl60.csv", comment="#")
    assert labels["before"].tolist() == [0.6] * 3 and labels["seeds"].tolist() == [3] * 3
    assert "- Repairing pays." in (tmp_path / "kept" / "findings.md").read_text()


@pytest.mark.parametrize("missing", ["plan.json", "results.csv"])
def test_results_need_a_run(tmp_path, missing):
    for name in {"plan.json", "results.csv"} - {missing}:
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=f"there is no {missing}"):
        read_results(tmp_path)
