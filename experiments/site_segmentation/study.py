"""Study 4B: which pictures, how classifiers and networks that segment are trained, and what is measured."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int32

from experiments.harness.classifier_options import Classifier
from experiments.harness.classifiers import (
    ClassifierTrainer,
    LabelledDomain,
    check_trainable_classifiers,
    read_labelled,
)
from experiments.harness.examples import places_shown
from experiments.harness.networks import blank_pictures, check_trainable, network_of, pooled_dice, prediction_rows
from experiments.harness.pictures import Opener
from experiments.harness.store import Extent, Job, Load, Trainer, TrainingStore
from experiments.harness.study import Context, Study
from experiments.site_segmentation.analysis import analyse
from experiments.site_segmentation.charts import gallery
from experiments.site_segmentation.grid import (
    BASE,
    MASKS,
    SCALES,
    Config,
    Training,
    Trial,
)
from experiments.site_segmentation.labels import Labels, check_outlines, sides_of
from segjax.data import open_source
from segjax.data.folders.tables import first_few
from segjax.data.ground.geofiles import missing_packages
from segjax.data.ground.outlines import write_sites
from segjax.evaluation import mean_roc_auc, outline_metrics
from segjax.maps import tidied
from segjax.models import NETWORKS
from segjax.sweeps import Outcome, Row, file_stem
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
        if kind in NETWORKS:
            return make_steps(self.network(kind), self._config.train.step)
        return self.classifiers.make_steps(kind)

    def loop(self, kind: str) -> LoopConfig:
        return self._config.train.loop if kind in NETWORKS else self.classifiers.loop(kind)

    def blank(self, kind: str) -> Pictures:
        if kind in NETWORKS:
            return blank_pictures(self._domain, self._config.train.loop.batch_size)
        return self.classifiers.blank(kind)

    def extent(self, training: Training) -> Extent:
        if isinstance(training, Classifier):
            return self.classifiers.extent(training)
        sides = sides_of(self._domain, training)
        return Extent(self._config.epoch_pictures, len(sides.validation) + len(sides.validation_without))

    def job(self, training: Training, load: Load) -> Job:
        """Pictures with a site make half of an epoch; few are repeated."""
        if isinstance(training, Classifier):
            return self.classifiers.job(training, load)
        sides, count = sides_of(self._domain, training), self._config.epoch_pictures
        rows = [*np.resize(sides.train, count - count // 2), *np.resize(sides.train_without, count // 2)]
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
    """A network that segments, on all test pictures."""
    config, domain, trained = context.config, context.data, context.store.load(trial)
    test = np.asarray(domain.split(trial.seed).test)
    network = cast(SiteTrainer, context.store.trainer).network(trial.network)
    logits = predict_logits(network, trained.variables, domain.images[test])
    probability = np.asarray(jax.nn.softmax(logits)[..., 1])
    predicted = np.stack([tidied(one > 0.5, config.minimum_area) for one in probability])
    rows, pooled = prediction_rows(predicted, domain, test, config.segmentation.tolerance)
    is_shown = np.isin(test, domain.with_object(test.tolist()))
    sites = _site_rows(predicted[is_shown], test[is_shown].tolist(), domain)
    rows = [
        *(row for row in rows if row.metric in ("dice", "iou", "surface_dice")),
        *(row for row in sites if row.metric != "dice"),
        Row("dice_pooled", pooled),
        Row("false_positive_rate", float(np.mean(predicted[domain.presence[test] == 0].any((1, 2))))),
        *(Row(metric, value) for metric, value in trained.facts.items()),
    ]
    if trial.needed_classifier is not None:
        rows.append(Row("auc", _auc(context, trial.needed_classifier)))
    if trial.seed == 0 and not missing_packages():
        write_files(config.run.out / "sites" / file_stem(trial), domain, test.tolist(), predicted, probability)
    examples = _examples(test[is_shown], predicted[is_shown], sites)
    is_empty = domain.presence[test] == 0
    examples |= _false_alarms(test[is_empty], predicted[is_empty])
    return Outcome(rows, f"Dice {pooled:.3f} ({trained.status})", trained.status, trained.restarts, examples)


@functools.lru_cache(maxsize=8)
def _auc(context: Here, classifier: Classifier) -> float:
    """Area under the curve of a classifier on the test pictures."""
    domain = context.data
    test = list(domain.split(classifier.seed).test)
    network = cast(SiteTrainer, context.store.trainer).classifiers.network(classifier.network)
    logits = predict_logits(network, context.store.load(classifier).variables, domain.images[test])
    return mean_roc_auc(logits, domain.presence[test])


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
    needs=lambda context, trial: trial.trainings,
    measure=measure,
    analyse=analyse,
    gallery=gallery,
    cautions=_cautions,
    passes=passes,
    keeps_networks=True,
)
