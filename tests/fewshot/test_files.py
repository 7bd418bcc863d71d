"""Extractors by the name of trained weights of the package, and from folders."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import segjax.models.pretrained as pretrained
from segjax.fewshot import FeatureBank, Objects, create_head, load_extractors, save_extractors, segment_new_type
from segjax.models import create
from segjax.types import InputError
from tests.weights_folder import TINY, write_weights


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A package whose weights are "dots", with a U-Net that is an extractor and an MSD that is not; the variables."""
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path / "shipped")
    write_weights(tmp_path / "shipped" / "lines", kinds=("msd",))
    return write_weights(tmp_path / "shipped" / "dots")


def test_a_name_gives_the_networks_that_are_meant_for_it_with_their_statistics(shelf):
    (one,) = load_extractors("dots")
    assert (one.kind, one.layers, one.turned, one.channels) == ("unet", ("down0", "up0"), True, 1)
    np.testing.assert_array_equal(one.mean, np.ones(4))
    assert one.digest == load_extractors("dots")[0].digest
    image = np.random.default_rng(0).random((8, 8, 1), np.float32)
    exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), shelf["unet"])
    plain = create("unet", **TINY["unet"])
    _, maps = plain.apply(exact, jnp.asarray(image)[None], features=True)
    _, turned = plain.apply(exact, jnp.asarray(image[::-1])[None], features=True)
    own = jnp.concatenate([maps["down0"], maps["up0"]], -1)[0]
    flipped = jnp.concatenate([turned["down0"], turned["up0"]], -1)[0][::-1]
    features = one.raw(one.variables, jnp.asarray(image))
    again = one.raw(one.variables, jnp.asarray(image[::-1]))[::-1]
    np.testing.assert_allclose(features, again, rtol=1e-5)  # the average over turns does not care
    assert float(jnp.abs(own - flipped).max()) > 1e-3


def test_extractors_by_name_come_back_from_a_folder_of_their_own(shelf, tmp_path):
    save_extractors(tmp_path / "kept", load_extractors("dots"))
    assert FeatureBank(load_extractors(tmp_path / "kept")).digest == FeatureBank(load_extractors("dots")).digest


def test_a_folder_of_weights_is_taken_like_its_name(shelf, tmp_path, monkeypatch):
    write_weights(tmp_path / "mine")
    digest = load_extractors("dots")[0].digest
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "mine", Path("mine"), "./mine", "mine"):
        assert load_extractors(place)[0].digest == digest


def test_a_name_that_is_a_folder_of_extractors_too_is_refused(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_extractors(Path("dots"), load_extractors("dots"))
    with pytest.raises(InputError, match=r"dots is a folder here, and also .*; give \./dots for the folder"):
        load_extractors("dots")
    assert len(load_extractors("./dots")) == len(load_extractors(Path("dots"))) == 1


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("stars", r"no trained weights 'stars'; choose one of dots, lines"),
        ("lines", r"no network of the weights 'lines' is an extractor; choose one of dots"),
        (Path("dots"), r"dots has no file extractor-\*.safetensors; .* come with segjax \(dots\)"),
        ("runs/stars", r"runs/stars has no file extractor-"),
    ],
)
def test_what_is_no_extractor_is_refused(place, said, shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        load_extractors(place)


@pytest.mark.slow
def test_the_nuclei_of_the_package_learn_discs_from_one_picture():
    rows, columns = np.mgrid[:48, :48]

    def picture(places, seed):
        mask = np.zeros((48, 48), np.int32)
        for number, (row, column) in enumerate(places, 1):
            mask[(rows - row) ** 2 + (columns - column) ** 2 <= 49] = number
        noise = np.random.default_rng(seed).normal(0, 0.03, mask.shape)
        return (0.2 + 0.5 * (mask > 0) + noise).astype(np.float32)[..., None], mask

    shot, query = picture([(12, 12), (34, 30)], 0), picture([(14, 33), (36, 12)], 1)
    extractors = load_extractors("nuclei")
    (found,) = segment_new_type(extractors, [shot[0]], [shot[1]], [query[0]], create_head("ridge"), Objects())
    mask, truth = found > 0, query[1] > 0
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9
