"""Extractors on disk, one file of weights each. Only here the room has files."""

from collections.abc import Sequence
from pathlib import Path

from segjax.fewshot.bank import Extractor
from segjax.models import Weights, create, load_weights, save_weights
from segjax.types import InputError

_EXTRACTORS = "extractor-*.safetensors"


def save_extractors(folder: Path, extractors: Sequence[Extractor]) -> None:
    """Write extractors as FOLDER/extractor-0.safetensors, ...; they come back with the same digests.

    Raises:
        InputError: the folder holds other extractors.
    """
    for number, extractor in enumerate(extractors):
        path = folder / _EXTRACTORS.replace("*", str(number))
        if path.exists():
            if load_extractor(path).digest != extractor.digest:
                raise InputError(f"{path} holds another extractor; give another folder or remove it")
            continue
        options = {name: getattr(extractor.network, name) for name in type(extractor.network).OPTIONS}
        facts = {"network": extractor.kind, "options": options, "layers": extractor.layers}
        statistics = {"mean": extractor.mean, "std": extractor.std}
        known = {name: value for name, value in statistics.items() if value is not None}
        save_weights(path, {"variables": extractor.variables, **known}, facts)


def extractor_files(folder: Path | str) -> list[Path]:
    """The files of a folder's extractors, in the order in which they were saved."""
    return sorted(Path(folder).glob(_EXTRACTORS), key=lambda path: int(path.stem.partition("-")[2]))


def load_extractors(folder: Path | str) -> list[Extractor]:
    """The extractors of a folder, in the order in which they were saved.

    Raises:
        InputError: the folder has none, or a file is damaged.
    """
    paths = extractor_files(folder)
    if not paths:
        raise InputError(f"extractors: {folder} has no file {_EXTRACTORS}; name the folder that a study saved them in")
    return [load_extractor(path) for path in paths]


def load_extractor(path: Path) -> Extractor:
    """One extractor. Raises InputError where the file is not one or is damaged."""
    saved, facts = load_as("an extractor", path, ("network", "options", "layers"))
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in facts["options"].items()}
    network = create(facts["network"], **options)
    return Extractor(network, saved["variables"], tuple(facts["layers"]), saved.get("mean"), saved.get("std"))


def load_as(what: str, path: Path, needed: Sequence[str]) -> Weights:
    """A file of weights. Raises InputError where it cannot be read, or lacks a fact that makes it what it should be."""
    loaded = load_weights(path)
    missing = [name for name in needed if name not in loaded.facts]
    if missing:
        raise InputError(f"{path} is not {what}: it lacks {', '.join(missing)}; give another file")
    return loaded
