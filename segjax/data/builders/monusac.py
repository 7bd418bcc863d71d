"""MoNuSAC 2020: outlines in XML beside small slides."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Float, UInt8

from segjax.data.builders import files
from segjax.data.builders.base import Card, Entry, PublicSet, Record
from segjax.data.builders.remarks import remarks_on_loss
from segjax.data.formats.annotation import Loss, check_formats
from segjax.data.formats.polygons import Outline, annotate
from segjax.data.pictures.limits import check_decoded
from segjax.types import InputError

_CLASSES = ("epithelial", "lymphocyte", "neutrophil", "macrophage")
_AMBIGUOUS = "ambiguous"
_SLIDES = (".svs", ".tif")  # the slide itself is preferred to the copy that was made of it


class Monusac(PublicSet):
    """Nuclei of four types in stained (H&E) tissue of four organs at 40x (Verma et al., IEEE TMI 2021).

    A patient is a group. Regions that the annotators call ambiguous are not judged. The owners' scripts take the
    coordinates of an outline for those of pixel centres, and so does this builder.
    """

    name = "monusac"
    IGNORES = True
    CARD = Card(
        title="MoNuSAC 2020: about 46,900 nuclei of four types in 310 pictures of 71 patients",
        licence="CC BY-NC-SA 4.0",
        address="https://monusac-2020.grand-challenge.org/Data/",
        tree="""\
            MoNuSAC_images_and_annotations/PATIENT/NAME.svs (or .tif, RGBA) and NAME.xml
            MoNuSAC Testing Data and Annotations/PATIENT/...   the same; "testing" in a folder's name""",
        class_names=_CLASSES,
        published={"train": 209, "test": 101},
    )

    def entries(self, root: Path) -> Iterator[Entry]:
        outlines = files.find(root, "*.xml")
        if not outlines:
            raise self.missing(root, "there is no NAME.xml")
        for path in outlines:
            slides = [slide for ending in _SLIDES if (slide := path.with_suffix(ending)).exists()]
            if not slides:
                raise self.missing(root, f"{path} has no picture .svs or .tif beside it")
            split = "test" if "testing" in str(path.relative_to(root.resolve().parent)).lower() else "train"
            yield Entry(split, f"{split}_{path.stem}", _patient(path), (slides, path))

    def read(self, entry: Entry) -> Record:
        slides, path = entry.place
        image, *copies = [_slide(slide) for slide in slides]
        remarks = (
            ["a .tif with red and blue exchanged beside the .svs, which was read"]
            if _is_exchanged(image, copies)
            else []
        )
        outlines = list(_outlines(path))
        certain = [outline for outline in outlines if outline.class_name != _AMBIGUOUS]
        unclear = [outline for outline in outlines if outline.class_name == _AMBIGUOUS]
        found = annotate(path, certain, image.shape[:2], Loss(len(certain)))
        ignored = annotate(path, unclear, image.shape[:2], Loss()).labels > 0
        classes = np.array([_CLASSES.index(name) + 1 for name in found.classes], np.int32)
        labels = np.where(ignored, 0, found.labels).astype(np.int32)
        return Record(image, labels, classes, ignored, remarks=(*remarks, *remarks_on_loss(found.loss)))


def _patient(path: Path) -> str:
    """TCGA-55-1594 of TCGA-55-1594-01Z-00-DX1_001.xml; else the name of the folder."""
    parts = path.stem.split("-")
    return "-".join(parts[:3]) if parts[0] == "TCGA" and len(parts) > 3 else path.parent.name


def _slide(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    try:
        with tifffile.TiffFile(path) as file:
            check_decoded(file.pages.first.shape, 8, path.stat().st_size)
            image = file.pages.first.asarray()
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise InputError(f"{path}: cannot be read ({error}); get it again from the set's owners") from error
    if image.ndim != 3 or image.shape[-1] not in (3, 4) or image.dtype != np.uint8:
        raise InputError(
            f"{path}: has the type {image.dtype} and the shape {image.shape}, but it must be an 8-bit colour picture; "
            "get it again"
        )
    return image[..., :3]


def _is_exchanged(image: np.ndarray, copies: list[np.ndarray]) -> bool:
    return any(
        copy.shape == image.shape and not np.array_equal(copy, image) and np.array_equal(copy[..., ::-1], image)
        for copy in copies
    )


def _outlines(path: Path) -> Iterator[Outline]:
    check_formats("rasterio", "shapely")
    import shapely

    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get it again from the set's owners") from error
    for annotation in root.iter("Annotation"):
        names = [attribute.get("Name", "") for attribute in annotation.iter("Attribute")]
        regions = list(annotation.iter("Region"))
        name = names[0].strip().lower() if names else ""
        if regions and name not in (*_CLASSES, _AMBIGUOUS):
            known = ", ".join((*_CLASSES, _AMBIGUOUS))
            raise InputError(f"{path}: outlines of class {name!r}; the classes are {known}, get it again")
        for number, region in enumerate(regions, 1):
            corners = _corners(path, region)
            # half a pixel takes coordinates of pixel centres to those of pixel corners
            ring = shapely.Polygon(corners + 0.5) if len(corners) > 2 else shapely.Polygon()
            yield Outline(f"{name} {number}", ring, name)


def _corners(path: Path, region: ElementTree.Element) -> Float[np.ndarray, "V 2"]:
    try:
        found = [[float(vertex.attrib["X"]), float(vertex.attrib["Y"])] for vertex in region.iter("Vertex")]
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: a corner lacks X or Y as a number ({error}); get it again") from error
    return np.array(found, float).reshape(-1, 2)
