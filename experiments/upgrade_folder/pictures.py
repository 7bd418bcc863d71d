"""The pictures of the folder with clean labels, noisy labels or both, and why they may be refused."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from experiments.upgrade_folder.config import CLEAN, NOISY, PAIRS, FolderConfig, specs_of
from segjax.data.folders.folder import FolderSource
from segjax.data.folders.folder_options import FolderOptions
from segjax.data.splits import split_groups
from segjax.data.tiles import tiled
from segjax.types import InputError, Source

TILE = 256
VALIDATION_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Folder:
    """An opened folder.

    Attributes:
        path: of the folder.
        clean: pictures with clean labels, cut to one size.
        whole: the same as they are.
        noisy: pictures with noisy labels, whole.
        pairs: noisy labels of pictures that have clean ones, cut alike; None where there are none.
    """

    path: Path
    clean: Source
    whole: FolderSource
    noisy: FolderSource
    pairs: Source | None

    @property
    def units(self) -> str:
        """What the training pictures are called in messages."""
        whole = {name.partition("@")[0] for name in self.clean.names}
        return "pictures" if len(whole) == len(self.clean) else f"squares cut from {len(whole)} pictures"


def open_folder(config: FolderConfig) -> Folder:
    """Open and check the folder of a configuration.

    Raises:
        InputError: names the file or folder, what is wrong, and what to do.
    """
    path, options, tile = specs_of(config)
    if not path.is_dir():
        raise InputError(f"data: {path} is not a folder; give the folder that holds images/, labels/ and noisy/")
    check_out(path, config.out)
    noisy_options = dict(options)
    if config.noisy_labels != "same":
        noisy_options["labels"] = config.noisy_labels
    clean = _open(path, CLEAN, options, "clean labels of some pictures")
    noisy = _open(path, NOISY, noisy_options, "noisy labels of the pictures to repair")
    _check_apart(path, clean, noisy)
    pairs = _open_pairs(path, clean, noisy_options) if (path / PAIRS).is_dir() else None
    if config.mistakes == "pairs" and pairs is None:
        raise InputError(
            f"mistakes: pairs needs {path / PAIRS} with noisy labels of some of the pictures in {CLEAN}/; put some "
            "there, or choose mixture"
        )
    if tile is None and len(set(clean.shapes)) > 1:
        tile = TILE
    if tile is None:
        return Folder(path, clean, clean, noisy, pairs)
    return Folder(path, tiled(clean, tile), clean, noisy, pairs and tiled(pairs, tile))


def check_out(path: Path, out: Path) -> None:
    """Raise InputError where writing to `out` could touch the folder's own files."""
    target = out.expanduser().resolve()
    own = [path.resolve() / name for name in ("images", CLEAN, NOISY, PAIRS)]
    inside = [folder for folder in own if target == folder or target.is_relative_to(folder)]
    if target == path.resolve() or inside:
        raise InputError(
            f"out: {out} holds your own pictures or annotations; choose another folder, such as runs/repaired"
        )


def _open(path: Path, annotations: str, options: dict[str, str], meaning: str) -> FolderSource:
    folder = path / annotations
    if annotations == NOISY and not folder.exists() and (path / "careless").is_dir():
        raise InputError(f"{path / 'careless'} has another name now; rename it to {folder}")
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
        raise InputError(f"{folder}: no object in any of the label images; there is nothing to learn from or to repair")
    return source


def _open_pairs(path: Path, clean: Source, options: dict[str, str]) -> FolderSource:
    pairs = _open(path, PAIRS, {**options, "empty": "keep"}, "noisy labels of pictures in labels/")
    alone = sorted(set(pairs.names) - set(clean.names))
    if alone:
        raise InputError(f"{path / PAIRS}/{alone[0]} has no clean labels in {CLEAN}/; move it to {NOISY}/")
    return pairs


def _check_apart(path: Path, clean: Source, noisy: Source) -> None:
    """No picture may have clean and noisy labels, under one name or two; all must have equally many channels."""
    both = sorted(set(clean.names) & set(noisy.names))
    if both:
        raise InputError(
            f"{path}: {len(both)} picture(s) have labels in both {CLEAN}/ and {NOISY}/ ({', '.join(both[:5])}); remove "
            f"the noisy ones, or move them to {PAIRS}/ to learn the errors from the pairs"
        )
    known = dict(_contents(clean))
    for content, name in _contents(noisy):
        if content in known:
            raise InputError(
                f"{path}/images: {known[content]} ({CLEAN}/) and {name} ({NOISY}/) are the same picture; "
                "remove one of them"
            )
    channels = {source[0].image.shape[-1] for source in (clean, noisy)}
    if len(channels) > 1:
        raise InputError(
            f"{path}: pictures in {CLEAN}/ and {NOISY}/ differ in channels ({sorted(channels)}); give the option "
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


def noisy_tiles(folder: Folder) -> Source:
    """The pictures with noisy labels, cut to the size of those with clean ones.

    Raises:
        InputError: that is no square, and they have another size.
    """
    height, width = folder.clean[0].labels.shape
    if set(folder.noisy.shapes) == {(height, width)}:
        return folder.noisy
    if height != width:
        raise InputError(
            f"folds: the pictures in {NOISY}/ have other sizes than those in {CLEAN}/; cut all into squares with the "
            f'option tile, as in --data "folder:{folder.path}?tile={TILE}"'
        )
    return tiled(folder.noisy, height)


def divide(
    folder: Folder, labels: Int32[np.ndarray, "P H W"], seed: int, among: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which pictures with clean labels train, and which are held out to choose the best epoch; groups stay whole.

    Args:
        among: the pictures that are divided; all by default.

    Raises:
        InputError: fewer than two groups, or a side without objects.
    """
    among = range(len(labels)) if among is None else among
    groups = [folder.clean.groups[row] for row in among]
    if len(set(groups)) < 2:
        raise InputError(
            f"{folder.path / CLEAN}: {len(set(groups))} picture or group cannot be divided into training and "
            "validation; annotate at least one more, better ten"
        )
    sides = split_groups(groups, seed, (1 - VALIDATION_SHARE, VALIDATION_SHARE))
    train, validation = (np.asarray(among)[list(side)] for side in sides)
    for name, side in (("training", train), ("validation", validation)):
        if not labels[side].any():
            raise InputError(f"{folder.path / CLEAN}: no object in the {name} pictures; give another --seed")
    return train, validation
