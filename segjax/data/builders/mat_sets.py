"""Sets with annotations as MATLAB files: an instance map, and classes that belong to ids."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segjax.data.builders import files
from segjax.data.builders.base import Card, Entry, PublicSet, Record
from segjax.types import InputError

LIZARD_CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
WITHOUT_CLASS = "objects without a class, whose pixels count as not judged"


class Lizard(PublicSet):
    """Nuclei of six types in stained (H&E) colon tissue at 20x (Graham et al., ICCVW 2021, arXiv 2108.11195).

    The three splits are the owners' folds; a picture is a group.
    """

    name = "lizard"
    IGNORES = True
    CARD = Card(
        title="Lizard: 431,913 nuclei of six types in 238 pictures of colon tissue",
        licence="CC BY-NC-SA 4.0, research only",
        address="https://warwick.ac.uk/fac/cross_fac/tia/data/lizard/",
        tree="""\
            Lizard_Images1/NAME.png
            Lizard_Images2/NAME.png
            Lizard_Labels/Labels/NAME.mat   inst_map, id, class, bbox, centroid
            Lizard_Labels/info.csv          columns Filename, ..., Split (1, 2, 3)""",
        class_names=LIZARD_CLASSES,
        published={"all": 238},
        tests=frozenset(),
        known=(
            "Lizard holds pictures of CoNSeP, PanNuke, GlaS, CRAG and DigestPath, and CoNIC is cut from Lizard: "
            "never train on one of them and test on another.",
        ),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        table = files.find(root, "Lizard_Labels/info.csv")
        pictures = {path.stem: path for path in files.find(root, "Lizard_Images*/*.png")}
        if not table or not pictures:
            raise self.missing(root, "there are no pictures of Lizard_Images1 and 2, or no Lizard_Labels/info.csv")
        folder = files.one(root, table, "tables info.csv").parent / "Labels"
        with table[0].open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"Filename", "Split"} <= set(rows[0]):
            raise InputError(f"{table[0]}: has no columns Filename and Split; get it again from the set's owners")
        for row in rows:
            name = Path(row["Filename"]).stem if row["Filename"].endswith(".png") else row["Filename"]
            labels = folder / f"{name}.mat"
            if name not in pictures or not labels.exists():
                raise self.missing(root, f"{name} of info.csv has no picture or no annotation ({labels})")
            yield Entry(f"fold{row['Split'].strip()}", name, name, (pictures[name], labels))

    def read(self, entry: Entry) -> Record:
        picture, path = entry.place
        found = files.mat(path, "inst_map", "id", "class")
        ids, classes = files.whole(path, found["id"].ravel()), files.whole(path, found["class"].ravel())
        if len(ids) != len(classes) or not np.isin(classes, range(1, len(LIZARD_CLASSES) + 1)).all():
            raise InputError(
                f"{path}: {len(ids)} ids and {len(classes)} classes from 1 to 6 are expected; get it again"
            )
        class_of = dict(zip(ids.tolist(), classes.tolist(), strict=True))
        labels, classes, unknown = files.objects(files.whole(path, found["inst_map"]), class_of)
        remarks = (WITHOUT_CLASS,) if unknown.any() else ()
        return Record(files.rgb(picture), labels, classes, unknown, remarks=remarks)


class ConSep(PublicSet):
    """Nuclei of seven types in stained (H&E) colon tissue at 40x (HoVer-Net: Graham et al., MedIA 2019).

    A picture is a group. HoVer-Net merges classes 3 and 4 to epithelial, and 5, 6 and 7 to spindle-shaped.
    """

    name = "consep"
    IGNORES = True
    CARD = Card(
        title="CoNSeP: 24,319 nuclei of seven types in 41 pictures of 1000x1000 pixels",
        licence="none is given with the files; ask the owners before you pass on anything of it",
        address="https://warwick.ac.uk/fac/cross_fac/tia/data/hovernet/",
        tree="""\
            CoNSeP/Train/Images/train_K.png   RGBA
            CoNSeP/Train/Labels/train_K.mat   inst_map, type_map, inst_type, inst_centroid
            CoNSeP/Test/...                   the same""",
        class_names=(
            "other",
            "inflammatory",
            "healthy epithelial",
            "malignant epithelial",
            "fibroblast",
            "muscle",
            "endothelial",
        ),
        published={"train": 27, "test": 14},
        known=("Lizard holds these pictures at 20x under other labels: never train on the one and test on the other.",),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        for split in ("train", "test"):
            pictures = files.find(root, f"{split}/images/*.png")
            if not pictures:
                raise self.missing(root, f"there are no pictures {split.capitalize()}/Images/*.png")
            for picture in pictures:
                labels = picture.parents[1] / "Labels" / f"{picture.stem}.mat"
                if not labels.exists():
                    raise self.missing(root, f"{picture} has no annotation {labels}")
                yield Entry(split, picture.stem, picture.stem, (picture, labels))

    def read(self, entry: Entry) -> Record:
        picture, path = entry.place
        found = files.mat(path, "inst_map", "type_map")
        ids, types = (files.whole(path, found[name]) for name in ("inst_map", "type_map"))
        if ids.shape != types.shape or types.max(initial=0) > len(self.CARD.class_names):
            raise InputError(f"{path}: inst_map and type_map differ in size, or types exceed 7; get it again")
        labels, classes, unknown = files.objects(ids, files.most_frequent(ids, types))
        remarks = (WITHOUT_CLASS,) if unknown.any() else ()
        return Record(files.rgb(picture), labels, classes, unknown, remarks=remarks)
