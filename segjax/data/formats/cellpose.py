"""Cellpose: label images beside the pictures, NAME_masks.tif (or .png) and NAME_cp_masks.png (or .tif).

Cellpose's window loads NAME_masks.tif with a picture where its option "Autoload masks from _masks.tif file" is on.
"""

from pathlib import Path

import numpy as np

from segjax.data.formats.annotation import Annotation, Loss, Picture
from segjax.data.formats.files import check_size, write_labels
from segjax.data.formats.polygons import compare
from segjax.data.pictures.images import read_labels
from segjax.types import InputError

ENDINGS = ("_masks.tif", "_cp_masks.png")


def read(path: Path, picture: Picture) -> Annotation:
    """The objects of a label image, in the order of their ids, which close up where some are missing.

    Raises:
        InputError: the file is a _seg.npy, is no label image, or has another size than the picture.
    """
    if path.suffix.lower() == ".npy":
        raise InputError(
            f"{path}: is not read, because such a file (pickle) can run programs when it is opened; in Cellpose "
            "choose File > Save masks as PNG/tif, or save them with io.save_masks(..., tif=True)"
        )
    labels = read_labels(path)
    check_size(path, labels.shape, picture.shape)
    ids, numbers = np.unique(np.append(0, labels), return_inverse=True)
    count = len(ids) - 1
    return Annotation(numbers[1:].reshape(labels.shape).astype(np.int32), loss=Loss(count, count))


def write(path: Path, annotation: Annotation, picture: Picture, ending: str = "_masks.tif") -> Loss:
    """Write the label image of a picture into a folder, beside the picture if it is the picture's own.

    Args:
        path: the folder.
        annotation: what is written; the format holds no classes and no pixels that nobody judged.
        picture: its file gives NAME.
        ending: "_masks.tif" (16 bits, or 32 where there are more than 65,535 objects) or "_cp_masks.png" (16 bits).

    Raises:
        InputError: another ending, too many objects for a PNG, or a disk that cannot be written.
    """
    if ending not in ENDINGS:
        raise InputError(f"ending {ending!r} is not among {', '.join(ENDINGS)}")
    file = path / Path(picture.file).with_name(f"{Path(picture.file).stem}{ending}")
    write_labels(file, annotation.labels)
    return compare(annotation, read(file, picture))
