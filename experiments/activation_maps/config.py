"""The study's configuration: which classifiers, maps and questions, and how maps are judged; resolved by scale."""

from dataclasses import dataclass, field
from typing import Any

import tyro

from experiments.classifiers import ClassifierOptions, ClassifierSizes, check_classifiers
from experiments.harness.map_options import OURS, MapOptions, reason_without_map
from experiments.options import check_choices, with_data
from segjax.maps import MAPS
from segjax.training import TrainConfig
from segjax.types import InputError

QUESTIONS = ("maps", "cues", "training")


@dataclass(frozen=True)
class StudyConfig(ClassifierOptions):
    """What do classifiers of whole pictures look at, and do their activation maps end where the object ends?

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    questions: tuple[str, ...] = QUESTIONS
    """Any of maps (all maps of all classifiers), cues (what the decision rests on), training (both over time)."""
    maps: tuple[str, ...] = tuple(MAPS)
    """Any of the names in the table of maps; --help of the library: segjax.maps."""
    budget: int = 5
    """Outlined validation pictures by which each map's one threshold is chosen."""
    pictures: int = 40
    """Most test pictures with the object that maps are judged on; as many without it beside them."""
    moments: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of epochs after which classifiers are looked at, for the question training."""
    moment_maps: tuple[str, ...] = (OURS, "grad_cam")
    """Maps that are followed over the training."""
    map_options: MapOptions = field(default_factory=MapOptions)


SMALL = ClassifierSizes(vgg_width=8, resnet_width=8, msd_depth=20, unet_width=8, unet_levels=3)
LITTLE = MapOptions(rise_masks=400, occlusion_patch=16, gradient_samples=16, removal_steps=20)
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": 1,
        "folds": 3,
        "classifiers": ("resnet18", "msd_classifier"),
        "maps": (OURS, "cam", "grad_cam", "layer_cam_fusion"),
        "budget": 2,
        "pictures": 4,
        "moments": (1,),
        "train": TrainConfig(loss="cross_entropy", learning_rate=1e-2, batch_size=4, epochs=2, augment=True),
        "classifier_sizes": ClassifierSizes(resnet_width=2, msd_depth=3),
        "map_options": MapOptions(rise_masks=8, occlusion_patch=16, gradient_samples=2, removal_steps=4),
    },
    "demo": {
        "seeds": 1,
        "classifiers": ("resnet18",),
        "questions": ("maps", "cues"),
        "maps": (OURS, "cam", "grad_cam", "layer_cam_fusion"),
        "pictures": 12,
        "moments": (),
        "train": TrainConfig(loss="cross_entropy", learning_rate=3e-3, batch_size=16, epochs=14, augment=True),
        "classifier_sizes": SMALL,
        "map_options": LITTLE,
    },
    "reduced": {
        "seeds": 5,
        "classifiers": ("vgg16", "resnet18", "unet_classifier"),
        "pictures": 24,
        "train": TrainConfig(loss="cross_entropy", learning_rate=3e-3, batch_size=16, epochs=10, augment=True),
        "classifier_sizes": SMALL,
        "map_options": LITTLE,
    },
    "paper": {
        "classifiers": ("vgg16", "resnet18", "resnet50", "msd_classifier", "unet_classifier"),
        "seeds": 10,
        "train": TrainConfig(
            loss="cross_entropy",
            class_weights=(0.1, 0.9),
            learning_rate=1e-3,
            batch_size=8,
            epochs=1000,
            stop="plateau",
            patience=10,
            augment=True,
        ),
    },
}
DATA_OPTIONS = {
    "smoke": "pixels=64&metres=6.64&sheets=6&pictures=6&without=1",
    "demo": "pixels=64&metres=6.64&sheets=20&pictures=30&without=1",
    "reduced": "pixels=96&metres=4.98&sheets=24&pictures=40&without=1",
    "paper": "pixels=512&metres=1.66&sheets=40&pictures=200",
}


def defaults_of(scale: str) -> StudyConfig:
    """What a scale sets unless the command line says otherwise."""
    return StudyConfig(**{"out": tyro.MISSING, "scale": scale, **SCALES[scale]})


def resolve(config: StudyConfig) -> StudyConfig:
    """The configuration with the size of the simulation filled in, and checked.

    Raises:
        InputError: names the option and what it may be.
    """
    resolved = with_data(config, DATA_OPTIONS)
    check_classifiers(resolved)
    check_choices("questions", resolved.questions, QUESTIONS)
    check_choices("maps", resolved.maps, tuple(MAPS))
    check_choices("moment_maps", resolved.moment_maps, tuple(MAPS))
    for name, number, least in (("budget", resolved.budget, 1), ("pictures", resolved.pictures, 1)):
        if number < least:
            raise InputError(f"{name} must be at least {least}, not {number}")
    for moment in resolved.moments:
        if not 1 <= moment < resolved.train.epochs:
            raise InputError(
                f"moments: {moment} must be from 1 to {resolved.train.epochs - 1}, before the last of train.epochs"
            )
    if "maps" in resolved.questions and not resolved.maps:
        raise InputError("maps: name at least one")
    for network in resolved.classifiers:
        reasons = [reason_without_map(kind, network, resolved.classifier_sizes) for kind in resolved.maps]
        if reasons and all(reasons):
            raise InputError(f"maps: {network} has none of them; {reasons[0]}")
    return resolved
