"""Measuring the cells of the study: masks made of maps, and networks that segment."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float32

from experiments.classifiers import Classifiers, LabelledDomain
from experiments.kept_trainings import name_of
from experiments.running import plan_of
from experiments.site_segmentation.config import StudyConfig
from experiments.site_segmentation.files import write_sites
from experiments.site_segmentation.grid import MASKS, classifier_in, kind_of
from experiments.site_segmentation.trainings import Segmentations, pooled_dice
from experiments.training import blank_pictures, keep_arrays, keep_split, rows_of, seconds_of, shown_of
from segjax.data.geofiles import missing_packages
from segjax.evaluation import mean_roc_auc, outline_metrics
from segjax.maps import tidied
from segjax.sweeps import Cell, Outcome
from segjax.training import predict_logits

STUDY = "site_segmentation"
# options that only say which cells there are; what each depends on is among its factors
GRID = ("classifiers", "maps", "rules", "completions", "trained", "outlines", "methods")
ROWS_OF_A_PICTURE = 14


def make_plan(config: StudyConfig, domain: LabelledDomain, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `plan.json` holds."""
    return plan_of(STUDY, config, cells, {"digest": domain.source.digest}, grid=GRID)


def classifiers_of(config: StudyConfig, domain: LabelledDomain) -> Classifiers:
    """The study's classifiers, trained as `classify` says."""
    return Classifiers(dataclasses.replace(config, train=config.classify), domain)


class Trainer:
    """Runs packs of cells of one study."""

    def __init__(self, config: StudyConfig, domain: LabelledDomain) -> None:
        """Nothing is computed before cells are run."""
        self._config, self._domain = config, domain
        self.classifiers = classifiers_of(config, domain)
        self.trainings = Segmentations(config, domain, self.classifiers)
        self._auc = functools.cache(self._make_auc)

    def run(self, cells: Sequence[Cell], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Train what the cells need, and measure each: rows of results.csv and a line for people."""
        for seed in {cell["seed"] for cell in cells}:
            split = self.classifiers.split(seed)
            keep_split(self._config.out / "splits" / f"seed-{seed}.json", split, self._domain)
        needed = [one for cell in cells if (one := classifier_in(cell)) is not None]
        self.classifiers.ensure(needed, lambda share: on_share(share / 2))
        trained = [cell for cell in cells if cell["method"] != MASKS]
        self.trainings.ensure(trained, lambda share: on_share(0.5 + share / 2))
        for index, cell in enumerate(cells):
            yield index, self._masks(cell) if cell["method"] == MASKS else self._segmentation(cell)

    def _make_auc(self, classifier: Cell) -> float:
        """Area under the curve of a classifier on the test pictures."""
        test = list(self.classifiers.split(classifier["seed"]).test)
        network = self.classifiers.network(classifier["network"])
        logits = predict_logits(network, self.classifiers.load(classifier).variables, self._domain.images[test])
        return mean_roc_auc(logits, self._domain.presence[test])

    def _masks(self, cell: Cell) -> Outcome:
        """Masks made of maps: of training pictures, which networks learn from, and of test pictures with a site."""
        classifier, domain = classifier_in(cell), self._domain
        assert classifier is not None
        trained, split = self.classifiers.load(classifier), self.classifiers.split(cell["seed"])
        learnt, tested = (domain.with_object(side) for side in (split.train, split.test))
        label_dice = pooled_dice(self.trainings.labels.masks(cell, learnt), domain.labels[learnt] > 0)
        masks = self.trainings.labels.masks(cell, tested)
        rows = self._site_rows(masks, tested)
        rows += [
            {"metric": "label_dice", "value": label_dice},
            {"metric": "dice_pooled", "value": pooled_dice(masks, domain.labels[tested] > 0)},
            {"metric": "auc", "value": self._auc(classifier)},
        ]
        self._show(cell, np.asarray(tested), masks)
        said = f"Dice of the masks {label_dice:.3f} (classifier {trained.status})"
        return Outcome(rows, trained.status, trained.restarts, said)

    def _segmentation(self, cell: Cell) -> Outcome:
        """A network that segments, on all test pictures."""
        trained, domain = self.trainings.load(cell), self._domain
        test = np.asarray(self.classifiers.split(cell["seed"]).test)
        probability = self._probability(cell, trained.variables, domain.images[test])
        predicted = np.stack([tidied(one > 0.5, self._config.smallest) for one in probability])
        rows, pooled = rows_of(predicted, domain, test, self._config.tolerance)
        rows = [row for row in rows if row["metric"] in ("dice", "iou", "surface_dice")]
        is_shown = np.isin(test, domain.with_object(test.tolist()))
        rows += [
            row for row in self._site_rows(predicted[is_shown], test[is_shown].tolist()) if row["metric"] != "dice"
        ]
        empty = domain.presence[test] == 0
        rows += [
            {"metric": "dice_pooled", "value": pooled},
            {"metric": "false_alarms", "value": float(np.mean(predicted[empty].any((1, 2))))},
            *({"metric": metric, "value": value} for metric, value in trained.facts.items()),
        ]
        if (classifier := classifier_in(cell)) is not None:
            rows.append({"metric": "auc", "value": self._auc(classifier)})
        if cell["seed"] == 0:
            self._show(cell, test[is_shown], predicted[is_shown])
            if not missing_packages():
                write_sites(self._config.out / "sites" / name_of(cell), domain, test.tolist(), predicted, probability)
        return Outcome(rows, trained.status, trained.restarts, f"Dice {pooled:.3f} ({trained.status})")

    def _probability(
        self, cell: Cell, variables: Any, images: Float32[np.ndarray, "P H W C"]
    ) -> Float32[np.ndarray, "P H W"]:
        """Of a site, at every pixel."""
        logits = predict_logits(self.trainings.network(cell["network"]), variables, images)
        return np.asarray(jax.nn.softmax(logits)[..., 1])

    def _site_rows(self, masks: Bool[np.ndarray, "P H W"], indices: Sequence[int]) -> list[dict[str, object]]:
        """Outlines of pictures with a site, and whether anything of the site was found."""
        rows: list[dict[str, object]] = []
        for mask, index in zip(masks, indices, strict=True):
            truth = self._domain.labels[index] > 0
            values = outline_metrics(mask, truth, self._domain.metres)
            values = {"site_iou" if name == "iou" else name: value for name, value in values.items()}
            values["found"] = float((mask & truth).any())
            name = self._domain.source.names[index]
            rows += [{"picture": name, "metric": metric, "value": f"{v:.6g}"} for metric, v in values.items()]
        return rows

    def _show(self, cell: Cell, indices: np.ndarray, masks: np.ndarray) -> None:
        """Keep a few masks of the first seed for the report's gallery."""
        if cell["seed"] == 0 and len(indices):
            shown = shown_of(indices)
            path = self._config.out / "masks" / f"{name_of(cell)}.npz"
            keep_arrays(path, indices=indices[shown], masks=masks[shown])


def estimate(config: StudyConfig, domain: LabelledDomain, cells: Sequence[Cell]) -> tuple[float, float]:
    """Seconds and megabytes that the cells will take, from a few timed training steps of every network."""
    trainer = Trainer(config, domain)
    split, seconds = trainer.classifiers.split(0), 0.0
    needed = {one for cell in cells if (one := classifier_in(cell)) is not None}
    classify = dataclasses.replace(config, train=config.classify)
    for name in dict.fromkeys(one["network"] for one in needed):
        count = sum(one["network"] == name for one in needed)
        blank = trainer.classifiers.pictures(range(config.classify.loop.batch_size))
        steps = trainer.classifiers.steps_of(name)
        seconds += seconds_of(classify, count, steps, blank, len(split.train), len(split.validation))
    for name in config.networks:
        count = sum(kind_of(cell) == name for cell in cells)
        blank = blank_pictures(domain, config.train.loop)
        validating = len(domain.with_object(split.validation)) * 2
        seconds += seconds_of(config, count, trainer.trainings.steps(name), blank, config.epoch_pictures, validating)
    return seconds, len(cells) * ROWS_OF_A_PICTURE * len(split.test) * 100 / 1e6
