"""Which tiles of a scene a network should learn sites from: some around each site, others far from every site.

Tiles lie in blocks of the scene, and none reaches into two, so that a split by block has no ground on two sides. A tile
shows no site of another block. A tile never lies over pixels without data. Needs the extra `geo`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Shaped
from scipy import ndimage

from segjax.types import InputError, check_least

NO_DATA, FOREIGN, SHOWN_BEFORE = (
    "where the scene has no data",
    "beside a site of another block, which every tile would show",
    "on ground that tiles of an earlier scene show",
)
Free = Callable[[int, int], bool]
_TRIES = 50  # placements of one tile around a site


@dataclass(frozen=True)
class Cutting:
    """How tiles are chosen.

    Attributes:
        tile: their side in pixels.
        block: the side of a block in tiles; blocks are widened until they fill the scene.
        per_site: tiles around each site.
        jitter: how far the middle of a tile may lie from that of its site along each axis, as a fraction of its side.
        without: tiles without a site to each with one.
        distance: of these from every site, in metres.
        seed: another seed, other tiles.
    """

    tile: int = 256
    block: int = 4
    per_site: int = 2
    jitter: float = 0.25
    without: int = 3
    distance: float = 500.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a value out of range."""
        check_least(self, tile=16, block=1, per_site=1, without=0, seed=0)
        if not 0 <= self.jitter <= 0.5:
            raise InputError(f"jitter must be from 0 to 0.5, not {self.jitter}")
        if not 0 <= self.distance < np.inf:
            raise InputError(f"distance must be at least 0 metres, not {self.distance}")


class Tile(NamedTuple):
    """A square of a scene; `block` counts rows and columns of blocks, `site` is None far from every site."""

    y: int
    x: int
    block: tuple[int, int]
    site: int | None = None


@dataclass(frozen=True, eq=False)
class Ground:
    """What is known of a scene before it is cut.

    Attributes:
        labels: int32 [H, W], its sites as 1..N.
        known: bool [H, W], False where it has no data.
        edges: width and height of a pixel in metres.
        shapes: all sites, also those beyond the scene, as shapely areas in its pixel corners; None is passed over.
        elsewhere: numbers of the sites that an earlier scene's tiles show.
        taken: squares that an earlier scene's tiles cover, as shapely areas in the scene's pixel corners.
    """

    labels: Int32[np.ndarray, "H W"]
    known: Bool[np.ndarray, "H W"]
    edges: tuple[float, float]
    shapes: Shaped[np.ndarray, " S"]
    elsewhere: frozenset[int] = frozenset()
    taken: Shaped[np.ndarray, " T"] = field(default_factory=lambda: np.empty(0, object))


class Plan(NamedTuple):
    """What is cut.

    Attributes:
        tiles: around sites in the order of their numbers, then those without, from the top of the scene down.
        lost: by the number of a site: why it has no tile.
        wanted: tiles without a site that were asked for.
    """

    tiles: list[Tile]
    lost: Mapping[int, str]
    wanted: int


def plan_tiles(generator: np.random.Generator, ground: Ground, cutting: Cutting) -> Plan:
    """Choose the tiles of a scene.

    Blocks are as many as fit, none smaller than `block` tiles, in a scene that is smaller itself, the whole scene. A
    site belongs to the block of its middle. Tiles without a site come from blocks with one, by turns, and only then
    from others; no two of them overlap.

    Raises:
        InputError: the scene is smaller than a tile.
    """
    if min(ground.labels.shape) < cutting.tile:
        height, width = ground.labels.shape
        raise InputError(f"is {width} x {height} pixels, smaller than a tile of {cutting.tile}; give a smaller tile")
    borders = tuple(_borders(length, cutting) for length in ground.labels.shape)
    spans = _spans(ground.labels)
    owners = {site: _block_of((rows.middle, columns.middle), borders) for site, (rows, columns) in spans.items()}
    is_free = _free(ground, cutting.tile)
    tiles, lost = [], {}
    for site, span in spans.items():
        if site in ground.elsewhere:
            continue
        foreign = frozenset({*(other for other in owners if owners[other] != owners[site]), *ground.elsewhere})
        ranges = [_starts(cutting, borders[axis][owners[site][axis] :][:2], span[axis]) for axis in (0, 1)]
        found, reason = _around(generator, ground, cutting, ranges, foreign, is_free)
        tiles += [Tile(y, x, owners[site], site) for y, x in found]
        if not found:
            lost[site] = reason
    wanted = cutting.without * len(tiles)
    blocks = {tile.block for tile in tiles}
    return Plan(tiles + _without(generator, ground, cutting, borders, wanted, blocks, is_free), lost, wanted)


def _borders(length: int, cutting: Cutting) -> list[int]:
    """Where blocks begin, and the end of the last."""
    count = max(1, length // (cutting.block * cutting.tile))
    return [int(border) for border in np.round(np.linspace(0, length, count + 1))]


class _Span(NamedTuple):
    """Of a site along an axis: its middle, which is a pixel of it, its first and its last pixel."""

    middle: int
    first: int
    last: int


def _spans(labels: Int32[np.ndarray, "H W"]) -> dict[int, tuple[_Span, _Span]]:
    """By the number of a site: where it lies along rows and columns; the middle is its pixel nearest to the mean."""
    found = {}
    for site, box in enumerate(ndimage.find_objects(labels), 1):
        if box is not None:
            pixels = np.argwhere(labels[box] == site)
            y, x = pixels[((pixels - pixels.mean(0)) ** 2).sum(1).argmin()].tolist()
            rows, columns = (
                _Span(side.start + at, side.start, side.stop - 1) for side, at in zip(box, (y, x), strict=True)
            )
            found[site] = rows, columns
    return found


def _block_of(place: Sequence[int], borders: Sequence[Sequence[int]]) -> tuple[int, int]:
    row, column = (int(np.searchsorted(borders[axis], place[axis], "right")) - 1 for axis in (0, 1))
    return row, column


def _starts(cutting: Cutting, block: Sequence[int], span: _Span) -> tuple[int, int]:
    """First and last start of a tile along an axis: in the block, over the site's middle, jittered, over all of it."""
    tile, reach = cutting.tile, round(cutting.jitter * cutting.tile)
    low, high = max(block[0], span.middle - tile + 1), min(block[1] - tile, span.middle)
    centred = span.middle - tile // 2
    for first, last in ((centred - reach, centred + reach), (span.last - tile + 1, span.first)):
        if first <= last:  # else the site is larger than a tile
            low, high = (min(max(end, low), high) for end in (first, last))
    return low, high


def _free(ground: Ground, tile: int) -> Free:
    """A function of a tile's corner: whether it overlaps no tile of an earlier scene."""
    import shapely

    tree = shapely.STRtree(ground.taken)
    inner = 0.01  # of a pixel: squares that touch do not overlap
    return lambda y, x: (
        not len(tree.query(shapely.box(x + inner, y + inner, x + tile - inner, y + tile - inner), "intersects"))
    )


def _around(
    generator: np.random.Generator,
    ground: Ground,
    cutting: Cutting,
    ranges: Sequence[tuple[int, int]],
    foreign: frozenset[int],
    is_free: Free,
) -> tuple[list[tuple[int, int]], str]:
    """Corners of tiles around a site, and the commonest reason why a placement was refused."""
    found: list[tuple[int, int]] = []
    refused: Counter[str] = Counter()
    for _ in range(_TRIES * cutting.per_site):
        y, x = (int(generator.integers(low, high + 1)) for low, high in ranges)
        square = np.s_[y : y + cutting.tile, x : x + cutting.tile]
        if not ground.known[square].all():
            refused[NO_DATA] += 1
        elif not foreign.isdisjoint(np.unique(ground.labels[square]).tolist()):
            refused[FOREIGN] += 1
        elif not is_free(y, x):
            refused[SHOWN_BEFORE] += 1
        elif (y, x) not in found:
            found.append((y, x))
        if len(found) == cutting.per_site:
            break
    return found, refused.most_common(1)[0][0] if refused else ""


def _without(
    generator: np.random.Generator,
    ground: Ground,
    cutting: Cutting,
    borders: Sequence[Sequence[int]],
    wanted: int,
    with_site: set[tuple[int, int]],
    is_free: Free,
) -> list[Tile]:
    """Tiles at a distance from every site."""
    tile, by_block = cutting.tile, dict[tuple[int, int], list[Tile]]()
    squares = _squares(generator, borders, tile)
    for one, is_near in zip(squares, _are_near(ground, cutting, squares), strict=True):
        if not is_near and ground.known[one.y : one.y + tile, one.x : one.x + tile].all() and is_free(one.y, one.x):
            by_block.setdefault(one.block, []).append(one)
    shuffled = [
        (block, [by_block[block][index] for index in generator.permutation(len(by_block[block]))])
        for block in (list(by_block)[index] for index in generator.permutation(len(by_block)))
    ]
    chosen: list[Tile] = []
    for has_site in (True, False):
        turns = [found for block, found in shuffled if (block in with_site) == has_site]
        for number in range(max(map(len, turns), default=0)):
            chosen += [found[number] for found in turns if number < len(found)]
    return sorted(chosen[:wanted])


def _squares(generator: np.random.Generator, borders: Sequence[Sequence[int]], tile: int) -> list[Tile]:
    """Tiles side by side in every block, beginning anywhere in it."""
    found = []
    for row in range(len(borders[0]) - 1):
        for column in range(len(borders[1]) - 1):
            (top, bottom), (left, right) = borders[0][row : row + 2], borders[1][column : column + 2]
            top += int(generator.integers((bottom - top) % tile + 1))
            left += int(generator.integers((right - left) % tile + 1))
            corners = ((y, x) for y in range(top, bottom - tile + 1, tile) for x in range(left, right - tile + 1, tile))
            found += [Tile(y, x, (row, column)) for y, x in corners]
    return found


def _are_near(ground: Ground, cutting: Cutting, squares: Sequence[Tile]) -> Bool[np.ndarray, " T"]:
    """Whether tiles are nearer to a site than they may be, measured in metres on the ground."""
    import shapely

    near = np.zeros(len(squares), bool)
    shapes = shapely.transform(
        np.array([shape for shape in ground.shapes if shape is not None], object), lambda xy: xy * ground.edges
    )
    if len(shapes) and len(squares):
        corners = np.array([(one.x, one.y) for one in squares], float)
        low, high = corners * ground.edges, (corners + cutting.tile) * ground.edges
        boxes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
        near[shapely.STRtree(shapes).query(boxes, "dwithin", distance=cutting.distance)[0]] = True
    return near
