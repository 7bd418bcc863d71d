"""What is kept of runs beside the code: tables, and what is said of folders without results."""

import dataclasses
import json

import pandas as pd
import pytest

from experiments.committed import config_of, read_results, seeds_table, set_name, write_table
from experiments.harness.options import TrainOptions
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError


def rows(seed: int, values: list[tuple[str, str, float]], status: str = "ok") -> list[dict]:
    return [
        {"network": "unet", "seed": seed, "picture": picture, "metric": metric, "value": value, "status": status}
        for picture, metric, value in values
    ]


def test_the_table_of_seeds_has_a_row_per_cell_with_means_over_pictures():
    table = pd.DataFrame(
        [
            *rows(1, [("a", "iou", 0.5), ("b", "iou", 0.7), ("", "restarts", 2)]),
            *rows(0, [("", "auc", 0.9), ("", "restarts", 0)]),
            *rows(2, [("", "restarts", 3)], status="failed"),
        ]
    )
    wide = seeds_table(table, ["network", "seed"])
    assert wide.columns.tolist() == ["network", "seed", "status", "iou", "restarts", "auc"]
    assert wide["seed"].tolist() == [1, 0, 2] and wide["status"].tolist() == ["ok", "ok", "failed"]
    assert wide["iou"][0] == pytest.approx(0.6) and wide["restarts"].tolist() == [2, 0, 3]
    assert wide["auc"].isna().tolist() == [True, False, True]


def test_tables_say_where_they_come_from(tmp_path):
    write_table(tmp_path / "a.csv", pd.DataFrame({"dice": [0.123456789]}), {"commit": "abc", "command": "python"})
    assert (tmp_path / "a.csv").read_text() == "# commit: abc\n# command: python\ndice\n0.12346\n"
    assert set_name("folder:somewhere/cells 2?tile=64") == "cells_2" and set_name("terrain:mounds") == "mounds"


def test_folders_without_results_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no plan\.json; name the --out folder of a study"):
        read_results(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps({}))
    (tmp_path / "results.csv").write_text("study,value\n")
    with pytest.raises(InputError, match="no training has finished yet"):
        read_results(tmp_path)


def test_a_plan_gives_its_configuration_back_and_options_of_other_versions_are_named():
    config = TrainOptions(StepConfig(loss="cross_entropy", class_weights=(1.0, 2.0)), LoopConfig(epochs=3))
    stored = json.loads(json.dumps(dataclasses.asdict(config)))
    assert config_of(TrainOptions, stored) == config
    with pytest.raises(InputError, match=r"plan\.json: this version has no option 'precision'"):
        config_of(TrainOptions, {**stored, "precision": "float32"})
