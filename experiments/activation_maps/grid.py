"""The grid of study 4A: its configuration, and its trials, each one look at a trained classifier."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from experiments.harness.classifier_options import Classifier, ClassifierOptions, ClassifierSizes
from experiments.harness.ladder_options import BaselineOptions
from experiments.harness.map_options import OURS, MapOptions, reason_without_map
from experiments.harness.options import (
    DataOptions,
    Flat,
    RunOptions,
    TrainOptions,
    arranges,
    check_choices,
    decides,
)
from segjax.maps import MAPS
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError, check_least

QUESTIONS = ("maps", "cues", "training")
CLASSIFIER, CUES, REFERENCE = "classifier", "cues", "reference"
FIXED_DISC, MATCHED_DISC = "fixed_disc", "area_matched_disc"
REFERENCES = (FIXED_DISC, MATCHED_DISC, *(f"stride_{stride}" for stride in (8, 16, 32)))


@dataclass(frozen=True)
class Config:
    """Which activation map finds the object best, and which part of the picture does a classifier rely on?

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    run: Annotated[RunOptions, Flat]
    source: Annotated[DataOptions, Flat] = DataOptions("terrain:mounds")
    classification: Annotated[ClassifierOptions, Flat] = ClassifierOptions()
    train: TrainOptions = decides(make=TrainOptions)
    questions: tuple[str, ...] = arranges(QUESTIONS)
    """Any of maps (compares all maps of all classifiers), cues (which part of the picture a classifier relies on),
    training (both, after several numbers of epochs)."""
    maps: tuple[str, ...] = arranges(tuple(MAPS))
    """Any of contour_cam, cam, grad_cam, grad_cam_plus_plus, x_grad_cam, hires_cam, elementwise_cam, layer_cam,
    finer_cam, shapley_cam, eigen_cam, kpca_cam, deep_feature_factorisation, score_cam, ablation_cam, layer_cam_fusion,
    zoom_cam, refine_cam, poly_cam, full_grad, guided_backprop, smooth_grad, integrated_gradients, occlusion, rise."""
    threshold_pictures: int = decides(5)
    """Number of outlined validation pictures that choose the threshold of each map."""
    test_pictures: int = decides(40)
    """Maps are judged on at most this many test pictures with the object, and on as many without it."""
    epochs_looked_at: tuple[int, ...] = arranges((1, 2, 4, 8))
    """For the question training: after how many epochs classifiers are looked at."""
    maps_over_training: tuple[str, ...] = arranges((OURS, "grad_cam"))
    """For the question training: the maps that are followed."""
    map_options: MapOptions = decides(make=MapOptions)
    classical: Annotated[BaselineOptions, Flat] = field(default_factory=BaselineOptions)

    def resolved(self) -> "Config":
        """The configuration, checked.

        Raises:
            InputError: names the option and what it may be.
        """
        self.classification.check(self.train.loop)
        self.classical.check()
        if self.classical.baselines and "maps" not in self.questions:
            raise InputError("baselines: they answer the question maps; add it to --questions")
        check_choices("questions", self.questions, QUESTIONS)
        check_choices("maps", self.maps, MAPS)
        check_choices("maps_over_training", self.maps_over_training, MAPS)
        check_least(self, threshold_pictures=1, test_pictures=1)
        last = self.train.loop.epochs - 1
        if last < 1 and self.epochs_looked_at:
            raise InputError("epochs_looked_at: one epoch has none before its last; give more --train.epochs, or none")
        for epochs in self.epochs_looked_at:
            if not 1 <= epochs <= last:
                raise InputError(
                    f"epochs_looked_at: {epochs} must be from 1 to {last}, before the last of --train.epochs"
                )
        if "maps" in self.questions and not self.maps:
            raise InputError("maps: name at least one; --help lists them")
        for network in self.classification.classifiers:
            reasons = [_reason_without(self, network, kind) for kind in self.maps]
            if reasons and all(reasons):
                raise InputError(f"maps: {network} has none of them; {reasons[0]}; name others or another classifier")
        return self

    def trials(self, outlined: bool) -> "list[Trial]":
        """Every trial once: classifiers first, so that they are trained in packs, then seed by seed.

        Args:
            outlined: whether there are outlines; trials that are about nothing else are left out without.
        """
        found = dict.fromkeys(_looks(self))
        return [trial for trial in found if outlined or not (trial.map == CUES or trial.network == REFERENCE)]


def _training(loop: LoopConfig, rate: float, weights: tuple[float, ...] = ()) -> TrainOptions:
    return TrainOptions(StepConfig("cross_entropy", weights, rate, augment=True), loop)


BASE = Config(
    RunOptions(Path()),
    DataOptions("terrain:mounds", simulation="terrain:pixels=512&metres=1.66&sheets=40&pictures=200"),
    ClassifierOptions(("vgg16", "resnet18", "resnet50", "msd_classifier", "unet_classifier")),
    _training(LoopConfig(batch_size=8, epochs=1000, stop="plateau", patience=10), 1e-3, (0.1, 0.9)),
)
SMALL = ClassifierSizes(vgg_width=8, resnet_width=8, msd_depth=20, unet_width=8, unet_levels=3)
LITTLE = MapOptions(rise_masks=400, occlusion_patch=16, gradient_samples=16, removal_steps=20)
FEW_MAPS = (OURS, "cam", "grad_cam", "layer_cam_fusion")
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "run": {"seeds": 1},
        "source": {"folds": 3, "simulation": "terrain:pixels=64&metres=6.64&sheets=6&pictures=6&without=1"},
        "classification": {
            "classifiers": ("resnet18", "msd_classifier"),
            "classifier_sizes": ClassifierSizes(resnet_width=2, msd_depth=3),
        },
        "train": _training(LoopConfig(batch_size=4, epochs=2), 1e-2),
        "maps": FEW_MAPS,
        "threshold_pictures": 2,
        "test_pictures": 4,
        "epochs_looked_at": (1,),
        "map_options": MapOptions(rise_masks=8, occlusion_patch=16, gradient_samples=2, removal_steps=4),
    },
    "demo": {
        "run": {"seeds": 1},
        "source": {"simulation": "terrain:pixels=64&metres=6.64&sheets=20&pictures=30&without=1"},
        "classification": {"classifiers": ("resnet18",), "classifier_sizes": SMALL},
        "train": _training(LoopConfig(batch_size=16, epochs=14), 3e-3),
        "questions": ("maps", "cues"),
        "maps": FEW_MAPS,
        "test_pictures": 12,
        "epochs_looked_at": (),
        "map_options": LITTLE,
    },
    "reduced": {
        "run": {"seeds": 8},
        "source": {"simulation": "terrain:pixels=96&metres=4.98&sheets=24&pictures=40&without=1", "replicates": 8},
        "classification": {"classifiers": ("vgg16", "resnet18", "unet_classifier"), "classifier_sizes": SMALL},
        "train": _training(LoopConfig(batch_size=16, epochs=10), 3e-3),
        "test_pictures": 24,
        "map_options": LITTLE,
    },
    "paper": {},
}


@dataclass(frozen=True)
class Trial:
    """One look at a trained classifier.

    Attributes:
        network: the classifier; `REFERENCE` where none is needed.
        map: the map that is judged; `CLASSIFIER`: how well it tells pictures apart; `CUES`: what it goes by; one of
            `REFERENCES`, or a rung of the ladder: masks and maps that every map is compared with.
        epochs: after how many the classifier is looked at; 0: after all.
    """

    network: str
    seed: int
    map: str
    epochs: int = 0

    @property
    def training(self) -> Classifier:
        """The classifier that is looked at."""
        return Classifier(self.network, self.seed, self.epochs)


def _looks(config: Config) -> Iterator[Trial]:
    networks, seeds = config.classification.classifiers, range(config.run.seeds)
    has = {name: [kind for kind in config.maps if not _reason_without(config, name, kind)] for name in networks}
    for network in networks:
        yield from (Trial(network, seed, CLASSIFIER) for seed in seeds)
    for seed in seeds:
        if "maps" in config.questions:
            yield from (Trial(REFERENCE, seed, kind) for kind in (*REFERENCES, *config.classical.baselines))
        for network in networks:
            if "maps" in config.questions:
                yield from (Trial(network, seed, kind) for kind in has[network])
            if "cues" in config.questions:
                yield Trial(network, seed, CUES)
            if "training" in config.questions:
                followed = [kind for kind in config.maps_over_training if kind in has[network]]
                for epochs in (*config.epochs_looked_at, 0):
                    yield from (Trial(network, seed, kind, epochs) for kind in (CLASSIFIER, CUES, *followed))


def _reason_without(config: Config, network: str, kind: str) -> str | None:
    return reason_without_map(kind, network, config.classification.classifier_sizes)
