"""From stains to a colour picture: absorption after Beer and Lambert, lens, camera; and how slides differ.

A stain of concentration c weakens light of each colour by the factor 10 ** (-c v), v the stain's optical-density
vector; densities of several stains add up. Vectors: Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy import ndimage

from segjax.simulators.tissue_scene import Stains

HAEMATOXYLIN = np.array([0.5626, 0.7201, 0.4062])
EOSIN = np.array([0.2159, 0.8012, 0.5581])

_FULL_WELL = 5000.0  # photo-electrons of a white micrometre-square
_READ_NOISE = 0.002  # of white
_WHITE = 243.0  # grey value of clear glass


@dataclass(frozen=True, eq=False)
class Staining:
    """What the pictures of one slide have in common.

    Attributes:
        vectors: optical density (base 10) of haematoxylin and eosin per red, green and blue; rows of length 1.
        strengths: factors of both stains' concentrations; thickness of the section and dyeing time.
        light: transmission of clear glass per colour, in units of white.
        lens: standard deviation of the point-spread function in micrometres.
    """

    vectors: Float64[np.ndarray, "2 3"]
    strengths: Float64[np.ndarray, " 2"]
    light: Float64[np.ndarray, " 3"]
    lens: float


def draw_staining(seed: int, slide: int) -> Staining:
    """The staining of a slide; depends on nothing but the arguments."""
    generator = np.random.default_rng([seed, slide])
    vectors = np.stack([HAEMATOXYLIN, EOSIN]) + generator.normal(0.0, 0.03, (2, 3))
    vectors = np.maximum(vectors, 0.01)
    return Staining(
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        strengths=np.exp(generator.normal(0.0, (0.10, 0.16))),
        light=np.clip(generator.normal((0.985, 0.975, 0.985), 0.012), 0.0, 1.02),
        lens=float(generator.uniform(0.7, 1.2)),
    )


def transmit(stains: Stains, staining: Staining) -> Float32[np.ndarray, "H W 3"]:
    """Share of the light that passes, per colour."""
    weighted = (staining.strengths[:, None] * staining.vectors).astype(np.float32)
    density = stains.haematoxylin[..., None] * weighted[0] + stains.eosin[..., None] * weighted[1]
    return np.power(np.float32(10.0), -density) * staining.light.astype(np.float32)


def photograph(
    light: Float32[np.ndarray, "H W 3"], edge: float, binning: int, staining: Staining, generator: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """8-bit picture of transmitted light through the lens; a camera pixel collects `binning` x `binning` pixels.

    `edge` is the pixel edge of `light` in micrometres. The height and width must be multiples of `binning`.
    """
    sigma = staining.lens / edge
    seen = ndimage.gaussian_filter(light, (sigma, sigma, 0.0), mode="nearest", truncate=3.0)
    height, width, _ = seen.shape
    seen = seen.reshape(height // binning, binning, width // binning, binning, 3).mean((1, 3))
    electrons = np.float32(_FULL_WELL * (edge * binning) ** 2)
    counted = generator.poisson(np.maximum(seen, 0.0) * electrons) / electrons
    noisy = counted + generator.normal(0.0, _READ_NOISE, counted.shape)
    return np.clip(np.rint(noisy * _WHITE), 0, 255).astype(np.uint8)
