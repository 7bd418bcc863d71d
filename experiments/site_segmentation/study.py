"""Study 4B: which pictures, how classifiers and networks that segment are trained, and what is measured."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from experiments.harness.classifier_options import Classifier
from experiments.harness.classifiers import (
    ClassifierTrainer,
    LabelledDomain,
    check_trainable_classifiers,
    read_labelled,
)
from experiments.harness.examples import places_shown
from experiments.harness.ladder import Fitted, fitted_to_job, strip_example
from experiments.harness.ladder_options import is_rung
from experiments.harness.networks import blank_pictures, check_trainable, network_of, pooled_dice, prediction_rows
from experiments.harness.options import zoo_name
from experiments.harness.pictures import Opener
from experiments.harness.rival_options import ELSEWHERE
from experiments.harness.rivals import Rival
from experiments.harness.store import Extent, Job, Load, Trainer, TrainingStore
from experiments.harness.study import Context, RivalPart, Study
from experiments.site_segmentation.analysis import analyse
from experiments.site_segmentation.charts import gallery
from experiments.site_segmentation.findings import AT_HALF
from experiments.site_segmentation.grid import (
    BASE,
    MASKS,
    SCALES,
    Config,
    Training,
    Trial,
)
from experiments.site_segmentation.labels import Labels, check_outlines, sides_of
from experiments.site_segmentation.operating import POINT, Point, chosen_point
from segjax.data import open_source
from segjax.data.folders.tables import first_few
from segjax.data.ground.geofiles import missing_packages
from segjax.data.ground.outlines import write_sites
from segjax.evaluation.classification import mean_roc_auc
from segjax.evaluation.sites import outline_metrics
from segjax.models import NETWORKS
from segjax.sweeps import Outcome, Row
from segjax.sweeps.trials import file_stem
from segjax.training import LoopConfig, Pictures, Steps, make_steps, predict_logits
from segjax.types import IGNORED

Here = Context[Config, LabelledDomain, Training]


def read(config: Config, opener: Opener = open_source) -> LabelledDomain:
    """Every picture with its image-level label.

    Raises:
        InputError: the pictures or networks cannot be used, or there are too few outlines to learn from or score on.
    """
    domain = read_labelled(config.source, config.classification, opener)
    check_trainable(config.segmentation, domain, config.run.seeds)
    check_trainable_classifiers(config.classification, domain, config.run.seeds)
    check_outlines(config, domain)
    return domain


class SiteTrainer(Trainer[Training]):
    """How classifiers are trained, and networks that segment on what a trial says.

    Attributes:
        classifiers: the trainer of classifiers.
        labels: what networks that segment learn from.
        network: the module of a network that segments by its name, made once.
    """

    def __init__(self, config: Config, domain: LabelledDomain) -> None:
        self._config, self._domain = config, domain
        self.classifiers = ClassifierTrainer(config.classification, config.classify, domain)
        self.labels = Labels(config, domain, self.classifiers.network)
        self.network = functools.cache(lambda name: network_of(config.segmentation.sizes, name, domain))

    def needs(self, training: Training) -> list[Training]:
        return training.trainings[:-1] if isinstance(training, Trial) else []

    def kind(self, training: Training) -> str:
        return training.network if isinstance(training, Trial) else self.classifiers.kind(training)

    def make_steps(self, kind: str) -> Steps:
        if zoo_name(kind) in NETWORKS:
            return make_steps(self.network(kind), self._config.train.step)
        return self.classifiers.make_steps(kind)

    def loop(self, kind: str) -> LoopConfig:
        return self._config.train.loop if zoo_name(kind) in NETWORKS else self.classifiers.loop(kind)

    def blank(self, kind: str) -> Pictures:
        if zoo_name(kind) in NETWORKS:
            return blank_pictures(self._domain, self._config.train.loop.batch_size)
        return self.classifiers.blank(kind)

    def extent(self, training: Training) -> Extent:
        if isinstance(training, Classifier):
            return self.classifiers.extent(training)
        sides = sides_of(self._domain, training)
        return Extent(self._config.epoch_pictures, len(sides.validation) + len(sides.validation_without))

    def job(self, training: Training, load: Load) -> Job:
        """Pictures without a site make the share of an epoch that is asked for; few of either kind are repeated."""
        if isinstance(training, Classifier):
            return self.classifiers.job(training, load)
        sides, config = sides_of(self._domain, training), self._config
        without, count = list(sides.train_without), int(config.epoch_pictures * config.without_share)
        if config.negatives == "drawn":
            without = list(np.random.default_rng([training.seed, 5]).permutation(without))
        rows = [*np.resize(sides.train, config.epoch_pictures - count), *np.resize(without, count)]
        masks = self.labels.masks(training, sides.train, load)
        facts = {"label_dice": pooled_dice(masks, self._domain.labels[list(sides.train)] > 0)}
        facts["marked_rate"] = float(np.mean(masks.any((1, 2))))
        checked = [*sides.validation, *sides.validation_without]
        learnt, validation = (
            Pictures(self._domain.images[side], self._targets(training, side, load)) for side in (rows, checked)
        )
        return Job(learnt, validation, facts)

    def _targets(self, trial: Trial, indices: Sequence[int], load: Load) -> Int32[np.ndarray, "P H W"]:
        """1 where a site is marked; a picture with a site in which nothing is marked is ignored."""
        distinct = list(dict.fromkeys(int(index) for index in indices))
        masks = dict(zip(distinct, self.labels.masks(trial, distinct, load), strict=True))
        targets = np.stack([masks[int(index)] for index in indices]).astype(np.int32)
        unknown = (self._domain.presence[list(indices)] == 1) & ~targets.any((1, 2))
        targets[unknown] = IGNORED
        return targets


def measure(context: Here, trial: Trial) -> Outcome:
    """The masks of a classifier's maps, or what a network finds in the test pictures.

    Networks of seed 0 leave OUT/sites/TRIAL with GeoTIFF masks, and outlines as GeoPackage and GeoJSON, where pictures
    have a place on the ground and the extra `geo` is installed.
    """
    return _measure_masks(context, trial) if trial.method == MASKS else _measure_network(context, trial)


def _measure_masks(context: Here, trial: Trial) -> Outcome:
    """Masks of training pictures, which networks learn from, and of test pictures with a site."""
    domain, store, classifier = context.data, context.store, trial.needed_classifier
    assert classifier is not None
    trained, split = store.load(classifier), domain.split(trial.seed)
    labels = cast(SiteTrainer, store.trainer).labels
    learnt, tested = (domain.with_object(side) for side in (split.train, split.test))
    label_dice = pooled_dice(labels.masks(trial, learnt, store.load), domain.labels[learnt] > 0)
    masks = labels.masks(trial, tested, store.load)
    rows = [
        *_site_rows(masks, tested, domain),
        Row("label_dice", label_dice),
        Row("dice_pooled", pooled_dice(masks, domain.labels[tested] > 0)),
        Row("auc", _auc(context, classifier)),
    ]
    said = f"Dice of the masks {label_dice:.3f} (classifier {trained.status})"
    return Outcome(rows, said, trained.status, trained.restarts, _examples(np.asarray(tested), masks, rows))


def _measure_network(context: Here, trial: Trial) -> Outcome:
    """A network that segments, or a rung of the ladder, on all test pictures."""
    config, domain = context.config, context.data
    status, restarts, known = _learnt(context, trial)
    test = np.asarray(domain.split(trial.seed).test)
    is_shown, is_empty = _kinds(domain, test)
    probability, presence, point = _probability(context, trial, test), _presence(context, trial, test), Point()
    rows = []
    if config.level != "half":
        plain = _masks(config, point, probability, presence)
        hits = (plain & (domain.labels[test] > 0))[is_shown].any((1, 2)), plain[is_empty].any((1, 2))
        point = point_of(context, trial)
        chosen = zip((*AT_HALF, *POINT), (*(hit.mean() for hit in hits), *point[:3]), strict=True)
        rows = [Row(metric, float(value)) for metric, value in chosen]
    predicted = _masks(config, point, probability, presence)
    found = _found(config, domain, test, predicted)
    rows = [*found.rows, *rows, *(Row(metric, value) for metric, value in known.items())]
    if trial.needed_classifier is not None:
        rows.append(Row("auc", _auc(context, trial.needed_classifier)))
    if trial.seed == 0 and not missing_packages():
        write_files(config.run.out / "sites" / file_stem(trial), domain, test.tolist(), predicted, probability)
    return Outcome(rows, f"{found.summary} ({status})", status, restarts, found.examples)


def _learnt(context: Here, trial: Trial) -> tuple[str, int, dict[str, float]]:
    """How the training of a trial's network ended, how often it was begun again, and facts about its labels."""
    if is_rung(trial.network):
        return "ok", 0, context.store.trainer.job(trial, context.store.load).facts
    return context.store.load(trial)[1:]


@functools.lru_cache(maxsize=1)
def _rung(context: Here, trial: Trial) -> Fitted:
    """A trial's rung, fitted once."""
    job = context.store.trainer.job(trial, context.store.load)
    return fitted_to_job(trial.network, trial.seed, job)


def measure_rival(context: Here, trial: Trial, rival: Rival) -> Outcome:
    """What another program predicted for the test pictures, as it is: no level is chosen, no piece dropped."""
    config, domain = context.config, context.data
    test = np.asarray(domain.split(trial.seed).test)
    return _found(config, domain, test, rival.masks(test, config.classification.target))


def _found(
    config: Config, domain: LabelledDomain, test: Int[np.ndarray, " P"], predicted: Bool[np.ndarray, "P H W"]
) -> Outcome:
    """Values of masks of the test pictures."""
    is_shown, is_empty = _kinds(domain, test)
    values, pooled = prediction_rows(predicted, domain, test, config.segmentation.tolerance)
    sites = _site_rows(predicted[is_shown], test[is_shown].tolist(), domain)
    rows = [
        *(row for row in values if row.metric in ("dice", "iou", "surface_dice")),
        *(row for row in sites if row.metric != "dice"),
        Row("dice_pooled", pooled),
        Row("false_positive_rate", float(np.mean(predicted[is_empty].any((1, 2))))),
    ]
    examples = _examples(test[is_shown], predicted[is_shown], sites)
    examples |= _false_alarms(test[is_empty], predicted[is_empty])
    examples |= strip_example(test[is_shown], predicted[is_shown], domain.labels[test][is_shown] > 0)
    return Outcome(rows, f"Dice {pooled:.3f}", examples=examples)


def _kinds(
    domain: LabelledDomain, test: Int[np.ndarray, " P"]
) -> tuple[Bool[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
    """Which of some pictures show an outlined site, and which are without a site."""
    return np.isin(test, domain.with_object(test.tolist())), domain.presence[test] == 0


def point_of(context: Here, trial: Trial) -> Point:
    """When a piece counts as a site for a trial's network, chosen on all its validation pictures."""
    config, domain = context.config, context.data
    validation = np.asarray(domain.split(trial.seed).validation)
    probability, presence = _probability(context, trial, validation), _presence(context, trial, validation)
    has_site = domain.presence[validation] == 1
    return chosen_point(probability, has_site, config.minimum_area, config.false_alarms, presence)


def _masks(
    config: Config,
    point: Point,
    probability: Float32[np.ndarray, "P H W"],
    presence: Float32[np.ndarray, " P"] | None,
) -> Bool[np.ndarray, "P H W"]:
    sure = np.ones(len(probability)) if presence is None else presence
    return np.stack(
        [point.mask(one, config.minimum_area, float(has)) for one, has in zip(probability, sure, strict=True)]
    )


def _probability(context: Here, trial: Trial, indices: Int[np.ndarray, " P"]) -> Float32[np.ndarray, "P H W"]:
    """Of a site at every pixel of some pictures."""
    if is_rung(trial.network):
        return _rung(context, trial).probability(context.data.images[indices])
    network = cast(SiteTrainer, context.store.trainer).network(trial.network)
    logits = predict_logits(network, context.store.load(trial).variables, context.data.images[indices])
    return np.asarray(jax.nn.softmax(logits)[..., 1])


def _presence(context: Here, trial: Trial, indices: Int[np.ndarray, " P"]) -> Float32[np.ndarray, " P"] | None:
    """Of a site in each of some pictures, by the classifier that may empty them; None where there is none."""
    if (classifier := gate_of(context.config, trial)) is None:
        return None
    return np.asarray(jax.nn.softmax(_classified(context, classifier, indices))[..., 1])


def gate_of(config: Config, trial: Trial) -> Classifier | None:
    """The classifier that may empty pictures of a trial's network: that of its maps, or else the first."""
    if trial.method == MASKS or config.level != "gated":
        return None
    return trial.needed_classifier or Classifier(config.classification.classifiers[0], trial.seed)


def needs(context: Here, trial: Trial) -> list[Training]:
    """The trainings that a trial's values rest on."""
    gate = gate_of(context.config, trial)
    return list(dict.fromkeys([*([] if gate is None else [gate]), *trial.trainings]))


def _classified(context: Here, classifier: Classifier, indices: Int[np.ndarray, " P"]) -> Float32[np.ndarray, "P K"]:
    network = cast(SiteTrainer, context.store.trainer).classifiers.network(classifier.network)
    return predict_logits(network, context.store.load(classifier).variables, context.data.images[indices])


@functools.lru_cache(maxsize=8)
def _auc(context: Here, classifier: Classifier) -> float:
    """Area under the curve of a classifier on the test pictures."""
    test = np.asarray(context.data.split(classifier.seed).test)
    return mean_roc_auc(_classified(context, classifier, test), context.data.presence[test])


def _site_rows(masks: Bool[np.ndarray, "P H W"], indices: Sequence[int], domain: LabelledDomain) -> list[Row]:
    """Outlines of pictures with a site, and whether anything of the site was found."""
    rows = []
    for mask, index in zip(masks, indices, strict=True):
        truth, name = domain.labels[index] > 0, domain.source.names[index]
        values = outline_metrics(mask, truth, domain.metres)
        values = {"site_iou": values.pop("iou"), **values, "detection_rate": float((mask & truth).any())}
        rows += [Row(metric, value, name) for metric, value in values.items()]
    return rows


def _examples(indices: np.ndarray, masks: Bool[np.ndarray, "P H W"], rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The worst, the median and the best picture by the Dice of the rows, which come in the order of the pictures."""
    shown = places_shown([row.value for row in rows if row.metric == "dice"])
    return {"indices": indices[shown], "masks": masks[shown]} if len(shown) else {}


def _false_alarms(indices: np.ndarray, masks: Bool[np.ndarray, "P H W"]) -> dict[str, np.ndarray]:
    """The picture without a site in which most is marked."""
    shown = places_shown(-masks.mean((1, 2)))[:1]
    return {"empty_indices": indices[shown], "empty_masks": masks[shown]} if len(shown) else {}


def write_files(
    folder: Path,
    domain: LabelledDomain,
    indices: Sequence[int],
    masks: Bool[np.ndarray, "P H W"],
    probability: Float32[np.ndarray, "P H W"],
) -> None:
    """GeoTIFF masks and site outlines of some pictures; where only some have a place, prints which got none."""
    names = [domain.source.names[index] for index in indices]
    unplaced = write_sites(folder, names, [domain.places[index] for index in indices], masks, probability)
    if 0 < len(unplaced) < len(names):
        print(
            f"{folder}: {len(unplaced)} of {len(names)} pictures have no place on the ground and got no GeoTIFF mask "
            f"and outlines ({first_few(unplaced)})"
        )


def _cautions(config: Config, domain: LabelledDomain) -> list[str]:
    """Why no outlines for a map were written, where none were."""
    if all(place is None for place in domain.places):
        return ["The pictures have no place on the ground, so no GeoTIFF masks or site outlines were written."]
    if missing := missing_packages():
        return [
            "No GeoTIFF masks or site outlines were written, because packages are missing: "
            f"{', '.join(missing)} (pip install -e '.[geo]')."
        ]
    return []


def passes(context: Here, trial: Trial) -> dict[tuple[Training, str], float]:
    """Forward passes of making the maps that a trial's masks come from; trials with other rules share them."""
    if (classifier := trial.needed_classifier) is None:
        return {}
    labels = cast(SiteTrainer, context.store.trainer).labels
    return {(classifier, trial.map): labels.passes(classifier, trial.map)}


STUDY = Study(
    name="site_segmentation",
    config=Config,
    base=BASE,
    scales=SCALES,
    trial=Trial,
    resolve=Config.resolved,
    read=read,
    trials=lambda config, domain: config.trials(),
    trainings=lambda config, domain: TrainingStore(config.run, SiteTrainer(config, domain)),
    needs=needs,
    measure=measure,
    analyse=analyse,
    gallery=gallery,
    cautions=_cautions,
    passes=passes,
    keeps_networks=True,
    rivals=RivalPart(lambda config, domain, network: [Trial(network, 0, ELSEWHERE)], measure_rival),
)
