"""The page of a new type: numbers worked out by hand, and nothing said that was not measured."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.segment_new_type.__main__ import main
from experiments.segment_new_type.measures import cautions, differences, is_poor, measured, summary, why_unchecked
from experiments.segment_new_type.report import held_out_table, notes, picture_table, verdict
from experiments.segment_new_type.segment import Segmented, segment_folder
from segjax.evaluation import interval
from segjax.fewshot import FeatureBank, NewType, Objects, load_extractors
from segjax.fewshot.linear import Ridge
from segjax.fewshot.segment import Shot
from tests.new_type_folder import dish, later, two_shots

PLAIN = Shot("a", "a", 0.4, 0.1, 3, 10.0)


@pytest.fixture
def options(tmp_path):
    return two_shots(tmp_path)


def checked(*values):
    """Shots held out one by one with these Dice and F1."""
    return tuple(
        PLAIN._replace(name=f"{fold}", group=f"{fold}", fold=fold, dice=dice, f1=f1, confidence=0.9)
        for fold, (dice, f1) in enumerate(values)
    )


def type_of(shots, **options):
    return NewType(Ridge(), {}, 0.0, None, Objects(**options), "", shots=shots)


def segmented(shots, *pictures):
    return Segmented(type_of(shots), pictures, (), ())


def picture(name, objects=2, **values):
    labels = np.zeros((10, 20), np.int32)
    labels[0, : 2 * objects] = np.arange(2 * objects) // 2 + 1
    return measured(name, np.full((10, 20, 1), 0.4, np.float32), labels)._replace(**values)


def test_a_picture_is_measured():
    image = np.zeros((10, 20, 1), np.float32)
    image[:, :5] = 0.8
    labels = np.zeros((10, 20), np.int32)
    labels[:2, :2], labels[5, :4], labels[8:, 10:] = 1, 3, 4  # 4, 4 and 20 pixels; no object 2
    labels[0, 19] = -1
    found = measured("a", image, labels, 0.75)
    assert (found.objects, found.covered, found.confidence) == (3, 28 / 200, 0.75)
    assert found.diameter == pytest.approx(2 * np.sqrt(4 / np.pi))
    assert (found.brightness, found.contrast) == (
        pytest.approx(0.2),
        pytest.approx(np.sqrt(0.25 * 0.6**2 + 0.75 * 0.2**2)),
    )
    assert measured("b", image, 0 * labels).diameter is None


def test_a_picture_differs_where_it_lies_outside_the_range_of_all_shots():
    shots = (PLAIN, PLAIN._replace(brightness=0.2, contrast=0.2, diameter=20.0))
    usual = picture("a", brightness=0.3, contrast=0.15, diameter=15.0)
    assert differences(usual, shots) == []
    assert differences(usual._replace(brightness=0.14, contrast=0.29, diameter=6.7), shots) == []
    assert differences(usual._replace(brightness=0.13), shots) == ["darker"]
    assert differences(usual._replace(brightness=0.61, contrast=0.31), shots) == ["brighter", "higher contrast"]
    assert differences(usual._replace(contrast=0.06, diameter=6.6), shots) == ["lower contrast", "smaller objects"]
    assert differences(usual._replace(diameter=31.0), shots) == ["larger objects"]
    assert differences(usual._replace(diameter=None), shots) == differences(usual, ()) == []


def test_values_of_held_out_shots_are_summed_up_by_fold_and_have_an_interval_from_five_folds():
    few = checked((0.8, 0.5), (0.9, 0.7), (0.7, 0.9), (0.6, 0.7))
    found = summary(few, "dice")
    assert (found.mean, found.lowest, found.highest) == (pytest.approx(0.75), 0.6, 0.9)
    assert np.isnan(found.interval.low) and (held_out_table(few)["95 % interval"] == "-").all()
    dice = (0.8, 0.9, 0.7, 0.6, 0.5, 0.7)
    shots = list(checked(*((value, value) for value in dice)))
    shots[5] = shots[5]._replace(fold=4)
    expected = interval([0.8, 0.9, 0.7, 0.6, 0.6], overlap=1 / 4)
    assert summary(shots, "dice").interval == expected
    table = held_out_table(shots)
    assert list(table["95 % interval"]) == 2 * [f"{expected.low:.3f} to {expected.high:.3f}"]
    assert list(table["held-out sets"]) == ["5", "5"]


def test_the_verdict_says_how_held_out_shots_did_or_why_that_is_not_known():
    good, poor = checked((0.8, 0.75), (0.9, 0.85)), checked((0.8, 0.6), (0.9, 0.7))
    pictures = picture("x"), picture("y", 1)
    assert verdict(segmented(good, *pictures)) == (
        "3 objects were found in 2 pictures; on 2 held-out shots, Dice was 0.850 (between 0.800 and 0.900) and object "
        "F1 0.800."
    )
    assert "1 object was found in 1 picture, but do not rely on them yet: on 2 held" in verdict(
        segmented(poor, pictures[1])
    )
    assert is_poor(poor) and not is_poor(good) and not is_poor((PLAIN, PLAIN))
    reasons = {
        (): "older version, which did not measure it",
        (PLAIN,): "there is only one shot",
        (PLAIN, PLAIN): "all shots belong to one group",
        (PLAIN, PLAIN._replace(group="b")): "the check was skipped",
    }
    for shots, reason in reasons.items():
        said = verdict(segmented(shots, *pictures))
        assert said.startswith("3 objects were found in 2 pictures; how right they are was not measured, because ")
        assert reason in said and reason in cautions(type_of(shots), pictures)[0]
        assert why_unchecked(shots).endswith(reason) and list(held_out_table(shots)["mean"]) == 2 * ["not measured"]
    assert set(picture_table(pictures, ())["compared with the shots"]) == {"not measured"}
    assert set(picture_table(pictures, good)["compared with the shots"]) == {"alike"}


def test_what_speaks_against_the_objects_is_said():
    pictures = (
        picture("x", differences=("darker",)),
        picture("y", 0),
        picture("z", differences=("darker", "larger objects")),
    )
    said = cautions(type_of(checked((0.6, 0.75), (0.7, 0.65))), pictures)
    assert said[0].startswith("Held-out shots have a mean Dice of only 0.650.") and len(said) == 4
    assert said[1].startswith("Darker than every shot, by a factor of more than 1.5: 2 of 3 pictures (x, z).")
    assert said[2].startswith("Larger objects than in every shot, by a factor of more than 1.5: 1 of 3 pictures (z).")
    assert said[3] == "No object was found in 1 of 3 pictures (y)."
    fused = checked((0.8, 0.6), (0.9, 0.6))
    (said,) = cautions(type_of(fused), ())
    assert "a mean object F1 of only 0.600." in said and "--objects.grouping watershed" in said
    (said,) = cautions(type_of(fused, grouping="watershed", minimum_area=5), ())
    assert said.endswith("do not rely on their number and size.")
    told = notes(segmented(checked((0.8, 0.8), (0.9, 0.9)), *pictures))
    assert told[0] == "2 held-out sets are too few for an interval; 5 are needed."
    assert told[1] == "2 of 3 pictures differ from every shot; held-out values say little there."
    assert notes(segmented(checked(*5 * ((0.8, 0.8),)), pictures[1])) == []


def test_later_calls_show_what_was_measured_by_the_first(options, tmp_path, capsys, monkeypatch):
    dark = (0.3 * dish(7)[0]).astype(np.uint8)
    Image.fromarray(dark).save(tmp_path / "query/7.png")

    def call(*more):
        given = ["--extractors", str(options.extractors), "--query", str(options.query), *more]
        monkeypatch.setattr(sys, "argv", ["segment_new_type", *given])
        main()
        return capsys.readouterr().out

    said = call("--out", str(options.out), "--shots", f"folder:{options.shots}?scale=dtype", "--head", "ridge")
    assert "holding shots out: learning 2 more times takes up to" in said and "--no-check" in said
    assert "warning: Darker than every shot, by a factor of more than 1.5: 1 of 2 pictures (7)." in said
    page = (options.out / "segmented.html").read_text()
    learnt = NewType.load(options.out / "type.safetensors", FeatureBank(load_extractors(options.extractors)))
    assert [shot.fold for shot in learnt.shots] == [0, 1] and min(shot.dice for shot in learnt.shots) > 0.8
    for text in ("2 held-out shots, Dice was ", "Darker than every shot", "0, the worst: Dice", "least like the shots"):
        assert text in page
    table = pd.read_csv(options.out / "pictures.csv", dtype={"picture": str})
    assert list(table["picture"]) == ["7", "8"] and table["objects"][1] == 2
    said = call("--out", str(tmp_path / "again"), "--learnt", str(options.out / "type.safetensors"))
    assert "holding" not in said and "2 held-out shots, Dice was " in said
    again = (tmp_path / "again" / "segmented.html").read_text()
    assert "2 held-out shots, Dice was " in again and "the worst: Dice" not in again


def test_one_shot_or_no_check_holds_nothing_out(options, tmp_path):
    assert why_unchecked(segment_folder(options).learnt.shots) == "the check was skipped"
    for place in ("images", "labels"):
        (tmp_path / "shots" / place / "1.png").unlink()
    alone = segment_folder(dataclasses.replace(options, check=True, out=tmp_path / "alone"))
    assert why_unchecked(alone.learnt.shots) == "there is only one shot" and not alone.examples
    again = segment_folder(later(options, learnt=tmp_path / "alone/type.safetensors", out=tmp_path / "again"))
    assert again.learnt.shots == alone.learnt.shots and again.learnt.shots[0].name == "0"
