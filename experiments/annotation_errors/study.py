"""Training and testing the cells of the study."""

import dataclasses
import functools
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

import segjax
from experiments.annotation_errors.config import StudyConfig, make_cells, recipe_of
from experiments.annotation_errors.pictures import Domain, Study, split_of, training_pictures
from segjax.data import Split
from segjax.evaluation import counts, dice, picture_metrics
from segjax.models import create
from segjax.sweeps import Cell, Outcome, fingerprint, in_words
from segjax.training import Steps, fit, make_steps, predict

STUDY = "annotation_errors"
FACTORS = ("data", "network", "seed", "error", "level")
SHOWN = 3  # test pictures whose predictions are kept for the report


def plan_of(config: StudyConfig, study: Study, cells: list[Cell]) -> dict[str, Any]:
    """What `plan.json` holds; its fingerprint covers what decides a cell's numbers besides its place in the grid."""
    resolved = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    grid = ("out", "networks", "errors", "levels", "seeds", "scale", "share", "plan", "resume")
    facts = {
        **{name: value for name, value in resolved.items() if name not in grid},
        "digest": study.plain.source.digest,
        "segjax": segjax.__version__,
    }
    if study.with_foreign is not None:
        facts["digest of pictures with foreign objects"] = study.with_foreign.source.digest
    return {
        "study": STUDY,
        "fingerprint": fingerprint(facts),
        "facts": facts,
        "config": resolved,
        "versions": {name: version(name) for name in ("jax", "flax", "optax", "numpy")}
        | {"python": platform.python_version()},
        "machine": f"{platform.machine()}, {jax.device_count()} {jax.devices()[0].device_kind} device(s)",
        "cells": [dict(cell.factors) for cell in cells],
    }


def cells_of(config: StudyConfig, study: Study) -> list[Cell]:
    """Every cell of the study."""
    return make_cells(config, study.has_own_foreign)


def network_of(config: StudyConfig, name: str, domain: Domain) -> Any:
    """The network of a cell; MSD is given the mean and deviation of the pictures, as published."""
    options = config.sizes.options(name)
    if name == "msd":
        channels = tuple(range(domain.images.ndim - 1))
        options["input_mean"] = tuple(float(value) for value in domain.images.mean(channels))
        options["input_std"] = tuple(float(max(value, 1e-6)) for value in domain.images.std(channels))
    return create(name, **options)


class Trainer:
    """Runs cells of one study; each network is compiled once per kind of pictures."""

    def __init__(self, config: StudyConfig, study: Study) -> None:
        self._config, self._study = config, study
        self._steps = functools.cache(self._make_steps)

    def _make_steps(self, network: str) -> Steps:
        return make_steps(network_of(self._config, network, self._study.plain), self._config.train)

    def run(self, cells: Sequence[Cell], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Degrade, train, test the one cell of a pack; rows of results.csv and a line for people."""
        (cell,) = cells
        yield 0, self._run_one(cell, on_share)

    def _run_one(self, cell: Cell, on_share: Callable[[float], None]) -> Outcome:
        config, network, seed, error, level = self._config, *(cell[name] for name in FACTORS[1:])
        domain = self._study.domain(error)
        split = split_of(domain, config, seed)
        keep_split(config.out / "splits" / f"seed-{seed}.json", split, domain)
        recipe = recipe_of(config, error, level, domain.source.coarsening)
        train, validation, label_dice = training_pictures(domain, split, recipe, seed)
        steps = self._steps(network)
        began = time.monotonic()
        name = f"{network}-{error}-{level:g}-{seed}"
        checkpoints = config.out / "checkpoints" / name
        result = fit(
            jax.random.key(seed), steps, train, validation, config.train, checkpoints=checkpoints, on_epoch=on_share
        )
        shutil.rmtree(checkpoints, ignore_errors=True)
        seconds = time.monotonic() - began
        test = np.asarray(split.test)
        predicted = predict(steps, result.variables, domain.images[test]) > 0
        if seed == 0:
            shown = test[np.linspace(0, len(test) - 1, min(SHOWN, len(test))).astype(int)]
            keep_predictions(config.out / "predictions" / f"{name}.npz", shown, predicted[np.searchsorted(test, shown)])
        rows, pooled = rows_of(predicted, domain, test, config.tolerance)
        rows += [{"metric": "dice_pooled", "value": pooled}, {"metric": "label_dice", "value": label_dice}]
        epochs = f"{len(result.losses)} epochs, {in_words(seconds)}"
        return Outcome(rows, result.status, result.restarts, f"Dice {pooled:.3f} ({result.status}, {epochs})")


def rows_of(
    predicted: np.ndarray, domain: Domain, test: np.ndarray, tolerance: float
) -> tuple[list[dict[str, object]], float]:
    """Metrics of every test picture as rows, and the pooled Dice."""
    rows: list[dict[str, object]] = []
    for mask, index in zip(predicted, test, strict=True):
        for metric, value in picture_metrics(mask, domain.labels[index], tolerance).items():
            rows.append({"picture": domain.source.names[index], "metric": metric, "value": f"{value:.6g}"})
    return rows, float(dice(counts(predicted, domain.labels[test] > 0).pooled()))


def keep_split(path: Path, split: Split, domain: Domain) -> None:
    """The split of a seed on disk; pictures with foreign objects pasted in are divided like the plain ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    split.write(path, domain.source)


def keep_predictions(path: Path, indices: np.ndarray, masks: np.ndarray) -> None:
    """Predicted masks of a few test pictures, for the report's gallery."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, indices=indices, masks=masks)


def estimate(config: StudyConfig, study: Study, cells: list[Cell]) -> tuple[float, float]:
    """Seconds and megabytes that the cells will take, from a few timed steps of every network on blank pictures."""
    seconds = 0.0
    split = split_of(study.plain, config, 0)
    images = study.plain.images[: config.train.batch_size]
    targets = np.zeros(images.shape[:3], np.int32)
    per_epoch = -(-len(split.train) // config.train.batch_size)
    for network in config.networks:
        steps = make_steps(network_of(config, network, study.plain), config.train)
        began = time.monotonic()
        state, loss = steps.train(steps.init(jax.random.key(0), images), images, targets)
        loss.block_until_ready()
        compiling = time.monotonic() - began
        began = time.monotonic()
        for _ in range(3):
            state, loss = steps.train(state, images, targets)
        loss.block_until_ready()
        step = (time.monotonic() - began) / 3
        validation = step / 3 * len(split.validation) / config.train.batch_size  # a forward pass is a third of a step
        count = sum(cell["network"] == network for cell in cells)
        seconds += compiling + count * config.train.epochs * (per_epoch * step + validation)
    rows = len(cells) * (7 * len(split.test) + 3)
    predictions = len(cells) / config.seeds * SHOWN * images[0, ..., 0].size / 50
    return seconds, (rows * 80 + predictions) / 1e6
