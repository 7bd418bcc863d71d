"""The trainings that the cells of study 2 rest on, made ready."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int, Int32

from experiments.annotation_upgrade.annotations import Annotations
from experiments.annotation_upgrade.config import StudyConfig, mixture_of, recipe_of
from experiments.annotation_upgrade.grid import (
    ALL_CLEAN,
    CLEAN,
    CONFIDENT,
    LOSS_OF,
    PREDICTIONS,
    RAW,
    SEGMENTATION,
    TEACHER,
    UPGRADE,
    UPGRADED,
    UPGRADED_PREDICTIONS,
    kind_of,
    needs_of,
    predictor_of,
    upgrader_of,
    with_factors,
)
from experiments.kept_trainings import Job, KeptTrainings, name_of
from experiments.pictures import Domain, stable_number
from experiments.training import network_of
from segjax.annotations import Recipe
from segjax.evaluation import counts, dice
from segjax.sweeps import Cell
from segjax.training import Pictures, Steps, make_mean_teacher_steps, make_steps, predict
from segjax.training.fit import in_batches
from segjax.upgrade import careful_pictures, make_upgrade_steps, upgrade_network, with_labels
from segjax.upgrade.confident import correct_mask
from segjax.upgrade.estimate import estimate_recipe

VALIDATION_DRAWS = 2  # fixed careless versions of every careful picture that chooses an upgrade network's best epoch
PAIRS = 5  # pictures annotated both carefully and carelessly, from which an error is estimated


class Trainings(KeptTrainings):
    """Networks of one study by their cells; every kind of steps is compiled once."""

    def __init__(self, config: StudyConfig, domain: Domain) -> None:
        super().__init__(config, kind_of, needs_of)
        self._config, self._domain = config, domain
        self.annotations = functools.cache(functools.partial(Annotations, config, domain))
        self._probability = functools.cache(self._make_probability)

    def predicted(self, cell: Cell, indices: Int[np.ndarray, " P"]) -> Bool[np.ndarray, "P H W"]:
        """Masks that a segmentation network predicts for some pictures."""
        steps, variables = self.steps(kind_of(cell)), self.load(cell).variables
        return predict(steps, variables, self._domain.images[indices]) > 0

    def upgraded(
        self, cell: Cell, indices: Int[np.ndarray, " P"], masks: Bool[np.ndarray, "P H W"]
    ) -> Bool[np.ndarray, "P H W"]:
        """What an upgrade network makes of the masks of some pictures."""
        steps, variables = self.steps(kind_of(cell)), self.load(cell).variables
        return predict(steps, variables, np.asarray(with_labels(self._domain.images[indices], masks))) > 0

    def make_steps(self, kind: str) -> Steps:
        network_name, _, method = kind.partition("-")
        config, domain = self._config, self._domain
        if method == UPGRADE:
            options = config.sizes.options(network_name)
            network = upgrade_network(network_name, domain.images, domain.labels, **options)
            return make_upgrade_steps(
                network, config.train.step, max_objects=domain.largest_id, rounding=config.rounding
            )
        network = network_of(config.sizes, network_name, domain)
        losses = {name.replace(" ", "-"): loss for name, loss in LOSS_OF.items()}
        if method in losses:
            plain = self.steps(f"{network_name}-{SEGMENTATION}")
            steps = make_steps(network, dataclasses.replace(config.train.step, loss=losses[method]))
            return dataclasses.replace(steps, init=plain.init, predict=plain.predict)  # those of any loss
        if method == TEACHER.replace(" ", "-"):
            per_epoch = -(-config.epoch_pictures // config.train.loop.batch_size)
            return make_mean_teacher_steps(
                network, config.train.step, ramp_up=max(1, config.train.loop.epochs * per_epoch // 3)
            )
        return make_steps(network, config.train.step)

    def job(self, cell: Cell) -> Job:
        if cell["method"] == UPGRADE:
            return self._upgrade_job(cell)
        annotations, domain = self.annotations(cell["seed"]), self._domain
        careful, validation = annotations.careful(cell["careful"], cell["volumes"])
        clean = careful[: cell["clean"]]
        careless = annotations.careless(cell["careful"], cell["total"] - cell["clean"])
        masks, facts = self._careless_labels(cell, careless)
        indices = np.concatenate([clean, careless])
        targets = np.concatenate([domain.labels[clean] > 0, masks]).astype(np.int32)
        if cell["method"] == TEACHER:
            targets[len(clean) :] = -1
        rows = self._epoch_rows(len(clean), len(careless), halves=cell["method"] == TEACHER)
        train = Pictures(domain.images[indices[rows]], targets[rows])
        return Job(
            cell,
            train,
            Pictures(domain.images[validation], (domain.labels[validation] > 0).astype(np.int32)),
            facts,
        )

    def _epoch_rows(self, clean: int, careless: int, halves: bool) -> Int[np.ndarray, " P"]:
        """Which training pictures an epoch lists: all, again and again; for a mean teacher, as many clean as others."""
        length = max(self._config.epoch_pictures, clean + careless)
        if not halves:
            return np.resize(np.arange(clean + careless), length)
        others = np.resize(np.arange(clean, clean + careless), length - length // 2)
        return np.concatenate([np.resize(np.arange(clean), length // 2), others])

    def _careless_labels(
        self, cell: Cell, careless: Int[np.ndarray, " P"]
    ) -> tuple[Bool[np.ndarray, "P H W"], dict[str, float]]:
        """Labels of the careless pictures that a segmentation network trains on, and their Dice before and after."""
        annotations, method = self.annotations(cell["seed"]), cell["method"]
        truth = self._domain.labels[careless] > 0
        if method in (CLEAN, ALL_CLEAN) or not len(careless):
            return truth, {}
        if method in (PREDICTIONS, UPGRADED_PREDICTIONS):
            before = self.predicted(predictor_of(cell), careless)
        else:
            before = annotations.masks(cell["error"])[careless]
        facts = {"label_dice": pooled_dice(before, truth)}
        if method in (UPGRADED, UPGRADED_PREDICTIONS):
            after = self.upgraded(upgrader_of(cell), careless, before)
        elif method == CONFIDENT:
            after = self._confidently_corrected(with_factors(cell, method=RAW), careless, before)
        else:
            return before, facts
        return after, {**facts, "upgraded_dice": pooled_dice(after, truth)}

    def _confidently_corrected(
        self, teacher: Cell, careless: Int[np.ndarray, " P"], masks: Bool[np.ndarray, "P H W"]
    ) -> Bool[np.ndarray, "P H W"]:
        images, compute = self._domain.images[careless], self._probability(teacher["network"])
        variables = self.load(teacher).variables
        batches = [np.asarray(compute(variables, batch)) for batch in in_batches(images)]
        probability = np.concatenate(batches)[: len(images)]
        return np.stack([correct_mask(p, mask) for p, mask in zip(probability, masks, strict=True)])

    def _make_probability(self, network_name: str) -> Callable[..., Any]:
        """Compiled function (variables, images) -> probability of an object [B, H, W], each picture alone."""
        network = network_of(self._config.sizes, network_name, self._domain)

        @jax.jit
        def probability(variables, images):
            logits = jax.vmap(lambda image: network.apply(variables, image[None])[0])(images)
            return 1 - jax.nn.softmax(logits)[..., 0]

        return probability

    def _upgrade_job(self, cell: Cell) -> Job:
        train, validation = self.annotations(cell["seed"]).careful(cell["careful"], cell["volumes"])
        rows = np.resize(train, max(self._config.epoch_pictures, len(train)))
        validating = self.upgrade_pictures(cell, validation, VALIDATION_DRAWS)
        return Job(cell, self.upgrade_pictures(cell, rows, 1), validating, {})

    def upgrade_pictures(self, cell: Cell, indices: Int[np.ndarray, " P"] | Sequence[int], draws: int) -> Pictures:
        """Careful pictures, and how their annotations go wrong, for an upgrade network; each listed `draws` times."""
        annotations, domain, rows = self.annotations(cell["seed"]), self._domain, np.asarray(indices)
        recipes = self._recipes(cell)
        if not domain.foreign[rows].any():  # very few pictures may show nothing that could be included
            recipes = [dataclasses.replace(recipe, inclusion=0.0) for recipe in recipes]
        return careful_pictures(
            domain.images[rows],
            annotations.labels(cell["careful_error"])[rows],
            recipes,
            foreign=domain.foreign[rows] if domain.foreign.any() else None,
            errors=self._errors,
            draws=draws,
            seed=stable_number(name_of(cell)),
        )

    def _recipes(self, cell: Cell) -> list[Recipe]:
        config, domain, annotations = self._config, self._domain, self.annotations(cell["seed"])
        train, _ = annotations.careful(cell["careful"], cell["volumes"])
        if cell["learnt"] == "mixture":
            return mixture_of(config, median_radius(domain.labels[train]), bool(domain.foreign.any()))
        if cell["learnt"] == "estimated":
            pairs = train[:PAIRS]
            careless = annotations.masks(cell["error"])[pairs]
            recipe = estimate_recipe(domain.labels[pairs], careless, foreign=domain.foreign[pairs], scope=config.scope)
            return [recipe if "jitter" in self._errors else dataclasses.replace(recipe, jitter=0.0)]
        return [recipe_of(config, cell["error"], domain.source.coarsening)]

    @functools.cached_property
    def _errors(self) -> tuple[str, ...]:
        """Every error of the study, so that all upgrade networks share compiled steps."""
        config, coarsening = self._config, self._domain.source.coarsening
        recipes = [recipe_of(config, error, coarsening) for error in (config.error, *config.errors)]
        names = ("omission", "inclusion", "bias", "jitter", "polygon", "shift")
        return tuple(name for name in names if name in names[:3] or any(recipe.has(name) for recipe in recipes))


def median_radius(labels: Int32[np.ndarray, "P H W"]) -> float:
    """Of the objects, each in each picture: the radius in pixels of the disc of equal area."""
    areas = np.concatenate([np.bincount(picture.ravel())[1:] for picture in labels])
    return float(np.sqrt(np.median(areas[areas > 0]) / np.pi))


def pooled_dice(masks: Bool[np.ndarray, "P H W"], truth: Bool[np.ndarray, "P H W"]) -> float:
    """Dice of all pixels of some pictures together."""
    return float(dice(counts(masks, truth).pooled()))
