"""Training and testing the cells of the study."""

import dataclasses
import functools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

import segjax
from experiments.annotation_errors.config import Sizes, StudyConfig, make_cells, recipe_of
from experiments.annotation_errors.pictures import Domain, Study, split_of, training_pictures
from experiments.provenance import commit, machine
from segjax.data import Split
from segjax.evaluation import counts, dice, picture_metrics
from segjax.models import create
from segjax.sweeps import Cell, Outcome, fingerprint
from segjax.training import (
    Fit,
    Layout,
    Member,
    Pictures,
    Steps,
    candidate_layouts,
    fit_pack,
    layout_of,
    make_steps,
    predict,
    time_layouts,
)

STUDY = "annotation_errors"
FACTORS = ("data", "network", "seed", "error", "level")
SHOWN = 3  # test pictures whose predictions are kept for the report


def plan_of(config: StudyConfig, study: Study, cells: list[Cell]) -> dict[str, Any]:
    """What `plan.json` holds; its fingerprint covers what decides a cell's numbers besides its place in the grid."""
    resolved = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    grid = ("out", "networks", "errors", "levels", "seeds", "scale", "share", "plan", "resume", "pack", "strategy")
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
        "versions": {name: version(name) for name in ("jax", "flax", "optax", "numpy")},
        "machine": machine(),
        "commit": commit(),
        "cells": [dict(cell.factors) for cell in cells],
    }


def cells_of(config: StudyConfig, study: Study) -> list[Cell]:
    """Every cell of the study."""
    return make_cells(config, study.has_own_foreign)


def network_of(sizes: Sizes, name: str, domain: Domain) -> Any:
    """A network for these pictures; MSD is given their mean and deviation, as published."""
    options = sizes.options(name)
    if name == "msd":
        channels = tuple(range(domain.images.ndim - 1))
        options["input_mean"] = tuple(float(value) for value in domain.images.mean(channels))
        options["input_std"] = tuple(float(max(value, 1e-6)) for value in domain.images.std(channels))
    return create(name, **options)


@dataclass(frozen=True, eq=False)
class Job:
    """A cell made ready: its pictures, and the training that it asks for."""

    cell: Cell
    domain: Domain
    split: Split
    label_dice: float
    member: Member

    @property
    def name(self) -> str:
        """Stem of the cell's files."""
        network, seed, error, level = (self.cell[factor] for factor in FACTORS[1:])
        return f"{network}-{error}-{level:g}-{seed}"


class Trainer:
    """Runs packs of cells of one study; each network is compiled once."""

    def __init__(self, config: StudyConfig, study: Study) -> None:
        self._config, self._study = config, study
        self._steps = functools.cache(self._make_steps)
        self._layouts: dict[str, Layout] = {}

    def _make_steps(self, network: str) -> Steps:
        return make_steps(network_of(self._config.sizes, network, self._study.plain), self._config.train)

    def run(self, cells: Sequence[Cell], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Degrade, train, test the cells of one network; rows of results.csv and a line for people, as each ends."""
        shares = [0.0] * len(cells)

        def reached(index: int, share: float) -> None:
            shares[index] = share
            on_share(sum(shares) / len(shares))

        jobs = [self._job(cell, functools.partial(reached, index)) for index, cell in enumerate(cells)]
        network = cells[0]["network"]
        steps, members = self._steps(network), [job.member for job in jobs]
        for index, result in fit_pack(members, steps, self._config.train, self._layout(network, steps, members)):
            yield index, self._outcome(jobs[index], steps, result)

    def _job(self, cell: Cell, on_epoch: Callable[[float], None]) -> Job:
        config, _, seed, error, level = self._config, *(cell[name] for name in FACTORS[1:])
        domain = self._study.domain(error)
        split = split_of(domain, config, seed)
        keep_split(config.out / "splits" / f"seed-{seed}.json", split, domain)
        recipe = recipe_of(config, error, level, domain.source.coarsening)
        train, validation, label_dice = training_pictures(domain, split, recipe, seed)
        job = Job(cell, domain, split, label_dice, Member(jax.random.key(seed), train, validation, on_epoch=on_epoch))
        checkpoints = config.out / "checkpoints" / job.name
        return dataclasses.replace(job, member=dataclasses.replace(job.member, checkpoints=checkpoints))

    def _layout(self, network: str, steps: Steps, members: Sequence[Member]) -> Layout:
        """The layout asked for or, once per network, the fastest one, with its timings written beside the results."""
        if self._config.strategy != "auto":
            return layout_of(self._config.strategy, len(members))
        if network not in self._layouts:
            layouts = candidate_layouts(len(members))
            seconds = time_layouts(members, steps, self._config.train, layouts) if len(layouts) > 1 else {}
            chosen = min(seconds, key=seconds.__getitem__, default=next(iter(layouts)))
            self._layouts[network] = layouts[chosen]
            keep_choice(self._config.out / "packs" / f"{network}.json", chosen, len(members), seconds)
        return self._layouts[network]

    def _outcome(self, job: Job, steps: Steps, result: Fit) -> Outcome:
        test = np.asarray(job.split.test)
        predicted = predict(steps, result.variables, job.domain.images[test]) > 0
        if job.cell["seed"] == 0:
            shown = test[np.linspace(0, len(test) - 1, min(SHOWN, len(test))).astype(int)]
            path = self._config.out / "predictions" / f"{job.name}.npz"
            keep_predictions(path, shown, predicted[np.searchsorted(test, shown)])
        rows, pooled = rows_of(predicted, job.domain, test, self._config.tolerance)
        rows += [{"metric": "dice_pooled", "value": pooled}, {"metric": "label_dice", "value": job.label_dice}]
        assert job.member.checkpoints is not None
        shutil.rmtree(job.member.checkpoints, ignore_errors=True)
        summary = f"Dice {pooled:.3f} ({result.status}, {len(result.losses)} epochs)"
        return Outcome(rows, result.status, result.restarts, summary)


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


def keep_choice(path: Path, strategy: str, pack: int, seconds: dict[str, float]) -> None:
    """How the packs of a network are laid out, and what was measured for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"strategy": strategy, "pack": pack, "seconds per member and step": seconds}) + "\n")


def estimate(config: StudyConfig, study: Study, cells: list[Cell]) -> tuple[float, float]:
    """Seconds and megabytes that the cells will take, from a few timed steps of every network on blank pictures."""
    seconds = 0.0
    split = split_of(study.plain, config, 0)
    images = study.plain.images[: config.train.batch_size]
    blank = Pictures(images, np.zeros(images.shape[:3], np.int32))
    per_epoch = -(-len(split.train) // config.train.batch_size)
    for network in config.networks:
        count = sum(cell["network"] == network for cell in cells)
        members = [Member(jax.random.key(0), blank, blank)] * min(config.pack, max(count, 1))
        steps = make_steps(network_of(config.sizes, network, study.plain), config.train)
        layouts = candidate_layouts(len(members))
        if config.strategy != "auto":
            layouts = {str(config.strategy): layout_of(config.strategy, len(members))}
        began = time.monotonic()
        step = min(time_layouts(members, steps, config.train, layouts).values())
        timing = time.monotonic() - began
        validation = step / 3 * len(split.validation) / config.train.batch_size  # a forward pass is a third of a step
        seconds += timing + count * config.train.epochs * (per_epoch * step + validation)
    rows = len(cells) * (7 * len(split.test) + 3)
    predictions = len(cells) / config.seeds * SHOWN * images[0, ..., 0].size / 50
    return seconds, (rows * 80 + predictions) / 1e6
