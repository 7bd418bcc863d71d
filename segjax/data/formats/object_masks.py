"""One mask file per object, as in the Data Science Bowl 2018 (BBBC038): ID/images/ID.png and ID/masks/*.png."""

import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32
from PIL import Image

from segjax.data.folders.tables import first_few
from segjax.data.formats.annotation import Annotation, Loss, Picture, Piece, painted
from segjax.data.formats.files import check_opaque, check_size
from segjax.data.formats.polygons import compare
from segjax.data.pictures.images import PICTURE_SUFFIXES, read_labels
from segjax.files import replacing
from segjax.ops.components import components
from segjax.types import InputError

IMAGES, MASKS = "images", "masks"


class Place(NamedTuple):
    """Where one picture and its masks lie."""

    image: Path
    masks: Path


def find(path: Path) -> Mapping[str, Place]:
    """The pictures of a folder in this layout by ID, in the order of their names; none where the layout is another.

    Raises:
        InputError: some of its folders have masks/ and others not, or images/ holds no picture or several.
    """
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    places = [folder for folder in folders if (folder / IMAGES).is_dir() and (folder / MASKS).is_dir()]
    if not places:
        return {}
    if others := [folder.name for folder in folders if folder not in places]:
        raise InputError(
            f"{path}: some pictures have no images/ or no masks/: {first_few(others)}; complete or remove them"
        )
    found = {}
    for folder in places:
        images = _pictures(folder / IMAGES)[0]
        if len(images) != 1:
            raise InputError(f"{folder / IMAGES}: holds {len(images)} pictures; keep the one that the masks belong to")
        found[folder.name] = Place(images[0], folder / MASKS)
    return found


def read(path: Path, picture: Picture) -> Annotation:
    """The objects of a folder of masks, numbered in the order of the file names.

    A mask is two-valued, black outside. Empty masks are lost, and those that hold several pieces (8-connected) are one
    object; both are named, as are files that are no pictures.

    Raises:
        InputError: no folder; a mask that cannot be read, is of another size than the picture, has more than one value
            beside 0 (smoothed or JPEG-compressed) or is transparent somewhere.
    """
    if not path.is_dir():
        raise InputError(f"{path}: is not a folder of masks; give one with a mask file for each object")
    files, others = _pictures(path)
    said = defaultdict(list, {"no masks, passed over": others} if others else {})
    pieces = []
    for file in files:
        values = _values(file)
        check_size(file, values.shape, picture.shape)
        levels = np.unique(values[values > 0])
        if len(levels) > 1:
            raise InputError(
                f"{file}: holds {len(levels)} values beside 0 ({first_few(levels.tolist())}), but the mask of one "
                "object has one; save it without smoothing and not as JPEG, or give files with ids as label images"
            )
        if levels.tolist() not in ([], [255]):
            said["marked by another value than 255"].append(file.name)
        piece = _crop(values > 0)
        if components(piece.mask).max(initial=0) > 1:
            said["in several pieces, kept as one object"].append(file.name)
        pieces.append(piece)
    notes = tuple(f"{len(names)} {reason}: {first_few(names)}" for reason, names in said.items())
    return painted(picture.shape, pieces, [file.name for file in files], (), Loss(len(files), notes=notes))


def write(path: Path, annotation: Annotation, picture: Picture, image: Path | None = None) -> Loss:
    """Write ID/masks/1.png, 2.png, ... (0 and 255; as many digits as the last needs) into a folder.

    Args:
        path: the folder of all pictures.
        annotation: what is written; the format holds no classes and no pixels that nobody judged.
        picture: ID is the name of its file without ending.
        image: its file, which is copied to ID/images. None: only the masks are written.

    Raises:
        InputError: there are masks already, or the disk cannot be written.
    """
    folder = path / Path(picture.file).stem
    masks = folder / MASKS
    if masks.exists():
        raise InputError(f"{masks}: exists already; choose another folder, so that annotations do not mix")
    ids = np.unique(annotation.labels[annotation.labels > 0])
    if image is not None:
        with replacing(folder / IMAGES / f"{folder.name}{image.suffix}") as unfinished:
            shutil.copyfile(image, unfinished)
    with replacing(masks) as unfinished:
        unfinished.mkdir()
        for number, label in enumerate(ids, 1):
            mask = np.where(annotation.labels == label, 255, 0).astype(np.uint8)
            Image.fromarray(mask).save(unfinished / f"{number:0{len(str(len(ids)))}d}.png")
    return compare(annotation, read(masks, picture))


def _pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """Picture files by name, and the names of other files; hidden ones are passed over."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
    return pictures, [file.name for file in files if file not in pictures]


def _values(file: Path) -> Int32[np.ndarray, "H W"]:
    """A mask's values; of one in colours 0 where it is black, and a number for each other colour."""
    if check_opaque(file) not in ("RGB", "RGBA", "LA", "P") or file.suffix.lower() in (".jpg", ".jpeg"):
        return read_labels(file)
    with Image.open(file) as opened:
        red, green, blue = np.moveaxis(np.asarray(opened.convert("RGB"), np.int32), -1, 0)
    is_grey = (red == green).all() and (green == blue).all()
    return red if is_grey else red << 16 | green << 8 | blue


def _crop(mask: np.ndarray) -> Piece:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Piece(0, 0, np.zeros((0, 0), bool))
    y, x = int(rows[0]), int(columns[0])
    return Piece(y, x, mask[y : rows[-1] + 1, x : columns[-1] + 1])
