"""`terrain:mounds`: grey satellite pictures in the manner of CORONA, few of them with a settlement mound.

A map sheet is a group.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from segjax.simulators import terrain_film as film
from segjax.simulators.terrain_ground import Sheet, draw_ground, draw_sheet, fractal
from segjax.simulators.terrain_site import draw_layer, draw_site
from segjax.types import Georeference, InputError, Sample, digest_of

SIMULATOR_VERSION = 2  # goes into every digest: raise it when the same spec gives other pictures
PUBLISHED_METRES = 1.66  # ground metres per pixel of the site outlines that the sizes come from
CRS = "EPSG:32637"  # UTM zone 37 north: Upper Mesopotamia
_CORNER, _SHEET_DISTANCE = (420_000.0, 4_120_000.0), 100_000.0  # upper left of the first sheet, from sheet to sheet


class Backgrounds(NamedTuple):
    """Real pictures that become the ground.

    Attributes:
        folder: where they come from, as the source's spec names it.
        tiles: for each sheet its grey pictures, float32 [H, W] in [0, 1], at least as large as the source's.
    """

    folder: str
    tiles: Sequence[Sequence[Float32[np.ndarray, "H W"]]]


class TerrainSource:
    """Pictures of several map sheets; one in `without` + 1 shows a mound. Meets `segjax.types.Source`.

    Samples have the image-level label 1 (site) or 0, the exact outline as object 1, and a georeference. A picture
    depends on the seed, its sheet and its number only: more pictures or sheets change none of those before. With real
    backgrounds it depends on the number of sheets too, among which they are divided.
    """

    class_names: tuple[str, ...] = ("site",)
    label_names: tuple[str, ...] = ("no site", "site")
    test_groups: frozenset[str] = frozenset()

    def __init__(
        self,
        pixels: int = 256,
        metres: float = 3.32,
        sheets: int = 10,
        pictures: int = 40,
        without: int = 9,
        seed: int = 0,
        backgrounds: Backgrounds | None = None,
    ) -> None:
        """See `open_terrain` for the arguments."""
        self.pixels, self.metres, self.sheets, self.seed, self._without = pixels, metres, sheets, seed, without
        self.coarsening = metres / PUBLISHED_METRES
        options: dict[str, object] = {"pixels": pixels, "metres": metres, "sheets": sheets, "pictures": pictures}
        options |= {"without": without, "seed": seed}
        self._tiles = backgrounds.tiles if backgrounds else None
        seen = [tile.tobytes() for tiles in self._tiles or [] for tile in tiles]
        self.digest = digest_of(options, "simulator", SIMULATOR_VERSION, *(digest_of(tile) for tile in seen))
        if backgrounds:
            options["backgrounds"] = backgrounds.folder.replace("%", "%25").replace("&", "%26")
        self.spec = "terrain:mounds?" + "&".join(f"{name}={value}" for name, value in options.items())
        self._places = [(sheet, number) for sheet in range(sheets) for number in range(pictures)]
        self.groups = tuple(f"sheet-{sheet:02d}" for sheet, _ in self._places)
        self.names = tuple(f"sheet-{sheet:02d}-picture-{number:03d}" for sheet, number in self._places)
        self.shapes = ((pixels, pixels),) * len(self._places)
        self._sheet = lru_cache(maxsize=None)(lambda sheet: draw_sheet(np.random.default_rng([seed, sheet])))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        sheet, number = self._places[index]
        generator = np.random.default_rng([self.seed, sheet, number])
        site = draw_site(generator, self.pixels * self.metres) if self.has_site(sheet, number) else None
        country = self._sheet(sheet)
        centres = (np.arange(self.pixels) + 0.5) * self.metres
        layer = None
        if site is not None:
            mottling = fractal(generator, self.pixels, self.metres, 0.9)
            layer = draw_layer(site, centres[:, None], centres[None, :], mottling)
        if self._tiles is None:
            image = self._simulated(generator, country, layer)
        else:
            image = self._planted(generator, country, layer, self._tiles[sheet])
        labels = np.zeros(image.shape, np.int32) if layer is None else layer.inside.astype(np.int32)
        return Sample(
            image=image[..., None],
            labels=labels,
            classes=np.ones(int(layer is not None), np.int32),
            group=self.groups[index],
            name=self.names[index],
            label=int(layer is not None),
            georeference=self._georeference(sheet, number),
        )

    def has_site(self, sheet: int, number: int) -> bool:
        """Whether a picture shows a mound: one of every `without` + 1 in a row, which one is drawn."""
        block, place = divmod(number, self._without + 1)
        return int(np.random.default_rng([self.seed, sheet, block, 7]).integers(self._without + 1)) == place

    def _simulated(self, generator, country: Sheet, layer) -> Float32[np.ndarray, "H W"]:
        height, tone = draw_ground(generator, country, self.pixels, self.metres)
        if layer is not None:
            height, tone = height + layer.height, tone * (1 - 0.85 * layer.cover) + layer.tone
        return film.develop(generator, country, tone + film.shading(height, country, self.metres), self.metres)

    def _planted(self, generator, country: Sheet, layer, tiles: Sequence[np.ndarray]) -> Float32[np.ndarray, "H W"]:
        """A window of a real tile, turned and mirrored; a mound changes the light that reached the film there."""
        tile = tiles[int(generator.integers(len(tiles)))]
        y, x = (int(generator.integers(side - self.pixels + 1)) for side in tile.shape)
        window = np.rot90(tile[y : y + self.pixels, x : x + self.pixels], int(generator.integers(4)))
        window = window[:, ::-1] if generator.random() < 0.5 else window
        if layer is None:
            return np.ascontiguousarray(window)
        light = film.exposure_of(window) + country.contrast * (
            layer.tone + film.shading(layer.height, country, self.metres)
        )
        return film.respond(light, 0.5, 1.0)

    def _georeference(self, sheet: int, number: int) -> Georeference:
        """Pictures of a sheet lie side by side in rows of ten, north up."""
        row, column = divmod(number, 10)
        extent = self.pixels * self.metres
        left, top = _CORNER[0] + sheet * _SHEET_DISTANCE + column * extent, _CORNER[1] - row * extent
        return Georeference(CRS, (self.metres, 0.0, left, 0.0, -self.metres, top))


def open_terrain(
    name: str, options: dict[str, str], read_backgrounds: Callable[[str, int, int], Backgrounds] | None = None
) -> TerrainSource:
    """Open `terrain:mounds`.

    Options:
        pixels: side of the square pictures, 64 to 1024 (256).
        metres: ground metres per pixel, 0.5 to 10 (3.32, which is twice that of the published outlines); pictures must
            be at least 300 m wide.
        sheets, pictures: number of map sheets (10), each with another film, sun and kind of country, and of pictures
            on each (40).
        without: pictures without a mound to each with one (9).
        seed: another seed, other pictures (0).
        backgrounds: folder of real grey pictures of at least that many pixels, which become the ground instead of the
            simulated one: sorted by name and divided among the sheets, so that no picture serves two sheets.
            `read_backgrounds`, a function of folder, sheets and pixels, reads it; without it there is no such option.

    Raises:
        InputError: another name, option or value; what `read_backgrounds` raises.

    >>> source = open_terrain("mounds", {"pixels": "96", "sheets": "1", "pictures": "4", "without": "1"})
    >>> sorted(sample.label for sample in source)  # one picture without a mound to each with one
    [0, 0, 1, 1]
    """
    if name != "mounds":
        raise InputError(f"terrain:{name} is unknown; use terrain:mounds")
    ranges = {
        "pixels": (64, 1024),
        "sheets": (1, 1000),
        "pictures": (1, 100_000),
        "without": (0, 1000),
        "seed": (0, 2**31 - 1),
    }
    allowed = (*ranges, "metres", *(("backgrounds",) if read_backgrounds else ()))
    for option in options:
        if option not in allowed:
            raise InputError(f"terrain:mounds has no option {option!r}; its options are {', '.join(allowed)}")
    numbers: dict[str, int] = {}
    for option, (low, high) in ranges.items():
        if option in options:
            text = options[option]
            if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
                raise InputError(f"terrain:mounds: {option}={text} must be a whole number from {low} to {high}")
            numbers[option] = int(text)
    metres = _metres(options.get("metres", "3.32"))
    extent = numbers.get("pixels", 256) * metres
    if extent < 300:
        raise InputError(
            f"terrain:mounds: pictures of {extent:.0f} m are too narrow for a mound; give more pixels or metres"
        )
    source = TerrainSource(metres=metres, backgrounds=None, **numbers)
    if not read_backgrounds or "backgrounds" not in options:
        return source
    backgrounds = read_backgrounds(options["backgrounds"], source.sheets, source.pixels)
    return TerrainSource(metres=metres, backgrounds=backgrounds, **numbers)


def _metres(text: str) -> float:
    try:
        metres = float(text)
    except ValueError:
        metres = float("nan")
    if not 0.5 <= metres <= 10:
        raise InputError(f"terrain:mounds: metres={text} must be a number from 0.5 to 10 (ground metres per pixel)")
    return metres
