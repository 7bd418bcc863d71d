"""Study 4A: which pictures, how classifiers are trained, and how each look at one of them is measured."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.activation_maps.analysis import analyse
from experiments.activation_maps.charts import gallery
from experiments.activation_maps.grid import (
    BASE,
    CLASSIFIER,
    CUES,
    REFERENCE,
    SCALES,
    Config,
    Trial,
)
from experiments.activation_maps.measure import (
    Chosen,
    chosen_pictures,
    cue_rows,
    faithfulness_of,
    faithfulness_rows,
    localisation_rows,
    reference_rows,
    sanity,
    scorer,
)
from experiments.harness.classifier_options import Classifier
from experiments.harness.classifiers import (
    ClassifierTrainer,
    LabelledDomain,
    check_trainable_classifiers,
    read_labelled,
)
from experiments.harness.examples import places_shown
from experiments.harness.map_options import OURS
from experiments.harness.pictures import Opener
from experiments.harness.store import Trained, TrainingStore
from experiments.harness.study import Context, Study
from segjax.data import open_source
from segjax.evaluation import accuracy, balanced_accuracy, shuffled_parameters
from segjax.evaluation.classification import mean_roc_auc
from segjax.maps import layer_shapes
from segjax.maps.scaling import refuse_unusable
from segjax.models import Probe
from segjax.sweeps import Outcome, Row
from segjax.training import predict_logits

SANITY_PICTURES = 4
NO_OUTLINES = "There are no outlines, so maps are judged only by how the score changes when pixels are removed."
SAID = {
    "auc": "area under the curve",
    "accuracy": "accuracy",
    "iou": "IoU",
    "boundary_f_4px": "boundary F at 4 px",
    "road": "ROAD",
    "cue_lost_without_rim": "share of the evidence lost without the rim",
}


class ClassifiedPictures:
    """Pictures with image-level labels, and what is made of them and their classifiers once.

    Attributes:
        is_outlined: whether any picture has an outline of the object.
        chosen: pictures that maps are judged on, by seed.
        explainer: a map by classifier and name; compiled once.
        faithfulness, score: by classifier; compiled once.
        cost: forward passes of a map of one picture, by classifier and name.
        looked_at: a trained classifier by store and training, and what a cell of each layer of our map sees in pixels.
    """

    def __init__(self, config: Config, domain: LabelledDomain) -> None:
        """Nothing is computed before it is asked for."""
        self.domain, self.source, self.split = domain, domain.source, domain.split
        self.trainer = ClassifierTrainer(config.classification, config.train, domain)
        self.is_outlined = bool(domain.with_object(range(len(domain.presence))))
        options, network = config.map_options, self.trainer.network
        amounts = config.threshold_pictures, config.test_pictures
        self.chosen: Callable[[int], Chosen] = functools.cache(
            lambda seed: chosen_pictures(domain, domain.split(seed), *amounts)
        )
        self.explainer = functools.cache(lambda name, kind: options.create(kind, network(name)))
        self.faithfulness = functools.cache(lambda name: faithfulness_of(Probe(network(name)), options.removal_steps))
        self.score = functools.cache(lambda name: scorer(Probe(network(name))))
        self.cost = functools.cache(lambda name, kind: self.explainer(name, kind).cost(*self.blank(name)))
        self.looked_at = functools.lru_cache(maxsize=1)(self._look_at)

    def blank(self, name: str) -> tuple[Any, jax.Array]:
        """The shapes of a classifier's variables, and a picture."""
        image = jnp.asarray(self.domain.images[:1])
        return jax.eval_shape(self.trainer.network(name).init, jax.random.key(0), image), image

    def _look_at(self, store: TrainingStore[Classifier], training: Classifier) -> tuple[Trained, np.ndarray]:
        trained, images = store.load(training), self.domain.images[self.chosen(training.seed).all]
        return trained, self.explainer(training.network, OURS).blurs(trained.variables, images)


def read(config: Config, opener: Opener = open_source) -> ClassifiedPictures:
    """Open and read the pictures of a resolved configuration.

    Raises:
        InputError: the data cannot be used, or a classifier cannot take them or has nothing to make maps of on them;
            the message names the layer, and those that there are.
    """
    domain = read_labelled(config.source, config.classification, opener)
    check_trainable_classifiers(config.classification, domain, config.run.seeds)
    data = ClassifiedPictures(config, domain)
    for name in config.classification.classifiers:
        network = data.trainer.network(name)
        layers = network.map_layers
        layer_shapes(Probe(network), *data.blank(name), [layers.pooled, layers.deep, *layers.fused])
    return data


def measure(context: Context[Config, ClassifiedPictures, Classifier], trial: Trial) -> Outcome:
    """One look at a trained classifier, or what every map is compared with."""
    data, chosen = context.data, context.data.chosen(trial.seed)
    if trial.network == REFERENCE:
        rows = reference_rows(trial.map, trial.seed, chosen, data.domain)
        return Outcome(rows, _said(rows))
    trained, blurs = data.looked_at(context.store, trial.training)
    examples: dict[str, np.ndarray] = {}
    if trial.map == CLASSIFIER:
        rows = [*_classification(data, trial, trained.variables), Row("blur_px", float(blurs[-1]))]
        examples = {"auc": np.asarray(rows[0].value)}
    elif trial.map == CUES:
        rows = cue_rows(functools.partial(data.score(trial.network), trained.variables), chosen, data.domain)
    else:
        rows, examples = _judge_map(data, trial, trained.variables, blurs)
    summary = f"{_said(rows)} ({trained.status})"
    return Outcome(rows, summary, trained.status, trained.restarts, {} if trial.epochs else examples)


def _classification(data: ClassifiedPictures, trial: Trial, variables: Any) -> list[Row]:
    """How well the classifier tells test pictures apart."""
    test = list(data.split(trial.seed).test)
    logits = predict_logits(data.trainer.network(trial.network), variables, data.domain.images[test])
    predicted, truth = logits.argmax(1).astype(np.int32), data.domain.presence[test]
    values = {"accuracy": accuracy(predicted, truth), "balanced_accuracy": balanced_accuracy(predicted, truth)}
    return [Row("auc", mean_roc_auc(logits, truth)), *(Row(name, value) for name, value in values.items())]


def _judge_map(
    data: ClassifiedPictures, trial: Trial, variables: Any, blurs: np.ndarray
) -> tuple[list[Row], dict[str, np.ndarray]]:
    """Rows of a map, and a few of its pictures for the page."""
    domain, chosen, key = data.domain, data.chosen(trial.seed), jax.random.key(trial.seed)
    images, first = domain.images[chosen.all], chosen.tested.start
    explain = functools.partial(data.explainer(trial.network, trial.map), key=key, blurs=blurs)
    maps = explain(variables, images)
    refuse_unusable(maps, [domain.source.names[index] for index in chosen.all])
    shown, few = maps[chosen.tested], slice(first, min(first + SANITY_PICTURES, chosen.tested.stop))
    params = variables["params"]
    other = explain({**variables, "params": shuffled_parameters(key, params, list(params))}, images[few])
    judge = functools.partial(data.faithfulness(trial.network), key, variables)
    rows = [
        *localisation_rows(maps, chosen, domain),
        *faithfulness_rows(judge, shown, chosen.shown, domain),
        Row("sanity", sanity(maps[few], other)),
    ]
    scores = {name: [row.value for row in rows if row.metric == name] for name in ("iou", "road")}
    metric = "iou" if scores["iou"] else "road"  # without outlines only the latter
    values = np.asarray(scores[metric], np.float32)
    places = places_shown(values)
    return rows, {"indices": np.asarray(chosen.shown)[places], "maps": shown[places], metric: values[places]}


def _said(rows: list[Row]) -> str:
    """The few numbers of a trial that people want to see first."""
    values = {name: [row.value for row in rows if row.metric == metric] for metric, name in SAID.items()}
    means = {name: float(np.mean(found)) for name, found in values.items() if found}
    said = [f"{name} {'not known' if np.isnan(mean) else f'{mean:.3f}'}" for name, mean in means.items()]
    return ", ".join(said) or "nothing to measure"


def passes(
    context: Context[Config, ClassifiedPictures, Classifier], trial: Trial
) -> dict[tuple[Classifier, Trial], float]:
    """Forward passes of making and judging the maps of a trial; the rest is little beside them."""
    if trial.network == REFERENCE or trial.map in (CLASSIFIER, CUES):
        return {}
    chosen, judging = context.data.chosen(trial.seed), 2 * context.config.map_options.removal_steps + 14
    cost = context.data.cost(trial.network, trial.map)
    return {(trial.training, trial): len(chosen.all) * cost + len(chosen.shown) * judging}


STUDY = Study(
    name="activation_maps",
    config=Config,
    base=BASE,
    scales=SCALES,
    trial=Trial,
    resolve=Config.resolved,
    read=read,
    trials=lambda config, data: config.trials(data.is_outlined),
    trainings=lambda config, data: TrainingStore(config.run, data.trainer),
    needs=lambda context, trial: [] if trial.network == REFERENCE else [trial.training],
    measure=measure,
    analyse=analyse,
    gallery=gallery,
    cautions=lambda config, data: [] if data.is_outlined else [NO_OUTLINES],
    passes=passes,
    keeps_networks=True,
)
