"""The folder's careful, careless and doubly annotated pictures, and everything that keeps them from being used."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from experiments.upgrade_folder.config import CAREFUL, CARELESS, PAIRS, FolderConfig, specs_of
from segjax.data import FolderOptions, FolderSource, split_groups, tiled
from segjax.types import InputError, Source

TILE = 256
VALIDATION_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Folder:
    """An opened folder.

    Attributes:
        path: of the folder.
        careful: pictures with careful labels, cut to one size.
        careless: pictures with careless labels, whole.
        pairs: careless labels of careful pictures, cut alike; None where there are none.
    """

    path: Path
    careful: Source
    careless: FolderSource
    pairs: Source | None

    @property
    def units(self) -> str:
        """What the careful ones are to be called."""
        whole = {name.partition("@")[0] for name in self.careful.names}
        return "pictures" if len(whole) == len(self.careful) else f"squares cut from {len(whole)} pictures"


def open_folder(config: FolderConfig) -> Folder:
    """Open and check the folder of a configuration.

    Raises:
        InputError: names the file or folder, what is wrong, and what to do.
    """
    path, options, tile = specs_of(config)
    if not path.is_dir():
        raise InputError(f"data: {path} is not a folder; give the folder that holds images/, labels/ and careless/")
    check_out(path, config.out)
    careless_options = dict(options)
    if config.careless_labels != "same":
        careless_options["labels"] = config.careless_labels
    careful = _open(path, CAREFUL, options, "careful annotations of some pictures")
    careless = _open(path, CARELESS, careless_options, "careless annotations of the pictures to repair")
    _check_apart(path, careful, careless)
    pairs = _open_pairs(path, careful, careless_options) if (path / PAIRS).is_dir() else None
    if config.mistakes == "pairs" and pairs is None:
        raise InputError(
            f"mistakes: pairs needs {path / PAIRS} with careless annotations of some of the pictures in "
            f"{CAREFUL}/; put some there, or choose mixture"
        )
    if tile is None and len(set(careful.shapes)) > 1:
        tile = TILE
    if tile is None:
        return Folder(path, careful, careless, pairs)
    return Folder(path, tiled(careful, tile), careless, pairs and tiled(pairs, tile))


def check_out(path: Path, out: Path) -> None:
    """Raises InputError where writing to `out` could touch the folder's own files."""
    target = out.expanduser().resolve()
    own = [path.resolve() / name for name in ("images", CAREFUL, CARELESS, PAIRS)]
    inside = [folder for folder in own if target == folder or target.is_relative_to(folder)]
    if target == path.resolve() or inside:
        raise InputError(f"out: {out} holds your own pictures or annotations; choose another folder, as runs/repaired")


def _open(path: Path, annotations: str, options: dict[str, str], meaning: str) -> FolderSource:
    folder = path / annotations
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(f"{folder} is missing or empty; put the {meaning} there, named like the pictures in images/")
    chosen = {**options, "annotations": annotations, "unlabelled": "skip"}
    given = "&".join(f"{name}={value}" for name, value in chosen.items())
    source = FolderSource(path, FolderOptions.parse(chosen), f"folder:{path}?{given}")
    is_empty = True
    for index, name in enumerate(source.names):
        labels = source[index].labels
        if labels.all():
            raise InputError(f"{folder}/{name}: every pixel is marked; 0 must be background, so invert or remove it")
        is_empty = is_empty and not labels.any()
    if is_empty:
        raise InputError(f"{folder}: no object in any of the label images; nothing can be learnt from or upgraded")
    return source


def _open_pairs(path: Path, careful: Source, options: dict[str, str]) -> FolderSource:
    pairs = _open(path, PAIRS, {**options, "empty": "keep"}, "careless annotations of pictures in labels/")
    alone = sorted(set(pairs.names) - set(careful.names))
    if alone:
        raise InputError(f"{path / PAIRS}/{alone[0]} has no careful annotation in {CAREFUL}/; move it to {CARELESS}/")
    return pairs


def _check_apart(path: Path, careful: Source, careless: Source) -> None:
    """No picture may be careful and careless, under one name or two; all must have as many channels."""
    both = sorted(set(careful.names) & set(careless.names))
    if both:
        raise InputError(
            f"{path}: {len(both)} picture(s) are in both {CAREFUL}/ and {CARELESS}/ ({', '.join(both[:5])}); remove "
            f"the careless one, or move it to {PAIRS}/ to learn from the pair what goes wrong"
        )
    known = dict(_contents(careful))
    for content, name in _contents(careless):
        if content in known:
            raise InputError(
                f"{path}/images: {known[content]} ({CAREFUL}/) and {name} ({CARELESS}/) are the same picture; "
                "remove one of the two"
            )
    channels = {source[0].image.shape[-1] for source in (careful, careless)}
    if len(channels) > 1:
        raise InputError(
            f"{path}: pictures in {CAREFUL}/ and {CARELESS}/ differ in channels ({sorted(channels)}); give the option "
            f'channels=1 (all grey) or channels=3, as in --data "folder:{path}?channels=1"'
        )


def _contents(source: Source) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(source.names):
        image = source[index].image
        yield hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest(), name


def stacked(source: Source) -> tuple[Float32[np.ndarray, "P H W C"], Int32[np.ndarray, "P H W"]]:
    """Pictures and labels of a source whose pictures have one size."""
    samples = [source[index] for index in range(len(source))]
    return np.stack([sample.image for sample in samples]), np.stack([sample.labels for sample in samples])


def divide(folder: Folder, labels: Int32[np.ndarray, "P H W"], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which careful pictures train, and which are held out to choose the best epoch; groups are kept whole.

    Raises:
        InputError: fewer than two groups, or a side without objects.
    """
    groups = folder.careful.groups
    if len(set(groups)) < 2:
        raise InputError(
            f"{folder.path / CAREFUL}: {len(set(groups))} careful picture or group cannot be divided into training and "
            "validation; annotate at least one more, better ten"
        )
    sides = split_groups(groups, seed, (1 - VALIDATION_SHARE, VALIDATION_SHARE))
    train, validation = (np.asarray(side) for side in sides)
    for name, side in (("training", train), ("validation", validation)):
        if not labels[side].any():
            raise InputError(f"{folder.path / CAREFUL}: no object in the {name} pictures; give another --seed")
    return train, validation
