"""A study's grid as a list of cells, and the share of it that one of several processes takes."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segjax.types import InputError

Factor = str | int | float


@dataclass(frozen=True)
class Cell:
    """One point of a grid: the value of every factor, in the order of the result columns."""

    factors: tuple[tuple[str, Factor], ...]

    def __getitem__(self, name: str) -> Any:
        return dict(self.factors)[name]

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in self.factors
        )


def cell(**factors: Factor) -> Cell:
    """A cell from its factors; numbers with a fraction part and without compare equal (0 and 0.0)."""
    return Cell(tuple(factors.items()))


def share_of(cells: Sequence[Cell], share: str) -> list[Cell]:
    """Every N-th cell, for one of N processes: the shares "1/N" to "N/N" hold each cell exactly once.

    Raises:
        InputError: `share` is not I/N with I from 1 to N.
    """
    parts = re.fullmatch(r"(\d+)/(\d+)", share)
    number, count = (int(part) for part in parts.groups()) if parts else (0, 0)
    if not 1 <= number <= count:
        raise InputError(f"share: {share!r} is not I/N with I from 1 to N; the second of eight shares is 2/8")
    return list(cells[number - 1 :: count])


def fingerprint(facts: Mapping[str, object]) -> str:
    """16 hexadecimal digits that change when any of the facts does; facts must be plain JSON values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
