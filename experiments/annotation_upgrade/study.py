"""Measuring the cells of the study on the networks they rest on."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from experiments.annotation_upgrade.annotations import Annotations
from experiments.annotation_upgrade.config import StudyConfig
from experiments.annotation_upgrade.grid import UPGRADE, kind_of, needs_of, training_of, upgrader_of
from experiments.annotation_upgrade.trainings import Trainings, pooled_dice
from experiments.kept_trainings import Trained, name_of
from experiments.pictures import Domain
from experiments.running import plan_of
from experiments.training import SHOWN, blank_pictures, keep_arrays, keep_split, rows_of, seconds_of, shown_of
from segjax.sweeps import Cell, Outcome

STUDY = "annotation_upgrade"
# options that say which cells there are; what each cell depends on is among its factors
GRID = (
    "questions", "error", "errors", "careful", "careless", "careful_counts", "compare_at", "volumes", "imperfections",
    "budgets", "clean_shares", "rounds", "rivals",
)  # fmt: skip


def make_plan(config: StudyConfig, domain: Domain, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `plan.json` holds."""
    return plan_of(STUDY, config, cells, {"digest": domain.source.digest}, grid=GRID)


class Trainer:
    """Runs packs of cells of one study."""

    def __init__(self, config: StudyConfig, domain: Domain, cells: Sequence[Cell]) -> None:
        """`cells` are all of the study: networks that none of them needs any more are not kept."""
        self._config, self._domain = config, domain
        self.trainings = Trainings(config, domain)
        trained = [training_of(cell) for cell in cells]
        # an upgrade network serves several cells, and a network that others need outlives its own cell
        self._kept = {cell for cell in trained if cell["method"] == UPGRADE}
        self._kept |= {need for cell in trained for need in needs_of(cell)}

    def run(self, cells: Sequence[Cell], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Train what the cells need, and measure each: rows of results.csv and a line for people."""
        for seed in {cell["seed"] for cell in cells}:
            split = self.trainings.annotations(seed).split
            keep_split(self._config.out / "splits" / f"seed-{seed}.json", split, self._domain)
        self.trainings.ensure([training_of(cell) for cell in cells], on_share)
        for index, cell in enumerate(cells):
            training = training_of(cell)
            trained = self.trainings.load(training)
            test = self.trainings.annotations(cell["seed"]).test
            measure = self._labels if cell["method"] == UPGRADE else self._segmentation
            yield index, measure(cell, trained, test)
            if training not in self._kept:
                self.trainings.drop(training)

    def _labels(self, cell: Cell, trained: Trained, test: np.ndarray) -> Outcome:
        """Careless annotations of the test pictures, before and after upgrading."""
        before = self.trainings.annotations(cell["seed"]).masks(cell["error"])[test]
        after = self.trainings.upgraded(upgrader_of(cell), test, before)
        label_dice = pooled_dice(before, self._domain.labels[test] > 0)
        rows, upgraded_dice = rows_of(after, self._domain, test, self._config.tolerance)
        rows += [{"metric": "label_dice", "value": label_dice}, {"metric": "upgraded_dice", "value": upgraded_dice}]
        self._show(cell, test, before=before, after=after)
        summary = f"Dice of labels {label_dice:.3f} -> {upgraded_dice:.3f} ({trained.status})"
        return Outcome(rows, trained.status, trained.restarts, summary)

    def _segmentation(self, cell: Cell, trained: Trained, test: np.ndarray) -> Outcome:
        """A segmentation network on the test pictures."""
        predicted = self.trainings.predicted(cell, test)
        rows, pooled = rows_of(predicted, self._domain, test, self._config.tolerance)
        rows += [{"metric": "dice_pooled", "value": pooled}]
        rows += [{"metric": metric, "value": value} for metric, value in trained.facts.items()]
        self._show(cell, test, after=predicted)
        return Outcome(rows, trained.status, trained.restarts, f"Dice {pooled:.3f} ({trained.status})")

    def _show(self, cell: Cell, test: np.ndarray, **masks: np.ndarray) -> None:
        """Keep a few masks of the first seed for the report's galleries."""
        if cell["seed"] == 0:
            shown = shown_of(test)
            path = self._config.out / "predictions" / f"{name_of(cell)}.npz"
            keep_arrays(path, indices=test[shown], **{name: mask[shown] for name, mask in masks.items()})


def estimate(config: StudyConfig, domain: Domain, cells: Sequence[Cell]) -> tuple[float, float]:
    """Seconds and megabytes that the cells will take, from a few timed steps of every kind on blank pictures."""
    trainings = Trainings(config, domain)
    trained: dict[Cell, None] = {}
    waiting = [training_of(cell) for cell in cells]
    while waiting:
        cell = waiting.pop()
        if cell not in trained:
            trained[cell] = None
            waiting += needs_of(cell)
    seconds = 0.0
    split = Annotations(config, domain, 0).split
    for kind in {kind_of(cell): None for cell in trained}:
        alike = [cell for cell in trained if kind_of(cell) == kind]
        steps = trainings.steps(kind)
        blank = blank_pictures(domain, config.train.loop)
        if alike[0]["method"] == UPGRADE:
            blank = trainings.upgrade_pictures(alike[0], split.train[: config.train.loop.batch_size], 1)
        train = max(config.epoch_pictures, *(cell["total"] for cell in alike))
        validation = max(1, round(config.careful / 5))
        seconds += seconds_of(config, len(alike), steps, blank, train, validation)
    rows = len(cells) * (7 * len(split.test) + 4)
    predictions = len(cells) / config.seeds * SHOWN * domain.images[0, ..., 0].size / 25
    return seconds, (rows * 120 + predictions) / 1e6
