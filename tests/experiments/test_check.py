"""The command tells a sound folder from a bad one by its words and its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from experiments.check.command import check
from segjax.data.folders.check import inspect_folder
from segjax.data.folders.folder_options import FolderOptions


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for index, name in enumerate("abcdef"):
        pixels = np.random.default_rng(index).integers(0, 200, (20, 24)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"set/images/{name}.png")
        Image.fromarray(np.eye(20, 24).astype(np.uint8)).save(tmp_path / f"set/labels/{name}.png")
    return tmp_path / "set"


def test_sound_folder(folder, capsys):
    assert check(f"folder:{folder}?tile=16") == 0
    text = capsys.readouterr().out
    for part in (
        "pictures read",
        "24 pixels",
        "20 pixels",
        "grey (6)",
        "6 in all, 1 per picture",
        "no problems",
        "24 pictures of tile=16",
    ):
        assert part in text


def test_classes_are_listed_with_their_names(folder, capsys):
    (folder / "labels").rename(folder / "classes")
    mask = np.eye(20, 24).astype(np.uint8)
    mask[0, 5:], mask[7, 7] = 255, 3
    Image.fromarray(mask).save(folder / "classes/a.png")
    (folder / "names.csv").write_text("class,name\n1,round\n3,long\n")
    assert check(f"folder:{folder}?class_names=names.csv") == 0
    assert "round in 6, long in 1, not judged in 1 pictures" in capsys.readouterr().out


def test_every_problem_is_shown_with_file_and_remedy(folder, capsys):
    (folder / "labels/a.png").unlink()
    (folder / "images/b.png").write_bytes(b"damaged")
    assert check(str(folder)) == 2
    text = capsys.readouterr().out
    for part in ("images/a.png", "has no label image", "images/b.png", "cannot be read", "2 problem(s)"):
        assert part in text


KEYS = (34735, "H", 12, (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 32637), False)
PLACE = [(33550, "d", 3, (2.0, 2.0, 0.0), False), (33922, "d", 6, (0.0, 0.0, 0.0, 4e5, 4e6, 0.0), False)]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([KEYS, *PLACE], "5 of 6 pictures (b.png, c.png, d.png and 2 more): no georeference, which others have"),
        (PLACE, "1 of 6 pictures (a.tif): has no coordinate system with an EPSG number"),
    ],
)
def test_what_lacks_a_place_on_the_ground_is_remarked(folder, capsys, tags, said):
    (folder / "images/a.png").unlink()
    pixels = np.random.default_rng(0).integers(0, 200, (20, 24)).astype(np.uint8)
    tifffile.imwrite(folder / "images/a.tif", pixels, extratags=tags)
    assert check(str(folder)) == 0
    text = capsys.readouterr().out
    assert any(said in str(remark) for remark in inspect_folder(folder, FolderOptions()).remarks)
    for part in ("remark(s); studies still accept the folder", "no problems: the folder can be used"):
        assert part in text


def test_pictures_without_any_place_are_not_remarked(folder, capsys):
    assert check(str(folder)) == 0
    assert "remark" not in capsys.readouterr().out


def test_same_picture_on_two_sides_of_a_split(folder, tmp_path, capsys):
    (folder / "images/b.png").write_bytes((folder / "images/a.png").read_bytes())
    split = {"validation_by": "group", "train": ["a@0,0"], "validation": [], "test": ["b@0,0"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert check(str(folder), tmp_path / "split.json") == 2
    assert "one in train and one in test" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("images/c.png", ""),
        ("labels/c.png", ""),
        ("groups.csv", "?groups=groups.csv"),
        ("names.csv", "?annotations=labels&class_names=names.csv"),
        ("split.json", ""),
    ],
)
def test_a_pipe_is_named_and_nobody_waits(folder, capsys, name, options):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert check(f"folder:{folder}{options}", folder / name if name == "split.json" else None) == 2
    assert name.rpartition("/")[2] in capsys.readouterr().out


@pytest.mark.parametrize("data", ["nowhere", "folder:nowhere", "folder:.?colour=1"])
def test_what_cannot_be_checked(data, capsys):
    assert check(data) == 2
    assert "cannot be checked" in capsys.readouterr().out


@pytest.mark.slow
def test_as_a_command(folder):
    root = Path(__file__).resolve().parents[2]
    run = [sys.executable, "-m", "experiments.check"]
    found = subprocess.run([*run, str(folder / "labels")], cwd=root, capture_output=True, text=True)
    assert found.returncode == 2 and "has no labels" in found.stdout
    taught = subprocess.run([*run, "--help"], cwd=root, capture_output=True, text=True)
    assert taught.returncode == 0 and "labels=instances|components" in taught.stdout
