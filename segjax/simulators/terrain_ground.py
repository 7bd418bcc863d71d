"""The ground of a simulated satellite picture without mounds: relief, soil, fields, wadis, roads and villages.

Lengths are in metres, tones in natural logarithms of brightness.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from scipy import fft, ndimage, special

_STEP = 0.35  # distance of the points that a line is made of, in pixels


@dataclass(frozen=True)
class Sheet:
    """What the pictures of a map sheet share: one film, one hour of the day, one kind of country.

    Attributes:
        tone: brightness of plain ground, 0 to 1; contrast: steepness of the film's response.
        sun: direction the light comes from, radians; sun_height: tangent of the sun's height.
        relief: standard deviation of the natural relief.
        streaks, streak_angle: strength and direction of flood marks in the soil.
        fields: share of the ground under fields; field_size; field_angle.
        wadis, roads, villages: mean number per picture.
        grain: standard deviation of the film grain; scratches: mean number per picture; scratch_angle.
    """

    tone: float
    contrast: float
    sun: float
    sun_height: float
    relief: float
    streaks: float
    streak_angle: float
    fields: float
    field_size: float
    field_angle: float
    wadis: float
    roads: float
    villages: float
    grain: float
    scratches: float
    scratch_angle: float


def draw_sheet(generator: np.random.Generator) -> Sheet:
    """A map sheet at random."""
    uniform = generator.uniform
    return Sheet(
        tone=float(uniform(0.25, 0.75)),
        contrast=float(uniform(1.0, 1.8)),
        sun=float(uniform(0, 2 * np.pi)),
        sun_height=float(uniform(0.4, 0.9)),
        relief=float(uniform(0.4, 2.0)),
        streaks=float(uniform(0.03, 0.18)),
        streak_angle=float(uniform(0, np.pi)),
        fields=float(uniform(0.2, 0.8)),
        field_size=float(uniform(70, 200)),
        field_angle=float(uniform(0, np.pi)),
        wadis=float(uniform(0.2, 1.2)),
        roads=float(uniform(0.5, 1.8)),
        villages=float(uniform(0.2, 0.6)),
        grain=float(uniform(0.02, 0.05)),
        scratches=float(uniform(0.1, 0.8)),
        scratch_angle=float(generator.normal(0, 0.06)),
    )


def fractal(
    generator: np.random.Generator, pixels: int, metres: float, slope: float, angle: float = 0.0, stretch: float = 1.0
) -> Float32[np.ndarray, "H W"]:
    """Noise of mean 0 and standard deviation 1 whose amplitude falls with frequency to the power `slope`.

    `stretch` draws it out along `angle`. It is cut from a larger square, so that it does not repeat.
    """
    size = fft.next_fast_len(int(1.3 * pixels), real=True)
    y, x = np.meshgrid(fft.fftfreq(size, metres), fft.rfftfreq(size, metres), indexing="ij")
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    frequency = np.hypot(stretch * along, across)
    amplitude = (frequency**2 + (1.0 / (pixels * metres)) ** 2) ** (-slope / 2)
    waves = fft.rfft2(generator.standard_normal((size, size), np.float32))
    noise = fft.irfft2(waves * amplitude.astype(np.float32), s=(size, size))[:pixels, :pixels]
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def draw_ground(
    generator: np.random.Generator, sheet: Sheet, pixels: int, metres: float
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Height in metres and tone of a picture."""
    height = sheet.relief * fractal(generator, pixels, metres, 1.9)
    tone = 0.15 * fractal(generator, pixels, metres, 1.2)
    tone += sheet.streaks * fractal(generator, pixels, metres, 1.3, sheet.streak_angle, 6.0)
    tone += 0.07 * fractal(generator, pixels, metres, 0.5)
    _plough(generator, sheet, tone, metres)
    for _ in range(generator.poisson(sheet.wadis)):
        _cut_wadi(generator, height, tone, metres)
    for _ in range(generator.poisson(sheet.roads)):
        _lay_road(generator, tone, metres)
    for _ in range(generator.poisson(sheet.villages)):
        _build_village(generator, sheet, tone, metres)
    return height, tone


def distance_to(points: Float64[np.ndarray, "N 2"], pixels: int, metres: float) -> Float32[np.ndarray, "H W"]:
    """Metres from each pixel's centre to the nearest of closely set points (y, x in metres); infinite without any."""
    places = points / metres - 0.5
    near = np.rint(places).astype(int)
    is_inside = np.all((near >= 0) & (near < pixels), axis=1)
    if not is_inside.any():
        return np.full((pixels, pixels), np.inf, np.float32)
    places, near = places[is_inside], near[is_inside]
    nearest_last = np.argsort(-np.hypot(*(places - near).T), kind="stable")  # of the points in one pixel, that is kept
    row, column = near[nearest_last].T
    exact = np.zeros((2, pixels, pixels))
    exact[:, row, column] = places[nearest_last].T
    is_empty = np.ones((pixels, pixels), bool)
    is_empty[row, column] = False
    y, x = ndimage.distance_transform_edt(is_empty, return_distances=False, return_indices=True)
    grid = np.mgrid[:pixels, :pixels]
    return (metres * np.hypot(*(exact[:, y, x] - grid))).astype(np.float32)


def line(corners: Iterable[Float64[np.ndarray, " 2"]], metres: float) -> Float64[np.ndarray, "N 2"]:
    """Closely set points along a line through its corners (y, x in metres)."""
    given = np.asarray(list(corners))
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(given, axis=0).T))])
    steps = np.linspace(0, lengths[-1], max(2, int(lengths[-1] / (_STEP * metres))))
    return np.stack([np.interp(steps, lengths, given[:, axis]) for axis in range(2)], axis=1)


def _plough(generator: np.random.Generator, sheet: Sheet, tone: np.ndarray, metres: float) -> None:
    """Strips of fields of one direction, each field with a tone of its own, on part of the ground."""
    pixels = len(tone)
    bend = 7.0 * fractal(generator, pixels, metres, 2.2)
    angle = sheet.field_angle + generator.normal(0, 0.15)
    y, x = (np.mgrid[:pixels, :pixels] + 0.5) * metres
    along = np.cos(angle) * x + np.sin(angle) * y + bend
    across = np.cos(angle) * y - np.sin(angle) * x + bend
    reach = 2 * pixels * metres
    strips = np.cumsum(sheet.field_size * generator.uniform(0.4, 1.6, int(4 * reach / sheet.field_size) + 8)) - reach
    strip = np.searchsorted(strips, across)
    offset = generator.uniform(0, 5 * sheet.field_size, len(strips) + 1)
    length = sheet.field_size * generator.uniform(0.8, 3.0, len(strips) + 1)
    place = (along + reach + offset[strip]) / length[strip]
    number = np.floor(place).astype(int)
    tones = generator.normal(0, 0.25, (len(strips) + 1, number.max() + 2)).astype(np.float32)
    is_field = fractal(generator, pixels, metres, 1.8) < special.ndtri(sheet.fields)
    from_edge = np.minimum(np.abs(place - np.rint(place)) * length[strip], _to_nearest(strips, across))
    furrows = 0.04 * np.sin(2 * np.pi * across / max(9.0, 3 * metres)).astype(np.float32)
    worked = tones[strip, number] + furrows - 0.25 * np.exp(-np.square(from_edge / 3.5)).astype(np.float32)
    tone += ndimage.gaussian_filter(is_field.astype(np.float32), 3.0 / metres) * worked


def _to_nearest(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(edges, values), 1, len(edges) - 1)
    return np.minimum(np.abs(values - edges[after - 1]), np.abs(values - edges[after]))


def _cut_wadi(generator: np.random.Generator, height: np.ndarray, tone: np.ndarray, metres: float) -> None:
    """A winding dry river bed: bright sand between dark, overgrown banks; sometimes a branch."""
    pixels = len(tone)
    extent = pixels * metres
    usual, bed, bank = generator.uniform(3, 12), generator.uniform(0.3, 0.9), generator.uniform(0.2, 0.7)
    start, heading = generator.uniform(0, extent, 2), generator.uniform(0, 2 * np.pi)
    courses = [_winding(generator, start, heading + turn, 1.5 * extent) for turn in (0.0, np.pi)]
    if generator.random() < 0.4:
        courses.append(_winding(generator, start, heading + generator.uniform(0.6, 1.2), 1.5 * extent))
    away = distance_to(np.concatenate([line(course, metres) for course in courses]), pixels, metres)
    if not np.isfinite(away).all():
        return
    width = np.maximum(usual * (1 + 0.5 * fractal(generator, pixels, metres, 1.2)), 1.0)
    growth = np.clip(0.6 + 0.5 * fractal(generator, pixels, metres, 0.9), 0, 1.5)
    tone -= bank * growth * np.exp(-np.square((away - 1.2 * width) / (0.6 * width + 4)))
    _paint(tone, bed, 1 / (1 + np.exp(np.clip((away - width / 2) / (0.3 * metres + 1.0), -30, 30))))
    height -= 1.5 * np.exp(-np.square(away / (1.5 * width + 2)))


def _winding(generator: np.random.Generator, start: np.ndarray, heading: float, length: float) -> np.ndarray:
    """Corners of a course that meanders about a heading."""
    step = 12.0
    count = int(length / step)
    coarse, fine = (
        ndimage.gaussian_filter1d(generator.standard_normal(count + 80), scale)[40:-40] * np.sqrt(scale)
        for scale in (9.0, 2.0)
    )
    angle = heading + 0.75 * coarse + 0.6 * fine
    moves = step * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return start + np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])


def _lay_road(generator: np.random.Generator, tone: np.ndarray, metres: float) -> None:
    """A track or road: nearly straight, bright, seldom dark, with a few bends."""
    pixels = len(tone)
    extent = pixels * metres
    middle, heading = generator.uniform(0.1 * extent, 0.9 * extent, 2), generator.uniform(0, np.pi)
    corners = [middle]
    for sign in (1, -1):
        place, angle = middle, heading
        ends = []
        for _ in range(4):
            place = place + sign * generator.uniform(0.25, 0.5) * extent * np.array([np.sin(angle), np.cos(angle)])
            ends.append(place)
            angle = angle + generator.normal(0, 0.18)
        corners = corners + ends if sign > 0 else ends[::-1] + corners
    away = distance_to(line(corners, metres), pixels, metres)
    width = generator.uniform(2.0, 7.0)
    strength = generator.uniform(0.25, 0.7) * (-0.6 if generator.random() < 0.2 else 1.0)
    covered = np.clip((width / 2 - away) / metres + 0.5, 0, 1) * min(1.0, width / metres)
    tone += (strength * covered * (1 + 0.2 * fractal(generator, pixels, metres, 0.8))).astype(np.float32)


def _build_village(generator: np.random.Generator, sheet: Sheet, tone: np.ndarray, metres: float) -> None:
    """A roundish village: bright trampled ground, small bright houses with shadows, paths that leave it."""
    pixels = len(tone)
    extent = pixels * metres
    centre, radius = generator.uniform(0, extent, 2), generator.uniform(30, 110)
    y, x = (np.mgrid[:pixels, :pixels] + 0.5) * metres
    away = np.hypot(y - centre[0], x - centre[1]) * (1 + 0.12 * fractal(generator, pixels, metres, 1.5))
    _paint(tone, generator.uniform(0.35, 0.8), 1 / (1 + np.exp(np.clip((away - radius) / 6.0, -30, 30))))
    for _ in range(int(generator.integers(1, 5))):
        path = _winding(generator, centre, generator.uniform(0, 2 * np.pi), generator.uniform(2, 6) * radius)
        covered = np.clip((2.0 - distance_to(line(path, metres), pixels, metres)) / metres + 0.5, 0, 1)
        tone += 0.3 * covered.astype(np.float32)
    houses = int(generator.uniform(0.5, 1.0) * np.pi * radius**2 / 300)
    light = np.array([np.sin(sheet.sun), np.cos(sheet.sun)])
    for distance, angle in zip(
        radius * np.sqrt(generator.random(houses)), generator.uniform(0, 7, houses), strict=True
    ):
        place = centre + 0.95 * distance * np.array([np.sin(angle), np.cos(angle)])
        sides = generator.uniform(7, 15, 2)
        roof = generator.uniform(0.6, 1.4)
        _stamp(tone, place - 3.0 * light / sheet.sun_height, sides, -0.7, metres)
        _stamp(tone, place, sides, roof, metres)


def _stamp(tone: np.ndarray, place: np.ndarray, sides: np.ndarray, value: float, metres: float) -> None:
    """A rectangle of one tone; pixels partly covered change by that part."""
    spans = []
    for middle, side in zip(place, sides, strict=True):
        first, last = (middle - side / 2) / metres, (middle + side / 2) / metres
        cells = np.arange(max(0, int(first)), min(len(tone), int(np.ceil(last))))
        spans.append((cells, np.clip(np.minimum(cells + 1, last) - np.maximum(cells, first), 0, 1)))
    (rows, down), (columns, right) = spans
    if len(rows) and len(columns):
        window = tone[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        _paint(window, value, down[:, None] * right)


def _paint(tone: np.ndarray, value: float, covered: np.ndarray) -> None:
    """Replace the tone where it is covered (0 to 1), keeping a quarter of what shows through."""
    tone += (covered * (value - 0.75 * tone)).astype(np.float32)
