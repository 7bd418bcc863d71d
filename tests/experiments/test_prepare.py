"""The command that prepares public sets, and a study on what it prepared."""

import sys

import pandas as pd
import pytest

from experiments import prepare as command
from experiments.activation_maps.__main__ import main as study_of_maps
from experiments.annotation_errors.__main__ import main
from segjax.data import open_source
from segjax.data.builders import PUBLIC_SETS
from tests.data.builders.owners import OWNERS, pets


@pytest.fixture
def files(tmp_path):
    OWNERS["pannuke"](tmp_path / "files")
    return tmp_path / "files"


def test_sets_are_listed_with_licence_address_and_files(capsys):
    assert command.prepare() == 0
    told = capsys.readouterr().out
    for name, kind in PUBLIC_SETS.items():
        assert name in told and kind.CARD.licence in told and kind.CARD.address in told
        assert all(line.strip() in told for line in kind.CARD.tree.splitlines())


def test_a_set_is_prepared_and_its_defects_are_printed(files, tmp_path, capsys):
    assert command.prepare("pannuke", files, tmp_path / "sets") == 0
    told = capsys.readouterr().out
    assert "fold1: 4 pictures in 4 groups, 8 objects" in told
    assert "remark: fold1 holds 4 pictures, published are 2,656" in told
    assert "remark: no object is annotated in 3 of 12 pictures" in told
    assert f"written to {tmp_path / 'sets'}/pannuke/1.0.0" in told and "digest: " in told
    assert f"--data 'tfds:pannuke?dir={tmp_path / 'sets'}'" in told
    assert command.prepare("pannuke", files, tmp_path / "sets") == 0
    assert "exists already and is kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("pannuk", "files", "'pannuk' is not among the sets: cbia_hl60, "),
        ("", "files", "'' is not among the sets"),
        ("pannuke", None, "give the folder with its files as --from"),
        ("pannuke", "nowhere", "no such folder"),
        ("lizard", "files", "there are no pictures of Lizard_Images1 and 2"),
    ],
)
def test_what_cannot_be_prepared_is_told_with_the_files_expected(files, tmp_path, capsys, name, given, message):
    assert command.prepare(name, None if given is None else tmp_path / given, tmp_path / "sets") == 2
    told = capsys.readouterr().out
    assert message in told
    if name in PUBLIC_SETS:
        assert PUBLIC_SETS[name].CARD.address in told


@pytest.mark.slow
@pytest.mark.parametrize(("name", "division"), [("pannuke", "group"), ("epfl_mitochondria", "slice")])
def test_a_study_runs_on_a_prepared_set(tmp_path, monkeypatch, name, division):
    OWNERS[name](tmp_path / "files")
    assert command.prepare(name, tmp_path / "files", tmp_path / "sets") == 0
    data = f"tfds:{name}?dir={tmp_path}/sets&least_objects=1"
    tiny = ["--scale", "smoke", "--networks", "msd", "--sizes.msd-depth", "1", "--train.epochs", "1", "--folds", "2"]
    options = [
        "--out",
        f"{tmp_path}/run",
        "--data",
        data,
        "--validation",
        division,
        "--errors",
        "bias",
        "--levels",
        "2",
    ]
    monkeypatch.setattr(sys, "argv", ["annotation_errors", *tiny, *options])
    main()
    table = pd.read_csv(tmp_path / "run" / "results.csv", keep_default_na=False)
    dice = table[(table["metric"] == "dice_pooled") & (table["picture"] == "")]
    assert set(dice["error"]) == {"none", "bias"} and dice["value"].astype(float).between(0, 1).all()
    # outlines moved by up to two pixels are neither perfect labels nor beyond recognition
    labels = table[(table["metric"] == "label_dice") & (table["error"] == "bias")]["value"].astype(float)
    assert labels.between(0.3, 0.99).all()


@pytest.mark.slow
def test_what_classifiers_look_at_is_asked_of_pets(tmp_path, monkeypatch):
    trained = [f"{breed}_{number}" for number in range(8) for breed in ("Bengal", "beagle")]
    tested = ["Bengal_100", "beagle_100", "Bengal_101", "beagle_101"]
    pets(tmp_path / "files", {"trainval": trained, "test": tested})
    assert command.prepare("oxford_pets", tmp_path / "files", tmp_path / "sets") == 0
    data = f"tfds:oxford_pets?dir={tmp_path}/sets&crop=48"
    options = ["--data", data, "--target", "2", "--label", "dog", "--questions", "maps", "--train.class-weights"]
    tiny = ["--scale", "smoke", "--classifiers", "msd_classifier+puzzle", "--maps", "contour_cam"]
    few = ["--classifier-sizes.msd-depth", "1", "--train.epochs", "2", "--test-pictures", "2"]
    monkeypatch.setattr(sys, "argv", ["activation_maps", *options, *tiny, *few, "--out", f"{tmp_path}/run"])
    study_of_maps()
    table = pd.read_csv(tmp_path / "run" / "results.csv", keep_default_na=False)
    of_pictures = table[(table["metric"] == "iou") & (table["picture"] != "")]
    assert set(of_pictures["picture"].str.partition("@")[0]) == {"beagle_100", "beagle_101"}  # dogs of the owners' list
    assert {"contour_cam"} == set(of_pictures[of_pictures["network"] == "msd_classifier+puzzle"]["map"])
    assert "What classifiers look at: " in (tmp_path / "run" / "report.html").read_text()
    # with the owners' training pictures alone every seed can have a test set of its own
    assert open_source(data).test_groups and not open_source(f"{data}&split=train").test_groups
