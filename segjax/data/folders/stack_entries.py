"""The planes of TIFF stacks as the pictures of a folder, and as files of their own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tifffile

from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.inspected import problem_of
from segjax.data.folders.listing import Entry, Problem
from segjax.data.folders.tables import list_of
from segjax.data.formats.annotation import Plane
from segjax.data.pictures.decoders import read_raster
from segjax.data.pictures.stacks import label_planes, planes_of
from segjax.data.pictures.tiff_layout import layout_of
from segjax.files import replacing
from segjax.types import InputError


def with_planes(entries: Sequence[Entry], options: FolderOptions) -> tuple[list[Entry], list[Problem]]:
    """The entries with every plane of a stack in its place, and what keeps planes from being used."""
    found, problems = [], []
    for entry in entries:
        try:
            found += _planes(entry, options)
        except InputError as error:
            files = (path for path in (entry.labels, entry.classes) if path and str(error).startswith(f"{path}: "))
            problems.append(problem_of(next(files, entry.image), error))
    return found, problems


def write_plane(path: Path, entry: Entry, options: FolderOptions) -> None:
    """Write one plane of a stack as a TIFF file, values as they are.

    Raises:
        InputError: the stack has a palette, pixels without data, or light as small values.
    """
    raster = read_raster(entry.image, entry.at, list_of(options.bands))
    pixels, is_colour = raster.pixels, raster.kind == "colour"
    if raster.missing is not None or raster.kind not in ("grey", "colour") or (is_colour and pixels.shape[-1] != 3):
        raise InputError(
            f"{entry.image}: a stack with a palette or a nodata value cannot be split into planes; save it as grey or "
            "RGB"
        )
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    photometric, planar = "rgb" if is_colour else "minisblack", "contig" if pixels.ndim == 3 else None
    with replacing(path) as unfinished:
        tifffile.imwrite(
            unfinished, pixels, photometric=photometric, planarconfig=planar, compression="zlib", metadata=None
        )


def _planes(entry: Entry, options: FolderOptions) -> list[Entry]:
    planes = planes_of(entry.image)
    if not planes[0].at:
        return [entry]
    if entry.format not in ("", "imagej"):
        raise InputError(
            f"{entry.labels}: {entry.format} cannot annotate a stack; give its labels as a stack or as ImageJ ROIs"
        )
    nowhere = ((),) * len(planes)
    of_labels = label_planes(entry.image, entry.labels) if entry.labels and not entry.format else nowhere
    is_apart = entry.classes is not None and entry.classes != entry.labels
    of_classes = label_planes(entry.image, entry.classes) if entry.classes and is_apart else nowhere
    channels = dict(layout_of(entry.image).sizes).get("c", 1)
    found = []
    for number, (plane, labels_at, classes_at) in enumerate(zip(planes, of_labels, of_classes, strict=True), 1):
        at = dict(plane.at)
        reading = entry.reading._replace(plane=Plane(number, at.get("z", 1), at.get("t", 1), channels))
        # a time point shows the cells of the one before, so it is no group of its own but where volumes are asked for
        group = plane.volume if options.volumes == "true" and not options.groups else entry.group
        own = replace(entry, name=plane.name, group=group, reading=reading)
        found.append(replace(own, at=plane.at, labels_at=labels_at, classes_at=classes_at))
    return found
