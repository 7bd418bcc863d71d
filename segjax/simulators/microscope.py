"""The virtual microscope as a source: phantoms behind optics and detector, cut into slices; a volume is a group."""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Int32, UInt16

from segjax.simulators import optics, phantoms
from segjax.simulators.phantoms import COARSENINGS
from segjax.simulators.tissue import TissueSource, grid_length
from segjax.types import InputError, Sample, digest_of

SIMULATOR_VERSION = 1  # goes into every digest: raise it when the same spec gives other pictures
CLASS_NAMES = {
    "hl60": ("HL60 nucleus",),
    "granulocytes": ("granulocyte nucleus",),
    "mixed": ("HL60 nucleus", "granulocyte nucleus"),
}
KINDS = (*CLASS_NAMES, "tissue")
_PAPER_VOLUMES, _FEWER_VOLUMES = 30, 12
_CACHE_BYTES = 1_000_000_000


def render(
    kind: str, size: str, seed: int, volume: int
) -> tuple[UInt16[np.ndarray, "D H W"], Int32[np.ndarray, "D H W"]]:
    """Picture and labels of one whole volume, empty slices included; depends on the four arguments only."""
    coarsening = COARSENINGS[size]
    stain, labels = phantoms.render_density(phantoms.scene(kind, seed, volume), coarsening)
    light = optics.blur(stain, coarsening)
    noise = (seed, volume, sorted(CLASS_NAMES).index(kind), list(COARSENINGS).index(size))
    return optics.expose(light, noise), labels


class MicroscopeSource:
    """Slices with at least one labelled pixel, volume by volume; meets `segjax.types.Source`.

    Besides the source's own attributes: `kind`, `size`, `seed`, `positions` (volume and slice number per sample).
    """

    label_names: tuple[str, ...] = ()

    def __init__(
        self, kind: str, size: str, volumes: int, slices: int | None = None, crop: int | None = None, seed: int = 0
    ):
        self.kind, self.size, self.seed = kind, size, seed
        self.coarsening = COARSENINGS[size]
        options = {"size": size, "volumes": volumes, "slices": slices, "crop": crop, "seed": seed}
        self.spec = f"microscope:{kind}?" + "&".join(f"{k}={v}" for k, v in options.items() if v is not None)
        self.digest = digest_of(self.spec, "simulator", SIMULATOR_VERSION)
        self.class_names = CLASS_NAMES[kind]
        hl60, granulocytes = phantoms.POPULATIONS[kind]
        ranks = range(1, len(self.class_names) + 1)
        counts = [count for count in (hl60, granulocytes) if count]
        self.classes = np.repeat(np.array(ranks, np.int32), counts)
        self.positions = tuple(
            (volume, index) for volume in range(volumes) for index in self._kept_slices(volume, slices, crop)
        )
        self.groups = tuple(_group(volume) for volume, _ in self.positions)
        self.names = tuple(_name(volume, index) for volume, index in self.positions)
        self.test_groups = phantoms.last_sixth([_group(volume) for volume in range(volumes)])
        shape = phantoms.grid_shape(self.coarsening)
        self._window = phantoms.centre_window(shape, crop)
        self.shapes = (shape[1:] if crop is None else (crop, crop),) * len(self.positions)
        held = max(2, int(_CACHE_BYTES // (6 * np.prod(shape))))
        rendered: Callable[[int], tuple[np.ndarray, np.ndarray]] = partial(render, kind, size, seed)
        self._volume = lru_cache(maxsize=held)(rendered)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Sample:
        return self.at(*self.positions[index])

    def at(self, volume: int, index: int) -> Sample:
        """Any slice of any volume, an empty one included; the partner of another kind's slice has the same numbers."""
        counts, labels = self.counts(volume, index)
        return Sample(scaled(counts), labels, self.classes, _group(volume), _name(volume, index))

    def counts(self, volume: int, index: int) -> tuple[UInt16[np.ndarray, "H W"], Int32[np.ndarray, "H W"]]:
        """The camera's 16-bit slice before scaling, and its labels."""
        counts, labels = self._volume(volume)
        return counts[(index, *self._window)].copy(), labels[(index, *self._window)].copy()

    def recorded(
        self, index: int
    ) -> tuple[UInt16[np.ndarray, "H W"], Int32[np.ndarray, "H W"], Int32[np.ndarray, " N"]]:
        """The camera's 16-bit picture, its labels and the class of each object."""
        return *self.counts(*self.positions[index]), self.classes

    def _kept_slices(self, volume: int, kept: int | None, crop: int | None) -> list[int]:
        scene = phantoms.scene(self.kind, self.seed, volume)
        filled = np.flatnonzero(phantoms.occupied_slices(scene, self.coarsening, crop))
        if kept is None or kept >= len(filled):
            return filled.tolist()
        # The middles of `kept` equal stretches: one slice is the middle one, many lie evenly.
        return filled[((np.arange(kept) + 0.5) * len(filled) / kept).astype(int)].tolist()


def scaled(counts: np.ndarray) -> np.ndarray:
    """16-bit slice [H, W] -> float32 [H, W, 1], divided by its own maximum as the authors did."""
    return (counts.astype(np.float32) / np.float32(max(1, counts.max())))[..., None]


def open_microscope(kind: str, options: dict[str, str]) -> MicroscopeSource | TissueSource:
    """Open `microscope:KIND` with options size, volumes, slices, crop, seed; raises InputError for anything else.

    Of `microscope:tissue`, volumes are slides and slices the fields of each.

    >>> source = open_microscope("hl60", {"volumes": "2", "slices": "1", "crop": "32"})
    >>> source.groups, source[0].image.shape, float(source[0].image.max())  # of each slice the brightest pixel is 1
    (('volume-00', 'volume-01'), (32, 32, 1), 1.0)
    """
    if kind not in KINDS:
        raise InputError(f"microscope:{kind} is unknown; choose one of {', '.join(KINDS)}")
    allowed = ("size", "volumes", "slices", "crop", "seed")
    for name in options:
        if name not in allowed:
            raise InputError(f"microscope:{kind} has no option {name!r}; its options are {', '.join(allowed)}")
    size = options.get("size", "quarter")
    if size not in COARSENINGS:
        raise InputError(f"microscope:{kind}: size={size} is unknown; choose one of {', '.join(COARSENINGS)}")
    coarsening = COARSENINGS[size]
    height, width = (grid_length(coarsening),) * 2 if kind == "tissue" else phantoms.grid_shape(coarsening)[1:]
    volumes = _whole(kind, options, "volumes", 1)
    slices, crop, seed = (_whole(kind, options, name, low) for name, low in (("slices", 1), ("crop", 8), ("seed", 0)))
    if crop is not None and crop > min(height, width):
        raise InputError(
            f"microscope:{kind}: crop={crop} is larger than the {height} x {width} pixels at size={size}; give at "
            f"most {min(height, width)}"
        )
    if volumes is None:
        volumes = _PAPER_VOLUMES if size == "paper" else _FEWER_VOLUMES
    if kind == "tissue":
        return TissueSource(size, volumes, slices, crop, seed or 0)
    return MicroscopeSource(kind, size, volumes, slices, crop, seed or 0)


def _whole(kind: str, options: dict[str, str], name: str, least: int) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise InputError(f"microscope:{kind}: {name}={text} must be a whole number of at least {least}")
    return int(text)


def _group(volume: int) -> str:
    return f"volume-{volume:02d}"


def _name(volume: int, index: int) -> str:
    return f"{_group(volume)}-slice-{index:03d}"
