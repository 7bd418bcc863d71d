"""Three-dimensional nuclei with perfect instance labels: what lies under the virtual microscope.

A scene is a tuple of nuclei in coordinates that no voxel size touches: z, y, x in edges of the paper's pixel, the
corner of the volume at 0. A nucleus is a union of ellipsoidal lobes and thin bridges between them, its surface
roughened by a few plane waves. Sampling a scene on finer or coarser voxels shows the same nuclei.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from scipy import ndimage

from segjax.ops.components import largest_component

PAPER_SHAPE = (129, 565, 807)  # slices, rows, columns of the published volumes
COARSENINGS = {"paper": 1.0, "half": 2.0, "quarter": 4.0, "sixth": 6.0}  # pixel edges in published ones
SLICE_STEP = 1.3  # distance of two published slices, in pixel edges
POPULATIONS = {"hl60": (20, 0), "granulocytes": (0, 15), "mixed": (10, 8)}  # HL60, granulocyte nuclei per volume

_PLACEMENT = 4.0  # voxel edge of the grid on which nuclei are kept apart; also the steps their centres take
_PASS_BY = 1  # free voxels of that grid between two nuclei
_SOFTNESS = 4.0  # pixels over which a bridge melts into its lobe


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random field, sum of amplitude * cos(k . position + phase), position from the centre."""

    vectors: Float64[np.ndarray, "W 3"]
    phases: Float64[np.ndarray, " W"]
    amplitude: float

    def on(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> Float32[np.ndarray, "D H W"]:
        """The field on the grid of three coordinate axes (each 1-D); the cosine of a sum makes it a matrix product."""
        along = self.vectors[:, :1] * z + self.phases[:, None]
        across = self.vectors[:, 1, None, None] * y[:, None] + self.vectors[:, 2, None, None] * x
        across = across.reshape(len(self.phases), -1)
        left = np.concatenate([np.cos(along), -np.sin(along)]).astype(np.float32) * np.float32(self.amplitude)
        right = np.concatenate([np.cos(across), np.sin(across)]).astype(np.float32)
        return (left.T @ right).reshape(len(z), len(y), len(x))

    def on_plane(self, y: np.ndarray, x: np.ndarray) -> Float32[np.ndarray, "H W"]:
        """The field on a plane; the first two parts of its vectors count."""
        return self.on(y, x, np.zeros(1))[..., 0]


@dataclass(frozen=True, eq=False)
class Nucleus:
    """One nucleus; lengths in pixels.

    Attributes:
        kind: 1 for HL60, 2 for granulocyte.
        centre: z, y, x in the scene.
        lobes: centres of the lobes from the nucleus centre.
        shapes: per lobe the matrix that maps the ellipsoid to the unit sphere.
        radii: mean radius per lobe.
        bridge: radius of the bridges from each lobe to the next.
        surface: how far the outline lies outside the smooth shape.
        chromatin: relative brightness, before it is made positive.
        brightness: mean brightness against the other nuclei.
    """

    kind: int
    centre: Float64[np.ndarray, " 3"]
    lobes: Float64[np.ndarray, "L 3"]
    shapes: Float64[np.ndarray, "L 3 3"]
    radii: Float64[np.ndarray, " L"]
    bridge: float
    surface: Waves
    chromatin: Waves
    brightness: float

    @property
    def reach(self) -> Float64[np.ndarray, " 3"]:
        """Half edges of a box around the centre that holds the nucleus."""
        stretch = np.linalg.norm(np.linalg.inv(self.shapes), axis=2)
        return np.max(np.abs(self.lobes) + stretch, axis=0) + self.surface.amplitude * len(self.surface.phases) + 2.0


def scene(kind: str, seed: int, volume: int) -> tuple[Nucleus, ...]:
    """Nuclei of one volume, HL60 first; depends on nothing but the arguments. Kinds: the keys of POPULATIONS."""
    generator = np.random.default_rng([seed, volume, sorted(POPULATIONS).index(kind)])
    hl60, granulocytes = POPULATIONS[kind]
    shaped = [_hl60(generator) for _ in range(hl60)] + [_granulocyte(generator) for _ in range(granulocytes)]
    return _placed(generator, shaped)


def grid_shape(coarsening: float) -> tuple[int, int, int]:
    """Slices, rows and columns of a volume whose voxel edges are `coarsening` times the published ones."""
    return tuple(int(edge / coarsening) for edge in PAPER_SHAPE)  # type: ignore[return-value]


def render_labels(nuclei: tuple[Nucleus, ...], coarsening: float) -> Int32[np.ndarray, "D H W"]:
    """Instance labels: nucleus i of the scene has id i + 1."""
    labels = np.zeros(grid_shape(coarsening), np.int32)
    for index, nucleus in enumerate(nuclei):
        box, level, _ = _sampled(nucleus, coarsening)
        _write_label(labels[box], _in_one_piece(level), index + 1)
    return labels


def occupied_slices(nuclei: tuple[Nucleus, ...], coarsening: float, crop: int | None = None) -> Bool[np.ndarray, " D"]:
    """Which slices hold a labelled voxel, inside the centre crop if one is given; cheaper than `render_labels`."""
    shape = grid_shape(coarsening)
    seen = np.zeros(shape[1:], bool)
    seen[centre_window(shape, crop)] = True
    found = np.zeros(shape[0], bool)
    for nucleus in nuclei:
        box, level, _ = _sampled(nucleus, coarsening)
        found[box[0]] |= (_in_one_piece(level) & seen[box[1:]]).any(axis=(1, 2))
    return found


def render_density(
    nuclei: tuple[Nucleus, ...], coarsening: float
) -> tuple[Float32[np.ndarray, "D H W"], Int32[np.ndarray, "D H W"]]:
    """Stain per voxel (about 1 inside a nucleus, 0 outside, partly filled voxels between) and the labels."""
    labels = np.zeros(grid_shape(coarsening), np.int32)
    density = np.zeros(labels.shape, np.float32)
    for index, nucleus in enumerate(nuclei):
        box, level, axes = _sampled(nucleus, coarsening)
        _write_label(labels[box], _in_one_piece(level), index + 1)
        filled = np.clip(0.5 - level / np.float32(coarsening), 0.0, 1.0)
        # Condensed chromatin lines the envelope: brighter within some pixels of the surface.
        rim = 0.25 * np.exp(-np.square((level + 3.0) / 3.0))
        stain = np.float32(nucleus.brightness) * np.exp(nucleus.chromatin.on(*axes)) * (1.0 + rim)
        density[box] += filled * stain
    return density, labels


def centre_window(shape: tuple[int, ...], crop: int | None) -> tuple[slice, slice]:
    """Rows and columns of the centre crop of `crop` x `crop` pixels; everything for None."""
    if crop is None:
        return slice(0, shape[-2]), slice(0, shape[-1])
    top, left = (shape[-2] - crop) // 2, (shape[-1] - crop) // 2
    return slice(top, top + crop), slice(left, left + crop)


def last_sixth(groups: Sequence[str]) -> frozenset[str]:
    """The last sixth of the groups, at least one of several: the test groups of a simulated set."""
    ordered = list(dict.fromkeys(groups))
    tested = max(1, round(len(ordered) / 6)) if len(ordered) > 1 else 0
    return frozenset(ordered[len(ordered) - tested :])


def _write_label(view: np.ndarray, inside: np.ndarray, label: int) -> None:
    view[inside & (view == 0)] = label


def _in_one_piece(level: Float32[np.ndarray, "D H W"]) -> Bool[np.ndarray, "D H W"]:
    """Voxels inside the surface, without specks that its roughness has split off."""
    return largest_component(level < 0)


def _sampled(
    nucleus: Nucleus, coarsening: float
) -> tuple[tuple[slice, slice, slice], Float32[np.ndarray, "D H W"], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Box of the grid that holds the nucleus, its level there (pixels outside the surface), the box's coordinates."""
    edges = np.array([SLICE_STEP, 1.0, 1.0]) * coarsening
    first = np.floor((nucleus.centre - nucleus.reach) / edges).astype(int)
    last = np.ceil((nucleus.centre + nucleus.reach) / edges).astype(int)
    shape = grid_shape(coarsening)
    starts, stops = np.clip(first, 0, shape), np.clip(last, 0, shape)
    axes = tuple(
        (np.arange(start, stop) + 0.5) * edge - middle
        for start, stop, edge, middle in zip(starts, stops, edges, nucleus.centre, strict=True)
    )
    box = tuple(slice(start, stop) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True))
    return box, _level(nucleus, axes, coarsening), axes  # type: ignore[return-value]


def _level(nucleus: Nucleus, axes: tuple[np.ndarray, ...], coarsening: float) -> Float32[np.ndarray, "D H W"]:
    """Signed distance from the surface in pixels, approximately: negative inside."""
    level = np.full([len(axis) for axis in axes], np.inf, np.float32)
    for centre, shape, radius in zip(nucleus.lobes, nucleus.shapes, nucleus.radii, strict=True):
        lobe = (_length([_along(axes, row, row @ centre) for row in shape]) - 1.0) * np.float32(radius)
        np.minimum(level, lobe, out=level)
    level -= nucleus.surface.on(*axes)
    # Bridges stay smooth and wider than the diagonal of a voxel: else roughness or a coarse grid would cut them.
    bridge = max(nucleus.bridge, 0.5 * coarsening * float(np.sqrt(2.0 + SLICE_STEP**2)))
    for start, stop in pairwise(nucleus.lobes):
        level = _melted(level, _distance_to_segment(axes, start, stop) - np.float32(bridge))
    return level


def _along(axes: tuple[np.ndarray, ...], row: np.ndarray, offset: float) -> Float32[np.ndarray, "D H W"]:
    """row . position - offset on the grid."""
    z, y, x = (np.float32(weight) * axis.astype(np.float32) for weight, axis in zip(row, axes, strict=True))
    return (z - np.float32(offset))[:, None, None] + (y[:, None] + x)


def _length(parts: list[np.ndarray]) -> np.ndarray:
    total = np.square(parts[0])
    for part in parts[1:]:
        total += np.square(part)
    return np.sqrt(total, out=total)


def _distance_to_segment(axes: tuple[np.ndarray, ...], start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    direction = stop - start
    share = np.clip(_along(axes, direction, direction @ start) / np.float32(direction @ direction), 0.0, 1.0)
    identity = np.eye(3)
    return _length([_along(axes, identity[i], start[i]) - share * np.float32(direction[i]) for i in range(3)])


def _melted(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Minimum of two levels with the crease filled in."""
    near = np.clip(_SOFTNESS - np.abs(one - other), 0.0, None)
    return np.minimum(one, other) - np.square(near) / np.float32(4.0 * _SOFTNESS)


def _hl60(generator: np.random.Generator) -> Nucleus:
    radius = 36.0 * generator.normal(1.0, 0.02)
    semi_axes = radius * np.exp(generator.normal(0.0, 0.06, 3))
    semi_axes *= radius / np.prod(semi_axes) ** (1 / 3)
    return Nucleus(
        kind=1,
        centre=np.zeros(3),
        lobes=np.zeros((1, 3)),
        shapes=_turned(generator, semi_axes)[None],
        radii=np.array([radius]),
        bridge=0.0,
        surface=random_waves(generator, 6, (45.0, 90.0), 1.2),
        chromatin=random_waves(generator, 80, (9.0, 40.0), 0.3),
        brightness=float(np.exp(generator.normal(0.0, 0.12))),
    )


def _granulocyte(generator: np.random.Generator) -> Nucleus:
    count = int(generator.choice([3, 4, 5]))
    radii = np.exp(generator.normal(0.0, 0.3, count))
    volume = 53_500.0 * generator.normal(1.0, 0.05)  # cubic pixels: about 4.3e4 voxels with the bridges
    radii *= (volume / (4 / 3 * np.pi * np.sum(radii**3))) ** (1 / 3)
    lobes = _horseshoe(generator, radii)
    semi_axes = [_same_volume(radius, np.exp(generator.normal(0.0, 0.1, 3))) for radius in radii]
    return Nucleus(
        kind=2,
        centre=np.zeros(3),
        lobes=lobes,
        shapes=np.stack([_turned(generator, axes) for axes in semi_axes]),
        radii=radii,
        bridge=4.5,
        surface=random_waves(generator, 12, (10.0, 30.0), 1.5),
        chromatin=random_waves(generator, 30, (8.0, 20.0), 0.18),
        brightness=float(np.exp(generator.normal(0.0, 0.12))),
    )


def _same_volume(radius: float, stretch: np.ndarray) -> np.ndarray:
    return radius * stretch / np.prod(stretch) ** (1 / 3)


def _horseshoe(generator: np.random.Generator, radii: np.ndarray) -> Float64[np.ndarray, "L 3"]:
    """Lobe centres along an arc in a random plane, neighbours just apart, the mean at 0."""
    frame = _settled(generator)
    points = [np.zeros(3)]
    heading = 0.0
    for one, other in pairwise(radii):
        lift = generator.normal(0.0, 0.15)
        step = np.array([lift, np.sin(heading), np.cos(heading)]) / np.hypot(1.0, lift)
        points.append(points[-1] + 1.06 * (one + other) * step)
        heading += generator.uniform(0.8, 1.4)
    centres = np.stack(points) @ frame
    return centres - centres.mean(axis=0)


def _rotation(generator: np.random.Generator) -> Float64[np.ndarray, "3 3"]:
    turned, scale = np.linalg.qr(generator.normal(size=(3, 3)))
    return turned * np.sign(np.diag(scale))


def _settled(generator: np.random.Generator) -> Float64[np.ndarray, "3 3"]:
    """A turn about the optical axis and a slight tilt: the cells have settled on the slide."""
    about, tilt = generator.uniform(0.0, 2 * np.pi), generator.normal(0.0, 0.2)
    turn = np.array([[1, 0, 0], [0, np.cos(about), np.sin(about)], [0, -np.sin(about), np.cos(about)]])
    lean = np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    return lean @ turn


def _turned(generator: np.random.Generator, semi_axes: np.ndarray) -> Float64[np.ndarray, "3 3"]:
    turn = _rotation(generator)
    return turn.T @ np.diag(1.0 / semi_axes) @ turn


def random_waves(generator: np.random.Generator, count: int, lengths: tuple[float, float], spread: float) -> Waves:
    """Random field of standard deviation `spread` with wavelengths between two values, in the unit of positions."""
    directions = generator.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = directions * (2 * np.pi / generator.uniform(*lengths, (count, 1)))
    return Waves(vectors, generator.uniform(0, 2 * np.pi, count), spread * float(np.sqrt(2.0 / count)))


def _placed(generator: np.random.Generator, shaped: list[Nucleus]) -> tuple[Nucleus, ...]:
    """Give every nucleus a centre at which it lies inside the volume and keeps clear of those before it."""
    edges = np.array([SLICE_STEP, 1.0, 1.0]) * _PLACEMENT
    extent = np.array(PAPER_SHAPE) * np.array([SLICE_STEP, 1.0, 1.0])
    taken = np.zeros(grid_shape(_PLACEMENT), bool)
    placed = []
    for nucleus in shaped:
        span = extent / 2 - nucleus.reach - edges / 2  # rounding to the grid may move a centre by half a step
        span[0] = min(span[0], _DEPTH_SPREAD[nucleus.kind])
        while True:
            centre = extent / 2 + generator.uniform(-1.0, 1.0, 3) * span
            centre = np.round(centre / edges) * edges
            candidate = _moved(nucleus, centre)
            box, level, _ = _sampled(candidate, _PLACEMENT)
            inside = level < 0
            clear = ndimage.binary_dilation(inside, np.ones((3, 3, 3)), iterations=_PASS_BY)
            if not (taken[box] & clear).any():
                break
        taken[box] |= inside
        placed.append(candidate)
    return tuple(placed)


_DEPTH_SPREAD = {1: 18.0, 2: 38.0}  # how far centres lie above or below the middle slice, in pixels


def _moved(nucleus: Nucleus, centre: np.ndarray) -> Nucleus:
    return Nucleus(**{**vars(nucleus), "centre": centre})
