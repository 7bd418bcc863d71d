"""The six cell types of the simulated tissue: how the nucleus and body of one cell are shaped and stained.

Lengths are micrometres, y before x. Sizes follow textbook values of colon mucosa; each type varies so much that its
rarer forms look like another type: fibroblasts cut across are round, pale lymphocytes pass for plasma cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64

from segjax.simulators.phantoms import Waves, random_waves

CELL_TYPES = ("epithelial", "connective", "lymphocyte", "plasma", "neutrophil", "eosinophil")


@dataclass(frozen=True, eq=False)
class Ellipse:
    """An ellipse: centre, half axes, and the angle of the first half axis against the x axis."""

    centre: Float64[np.ndarray, " 2"]
    semi: Float64[np.ndarray, " 2"]
    angle: float

    def level(self, y: np.ndarray, x: np.ndarray, bend: float = 0.0) -> Float32[np.ndarray, "H W"]:
        """About the signed distance from the outline on the grid of two axes, negative inside.

        `bend` is the curvature (1/length) of the first half axis.
        """
        away_y, away_x = (y - self.centre[0])[:, None], (x - self.centre[1])[None, :]
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        along = cosine * away_x + sine * away_y
        across = cosine * away_y - sine * away_x - 0.5 * bend * np.square(along)
        radius = np.hypot(along / self.semi[0], across / self.semi[1])
        return ((radius - 1.0) * np.sqrt(np.prod(self.semi))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Body:
    """Cytoplasm around a nucleus: its stains (optical density; eosin coarsely grained) and how far it hides."""

    shape: Ellipse
    haematoxylin: float
    eosin: float
    grain: Waves
    cover: float


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell around the origin.

    Attributes:
        kind: class, 1 + its position in CELL_TYPES.
        lobes: ellipses whose union is the nucleus.
        bend: curvature of the lobes.
        surface: how far the outline lies outside the smooth shape.
        chromatin: logarithm of the relative density inside the nucleus.
        haematoxylin: optical density of the nucleus.
        rim: how much denser the nucleus is along its envelope.
        spots: dark spots inside (nucleoli), their strength.
        body: cytoplasm that stands out from its surroundings, if any.
    """

    kind: int
    lobes: tuple[Ellipse, ...]
    surface: Waves
    chromatin: Waves
    haematoxylin: float
    rim: float
    bend: float = 0.0
    spots: tuple[tuple[Ellipse, float], ...] = ()
    body: Body | None = None

    @property
    def reach(self) -> float:
        """Half edge of a box around the origin that holds nucleus and body."""
        shapes = [*self.lobes, *([self.body.shape] if self.body else [])]
        bow = 0.5 * abs(self.bend) * max(lobe.semi[0] for lobe in self.lobes) ** 2
        return max(float(np.abs(shape.centre).max() + shape.semi.max()) for shape in shapes) + bow + 1.5

    def level(self, y: np.ndarray, x: np.ndarray) -> Float32[np.ndarray, "H W"]:
        """About the signed distance from the nucleus' outline, negative inside."""
        level = reduce(np.minimum, [lobe.level(y, x, self.bend) for lobe in self.lobes])
        return level - self.surface.on_plane(y, x)

    def density(self, y: np.ndarray, x: np.ndarray, level: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
        """Haematoxylin inside the nucleus, in optical density."""
        density = self.haematoxylin * np.exp(self.chromatin.on_plane(y, x))
        density *= 1.0 + self.rim * np.exp(-np.square((level + 0.5) / 0.6))
        for spot, strength in self.spots:
            density += strength * (spot.level(y, x) < 0)
        return density.astype(np.float32)


def make_cell(generator: np.random.Generator, kind: int, angle: float) -> Cell:
    """A cell of class `kind`, a long one lying along `angle` (radians against the x axis)."""
    return _MAKERS[kind - 1](generator, angle)


def _epithelial(generator: np.random.Generator, angle: float) -> Cell:
    semi = np.array([4.1, 2.75]) * np.exp(generator.normal(0.0, 0.12, 2))
    spots = tuple(
        (Ellipse(generator.normal(0.0, 0.9, 2), np.full(2, generator.uniform(0.5, 0.9)), 0.0), 0.35)
        for _ in range(generator.integers(0, 3))
    )
    return Cell(
        kind=1,
        lobes=(Ellipse(np.zeros(2), semi, angle + generator.normal(0.0, 0.2)),),
        surface=_roughness(generator, 0.3),
        chromatin=random_waves(generator, 16, (1.2, 4.0), 0.18),
        haematoxylin=_about(generator, 0.33, 0.45),
        rim=0.3,
        spots=spots,
    )


def _connective(generator: np.random.Generator, angle: float) -> Cell:
    cut_across = generator.random() < 0.3
    semi = np.array([3.1, 2.2] if cut_across else [6.6, 1.75]) * np.exp(generator.normal(0.0, 0.15, 2))
    return Cell(
        kind=2,
        lobes=(Ellipse(np.zeros(2), semi, angle + generator.normal(0.0, 0.25)),),
        surface=_roughness(generator, 0.2),
        chromatin=random_waves(generator, 12, (2.0, 6.0), 0.14),
        haematoxylin=_about(generator, 0.62, 0.32),
        rim=0.15,
        bend=0.0 if cut_across else float(generator.normal(0.0, 0.03)),
    )


def _lymphocyte(generator: np.random.Generator, angle: float) -> Cell:
    semi = 3.0 * np.exp(generator.normal(0.0, 0.08, 2))
    return Cell(
        kind=3,
        lobes=(Ellipse(np.zeros(2), semi, angle),),
        surface=_roughness(generator, 0.15),
        chromatin=random_waves(generator, 12, (2.0, 4.5), 0.16),
        haematoxylin=_about(generator, 1.04, 0.16),
        rim=0.1,
    )


def _plasma(generator: np.random.Generator, angle: float) -> Cell:
    semi = np.array([3.4, 3.0]) * np.exp(generator.normal(0.0, 0.08, 2))
    towards = np.array([np.sin(angle), np.cos(angle)])
    body = Body(
        shape=Ellipse(2.6 * towards, np.array([5.8, 4.2]) * np.exp(generator.normal(0.0, 0.08, 2)), angle),
        haematoxylin=_about(generator, 0.3, 0.25),
        eosin=_about(generator, 0.36, 0.2),
        grain=random_waves(generator, 8, (3.0, 6.0), 0.1),
        cover=0.9,
    )
    clock_face = tuple(
        (Ellipse(0.72 * semi.min() * np.array([np.sin(at), np.cos(at)]), np.full(2, 0.75), 0.0), 0.4)
        for at in generator.uniform(0, 2 * np.pi) + np.arange(6) * np.pi / 3
    )
    return Cell(
        kind=4,
        lobes=(Ellipse(np.zeros(2), semi, angle),),
        surface=_roughness(generator, 0.15),
        chromatin=random_waves(generator, 8, (2.0, 4.0), 0.1),
        haematoxylin=_about(generator, 0.82, 0.14),
        rim=0.15,
        spots=clock_face,
        body=body,
    )


def _neutrophil(generator: np.random.Generator, angle: float) -> Cell:
    lobes = _chain(generator, int(generator.integers(3, 5)), 1.8, angle, turn=(0.6, 1.3))
    return _granulocyte(generator, 5, lobes, haematoxylin=1.2, eosin=0.1)


def _eosinophil(generator: np.random.Generator, angle: float) -> Cell:
    lobes = _chain(generator, 2, 2.2, angle, turn=(0.2, 0.6))
    return _granulocyte(generator, 6, lobes, haematoxylin=0.9, eosin=0.7)


def _granulocyte(
    generator: np.random.Generator, kind: int, lobes: tuple[Ellipse, ...], haematoxylin: float, eosin: float
) -> Cell:
    body = Body(
        shape=Ellipse(generator.normal(0.0, 0.4, 2), np.full(2, generator.normal(5.0, 0.3)), 0.0),
        haematoxylin=0.05,
        eosin=_about(generator, eosin, 0.2),
        grain=random_waves(generator, 12, (0.8, 1.8), 0.25 if kind == 6 else 0.1),
        cover=0.9,
    )
    return Cell(
        kind=kind,
        lobes=lobes,
        surface=_roughness(generator, 0.1),
        chromatin=random_waves(generator, 8, (2.0, 4.0), 0.1),
        haematoxylin=_about(generator, haematoxylin, 0.12),
        rim=0.1,
        body=body,
    )


def _chain(
    generator: np.random.Generator, count: int, radius: float, angle: float, turn: tuple[float, float]
) -> tuple[Ellipse, ...]:
    """Lobes along a bent line around the origin, each overlapping the next."""
    radii = radius * np.exp(generator.normal(0.0, 0.1, count))
    points, heading = [np.zeros(2)], angle
    for one, other in pairwise(radii):
        points.append(points[-1] + 0.8 * (one + other) * np.array([np.sin(heading), np.cos(heading)]))
        heading += generator.uniform(*turn)
    centres = np.stack(points) - np.mean(points, axis=0)
    return tuple(
        Ellipse(centre, size * np.exp(generator.normal(0.0, 0.08, 2)), angle)
        for centre, size in zip(centres, radii, strict=True)
    )


def _roughness(generator: np.random.Generator, spread: float) -> Waves:
    return random_waves(generator, 6, (4.0, 9.0), spread)


def _about(generator: np.random.Generator, value: float, spread: float) -> float:
    return float(value * np.exp(generator.normal(0.0, spread)))


_MAKERS: tuple[Callable[[np.random.Generator, float], Cell], ...] = (
    _epithelial,
    _connective,
    _lymphocyte,
    _plasma,
    _neutrophil,
    _eosinophil,
)
