"""A georeferenced scene of any size: its place, its bands, and where it has no data; needs the extra `geo`."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from segjax.data.ground.georeference import read_georeference
from segjax.data.pictures import images
from segjax.data.pictures.decoders import named, read_raster
from segjax.data.pictures.limits import check_decoded
from segjax.types import Georeference, InputError


class Scene(NamedTuple):
    """What is known of a scene before its pixels are read.

    Attributes:
        path: its file.
        georeference: where it lies.
        known: bool [H, W], False where it has no data.
        bands: numbers of its bands in the file, without transparency.
    """

    path: Path
    georeference: Georeference
    known: Bool[np.ndarray, "H W"]
    bands: tuple[int, ...]


def open_scene(path: Path) -> Scene:
    """Place, bands and missing pixels of a scene.

    Raises:
        InputError: no such file, no place on the ground, colours from a palette, or no data at all.
    """
    import rasterio
    from rasterio.enums import ColorInterp
    from rasterio.errors import RasterioIOError

    georeference = read_georeference(path)
    if georeference is None:
        raise InputError(f"{path}: is not a GeoTIFF, so its place on the ground is unknown; give a GeoTIFF")
    try:
        with rasterio.open(path) as file:
            with named(path):
                check_decoded(file.shape, 8, path.stat().st_size)
            known, kinds = file.dataset_mask() > 0, file.colorinterp
    except RasterioIOError as error:
        raise InputError(f"{path}: cannot be read ({error}); write it again as GeoTIFF") from error
    if ColorInterp.palette in kinds:
        raise InputError(f"{path}: has colours from a palette; write them as bands with gdal_translate -expand rgb")
    if not known.any():
        raise InputError(f"{path}: no pixel has data; give a scene that shows something, or correct its nodata value")
    bands = tuple(number for number, kind in enumerate(kinds, 1) if kind != ColorInterp.alpha)
    return Scene(path, georeference, known, bands)


def picture_of(scene: Scene, scale: Literal["max", "dtype"], channels: int) -> Float32[np.ndarray, "H W C"]:
    """The scene as `read_picture` reads it, where it has no data with the values of the nearest pixel that has.

    Raises:
        InputError: intensities that no picture can have.
    """
    with named(scene.path):
        return images.picture_of(read_raster(scene.path), None if scene.known.all() else ~scene.known, scale, channels)
