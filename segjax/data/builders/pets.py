"""Oxford-IIIT Pet: one animal per picture, for what classifiers look at."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from segjax.data.builders import files
from segjax.data.builders.base import RGB, Card, Entry, PublicSet, Record
from segjax.data.pictures.images import read_labels
from segjax.ops.components import components
from segjax.types import InputError

_SPECIES = ("cat", "dog")
_ANIMAL, _BACKGROUND, _BORDER = 1, 2, 3


class OxfordPets(PublicSet):
    """Cats and dogs (Parkhi et al., CVPR 2012). The picture's label and its objects' class are the species.

    The border of the animal, 3 in the owners' trimaps, is not judged. A set `oxford_iiit_pet` that tensorflow-datasets
    prepared as array_record can be read too:
    tfds:oxford_iiit_pet?labels=segmentation_mask&mask=trimap&class_names=pet&label=species
    """

    name = "oxford_pets"
    IMAGE = RGB
    IGNORES = True
    LABEL_NAMES = _SPECIES
    CARD = Card(
        title="Oxford-IIIT Pet: 7,349 pictures of cats and dogs with trimaps",
        licence="CC BY-SA 4.0; the copyright of the pictures remains with their owners",
        address="https://www.robots.ox.ac.uk/~vgg/data/pets/",
        tree="""\
            images/NAME.jpg
            annotations/trimaps/NAME.png                        1 animal, 2 background, 3 border
            annotations/trainval.txt and annotations/test.txt   NAME, breed, species, number""",
        class_names=_SPECIES,
        published={"train": 3680, "test": 3669},
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
            lists = files.find(root, f"annotations/{file}")
            if not lists:
                raise self.missing(root, f"there is no annotations/{file}")
            annotations = files.one(root, lists, f"lists {file}").parent
            for number, line in enumerate(lists[0].read_text(encoding="utf-8").splitlines(), 1):
                name, _, species, *_ = (*line.split(), "", "", "")
                if line.startswith("#") or not name:
                    continue
                if species not in ("1", "2"):
                    raise InputError(f"{lists[0]}: line {number} names no species 1 or 2; get it again")
                picture = annotations.parent / "images" / f"{name}.jpg"
                trimap = annotations / "trimaps" / f"{name}.png"
                if not picture.exists() or not trimap.exists():
                    raise self.missing(root, f"{name} of {file} has no picture or no trimap")
                yield Entry(split, name, name, (picture, trimap, int(species)))

    def read(self, entry: Entry) -> Record:
        picture, path, species = entry.place
        trimap = read_labels(path)
        if not np.isin(trimap, (_ANIMAL, _BACKGROUND, _BORDER)).all():
            raise InputError(
                f"{path}: has values from {trimap.min()} to {trimap.max()}, but a trimap has 1, 2 and 3; get it again"
            )
        labels = components(trimap == _ANIMAL)
        classes = np.full(int(labels.max(initial=0)), species, np.int32)
        image, kind = _picture(picture)
        remarks = () if kind == "JPEG" else (f"a picture called .jpg that is {kind}, which was read as such",)
        return Record(image, labels, classes, trimap == _BORDER, species - 1, remarks)


def _picture(path: Path) -> tuple[np.ndarray, str]:
    """Some of the files are no JPEG, though they are called so."""
    try:
        with Image.open(path) as file:
            return np.asarray(file.convert("RGB")), str(file.format)
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise InputError(f"{path}: cannot be read ({error}); get it again from the set's owners") from error
