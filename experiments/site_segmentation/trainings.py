"""Networks that segment, trained on what each cell says."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from experiments.classifiers import Classifiers, LabelledDomain
from experiments.kept_trainings import Job, KeptTrainings
from experiments.site_segmentation.config import StudyConfig
from experiments.site_segmentation.grid import MAPS, OUTLINES, kind_of
from experiments.site_segmentation.labels import Labels
from experiments.training import network_of
from segjax.evaluation import counts, dice
from segjax.sweeps import Cell
from segjax.training import Pictures, Steps, make_steps
from segjax.types import IGNORED, InputError

VALIDATING = 4  # outlined sites to learn from for each one that chooses the best epoch


class Sides(NamedTuple):
    """Pictures of a cell, as indices: with and without a site, to learn from and to choose the best epoch by."""

    train: tuple[int, ...]
    train_without: tuple[int, ...]
    validation: tuple[int, ...]
    validation_without: tuple[int, ...]


class Segmentations(KeptTrainings):
    """Networks that segment of one study by their cells."""

    def __init__(self, config: StudyConfig, domain: LabelledDomain, classifiers: Classifiers) -> None:
        """`classifiers` must be trained before a cell that needs them is."""
        super().__init__(config, kind_of)
        self._config, self._domain = config, domain
        self.labels, self.split = Labels(config, domain, classifiers), classifiers.split
        self.network = functools.cache(lambda name: network_of(config.sizes, name, domain))

    def make_steps(self, kind: str) -> Steps:
        """Those of the network."""
        return make_steps(self.network(kind), self._config.train.step)

    def sides(self, cell: Cell) -> Sides:
        """Which pictures a cell's network sees; fewer outlined sites are among those of more."""
        domain, split = self._domain, self.split(cell["seed"])
        generator = np.random.default_rng([cell["seed"], 4])
        shown = {}
        for side in ("train", "validation"):
            indices = list(getattr(split, side))
            labelled = [index for index in indices if domain.presence[index]]
            usable = labelled if cell["method"] == MAPS else domain.with_object(indices)
            shown[side] = [usable[place] for place in generator.permutation(len(usable))]
        if cell["method"] == OUTLINES and cell["outlines"]:
            count = cell["outlines"]
            shown["train"] = shown["train"][:count]
            shown["validation"] = shown["validation"][: max(1, count // VALIDATING)]
        without = domain.without(split.validation)[: len(shown["validation"])]
        return Sides(
            tuple(shown["train"]), tuple(domain.without(split.train)), tuple(shown["validation"]), tuple(without)
        )

    def job(self, cell: Cell) -> Job:
        """The training of a cell made ready."""
        sides = self.sides(cell)
        half = self._config.epoch_pictures // 2
        rows = [*np.resize(sides.train, self._config.epoch_pictures - half), *np.resize(sides.train_without, half)]
        masks = self.labels.masks(cell, sides.train)
        facts = {"label_dice": pooled_dice(masks, self._domain.labels[list(sides.train)] > 0)}
        facts["marked"] = float(np.mean(masks.any((1, 2))))
        learnt = Pictures(self._domain.images[rows], self._targets(cell, rows))
        checked = [*sides.validation, *sides.validation_without]
        return Job(cell, learnt, Pictures(self._domain.images[checked], self._targets(cell, checked)), facts)

    def _targets(self, cell: Cell, indices: Sequence[int]) -> Int32[np.ndarray, "P H W"]:
        """1 where a site is marked; a picture with a site in which nothing is marked is ignored."""
        distinct = list(dict.fromkeys(int(index) for index in indices))
        masks = dict(zip(distinct, self.labels.masks(cell, distinct), strict=True))
        targets = np.stack([masks[int(index)] for index in indices]).astype(np.int32)
        unknown = (self._domain.presence[list(indices)] == 1) & ~targets.any((1, 2))
        targets[unknown] = IGNORED
        return targets


def check_counts(config: StudyConfig, domain: LabelledDomain, trainings: Segmentations, cells: Sequence[Cell]) -> None:
    """Refuse pictures without outlines to score on, and numbers of outlined sites that there are not.

    Raises:
        InputError: names the option and how many there are.
    """
    for seed in range(min(config.seeds, config.folds)):
        if not domain.with_object(trainings.split(seed).test):
            raise InputError(
                f"{config.data}: no test picture of seed {seed} has an outline to score on; give outlines (labels) of "
                "some pictures of every group"
            )
    for cell in cells:
        if cell["method"] in (OUTLINES, *config.methods) and cell["seed"] < config.folds:
            sides = trainings.sides(cell)
            if not (sides.train and sides.validation) or len(sides.train) < cell["outlines"]:
                raise InputError(
                    f"outlines: seed {cell['seed']} has {len(sides.train)} outlined pictures with a site to learn from "
                    f"and {len(sides.validation)} to choose the best epoch by; ask for fewer, or give more outlines"
                )


def pooled_dice(masks: Bool[np.ndarray, "P H W"], truth: Bool[np.ndarray, "P H W"]) -> float:
    """Dice of all pixels of some pictures together."""
    return float(dice(counts(masks, truth).pooled()))
