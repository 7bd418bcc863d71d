"""Optics and detector of the virtual microscope: stain per voxel -> 16-bit picture."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt16
from scipy import ndimage

from segjax.simulators.phantoms import SLICE_STEP


@dataclass(frozen=True)
class Optics:
    """Point-spread function: a sharp Gaussian, longer along the optical axis, and a broad out-of-focus haze.

    Attributes:
        lateral, axial: standard deviations of the sharp part, in published pixels.
        haze_lateral, haze_axial: the same of the haze.
        haze: share of the light that ends in the haze, 0 to 1.
    """

    lateral: float = 1.5
    axial: float = 4.5
    haze_lateral: float = 16.0
    haze_axial: float = 24.0
    haze: float = 0.3


@dataclass(frozen=True)
class Detector:
    """Camera: Poisson statistics of photo-electrons, read noise, offset, 16 bit.

    Attributes:
        signal: photo-electrons per voxel where the stain is 1.
        background: photo-electrons per voxel without stain.
        read_noise: standard deviation in electrons.
        gain: counts per electron.
        offset: counts without light.
    """

    signal: float = 260.0
    background: float = 9.0
    read_noise: float = 3.0
    gain: float = 80.0
    offset: float = 800.0


def blur(
    stain: Float32[np.ndarray, "D H W"],
    coarsening: float = 1.0,
    optics: Optics = Optics(),
) -> Float32[np.ndarray, "D H W"]:
    """Picture of the stain behind the lens, total light conserved away from the borders.

    `coarsening` is the voxel edge in published pixels; slices lie SLICE_STEP such edges apart.
    """
    edges = np.array([SLICE_STEP, 1.0, 1.0]) * coarsening
    sharp = ndimage.gaussian_filter(
        stain, np.array([optics.axial, optics.lateral, optics.lateral]) / edges, mode="constant", truncate=3.0
    )
    haze = stain
    for axis, spread in enumerate(np.array([optics.haze_axial, optics.haze_lateral, optics.haze_lateral]) / edges):
        haze = _running_gaussian(haze, float(spread), axis)
    sharp *= np.float32(1.0 - optics.haze)
    haze *= np.float32(optics.haze)
    sharp += haze
    return sharp


def expose(
    light: Float32[np.ndarray, "D H W"],
    seed: tuple[int, ...],
    detector: Detector = Detector(),
) -> UInt16[np.ndarray, "D H W"]:
    """Counts of the camera, drawn slice by slice so that a slice depends on its own light, `seed` and number only."""
    counts = np.empty(light.shape, np.uint16)
    for index, plane in enumerate(light):
        generator = np.random.default_rng((*seed, index))
        expected = np.maximum(plane, 0.0) * np.float32(detector.signal) + np.float32(detector.background)
        electrons = generator.poisson(expected).astype(np.float32)
        electrons += np.float32(detector.read_noise) * generator.standard_normal(plane.shape, np.float32)
        scaled = electrons * np.float32(detector.gain) + np.float32(detector.offset)
        counts[index] = np.clip(np.rint(scaled), 0, 65535).astype(np.uint16)
    return counts


def _running_gaussian(values: np.ndarray, spread: float, axis: int) -> np.ndarray:
    """Three running means, close to a Gaussian of the same variance; the cost does not grow with the width."""
    width = max(1, 2 * round((np.sqrt(4 * spread**2 + 1) - 1) / 2) + 1)
    for _ in range(3):
        values = ndimage.uniform_filter1d(values, width, axis, mode="constant")
    return values
