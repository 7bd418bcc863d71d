"""Features of a bank against the networks' own maps, and the refusal of what does not fit."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.fewshot import Extractor, FeatureBank, load_extractors, save_extractors
from segjax.fewshot.bank import enlarge, with_statistics
from segjax.fewshot.moments import class_moments
from segjax.models import CLASSIFIERS, create
from segjax.types import InputError


def pictures(count: int = 3, height: int = 18, width: int = 16, channels: int = 1) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    return [generator.random((height, width, channels)).astype(np.float32) for _ in range(count)]


def test_features_are_the_networks_maps_standardised(extractors):
    images = pictures()
    bank = FeatureBank.standardised(extractors, images)
    raw = []
    for extractor, layer in zip(extractors, ("dense", "up0"), strict=True):
        apply = jax.jit(lambda image, e=extractor: e.network.apply(e.variables, image, features=True)[1])
        raw.append(np.concatenate([apply(image[None])[layer] for image in images]))
    everything = np.concatenate(raw, -1).astype(np.float64)
    deviation = everything.std((0, 1, 2))
    expected = (everything - everything.mean((0, 1, 2))) / np.where(deviation > 1e-6, deviation, 1)
    found = bank.stack(images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(bank.variance, deviation**2, rtol=1e-3, atol=1e-9)
    assert len(bank) == found.shape[-1] == len(bank.names) == 4 + 3
    assert bank.names[0] == "0:msd/dense/0" and bank.names[-1] == "1:unet/up0/2"


def test_lower_layers_are_enlarged_to_the_picture(tiny):
    image = jnp.asarray(pictures(1, 19, 22)[0])
    extractor = tiny("unet", 0, layers=("down0", "down2", "up1"))
    found = extractor.raw(extractor.variables, image)
    maps = extractor.network.apply(extractor.variables, image[None], features=True)[1]
    assert found.shape == (19, 22, extractor.count)
    np.testing.assert_array_equal(found[..., :3], maps["down0"][0])
    low = np.asarray(maps["down2"][0])
    # row 2 lies an eighth of a map pixel below the centre of the first; column 1 lies before it
    np.testing.assert_allclose(found[2, 1, 3:-3], 0.875 * low[0, 0] + 0.125 * low[1, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[18, :, 3:-3], found[15, :, 3:-3])


@pytest.mark.parametrize("name", ["unet", "segnet", "msd"])
def test_averages_over_turns_turn_with_the_picture(name, tiny):
    extractor = replace(tiny(name, 0), turned=True)
    image, plain = pictures(1, 16, 16)[0], tiny(name, 0)
    average, single = (jax.jit(partial(own.raw, own.variables)) for own in (extractor, plain))
    found = average(image)
    # by hand: every view's own features, turned back
    views = [np.rot90(np.flip(image, 1) if flipped else image, turns) for flipped in (0, 1) for turns in range(4)]
    own = [np.asarray(single(view)) for view in views]
    back = [np.rot90(one, -turns) for one, turns in zip(own, [*range(4)] * 2, strict=True)]
    back[4:] = [np.flip(one, 1) for one in back[4:]]
    np.testing.assert_allclose(found, np.mean(back, axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(average(np.rot90(image)), np.rot90(found), rtol=1e-3, atol=1e-4)
    assert np.abs(own[0] - found).max() > 1e-2


def test_an_extractor_of_averages_is_one_when_it_is_read_again(tiny, tmp_path):
    known = [replace(with_statistics(tiny("unet", 1), pictures()), turned=turned) for turned in (True, False)]
    save_extractors(tmp_path / "kept", known)
    again = load_extractors(tmp_path / "kept")
    assert [one.turned for one in again] == [True, False]
    assert [one.digest for one in again] == [one.digest for one in known]


def test_a_picture_that_is_not_square_is_averaged_over_its_flips(tiny):
    extractor, image = replace(tiny("msd", 0), turned=True), jnp.asarray(pictures(1, 16, 18)[0])
    found = np.asarray(extractor.raw(extractor.variables, image))
    flipped = np.asarray(extractor.raw(extractor.variables, image[::-1, ::-1]))
    assert found.shape == (16, 18, extractor.count)
    np.testing.assert_allclose(flipped, found[::-1, ::-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("length", [4, 5, 6, 7, 8, 11])
@pytest.mark.parametrize("poolings", [0, 1, 2])
def test_a_map_knows_how_often_it_was_pooled(length, poolings):
    low = np.arange(length >> poolings, dtype=np.float32)[:, None, None] * np.ones(
        (1, length >> poolings, 1), np.float32
    )
    found = np.asarray(enlarge(jnp.asarray(low), length, length))[:, 0, 0]
    centres = (np.arange(length) + 0.5) / 2**poolings - 0.5
    np.testing.assert_allclose(found, np.clip(centres, 0, len(low) - 1), atol=1e-6)


@pytest.mark.parametrize(("length", "rows"), [(33, 17), (33, 9), (37, 3)])  # rounded up by strides 2, 4 and 16
def test_a_map_whose_size_was_rounded_up_is_cut_to_the_picture(length, rows):
    low = np.arange(rows, dtype=np.float32)[:, None, None] * np.ones((1, rows, 1), np.float32)
    found = np.asarray(enlarge(jnp.asarray(low), length, length))
    stride = {17: 2, 9: 4, 3: 16}[rows]
    centres = (np.arange(length) + 0.5) / stride - 0.5
    np.testing.assert_allclose(found[:, 0, 0], np.clip(centres, 0, rows - 1), atol=1e-6)
    assert found.shape == (length, length, 1)


@pytest.mark.parametrize("length", [33, 40, 47])
def test_a_map_of_two_rows_is_enlarged_by_the_number_in_its_layers_name(length):
    """Two rows of a map with stride 32, rounded up, are also what stride 16 leaves, rounded down."""

    class Deep:
        stride = 32

        def init(self, key, image):
            return {}

        def apply(self, variables, image, features=False):
            rows = -(-image.shape[1] // 32)
            low = jnp.arange(rows, dtype=jnp.float32).reshape(1, rows, 1, 1) * jnp.ones((1, 1, rows, 1))
            return image, {"down5": low}

    found = Extractor(Deep(), {}, ("down5",)).raw({}, jnp.zeros((length, length, 1)))[:, 0, 0]
    np.testing.assert_allclose(found, np.clip((np.arange(length) + 0.5) / 32 - 0.5, 0, 1), atol=1e-6)


def test_a_unet_with_an_encoder_is_kept_as_an_extractor_without_the_file_that_it_started_from(tmp_path):
    network = create("unet", encoder="resnet18", width=8, input_mean=(0.4, 0.5, 0.6))
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    extractor = Extractor(network, jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes))
    assert (extractor.kind, extractor.layers, extractor.channels, extractor.count) == ("unet", ("up0",), 3, 2)
    save_extractors(tmp_path / "kept", [extractor])
    (again,) = load_extractors(tmp_path / "kept")
    assert again.network == network and again.digest == extractor.digest


def test_moments_of_a_bank_are_those_of_its_features(extractors):
    images = pictures()
    targets = [np.int32(image[..., 0] > 0.5) for image in images]
    bank = FeatureBank.standardised(extractors, images)
    expected = class_moments(bank.stack(images), np.stack(targets))
    np.testing.assert_allclose(bank.moments(images, targets), expected, rtol=1e-4, atol=1e-3)


def test_the_digest_changes_with_everything_that_features_depend_on(tiny):
    images = pictures()
    known = with_statistics(tiny("unet", 1), images)
    digests = {
        known.digest,
        tiny("unet", 1).digest,
        tiny("unet", 2).digest,
        tiny("unet", 1, layers=("down0",)).digest,
        replace(known, turned=True).digest,
        with_statistics(tiny("unet", 1), images[:1]).digest,
    }
    assert len(digests) == 6
    assert with_statistics(tiny("unet", 1), images).digest == known.digest
    assert FeatureBank([known]).digest != FeatureBank([known, known]).digest


def test_an_extractor_knows_its_channels(tiny):
    assert [tiny(name, 0, 3).channels for name in ("msd", "unet", "segnet")] == [3, 3, 3]


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_picture_that_is_not_finite_is_refused_by_its_number(value, extractors):
    images = pictures()
    bank = FeatureBank.standardised(extractors, images)
    images[2][4, 5] = value
    targets = [np.int32(image[..., 0] > 0.5) for image in images]
    for use in (
        lambda: bank.stack(images),
        lambda: bank.moments(images, targets),
        lambda: with_statistics(extractors[0], images),
    ):
        with pytest.raises(InputError, match="number 2 holds NaN or infinite values"):
            use()
    with pytest.raises(InputError, match="one holds NaN"):
        bank.features(images[2])


def test_a_picture_is_checked_without_its_features(extractors):
    bank = FeatureBank.standardised(extractors, pictures())
    bank.check(pictures()[0])
    with pytest.raises(InputError, match=r"mine.png cannot be used: .* at least 4 x 4 pixels"):
        bank.check(pictures(1, 3, 16)[0], "mine.png")
    with pytest.raises(InputError, match=r"mine.png has the shape \(18, 16, 3\)"):
        bank.check(pictures(1, channels=3)[0], "mine.png")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_no_extractor(name):
    with pytest.raises(
        InputError, match=r"network: .* classifies whole pictures; give one that segments \(unet, segnet, msd\)"
    ):
        Extractor(create(name), {})


@pytest.mark.slow
def test_what_does_not_fit_is_refused(extractors, tiny):
    bank = FeatureBank.standardised(extractors, pictures())
    with pytest.raises(InputError, match=r"\[H, W, 1\]"):
        bank.features(pictures(channels=3)[0])
    with pytest.raises(InputError, match="no map 'up7'"):
        tiny("unet", 0, layers=("up7",))
    with pytest.raises(InputError, match="there are none"):
        FeatureBank([])
    with pytest.raises(InputError, match="no statistics"):
        FeatureBank(extractors)
    with pytest.raises(InputError, match=r"channels"):
        FeatureBank([*bank.extractors, with_statistics(tiny("unet", 0, 3), pictures(channels=3))])
    with pytest.raises(InputError, match="standardise"):
        with_statistics(extractors[0], [])
    with pytest.raises(InputError, match="variables do not fit"):
        Extractor(extractors[1].network, extractors[0].variables)
