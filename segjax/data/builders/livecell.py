"""LIVECell: outlines of cells in COCO format."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from segjax.data.builders import files
from segjax.data.builders.base import GREY_8, Card, Entry, PublicSet, Record
from segjax.data.formats.annotation import Piece, paint
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
            table = _read(files.one(root, paths, f"tables of {split}"))
            outlines: dict[Any, list[dict[str, Any]]] = defaultdict(list)
            for outline in table["annotations"]:
                outlines[outline["image_id"]].append(outline)
            for image in table["images"]:
                name = Path(image["file_name"]).name
                match = _NAME.match(name)
                if name not in pictures:
                    raise self.missing(root, f"picture {name} of {paths[0].name} is not there")
                if match is None or match["line"] not in _LINES:
                    raise InputError(f"{paths[0]}: picture {name} names no cell line and well (LINE_Phase_WELL_...)")
                place = pictures[name], outlines[image["id"]], _LINES.index(match["line"]) + 1
                yield Entry(split, Path(name).stem, f"{match['line']}_{match['well']}", place)

    def read(self, entry: Entry) -> Record:
        picture, outlines, index = entry.place
        image = files.grey(picture)
        found = [(outline, _filled(entry.name, outline, image.shape)) for outline in outlines]
        crowds = [mask for outline, mask in found if outline.get("iscrowd")]
        ignored = np.any(crowds, axis=0) if crowds else np.zeros(image.shape, bool)
        cells = [mask & ~ignored for outline, mask in found if not outline.get("iscrowd")]
        filled = [Piece(0, 0, mask) for mask in cells if mask.any()]
        labels, overlapping, _ = paint(image.shape, filled)
        remarks = ["outlines that overlap, where the smaller cell has the pixels"] if overlapping else []
        remarks += ["outlines without a pixel, which were left out"] if len(filled) < len(cells) else []
        return Record(image, labels, np.full(len(filled), index, np.int32), ignored, remarks=tuple(remarks))


def _read(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text())
        if {"images", "annotations"} <= set(table):
            return table
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get it again from the set's owners") from error
    raise InputError(f"{path}: has no images and annotations; this is no COCO file")


def _filled(name: str, outline: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise InputError("COCO files need pycocotools; run: pip install 'segjax[formats]'") from error
    segmentation = outline["segmentation"]
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        if not polygons:
            return np.zeros(shape, bool)
        return coco.decode(coco.merge(coco.frPyObjects(polygons, *shape))).astype(bool)
    if tuple(segmentation["size"]) != tuple(shape):
        raise InputError(f"{name}: an annotation of {segmentation['size']} pixels, a picture of {shape}")
    is_list = isinstance(segmentation["counts"], list)
    return coco.decode(coco.frPyObjects(segmentation, *shape) if is_list else segmentation).astype(bool)
