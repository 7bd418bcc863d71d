"""Two annotations become rates and a recipe; annotations of other pictures are named."""

import csv
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from experiments.annotation_errors.statements import corrected_nuclei
from experiments.compare_labels import __main__ as command
from experiments.compare_labels.__main__ import spec_of
from experiments.compare_labels.estimate import compare, jitter_of, read_pair, recipe_of
from segjax.annotations import Recipe, annotate, jitter
from segjax.data import open_source
from segjax.evaluation.differences import differences
from segjax.types import InputError, Sample

PICTURES, SIDE = 6, 96


def grid(index: int) -> np.ndarray:
    """25 discs of about 7 pixels, five pairs of which touch."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.int32)
    for one in range(25):
        row, column = 9 + 19 * (one // 5), 9 + 19 * (one % 5) - 5 * (one % 5 == 4)
        labels[(np.hypot(rows - row, columns - column) < 7 + index % 2) & (labels == 0)] = one + 1
    return labels


def write(folder, labels, name="labels"):
    for place in ("images", name):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for index, one in enumerate(labels):
        Image.fromarray((40 + index + 100 * (one > 0)).astype(np.uint8)).save(folder / "images" / f"p{index}.png")
        Image.fromarray(one.astype(np.uint16)).save(folder / name / f"p{index}.png")


def sources(folder):
    return (open_source(f"folder:{folder}?annotations={name}") for name in ("labels", "quick"))


@pytest.fixture
def folder(tmp_path):
    clean = [grid(index) for index in range(PICTURES)]
    recipe = Recipe(omission=0.2, jitter=1.5, merge=0.4, scope="object")
    drawn = [annotate(jax.random.fold_in(jax.random.key(0), i), one, recipe).labels for i, one in enumerate(clean)]
    write(tmp_path / "set", clean)
    write(tmp_path / "set", drawn, "quick")
    return tmp_path / "set"


def test_a_known_recipe_is_found_within_its_intervals(folder):
    found = compare(read_pair(*sources(folder)), has_classes=False)
    for kind, true in (("missing", 0.2), ("merged", 0.4), ("split", 0.0), ("additional", 0.0)):
        assert found.rates[kind].low <= true <= found.rates[kind].high
    assert found.jitter.low <= 1.5 <= found.jitter.high
    assert "other_class" not in found.rates
    recipe = recipe_of(found)
    assert recipe.omission == round(found.rates["missing"].mean, 4) and recipe.scope == "object"
    assert 0.1 < recipe.omission < 0.3 and 0.2 < recipe.merge < 0.6 and 1 < recipe.jitter < 2


def test_objects_where_one_annotation_leaves_pixels_open_are_no_difference():
    one, other = (np.zeros((12, 12), np.int32) for _ in range(2))
    one[1:4, 1:4] = other[1:4, 1:4] = 1
    one[6:9, 6:9], other[1:4, 8:11] = 2, 2
    ignored = np.zeros((12, 12), bool)
    samples = [
        Sample(np.zeros((12, 12, 1), np.float32), labels, np.ones(2, np.int32), "g", "p") for labels in (one, other)
    ]
    assert compare([(samples[0], samples[1])], False).events["missing"] == 1
    ignored[8, 8] = ignored[1, 8] = True
    open_ones = dataclasses.replace(samples[1], ignored=ignored)
    found = compare([(samples[0], open_ones)], False)
    assert found.events["missing"] == found.events["additional"] == 0 and found.chances["missing"] == 1


def test_strong_jitter_is_found_and_what_no_jitter_explains_has_no_strength():
    rows, columns = np.mgrid[:200, :200]
    disc = (np.hypot(rows - 100, columns - 100) < 60).astype(np.int32)
    shaken = differences(disc, np.asarray(jitter(jax.random.key(1), disc, 14.0)))
    assert jitter_of(disc, shaken, 0) == pytest.approx(14, abs=2)
    assert np.isnan(jitter_of(disc, shaken._replace(distances=np.array([0.0, 100.0])), 0))


def test_rates_without_an_interval_and_outlines_further_in_are_said_as_such(tmp_path, capsys, monkeypatch):
    small = [np.where(grid(0) == 1, grid(0), 0) for _ in range(3)]
    write(tmp_path / "set", small)
    write(tmp_path / "set", [np.where(binary_erosion(grid(0) > 0), grid(0), 0) for _ in range(3)], "quick")
    folders = [f"{tmp_path / 'set'}?annotations={name}" for name in ("labels", "quick")]
    monkeypatch.setattr(sys, "argv", ["compare_labels", *folders, "--out", str(tmp_path / "out")])
    command.main()
    said = capsys.readouterr().out
    assert "additional objects: 72, 2400.00 % per object; the recipe takes 100 %" in said and "nan" not in said
    assert re.search(r"outlines lie: [01]\.\d\d px further in\n", said)


def test_the_mark_on_the_charts_of_study_1_is_what_the_corrected_pictures_show():
    with open(Path(command.__file__).parent / "results/dsb2018_corrections.csv") as file:
        rates = {row["difference"]: float(row["rate"]) for row in csv.DictReader(file)}
    expected = {"omission": rates["missing"], "inclusion": rates["additional"], "jitter": rates["jitter"]}
    assert corrected_nuclei() == pytest.approx(expected, abs=2e-3)


def test_equal_annotations_give_a_recipe_without_errors(folder):
    same = open_source(f"folder:{folder}")
    assert str(recipe_of(compare(read_pair(same, same), has_classes=False))) == "no errors"


def test_the_command_writes_a_table_and_a_recipe(folder, tmp_path):
    command = [sys.executable, "-m", "experiments.compare_labels", f"{folder}?annotations=labels"]
    ended = subprocess.run(
        [*command, f"{folder}?annotations=quick", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "missing objects: " in ended.stdout and "per touching pair" in ended.stdout
    recipe = Recipe.from_json((tmp_path / "out/recipe.json").read_text())
    assert recipe.omission > 0.1 and json.loads((tmp_path / "out/recipe.json").read_text())["scope"] == "object"
    rows = list(csv.DictReader((tmp_path / "out/differences.csv").read_text().splitlines()))
    kinds = [row["difference"] for row in rows]
    assert kinds == ["missing", "additional", "outline", "merged", "split", "jitter", "offset"]
    assert float(rows[0]["rate"]) == pytest.approx(recipe.omission, abs=1e-4) and rows[0]["pictures"] == "6"


def test_other_pictures_sizes_and_classes_are_named_before_anything_is_computed(folder, tmp_path):
    first = open_source(f"folder:{folder}")
    fewer = tmp_path / "fewer"
    write(fewer, [grid(index) for index in range(4)])
    with pytest.raises(InputError, match="second: lacks p4, p5; give two annotations of the same pictures"):
        read_pair(first, open_source(f"folder:{fewer}"))
    with pytest.raises(InputError, match="first: lacks p4, p5"):
        read_pair(open_source(f"folder:{fewer}"), first)
    smaller = tmp_path / "smaller"
    write(smaller, [grid(index)[:90] if index == 2 else grid(index) for index in range(PICTURES)])
    with pytest.raises(InputError, match="second: has another size than the first in p2; give labels of equal size"):
        read_pair(first, open_source(f"folder:{smaller}"))


def test_labels_of_other_pictures_under_the_same_names_are_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(other / "images/p3.png")
    with pytest.raises(InputError, match="second: shows other pictures than the first in p3; give the same"):
        read_pair(*(open_source(f"folder:{one}?annotations=labels") for one in (folder, other)))


def test_a_picture_in_which_one_found_nothing_is_a_difference(folder):
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint16)).save(folder / "quick/p0.png")
    first, second = (open_source(spec_of(f"{folder}?annotations={name}")) for name in ("labels", "quick"))
    assert compare(read_pair(first, second), has_classes=False).events["missing"] >= 25
    assert spec_of("folder:here") == "folder:here?empty=keep" and spec_of("h?empty=refuse") == "folder:h?empty=refuse"


def test_a_first_annotation_without_objects_is_refused(folder):
    class Empty:
        names, class_names = open_source(f"folder:{folder}").names, ("cell",)

        def __getitem__(self, index):
            sample = open_source(f"folder:{folder}")[index]
            return dataclasses.replace(sample, labels=sample.labels * 0)

    with pytest.raises(InputError, match="first: has no object in any picture"):
        read_pair(Empty(), open_source(f"folder:{folder}"))
