"""Trained weights repair a folder as they are, or after learning from it: whichever repairs held-out labels better."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.pretrain.finished import Finished, Kept, write
from experiments.pretrain.schedule import halved
from experiments.upgrade_folder import repair as repair_module
from experiments.upgrade_folder.config import FolderConfig
from experiments.upgrade_folder.pictures import open_folder
from experiments.upgrade_folder.repair import NETWORK, Repair, folder_plan
from experiments.upgrade_folder.report import warnings
from experiments.upgrade_folder.starts import Choice, Start, start_of, tuning
from segjax.annotations import Recipe
from segjax.models import create, load_weights
from segjax.models.pretrained import CHOSE, LEARNT, SCORED, UsedPicture, picture_digest
from segjax.training import Fit, LoopConfig, StepConfig, fit
from segjax.types import InputError
from segjax.upgrade import clean_pictures, make_upgrade_steps
from tests.experiments.test_upgrade_folder import make_folder, scene

SIZES = {"width": 4, "levels": 1, "norm": "running"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of weights that have learnt to add bright squares."""
    scenes = [scene(seed) for seed in range(50, 58)]
    images = np.stack([image for image, _ in scenes])[..., None].astype(np.float32) / 255
    labels = np.stack([labels for _, labels in scenes]).astype(np.int32)
    pictures = clean_pictures(images, labels, Recipe(omission=0.5, scope="picture"))
    steps = make_upgrade_steps(create("unet", **SIZES), StepConfig(loss="both", learning_rate=0.02), max_objects=63)
    found = fit(jax.random.key(0), steps, pictures, pictures, LoopConfig(batch_size=4, epochs=30))
    folder = tmp_path_factory.mktemp("weights") / "mine"
    made = {"unet": Kept(SIZES, halved(found.variables), {})}
    origin = dict.fromkeys(("command", "commit", "machine"), "here")
    write(
        folder, Finished("repairs squares", {"errors": "omission"}, "drawn here, CC0", made, [("network",)], []), origin
    )
    return folder


def config_of(folder, weights, out, **options):
    errors = {"mistakes": "exactly", "omission": (0.5,), "draws": 1}
    return FolderConfig(**{"data": str(folder), "out": out, "start": str(weights), **errors, **options})


def learnt(config):
    repair = Repair(config, open_folder(config))
    ((_, outcome),) = repair.learn([NETWORK], lambda share: None)
    return repair, {row.metric: row.value for row in outcome.rows}


@pytest.mark.slow
def test_trained_weights_repair_as_they_are_and_pictures_in_colour_become_grey(weights, tmp_path):
    folder = make_folder(tmp_path / "mine")
    for path in (folder / "images").iterdir():
        Image.open(path).convert("RGB").save(path)
    config = config_of(folder, weights, tmp_path / "out", tune=0)
    repair, values = learnt(config)
    assert repair.choice == Choice(str(weights), 0, values["dice_after"], pytest.approx(np.nan, nan_ok=True))
    assert values["dice_after"] > values["dice_before"] + 0.1 and values["epochs"] == 0
    assert "since --tune 0 lets them learn nothing more" in str(repair.choice)
    kept, shipped = (
        load_weights(path).variables for path in (config.out / "network.safetensors", weights / "unet.safetensors")
    )
    for one, other in zip(jax.tree.leaves(kept), jax.tree.leaves(shipped["variables"]), strict=True):
        np.testing.assert_array_equal(one, other.astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("is_spoilt", [False, True])
def test_what_repairs_held_out_labels_better_is_taken_and_said(weights, tmp_path, monkeypatch, is_spoilt):
    def trained(config, folder, steps, train, validation, *others):
        assert config.train.loop.epochs == 40 and config.train.loop.stop == "fixed"
        state = steps.init(jax.random.key(0), train.images[:1])
        given = jax.device_get(state.variables)
        if is_spoilt:  # it learns to mark nothing
            given["params"]["head"]["bias"] = np.array([50.0, -50.0], np.float32)
        else:  # and here to trust itself a little less, which changes next to nothing
            given["params"]["head"]["bias"] = given["params"]["head"]["bias"] + np.float32(1e-6)
        return Fit(given, "ok", np.zeros((40, 2)), 39)

    monkeypatch.setattr(repair_module, "trained", trained)
    config = config_of(make_folder(tmp_path / "mine"), weights, tmp_path / "out")
    repair, values = learnt(config)
    choice = repair.choice
    assert (choice.as_they_are, choice.tuned) == (
        values["dice_as_they_are"],
        pytest.approx(values["dice_tuned"], nan_ok=True),
    )
    assert values["dice_after"] == max(choice.as_they_are, choice.tuned) > values["dice_before"]
    if is_spoilt:
        assert values["dice_tuned"] == 0 and not choice.is_tuned and "The weights as they are repair" in str(choice)
    again = Repair(config, open_folder(config))
    again.restore()
    assert again.choice == choice and again.held_out().means == repair.held_out().means


def test_the_choice_is_said_in_words():
    assert "The network with these epochs repairs your labels." in str(Choice("upgrader", 40, 0.8, 0.9))
    equal, failed = Choice("upgrader", 40, 0.8, 0.8), Choice("upgrader", 40, 0.8, float("nan"))
    assert not equal.is_tuned and "The weights as they are repair your labels." in str(equal)
    assert not failed.is_tuned and "because learning from your clean labels failed" in str(failed)


@pytest.mark.slow
def test_pictures_that_trained_weights_do_not_take_are_refused(weights):
    assert start_of(str(weights), 3).channels == 1  # colour becomes grey
    with pytest.raises(InputError, match=r"are for pictures of 1 channel\(s\), and these have 2; give --start scratch"):
        start_of(str(weights), 2)


def test_runs_from_scratch_have_the_fingerprint_of_earlier_versions(tmp_path):
    folder = make_folder(tmp_path / "mine")
    config = FolderConfig(str(folder), tmp_path / "out", start="scratch")
    facts = folder_plan(config, open_folder(config))["facts"]
    assert not {"start", "tune", "weights"} & facts.keys()
    facts = folder_plan(dataclasses.replace(config, start="nuclei"), open_folder(config))["facts"]
    assert facts["start"] == "nuclei" and len(facts["weights"]) == 3 and tuning(config).train.loop.epochs == 40


def test_trained_weights_say_which_pictures_of_a_folder_they_saw(tmp_path):
    folder, variables = (
        make_folder(tmp_path / "mine"),
        create("unet", **SIZES).init(jax.random.key(0), jnp.zeros((1, 16, 16, 2))),
    )
    for path in (folder / "images").iterdir():
        Image.open(path).convert("RGB").save(path)  # they saw grey ones
    opened = open_folder(FolderConfig(str(folder), tmp_path / "out"))
    start = Start(create("unet", **SIZES), variables, 1)
    clean, noisy = opened.whole[0], opened.noisy[0]
    used = [
        UsedPicture("old", "", LEARNT, picture_digest(start.seen(clean.image))),
        UsedPicture(noisy.name, "", CHOSE, "0" * 16),
        UsedPicture(opened.noisy.names[1], "", SCORED, picture_digest(start.seen(opened.noisy[1].image))),
    ]
    kept = {"unet": Kept(SIZES, halved(variables), {})}
    objects = {"classes": ["square"], "diameters": [20.0, 30.0], "brighter": False}
    made = Finished("repairs squares", {"errors": "omission"}, "drawn here, CC0", kept, [("network",)], used, objects)
    write(tmp_path / "weights", made, dict.fromkeys(("command", "commit", "machine"), "here"))
    config = FolderConfig(str(folder), tmp_path / "out", start=str(tmp_path / "weights"))
    repair = Repair(config, open_folder(config))
    seen, namesake, bright, small = repair.of_weights
    assert f"learnt from 1 of {len(opened.whole)} pictures with clean labels ({clean.name})" in seen
    assert f"1 of {len(opened.noisy)} pictures to repair ({noisy.name}) have names of some" in namesake
    assert f"In {len(opened.whole)} of {len(opened.whole)} annotated pictures the objects are brighter" in bright
    assert "a median diameter of 8 px, but the networks learnt from pictures with medians from 20 to 30 px" in small
    results = pd.DataFrame({"status": ["ok"], "file": ["network"]})
    repair._held_out = SimpleNamespace(means=(0.1, 0.9))
    assert warnings(repair, results) == repair.of_weights
    assert Repair(dataclasses.replace(config, start="scratch"), opened).of_weights == []
