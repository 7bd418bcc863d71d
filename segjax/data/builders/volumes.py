"""Sets that are volumes: every slice is a picture, an object keeps its id in all slices, a volume is a group."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64

from segjax.data.builders import files
from segjax.data.builders.base import GREY_8, GREY_16, Card, Entry, PublicSet, Record
from segjax.ops.components import components
from segjax.types import InputError

_PUBLISHED_TESTS = range(25, 30)  # volumes 25 to 29 of 30 (Vadineanu et al., MIDL 2022)


class _CytoPacq(PublicSet, skip_registration=True):  # type: ignore[call-arg]
    """Simulated volumes of the Masaryk University Cell Image Collection."""

    IMAGE = GREY_16

    def entries(self, root: Path) -> Iterator[Entry]:
        images = files.find(root, "image-final_*.tif*")
        if not images:
            other = " (there are .h5 or .ics files: get the TIFF files)" if files.find(root, "image-final_*.*") else ""
            raise self.missing(root, f"there are no stacks image-final_NNNN.tif{other}")
        labels = {path.stem: path for path in files.find(root, "image-labels_*.tif*")}
        numbers = [re.sub(r"\D", "", path.stem) for path in images]
        if len(set(numbers)) < len(numbers):
            twice = [path for path, number in zip(images, numbers, strict=True) if numbers.count(number) > 1]
            files.one(root, twice, "volumes of one number")
        for image, number in zip(images, numbers, strict=True):
            annotation = labels.get(image.stem.replace("final", "labels"))
            if annotation is None:
                raise self.missing(root, f"{image} has no stack image-labels_{number}.tif")
            shapes = files.stack_shape(image), files.stack_shape(annotation)
            if shapes[0] != shapes[1]:
                raise InputError(f"{annotation}: of shape {shapes[1]}, its picture of {shapes[0]}; get both again")
            split = "test" if int(number) in _PUBLISHED_TESTS else "train"
            group = f"{self.name}-{int(number):02d}"
            for index in range(shapes[0][0]):
                yield Entry(split, f"{group}-slice-{index:03d}", group, (image, annotation, index))

    def read(self, entry: Entry) -> Record:
        image, annotation, index = entry.place
        ids = _ids(annotation, annotation.stat().st_mtime_ns)
        labels = np.searchsorted(ids, files.whole(annotation, files.stack(annotation)[index])).astype(np.int32)
        picture = files.stack(image)[index]
        wide = picture.astype(np.uint16) if picture.dtype == np.uint8 else picture
        return Record(wide, labels, np.ones(len(ids) - 1, np.int32))


class CbiaHl60(_CytoPacq):
    """Simulated nuclei of HL60 cells, the volumes of the annotation-error papers (Svoboda et al. 2009).

    Of the published noise levels and clusterings, prepare one. Pictures are slices; volumes 25 to 29 are for testing.
    The papers use slices that show a nucleus: give least_objects=1.
    """

    name = "cbia_hl60"
    CARD = Card(
        title="HL60 nuclei of CBIA (CytoPacq): 30 simulated volumes of 129 slices of 565x807, 20 nuclei each",
        licence="see the address; cite Svoboda, Kozubek and Stejskal, Cytometry A 2009",
        address="https://cbia.fi.muni.cz/datasets/ (also https://bbbc.broadinstitute.org/BBBC024)",
        tree="""\
            image-final_0000.tif  to image-final_0029.tif    16-bit stacks
            image-labels_0000.tif to image-labels_0029.tif   ids""",
        class_names=("nucleus",),
        published={"train": 25 * 129, "test": 5 * 129},
    )


class CbiaGranulocytes(_CytoPacq):
    """Simulated nuclei of granulocytes, the volumes of the annotation-error papers (Svoboda et al. 2009).

    Of the published noise levels, prepare one. Pictures are slices; volumes 25 to 29 are for testing. The papers use
    slices that show a nucleus: give least_objects=1.
    """

    name = "cbia_granulocytes"
    CARD = Card(
        title="Granulocyte nuclei of CBIA (CytoPacq): 30 simulated volumes of 129 slices of 565x807, 15 nuclei each",
        licence="see the address; cite Svoboda, Kozubek and Stejskal, Cytometry A 2009",
        address="https://cbia.fi.muni.cz/datasets/",
        tree=CbiaHl60.CARD.tree,
        class_names=("nucleus",),
        published={"train": 25 * 129, "test": 5 * 129},
    )


class EpflMitochondria(PublicSet):
    """Mitochondria of a mouse's hippocampus in electron microscopy (Lucchi et al. 2013), EPFL's own annotation.

    The 26-connected pieces of the mask are the objects. The testing stack is for testing.
    """

    name = "epfl_mitochondria"
    IMAGE = GREY_8
    CARD = Card(
        title="EPFL mitochondria: two stacks of 165 slices of 768x1024 pixels",
        licence="see the address; cite Lucchi et al.",
        address="https://www.epfl.ch/labs/cvlab/data/data-em/",
        tree="""\
            training.tif, training_groundtruth.tif   stacks; 0 and 255
            testing.tif, testing_groundtruth.tif""",
        class_names=("mitochondrion",),
        published={"train": 165, "test": 165},
        known=(
            "Borders were annotated anew as Lucchi++ (lucchi_plus_plus); the pictures are the same.",
            "One stack is left for training and validation, so studies divide it by slices (--validation slice).",
        ),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        for split in ("train", "test"):
            images = files.find(root, f"{split}ing.tif")
            labels = files.find(root, f"{split}ing_groundtruth.tif")
            if not images or not labels:
                raise self.missing(root, f"there is no {split}ing.tif or no {split}ing_groundtruth.tif")
            image, annotation = files.one(root, images, "stacks"), files.one(root, labels, "stacks")
            shapes = files.stack_shape(image), files.stack_shape(annotation)
            if shapes[0] != shapes[1]:
                raise InputError(f"{annotation}: of shape {shapes[1]}, its picture of {shapes[0]}; get both again")
            for index in range(shapes[0][0]):
                yield Entry(split, f"{split}ing-{index:03d}", f"{split}ing", (image, annotation, index))

    def read(self, entry: Entry) -> Record:
        image, annotation, index = entry.place
        labels = _pieces_of_stack(annotation, annotation.stat().st_mtime_ns)
        return Record(files.stack(image)[index], labels[index], files.of_one_class(labels))


class LucchiPlusPlus(PublicSet):
    """EPFL's mitochondria with borders annotated anew (Casser et al., arXiv 1812.06024).

    The 26-connected pieces of the mask are the objects. The testing stack is for testing.
    """

    name = "lucchi_plus_plus"
    IMAGE = GREY_8
    CARD = Card(
        title="Lucchi++: EPFL's two stacks of mitochondria, 165 slices of 768x1024 pixels each, annotated anew",
        licence="see the address; cite Casser et al.",
        address="https://sites.google.com/view/connectomics/",
        tree="""\
            Lucchi++/Train_In/mask0000.png, ...   Lucchi++/Train_Out/0.png, ...   0 and 255, or white in RGBA
            Lucchi++/Test_In/...                  Lucchi++/Test_Out/...           the same""",
        class_names=("mitochondrion",),
        checksums={"lucchi_pp.zip": "770ce9e98fc6f29c1b1a250c637e6c5125f2b5f1260e5a7687b55a79e2e8844d"},
        published={"train": 165, "test": 165},
        known=(
            "The pictures are those of epfl_mitochondria.",
            "One stack is left for training and validation, so studies divide it by slices (--validation slice).",
        ),
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        for split in ("train", "test"):
            images, labels = files.find(root, f"{split}_in/*.png"), files.find(root, f"{split}_out/*.png")
            if not images or len(images) != len(labels):
                raise self.missing(root, f"{len(images)} pictures in {split.capitalize()}_In, {len(labels)} in ..._Out")
            numbers = [[int(re.sub(r"\D", "", path.stem)) for path in paths] for paths in (images, labels)]
            if numbers[0] != numbers[1]:
                raise InputError(
                    f"{labels[0].parent}: the numbers of pictures and annotations differ; unpack both again"
                )
            for index, image in enumerate(images):
                yield Entry(split, f"{split}-{numbers[0][index]:03d}", split, (image, tuple(labels), index))

    def read(self, entry: Entry) -> Record:
        image, paths, index = entry.place
        labels = _pieces_of_pictures(paths)
        return Record(files.grey(image), labels[index], files.of_one_class(labels))


@lru_cache(maxsize=1)
def _ids(path: Path, _changed: int) -> Int64[np.ndarray, " N"]:
    """0 and every id of a volume, ascending."""
    found = [np.unique(files.whole(path, slice_)) for slice_ in files.stack(path)]
    return np.unique(np.concatenate([[0], *found]))


@lru_cache(maxsize=1)
def _pieces_of_stack(path: Path, _changed: int) -> Int32[np.ndarray, "D H W"]:
    values = files.stack(path)
    if len(np.unique(values)) > 2:
        raise InputError(f"{path}: holds {len(np.unique(values))} values, but a mask has two, 0 and 255; get it again")
    return components(values > 0)


@lru_cache(maxsize=1)
def _pieces_of_pictures(paths: tuple[Path, ...]) -> Int32[np.ndarray, "D H W"]:
    return components(np.stack([files.mask(path) for path in paths]))
