"""LIVECell: outlines of cells in COCO format."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segjax.data.builders import files
from segjax.data.builders.base import GREY_8, Card, Entry, PublicSet, Record
from segjax.data.builders.remarks import remarks_on_loss
from segjax.data.formats import coco
from segjax.data.formats.annotation import Picture
from segjax.types import InputError

_LINES = ("A172", "BT474", "BV2", "Huh7", "MCF7", "SHSY5Y", "SkBr3", "SKOV3")
_NAME = re.compile(r"(?P<line>[^_]+)_Phase_(?P<well>[^_]+)_")


class LiveCell(PublicSet):
    """Living cells of eight lines in phase contrast (Edlund et al., Nature Methods 2021).

    All cells of a picture are of one line, which is their class. The group is the well: its crops and times show the
    same cells. A smaller outline is painted over a larger one.
    """

    name = "livecell"
    IMAGE = GREY_8
    IGNORES = True
    CARD = Card(
        title="LIVECell: more than 1.6 million cells of eight lines in 5,239 pictures of 704x520 pixels",
        licence="CC BY-NC 4.0",
        address="https://github.com/sartorius-research/LIVECell",
        tree="""\
            livecell_coco_train.json, livecell_coco_val.json, livecell_coco_test.json
            images/livecell_train_val_images/[LINE/]LINE_Phase_WELL_PLACE_TIME_CROP.tif
            images/livecell_test_images/...""",
        class_names=_LINES,
        published={"train": 3188, "val": 539, "test": 1512},
        is_evenly_filled=True,
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        tables = {split: files.find(root, f"livecell_coco_{split}.json") for split in ("train", "val", "test")}
        if not any(tables.values()):
            raise self.missing(root, "there is no livecell_coco_train.json, _val.json or _test.json")
        pictures = {path.name: path for path in files.find(root, "*.tif")}
        for split, paths in tables.items():
            if not paths:
                continue
            table = files.one(root, paths, f"tables of {split}")
            for file in coco.open_set(table).files:
                name = Path(file).name
                match = _NAME.match(name)
                if name not in pictures:
                    raise self.missing(root, f"picture {name} of {table.name} is not there")
                if match is None or match["line"] not in _LINES:
                    raise InputError(
                        f"{table}: the name of picture {name} lacks the cell line and the well (LINE_Phase_WELL_...)"
                    )
                place = pictures[name], table, file, _LINES.index(match["line"]) + 1
                yield Entry(split, Path(name).stem, f"{match['line']}_{match['well']}", place)

    def read(self, entry: Entry) -> Record:
        picture, table, file, line = entry.place
        image = files.grey(picture)
        found = coco.read(table, Picture(entry.name, file, image.shape))
        classes = np.full(found.loss.objects_out, line, np.int32)
        return Record(image, found.labels, classes, found.ignored, remarks=remarks_on_loss(found.loss))
