"""Arrays of a few pictures that trials leave for the page: kept and found again by trial."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from segjax.files import PATIENCE, Damaged, set_aside
from segjax.models.weights import load_weights, save_weights
from segjax.sweeps import Trial
from segjax.sweeps.trials import file_stem
from segjax.types import InputError

SHOWN = 3  # pictures
ORDER = {"order": "by score"}  # kept with the arrays: earlier versions kept the first pictures, whatever their scores
RANKS = {0: (), 1: ("the only one",), 2: ("worst", "best"), SHOWN: ("worst", "median", "best")}


@dataclass(frozen=True)
class Examples:
    """Those of one run, in its folder."""

    folder: Path

    def keep(self, trial: Trial, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a trial's arrays."""
        save_weights(self._path(trial), arrays, ORDER, PATIENCE)

    def load(self, trial: Trial) -> dict[str, np.ndarray] | None:
        """A trial's arrays; None where it left none, or an earlier version left them.

        A damaged file is set aside with a warning; then there are none either.
        """
        path = self._path(trial)
        if not path.exists():
            return None
        try:
            kept = load_weights(path, is_ours=True)
            return kept.variables if kept.facts == ORDER else None
        except InputError as error:
            if not path.exists():  # another process has set it aside just now
                return None
            if not isinstance(error, Damaged):
                raise
            warnings.warn(f"{error}; it is kept as {set_aside(path)}; the page lacks its pictures", stacklevel=2)
            return None

    def cautions(self) -> list[str]:
        """What the page says about examples that were damaged."""
        return [f"Example pictures are missing: {path} is damaged." for path in sorted(self.folder.glob("*.damaged*"))]

    def _path(self, trial: Trial) -> Path:
        return self.folder / f"{file_stem(trial)}.safetensors"


def places_shown(scores: ArrayLike) -> Int[np.ndarray, " S"]:
    """Places of the worst, the median and the best of some pictures, by a score of each; NaN counts as the worst."""
    order = np.argsort(np.nan_to_num(np.asarray(scores, float), nan=-np.inf), kind="stable")
    return order[np.unique(np.linspace(0, max(len(order) - 1, 0), min(SHOWN, len(order))).astype(int))]


def ranks_shown(count: int) -> tuple[str, ...]:
    """What the pictures of `places_shown` are, in its order, where there are so many."""
    return RANKS[count]
