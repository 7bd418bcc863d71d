"""Study 1: the pictures, how networks are trained on noisy labels, and the values that are measured."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Int

from experiments.annotation_errors.analysis import analyse
from experiments.annotation_errors.gallery import gallery
from experiments.annotation_errors.grid import BASE, SCALES, Config, Trial, published
from experiments.annotation_errors.pictures import ErrorDomains, drawn_targets, read
from experiments.harness.examples import places_shown
from experiments.harness.ladder import fitted_to_job, strip_example
from experiments.harness.ladder_options import is_rung
from experiments.harness.networks import blank_pictures, network_of, pooled_dice, prediction_rows
from experiments.harness.pictures import Domain
from experiments.harness.rivals import Rival
from experiments.harness.store import Extent, Job, Load, Trainer, TrainingStore
from experiments.harness.study import Context, RivalPart, Study
from segjax.evaluation import counts, dice
from segjax.sweeps import Outcome, Row
from segjax.training import LoopConfig, Pictures, Steps, make_steps, predict


class FaultyTrainer(Trainer[Trial]):
    """How a network is trained on the labels of a trial; every network is compiled once."""

    def __init__(self, config: Config, data: ErrorDomains) -> None:
        self._config, self._data = config, data

    def kind(self, training: Trial) -> str:
        return training.network

    def make_steps(self, kind: str) -> Steps:
        return make_steps(network_of(self._config.segmentation.sizes, kind, self._data.plain), self._config.train.step)

    def loop(self, kind: str) -> LoopConfig:
        return self._config.train.loop

    def job(self, training: Trial, load: Load) -> Job:
        """Training and validation pictures carry the error."""
        domain, split = self._data.domain(training.error), self._data.split(training.seed)
        recipe = self._config.recipe(training.error, training.level, domain.source.coarsening)
        indices = np.asarray((*split.train, *split.validation))
        targets = drawn_targets(domain, split, recipe, training.seed)
        facts = {"label_dice": pooled_dice(targets > 0, domain.labels[indices] > 0)}
        images, cut = domain.images[indices], len(split.train)
        return Job(Pictures(images[:cut], targets[:cut]), Pictures(images[cut:], targets[cut:]), facts)

    def extent(self, training: Trial) -> Extent:
        return Extent.of(self._data.split(training.seed))

    def blank(self, kind: str) -> Pictures:
        return blank_pictures(self._data.plain, self._config.train.loop.batch_size)


def measure(context: Context[Config, ErrorDomains, Trial], trial: Trial) -> Outcome:
    """The trial's network, or its rung of the ladder, on clean test labels."""
    domain, test = context.data.domain(trial.error), np.asarray(context.data.split(trial.seed).test)
    if is_rung(trial.network):
        job = context.store.trainer.job(trial, context.store.load)
        masks = fitted_to_job(trial.network, trial.seed, job).masks(domain.images[test])
        found = _measured(context, domain, test, masks)
        return dataclasses.replace(found, rows=[*found.rows, Row("label_dice", job.facts["label_dice"])])
    trained, steps = context.store.load(trial), context.store.trainer.steps(trial.network)
    predicted = predict(steps, trained.variables, domain.images[test]) > 0
    found = _measured(context, domain, test, predicted)
    rows = [*found.rows, Row("label_dice", trained.facts["label_dice"])]
    said = f"{found.summary}{'' if trained.status == 'ok' else f', {trained.status}'}"
    return Outcome(rows, said, trained.status, trained.restarts, found.examples)


def measure_rival(context: Context[Config, ErrorDomains, Trial], trial: Trial, rival: Rival) -> Outcome:
    """What another program predicted for the plain test pictures."""
    test = np.asarray(context.data.split(trial.seed).test)
    return _measured(context, context.data.plain, test, rival.masks(test, context.config.annotations.target))


def _measured(
    context: Context[Config, ErrorDomains, Trial],
    domain: Domain,
    test: Int[np.ndarray, " P"],
    predicted: Bool[np.ndarray, "P H W"],
) -> Outcome:
    rows, pooled = prediction_rows(predicted, domain, test, context.config.segmentation.tolerance)
    shown = places_shown(dice(counts(predicted & ~domain.ignored[test], domain.labels[test] > 0)))
    strip = strip_example(test, predicted, domain.labels[test] > 0)
    examples = {"indices": test[shown], "masks": predicted[shown], **strip}
    return Outcome([*rows, Row("dice_pooled", pooled)], f"Dice {pooled:.3f}", examples=examples)


STUDY = Study(
    name="annotation_errors",
    config=Config,
    base=BASE,
    scales=SCALES,
    trial=Trial,
    published=published,
    resolve=Config.resolved,
    read=read,
    trials=lambda config, data: config.trials(data.has_own_foreign),
    trainings=lambda config, data: TrainingStore(config.run, FaultyTrainer(config, data)),
    needs=lambda context, trial: [] if is_rung(trial.network) else [trial],
    measure=measure,
    analyse=analyse,
    gallery=gallery,
    rivals=RivalPart(lambda config, data, network: [Trial(network, 0)], measure_rival),
)
