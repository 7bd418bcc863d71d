"""The command that saves a trained network for other programs: which network a file is for, and what is said."""

import sys

import jax
import numpy as np
import pytest
from jax import export

import segjax.models.pretrained as pretrained
from experiments import export as command
from experiments.harness.networks import facts_of, network_from
from segjax.models import CLASSIFIERS, NETWORKS, card, create, load_weights, save_weights
from segjax.models.pretrained import VERSION, shipped_names
from segjax.types import InputError
from tests.weights_folder import TINY, write_weights

MSD = create("msd", depth=2, input_mean=(0.1,), input_std=(0.3,))
IMAGES = np.random.default_rng(0).integers(0, 200, (1, 14, 15, 1), np.uint8)


@pytest.fixture
def variables():
    drawn = jax.eval_shape(MSD.init, jax.random.key(0), np.zeros((1, 9, 9, 1), np.float32))
    random = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: random.standard_normal(leaf.shape, np.float32), drawn)


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["export", *map(str, options)])
    command.main()


def call(path, images):
    return np.asarray(export.deserialize(bytearray(path.read_bytes())).call(images))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the three lines are as short as can be
def test_weights_that_tell_their_network_are_saved(tmp_path, monkeypatch, capsys, variables):
    weights, out = tmp_path / "network.safetensors", tmp_path / "nuclei.stablehlo"
    save_weights(weights, variables, facts_of(MSD))
    run(monkeypatch, weights, out, "--pixels", "uint8", "--scale", "max", "--platforms", "cpu")
    expected = jax.jit(MSD.apply)(variables, IMAGES.astype(np.float32) / IMAGES.max())
    np.testing.assert_allclose(call(out, IMAGES), expected, rtol=1e-5, atol=1e-5)
    said = capsys.readouterr().out
    assert "takes uint8[batch,rows + 2,columns + 2,1], gives float32[batch,rows + 2,columns + 2,2]" in said
    lines = [line.strip() for line in said.splitlines()[-3:]]  # those that people copy
    found = {"images": IMAGES}
    exec("\n".join(lines), found)
    np.testing.assert_array_equal(found["logits"], call(out, IMAGES))
    with pytest.raises(InputError, match="is there already; give another name"):
        run(monkeypatch, weights, out)


def test_an_extractor_of_16_bits_is_saved_by_the_options_that_are_given(tmp_path, monkeypatch, variables):
    weights, out = tmp_path / "extractor-0.safetensors", tmp_path / "one.stablehlo"
    halves = jax.tree.map(lambda leaf: leaf.astype(np.float16), variables)
    save_weights(weights, {"variables": halves, "mean": np.zeros(3, np.float32)})
    given = ("--network", "msd", "--options", "depth=2", "input_mean=(0.1,)", "input_std=(0.3,)", "norm=none")
    run(monkeypatch, weights, out, *given, "--size", "14", "15")
    images = IMAGES.astype(np.float32) / 255
    expected = jax.jit(MSD.apply)(jax.tree.map(lambda leaf: leaf.astype(np.float32), halves), images)
    np.testing.assert_allclose(call(out, images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in shipped_names() if name != "upgrader"])
def test_weights_of_the_package_take_pictures_of_cameras_as_they_were_trained(name, tmp_path, monkeypatch):
    kind, takes = card(name).networks[-1], card(name).facts["about"]["takes"]
    images = np.random.default_rng(0).integers(0, 200, (1, 24, 32, 1 if "1 channel" in takes else 3), np.uint8)
    run(monkeypatch, f"{name}/{kind}", tmp_path / "one", "--pixels", "uint8", "--platforms", "cpu", "--size", 24, 32)
    network = create(kind, pretrained=name)
    scaled = images.astype(np.float32) / (255 if "the data type's largest value" in takes else images.max())
    expected = jax.jit(network.apply)(network.init(jax.random.key(0), scaled), scaled)
    np.testing.assert_allclose(call(tmp_path / "one", images), expected, rtol=1e-5, atol=1e-5)


def test_an_upgrader_takes_no_pictures_of_cameras(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="pixels: upgrader/unet repairs labels, and sees them as a channel"):
        run(monkeypatch, "upgrader/unet", tmp_path / "two.stablehlo", "--pixels", "uint8")


def test_weights_of_the_package_are_saved_by_their_name(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path / "shipped")
    kept, out = write_weights(tmp_path / "shipped/dots"), tmp_path / "dots.stablehlo"
    run(monkeypatch, "dots/msd", out, "--platforms", "cpu")
    images = IMAGES.astype(np.float32) / 255
    exact = jax.tree.map(lambda leaf: leaf.astype(np.float32), kept["msd"])
    expected = jax.jit(create("msd", **TINY["msd"]).apply)(exact, images)
    np.testing.assert_allclose(call(out, images), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match=r"network, options: dots/msd decides both; leave them out"):
        run(monkeypatch, "dots/msd", tmp_path / "two", "--network", "msd")
    with pytest.raises(InputError, match=r"network stars: there are no weights 'dots' for it; these are for unet, msd"):
        run(monkeypatch, "dots/stars", tmp_path / "two")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), r"network\.safetensors: does not say which network it is for; give --network and its --options"),
        (("--options", "depth=2"), "options: are given without a network"),
        (("--network", "msd", "--options", "depth"), "options: 'depth' is not of the form NAME=VALUE"),
        (("--network", "msd", "--options", "depth=3"), "variables: are not those of a MSD with these options"),
        (("--network", "msd", "--options", "depth=two"), "network msd: depth must be a whole number"),
        (("--size", "1", "2", "3"), "size: 3 numbers are given"),
    ],
    ids=str,
)
def test_what_cannot_be_saved_is_refused(tmp_path, monkeypatch, variables, options, said):
    save_weights(tmp_path / "network.safetensors", variables)
    with pytest.raises(InputError, match=said):
        run(monkeypatch, tmp_path / "network.safetensors", tmp_path / "one.stablehlo", *options)
    assert not (tmp_path / "one.stablehlo").exists()


def test_a_network_of_another_version_is_not_saved(tmp_path, monkeypatch, variables):
    weights = tmp_path / "network.safetensors"
    save_weights(weights, variables, facts_of(MSD) | {"version": VERSION + 1})
    with pytest.raises(InputError, match=rf"network.safetensors: these weights are for version {VERSION + 1} of"):
        run(monkeypatch, weights, tmp_path / "one.stablehlo")


@pytest.mark.parametrize("name", [*NETWORKS, *CLASSIFIERS])
def test_a_file_tells_its_network(name, tmp_path):
    options = {"input_mean": (0.1, 0.2)} if name == "msd" else {}
    network = create(name, classes=3, **options)
    save_weights(tmp_path / "weights.safetensors", {"params": np.zeros(1, np.float32)}, facts_of(network))
    facts = load_weights(tmp_path / "weights.safetensors").facts
    assert network_from(facts) == network and facts["version"] == VERSION
    assert facts_of(object()) == {}
