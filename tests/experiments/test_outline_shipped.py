"""Scenes that trained weights look at, without a run; and finished runs whose encoders started from a file."""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from experiments.harness.options import overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.run import plan_of
from experiments.outline_sites import __main__ as command
from experiments.outline_sites.networks import Gated, open_run
from experiments.outline_sites.options import OutlineOptions
from experiments.outline_sites.shipped import open_shipped
from experiments.pretrain.finished import Finished, Kept, write
from experiments.pretrain.schedule import halved
from experiments.site_segmentation.grid import Trial
from experiments.site_segmentation.operating import Point
from experiments.site_segmentation.study import STUDY, SiteTrainer
from segjax.models import create
from segjax.sweeps import Ledger, Row
from segjax.types import InputError
from tests.data.ground.test_scene import write as write_scene

pytest.importorskip("rasterio", reason="the extra geo is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")
SIZES = {"width": 2, "levels": 1, "norm": "group"}
FACTS = {
    "metres": 6.64,
    "side": 64,
    "point": [0.9, 5.0, 0.25],
    "held_out": {"dice_pooled": 0.6, "detection_rate": 0.9, "false_positive_rate": 0.1},
    "trivial": ["a disc in the middle of every picture", 0.2],
    "smallest_pixels": 20.0,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of weights that never learnt: the network marks every pixel, and the classifier is sure of a site."""
    networks = {}
    for kind, facts in (("unet", FACTS), ("unet_classifier", {})):
        variables = create(kind, **SIZES).init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
        head = variables["params"]["head"] if kind == "unet" else variables["params"]["unet"]["head"]
        head["bias"] = jnp.array([-50.0, 50.0])
        networks[kind] = Kept(SIZES, halved(variables), {}, facts)
    about = {"caution": "nothing is known of them"}
    folder = tmp_path_factory.mktemp("weights") / "mine"
    write(
        folder,
        Finished("finds discs", about, "drawn here, CC0", networks, [("network",)], []),
        dict.fromkeys(("command", "commit", "machine"), "here"),
    )
    return folder


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["outline_sites", *map(str, options)])
    command.main()


@pytest.mark.slow
def test_weights_look_at_a_scene_without_any_run(weights, tmp_path, monkeypatch, capsys):
    pixels = np.random.default_rng(0).integers(1, 255, (1, 96, 130)).astype(np.uint8)
    scene, out = write_scene(tmp_path / "scene.tif", pixels), tmp_path / "found"
    run(monkeypatch, "--scene", scene, "--out", out, "--weights", weights)
    printed = capsys.readouterr().out
    assert "1 site of 55 ha: " in printed and "half of the smallest mound that the networks learnt from" in printed
    page = (out / "found.html").read_text()
    assert "About the weights: nothing is known of them." in page and "simulated mounds (the weights" in page
    assert "1 site of 55 ha was found in scene.tif; the networks find a site in 90 %" in page
    assert len(pd.read_csv(out / "sites.csv")) == 1


def test_the_level_and_the_gate_are_those_of_the_card(weights):
    found = open_shipped(str(weights))
    assert found.point(None) == Point(0.9, 5.0, 0.25) and found.point(0.7) == Point(0.7, is_outline=True)
    ((network, variables),) = found.looking(None)
    assert isinstance(network, Gated) and variables["gate"] == 0.25
    ((network, variables),) = found.looking(0.7)
    assert network.width == 2 and "params" in variables
    assert (found.metres, found.side, found.smallest[0], found.held_out.trivial.dice) == (6.64, 64, 20.0, 0.2)


def test_the_mounds_of_the_package_are_found_by_their_name():
    found = open_shipped("mounds")
    assert (found.metres, found.side) == (3.32, 128)
    assert found.held_out.dice.mean > found.held_out.trivial.dice and 0 <= found.held_out.false_positive_rate.mean < 1
    ((network, variables),) = found.looking(0.7)
    assert network.apply(variables, jnp.zeros((1, 128, 128, 1))).shape == (1, 128, 128, 2)


def test_weights_that_find_no_sites_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"weights: 'nuclei' do not find sites; give mounds, or a folder"):
        open_shipped("nuclei")
    for given in ({}, {"run": tmp_path, "weights": "./mounds"}):
        with pytest.raises(InputError, match="run, weights: give one of the two"):
            OutlineOptions(tmp_path / "scene.tif", tmp_path / "out", **given).check()
    options = OutlineOptions(tmp_path / "scene.tif", tmp_path / "out", weights="./mounds", learnt="points")
    with pytest.raises(InputError, match="learnt: chooses among the networks of a run; give --run too"):
        options.check()


def test_a_finished_run_needs_no_file_that_its_encoders_started_from(tmp_path):
    data = {"data": "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4&without=1&seed=3", "folds": 4}
    changes = {"run": {"out": tmp_path}, "source": data, "segmentation": {"networks": ("unet+resnet18",)}}
    config = resolved(STUDY, overlaid(defaults_of(STUDY, "smoke"), changes))
    plan = plan_of(STUDY, config, STUDY.read(config))
    gone = dataclasses.replace(config.segmentation.sizes, encoder_weights=str(tmp_path / "gone.safetensors"))
    used = overlaid(config, {"segmentation": {"sizes": gone}})
    plan["config"] = json.loads(json.dumps(dataclasses.asdict(used), default=str))
    trial = Trial("unet+resnet18", 0, "outlines")
    with Ledger(tmp_path, Trial, plan) as ledger:
        ledger.append(trial, [Row("dice_pooled", 0.5)], 0, "ok")
    found = open_run(tmp_path, "outlines")
    assert found.learnt == trial
    assert SiteTrainer(found.config, found.domain).network("unet+resnet18").encoder_weights is None
