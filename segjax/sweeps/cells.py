"""A study's grid as a list of cells."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


def fingerprint(facts: Mapping[str, object]) -> str:
    """16 hexadecimal digits that change when any of the facts does; facts must be plain JSON values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
