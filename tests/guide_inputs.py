"""The files that the guides' commands name, as small as the commands allow."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

from segjax.data.folders.conversion import convert_folder
from segjax.data.formats.annotation import Annotation, Picture
from segjax.data.formats.vectors import write as write_sites
from segjax.types import Georeference
from tests.data.builders.owners import OWNERS

SIDE, PICTURES, TYPES = 256, 8, 3
PLACE = Georeference("EPSG:32637", (6.64, 0.0, 420_000.0, 0.0, -6.64, 4_120_000.0))


def cells(seed: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with a disc of 13 pixels in every field of 32 x 32, and the number of each."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.uint8)
    for number in range((side // 32) ** 2):
        y, x = generator.integers(12, 20, 2) + 32 * np.array(divmod(number, side // 32))
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= 42] = number + 1
    return (60 + 40 * types(labels) + generator.integers(0, 20, labels.shape)).astype(np.uint8), labels


def types(labels: np.ndarray) -> np.ndarray:
    """Class images: neighbours are of different types."""
    return np.where(labels > 0, (labels - 1) % TYPES + 1, 0).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pictures(folder: Path, count: int = PICTURES, side: int = SIDE) -> None:
    """Pictures with labels and classes."""
    for seed in range(count):
        image, labels = cells(seed, side)
        for name, pixels in (("images", image), ("labels", labels), ("classes", types(labels))):
            save(folder / name / f"{seed:02d}.png", pixels)


def half_noisy(folder: Path) -> None:
    """Five pictures with clean labels, and three whose labels lack every other object."""
    for seed in range(8):
        image, labels = cells(seed, 64)
        save(folder / "images" / f"{seed}.png", image)
        save(folder / ("labels" if seed < 5 else "noisy") / f"{seed}.png", labels * (seed < 5 or labels % 2))


def twice(folder: Path) -> None:
    """Three pictures annotated twice, the second time without every other object."""
    for seed in range(3):
        image, labels = cells(seed, 64)
        for name, pixels in (("images", image), ("labels", labels), ("quick", labels * (labels % 2))):
            save(folder / name / f"{seed}.png", pixels)


def rois(folder: Path) -> None:
    """Pictures with ROIs of Fiji."""
    pictures(folder.with_name("to_rois"), 2, 64)
    convert_folder(str(folder.with_name("to_rois")), folder, "imagej")


def scene(path: Path) -> None:
    """A scene with a bright square at every site, and `sites.gpkg` beside it."""
    import rasterio

    pixels = np.random.default_rng(0).integers(1, 60, (384, 640)).astype(np.uint8)
    labels = np.zeros(pixels.shape, np.int32)
    for number in range(15):
        y, x = 128 * (number // 5) + 60, 128 * (number % 5) + 60
        labels[y : y + 12, x : x + 12], pixels[y : y + 12, x : x + 12] = number + 1, 250
    place = {"crs": PLACE.crs, "transform": rasterio.Affine(*PLACE.transform)}
    with rasterio.open(path, "w", driver="GTiff", height=384, width=640, count=1, dtype="uint8", **place) as file:
        file.write(pixels, 1)
    write_sites(path.with_name("sites.gpkg"), Annotation(labels), Picture("scene", "scene.tif", labels.shape, PLACE))


def tiles(folder: Path) -> None:
    """Pictures of 32 pixels, half of them with a site, their labels as a table."""
    lines = ["picture,label"]
    for number in range(16):
        pixels = np.random.default_rng(number).integers(1, 60, (32, 32)).astype(np.uint8)
        pixels[8:20, 8:20] += 180 * (number % 2)
        save(folder / "images" / f"{number:02d}.png", pixels)
        lines.append(f"{number:02d},{('none', 'site')[number % 2]}")
    (folder / "sites.csv").write_text("\n".join(lines) + "\n")


def parquet(path: Path) -> None:
    """A picture with two nuclei of two classes, as Hugging Face stores it."""

    def png(pixels: np.ndarray) -> dict[str, object]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    image, labels = cells(0, 64)
    row = {"image": png(image), "instances": [png(labels == number) for number in (1, 2)]}
    table = pyarrow.Table.from_pylist([row | {"categories": [0, 1], "patient": "a"}])
    names = {"feature": {"names": ["Ambiguous", "Epithelial"], "_type": "ClassLabel"}, "_type": "Sequence"}
    told = {"huggingface": json.dumps({"info": {"features": {"categories": names}}})}
    pyarrow.parquet.write_table(table.replace_schema_metadata(told), path)


MADE: dict[str, Callable[[Path], None]] = {
    "my_pictures": pictures,
    "my_shots": lambda folder: pictures(folder, 2, 64),
    "my_rois": rois,
    "my_twice": twice,
    "my_tiles": tiles,
    "scene.tif": scene,
    "train.parquet": parquet,
    "Downloads/lizard": OWNERS["lizard"],
}
