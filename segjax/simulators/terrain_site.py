"""A settlement mound (tell) on a satellite picture: outline, height, and the tone of its soil and surroundings.

Lengths are in metres, tones in natural logarithms of brightness against the ground around.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

# Areas of outlined sites of the southern Mesopotamian floodplain: 10 %, median, 90 %, largest, in hectares
AREA_QUANTILES = (0.42, 1.89, 9.7)
LARGEST_AREA = 44.0
_NORMAL_90 = 1.2815515655446004  # 90 % quantile of the standard normal distribution
_HARMONICS = np.arange(2, 8)


@dataclass(frozen=True, eq=False)
class Site:
    """One mound; its outline is where its foot meets the plain.

    Attributes:
        centre: y, x from the picture's upper left corner.
        area: hectares inside the outline.
        amplitudes, phases: of the outline r(angle) = scale (1 + sum a_k cos(k angle + phase_k)), k = 2 to 7.
        height: of the top above the plain.
        slope: share of the radius over which the flank rises.
        soil: tone inside: below 0 soot-dark, above 0 bright.
        soil_edge: width over which the soil's tone begins.
        halo, halo_width: tone of washed-out soil around the foot; how far it reaches, in radii.
        hollow_ways: angle, curvature, half width, reach and tone of each sunken track that leads away, [K, 5].
    """

    centre: tuple[float, float]
    area: float
    amplitudes: Float64[np.ndarray, " 6"]
    phases: Float64[np.ndarray, " 6"]
    height: float
    slope: float
    soil: float
    soil_edge: float
    halo: float
    halo_width: float
    hollow_ways: Float64[np.ndarray, "K 5"]

    def radius(self, angle: np.ndarray) -> np.ndarray:
        """Distance of the outline from the centre in a direction."""
        waves = 1.0 + sum(
            a * np.cos(k * angle + p) for a, k, p in zip(self.amplitudes, _HARMONICS, self.phases, strict=True)
        )
        # the area of r = s (1 + sum a_k cos(k t + p_k)) is pi s^2 (1 + sum a_k^2 / 2)
        return np.sqrt(self.area * 1e4 / np.pi / (1.0 + np.sum(self.amplitudes**2) / 2)) * waves


def draw_area(generator: np.random.Generator, largest: float = LARGEST_AREA) -> float:
    """Area in hectares: log-normal to either side of the median, through `AREA_QUANTILES`; larger ones drawn again."""
    low, median, high = np.log(AREA_QUANTILES)
    while True:
        normal = generator.standard_normal()
        spread = (high - median if normal > 0 else median - low) / _NORMAL_90
        area = float(np.exp(median + spread * normal))
        if area <= largest:
            return area


def draw_site(generator: np.random.Generator, extent: float) -> Site:
    """A mound on a square picture of a side, its centre anywhere that keeps its mean circle inside."""
    area = draw_area(generator, min(LARGEST_AREA, np.pi * (0.4 * extent) ** 2 / 1e4))
    radius = float(np.sqrt(area * 1e4 / np.pi))
    y, x = generator.uniform(1.1 * radius, extent - 1.1 * radius, 2)
    ways = int(generator.integers(0, 8)) if area > 0.8 else 0
    angles = np.sort(generator.uniform(0, 2 * np.pi, ways))
    is_dark = generator.random() < 0.5
    soil = generator.uniform(0.5, 1.1) * (-1 if is_dark else 1)
    return Site(
        centre=(float(y), float(x)),
        area=area,
        amplitudes=generator.normal(0, 1, 6) * np.array([0.12, 0.07, 0.05, 0.035, 0.025, 0.02]),
        phases=generator.uniform(0, 2 * np.pi, 6),
        height=float(generator.uniform(0.05, 0.1) * 2 * radius + generator.uniform(0.5, 2.0)),
        slope=float(generator.uniform(0.45, 0.9)),
        soil=float(soil),
        soil_edge=float(generator.uniform(3.0, 12.0)),
        halo=float(generator.uniform(0.15, 0.6) * (1 if is_dark else -1)),
        halo_width=float(generator.uniform(0.3, 1.0)),
        hollow_ways=np.stack(
            [
                angles,
                generator.normal(0, 0.35, ways),
                generator.uniform(6, 16, ways),
                generator.uniform(150, 600, ways),
                generator.uniform(-0.6, -0.2, ways),
            ],
            axis=1,
        ),
    )


@dataclass(frozen=True, eq=False)
class SiteLayer:
    """A mound on a grid.

    Attributes:
        inside: which pixel centres lie inside its outline.
        cover: how much of the ground's own tone its soil hides, 0 to 1.
        height: in metres; tone: what it adds.
    """

    inside: Bool[np.ndarray, "H W"]
    cover: Float32[np.ndarray, "H W"]
    height: Float32[np.ndarray, "H W"]
    tone: Float32[np.ndarray, "H W"]


def draw_layer(site: Site, y: np.ndarray, x: np.ndarray, mottling: Float32[np.ndarray, "H W"]) -> SiteLayer:
    """The mound on pixel centres.

    Args:
        y, x: of the pixel centres, [H, 1] and [1, W].
        mottling: noise of mean 0 and standard deviation 1 that makes the soil patchy.
    """
    down, right = y - site.centre[0], x - site.centre[1]
    distance, angle = np.hypot(down, right), np.arctan2(down, right)
    radius = site.radius(angle)
    rise = np.clip((1.0 - distance / radius) / site.slope, 0.0, 1.0)
    # gullies cut the flanks: shallower at the foot and on the top
    gullies = 1.0 - 0.15 * np.square(np.sin(rise * np.pi)) * (1.0 + np.sin(7 * angle + 9 * site.phases[0]))
    height = site.height * rise * (2 - rise) * gullies
    cover = 1.0 / (1.0 + np.exp(np.clip((distance - radius) / site.soil_edge * 4.0, -50, 50)))
    beyond = np.maximum(distance / radius - 1.0, 0.0)
    halo = site.halo * np.exp(-np.square(beyond / site.halo_width)) * (distance > radius)
    tone = site.soil * cover * (1.0 + 0.3 * mottling) + halo * (1.0 + 0.5 * mottling)
    for start, curvature, width, reach, depth in site.hollow_ways:
        way = start + curvature * np.log(np.maximum(distance / radius, 1.0))
        aside = np.angle(np.exp(1j * (angle - way))) * distance
        fading = np.exp(-np.square(aside / width) - np.maximum(distance - radius, 0.0) / reach)
        tone = tone + depth * fading * (distance > radius) * (np.abs(aside) < 4 * width)
    return SiteLayer(distance < radius, cover.astype(np.float32), height.astype(np.float32), tone.astype(np.float32))
