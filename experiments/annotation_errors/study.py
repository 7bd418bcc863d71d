"""Training and testing the cells of the study."""

import dataclasses
import functools
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from experiments.annotation_errors.config import StudyConfig, make_cells, recipe_of
from experiments.annotation_errors.pictures import Study, training_pictures
from experiments.pictures import Domain, split_of
from experiments.running import plan_of
from experiments.training import (
    SHOWN,
    Layouts,
    blank_pictures,
    keep_arrays,
    keep_split,
    network_of,
    rows_of,
    seconds_of,
    shown_of,
)
from segjax.data import Split
from segjax.sweeps import Cell, Outcome
from segjax.training import Fit, Member, Steps, fit_pack, make_steps, predict

STUDY = "annotation_errors"
FACTORS = ("data", "network", "seed", "error", "level")


def make_plan(config: StudyConfig, study: Study, cells: list[Cell]) -> dict[str, Any]:
    """What `plan.json` holds."""
    digests = {"digest": study.plain.source.digest}
    if study.with_foreign is not None:
        digests["digest of pictures with foreign objects"] = study.with_foreign.source.digest
    return plan_of(STUDY, config, cells, digests, grid=("errors", "levels"))


def cells_of(config: StudyConfig, study: Study) -> list[Cell]:
    """Every cell of the study."""
    return make_cells(config, study.has_own_foreign)


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
        self._layouts = Layouts(config)

    def _make_steps(self, network: str) -> Steps:
        return make_steps(network_of(self._config.sizes, network, self._study.plain), self._config.train.step)

    def run(self, cells: Sequence[Cell], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Degrade, train, test the cells of one network; rows of results.csv and a line for people, as each ends."""
        shares = [0.0] * len(cells)

        def reached(index: int, share: float) -> None:
            shares[index] = share
            on_share(sum(shares) / len(shares))

        jobs = [self._job(cell, functools.partial(reached, index)) for index, cell in enumerate(cells)]
        network = cells[0]["network"]
        steps, members = self._steps(network), [job.member for job in jobs]
        layout = self._layouts.of(network, steps, members)
        for index, result in fit_pack(members, steps, self._config.train.loop, layout):
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

    def _outcome(self, job: Job, steps: Steps, result: Fit) -> Outcome:
        test = np.asarray(job.split.test)
        predicted = predict(steps, result.variables, job.domain.images[test]) > 0
        if job.cell["seed"] == 0:
            shown = shown_of(test)
            path = self._config.out / "predictions" / f"{job.name}.npz"
            keep_arrays(path, indices=test[shown], masks=predicted[shown])
        rows, pooled = rows_of(predicted, job.domain, test, self._config.tolerance)
        rows += [{"metric": "dice_pooled", "value": pooled}, {"metric": "label_dice", "value": job.label_dice}]
        assert job.member.checkpoints is not None
        shutil.rmtree(job.member.checkpoints, ignore_errors=True)
        summary = f"Dice {pooled:.3f} ({result.status}, {len(result.losses)} epochs)"
        return Outcome(rows, result.status, result.restarts, summary)


def estimate(config: StudyConfig, study: Study, cells: Sequence[Cell]) -> tuple[float, float]:
    """Seconds and megabytes that the cells will take, from a few timed steps of every network on blank pictures."""
    seconds = 0.0
    split = split_of(study.plain, config, 0)
    blank = blank_pictures(study.plain, config.train.loop)
    for network in config.networks:
        count = sum(cell["network"] == network for cell in cells)
        steps = make_steps(network_of(config.sizes, network, study.plain), config.train.step)
        seconds += seconds_of(config, count, steps, blank, len(split.train), len(split.validation))
    rows = len(cells) * (7 * len(split.test) + 3)
    predictions = len(cells) / config.seeds * SHOWN * blank.images[0, ..., 0].size / 50
    return seconds, (rows * 80 + predictions) / 1e6
