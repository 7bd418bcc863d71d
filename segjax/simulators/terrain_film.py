"""From ground to film: sunlight on the relief, the film's response, uneven exposure, grain, scratches and dust."""

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from segjax.simulators.terrain_ground import Sheet, distance_to, fractal, line


def shading(height: Float32[np.ndarray, "H W"], sheet: Sheet, metres: float) -> Float32[np.ndarray, "H W"]:
    """Logarithm of the sunlight that slopes get against level ground (Lambert); shadows keep a tenth."""
    down, right = np.gradient(height, metres)
    facing = 1.0 - (down * np.sin(sheet.sun) + right * np.cos(sheet.sun)) / sheet.sun_height
    return np.log(np.maximum(facing / np.sqrt(1.0 + down**2 + right**2), 0.1)).astype(np.float32)


def develop(
    generator: np.random.Generator, sheet: Sheet, light: Float32[np.ndarray, "H W"], metres: float
) -> Float32[np.ndarray, "H W"]:
    """The scanned film, [0, 1] in 256 steps.

    Args:
        light: logarithm of brightness, 0 for plain level ground.
    """
    pixels = len(light)
    y, x = np.mgrid[:pixels, :pixels] / pixels - 0.5
    slant, centre = generator.normal(0, 0.25, 2), generator.uniform(-0.5, 0.5, 2)
    uneven = slant[0] * y + slant[1] * x - 0.35 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2)
    exposed = respond(ndimage.gaussian_filter(light + uneven.astype(np.float32), 0.5), sheet.tone, sheet.contrast)
    grain = ndimage.gaussian_filter(generator.standard_normal(light.shape, np.float32), 0.45)
    exposed += sheet.grain * grain / grain.std() * (0.6 + 0.8 * exposed)
    for _ in range(generator.poisson(sheet.scratches)):
        _scratch(generator, sheet, exposed)
    for row, column in generator.integers(0, pixels, (generator.poisson(2.0), 2)):
        speck = generator.choice([0.0, 1.0])
        exposed[row : row + int(generator.integers(1, 3)), column : column + int(generator.integers(1, 4))] = speck
    return (np.rint(np.clip(exposed, 0, 1) * 255) / 255).astype(np.float32)


def respond(light: Float32[np.ndarray, "H W"], tone: float, contrast: float) -> Float32[np.ndarray, "H W"]:
    """Grey value of a film whose response saturates to both sides: logistic in the logarithm of the light."""
    return (1.0 / (1.0 + (1.0 - tone) / tone * np.exp(-contrast * light))).astype(np.float32)


def exposure_of(grey: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """The light that `respond` turned into these grey values, with tone 1/2 and contrast 1."""
    kept = np.clip(grey, 0.02, 0.98)
    return np.log(kept / (1.0 - kept)).astype(np.float32)


def _scratch(generator: np.random.Generator, sheet: Sheet, film: Float32[np.ndarray, "H W"]) -> None:
    """A thin line along the film, brighter or darker, that comes and goes."""
    pixels = len(film)
    angle = sheet.scratch_angle + generator.normal(0, 0.02)
    first = generator.uniform(0, pixels, 2)
    length = generator.uniform(0.3, 2.0) * pixels
    ends = [first + sign * length / 2 * np.array([np.cos(angle), np.sin(angle)]) for sign in (-1, 1)]
    away = distance_to(line(ends, 1.0), pixels, 1.0)
    depth = generator.uniform(0.1, 0.4) * generator.choice([-1, 1])
    film += depth * np.clip(1.0 - away, 0, 1) * (fractal(generator, pixels, 1.0, 0.7) > -0.6)
