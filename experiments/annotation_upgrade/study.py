"""Study 2: how networks learn to upgrade labels, how others are trained on the labels, and what is measured."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int

from experiments.annotation_upgrade.analysis import analyse
from experiments.annotation_upgrade.charts import gallery
from experiments.annotation_upgrade.grid import (
    AGAIN,
    ALL_CLEAN,
    BASE,
    CLEAN,
    CONFIDENT,
    ITERATED,
    LOSSES,
    PREDICTIONS,
    REPAIRS,
    SCALES,
    TEACHER,
    UPGRADE,
    UPGRADED,
    UPGRADED_PREDICTIONS,
    WEIGHTED,
    Config,
    Trial,
    labels_upgraded,
    published,
    train_part,
)
from experiments.annotation_upgrade.pictures import AnnotatedPictures, read
from experiments.annotation_upgrade.trainings import (
    needs_of,
    predictor_of,
    raw_of,
    second_upgrader_of,
    training_of,
    upgrader_of,
)
from experiments.harness.examples import places_shown
from experiments.harness.ladder import fitted_to_job, strip_example
from experiments.harness.ladder_options import is_rung
from experiments.harness.networks import blank_pictures, network_of, pooled_dice, prediction_rows
from experiments.harness.options import zoo_name
from experiments.harness.pictures import stable_number
from experiments.harness.rival_options import ELSEWHERE
from experiments.harness.rivals import Rival
from experiments.harness.store import Extent, Job, Load, Trainer, TrainingStore
from experiments.harness.study import Context, RivalPart, Study
from segjax.annotations import Recipe
from segjax.evaluation.references import median_radius
from segjax.ops.components import components
from segjax.sweeps import Outcome, Row
from segjax.training import LoopConfig, Pictures, Steps, make_steps, predict, predict_logits
from segjax.training.mean_teacher import make_mean_teacher_steps
from segjax.upgrade import clean_pictures, make_upgrade_steps, mixture, upgrade_network
from segjax.upgrade.confidence import (
    Weighted,
    averaged_probability,
    confidence_weights,
    ignore_unsure,
    make_weighted_steps,
)
from segjax.upgrade.confident import correct_mask
from segjax.upgrade.estimate import estimate_recipe
from segjax.upgrade.learning import with_labels
from segjax.upgrade.recipes import rejected_objects

VALIDATION_DRAWS = 2  # fixed noisy versions of every clean picture that chooses an upgrade network's best epoch
PAIRS = 5  # pictures with clean and noisy labels, from which an error is estimated
SEGMENTATION = "segmentation"  # the kind of all methods that differ in their labels only
PUBLISHED, OTHERS = ("omission", "inclusion", "bias"), ("jitter", "polygon", "shift", "markov")
Masks = Bool[np.ndarray, "P H W"]
Rows = Int[np.ndarray, " P"]
Ids = Int[np.ndarray, "P H W"]


class _Labels(NamedTuple):
    """Targets of some pictures (-1 ignored), how much each pixel counts where that matters, and their Dice."""

    targets: Int[np.ndarray, "P H W"] | Masks
    weights: Float32[np.ndarray, "P H W"]
    facts: dict[str, float]


class UpgradeTrainer(Trainer[Trial]):
    """How upgrade networks and segmentation networks are trained; every kind of steps is compiled once."""

    def __init__(self, config: Config, data: AnnotatedPictures) -> None:
        self._config, self._data, self._domain = config, data, data.domain

    def kind(self, training: Trial) -> str:
        """Of one network, upgrade or not, and by a loss, or by a teacher and how many steps it takes to count fully."""
        own_steps = {method: method for method in (UPGRADE, TEACHER, WEIGHTED, *LOSSES)} | {AGAIN: UPGRADE}
        kind = f"{training.network}-{own_steps.get(training.method, SEGMENTATION)}"
        return f"{kind}-{self._ramp_up(training)}" if training.method == TEACHER else kind

    def _ramp_up(self, training: Trial) -> int:
        """Steps of a third of the epochs; with stop="plateau" of `patience` epochs at most: all have more."""
        loop = self._config.train.loop
        epochs = min(loop.epochs // 3, loop.patience) if loop.stop == "plateau" else loop.epochs // 3
        return max(1, epochs * -(-self.extent(training).train // loop.batch_size))

    def needs(self, training: Trial) -> Sequence[Trial]:
        return needs_of(training)

    def loop(self, kind: str) -> LoopConfig:
        return self._config.train.loop

    def make_steps(self, kind: str) -> Steps:
        name, method, *ramp_up = kind.split("-")
        config, domain, step = self._config, self._domain, self._config.train.step
        network = self._network(name, method)
        if method == UPGRADE:
            return make_upgrade_steps(network, step, max_objects=domain.largest_id, rounding=config.rounding)
        if method == TEACHER:
            return make_mean_teacher_steps(network, step, ramp_up=int(ramp_up[0]))
        if method == SEGMENTATION:
            return make_steps(network, step)
        plain = self.steps(f"{name}-{SEGMENTATION}")
        if method == WEIGHTED:
            steps = make_weighted_steps(network, step)
        else:
            loss = next(loss for loss in LOSSES if loss == method)
            steps = make_steps(network, dataclasses.replace(step, loss=loss))
        return dataclasses.replace(steps, init=plain.init, predict=plain.predict)  # those of any loss

    def _network(self, name: str, method: str) -> Any:
        sizes, domain = self._config.segmentation.sizes, self._domain
        if method == UPGRADE:
            # the noisy mask is a further channel, for which weights from a file have no numbers
            options = dataclasses.replace(sizes, encoder_weights="").options(name)
            return upgrade_network(zoo_name(name), domain.images, domain.labels, **options)
        return network_of(sizes, name, domain)

    def extent(self, training: Trial) -> Extent:
        clean, train = training.clean_pictures, train_part(training.clean_pictures)
        draws = VALIDATION_DRAWS if training.method in (UPGRADE, AGAIN) else 1
        validating = draws * (clean - train) + len(self._data.annotations(training.seed).noisy_validation(training))
        return Extent(max(self._config.epoch_pictures, training.trained_total or train), validating)

    def blank(self, kind: str) -> Pictures:
        name, method = kind.split("-")[:2]
        size = self._config.train.loop.batch_size
        if method == UPGRADE:
            rows = self._data.annotations(0).order[:size]
            return self.upgrade_pictures(labels_upgraded(self._config, name), rows, 1)
        blank = blank_pictures(self._domain, size)
        return blank if method != WEIGHTED else Pictures(blank.images, Weighted(blank.targets, blank.images[..., 0]))

    def job(self, training: Trial, load: Load) -> Job:
        annotations, domain = self._data.annotations(training.seed), self._domain
        clean, validation = annotations.clean(training.clean_pictures, training.volumes)
        if training.method == UPGRADE:
            rows = np.resize(clean, max(self._config.epoch_pictures, len(clean)))
            validating = self.upgrade_pictures(training, validation, VALIDATION_DRAWS)
            return Job(self.upgrade_pictures(training, rows, 1), validating)
        if training.method == AGAIN:
            return self._second_job(training, clean, validation, load)
        clean = clean[: training.trained_clean]
        noisy = annotations.noisy(training.clean_pictures, training.trained_total - training.trained_clean)
        masks, weights, facts = self._labels_for(training, noisy, load)
        indices = np.concatenate([clean, noisy])
        targets = np.concatenate([domain.labels[clean] > 0, masks]).astype(np.int32)
        if training.method == TEACHER:
            targets[len(clean) :] = -1
        rows = self._epoch_rows(len(clean), len(noisy), halves=training.method == TEACHER)
        choosing = domain.labels[validation] > 0
        if len(others := annotations.noisy_validation(training)):
            choosing = np.concatenate([choosing, annotations.masks(training.error)[others]])
        validating = Pictures(domain.images[np.concatenate([validation, others])], choosing.astype(np.int32))
        taught: Any = targets[rows]
        if training.method == WEIGHTED:
            taught = Weighted(taught, np.concatenate([np.ones(targets[: len(clean)].shape, np.float32), weights])[rows])
        return Job(Pictures(domain.images[indices[rows]], taught), validating, facts)

    def _epoch_rows(self, clean: int, others: int, halves: bool) -> Rows:
        """Which training pictures an epoch lists: all, again and again; for a mean teacher, as many clean as others."""
        length = max(self._config.epoch_pictures, clean + others)
        if not halves:
            return np.resize(np.arange(clean + others), length)
        unlabelled = np.resize(np.arange(clean, clean + others), length - length // 2)
        return np.concatenate([np.resize(np.arange(clean), length // 2), unlabelled])

    def _labels_for(self, training: Trial, noisy: Rows, load: Load) -> _Labels:
        """Labels of the other pictures that a segmentation network trains on, and their Dice before and after."""
        method, images, truth = training.method, self._domain.images[noisy], self._domain.labels[noisy] > 0
        certain = np.ones(truth.shape, np.float32)
        if method in (CLEAN, ALL_CLEAN) or not len(noisy):
            return _Labels(truth, certain, {})
        if method in (PREDICTIONS, UPGRADED_PREDICTIONS):
            predictor = predictor_of(training)
            before = predict(self.steps(self.kind(predictor)), load(predictor).variables, images) > 0
        else:
            before = self._data.annotations(training.seed).masks(training.error)[noisy]
        facts, targets = {"label_dice": pooled_dice(before, truth)}, None
        if method in (UPGRADED, UPGRADED_PREDICTIONS):
            upgrader = upgrader_of(training)
            after = upgraded(self.steps(self.kind(upgrader)), load(upgrader).variables, images, before)
        elif method in REPAIRS:
            probability = self._repaired(training, images, before, load)
            after, certain = probability > 0.5, confidence_weights(probability)
            targets = after if method == WEIGHTED else ignore_unsure(probability)
        elif method == CONFIDENT:
            after = self._confidently_corrected(raw_of(training), images, before, load)
        else:
            return _Labels(before, certain, facts)
        facts["upgraded_dice"] = pooled_dice(after, truth)
        return _Labels(after if targets is None else targets, certain, facts)

    def _repaired(self, training: Trial, images: np.ndarray, masks: Masks, load: Load) -> np.ndarray:
        """Probability of an object by the upgrade network, or by that of the second round."""
        upgrader = (second_upgrader_of if training.method == ITERATED else upgrader_of)(training)
        network = self._network(training.network, UPGRADE)
        return averaged_probability(network, load(upgrader).variables, np.asarray(with_labels(images, masks)))

    def _second_job(self, training: Trial, clean: Rows, validation: Rows, load: Load) -> Job:
        """An upgrade network that learns from clean labels and, as often, from those that the first one repaired."""
        annotations, domain, most = self._data.annotations(training.seed), self._domain, self._domain.largest_id
        noisy = annotations.noisy(training.clean_pictures, training.trained_total - training.trained_clean)
        before = annotations.masks(training.error)[noisy]
        after = self._repaired(training, domain.images[noisy], before, load) > 0.5
        rows = np.concatenate([clean, noisy])
        own, others = (
            np.where(found > 0, (found - 1) % most + 1, 0)  # beyond the largest id, two objects share one
            for found in (np.stack([components(mask) for mask in after]), rejected_objects(before, after))
        )
        labels = np.concatenate([domain.labels[clean], own])
        foreign = np.concatenate([domain.foreign[clean], others])
        listed = self._epoch_rows(len(clean), len(noisy), halves=True)
        taught = self._upgrade_set(training, domain.images[rows[listed]], labels[listed], foreign[listed], 1)
        return Job(taught, self.upgrade_pictures(training, validation, VALIDATION_DRAWS))

    def _confidently_corrected(self, teacher: Trial, images: np.ndarray, masks: Masks, load: Load) -> Masks:
        logits = predict_logits(self._network(teacher.network, SEGMENTATION), load(teacher).variables, images)
        probability = np.asarray(1 - jax.nn.softmax(logits)[..., 0])
        return np.stack([correct_mask(p, mask) for p, mask in zip(probability, masks, strict=True)])

    def upgrade_pictures(self, training: Trial, rows: Rows, draws: int) -> Pictures:
        """Clean pictures, and how their labels go wrong, for an upgrade network; each listed `draws` times."""
        labels = self._data.annotations(training.seed).labels(training.clean_error)[rows]
        return self._upgrade_set(training, self._domain.images[rows], labels, self._domain.foreign[rows], draws)

    def _upgrade_set(self, training: Trial, images: np.ndarray, labels: Ids, foreign: Ids, draws: int) -> Pictures:
        recipes = self._recipes(training)
        if not foreign.any():  # very few pictures may show nothing that could be included
            recipes = [dataclasses.replace(recipe, inclusion=0.0) for recipe in recipes]
        return clean_pictures(
            images,
            labels,
            recipes,
            foreign=foreign if self._domain.foreign.any() else None,
            errors=self._errors,
            draws=draws,
            # the values in the order of the columns; their spelling decides the draws
            seed=stable_number("_".join(str(value) for value in dataclasses.astuple(training))),
        )

    def _recipes(self, training: Trial) -> list[Recipe]:
        config, domain, annotations = self._config, self._domain, self._data.annotations(training.seed)
        train, _ = annotations.clean(training.clean_pictures, training.volumes)
        if training.learnt == "mixture":
            return mixture_of(config, median_radius(domain.labels[train]), bool(domain.foreign.any()))
        if training.learnt == "estimated":
            pairs = train[:PAIRS]
            noisy = annotations.masks(training.error)[pairs]
            recipe = estimate_recipe(domain.labels[pairs], noisy, foreign=domain.foreign[pairs])
            recipe = dataclasses.replace(recipe, **config.annotations.drawn)
            return [recipe if "jitter" in self._errors else dataclasses.replace(recipe, jitter=0.0)]
        return [config.recipe(training.error, domain.source.coarsening)]

    @functools.cached_property
    def _errors(self) -> tuple[str, ...]:
        """Every error of the study, so that all upgrade networks share compiled steps."""
        config, coarsening = self._config, self._domain.source.coarsening
        recipes = [config.recipe(error, coarsening) for error in config.drawn_errors()]
        return (*PUBLISHED, *(name for name in OTHERS if any(recipe.has(name) for recipe in recipes)))


def mixture_of(config: Config, radius: float, has_foreign: bool) -> list[Recipe]:
    """For who does not know the error: every combination of some strengths of each published error, and none.

    Args:
        radius: of an object, in pixels; outlines are moved by up to a sixth and up to a third of it.
        has_foreign: whether there are objects that could be included.
    """
    strengths: dict[str, Any] = {"omission": (0.25, 0.5, 0.75)}
    strengths["bias"] = tuple(sorted({max(1, round(radius * share)) for share in (1 / 6, 1 / 3)}))
    if has_foreign:
        strengths["inclusion"] = (0.25, 0.5, 0.75)
    return [dataclasses.replace(recipe, **config.annotations.drawn) for recipe in mixture(**strengths)]


def upgraded(steps: Steps, variables: Any, images: np.ndarray, masks: Masks) -> Masks:
    """What an upgrade network makes of the masks of some pictures."""
    return predict(steps, variables, np.asarray(with_labels(images, masks))) > 0


def measure(context: Context[Config, AnnotatedPictures, Trial], trial: Trial) -> Outcome:
    """Noisy labels of the test pictures before and after upgrading; or a network or a rung that segments them."""
    domain, annotations = context.data.domain, context.data.annotations(trial.seed)
    training, test = training_of(trial), annotations.test
    if is_rung(trial.network):
        job = context.store.trainer.job(trial, context.store.load)
        found = _segmented(context, test, fitted_to_job(trial.network, trial.seed, job).masks(domain.images[test]))
        return dataclasses.replace(found, rows=[*found.rows, *(Row(*fact) for fact in job.facts.items())])
    trained, tolerance = context.store.load(training), context.config.segmentation.tolerance
    steps, images = context.store.trainer.steps(context.store.trainer.kind(training)), domain.images[test]
    if trial.method != UPGRADE:
        found = _segmented(context, test, predict(steps, trained.variables, images) > 0)
        rows = [*found.rows, *(Row(metric, value) for metric, value in trained.facts.items())]
        summary = f"{found.summary} ({trained.status})"
        return Outcome(rows, summary, trained.status, trained.restarts, found.examples)
    before = annotations.masks(trial.error)[test]
    after = upgraded(steps, trained.variables, images, before)
    label_dice = pooled_dice(before, domain.labels[test] > 0)
    rows, upgraded_dice = prediction_rows(after, domain, test, tolerance)
    rows += [Row("label_dice", label_dice), Row("upgraded_dice", upgraded_dice)]
    shown = _shown(rows)
    examples = {"indices": test[shown], "before": before[shown], "after": after[shown]}
    summary = f"labels: Dice {label_dice:.3f} before repair, {upgraded_dice:.3f} after ({trained.status})"
    return Outcome(rows, summary, trained.status, trained.restarts, examples)


def measure_rival(context: Context[Config, AnnotatedPictures, Trial], trial: Trial, rival: Rival) -> Outcome:
    """What another program predicted for the test pictures."""
    test = context.data.annotations(trial.seed).test
    return _segmented(context, test, rival.masks(test, context.config.annotations.target))


def _segmented(context: Context[Config, AnnotatedPictures, Trial], test: Rows, masks: Masks) -> Outcome:
    """Values of the masks of the test pictures."""
    rows, pooled = prediction_rows(masks, context.data.domain, test, context.config.segmentation.tolerance)
    shown = _shown(rows)
    strip = strip_example(test, masks, context.data.domain.labels[test] > 0)
    examples = {"indices": test[shown], "masks": masks[shown], **strip}
    return Outcome([*rows, Row("dice_pooled", pooled)], f"Dice {pooled:.3f}", examples=examples)


def _shown(rows: Sequence[Row]) -> Int[np.ndarray, " S"]:
    """Places of the pictures that the page shows, by their Dice."""
    return places_shown([row.value for row in rows if row.picture and row.metric == "dice"])


STUDY = Study(
    name="annotation_upgrade",
    config=Config,
    base=BASE,
    scales=SCALES,
    trial=Trial,
    published=published,
    resolve=Config.resolved,
    read=read,
    trials=lambda config, data: config.trials(data.groups),
    trainings=lambda config, data: TrainingStore(config.run, UpgradeTrainer(config, data)),
    needs=lambda context, trial: [] if is_rung(trial.network) else [training_of(trial)],
    measure=measure,
    analyse=analyse,
    gallery=gallery,
    rivals=RivalPart(lambda config, data, network: [Trial(network, 0, ELSEWHERE)], measure_rival),
)
