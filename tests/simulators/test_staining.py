"""Light through stains: the law of Beer and Lambert, its inversion, and what lens and camera keep."""

import numpy as np
import pytest

from segjax.simulators.staining import EOSIN, HAEMATOXYLIN, Staining, draw_staining, photograph, transmit
from segjax.simulators.tissue_scene import Stains

PLAIN = Staining(np.stack([HAEMATOXYLIN, EOSIN]), np.ones(2), np.ones(3), lens=0.5)


def stains(haematoxylin, eosin):
    return Stains(np.array(haematoxylin, np.float32), np.array(eosin, np.float32))


def test_light_of_known_concentrations():
    light = transmit(stains([[0, 1, 0, 2]], [[0, 0, 1, 1]]), PLAIN)
    expected = [np.ones(3), 10**-HAEMATOXYLIN, 10**-EOSIN, 10 ** -(2 * HAEMATOXYLIN + EOSIN)]
    np.testing.assert_allclose(light[0], expected, rtol=1e-6)
    assert light.dtype == np.float32


def test_mean_stain_vectors_have_unit_length():
    np.testing.assert_allclose(np.linalg.norm([HAEMATOXYLIN, EOSIN], axis=1), 1.0, atol=2e-3)


def test_colour_deconvolution_finds_the_concentrations_again():
    rng = np.random.default_rng(0)
    there = stains(rng.uniform(0, 1.2, (8, 9)), rng.uniform(0, 1.2, (8, 9)))
    staining = draw_staining(3, 1)
    density = -np.log10(transmit(there, staining) / staining.light)
    found, *_ = np.linalg.lstsq(
        (staining.strengths[:, None] * staining.vectors).T, density.reshape(-1, 3).T, rcond=None
    )
    np.testing.assert_allclose(found[0], there.haematoxylin.ravel(), atol=1e-4)
    np.testing.assert_allclose(found[1], there.eosin.ravel(), atol=1e-4)


def test_slides_differ_and_are_drawn_from_seed_and_number_alone():
    slides = [draw_staining(0, slide) for slide in range(60)]
    np.testing.assert_array_equal(slides[7].vectors, draw_staining(0, 7).vectors)
    assert (slides[7].vectors != draw_staining(1, 7).vectors).any()
    vectors = np.stack([slide.vectors for slide in slides])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1.0)
    np.testing.assert_allclose(vectors.mean(0), [HAEMATOXYLIN, EOSIN], atol=0.02)
    strengths = np.log([slide.strengths for slide in slides])
    np.testing.assert_allclose(strengths.std(0), [0.10, 0.16], rtol=0.3)


@pytest.mark.parametrize("binning", [1, 3])
def test_even_light_comes_out_even_with_the_noise_of_its_photons(binning):
    light = np.full((180, 180, 3), 0.5, np.float32)
    picture = photograph(light, 0.5, binning, PLAIN, np.random.default_rng(0))
    assert picture.shape == (180 // binning, 180 // binning, 3) and picture.dtype == np.uint8
    assert picture.mean() == pytest.approx(0.5 * 243, abs=0.3)
    electrons = 5000 * (0.5 * binning) ** 2
    spread = 243 * np.sqrt(0.5 / electrons + 0.002**2 + 1 / 12 / 243**2)
    assert picture.std() == pytest.approx(spread, rel=0.05)


def test_the_lens_keeps_the_light_and_spreads_it_as_far_as_it_says():
    light = np.zeros((41, 41, 3), np.float32)
    light[20, 20] = 20.0  # at most 0.8 of white after the lens
    dark = photograph(0.0 * light, 0.25, 1, PLAIN, np.random.default_rng(0)).astype(float)
    seen = photograph(light, 0.25, 1, PLAIN, np.random.default_rng(0)).astype(float) - dark.mean()
    offsets = np.arange(41) - 20
    profile = seen.mean(2).sum(0)
    assert profile.sum() / 243 == pytest.approx(20.0, rel=0.05)
    assert 0.25 * np.sqrt((profile * offsets**2).sum() / profile.sum()) == pytest.approx(0.5, rel=0.1)
