"""Tables and figures from folders of results written by hand."""

import dataclasses
import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import tyro

from experiments.annotation_errors import shape
from experiments.annotation_errors.config import StudyConfig, defaults_of, resolve
from segjax.types import InputError

COLUMNS = ["study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status"]


def folder(path, data, cells, **changes):
    """A results folder: cells are (network, error, level, values by seed); label_dice is 0.75 everywhere."""
    config = resolve(dataclasses.replace(defaults_of("smoke"), out=Path("runs/x"), data=data, **changes))
    path.mkdir()
    plan = {"config": json.loads(json.dumps(dataclasses.asdict(config), default=str)), "machine": "an abacus"}
    plan["commit"] = "abc"
    (path / "plan.json").write_text(json.dumps(plan))
    rows = [
        ("annotation_errors", data.partition("?")[0], network, seed, error, level, "", metric, number, "ok")
        for network, error, level, values in cells
        for seed, value in enumerate(values)
        for metric, number in (("dice_pooled", value), ("label_dice", 0.75), ("restarts", 0))
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path / "results.csv", index=False)
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["shape", *map(str, arguments)])
    shape.main()


def table_in(path):
    lines = path.read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith("# ")]
    return "".join(head), pd.read_csv(io.StringIO("".join(lines[len(head) :])))


def cells(omitted, included, biased):
    return [
        ("msd", "none", 0, [0.9, 0.9, 0.9]), ("msd", "omission", 0.3, [omitted, omitted + 0.02, omitted + 0.04]),
        ("msd", "inclusion", 0, [0.9] * 3), ("msd", "inclusion", 0.7, [included] * 3),
        ("msd", "bias", 4, [0.88] * 3), ("msd", "bias", 8, [biased] * 3),
    ]  # fmt: skip


@pytest.fixture
def both(tmp_path):
    options = "?size=quarter&volumes=4"
    small = folder(tmp_path / "g", f"microscope:granulocytes{options}", cells(0.8, 0.3, 0.6), tolerance=1.0)
    return small, folder(tmp_path / "h", f"microscope:hl60{options}", cells(0.85, 0.85, 0.86), networks=("msd",))


def test_two_sets_give_shape_and_doses(both, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(monkeypatch, *both, "--out", out)
    head, found = table_in(out / "shape.csv")
    for part in (
        "# command: python -m experiments.annotation_errors.shape",
        "# commit: ",
        "# commit of hl60: abc",
        "# machine of hl60: an abacus",
    ):
        assert part in head
    assert list(found.columns) == [
        "statement", "set", "network", "error", "level", "ours_mean", "interval_low", "interval_high", "seeds",
        "published", "came_out",
    ]  # fmt: skip
    rows = {(row.statement, row.set, row.level): row for row in found.itertuples()}
    # HL60 loses 5, 3 and 1 points: half width 4.302653 * 2 / sqrt(3)
    small = rows["i", "hl60", 0.3]
    assert (small.ours_mean, small.interval_low, small.came_out) == (3, pytest.approx(-1.968, abs=1e-3), "no")
    assert [rows["iii", name, 0.7].ours_mean for name in ("hl60", "granulocytes", "granulocytes - hl60")] == [5, 60, 55]
    assert {row.came_out for key, row in rows.items() if key[0] in ("iii", "iv") and key[2] != 4} == {"yes"}
    text = (out / "shape.md").read_text()
    assert "granulocytes: Outline errors of up to 8 published px cost MSD 30.0 points" in text
    assert text.count("\n| ") == len(found) + 2

    head, doses = table_in(out / "dose_response_hl60.csv")
    assert "--networks msd" in head and "abacus" in head
    omitted = doses[(doses["error"] == "omission") & (doses["level"] == 0.3)].iloc[0]
    assert (omitted["dice_mean"], omitted["dice_seeds"], omitted["label_dice_mean"]) == (0.87, 3, 0.75)
    assert omitted["published_mean"] == 0.9558
    assert doses[doses["level"] == 8]["published_mean"].isna().all()
    assert (out / "dose_response_granulocytes.svg").read_text().startswith("<?xml")


def test_other_pictures_give_doses_alone(tmp_path, monkeypatch):
    data = "folder:/far away/Mouse nuclei?tile=64"
    run(monkeypatch, folder(tmp_path / "run", data, cells(0.8, 0.5, 0.7)), "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dose_response_pictures_in_Mouse_nuclei.csv", "dose_response_pictures_in_Mouse_nuclei.svg",
    ]  # fmt: skip
    _, doses = table_in(tmp_path / "out" / "dose_response_pictures_in_Mouse_nuclei.csv")
    assert "published_mean" not in doses.columns


def test_the_command_of_a_study_gives_its_configuration_again():
    given = [
        "--scale", "demo", "--out", "runs/a b", "--data", "microscope:hl60?size=sixth&volumes=5", "--networks", "msd",
        "--levels", "0.25", "6", "--errors", "omission", "bias", "--train.epochs", "3", "--sizes.msd-depth", "7",
    ]  # fmt: skip
    config = resolve(tyro.cli(StudyConfig, args=given, default=defaults_of("demo")))
    command = shape.study_command(json.loads(json.dumps(dataclasses.asdict(config), default=str)))
    prefix = "python -m experiments.annotation_errors "
    assert command.startswith(prefix)
    again = tyro.cli(StudyConfig, args=shape.shlex.split(command.removeprefix(prefix)), default=defaults_of("demo"))
    assert resolve(again) == config


def test_folders_that_do_not_fit_are_refused(both, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"there is no plan\.json; name the --out folder"):
        run(monkeypatch, tmp_path / "none", "--out", tmp_path / "out")
    with pytest.raises(InputError, match="folders: give one, or two"):
        run(monkeypatch, both[0], both[0], "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
