"""The shots and the pictures to segment: where they are, how they are read, and why they may be refused."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from segjax.data import open_source, read_picture
from segjax.data.folders.folder_options import CUTS, FolderOptions
from segjax.data.pictures.images import PICTURE_SUFFIXES
from segjax.data.spec import parse_spec
from segjax.fewshot import FeatureBank, load_extractors
from segjax.fewshot.segment import Reading
from segjax.models.pretrained import picture_digest
from segjax.types import IGNORED, InputError, Sample, Source


@dataclass(frozen=True, eq=False)
class Annotated:
    """The annotated pictures: names, groups, images in [0, 1], and objects 1..N with -1 where nobody judged."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    images: list[Float32[np.ndarray, "_ _ _"]]
    masks: list[Int32[np.ndarray, "_ _"]]


def open_bank(place: str | Path) -> FeatureBank:
    """The features of the extractors of a name or in a folder.

    Raises:
        InputError: there are none, or they lack the statistics that make a type usable without its shots.
    """
    extractors = load_extractors(place)
    if any(extractor.mean is None for extractor in extractors):
        raise InputError(
            f"extractors: those in {place} have no statistics of their features; save them with "
            "with_statistics(extractor, images)"
        )
    return FeatureBank(extractors)


def open_shots(shots: str, target: int) -> tuple[Source, Reading]:
    """The annotated pictures, and how their files are read.

    Raises:
        InputError: they are not a folder, cannot be used, or have no such class.
    """
    text = shots if ":" in shots else f"folder:{shots}"
    spec = parse_spec(text)
    if spec.scheme != "folder":
        raise InputError(f"shots: {shots!r} is not a folder; give one with images/ and labels/")
    for option, remedy in (("shrink", "shrink"), ("bands", "choose the bands of")):
        if option in spec.options:
            raise InputError(
                f"shots: {option} cannot be given here; {remedy} the shots and the pictures to segment beforehand"
            )
    source = open_source(text)
    if not 1 <= target <= len(source.class_names):
        raise InputError(
            f"target: class {target} is not among the classes of {shots}; choose from 1 to {len(source.class_names)} "
            f"({', '.join(source.class_names)})"
        )
    read = FolderOptions.parse({name: value for name, value in spec.options.items() if name not in CUTS})
    return source, Reading(read.scale, int(read.channels or 0))


def read_shots(source: Source, target: int, bank: FeatureBank) -> Annotated:
    """All shots with their objects of one class. Raises InputError where the extractors cannot take one."""
    samples = [source[index] for index in range(len(source))]
    for sample in samples:
        _check(sample.image, f"shots: picture {sample.name}", bank)
    images, masks = [sample.image for sample in samples], [_mask(sample, target) for sample in samples]
    return Annotated(source.names, source.groups, images, masks)


def _mask(sample: Sample, target: int) -> Int32[np.ndarray, "H W"]:
    objects = sample.of_class(target)
    return objects if sample.ignored is None else np.where(sample.ignored, IGNORED, objects).astype(np.int32)


def query_paths(folder: Path) -> list[Path]:
    """The files of the pictures to segment, in order of their names.

    Raises:
        InputError: there is no folder, no picture in it, or two whose label images would have one name.
    """
    inner = folder / "images"
    place = inner if inner.is_dir() else folder
    if not place.is_dir():
        raise InputError(f"query: there is no folder {folder}; name the folder of the pictures to segment")
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise InputError(f"query: {place} has no picture; put some there ({', '.join(PICTURE_SUFFIXES)})")
    names = [path.stem for path in paths]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(
            f"query: {place} has two pictures named {min(twice)}, and their label images would have one name; rename "
            "one of them"
        )
    return paths


def checked_query(paths: list[Path], bank: FeatureBank, reading: Reading) -> dict[str, str]:
    """Read every picture, one at a time, so that a bad one stops the command before minutes of learning.

    Returns:
        Digests of their content, by their names.
    """
    digests = {}
    for path in paths:
        image = read_query(path, reading)
        _check(image, f"query: {path}", bank)
        digests[path.stem] = picture_digest(image)
    return digests


def read_query(path: Path, reading: Reading) -> Float32[np.ndarray, "H W C"]:
    """One picture to segment, read as the shots were."""
    return read_picture(path, scale=reading.scale, channels=reading.channels)  # type: ignore[arg-type]


def _check(image: Float32[np.ndarray, "H W C"], name: str, bank: FeatureBank) -> None:
    found, channels = image.shape[-1], bank.channels
    if found != channels:
        remedy = "give such pictures"
        if channels in (1, 3):
            remedy += f", or learn from shots given as folder:SHOTS?channels={channels}, which converts all pictures"
        raise InputError(f"{name} has {found} channel(s), the extractors were trained on {channels}; {remedy}")
    bank.check(image, name)
