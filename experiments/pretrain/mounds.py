"""`mounds`: a classifier of pictures with a settlement mound, and a network that outlines it, as study 4B trains them.

The mounds are simulated and planted into real CORONA pictures. `experiments.outline_sites --weights` takes the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from experiments.harness.classifier_options import Classifier
from experiments.harness.classifiers import LabelledDomain
from experiments.harness.options import TrainOptions, overlaid
from experiments.harness.parsing import defaults_of, resolved
from experiments.harness.pictures import stable_number
from experiments.harness.run import opened
from experiments.harness.store import TrainingStore
from experiments.harness.study import Context
from experiments.harness.weights import objects_of
from experiments.harness.weights import told as objects_told
from experiments.outline_sites.held_out import Trivial, trivial_mask
from experiments.outline_sites.networks import smallest_area
from experiments.pretrain.finished import Finished, Kept
from experiments.pretrain.schedule import halved
from experiments.pretrain.write import used
from experiments.site_segmentation.findings import AT_HALF, DICE, FALSE_ALARMS, FOUND, percent
from experiments.site_segmentation.grid import OUTLINES, Config, Trial
from experiments.site_segmentation.operating import HALF, POINT
from experiments.site_segmentation.study import STUDY, SiteTrainer
from segjax.evaluation.classification import mean_roc_auc
from segjax.models import load_weights, save_weights
from segjax.training import LoopConfig, Pictures, StepConfig, fit, predict_logits
from segjax.types import InputError

METRES, SIDE = 3.32, 128  # of a pixel on the ground; pixels of a picture, and of the windows in a scene
DATA = (
    f"terrain:mounds?pixels={SIDE}&metres={METRES}&sheets=12&pictures=96&without=1"
    "&backgrounds={pictures}/corona/background"
)
SCRATCH = (20, 5)  # outlined mounds, or labelled pictures, of networks that are trained for comparison
NETWORK, CLASSIFIER = "unet", "unet_classifier"
SEGMENT = TrainOptions(
    StepConfig(loss="both", learning_rate=3e-3, augment=True),
    LoopConfig(batch_size=8, epochs=60, stop="plateau", patience=12),
)
CLASSIFY = TrainOptions(
    StepConfig(loss="cross_entropy", learning_rate=3e-3, augment=True),
    LoopConfig(batch_size=16, epochs=40, stop="plateau", patience=10),
)
FEWEST = 200  # pictures in an epoch of a classifier; fewer are repeated
ORIGIN = (
    "CORONA satellite photographs (public domain) as cut into tiles by mehrtash/qanat-detection, Apache-2.0; the "
    "mounds are simulated by segjax"
)


class Score(NamedTuple):
    """A value of one held-out picture, or of all (no picture), by a network that learnt from so many pictures."""

    network: str
    annotated_pictures: int
    metric: str
    picture: str
    value: float


@dataclass(frozen=True)
class Trainings:
    """The study that makes the networks: pictures, trainings, and which of its trials are wanted."""

    context: Context[Config, LabelledDomain, Any]

    @classmethod
    def begun(cls, pictures: str, work: Path) -> "Trainings":
        """For the pictures of a folder of public sets; trainings are kept in `work`."""
        changes: dict[str, Any] = {
            "run": {"out": work, "seeds": 1, "strategy": "sequential"},
            "source": {"data": DATA.format(pictures=pictures), "replicates": 1},
            "classify": CLASSIFY,
            "train": SEGMENT,
            "trained_on": (),
            "outlines": SCRATCH,
            "baselines": (),
            "level": "gated",
        }
        return cls(opened(STUDY, resolved(STUDY, overlaid(defaults_of(STUDY, "reduced"), changes)))[0])

    @property
    def store(self) -> TrainingStore[Any]:
        """The trained networks."""
        return self.context.store

    @property
    def trainer(self) -> SiteTrainer:
        """How they are trained."""
        return cast(SiteTrainer, self.store.trainer)

    @property
    def classifier(self) -> Classifier:
        """The training of the classifier."""
        return Classifier(CLASSIFIER, 0)

    def measured(self, trial: Trial) -> dict[tuple[str, str], float]:
        """The values of a trial by metric and picture ("" of all), with weights rounded to 16 bits."""
        needed = self.store.closure(STUDY.needs(self.context, trial))
        self.store.ensure(needed)
        for training in needed:
            self._round(training)
        return {(row.metric, row.picture): float(row.value) for row in STUDY.measure(self.context, trial).rows}

    def _round(self, training: Any) -> None:
        path = self.store.path(training)
        variables, facts = load_weights(path, is_ours=True)
        save_weights(path, jax.tree.map(lambda leaf: leaf.astype(np.float32), halved(variables)), facts)

    def auc(self, variables: Any) -> float:
        """Of the classifier on the test pictures: chance is 0.5."""
        test = np.asarray(self.context.data.split(0).test)
        logits = predict_logits(self.trainer.classifiers.network(CLASSIFIER), variables, self.context.data.images[test])
        return mean_roc_auc(logits, self.context.data.presence[test])

    def few_labels(self, count: int) -> Any:
        """Variables of the classifier, trained from scratch on so many labelled pictures, half of them with a mound."""
        domain, trainer, kind = self.context.data, self.trainer.classifiers, self.trainer.kind(self.classifier)
        split, own = domain.split(0), max(2, round(count / 5))  # to validate, with and without a mound
        learnt, held = self._mixed(split.train, count - own), self._mixed(split.validation, own)
        train, validation = (
            Pictures(domain.images[rows], domain.presence[rows]) for rows in (np.resize(learnt, FEWEST), held)
        )
        key = jax.random.key(stable_number(f"mounds {count}"))
        found = fit(key, self.store.trainer.steps(kind), train, validation, trainer.loop(kind))
        return halved(found.variables)

    def _mixed(self, side: Sequence[int], count: int) -> np.ndarray:
        """So many pictures of a side, with and without a mound in turns."""
        presence = self.context.data.presence
        kinds = [[index for index in side if presence[index] == kind] for kind in (1, 0)]
        return np.array([index for pair in zip(*kinds, strict=False) for index in pair][:count])


def make(pictures: str, work: Path) -> Finished:
    """Both networks with their scores, and those of the same networks trained from scratch on few pictures."""
    study = Trainings.begun(pictures, work)
    domain, config = study.context.data, study.context.config
    split = domain.split(0)
    best = Trial(NETWORK, 0, OUTLINES)
    every = len(domain.with_object((*split.train, *split.validation)))
    values = {count or every: study.measured(Trial(NETWORK, 0, OUTLINES, outlines=count)) for count in (0, *SCRATCH)}
    scores = [
        Score(NETWORK, count, metric, picture, round(value, 4))
        for count, own in values.items()
        for (metric, picture), value in own.items()
    ]
    classifier = study.store.load(study.classifier).variables
    labelled = {len(split.train) + len(split.validation): classifier}
    labelled |= {count: study.few_labels(count) for count in SCRATCH}
    aucs = {count: study.auc(variables) for count, variables in labelled.items()}
    scores += [Score(CLASSIFIER, count, "auc", "", round(value, 4)) for count, value in aucs.items()]
    trivial = trivial_mask(domain, (0,))
    check_learnt(aucs[next(iter(aucs))], values[every][DICE, ""], trivial)
    held_out = {name: values_of(values[every], name) for name in (DICE, FOUND, FALSE_ALARMS)}
    facts = {
        "metres": METRES,
        "side": SIDE,
        "point": [values[every][metric, ""] for metric in POINT],
        "held_out": {name: float(np.mean(found)) for name, found in held_out.items()},
        "trivial": [trivial.name, trivial.dice],
        "smallest_pixels": max(smallest_area(domain.labels) / 2, config.minimum_area),
    }
    networks = {
        NETWORK: Kept(
            _options(study.trainer.network(NETWORK)), halved(study.store.load(best).variables), told(values), facts
        ),
        CLASSIFIER: Kept(
            _options(study.trainer.classifiers.network(CLASSIFIER)),
            halved(classifier),
            {
                f"{_who(place)}, {count} labelled pictures": f"area under the curve {auc:.3f} (chance is 0.5)"
                for place, (count, auc) in enumerate(aucs.items())
            },
        ),
    }
    counts = [len(side) for side in (split.train, split.validation, split.test)]
    return Finished(
        title="finds settlement mounds in grey satellite pictures like those of CORONA, and outlines them",
        about={
            "takes": "float32 [B, H, W, C] with 1 channel and values from 0 to 1: grey, divided by the data type's "
            f"largest value, best {SIDE}x{SIDE} pixels of {METRES} m",
            "gives": "logits of no site, site: of every pixel (unet), of the picture (unet_classifier)",
            "caution": "all mounds that they saw are simulated, so how they do on real sites is not known; the "
            "ground is real film",
            "learnt from": f"{counts[0]} pictures, half of them with a mound, and {counts[1]} others that chose the "
            "best epoch and the level from which on a mound counts",
            "trained": "until the validation loss no longer gained, or to the most epochs that they may have: "
            f"{SEGMENT.loop.epochs} ({NETWORK}) and {CLASSIFY.loop.epochs} ({CLASSIFIER}); how many it took is not "
            "kept",
            "scored on": f"{counts[2]} pictures on ground that it never saw; scores.csv names them",
            "pictures": ORIGIN,
            "data": f"{DATA.format(pictures='PICTURES')} (digest {domain.source.digest})",
        },
        origin=ORIGIN,
        networks=networks,
        scores=[Score._fields, *scores],
        pictures=used(domain.source, (split.train, split.validation, split.test)),
        scale="dtype",
        objects=objects_learnt(domain, split.train),
    )


def objects_learnt(domain: LabelledDomain, train: Sequence[int]) -> dict[str, Any]:
    """What the card holds of the mounds in some pictures."""
    parts = [objects_of(domain.images[index], domain.labels[index], domain.ignored[index]) for index in train]
    return objects_told(["mound"], [one for one in parts if one is not None])


def check_learnt(auc: float, dice: float, trivial: Trivial) -> None:
    """Raises InputError where a classifier is no better than chance, or outlines are than a mask without a network."""
    if auc <= 0.5 or dice <= trivial.dice:
        raise InputError(
            f"mounds: on unseen ground the classifier has an area under the curve of {auc:.3f} (chance is 0.5) and the "
            f"outlines a Dice of {dice:.3f} ({trivial.name} has {trivial.dice:.3f}); give the recipe more epochs"
        )


def values_of(values: dict[tuple[str, str], float], metric: str) -> list[float]:
    """All values of a metric."""
    return [value for (name, _), value in values.items() if name == metric]


def _options(network: Any) -> dict[str, Any]:
    return {option: getattr(network, option) for option in type(network).OPTIONS}


def _who(place: int) -> str:
    return "the same network, trained from scratch" if place else "these weights"


def told(values: dict[int, dict[tuple[str, str], float]]) -> dict[str, str]:
    """What the networks that outline found, by the number of outlined mounds; each text names its level and gate."""
    texts = {}
    for place, (count, own) in enumerate(values.items()):
        dice, found, alarms = (float(np.mean(values_of(own, metric))) for metric in (DICE, FOUND, FALSE_ALARMS))
        level, pixels, gate, plain_found, plain_alarms = (own[metric, ""] for metric in (*POINT, *AT_HALF))
        text = (
            f"pieces with {pixels:.0f} px or more above a probability of {level:g} count, in pictures that "
            f"{CLASSIFIER} gives {gate:.3f} or more: Dice {dice:.3f}, {percent(found)} of the mounds found, "
            f"something marked in {percent(alarms)} of the pictures without one; every piece above {HALF:g} "
            f"counts, in all pictures: {percent(plain_found)} found, something marked in {percent(plain_alarms)}"
        )
        if place:
            text += f"; its level was chosen, and {CLASSIFIER} trained, with all labelled pictures"
        texts[f"{_who(place)}, {count} outlined mounds"] = text
    return texts
