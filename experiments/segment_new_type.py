"""Segment a new type of cell in many pictures after it was annotated in a few.

    python -m experiments.segment_new_type --extractors runs/few_shot/extractors/NAME --shots my_shots \
        --query my_pictures --out my_labels

SHOTS has images/ and labels/ as `python -m experiments.check` expects them. A data spec gives options, such as
"folder:my_shots?labels=components". QUERY has the pictures to segment, by themselves or in a folder images/. For
each of them the command writes a TIFF of the same name into OUT: 0 is background, 1, 2, ... are the objects.
OUT/type.safetensors keeps what was learnt, and how the pictures were read (scale, channels). A later call takes it with
--learnt in place of --shots.
"""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float32, Int32
from rich.console import Console

from experiments.harness.start import run_command
from segjax.data import CUTS, FolderOptions, open_source, parse_spec, read_picture, write_labels
from segjax.data.pictures.images import PICTURE_SUFFIXES
from segjax.fewshot import (
    HEADS,
    FeatureBank,
    NewType,
    Objects,
    Reading,
    create_head,
    fit_new_type,
    load_extractors,
)
from segjax.types import IGNORED, InputError, Sample, Source


@dataclass(frozen=True)
class NewTypeOptions:
    extractors: Path
    """Folder of trained networks that `save_extractors` wrote."""
    query: Path
    """Folder of the pictures to segment."""
    out: Path
    """Folder for the label images and type.safetensors."""
    shots: str | None = None
    """Folder, or data spec, of the few annotated pictures."""
    learnt: Path | None = None
    """type.safetensors of an earlier run, in place of shots."""
    target: int = 1
    """Class of the objects to segment, where the shots have several."""
    head: str = "logistic"
    """How the features are recombined: logistic, soft_dice, hidden_layer, ridge, prototype, cosine, local_prototypes or
    threshold_prototype."""
    objects: Objects = field(default_factory=Objects)


def main() -> None:
    """Learn the type, or load it, and segment every picture."""
    options = tyro.cli(NewTypeOptions, prog="python -m experiments.segment_new_type", description=__doc__)
    console = Console(highlight=False)
    for path in segment_folder(options):
        console.print(f"written: {path}", markup=False, soft_wrap=True)


def segment_folder(options: NewTypeOptions) -> list[Path]:
    """Write a label image for every query picture; returns the files. Nothing is written before all can be read.

    Raises:
        InputError: both or neither of shots and learnt, options that what was learnt has already decided, pictures or
            extractors that cannot be used, no query picture, or files in the way.
    """
    if (options.shots is None) == (options.learnt is None):
        raise InputError("shots, learnt: give one of the two, annotated pictures or what was learnt from them before")
    if options.head not in HEADS:
        raise InputError(f"head: unknown {options.head!r}; choose one of {', '.join(HEADS)}")
    bank = _open_bank(options.extractors)
    paths = _query_paths(options.query)
    targets = [options.out / f"{path.stem}.tif" for path in paths]
    _refuse_files_in_the_way(options, targets)
    if options.learnt is None:
        assert options.shots is not None
        source, reading = open_shots(options.shots, options.target)
        _check_query(paths, bank, reading)
        learnt = replace(_learn(options, source, bank), reading=reading)
    else:
        _refuse_what_is_decided(options)
        learnt = NewType.load(options.learnt, bank)
        _check_query(paths, bank, learnt.reading)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.learnt is None:
        learnt.save(options.out / "type.safetensors")
    for path, target in zip(paths, targets, strict=True):
        write_labels(target, learnt.segment(bank, _read(path, learnt.reading)))
    return targets


def _open_bank(folder: Path) -> FeatureBank:
    extractors = load_extractors(folder)
    # statistics of the extractors' own training pictures, so that --learnt needs no shots
    if any(extractor.mean is None for extractor in extractors):
        raise InputError(
            f"extractors: those in {folder} have no statistics of their features; save them with "
            "with_statistics(extractor, images)"
        )
    return FeatureBank(extractors)


def _refuse_files_in_the_way(options: NewTypeOptions, targets: list[Path]) -> None:
    kept = options.out / "type.safetensors"
    is_read = options.learnt is not None and options.learnt.resolve() == kept.resolve()
    for target in targets if is_read else (*targets, kept):
        if target.exists():
            raise InputError(
                f"out: {target} is there already; choose another folder, or, where an earlier run was stopped, remove "
                "the files that it left"
            )


def _refuse_what_is_decided(options: NewTypeOptions) -> None:
    """Options that say how to learn would do nothing beside what was learnt."""
    defaults = {field.name: field.default for field in fields(NewTypeOptions)} | {"objects": Objects()}
    given = [name for name in ("target", "head") if getattr(options, name) != defaults[name]]
    names = [field.name for field in fields(Objects)]
    given += [f"objects.{name}" for name in names if getattr(options.objects, name) != getattr(Objects(), name)]
    if given:
        raise InputError(
            f"{', '.join(given)}: {options.learnt} has decided this already; leave the option out, or learn again "
            "from shots"
        )


def open_shots(shots: str, target: int) -> tuple[Source, Reading]:
    """The annotated pictures, and how their files are read.

    Raises:
        InputError: they are no folder, cannot be used, or have no such class.
    """
    text = shots if ":" in shots else f"folder:{shots}"
    spec = parse_spec(text)
    if spec.scheme != "folder":
        raise InputError(f"shots: {shots!r} is not a folder; give one with images/ and labels/")
    if "shrink" in spec.options:
        raise InputError("shots: shrink cannot be given here; shrink the shots and the pictures to segment beforehand")
    source = open_source(text)
    if not 1 <= target <= len(source.class_names):
        raise InputError(f"target: class {target} is not among those of {shots}: {', '.join(source.class_names)}")
    read = FolderOptions.parse({name: value for name, value in spec.options.items() if name not in CUTS})
    return source, Reading(read.scale, int(read.channels or 0))


def _learn(options: NewTypeOptions, source: Source, bank: FeatureBank) -> NewType:
    samples = [source[index] for index in range(len(source))]
    for sample in samples:
        _check(sample.image, f"shots: picture {sample.name}", bank)
    masks = [_mask(sample, options.target) for sample in samples]
    images = [sample.image for sample in samples]
    return fit_new_type(bank, images, masks, create_head(options.head), options.objects)


def _mask(sample: Sample, target: int) -> Int32[np.ndarray, "H W"]:
    """The objects of a class; what nobody judged is -1, neither object nor background."""
    objects = sample.of_class(target)
    return objects if sample.ignored is None else np.where(sample.ignored, IGNORED, objects).astype(np.int32)


def _check_query(paths: list[Path], bank: FeatureBank, reading: Reading) -> None:
    """Read every picture, one at a time, so that a bad one stops the command before minutes of learning."""
    for path in paths:
        _check(_read(path, reading), f"query: {path}", bank)


def _read(path: Path, reading: Reading) -> Float32[np.ndarray, "H W C"]:
    return read_picture(path, scale=reading.scale, channels=reading.channels)  # type: ignore[arg-type]


def _check(image: Float32[np.ndarray, "H W C"], name: str, bank: FeatureBank) -> None:
    found, channels = image.shape[-1], bank.channels
    if found != channels:
        remedy = "give such pictures"
        if channels in (1, 3):
            remedy += f", or learn from shots given as folder:SHOTS?channels={channels}, which converts all pictures"
        raise InputError(f"{name} has {found} channel(s), the extractors were trained on {channels}; {remedy}")
    bank.check(image, name)


def _query_paths(folder: Path) -> list[Path]:
    inner = folder / "images"
    place = inner if inner.is_dir() else folder
    if not place.is_dir():
        raise InputError(f"query: there is no folder {folder}; name the one with the pictures to segment")
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
