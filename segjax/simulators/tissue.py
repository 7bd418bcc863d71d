"""The simulated stained tissue as a source: RGB fields of several slides, nuclei of six types; a slide is a group."""

from functools import lru_cache, partial

import numpy as np
from jaxtyping import Int32, UInt8

from segjax.simulators import phantoms, staining, tissue_scene
from segjax.simulators.tissue_cells import CELL_TYPES
from segjax.types import Sample, digest_of

TISSUE_VERSION = 2  # goes into every digest: raise it when the same spec gives other pictures
FIELDS = 16  # per slide, unless the spec says otherwise

_PIXEL = 0.25  # micrometres at size=paper: 40x magnification
_COARSEST_STAIN = 2.0  # stains are drawn on pixels at most this coarse, and binned by the camera
_CACHED = 512

Field = tuple[UInt8[np.ndarray, "H W 3"], Int32[np.ndarray, "H W"], Int32[np.ndarray, " N"]]


def grid_length(coarsening: float) -> int:
    """Pixels along the edge of a field: 512 of 0.25 micrometres, or fewer of `coarsening` times that edge."""
    return int(tissue_scene.FIELD / _PIXEL / coarsening)


def render_field(coarsening: float, seed: int, slide: int, field: int) -> Field:
    """Picture, labels 1..N of the nuclei and their classes; depends on the arguments only."""
    scene = tissue_scene.make_scene(seed, slide, field)
    length, edge = grid_length(coarsening), _PIXEL * coarsening
    binning = round(coarsening / min(coarsening, _COARSEST_STAIN))
    stains = tissue_scene.render_stains(scene, length * binning, edge / binning)
    of_slide = staining.draw_staining(seed, slide)
    light = staining.transmit(stains, of_slide)
    generator = np.random.default_rng([seed, slide, field, int(coarsening)])
    picture = staining.photograph(light, edge / binning, binning, of_slide, generator)
    return picture, *tissue_scene.render_cells(scene, length, edge)


class TissueSource:
    """Square fields of 128 micrometres, slide by slide; meets `segjax.types.Source`.

    Besides the source's own attributes: `kind`, `shapes`.
    """

    kind = "tissue"
    label_names: tuple[str, ...] = ()
    class_names = tuple(f"{name} nucleus" for name in CELL_TYPES)

    def __init__(
        self, size: str, slides: int, fields: int | None = None, crop: int | None = None, seed: int = 0
    ) -> None:
        self.coarsening = phantoms.COARSENINGS[size]
        fields = FIELDS if fields is None else fields
        options = {"size": size, "volumes": slides, "slices": fields, "crop": crop, "seed": seed}
        self.spec = "microscope:tissue?" + "&".join(f"{k}={v}" for k, v in options.items() if v is not None)
        self.digest = digest_of(self.spec, "tissue", TISSUE_VERSION)
        self._places = tuple((slide, field) for slide in range(slides) for field in range(fields))
        self.groups = tuple(f"slide-{slide:02d}" for slide, _ in self._places)
        self.names = tuple(f"slide-{slide:02d}-field-{field:03d}" for slide, field in self._places)
        self.test_groups = phantoms.last_sixth(self.groups)
        length = grid_length(self.coarsening)
        self._window = phantoms.centre_window((length, length), crop)
        self.shapes = ((crop or length,) * 2,) * len(self._places)
        self._field = lru_cache(maxsize=_CACHED)(partial(render_field, self.coarsening, seed))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        picture, labels, classes = self.recorded(index)
        image = picture.astype(np.float32) / np.float32(255.0)
        return Sample(image, labels, classes, self.groups[index], self.names[index])

    def recorded(self, index: int) -> Field:
        """The camera's 8-bit picture, its labels and the class of each object."""
        picture, labels, classes = self._field(*self._places[index])
        return picture[self._window].copy(), labels[self._window].copy(), classes
