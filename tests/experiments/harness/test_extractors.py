"""Trained weights as extractors: pictures that they cannot take, or have learnt from, are told apart from others."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.harness import extractors
from experiments.harness.extractors import reason_without_extractors
from segjax.fewshot import load_extractors, save_extractors
from segjax.models.pretrained import LEARNT, SCORED, UsedPicture, picture_digest, used_pictures
from tests.weights_folder import write_weights

IMAGES = np.random.default_rng(0).random((2, 48, 48, 1)).astype(np.float32)


def reason(names=("a", "b"), spec="folder:mine", images=IMAGES, weights="nuclei"):
    return reason_without_extractors(weights, SimpleNamespace(names=names, spec=spec), images)


def test_pictures_of_others_can_be_used():
    assert reason() == ""


def test_other_channels_and_unknown_weights_have_a_remedy():
    coloured = np.repeat(IMAGES, 3, axis=-1)
    others = "blood_cells, simulated_tissue, stained_nuclei"
    assert f"take pictures with 1 channel(s); give other ones ({others})" in reason(images=coloured)
    assert "no trained weights 'nobody'" in reason(weights="nobody")


def test_a_picture_is_known_by_its_content(monkeypatch):
    sides = (("x", LEARNT, IMAGES[1]), ("y", SCORED, IMAGES[0]))
    used = [UsedPicture(name, name, side, picture_digest(image)) for name, side, image in sides]
    monkeypatch.setattr(extractors, "used_pictures", lambda name: used)
    assert "learnt from a picture with the name or content of b; give other pictures or extractors" in reason()
    assert reason(images=IMAGES[:1], names=("a",)) == ""  # scored on it only


@pytest.mark.parametrize("end", ["", "@0,48"])
def test_a_picture_that_was_cut_is_known_by_its_name(end):
    learnt = next(one.picture for one in used_pictures("nuclei") if one.side == LEARNT)
    assert f"of {learnt}{end};" in reason(names=("a", f"{learnt}{end}"))
    assert reason(names=("a", learnt), spec="microscope:hl60?seed=0") == ""  # simulated pictures have other names


def test_a_folder_of_trained_weights_says_which_pictures_it_saw_and_one_of_saved_extractors_does_not(tmp_path):
    write_weights(tmp_path / "mine", used=[UsedPicture("b", "b", LEARNT, "0" * 16)])
    assert "learnt from a picture with the name or content of b@0,48;" in reason(
        ("a", "b@0,48"), weights=f"{tmp_path}/mine"
    )
    save_extractors(tmp_path / "saved", load_extractors(tmp_path / "mine"))
    assert reason(weights=str(tmp_path / "saved")) == ""
    (tmp_path / "mine/pictures.csv").unlink()
    assert "pictures.csv: is missing" in reason(weights=f"{tmp_path}/mine")


def test_simulated_pictures_are_known_by_their_set_and_seed():
    coloured = np.repeat(IMAGES, 3, axis=-1)
    learnt = next(one.picture for one in used_pictures("simulated_tissue") if one.side == LEARNT)

    def told(spec):
        return reason(("a", learnt), spec, coloured, "simulated_tissue")

    assert learnt in told("microscope:tissue?size=sixth&crop=48") and learnt in told("microscope:tissue?seed=0")
    assert told("microscope:tissue?size=quarter&seed=1") == told("microscope:hl60") == told("folder:mine") == ""
