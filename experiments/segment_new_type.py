"""Segment a new type of cell in many pictures after it was annotated in a few.

    python -m experiments.segment_new_type --extractors runs/few_shot/extractors/NAME --shots my_shots \
        --query my_pictures --out my_labels

SHOTS has images/ and labels/ as `python -m experiments.check` expects them; a data spec gives options, such as
"folder:my_shots?labels=components". QUERY has the pictures, by themselves or in its folder images/. For each, a TIFF of
the same name is written into OUT: 0 background, 1, 2, ... the objects. OUT/type.npz keeps what was learnt; instead of
shots it can be given again with --learnt.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from experiments.cli import run_command
from segjax.data import FolderOptions, open_source, parse_spec, read_picture, write_labels
from segjax.data.images import PICTURE_SUFFIXES
from segjax.fewshot import (
    HEADS,
    FeatureBank,
    NewType,
    Objects,
    create_head,
    fit_new_type,
    load_extractors,
)
from segjax.types import InputError


@dataclass(frozen=True)
class Options:
    extractors: Path
    """Folder of trained networks that `save_extractors` wrote."""
    query: Path
    """Folder of the pictures to segment."""
    out: Path
    """Folder for the label images and type.npz."""
    shots: str | None = None
    """Folder, or data spec, of the few annotated pictures."""
    learnt: Path | None = None
    """A type.npz of an earlier run, instead of shots."""
    target: int = 1
    """Class of the objects to segment, where the shots have several."""
    head: str = "logistic"
    """How the features are recombined: logistic, soft_dice, hidden_layer, ridge, prototype, cosine, local_prototypes or
    threshold_prototype."""
    objects: Objects = field(default_factory=Objects)


def main() -> None:
    """Learn the type, or load it, and segment every picture."""
    options = tyro.cli(Options, prog="python -m experiments.segment_new_type", description=__doc__)
    console = Console(highlight=False)
    for path in segment_folder(options):
        console.print(f"written: {path}", markup=False, soft_wrap=True)


def segment_folder(options: Options) -> list[Path]:
    """Write a label image for every query picture; returns the files.

    Raises:
        InputError: both or neither of shots and learnt, pictures or extractors that cannot be used, no query picture,
            or files in the way.
    """
    if (options.shots is None) == (options.learnt is None):
        raise InputError("shots, learnt: give one of the two: annotated pictures, or what was learnt from them before")
    if options.head not in HEADS:
        raise InputError(f"head: unknown {options.head!r}; choose one of {', '.join(HEADS)}")
    extractors = load_extractors(options.extractors)
    paths = _query_paths(options.query)
    targets = [options.out / f"{path.stem}.tif" for path in paths]
    for target in (*targets, options.out / "type.npz"):
        if target.exists():
            raise InputError(f"out: {target} is there already; choose another folder")
    if options.shots is None:
        assert options.learnt is not None
        bank, reading = FeatureBank(extractors), FolderOptions()
        learnt = NewType.load(options.learnt, bank)
    else:
        bank, learnt, reading = _learn(options, options.shots, extractors)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.learnt is None:
        learnt.save(options.out / "type.npz")
    for path, target in zip(paths, targets, strict=True):
        image = read_picture(path, scale=reading.scale, channels=bank.channels)  # type: ignore[arg-type]
        write_labels(target, learnt.segment(bank, image))
    return targets


def _learn(options: Options, shots: str, extractors: list[Any]) -> tuple[FeatureBank, NewType, FolderOptions]:
    """What the shots teach, and how their files are read."""
    text = shots if ":" in shots else f"folder:{shots}"
    spec = parse_spec(text)
    if spec.scheme != "folder":
        raise InputError(f"shots: {shots!r} is no folder; give one with images/ and labels/")
    if "shrink" in spec.options:
        raise InputError(
            "shots: shrink cannot be given here; shrink the pictures beforehand, and those to segment alike"
        )
    source = open_source(text)
    if not 1 <= options.target <= len(source.class_names):
        raise InputError(
            f"target: class {options.target} is not among those of {shots}: {', '.join(source.class_names)}"
        )
    samples = [source[index] for index in range(len(source))]
    # statistics of the extractors' own training pictures where they are known, so that --learnt needs no shots
    if any(extractor.mean is None for extractor in extractors):
        raise InputError(
            f"extractors: those of {options.extractors} have no statistics of their features; save them with "
            "with_statistics(extractor, images)"
        )
    bank = FeatureBank(extractors)
    images = [sample.image for sample in samples]
    masks = [sample.of_class(options.target) for sample in samples]
    learnt = fit_new_type(bank, images, masks, create_head(options.head), options.objects)
    reading = {name: value for name, value in spec.options.items() if name not in ("tile", "crop")}
    return bank, learnt, FolderOptions.parse(reading)


def _query_paths(folder: Path) -> list[Path]:
    inner = folder / "images"
    place = inner if inner.is_dir() else folder
    if not place.is_dir():
        raise InputError(f"query: there is no folder {folder}")
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise InputError(f"query: {place} has no picture ({', '.join(PICTURE_SUFFIXES)})")
    names = [path.stem for path in paths]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"query: {place} has two pictures named {min(twice)}; their labels would have one name")
    return paths


if __name__ == "__main__":
    run_command(main)
