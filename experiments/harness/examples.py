"""Arrays of a few pictures that trials leave for the page: kept and found again by trial."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segjax.files import write_file
from segjax.sweeps import Trial, file_stem

SHOWN = 3  # pictures


@dataclass(frozen=True)
class Examples:
    """Those of one run, in its folder."""

    folder: Path

    def keep(self, trial: Trial, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a trial's arrays."""
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # names of arrays, not of options
        write_file(self._path(trial), content.getvalue())

    def load(self, trial: Trial) -> dict[str, np.ndarray] | None:
        """A trial's arrays; None where it left none, or the file is damaged."""
        try:
            with self._path(trial).open("rb") as file, np.load(file) as kept:  # np.load leaves damaged files open
                return dict(kept)
        except Exception:  # a damaged archive raises nearly anything, of zipfile, zlib, lzma and NumPy
            return None

    def _path(self, trial: Trial) -> Path:
        return self.folder / f"{file_stem(trial)}.npz"


def places_shown(count: int) -> np.ndarray:
    """Evenly spread positions of the few among `count` pictures that are kept."""
    return np.linspace(0, count - 1, min(SHOWN, count)).astype(int)
