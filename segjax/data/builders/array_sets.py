"""Sets published as few large NumPy arrays; only the picture that is read is taken into memory."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segjax.data.builders import files
from segjax.data.builders.base import Card, Entry, PublicSet, Record
from segjax.data.builders.mat_sets import LIZARD_CLASSES, WITHOUT_CLASS
from segjax.types import InputError


class Conic(PublicSet):
    """Patches of 256x256 pixels that the CoNIC challenge cut from Lizard (Graham et al., arXiv 2111.14485).

    Patches of one picture overlap at its far edges, so the picture is the group.
    """

    name = "conic"
    IGNORES = True
    CARD = Card(
        title="CoNIC: 4,981 patches of 256x256 pixels of Lizard, nuclei of six types",
        licence="CC BY-NC-SA 4.0, research only",
        address="https://github.com/TissueImageAnalytics/CoNIC",
        tree="""\
            images.npy       uint8 (4981, 256, 256, 3)
            labels.npy       uint16 (4981, 256, 256, 2): instances, classes
            patch_info.csv   column patch_info: PICTURE-NUMBER""",
        class_names=LIZARD_CLASSES,
        published={"train": 4981},
        known=(
            "CoNIC is cut from Lizard, which holds pictures of CoNSeP and PanNuke: "
            "never train on one of them and test on another.",
        ),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        tables = files.find(root, "patch_info.csv")
        if not tables:
            raise self.missing(root, "there is no patch_info.csv, which tells the picture of every patch")
        folder = files.one(root, tables, "tables patch_info.csv").parent
        arrays = folder / "images.npy", folder / "labels.npy"
        if not all(path.exists() for path in arrays):
            raise self.missing(root, f"{folder} holds no images.npy or no labels.npy")
        with tables[0].open(newline="", encoding="utf-8-sig") as file:
            names = [row["patch_info"] for row in csv.DictReader(file) if row.get("patch_info")]
        lengths = {path.name: files.npy_length(path) for path in arrays}
        if set(lengths.values()) != {len(names)}:
            raise InputError(
                f"{folder}: the files hold {lengths} patches, but patch_info.csv lists {len(names)}; get all three "
                "together"
            )
        for index, name in enumerate(names):
            yield Entry("train", name, name.rpartition("-")[0] or name, (*arrays, index))

    def read(self, entry: Entry) -> Record:
        images, annotations, index = entry.place
        ids, kinds = np.moveaxis(files.whole(annotations, files.npy(annotations)[index]), -1, 0)
        if kinds.max(initial=0) > len(LIZARD_CLASSES):
            raise InputError(
                f"{annotations}: {entry.name} has class {kinds.max()}, but classes are 1 to 6; get it again"
            )
        labels, classes, unknown = files.objects(ids, files.most_frequent(ids, kinds))
        remarks = (WITHOUT_CLASS,) if unknown.any() else ()
        return Record(np.asarray(files.npy(images)[index]), labels, classes, unknown, remarks=remarks)


class PanNuke(PublicSet):
    """Nuclei of five types in patches of 19 stained (H&E) tissues at 40x (Gamper et al. 2020, arXiv 2003.10778).

    The three splits are the owners' folds. It is not published which patches are of one slide; every patch is a group.
    """

    name = "pannuke"
    CARD = Card(
        title="PanNuke: 189,744 nuclei of five types in 7,901 patches of 256x256 pixels of 19 tissues",
        licence="CC BY-NC-SA 4.0, research only",
        address="https://warwick.ac.uk/fac/cross_fac/tia/data/pannuke/",
        tree="""\
            Fold 1/images/fold1/images.npy   float64 (2656, 256, 256, 3), 0 to 255
            Fold 1/images/fold1/types.npy    tissue of each patch
            Fold 1/masks/fold1/masks.npy     float64 (2656, 256, 256, 6): ids of five classes, background
            Fold 2/..., Fold 3/...           the same""",
        class_names=("neoplastic", "inflammatory", "connective", "dead", "epithelial"),
        checksums={
            "fold_1.zip": "6e19ad380300e8ce9480f9ab6a14cc91fa4b6a511609b40e3d70bdf9c881ed0b",
            "fold_2.zip": "5bc540cc509f64b5f5a274d6e5a245527dbd3e6d3155d43555115c5d54709b07",
            "fold_3.zip": "c14d372981c42f611ebc80afad01702b89cad8c1b3089daa31931cf5a4b1a39d",
        },
        published={"fold1": 2656, "fold2": 2523, "fold3": 2722},
        tests=frozenset(),
        known=(
            "It is not published which patches are of one slide, so a slide may be on both sides of a split.",
            "Lizard holds pictures of PanNuke: never train on the one and test on the other.",
        ),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        folds = files.find(root, "images/fold*/images.npy")
        if not folds:
            raise self.missing(root, "there is no images/fold1/images.npy")
        for images in folds:
            fold = images.parent.name
            outer = images.parents[2].name
            named = re.search(r"fold[ _]?(\d)", outer, re.IGNORECASE)
            if named and fold != f"fold{named[1]}":
                raise InputError(f"{images}: lies in {outer}, so folds are mixed up; unpack them again")
            masks = images.parents[2] / "masks" / fold / "masks.npy"
            if not masks.exists():
                raise self.missing(root, f"{fold} has pictures but no {masks}")
            types = images.parent / "types.npy"
            lengths = {path.name: files.npy_length(path) for path in (images, masks, types) if path.exists()}
            if len(set(lengths.values())) > 1:
                raise InputError(
                    f"{images}: {lengths} differ, so files of several folds are mixed up; unpack them again"
                )
            for index in range(lengths["images.npy"]):
                name = f"{fold}-{index:04d}"
                yield Entry(fold, name, name, (images, masks, index))

    def read(self, entry: Entry) -> Record:
        images, masks, index = entry.place
        image, channels = files.npy(images)[index], files.npy(masks)[index]
        if channels.shape[-1] != 6:
            raise InputError(
                f"{masks}: has {channels.shape[-1]} channels, but it must have six: five classes and the background; "
                "get it again"
            )
        ids = files.whole(masks, channels[..., :5])  # the sixth is background, 0 or 1, and no id
        values, kinds = ids.max(-1), np.where(ids.any(-1), ids.argmax(-1) + 1, 0)
        # an id that two classes share is two objects
        labels, classes, _ = files.objects(values * 8 + kinds, _classes_by_key(values * 8 + kinds))
        remarks = ("pixels of several classes, which the highest id has",) if ((ids > 0).sum(-1) > 1).any() else ()
        return Record(_bytes(images, image), labels, classes, remarks=remarks)


def _classes_by_key(keys: np.ndarray) -> dict[int, int]:
    return {int(key): int(key) % 8 for key in np.unique(keys) if key}


def _bytes(path: Path, image: np.ndarray) -> np.ndarray:
    if image.min() < 0 or image.max() > 255:
        raise InputError(
            f"{path}: has intensities from {image.min():g} to {image.max():g}, but they must be 0 to 255; get it again"
        )
    return np.rint(image).astype(np.uint8)
