"""What trainings of every study need: networks for its pictures, layouts of packs, times, and files beside results."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.options import RunOptions, Sizes, StudyOptions
from experiments.pictures import Domain, PictureSet, split_of
from segjax.data import Split
from segjax.evaluation import counts, dice, picture_metrics
from segjax.models import create
from segjax.training import (
    Layout,
    LoopConfig,
    Member,
    Pictures,
    Steps,
    candidate_layouts,
    layout_of,
    time_layouts,
)

SHOWN = 3  # test pictures whose predictions are kept for the report


def network_of(sizes: Sizes, name: str, pictures: PictureSet, classes: int = 2) -> Any:
    """A network for these pictures; MSD is given their mean and deviation, as published."""
    options = {**sizes.options(name), "classes": classes}
    if name == "msd":
        channels = tuple(range(pictures.images.ndim - 1))
        options["input_mean"] = tuple(float(value) for value in pictures.images.mean(channels))
        options["input_std"] = tuple(float(max(value, 1e-6)) for value in pictures.images.std(channels))
    return create(name, **options)


def check_trainable(config: StudyOptions, pictures: PictureSet) -> None:
    """Refuse, before anything is written, pictures that a network cannot take and groups that cannot be divided.

    Raises:
        InputError: names the network or the option, and the remedy.
    """
    image = jax.ShapeDtypeStruct((1, *pictures.images.shape[1:]), np.float32)
    for name in config.networks:
        jax.eval_shape(network_of(config.sizes, name, pictures).init, jax.random.key(0), image)
    for seed in range(min(config.seeds, config.folds)):
        split_of(pictures, config, seed)


class Layouts:
    """How packs are laid out: as asked for or, timed once for each kind of steps, the fastest way."""

    def __init__(self, config: RunOptions) -> None:
        self._config = config
        self._chosen: dict[str, Layout] = {}

    def of(self, kind: str, steps: Steps, members: Sequence[Member]) -> Layout:
        """The layout of a pack; timings are written to `OUT/packs/KIND.json`."""
        if self._config.strategy != "auto":
            return layout_of(self._config.strategy, len(members))
        if kind not in self._chosen:
            layouts = candidate_layouts(len(members))
            seconds = time_layouts(members, steps, self._config.train.loop, layouts) if len(layouts) > 1 else {}
            fastest = min(seconds, key=seconds.__getitem__, default=next(iter(layouts)))
            self._chosen[kind] = layouts[fastest]
            _keep_choice(self._config.out / "packs" / f"{kind}.json", fastest, len(members), seconds)
        return self._chosen[kind]


def seconds_of(config: RunOptions, count: int, steps: Steps, blank: Pictures, train: int, validation: int) -> float:
    """Seconds that some trainings of one kind will take, from a few timed steps on blank pictures.

    Args:
        count: how many trainings.
        blank: one batch.
        train, validation: pictures per epoch.
    """
    members = [Member(jax.random.key(0), blank, blank)] * min(config.pack, max(count, 1))
    layouts = candidate_layouts(len(members))
    if config.strategy != "auto":
        layouts = {str(config.strategy): layout_of(config.strategy, len(members))}
    began = time.monotonic()
    step = min(time_layouts(members, steps, config.train.loop, layouts).values())
    timing = time.monotonic() - began
    batches = -(-train // config.train.loop.batch_size)
    checking = step / 3 * validation / config.train.loop.batch_size  # a forward pass is a third of a step
    return timing + count * config.train.loop.epochs * (batches * step + checking)


def blank_pictures(pictures: PictureSet, config: LoopConfig) -> Pictures:
    """One batch with nothing annotated."""
    images = pictures.images[: config.batch_size]
    return Pictures(images, np.zeros(images.shape[:3], np.int32))


def rows_of(
    predicted: np.ndarray, domain: Domain, test: np.ndarray, tolerance: float
) -> tuple[list[dict[str, object]], float]:
    """Metrics of every test picture as rows, and the pooled Dice; pixels that nobody judged count as background."""
    predicted = predicted & ~domain.ignored[test]
    rows: list[dict[str, object]] = []
    for mask, index in zip(predicted, test, strict=True):
        for metric, value in picture_metrics(mask, domain.labels[index], tolerance).items():
            rows.append({"picture": domain.source.names[index], "metric": metric, "value": f"{value:.6g}"})
    return rows, float(dice(counts(predicted, domain.labels[test] > 0).pooled()))


def shown_of(test: np.ndarray) -> np.ndarray:
    """Positions of the few test pictures whose predictions are kept."""
    return np.linspace(0, len(test) - 1, min(SHOWN, len(test))).astype(int)


def keep_split(path: Path, split: Split, pictures: PictureSet) -> None:
    """The split of a seed on disk; pictures with foreign objects pasted in are divided like the plain ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    split.write(path, pictures.source)


def keep_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Arrays on disk, such as the predicted masks of a few test pictures for the report's gallery."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # names of arrays, not of options


def _keep_choice(path: Path, strategy: str, pack: int, seconds: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"strategy": strategy, "pack": pack, "seconds per member and step": seconds}) + "\n")
