"""What was found in each picture of a folder, kept between openings: a large folder opens in seconds the second time.

Kept is one JSON file per folder and options, under $XDG_CACHE_HOME/segjax or ~/.cache/segjax. A picture is read again
where one of its files has another size or time, and all are where the options, the code that finds or the packages that
decode differ. A cache that cannot be read or written is done without.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from functools import cache
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.inspected import Inspected
from segjax.data.folders.listing import Entry
from segjax.data.formats.annotation import Loss
from segjax.files import read_sealed, sealed, write_file
from segjax.types import InputError

_DECIDING = ("data", "ops")  # rooms whose code decides what is found
_DECODERS = ("imagecodecs", "pillow", "tifffile")

Inspect = Callable[[Sequence[Entry]], Sequence[Any]]  # entries -> for each what was found (None: unusable), problems


def inspected_once(path: Path, options: FolderOptions, entries: Sequence[Entry], inspect: Inspect) -> list[Any]:
    """For each entry what `inspect` finds, which is only asked for the entries that changed since it last was.

    Args:
        path: the folder.
        options: as it is read.
        entries: its pictures.
        inspect: reads pictures; its answers are kept where they have no problems.
    """
    file = _cache_file(path, options)
    kept = _read(file)
    stamps = [_stamp(entry) for entry in entries]
    known = [kept.get(entry.name) for entry in entries]
    results: list[Any] = [
        (_decoded(found["found"]), []) if found and found["stamp"] == stamp else None
        for found, stamp in zip(known, stamps, strict=True)
    ]
    missing = [index for index, result in enumerate(results) if result is None]
    if not missing and len(kept) == len(entries):
        return results
    for index, result in zip(missing, inspect([entries[index] for index in missing]), strict=True):
        results[index] = result
    _write(
        file,
        {
            entry.name: {"stamp": stamp, "found": _encoded(found)}
            for entry, stamp, (found, problems) in zip(entries, stamps, results, strict=True)
            if found is not None and not problems
        },
    )
    return results


def _cache_file(path: Path, options: FolderOptions) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "segjax" / "folders"
    described = json.dumps([str(path.resolve()), asdict(options), _code(), *map(version, _DECODERS)])
    return root / f"{hashlib.sha256(described.encode(errors='surrogatepass')).hexdigest()[:32]}.json"


@cache
def _code() -> str:
    """A hash of the sources that decide what is found."""
    hasher = hashlib.sha256()
    for room in _DECIDING:
        for source in sorted((Path(__file__).parents[2] / room).rglob("*.py")):
            hasher.update(source.read_bytes())
    return hasher.hexdigest()


def _stamp(entry: Entry) -> list[list[Any]]:
    """Name, size and times of each file of a picture; of a folder those of all files in it.

    The time of the last change of any kind (ctime) tells files apart that were copied with the time of the original.
    """
    files = [file for file in (entry.image, entry.labels, entry.classes, entry.reading.colours) if file is not None]
    if entry.labels is not None and entry.labels.suffix.lower() == ".shp":  # whose columns lie in files beside it
        files += sorted(entry.labels.parent.glob(f"{escape(entry.labels.stem)}.*"))
    inside = [part for file in files for part in (sorted(file.iterdir()) if file.is_dir() else [file])]
    states = [(part, part.stat()) for part in inside]
    return [[str(part), state.st_size, state.st_mtime_ns, state.st_ctime_ns] for part, state in states]


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(read_sealed(file))
    except (InputError, FileNotFoundError):
        return {}


def _write(file: Path, kept: dict[str, Any]) -> None:
    with suppress(InputError):  # no home, a full disk
        write_file(file, sealed(json.dumps(kept)))


def _encoded(found: Inspected) -> dict[str, Any]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {
        name: {"dtype": str(value.dtype), "shape": value.shape, "values": value.ravel().tolist()}
        if isinstance(value, np.ndarray)
        else asdict(value)
        if isinstance(value, Loss)
        else value
        for name, value in values.items()
    }


def _decoded(found: dict[str, Any]) -> Inspected:
    return Inspected(**{name: _plain(value) for name, value in found.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and "notes" in value:
        return Loss(**(value | {"notes": tuple(value["notes"])}))
    if isinstance(value, dict):
        return np.array(value["values"], value["dtype"]).reshape(value["shape"])
    return tuple(value) if isinstance(value, list) else value
