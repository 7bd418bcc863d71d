"""Shots and queries are written apart, and label files are compared with the truth where the type was judged."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segjax.models.pretrained as pretrained
from experiments.benchmarks import new_type
from experiments.benchmarks.commands import Timed, add_row, timed
from experiments.pretrain.recipes import RECIPES
from segjax.data import open_source, write_labels
from segjax.models.pretrained import CHOSE, LEARNT, SCORED, UsedPicture, picture_digest
from segjax.types import InputError, Sample
from tests.weights_folder import write_weights


@pytest.fixture
def sets(tmp_path):
    """A set of eight pictures with a disc of each of two types."""
    for name in ("images", "classes"):
        (tmp_path / "sets/dishes" / name).mkdir(parents=True)
    rows, columns = np.mgrid[:24, :30]
    for seed in range(8):
        classes = np.zeros((24, 30), np.uint8)
        classes[(rows - 10) ** 2 + (columns - 8) ** 2 <= 16] = 1
        classes[(rows - 12 - seed % 3) ** 2 + (columns - 21) ** 2 <= 20] = 2
        values = 60 + 70 * classes + np.random.default_rng(seed).integers(0, 9, classes.shape)
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / f"sets/dishes/images/{seed}.png")
        Image.fromarray(classes).save(tmp_path / f"sets/dishes/classes/{seed}.png")
    return tmp_path / "sets"


@pytest.fixture
def weights(sets, tmp_path, monkeypatch):
    """Of weights "nuclei": they learnt from the first picture, the second chose their epoch, the third gave scores."""
    source = open_source(f"folder:{sets}/dishes")
    used = [
        UsedPicture(f"other name {place}", "", side, picture_digest(source[place].image))
        for place, side in enumerate((LEARNT, CHOSE, SCORED))
    ]
    write_weights(tmp_path / "shipped/nuclei", used=used, classes=("disc",))
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path / "shipped")
    return used


@pytest.mark.parametrize("spec", ["dishes", "dishes?tile=24"])
def test_pictures_that_networks_saw_are_left_out_by_their_content(sets, weights, spec):
    samples = new_type.new_samples(new_type.NewTypeBenchmark("nuclei", sets), spec)
    assert {one.name.partition("@")[0] for one in samples} == set("234567")
    assert len(samples) == (6 if spec == "dishes" else 12)


def test_a_set_without_a_picture_that_networks_saw_is_refused(sets, weights, monkeypatch):
    recipe = dataclasses.replace(RECIPES["nuclei"], data="folder:{pictures}/dishes?channels=1")
    monkeypatch.setitem(RECIPES, "nuclei", recipe)
    assert new_type.seen_names("nuclei", sets, "dishes") == {"0", "1"}
    (sets / "dishes/images/1.png").unlink()
    (sets / "dishes/classes/1.png").unlink()
    with pytest.raises(InputError, match="dishes has no picture like other name 1, which the networks saw"):
        new_type.seen_names("nuclei", sets, "dishes")


@pytest.mark.parametrize(
    ("shots", "kept", "asked"),
    [
        (2, "01", "ghijkl"),  # half of the groups with the type are enough
        (3, "012", "kl"),  # a third is needed
        (9, "0123", ""),
    ],
)
def test_groups_have_one_side_and_a_rare_type_is_asked_for(shots, kept, asked):
    def sample(name, group):
        return Sample(np.zeros((1, 1, 1), np.float32), np.zeros((1, 1), np.int32), np.zeros(0, np.int32), group, name)

    showing = [sample(name, group) for name, group in zip("abgk", "0123", strict=True)]
    rest = [sample(name, group) for name, group in zip("hijl", "2223", strict=True)]
    learnt, queries = new_type.divided([*rest, *showing], showing, shots, 9)
    assert [one.name for one in learnt] == list("abgk"[: len(kept)][:shots])
    assert {one.name for one in queries} == set(asked) and {one.group for one in learnt} == set(kept)
    if asked:
        found = new_type.divided([*rest, *showing], showing, shots, 1)[1]
        assert [one.name for one in found] == [asked[0] if asked[0] in "gk" else "k"]


def test_types_that_networks_learnt_are_refused(weights):
    new_type.refuse_learnt("nuclei", ["square"])
    with pytest.raises(InputError, match=r"'nuclei' have learnt the type disc; choose a new one by --only"):
        new_type.refuse_learnt("nuclei", ["square", "disc"])


@pytest.mark.parametrize(("name", "dice"), [("normal cell", "0.642"), ("target cell", "0.401")])
def test_study_3_is_quoted_where_it_has_the_type(name, dice):
    assert new_type.study_dice(name, 5) == dice and new_type.study_dice(name, 4) == ""


def test_a_run_of_study_3_that_nobody_has_published_has_no_dice(monkeypatch, tmp_path):
    monkeypatch.setattr(new_type, "STUDY", tmp_path)
    assert new_type.study_dice("monocyte", 5) == ""


def test_dice_is_that_of_the_label_files_where_the_type_was_judged(sets, monkeypatch):
    options = new_type.NewTypeBenchmark("nuclei", sets, shots=2, queries=4)
    source = open_source(f"folder:{sets}/dishes")
    samples = [source[place] for place in range(len(source))]
    samples = [dataclasses.replace(one, group=str(int(one.name) // 2)) for one in samples]
    truth = {one.name: one for one in samples}
    wrong, seen, kin = {}, {}, [2]

    def command(name, given):
        folder = Path(given[-1]).parent
        assert name == "segment_new_type" and given[:2] == ["--extractors", "nuclei"] and given[-2] == "--out"
        shots = open_source(f"folder:{folder}/given/shots")
        seen["shots"], seen["queries"] = set(shots.names), {path.stem for path in (folder / "given/query").iterdir()}
        for shot in shots:  # the type is class 1, another that takes no part is left out
            own = truth[shot.name]
            np.testing.assert_array_equal(shot.of_class(1) > 0, own.of_class(2) > 0)
            ignored = (own.of_class(1) > 0) & (1 not in kin)
            np.testing.assert_array_equal(np.zeros_like(ignored) if shot.ignored is None else shot.ignored, ignored)
            np.testing.assert_allclose(shot.image, own.image, atol=1 / 255)
        for name in seen["queries"]:
            labels = (truth[name].labels > 0).astype(np.int32)  # the other type too
            labels[0, : wrong.get("pixels", 0)] = 1
            write_labels(folder / f"out/{name}.tif", labels)
        return Timed(1.5, 2.5, "")

    monkeypatch.setattr(new_type, "timed", command)
    assert new_type.one_draw(options, samples, 2, kin, 0) == (1.5, 2.5, 1.0)
    assert len(seen["shots"]) == 2 and len(seen["queries"]) == 4 and not seen["shots"] & seen["queries"]
    assert not {truth[name].group for name in seen["shots"]} & {truth[name].group for name in seen["queries"]}
    wrong["pixels"] = 5
    areas = sum(int((truth[name].of_class(2) > 0).sum()) for name in seen["queries"])
    assert new_type.one_draw(options, samples, 2, kin, 0).dice == pytest.approx(2 * areas / (2 * areas + 4 * 5))
    wrong["pixels"], kin = 0, [1, 2]  # the other type is background now
    every = sum(int((truth[name].labels > 0).sum()) for name in seen["queries"])
    assert new_type.one_draw(options, samples, 2, kin, 0).dice == pytest.approx(2 * areas / (areas + every))
    with pytest.raises(InputError, match=r"shots: too few new pictures show class 2; give fewer shots"):
        new_type.one_draw(dataclasses.replace(options, shots=8), samples, 2, [2], 0)


def test_a_command_is_timed_or_says_what_is_wrong():
    found = timed("segment_new_type", ["--help"])
    assert found.said and found.processor_seconds > 0 and found.seconds > 0
    with pytest.raises(InputError, match=r"(?s)segment_new_type: .*--query"):
        timed("segment_new_type", [])


def test_a_row_takes_the_place_of_its_like_and_the_others_stay(tmp_path):
    path, order = tmp_path / "table.csv", lambda one: "ab".index(one["type"])
    for kind, dice, commit in (("b", 0.5, "one"), ("a", 0.25, "two"), ("b", 0.75, "three")):
        add_row(
            path, {"commit": commit, "command": "c", "machine": f"of {commit}"}, {"type": kind, "dice": dice}, order
        )
    assert path.read_text() == ("# command: c\ntype,dice,commit,machine\na,0.25,two,of two\nb,0.75,three,of three\n")
