"""Rungs of the ladder in studies: fitted to a trial's own annotated pictures, and measured like its networks."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int

from experiments.harness.ladder_options import is_rung
from experiments.harness.store import Job
from segjax.classical import LADDER, create_baseline
from segjax.classical.baseline import Baseline
from segjax.reports import Gallery
from segjax.reports.gallery import PREDICTION_LEGEND, prediction_look
from segjax.reports.words import network_name
from segjax.sweeps import ResultTable
from segjax.training import Pictures

_INDEX, _MASK = "strip_index", "strip_mask"  # of the examples that trials leave


@dataclass(frozen=True, eq=False)
class Fitted:
    """A rung that has seen a trial's annotated pictures."""

    baseline: Baseline
    fit: Any

    def probability(self, images: Float32[np.ndarray, "P H W C"]) -> Float32[np.ndarray, "P H W"]:
        """Of an object at every pixel of some pictures."""
        return 1 / (1 + np.exp(-self.baseline.apply(self.fit, images)[..., 1]))

    def masks(self, images: Float32[np.ndarray, "P H W C"]) -> Bool[np.ndarray, "P H W"]:
        """What it marks in some pictures."""
        return self.baseline.apply(self.fit, images).argmax(-1) > 0


def rungs_among(table: ResultTable[Any]) -> list[str]:
    """The rungs among the factors `network` of a table's trials, each once."""
    return list(dict.fromkeys(trial.network for trial in table.trials() if is_rung(trial.network)))


def fitted(name: str, seed: int, pictures: Pictures) -> Fitted:
    """A rung fitted to pictures with targets."""
    baseline = create_baseline(name)
    return Fitted(baseline, baseline.fit(seed, pictures.images, pictures.targets))


def fitted_to_job(name: str, seed: int, job: Job) -> Fitted:
    """A rung fitted to what a network would learn from and choose its best epoch by, each picture once."""
    sides = job.train, job.validation
    images, targets = (np.concatenate([side[place] for side in sides]) for place in (0, 1))
    first: dict[bytes, int] = {}
    for place, (image, target) in enumerate(zip(images, targets, strict=True)):
        first.setdefault(hashlib.sha256(image.tobytes() + target.tobytes()).digest(), place)
    kept = [*first.values()]
    return fitted(name, seed, Pictures(images[kept], targets[kept]))


def strip_example(
    test: Int[np.ndarray, " P"], masks: Bool[np.ndarray, "P H W"], truth: Bool[np.ndarray, "P H W"]
) -> dict[str, np.ndarray]:
    """What a trial keeps for the strip: its mask of the test picture with the median number of true pixels."""
    place = int(np.argsort(truth.sum((1, 2)), kind="stable")[len(truth) // 2])
    return {_INDEX: test[place : place + 1], _MASK: masks[place : place + 1]}


def strip_gallery(kept: Mapping[str, Mapping[str, np.ndarray] | None], images: Any, labels: Any) -> Gallery | None:
    """One test picture as every rung and network sees it; None where no rung left it.

    Args:
        kept: examples by the network or rung that left them.
        images, labels: of all pictures of the study.
    """
    shown = {name: arrays for name, arrays in kept.items() if arrays and _INDEX in arrays}
    if not any(map(is_rung, shown)):
        return None
    order = sorted(shown, key=lambda name: [*LADDER].index(name) if is_rung(name) else len(LADDER))
    looks = []
    for name in order:
        index = int(shown[name][_INDEX][0])
        looks.append(prediction_look(network_name(name), images[index], labels[index], shown[name][_MASK][0]))
    caption = "One test picture of seed 0, with a middling number of true pixels, after learning from clean labels."
    steps = ("picture", "ground truth", "prediction")
    return Gallery("From thresholds to networks", caption, steps, PREDICTION_LEGEND, {"": looks})
