"""What an archaeologist takes away: masks as GeoTIFF, outlines as GeoJSON."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from experiments.classifiers import LabelledDomain
from segjax.data.geofiles import Outline, outlines_of, write_geojson, write_mask

OUTLINES = "sites.geojson"
SHOWN = 5


def write_sites(
    folder: Path,
    domain: LabelledDomain,
    indices: Sequence[int],
    masks: Bool[np.ndarray, "P H W"],
    probability: Float32[np.ndarray, "P H W"],
) -> None:
    """Masks and outlines of the pictures whose place on the ground is known; nothing where none's is.

    Writes `masks/PICTURE.tif` in the picture's coordinate system and `sites.geojson` in WGS84, which is valid and empty
    where no site was found. Where that is not every picture, prints how many got none and which.

    Raises:
        InputError: the extra `geo` is missing.
    """
    outlines: list[Outline] = []
    placed = [place for place, index in enumerate(indices) if domain.places[index] is not None]
    for place in placed:
        name, georeference = domain.source.names[indices[place]], domain.places[indices[place]]
        assert georeference is not None
        write_mask(folder / "masks" / f"{name.replace('/', '_')}.tif", masks[place], georeference)
        outlines += outlines_of(masks[place], probability[place], georeference, name)
    if placed:
        write_geojson(folder / OUTLINES, outlines)
    if 0 < len(placed) < len(indices):
        unplaced = [domain.source.names[index] for index in indices if domain.places[index] is None]
        print(f"{folder}: {said_without(unplaced, len(indices))}")


def said_without(names: Sequence[str], count: int) -> str:
    """In words, which of `count` pictures no mask was written of."""
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
    return (
        f"{len(names)} of {count} pictures have no place on the ground and got no GeoTIFF mask and outlines ({shown})"
    )
