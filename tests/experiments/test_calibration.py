"""The calibration table: its Dice values against SciPy and closed forms, every published entry once."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from experiments.calibration import microscope as calibration
from experiments.calibration.tissue import calibrate_tissue, tabulated
from segjax.data import open_source
from segjax.simulators import phantoms
from segjax.simulators.tissue_cells import CELL_TYPES
from segjax.types import InputError

BIAS_STRENGTHS = {-2, -1, 1, 2}


@pytest.fixture(scope="module")
def keys():
    return calibration.outcomes(2)


@pytest.fixture(scope="module")
def counts(keys):
    """Two volumes of both sets at the coarsest voxels, with their labels."""
    numbers = {name: max(phantoms.POPULATIONS[name]) for name in calibration.FOREIGN}
    counted = {
        name: calibration.Counts(np.zeros(numbers[name]), np.zeros(numbers[calibration.FOREIGN[name]]))
        for name in numbers
    }
    volumes = [{name: phantoms.render_labels(phantoms.scene(name, 0, v), 6.0) for name in numbers} for v in range(2)]
    for labels in volumes:
        assert list(calibration.count_volume(counted, labels, keys)) == list(numbers)
    return counted, volumes


def by_scipy(mask, strength):
    """Dilate (strength > 0) or erode slice by slice; the picture's border does not erode."""
    square = np.ones((1, 3, 3), bool)
    if strength > 0:
        return ndimage.binary_dilation(mask, square, iterations=strength)
    return ndimage.binary_erosion(mask, square, iterations=-strength, border_value=1)


def dice(clean, other):
    return 2 * np.sum(clean & other) / (clean.sum() + other.sum())


def test_there_is_a_key_for_every_outcome(keys):
    assert set(keys) == BIAS_STRENGTHS


@pytest.mark.parametrize("name", list(calibration.FOREIGN))
def test_bias_agrees_with_scipy(counts, name):
    counted, volumes = counts
    masks = [labels[name] > 0 for labels in volumes]
    for left, mask in zip(counted[name].left, masks, strict=True):
        assert left == {strength: by_scipy(mask, strength).sum() for strength in BIAS_STRENGTHS}
    whole, single = calibration.bias_dice(counted[name], 2)
    values = [dice(mask, by_scipy(mask, strength)) for mask in masks for strength in BIAS_STRENGTHS]
    assert single == pytest.approx(np.mean(values))
    # Every outcome of every volume once is one large set with the expected counts.
    clean = np.stack([mask for mask in masks for _ in BIAS_STRENGTHS])
    other = np.stack([by_scipy(mask, strength) for mask in masks for strength in BIAS_STRENGTHS])
    assert whole == pytest.approx(dice(clean, other))


@pytest.mark.parametrize("name", list(calibration.FOREIGN))
def test_objects_are_counted_where_the_target_has_slices(counts, name):
    counted, volumes = counts
    for index in (1, 7):
        assert counted[name].voxels[index - 1] == sum((labels[name] == index).sum() for labels in volumes)
        uncovered = 0
        for labels in volumes:
            own, foreign = labels[name], labels[calibration.FOREIGN[name]]
            filled = own.any(axis=(1, 2))
            uncovered += ((foreign == index) & (own == 0))[filled].sum()
        assert counted[name].uncovered[index - 1] == uncovered


def test_omission_of_equal_objects_follows_the_formula():
    for rate, kept in ((0.1, 14), (0.3, 11), (0.7, 5)):  # int() of rate times 15
        assert calibration.omission_dice(np.full(15, 3.0), rate) == pytest.approx(2 * kept / (15 + kept))


def test_inclusion_of_equal_objects_follows_the_formula():
    for rate, added in ((0.1, 2), (0.7, 14)):
        value = calibration.inclusion_dice(np.full(15, 2.0), np.full(20, 5.0), rate)
        assert value == pytest.approx(2 / (2 + added * 5 / 30))


def test_the_table_has_every_published_entry(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    calibration.calibrate_microscope(tmp_path, volumes=1, size="sixth")
    lines = (tmp_path / "microscope.csv").read_text().splitlines()
    command = f"python -m experiments.calibration.microscope --out {tmp_path} --volumes 1 --size sixth --seed 0"
    assert lines[0] == f"# command: {command}"
    assert lines[1].startswith("# commit: ") and lines[2].startswith("# machine: ")
    rows = list(csv.DictReader(lines[3:]))
    assert tuple(rows[0]) == calibration.COLUMNS
    tables = (calibration.OMISSION, calibration.INCLUSION, calibration.BIAS)
    expected = sorted((name, value) for table in tables for name, values in table.items() for value in values)
    found = {
        (row["set"], row["quantity"].removesuffix(", mean of volumes")): row
        for row in rows
        if "Dice" in row["quantity"]
    }
    singles = [row for row in rows if row["quantity"].endswith("mean of volumes")]
    assert len(singles) == 6 and len({(row["set"], row["quantity"]) for row in rows}) == len(rows)
    wholes = [row for row in found.values() if row not in singles]
    assert sorted((row["set"], float(row["published"])) for row in wholes) == expected
    for row in rows:
        if row["set"] == "epithelial":
            assert row["ours"] == "" and "MoNuSAC" in row["within"]
        else:
            inside = abs(float(row["ours"]) - float(row["published"])) <= float(row["tolerance"]) + 1e-4
            assert inside == (row["within"] == "yes")
    table = (tmp_path / "microscope.md").read_text()
    assert f"- command: `{command}`" in table and "- commit: `" in table
    assert sum(line.startswith("| ") for line in table.splitlines()) == len(rows) + 2


def test_numbers_below_the_least_are_refused(tmp_path):
    with pytest.raises(InputError, match="volumes must be at least 1"):
        calibration.calibrate_microscope(tmp_path / "none", volumes=0)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_the_tissue_table_has_every_type_under_the_name_that_was_given(tmp_path):
    calibrate_tissue(tmp_path, "microscope:tissue?size=sixth&volumes=6&slices=2&seed=1", 4, 1, 1, name="other_slides")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other_slides.csv", "other_slides.md"]
    with (tmp_path / "other_slides.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert [row["type"] for row in rows] == list(CELL_TYPES)
    assert all(row["Dice"] == "-" or 0 <= float(row["Dice"]) <= 1 for row in rows)
    assert "--name other_slides`" in (tmp_path / "other_slides.md").read_text()


def test_a_type_that_no_test_field_shows_has_dashes():
    source = open_source("microscope:tissue?size=sixth&volumes=1&slices=1&crop=64")
    table = np.diag([8, 4, 0, 2, 2, 2, 2])
    table[0, 1] = 8
    rows, taken = tabulated(source, table, [0.8, float("nan"), 0.7, 0.9, 0.95, 0.75])
    assert [row[-2:] for row in rows[:3]] == [["0.800", "yes"], ["-", "-"], ["0.700", "NO"]]
    assert taken[0][1:3] == ["50.0%", "50.0%"] and taken[2][1:] == ["-"] * 7


def test_other_pictures_than_tissue_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not simulated tissue"):
        calibrate_tissue(tmp_path, "microscope:hl60")
