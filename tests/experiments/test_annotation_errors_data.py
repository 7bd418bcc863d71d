"""Study 1 end to end on every kind of data and error, its faulty labels against what can be worked out without it."""

import itertools
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from experiments.annotation_errors.__main__ import main
from segjax.data import open_source
from segjax.data.builders import prepare

pytestmark = pytest.mark.slow
TINY = ["--scale", "smoke", "--networks", "msd", "--sizes.msd-depth", "1", "--train.epochs", "1"]
SIDE, GROUPS = 10, 4  # edge of the drawn squares; every group has two pictures with two squares each


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Runs the study; gives its rows, the Dice of its faulty labels by error and level, its split and its page."""

    def run(*options):
        out = tmp_path / "run"
        monkeypatch.setattr(sys, "argv", ["annotation_errors", *TINY, "--out", str(out), *options])
        main()
        table = pd.read_csv(out / "results.csv", keep_default_na=False)
        labels = table[table["metric"] == "label_dice"]
        found = {(row.error, row.level): float(row.value) for row in labels.itertuples()}
        assert len(found) == len(labels) and set(table["status"]) == {"ok"}
        assert (table["metric"] == "dice_pooled").sum() == (table["metric"] == "restarts").sum() == len(found)
        return table, found, json.loads((out / "splits" / "seed-0.json").read_text()), (out / "report.html").read_text()

    return run


@pytest.fixture
def folder(tmp_path):
    """Two squares in every picture, twice per patient."""
    path = tmp_path / "my nuclei"
    generator = np.random.default_rng(0)
    for part in ("images", "labels"):
        (path / part).mkdir(parents=True)
    for patient, picture in itertools.product(range(GROUPS), "ab"):
        labels = np.zeros((48, 48), np.uint8)
        labels[8 : 8 + SIDE, 8 : 8 + SIDE], labels[28 : 28 + SIDE, 26 : 26 + SIDE] = 1, 2
        grey = (120 * (labels > 0) + generator.integers(0, 60, labels.shape)).astype(np.uint8)
        for part, pixels in (("images", grey), ("labels", labels)):
            Image.fromarray(pixels).save(path / part / f"patient{patient}-{picture}.png")
    return path


def dice(overlap, one, other):
    return 2 * overlap / (one + other)


@pytest.mark.slow
def test_own_folder_with_every_error(study, folder):
    both = "omission=0.5+inclusion=0.5"
    errors = ["omission", "inclusion", "jitter", "shift", "polygon", "markov", both]
    extra = "microscope:granulocytes?size=sixth&volumes=2&slices=1"
    data = f"folder:{folder}?groups=(patient.)"
    table, found, split, page = study(
        "--data", data, "--extra", extra, "--errors", *errors, "--levels", "0.5", "4"
    )  # fmt: skip
    assert set(found) == {
        ("none", 0), ("omission", 0.5), ("inclusion", 0), ("inclusion", 0.5),
        ("jitter", 4), ("shift", 4), ("polygon", 4), ("markov", 4), (both, 1),
    }  # fmt: skip
    # Half of two equal squares: 2 (1 / 2) / (3 / 2). Foreign objects that are not annotated leave the labels clean.
    assert found["omission", 0.5] == pytest.approx(2 / 3)
    assert found["none", 0] == found["inclusion", 0] == 1
    assert 0.1 < found["inclusion", 0.5] < 1
    assert found[both, 1] < found["omission", 0.5]
    assert "50 % omitted cells and 50 % wrongly included objects" in page.replace("\N{NO-BREAK SPACE}", " ")
    # A field of standard deviation 4 moves outlines of a 10-pixel square, but not beyond recognition.
    assert 0.3 < found["jitter", 4] < 1
    # All squares of a patient move 4 pixels in one direction; the three patients that are not tested differ in it.
    angles = np.linspace(0, 2 * np.pi, 10_000)
    moves = {(abs(round(4 * np.sin(angle))), abs(round(4 * np.cos(angle)))) for angle in angles}
    overlaps = {(SIDE - down) * (SIDE - right) for down, right in moves}
    possible = {sum(some) / (3 * SIDE**2) for some in itertools.product(overlaps, repeat=3)}
    assert any(found["shift", 4] == pytest.approx(value, abs=1e-5) for value in possible)
    # Four corners on the outline of a square span between half of it (less what whole pixels round off) and all of it.
    assert dice(0.45, 1, 0.45) < found["polygon", 4] < 1
    # Four steps move outlines by a fifth of a pixel; the flips and the blur round off the corners.
    assert 0.8 < found["markov", 4] < 1
    patients = {side: {name[:8] for name in split[side]} for side in ("train", "validation", "test")}
    assert sum(len(names) for names in patients.values()) == GROUPS == len(set.union(*patients.values()))
    assert set(table["picture"]) - {""} == set(split["test"])
    assert "<h1>What annotation errors cost: pictures in my nuclei</h1>" in page
    assert "Dice beside the published curves" not in page and "published pixels" not in page


def test_prepared_set_with_outline_errors(study, tmp_path):
    source = open_source("microscope:hl60?size=sixth&volumes=4&slices=1&crop=48")
    prepare(source, tmp_path / "sets", "nuclei")
    table, found, split, page = study(
        "--data", f"tfds:nuclei?dir={tmp_path}/sets", "--errors", "bias", "--levels", "6"
    )  # fmt: skip
    assert set(found) == {("none", 0), ("bias", 6)} and set(table["data"]) == {"tfds:nuclei"}
    # 6 published pixels are 1 here: every volume is dilated or eroded once, and nothing else can come out.
    masks = [source[source.names.index(name)].labels > 0 for name in (*split["train"], *split["validation"])]
    square = np.ones((3, 3), bool)
    outcomes = [(ndimage.binary_dilation(m, square), ndimage.binary_erosion(m, square, border_value=1)) for m in masks]
    possible = [
        dice(np.sum(np.stack(masks) & np.stack(some)), np.sum(masks), np.sum(some))
        for some in itertools.product(*outcomes)
    ]
    assert min(abs(found["bias", 6] - value) for value in possible) < 1e-5 and found["bias", 6] < 1
    assert "<h1>What annotation errors cost: nuclei (tfds)</h1>" in page
    assert "outline errors of up to 1\N{NO-BREAK SPACE}px" in page


def test_mixed_nuclei_bring_their_own_foreign_objects(study):
    data = "microscope:mixed?size=sixth&volumes=4&slices=1&crop=90"
    table, found, split, page = study("--data", data, "--errors", "inclusion", "--levels", "0.5")
    assert set(found) == {("none", 0), ("inclusion", 0.5)}
    source = open_source(data)
    samples = [source[source.names.index(name)] for name in (*split["train"], *split["validation"])]
    target = sum(np.sum(sample.of_class(1) > 0) for sample in samples)
    foreign = [np.sum(sample.of_class(2) == i) for sample in samples for i in np.unique(sample.of_class(2)) if i]
    # Half of the foreign objects are added: fewer than all of them, and more than none.
    assert dice(target, target, target + sum(foreign)) < found["inclusion", 0.5] < dice(target, target, target + 1)
    assert "What annotation errors cost: simulated mixed nuclei" in page and data in page.replace("&amp;", "&")
    assert set(table["picture"]) - {""} == set(split["test"])
