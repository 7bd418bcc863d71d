"""A field of simulated colon mucosa: glands, the stroma between them, and cells of six types in touching positions.

A scene is made once, in micrometres from the field's upper left corner, and sampled on any pixel size. Epithelial cells
line the glands; all others lie in the stroma, fibroblasts along its fibres.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from segjax.ops.components import largest_component
from segjax.simulators.phantoms import Waves, random_waves
from segjax.simulators.tissue_cells import CELL_TYPES, Cell, Ellipse, make_cell

FIELD = 128.0  # edge of a field: a 256-pixel patch of Lizard, which has 0.5 micrometres per pixel
# Nuclei per type released with Lizard (Graham et al., ICCVW 2021), in the order of CELL_TYPES.
LIZARD_COUNTS = (210_372, 97_347, 92_238, 24_861, 4_116, 2_979)

_GLANDS = 14.0  # mean number of glands that are tried; those without room are left out
_MARGIN = 24.0  # gland centres lie up to this far outside the field
_STROMA_CELLS = 50.0  # mean number of cells that are not epithelial
# How unevenly a type is spread over fields: shape of the gamma distribution of its density.
_EVENNESS = {"connective": 8.0, "lymphocyte": 2.0, "plasma": 1.5, "neutrophil": 0.6, "eosinophil": 0.6}
_PLACEMENT = 1.0  # pixel edge of the grid on which nuclei are kept apart
_HIDDEN = 0.08  # share of a nucleus that may lie under others
_TRIES = 200  # places tried for a cell before it is left out
_CELL_HEIGHT = 17.0  # from the foot of a gland's wall to its lumen


@dataclass(frozen=True, eq=False)
class Gland:
    """A gland cut across.

    Attributes:
        centre: of the lumen.
        radius: mean radius of the outline.
        waves: how the outline departs from the circle, amplitude and phase of two and of three lobes.
        depth: logarithm of the relative haematoxylin of the wall: nuclei above and below the section shine through.
        vacuoles: mucus in the wall.
    """

    centre: Float64[np.ndarray, " 2"]
    radius: float
    waves: tuple[tuple[float, float], ...]
    depth: Waves
    vacuoles: tuple[Ellipse, ...] = ()

    def outline(self, angle: np.ndarray) -> np.ndarray:
        """Radius of the outline in each direction."""
        outline = np.ones_like(angle)
        for count, (amplitude, phase) in enumerate(self.waves, start=2):
            outline += amplitude * np.cos(count * angle + phase)
        return self.radius * outline

    def inwards(self, angle: np.ndarray, depth: np.ndarray) -> Float64[np.ndarray, "N 2"]:
        """Points at these depths under the outline."""
        away = self.outline(angle) - depth
        return self.centre + away[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)

    def level(self, y: np.ndarray, x: np.ndarray) -> Float32[np.ndarray, "H W"]:
        """About the signed distance from the outline on the grid of two axes, negative inside."""
        away_y, away_x = (y - self.centre[0])[:, None], (x - self.centre[1])[None, :]
        return (np.hypot(away_y, away_x) - self.outline(np.arctan2(away_y, away_x))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Stroma:
    """Fibres between the glands: they follow the lines of equal `height`, a smooth function of position."""

    slope: Float64[np.ndarray, " 2"]
    hills: Waves
    fibres: Waves
    gaps: Waves
    red_cells: tuple[Ellipse, ...]

    def height(self, y: np.ndarray, x: np.ndarray, to_gland: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
        """Height in micrometres; near a gland it grows with the distance from it, so that fibres run around it."""
        plain = self.slope[0] * y[:, None] + self.slope[1] * x[None, :] + self.hills.on_plane(y, x)
        return (plain + 24.0 * np.exp(-np.maximum(to_gland, 0.0) / 12.0)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class TissueScene:
    """A field: its glands, its stroma, and its cells with their positions (y, x)."""

    glands: tuple[Gland, ...]
    stroma: Stroma
    cells: tuple[tuple[Float64[np.ndarray, " 2"], Cell], ...]

    def to_gland(self, y: np.ndarray, x: np.ndarray) -> Float32[np.ndarray, "H W"]:
        """About the signed distance from the nearest gland, negative inside one."""
        nearest = np.full((len(y), len(x)), 3.0 * FIELD, np.float32)
        for gland in self.glands:
            np.minimum(nearest, gland.level(y, x), out=nearest)
        return nearest


@dataclass(frozen=True, eq=False)
class Stains:
    """Haematoxylin and eosin per pixel, in optical density (base 10) of the stain's own colour."""

    haematoxylin: Float32[np.ndarray, "H W"]
    eosin: Float32[np.ndarray, "H W"]


def make_scene(seed: int, slide: int, field: int) -> TissueScene:
    """One field of a slide; depends on nothing but the arguments."""
    generator = np.random.default_rng([seed, slide, field])
    empty = TissueScene(_glands(generator), _stroma(generator), ())
    return replace(empty, cells=_placed(generator, empty))


def axis(length: int, edge: float) -> Float64[np.ndarray, " L"]:
    """Middles of `length` pixels of an edge in micrometres."""
    return (np.arange(length) + 0.5) * edge


def render_cells(
    scene: TissueScene, length: int, edge: float
) -> tuple[Int32[np.ndarray, "L L"], Int32[np.ndarray, " N"]]:
    """Labels 1..N of the nuclei in sight on `length` x `length` pixels, and the class of each.

    The first of two overlapping nuclei lies on top. Every nucleus is in one piece.
    """
    labels = np.zeros((length, length), np.int32)
    kinds: list[int] = []
    for centre, cell in scene.cells:
        box = _box(centre, cell.reach, length, edge)
        view = labels[box]
        if not view.size:
            continue
        visible = (cell.level(*_axes(box, edge, centre)) < 0) & (view == 0)
        if visible.any():
            kinds.append(cell.kind)
            view[largest_component(visible)] = len(kinds)
    return labels, np.array(kinds, np.int32)


def render_stains(scene: TissueScene, length: int, edge: float) -> Stains:
    """Stains of a scene on `length` x `length` pixels."""
    y = x = axis(length, edge)
    to_gland = scene.to_gland(y, x)
    stains = _stained_stroma(scene.stroma, y, x, to_gland)
    for gland in scene.glands:
        _stain_gland(stains, gland, y, x, edge)
    for centre, cell in scene.cells:
        if cell.body is not None:
            _stain_body(stains, centre, cell, edge)
    for centre, cell in reversed(scene.cells):
        _stain_nucleus(stains, centre, cell, edge)
    return stains


def _stained_stroma(stroma: Stroma, y: np.ndarray, x: np.ndarray, to_gland: np.ndarray) -> Stains:
    height = stroma.height(y, x, to_gland)
    fibres = np.zeros_like(height)
    for vector, phase in zip(stroma.fibres.vectors, stroma.fibres.phases, strict=True):
        fibres += np.float32(stroma.fibres.amplitude) * np.cos(np.float32(np.linalg.norm(vector)) * height + phase)
    looseness = stroma.gaps.on_plane(y, x)
    gap = 1.0 / (1.0 + np.exp(-4.0 * (looseness + 0.6 * fibres - 1.3)))
    fibres *= np.clip(0.6 + 0.7 * looseness, 0.1, 1.6)
    eosin = 0.27 * np.exp(0.25 * fibres) * (1.0 - 0.8 * gap)
    for red_cell in stroma.red_cells:
        eosin += 0.45 * _filled(red_cell.level(y, x), y[1] - y[0]) * (to_gland > 0)
    return Stains((0.05 * (1.0 - gap)).astype(np.float32), eosin.astype(np.float32))


def _stain_gland(stains: Stains, gland: Gland, y: np.ndarray, x: np.ndarray, edge: float) -> None:
    level = gland.level(y, x)
    inside = _filled(level, edge)
    lumen = _filled(level + _CELL_HEIGHT, 2.0)
    _cover(stains, inside, 0.24 * np.exp(gland.depth.on_plane(y, x)), eosin=0.24)
    for vacuole in gland.vacuoles:
        _cover(stains, inside * _filled(vacuole.level(y, x), 1.0), haematoxylin=0.09, eosin=0.05)
    _cover(stains, lumen, haematoxylin=0.02, eosin=0.02)


def _stain_body(stains: Stains, centre: np.ndarray, cell: Cell, edge: float) -> None:
    assert cell.body is not None
    box = _box(centre, cell.reach, len(stains.eosin), edge)
    axes = _axes(box, edge, centre)
    if not all(map(len, axes)):
        return
    share = cell.body.cover * _filled(cell.body.shape.level(*axes), 0.8)
    grain = np.exp(cell.body.grain.on_plane(*axes))
    view = Stains(stains.haematoxylin[box], stains.eosin[box])
    _cover(view, share, cell.body.haematoxylin, cell.body.eosin * grain)


def _stain_nucleus(stains: Stains, centre: np.ndarray, cell: Cell, edge: float) -> None:
    box = _box(centre, cell.reach, len(stains.eosin), edge)
    axes = _axes(box, edge, centre)
    if not all(map(len, axes)):
        return
    level = cell.level(*axes)
    view = Stains(stains.haematoxylin[box], stains.eosin[box])
    _cover(view, _filled(level, edge), cell.density(*axes, level), 0.4 * view.eosin)


def _cover(stains: Stains, share: np.ndarray, haematoxylin: np.ndarray | float, eosin: np.ndarray | float) -> None:
    """Replace a share (0..1 per pixel) of what is stained by something else, in place."""
    stains.haematoxylin[...] += share * (haematoxylin - stains.haematoxylin)
    stains.eosin[...] += share * (eosin - stains.eosin)


def _filled(level: np.ndarray, edge: float) -> Float32[np.ndarray, "H W"]:
    """How much of each pixel lies inside the outline, where the outline is nearly straight."""
    return np.clip(0.5 - level / np.float32(edge), 0.0, 1.0).astype(np.float32)


def _box(centre: np.ndarray, reach: float, length: int, edge: float) -> tuple[slice, slice]:
    """Rows and columns of the pixels within reach of a point."""
    first = np.clip(np.floor((centre - reach) / edge), 0, length).astype(int)
    last = np.clip(np.ceil((centre + reach) / edge), 0, length).astype(int)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def _axes(box: tuple[slice, slice], edge: float, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a box's rows and columns from a point."""
    rows, columns = ((np.arange(part.start, part.stop) + 0.5) * edge for part in box)
    return rows - centre[0], columns - centre[1]


def _glands(generator: np.random.Generator) -> tuple[Gland, ...]:
    """Glands that keep clear of each other; crowded ones are left out."""
    glands: list[Gland] = []
    for _ in range(generator.poisson(_GLANDS)):
        centre = generator.uniform(-_MARGIN, FIELD + _MARGIN, 2)
        radius = float(generator.uniform(23.0, 36.0))
        waves = tuple((float(generator.normal(0.0, 0.07)), float(generator.uniform(0, 2 * np.pi))) for _ in range(2))
        is_clear = all(np.linalg.norm(centre - other.centre) > 1.08 * (radius + other.radius) + 3.0 for other in glands)
        if is_clear:
            gland = Gland(centre, radius, waves, random_waves(generator, 24, (5.0, 14.0), 0.5))
            glands.append(replace(gland, vacuoles=_vacuoles(generator, gland)))
    return tuple(glands)


def _vacuoles(generator: np.random.Generator, gland: Gland) -> tuple[Ellipse, ...]:
    """Mucus in goblet cells, between the nuclei of the wall and the lumen."""
    angles = np.arange(0.0, 2 * np.pi, 7.0 / gland.radius)
    angles = angles[generator.random(len(angles)) < generator.uniform(0.2, 0.8)]
    centres = gland.inwards(angles, generator.uniform(10.5, 13.5, len(angles)))
    semi = np.array([3.8, 2.7]) * np.exp(generator.normal(0.0, 0.15, (len(angles), 2)))
    return tuple(Ellipse(centre, axes, float(angle)) for centre, axes, angle in zip(centres, semi, angles, strict=True))


def _stroma(generator: np.random.Generator) -> Stroma:
    angle = generator.uniform(0, 2 * np.pi)
    red_cells = tuple(
        Ellipse(generator.uniform(0, FIELD, 2), generator.uniform(2.4, 3.3, 2), 0.0)
        for _ in range(generator.negative_binomial(1, 0.25))
    )
    return Stroma(
        slope=0.7 * np.array([np.sin(angle), np.cos(angle)]),
        hills=random_waves(generator, 6, (40.0, 110.0), 7.0),
        fibres=random_waves(generator, 5, (3.0, 11.0), 1.0),
        gaps=random_waves(generator, 24, (9.0, 40.0), 0.7),
        red_cells=red_cells,
    )


def _placed(generator: np.random.Generator, scene: TissueScene) -> tuple[tuple[np.ndarray, Cell], ...]:
    """Cells at positions where they do not hide each other; those of the stroma in random order after the glands'."""
    length = round(FIELD / _PLACEMENT)
    taken = np.zeros((length, length), bool)
    placed = []
    for gland in scene.glands:
        for centre, angle in _wall_positions(generator, gland):
            cell = make_cell(generator, 1, angle)
            if _has_room(taken, centre, cell):
                placed.append((centre, cell))
    y = x = axis(length, _PLACEMENT)
    to_gland = scene.to_gland(y, x)
    rows, columns = np.gradient(scene.stroma.height(y, x, to_gland))
    along_fibres = np.arctan2(columns, -rows)  # at right angles to the slope
    outside = np.argwhere(to_gland > 2.0)
    for kind in _stroma_kinds(generator) if len(outside) else ():
        for _ in range(_TRIES):
            spot = outside[generator.integers(len(outside))]
            if taken[tuple(spot)]:
                continue
            is_long = CELL_TYPES[kind - 1] == "connective"
            angle = float(along_fibres[tuple(spot)]) if is_long else generator.uniform(0, 2 * np.pi)
            centre, cell = (spot + 0.5) * _PLACEMENT, make_cell(generator, kind, angle)
            if _has_room(taken, centre, cell):
                placed.append((centre, cell))
                break
    return tuple(placed)


def _wall_positions(generator: np.random.Generator, gland: Gland) -> list[tuple[np.ndarray, float]]:
    """Positions and long axes of the nuclei along a gland's wall, those outside the field left out."""
    steps = generator.uniform(3.2, 4.8, int(2 * np.pi * gland.radius / 3.2)) / gland.radius
    angles = np.cumsum(steps)
    angles = generator.uniform(0, 2 * np.pi) + angles[angles < 2 * np.pi]
    centres = gland.inwards(angles, generator.uniform(4.0, 10.0, len(angles)))
    is_near = np.all((centres > -5.0) & (centres < FIELD + 5.0), axis=1)
    return list(zip(centres[is_near], angles[is_near].tolist(), strict=True))


def _stroma_kinds(generator: np.random.Generator) -> list[int]:
    """Classes of the cells between the glands, in random order; on average as frequent as in Lizard."""
    share = np.array(LIZARD_COUNTS[1:]) / sum(LIZARD_COUNTS[1:])
    evenness = np.array([_EVENNESS[name] for name in CELL_TYPES[1:]])
    counts = generator.poisson(_STROMA_CELLS * share * generator.gamma(evenness) / evenness)
    kinds = np.repeat(np.arange(2, len(CELL_TYPES) + 1), counts)
    return generator.permutation(kinds).tolist()


def _has_room(taken: Bool[np.ndarray, "H W"], centre: np.ndarray, cell: Cell) -> bool:
    """Whether (nearly) the whole nucleus lies clear of the others; if so, its place is taken."""
    box = _box(centre, cell.reach, len(taken), _PLACEMENT)
    view = taken[box]
    if not view.size:
        return False
    inside = cell.level(*_axes(box, _PLACEMENT, centre)) < 0
    if not inside.any() or (view & inside).sum() > _HIDDEN * inside.sum():
        return False
    view |= inside
    return True
