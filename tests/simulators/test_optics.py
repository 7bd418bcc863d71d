"""Optics conserve light and blur more along the axis; the detector has the mean and variance of its electrons."""

import numpy as np
import pytest

from segjax.simulators.optics import Detector, Optics, blur, expose
from segjax.simulators.phantoms import SLICE_STEP


def point(shape):
    stain = np.zeros(shape, np.float32)
    stain[tuple(length // 2 for length in shape)] = 1.0
    return stain


def spread(light, axis):
    """Standard deviation of the light along one axis, in voxels."""
    profile = light.sum(axis=tuple(other for other in range(3) if other != axis), dtype=float)
    place = np.arange(len(profile)) - len(profile) // 2
    return np.sqrt((profile * place**2).sum() / profile.sum())


def test_blur_conserves_light_away_from_the_borders():
    stain = np.zeros((61, 65, 65), np.float32)
    stain[28:33, 30:35, 29:36] = np.random.default_rng(0).uniform(size=(5, 5, 7)).astype(np.float32)
    light = blur(stain, 2.0)
    assert light.dtype == np.float32
    np.testing.assert_allclose(light.sum(dtype=float), stain.sum(dtype=float), rtol=1e-4)


@pytest.mark.parametrize("coarsening", [1.0, 2.0])
def test_the_sharp_part_has_its_standard_deviations(coarsening):
    light = blur(point((41, 41, 41)), coarsening, Optics(lateral=3.0, axial=6.0, haze=0.0))
    np.testing.assert_allclose(spread(light, 0), 6.0 / SLICE_STEP / coarsening, rtol=0.03)
    np.testing.assert_allclose([spread(light, 1), spread(light, 2)], 3.0 / coarsening, rtol=0.03)


def test_the_haze_has_its_standard_deviations():
    light = blur(point((121, 121, 121)), 2.0, Optics(haze_lateral=16.0, haze_axial=24.0, haze=1.0))
    np.testing.assert_allclose(spread(light, 0), 24.0 / SLICE_STEP / 2, rtol=0.08)
    np.testing.assert_allclose([spread(light, 1), spread(light, 2)], 8.0, rtol=0.08)


def test_the_picture_is_longer_along_the_optical_axis():
    light = blur(point((61, 61, 61)), 1.0, Optics(haze=0.0))
    np.testing.assert_allclose(spread(light, 0) * SLICE_STEP / spread(light, 1), 3.0, rtol=0.03)


def test_blur_is_linear():
    one, other = (np.random.default_rng(seed).uniform(size=(7, 9, 9)).astype(np.float32) for seed in (0, 1))
    np.testing.assert_allclose(blur(one + 2 * other, 4.0), blur(one, 4.0) + 2 * blur(other, 4.0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("light", [0.0, 0.5])
def test_mean_and_variance_of_the_counts(light):
    detector = Detector(signal=200.0, background=10.0, read_noise=3.0, gain=20.0, offset=500.0)
    counts = expose(np.full((4, 100, 100), light, np.float32), (0,), detector).astype(float)
    electrons = 10.0 + 200.0 * light
    np.testing.assert_allclose(counts.mean(), 500.0 + 20.0 * electrons, rtol=0.005)
    np.testing.assert_allclose(counts.var(), 400.0 * (electrons + 9.0), rtol=0.05)


def test_counts_saturate_at_16_bit():
    counts = expose(np.full((1, 4, 4), 1e4, np.float32), (0,))
    assert counts.dtype == np.uint16 and (counts == 65535).all()
    assert (expose(np.zeros((1, 4, 4), np.float32), (0,), Detector(offset=0.0, gain=1.0, read_noise=50.0)) == 0).any()


def test_a_slice_depends_on_its_own_light_and_seed():
    light = np.random.default_rng(0).uniform(size=(3, 8, 8)).astype(np.float32)
    counts = expose(light, (1, 2))
    np.testing.assert_array_equal(counts, expose(light, (1, 2)))
    np.testing.assert_array_equal(counts[:2], expose(light[:2], (1, 2)))
    assert (counts != expose(light, (1, 3))).any()
    assert (counts[0] != expose(light[[0, 0]], (1, 2))[1]).any()
