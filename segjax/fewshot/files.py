"""Extractors on disk, one file of weights each. Only here the room has files."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from segjax.fewshot.bank import Extractor
from segjax.files import Damaged, replacing, set_aside
from segjax.models import card, create, load_weights, save_weights
from segjax.models.options import options_of
from segjax.models.pretrained import (
    CARD,
    VERSION,
    check_version,
    load_pretrained,
    options_from,
    pretrained_options,
    shipped_names,
)
from segjax.models.weights import Weights
from segjax.types import InputError

_EXTRACTORS = "extractor-*.safetensors"


def save_extractors(folder: Path, extractors: Sequence[Extractor]) -> None:
    """Write extractors as FOLDER/extractor-0.safetensors, ...; they come back with the same digests.

    The folder appears with all of them, or not at all.

    Raises:
        InputError: the folder holds something else.

    >>> import tempfile
    >>> import jax
    >>> network = create("msd", depth=1)
    >>> extractor = Extractor(network, network.init(jax.random.key(0), jax.numpy.zeros((1, 8, 8, 1))))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save_extractors(Path(place, "kept"), [extractor, extractor])
    ...     [path.name for path in extractor_files(Path(place, "kept"))]
    ['extractor-0.safetensors', 'extractor-1.safetensors']
    """
    if extractor_files(folder):
        if [one.digest for one in load_extractors(folder)] != [one.digest for one in extractors]:
            raise InputError(f"{folder}: holds other extractors; give another folder, or move it away")
        return
    with replacing(folder) as unfinished:
        for number, extractor in enumerate(extractors):
            facts = {
                "version": VERSION,
                "network": extractor.kind,
                "options": options_of(extractor.network),
                "layers": extractor.layers,
                "turned": extractor.turned,
            }
            statistics = {"mean": extractor.mean, "std": extractor.std}
            known = {name: value for name, value in statistics.items() if value is not None}
            place = unfinished / _EXTRACTORS.replace("*", str(number))
            save_weights(place, {"variables": extractor.variables, **known}, facts)


def kept_extractors(folder: Path, count: int, make: Callable[[], Sequence[Extractor]]) -> list[Extractor]:
    """The extractors of a folder, which are made and saved there where any is missing or damaged.

    What was there is set aside with a warning. No other process may do the same at the same time.

    Raises:
        InputError: the disk is full, the folder cannot be written, or it is of another version of the networks.
    """
    if folder.exists():
        try:
            if len(found := [load_extractor(path) for path in extractor_files(folder)]) == count:
                return found
            reason = f"{folder}: holds {len(found)} of {count} extractors"
        except Damaged as error:
            reason = str(error)
        warnings.warn(f"{reason}; the old folder is kept as {set_aside(folder)}; a new one is written", stacklevel=2)
    save_extractors(folder, make())
    return load_extractors(folder)


def extractor_files(folder: Path | str) -> list[Path]:
    """The files of a folder's extractors, in the order in which they were saved."""
    return sorted(Path(folder).glob(_EXTRACTORS), key=lambda path: int(path.stem.partition("-")[2]))


def load_extractors(place: Path | str) -> list[Extractor]:
    """Extractors by the name of trained weights that come with the package, or those of a folder, in their saved order.

    Args:
        place: such a name ("nuclei"; `segjax.models.card` tells more), or a folder: of saved extractors, or of trained
            weights as `python -m experiments.pretrain` writes them. A `Path`, or text with a slash, is a folder.

    Raises:
        InputError: there are none, a file is damaged, or a name is also that of a folder with extractors.

    >>> (extractor,) = load_extractors("nuclei")
    >>> extractor.kind, extractor.channels
    ('unet', 1)
    """
    paths, names = extractor_files(place), shipped_names()
    if paths and place in names:
        raise InputError(
            f"extractors: {place} is a folder here, and also trained weights of the package; give ./{place} for the "
            "folder, or rename it"
        )
    if paths:
        return [load_extractor(path) for path in paths]
    if isinstance(place, str) and (place in names or not ("/" in place or Path(place).is_dir())):
        return _pretrained_extractors(place)
    if not (Path(place) / CARD).is_file():
        raise InputError(
            f"extractors: {place} has no file {_EXTRACTORS}; give the folder in which a study saved them, or the name "
            f"of some that come with segjax ({', '.join(shipped_extractors())})"
        )
    return _pretrained_extractors(Path(place))


def shipped_extractors() -> list[str]:
    """The names of the trained weights of the package that hold extractors."""
    return [name for name in shipped_names() if any(own["layers"] for own in card(name).facts["networks"].values())]


def _pretrained_extractors(name: str | Path) -> list[Extractor]:
    """The networks of trained weights that serve as extractors."""
    found = card(name)
    chosen = [network for network, own in found.facts["networks"].items() if own["layers"]]
    if not chosen:
        raise InputError(
            f"extractors: no network of the weights {found.name!r} is an extractor; choose one of "
            f"{', '.join(shipped_extractors())}"
        )
    extractors = []
    for kind in chosen:
        saved, own = load_pretrained(kind, name)
        network = create(kind, **pretrained_options(kind, name))
        mean, std = (np.asarray(saved[part], np.float32) for part in ("mean", "std"))
        extractors.append(Extractor(network, saved["variables"], tuple(own["layers"]), mean, std, own["turned"]))
    return extractors


def load_extractor(path: Path) -> Extractor:
    """One extractor. Raises InputError where the file is not one, is damaged, or is of another version."""
    saved, facts = load_as("an extractor", path, ("network", "options", "layers"))
    network = create(facts["network"], **options_from(facts["options"]))
    statistics = saved.get("mean"), saved.get("std")
    # earlier versions had no turned extractors
    return Extractor(network, saved["variables"], tuple(facts["layers"]), *statistics, facts.get("turned", False))


def load_as(what: str, path: Path, needed: Sequence[str]) -> Weights:
    """A file of weights of ours.

    Raises:
        Damaged: its content does not hold, or lacks a fact that it needs.
        InputError: it is of another version of the networks.
    """
    loaded = load_weights(path, is_ours=True)
    missing = [name for name in needed if name not in loaded.facts]
    if missing:
        raise Damaged(f"{path} is not {what}: it lacks {', '.join(missing)}; give another file")
    check_version(path, loaded.facts)
    return loaded
