"""A folder's noisy labels are repaired, its own files stay as they are, and what cannot be used is refused."""

import contextlib
import csv
import hashlib
import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import chex
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from experiments.harness.networks import network_from
from experiments.upgrade_folder import repair as repair_module
from experiments.upgrade_folder import training_sets
from experiments.upgrade_folder.__main__ import main
from experiments.upgrade_folder.config import FolderConfig, check_folder_config, recipes_of
from experiments.upgrade_folder.pictures import noisy_tiles, open_folder, stacked
from experiments.upgrade_folder.report import write_changes
from experiments.upgrade_folder.training_sets import Comparison
from segjax.annotations import Recipe
from segjax.export import channels_of
from segjax.files import write_file
from segjax.models import load_weights, save_weights
from segjax.models.pretrained import VERSION
from segjax.types import InputError
from segjax.upgrade.learning import CleanLabels
from segjax.upgrade.objects import Change
from tests.trial_files import forget

QUICK = [
    "--start", "scratch", "--network", "msd", "--depth", "2", "--train.epochs", "12", "--train.learning-rate", "0.1",
    "--draws", "1", "--mistakes", "exactly", "--omission", "0.5",
]  # fmt: skip
PLACES = [(row, column) for row in (3, 17, 31) for column in (3, 17, 31)]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path) if path.suffix == ".png" else tifffile.imwrite(
        path, pixels, photometric="minisblack"
    )


def scene(seed: int, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture with six bright squares of 7x7 pixels, and their labels 1 to 6."""
    generator = np.random.default_rng(seed)
    image, labels = generator.integers(0, 60, (side, side)).astype(np.uint8), np.zeros((side, side), np.uint16)
    for number, place in enumerate(generator.permutation(9)[:6]):
        y, x = PLACES[place]
        image[y : y + 7, x : x + 7] += 150
        labels[y : y + 7, x : x + 7] = number + 1
    return image, labels


def make_folder(path):
    """Five pictures with clean labels, and three with noisy ones that lack three of six objects; ids are 11, 22, 33."""
    for number in range(8):
        image, labels = scene(number, 44 if number == 7 else 40)
        save(path / "images" / f"{number:03d}.png", image)
        if number < 5:
            save(path / "labels" / f"{number:03d}.tif", labels)
        else:
            save(path / "noisy" / f"{number:03d}.tif", np.where(labels > 3, 0, labels * 11).astype(np.uint16))
    return path


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "mine")


def run(folder, out, *options):
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr(sys, "argv", ["upgrade_folder", "--data", str(folder), "--out", str(out), *QUICK, *options])
        main()
    return said.getvalue()


def contents(path):
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def repaired(tmp_path_factory):
    """A finished run: its folder, what it wrote, what it said, and the folder's files as they were."""
    place = tmp_path_factory.mktemp("repaired")
    folder = make_folder(place / "mine")
    before = contents(folder)
    return folder, place / "out", run(folder, place / "out"), before


@pytest.mark.slow
def test_a_folder_is_repaired_and_its_own_files_stay(repaired):
    folder, out, text, before = repaired
    assert (
        "clean labels: 4 pictures to learn from, 1 held out; noisy labels: 3 pictures to repair; errors: 50 %" in text
    )
    assert contents(folder) == before
    changes = pd.read_csv(out / "changes.csv", dtype={"picture": str})
    assert changes["changed"].is_monotonic_decreasing and set(changes["change"]) <= {"added", "removed", "moved"}
    for number in (5, 6, 7):
        _, truth = scene(number, 44 if number == 7 else 40)
        labels = tifffile.imread(out / "labels" / f"{number:03d}.tif")
        assert labels.dtype == np.uint16 and labels.shape == truth.shape
        assert 2 * np.sum((labels > 0) & (truth > 0)) / (np.sum(labels > 0) + np.sum(truth > 0)) > 0.9  # before: 2/3
        for old in (1, 2, 3):  # objects that were there have their numbers still
            assert set(np.unique(labels[truth == old])) <= {0, 11 * old}
        added = changes[(changes["picture"] == f"{number:03d}") & (changes["change"] == "added")]
        assert sorted(added["object"]) == [34, 35, 36] and added["confidence"].between(0.5, 1).all()
        assert [int(np.sum(labels == one)) for one in added["object"]] == list(added["area_after"])
    page = (out / "review.html").read_text()
    assert "Objects added: 9, removed: 0" in page and "Label images without any change: 0 of 3" in page
    assert page.count("least sure: object") >= 3 and "1 held-out picture is too few to decide" in page
    assert (
        "With drawn errors, repair raised the Dice of held-out labels from " in page
        and "Repair makes labels better here" not in page
    )
    assert "also decided when training stopped" in page and "With drawn errors, repair raised" in text
    results = pd.read_csv(out / "results.csv").query("file == 'network'").set_index("metric")["value"]
    assert results["dice_after"] > results["dice_before"] > 0.5


@pytest.mark.slow
def test_a_run_that_was_stopped_does_only_what_is_missing(repaired, tmp_path):
    folder, whole, _, _ = repaired
    broken = tmp_path / "broken"
    shutil.copytree(whole, broken)
    assert forget(broken, ",labels/006.tif,") == 1
    for file in ("labels/006.tif", "changes/006.json", "changes.csv", "review.html"):
        (broken / file).unlink()
    kept = (broken / "labels" / "005.tif").stat().st_mtime_ns
    text = run(folder, broken)
    assert "1 of 1 trials are done already" in text and "2 of 3 trials are done already; 1 to do" in text
    assert (broken / "labels" / "005.tif").stat().st_mtime_ns == kept
    for file in ("labels/006.tif", "changes.csv"):
        assert (whole / file).read_bytes() == (broken / file).read_bytes()


@pytest.mark.slow
def test_other_options_are_refused_where_a_run_has_begun(repaired, tmp_path):
    folder, whole, _, _ = repaired
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    with pytest.raises(InputError, match=r"another configuration \(seed: 0 there, 3 now\)"):
        run(folder, out, "--seed", "3")
    spelled = str(folder) + "/"  # the same folder under another name goes on
    assert "3 of 3 trials are done already" in run(spelled, out)
    (out / "changes" / "005.json").write_text("[{}]")
    with pytest.raises(InputError, match=r"005\.json: is not the list of a picture's changes; bring back a copy"):
        run(folder, out)


@pytest.mark.slow
def test_a_network_that_is_missing_or_damaged_is_trained_again(repaired, tmp_path):
    folder, whole, _, _ = repaired
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    path = out / "network.safetensors"
    before, facts = load_weights(path)
    assert channels_of(network_from(facts), before) == 2  # the picture and its mask
    path.unlink()
    with pytest.warns(UserWarning, match=r"network\.safetensors: is missing; the network is trained again"):
        run(folder, out)
    chex.assert_trees_all_equal(load_weights(path).variables, before)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"kept as .*network\.safetensors\.damaged; the network is trained"):
        run(folder, out)
    chex.assert_trees_all_equal(load_weights(path).variables, before)
    save_weights(path, before, facts | {"version": VERSION + 1})
    with pytest.raises(InputError, match=rf"network\.safetensors: these weights are for version {VERSION + 1} of"):
        run(folder, out)


def test_what_goes_wrong_is_learnt_from_pairs(folder, tmp_path):
    for number in range(3):
        _, labels = scene(number)
        save(folder / "pairs" / f"{number:03d}.tif", np.where(labels > 2, 0, labels))  # four of six are missing
    config = FolderConfig(data=str(folder), out=tmp_path, mistakes="pairs", start="scratch")
    learnt = repair_module.Repair(config, open_folder(config))
    assert learnt.recipes == [Recipe(omission=0.667, scope="picture")]


def config_of(folder, tmp_path, **options):
    return FolderConfig(**{"data": str(folder), "out": tmp_path / "out", "start": "scratch", **options})


def read(folder, tmp_path, **options):
    config = config_of(folder, tmp_path, **options)
    check_folder_config(config)
    return repair_module.Repair(config, open_folder(config))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mistakes": "exactly"}, "mistakes: exactly needs the strength"),
        ({"mistakes": "exactly", "omission": (0.1, 0.2)}, "omission: mistakes=exactly needs one number"),
        ({"mistakes": "pairs", "bias": (2,)}, "bias: mistakes=pairs finds the strengths itself"),
        ({"mistakes": "pairs"}, "mistakes: pairs needs .*pairs"),
        ({"inclusion": (0.5,), "foreign": "none"}, "inclusion: needs objects to include"),
        ({"omission": (1.5,)}, "omission: 1.5 is not a rate"),
        ({"network": "vgg"}, "network: unknown 'vgg'"),
        ({"minimum_relative_area": -1.0}, "minimum_relative_area must be 0 or more"),
        ({"folds": 1}, "folds: 1 leaves no picture to learn from"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"tune": -1}, "tune must be at least 0"),
        ({"start": "upgrader", "width": 8}, "width: is of networks that start from scratch, but this one starts from"),
        ({"start": "nuclei"}, "start: the weights 'nuclei' do not repair labels; give upgrader, or scratch"),
        ({"start": "blood_cells"}, "start: the weights 'blood_cells' do not repair labels"),
        ({"start": "planets"}, "there are no trained weights 'planets'; choose one of"),
        ({"data": "microscope:hl60"}, "is not a folder"),
        ({"data": "nowhere"}, "nowhere is not a folder"),
        ({"data": "folder:x?annotations=masks"}, "option annotations cannot be given here"),
        ({"data": "folder:x?shrink=2"}, "option shrink cannot be given here, because .*; leave it out, or shrink the"),
        ({"data": "folder:x?crop=64"}, "option crop cannot be given here, because .*; leave it out, or crop the files"),
        ({"data": "folder:x?tile=big"}, "tile=big is not a whole number"),
        ({"data": "folder:x?typo=1"}, "option 'typo' is unknown"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(folder, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        read(folder, tmp_path, **options)


def overlapping(folder):
    shutil.copy(folder / "noisy" / "005.tif", folder / "noisy" / "004.tif")


def same_picture(folder):
    shutil.copy(folder / "images" / "000.png", folder / "images" / "006.png")


def one_clean(folder):
    for number in range(1, 5):
        (folder / "labels" / f"{number:03d}.tif").unlink()


def full(folder):
    save(folder / "noisy" / "005.tif", np.ones((40, 40), np.uint16))


def empty(folder):
    save(folder / "noisy" / "005.tif", np.zeros((40, 40), np.uint16))


def colour(folder):
    for number in (5, 6, 7):
        side = 44 if number == 7 else 40
        save(
            folder / "images" / f"{number:03d}.png",
            np.random.default_rng(number).integers(0, 99, (side, side, 3), np.uint8),
        )


def mixed(folder):
    save(folder / "images" / "006.png", np.random.default_rng(0).integers(0, 99, (40, 40, 3)).astype(np.uint8))


def alone(folder):
    save(folder / "pairs" / "005.tif", scene(5)[1])


def no_noisy(folder):
    shutil.rmtree(folder / "noisy")


def old_name(folder):
    (folder / "noisy").rename(folder / "careless")


def stray(folder):
    save(folder / "noisy" / "099.tif", scene(5)[1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (overlapping, r"1 picture\(s\) have labels in both labels/ and noisy/ \(004\); remove the noisy ones, or move"),
        (same_picture, r"000 \(labels/\) and 006 \(noisy/\) are the same picture"),
        (one_clean, "labels: 1 picture or group cannot be divided"),
        (full, "noisy/005: every pixel is marked"),
        (empty, "noisy/005.tif: no object in the label image"),
        (colour, r"differ in channels \(\[1, 3\]\); give the option channels=1"),
        (mixed, "pictures differ in their number of channels"),
        (alone, "pairs/005 has no clean labels"),
        (no_noisy, "noisy is missing or empty; put the noisy labels"),
        (old_name, "careless has another name now; rename it to .*noisy"),
        (stray, "noisy/099.tif: label image without a picture"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_folders_that_cannot_be_used_are_refused(folder, tmp_path, spoil, message):
    spoil(folder)
    with pytest.raises(InputError, match=message):
        read(folder, tmp_path)


def test_empty_noisy_labels_are_kept_where_asked_unless_all_are(folder, tmp_path):
    empty(folder)
    data = f"folder:{folder}?empty=keep"
    assert len(open_folder(config_of(folder, tmp_path, data=data)).noisy) == 3
    for number in (6, 7):
        (folder / "noisy" / f"{number:03d}.tif").unlink()
    with pytest.raises(InputError, match="noisy: no object in any of the label images"):
        read(folder, tmp_path, data=data)


@pytest.mark.parametrize("place", ["", "labels", "noisy/inside"])
def test_the_users_own_folders_are_no_place_to_write(folder, tmp_path, place):
    with pytest.raises(InputError, match=r"out: .* holds your own pictures or annotations"):
        read(folder, tmp_path, out=folder / place)


def test_a_mixture_fits_the_size_of_the_objects(folder, tmp_path):
    recipes = recipes_of(config_of(folder, tmp_path), median_radius=12.0)
    assert {recipe.bias for recipe in recipes} == {0, 2, 4} and len(recipes) == 36
    without = recipes_of(config_of(folder, tmp_path, foreign="none"), median_radius=1.0)
    assert {(r.omission, r.inclusion, r.bias) for r in without} == {
        (omission, 0.0, bias) for omission in (0.0, 0.25, 0.5, 0.7) for bias in (0, 1)
    }


def test_a_name_of_a_picture_is_no_formula_in_the_table_of_changes(tmp_path):
    names, change = ("=1+1", "-2", "cells"), Change(1, "added", 0.9, 0, 4, 4, float("nan"), 1.0, 2.0)
    for name in names:
        write_file(
            tmp_path / "changes" / f"{name}.json",
            json.dumps([change._asdict()]),
        )
    folder = SimpleNamespace(noisy=SimpleNamespace(names=names))
    rows = write_changes(SimpleNamespace(out=tmp_path), folder)
    assert list(rows["picture"]) == list(names)
    with (tmp_path / "changes.csv").open(newline="") as file:
        assert [row["picture"] for row in csv.DictReader(file)] == ["'=1+1", "-2", "cells"]


@pytest.mark.slow
def test_folds_say_which_labels_to_train_on(folder, tmp_path):
    # of one size, so that noisy pictures can be trained on as they are
    image, labels = scene(7)
    save(folder / "images" / "007.png", image)
    save(folder / "noisy" / "007.tif", np.where(labels > 3, 0, labels * 11).astype(np.uint16))
    out = tmp_path / "out"
    first = run(folder, out)
    assert "Dice" in first and "comparing training sets" not in first
    written = {file: text for file, text in contents(out).items() if file.parent.name == "labels"}
    text = run(folder, out, "--folds", "3")
    assert "comparing training sets: 3 folds of 4 trainings" in text
    assert "In 3 test sets, a network trained on" in text
    results = pd.read_csv(out / "results.csv")
    own = results[results["file"].str.startswith("training_sets/")]
    assert own["file"].nunique() == 3
    assert set(own["metric"]) >= {"dice_clean", "dice_noisy", "dice_repaired"}
    assert own.loc[own["metric"].str.startswith("dice"), "value"].between(0, 1).all()
    assert "Which labels to train on" in (out / "review.html").read_text()
    assert written == {file: text for file, text in contents(out).items() if file.parent.name == "labels"}
    again = run(folder, out, "--folds", "3")
    assert "3 of 3 trials are done already" in again and "comparing training sets" not in again


def grouped(folder, groups):
    """The spec of a folder whose pictures, all of one size, belong to the groups of the letters."""
    save(folder / "images" / "007.png", scene(7)[0])
    save(folder / "noisy" / "007.tif", scene(7)[1])
    lines = "".join(f"{number:03d},{group}\n" for number, group in enumerate(groups))
    (folder / "groups.csv").write_text(f"picture,group\n{lines}")
    return f"folder:{folder}?groups=groups.csv"


def test_a_fold_is_seen_by_no_network_that_is_tested_on_it(folder, tmp_path, monkeypatch):
    errors = {"mistakes": "exactly", "omission": (0.5,), "inclusion": (0.5,)}
    config = config_of(folder, tmp_path, data=grouped(folder, "abcdeabf"), **errors, network="msd", folds=3)
    opened = open_folder(config)
    seen, owners = [], set()

    def noted(config, folder, steps, train, validation, *others):
        seen.append([*train.images, *validation.images])
        for targets in (train.targets, validation.targets):
            if isinstance(targets, CleanLabels):
                owners.update(*(np.unique(ids[ids > 0] // 100) for ids in (targets.labels, targets.foreign)))
        return SimpleNamespace(status="collapsed", variables={})

    def numbered(source):
        """The ids of picture 2 are 201, 202, ..."""
        images, labels = stacked(source)
        return images, np.where(labels > 0, labels + 100 * np.arange(len(labels))[:, None, None], 0).astype(np.int32)

    monkeypatch.setattr(repair_module, "stacked", numbered)
    for module in (repair_module, training_sets):
        monkeypatch.setattr(module, "trained", noted)
    monkeypatch.setattr(repair_module.Repair, "masks", lambda self, images, noisy: noisy)
    comparison = Comparison(config, opened)
    for unit, test in zip(training_sets.units_of(config), training_sets.folds_of(config, opened), strict=True):
        seen.clear(), owners.clear()
        ((_, outcome),) = comparison.compare([unit], lambda share: None)
        assert all(np.isnan(row.value) for row in outcome.rows)  # of networks that learnt nothing
        groups = {opened.clean.groups[index] for index in test}
        tested, others = [], []
        for source in (opened.clean, opened.noisy):
            for index, group in enumerate(source.groups):
                (tested if group in groups else others).append(source[index].image)
        assert [len(images) for images in seen[1:]] == [len(seen[1])] * 3  # equally many steps for all
        assert not any(np.array_equal(image, one) for images in seen for image in images for one in tested)
        assert all(any(np.array_equal(image, one) for image in seen[2]) for one in others)
        assert owners == set(range(5)) - set(test)  # of the objects that the upgrade network learns from
    assert sorted(index for test in training_sets.folds_of(config, opened) for index in test) == [0, 1, 2, 3, 4]


def test_noisy_pictures_of_the_tested_groups_alone_are_refused(folder, tmp_path):
    config = config_of(folder, tmp_path, data=grouped(folder, "abcdeadd"), folds=3)  # a and d test together
    with pytest.raises(InputError, match="folds: all pictures in noisy/ belong to groups of one fold; give other"):
        Comparison(config, open_folder(config))


def test_results_of_another_number_of_folds_are_not_taken(folder, tmp_path):
    def comparison(folds):
        config = config_of(folder, tmp_path, data=grouped(folder, "abcdefgh"), folds=folds)
        return Comparison(config, open_folder(config)), training_sets.units_of(config)

    (three, units), (five, others) = comparison(3), comparison(5)
    rows = [(unit.file, f"dice_{name}", "ok", 0.5) for unit in units for name in training_sets.TAUGHT]
    results = pd.DataFrame(rows, columns=["file", "metric", "status", "value"])
    assert not {unit.file for unit in units} & {unit.file for unit in others}  # nor are their checkpoints
    assert five.found(results) is None
    found = three.found(results)
    assert [len(dice) for dice in found.dice.values()] == [3, 3, 3]
    # of 5 pictures 5 / 3 test; of the others 80 % train the network that has clean labels alone
    assert found.overlap == pytest.approx((5 / 3) / (0.8 * (5 - 5 / 3)))


def test_the_time_leaves_out_noisy_pictures_of_the_tested_groups(folder, tmp_path):
    config = config_of(folder, tmp_path, data=grouped(folder, "abcdeabc"), folds=5)
    # 4 clean pictures and 12 / 5 noisy ones: 5 folds x 60 s x (1 + 3 x 6.4 / 4) = 1740 s
    assert training_sets.warning(config, open_folder(config), 60.0).endswith("about 29 min")


def test_folds_that_cannot_be_made_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="folds: 6 folds need as many pictures or groups"):
        Comparison(config_of(folder, tmp_path, folds=6), open_folder(config_of(folder, tmp_path)))
    assert len(noisy_tiles(open_folder(config_of(folder, tmp_path)))) == 2 + 4  # two of 40 pixels, one of 44
    for number in range(5):
        image, labels = scene(number)
        save(folder / "images" / f"{number:03d}.png", image[:, :36])
        save(folder / "labels" / f"{number:03d}.tif", labels[:, :36])
    with pytest.raises(InputError, match="folds: the pictures in noisy/ have other sizes"):
        Comparison(config_of(folder, tmp_path, folds=3), open_folder(config_of(folder, tmp_path)))


def test_the_time_of_the_folds_is_said_before(folder, tmp_path):
    save(folder / "images" / "007.png", scene(7)[0])
    save(folder / "noisy" / "007.tif", scene(7)[1])
    config = config_of(folder, tmp_path, folds=5)
    opened = open_folder(config)
    # 4 clean pictures and 3 noisy ones: 5 folds x 60 s x (1 + 3 x 7 / 4) = 1875 s
    assert training_sets.warning(config, opened, 60.0).endswith("5 folds of 4 trainings, about 31 min")
    assert training_sets.warning(config, opened, None).endswith("5 folds of 4 trainings")
