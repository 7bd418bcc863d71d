"""The nouns every room shares: one picture with its annotation, where pictures come from, and what learns from them.

Shape letters used throughout: B picture in a batch, P picture in a set, D slice of a volume, H, W, C channel, K class,
N object, M member of a pack.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32

__all__ = ["Georeference", "InputError", "Network", "Sample", "Source"]
IGNORED = -1  # in targets: a pixel that counts in no loss and no metric


@dataclass(frozen=True)
class Georeference:
    """Where on the ground a picture lies.

    Attributes:
        crs: coordinate reference system, as "EPSG:32637".
        transform: (a, b, c, d, e, f) that takes a pixel's corner (column, row) to the ground: x = a column + b row + c,
            y = d column + e row + f, in the units of the system.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]

    def at(self, y: int, x: int) -> "Georeference":
        """That of a part of the picture whose first pixel is in row y and column x."""
        a, b, c, d, e, f = self.transform
        return Georeference(self.crs, (a, b, a * x + b * y + c, d, e, d * x + e * y + f))

    def coarser(self, factor: int) -> "Georeference":
        """That of the same picture with pixels whose edges are `factor` times as long."""
        a, b, c, d, e, f = self.transform
        return Georeference(self.crs, (a * factor, b * factor, c, d * factor, e * factor, f))


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture and its perfect annotation.

    Attributes:
        image: float32 [H, W, C] in [0, 1].
        labels: int32 [H, W]; 0 is background, 1..N are objects. An object keeps its id in every slice of its volume.
        classes: int32 [N]; class of object i at position i - 1, counted from 1 (class 1 is the usual target).
        group: the volume, patient or map sheet the picture came from; splits never divide a group.
        name: unique within its source.
        ignored: bool [H, W], True where the pixel was not judged: neither object nor background (`labels` is 0 there),
            it counts in no loss and no metric and is -1 in targets. None: all pixels are judged.
        label: class of the whole picture, counted from 0, where there is one.
        georeference: where it lies on the ground, where that is known.
    """

    image: Float32[np.ndarray, "H W C"]
    labels: Int32[np.ndarray, "H W"]
    classes: Int32[np.ndarray, " N"]
    group: str
    name: str
    ignored: Bool[np.ndarray, "H W"] | None = None
    label: int | None = None
    georeference: Georeference | None = None

    def of_class(self, index: int) -> Int32[np.ndarray, "H W"]:
        """Labels of the objects of one class; every other pixel is 0."""
        is_class = np.concatenate([[False], self.classes == index])
        return np.where(is_class[self.labels], self.labels, 0).astype(np.int32)


@runtime_checkable
class Source(Protocol):
    """Random access to samples: `len(source)`, `source[i]`.

    Attributes:
        spec: the text the source was opened from.
        digest: hash of everything that decides the samples' content, 16 hexadecimal digits.
        names, groups: one entry per sample, known without reading pictures.
        class_names: name of class 1, 2, ...
        label_names: name of image-level class 0, 1, ...; () where samples have no image-level label.
        test_groups: groups that a published protocol reserves for testing; empty where the user's split decides.
        coarsening: pixel edge in units of the published pixel (1.0 where there is none); bias strengths scale by it.
    """

    spec: str
    digest: str
    names: tuple[str, ...]
    groups: tuple[str, ...]
    class_names: tuple[str, ...]
    label_names: tuple[str, ...]
    test_groups: frozenset[str]
    coarsening: float

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class Network(Protocol):
    """What is trained and applied: a pure function of variables and pictures; any Flax module is one."""

    def __hash__(self) -> int:
        """Equal networks have equal hashes: what was compiled for one serves the other."""
        ...

    def init(self, key: Any, image: Any, /) -> Any:
        """Variables {"params": ..., ...} drawn from a key, for pictures of this shape: float32 [B, H, W, C]."""
        ...

    def apply(self, variables: Any, image: Any, /, **options: Any) -> Any:
        """Logits float32 [B, H, W, K], or [B, K] of a classifier; with features=True (logits, {name: map})."""
        ...


def digest_of(*parts: object) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the parts' text, each ended by a line feed."""
    return hashlib.sha256("".join(f"{part}\n" for part in parts).encode()).hexdigest()[:16]


class InputError(ValueError):
    """Something the user gave is wrong; the message names the field or file and the remedy."""


def check_least(owner: object, **least: int) -> None:
    """Refuse numbers that are too small or not finite.

    Args:
        owner: whose fields they are; each is a number or several.
        least: by field: the least that it may be.

    Raises:
        InputError: names the field and what it may be.
    """
    for name, lowest in least.items():
        given = getattr(owner, name)
        for number in given if isinstance(given, tuple | list) else (given,):
            if not isinstance(number, int | float | np.number) or isinstance(number, bool):
                raise InputError(f"{name} must be a number of at least {lowest}, not {number!r}")
            if not lowest <= number < float("inf"):
                raise InputError(f"{name} must be at least {lowest}, not {number:g}")
