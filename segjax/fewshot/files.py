"""Extractors and fitted heads on disk, one .npz file each: arrays and a line of JSON. Only here the room has files."""

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from segjax.fewshot.bank import Extractor
from segjax.models import create
from segjax.types import InputError

_EXTRACTORS = "extractor-*.npz"


def save_extractors(folder: Path, extractors: Sequence[Extractor]) -> None:
    """Write extractors as FOLDER/extractor-0.npz, ...; they come back with the same digests.

    Raises:
        InputError: the folder holds other extractors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, extractor in enumerate(extractors):
        path = folder / f"extractor-{number}.npz"
        if path.exists() and load_extractor(path).digest != extractor.digest:
            raise InputError(f"{path} holds another extractor; give another folder or remove it")
        options = {name: getattr(extractor.network, name) for name in type(extractor.network).OPTIONS}
        facts = {"network": extractor.kind, "options": options, "layers": extractor.layers, "digest": extractor.digest}
        arrays = {f"variables{jax.tree_util.keystr(path)}": leaf for path, leaf in _leaves(extractor.variables)}
        statistics = {name: getattr(extractor, name) for name in ("mean", "std")}
        arrays |= {name: value for name, value in statistics.items() if value is not None}
        write(path, facts, arrays)


def load_extractors(folder: Path | str) -> list[Extractor]:
    """The extractors of a folder, in the order in which they were saved.

    Raises:
        InputError: the folder has none, or a file is damaged.
    """
    paths = sorted(Path(folder).glob(_EXTRACTORS), key=lambda path: int(path.stem.partition("-")[2]))
    if not paths:
        raise InputError(f"extractors: {folder} has no file {_EXTRACTORS}; name the folder that a study saved them in")
    return [load_extractor(path) for path in paths]


def load_extractor(path: Path) -> Extractor:
    """One extractor. Raises InputError where the file is not one, or does not give the digest it was saved with."""
    facts, arrays = read(path, "an extractor", ("network", "options", "layers", "digest"))
    variables: dict[str, Any] = {}
    for name, array in arrays.items():
        if name.startswith("variables"):
            *parents, last = name.removeprefix("variables['").removesuffix("']").split("']['")
            inner = variables
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[last] = array
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in facts["options"].items()}
    network = create(facts["network"], **options)
    extractor = Extractor(network, variables, tuple(facts["layers"]), arrays.get("mean"), arrays.get("std"))
    if extractor.digest != facts["digest"]:
        raise InputError(f"{path} is damaged: its content does not give the digest {facts['digest']}")
    return extractor


def write(path: Path, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Facts (JSON values) and arrays in one file."""
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with path.open("wb") as file:  # a name without .npz would be given one
        np.savez(file, **{"facts": text, **arrays})


def read(path: Path, what: str, needed: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `write` wrote. Raises InputError where the file is missing, damaged, or lacks a needed fact."""
    try:
        with path.open("rb") as file, np.load(file) as content:
            arrays = {name: content[name] for name in content.files}
        facts = json.loads(arrays.pop("facts").tobytes())
        missing = [name for name in needed if name not in facts]
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as {what} ({error})") from None
    if missing:
        raise InputError(f"{path} is not {what}: it lacks {', '.join(missing)}")
    return facts, arrays


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)
