"""The study's configuration: classifiers, maps and rules that make masks, and what they are compared with."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import tyro

from experiments.classifiers import ClassifierOptions, ClassifierSizes, check_classifiers
from experiments.harness.map_options import OURS, MapOptions, reason_without_map
from experiments.options import Sizes, StudyOptions, check_choices, check_options, with_data
from segjax.maps import COMPLETIONS, MAPS, RULES
from segjax.training import TrainConfig
from segjax.types import InputError

METHODS = ("points", "walked points", "boxes")


class Way(NamedTuple):
    """How a map becomes a mask: the map, the rule for its level, and what completes it on the picture."""

    map: str
    rule: str
    completion: str


@dataclass(frozen=True)
class StudyConfig(ClassifierOptions, StudyOptions):
    """Can activation maps replace outlines of sites, and how many outlines are they worth?

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    networks: tuple[str, ...] = ("unet",)
    """Networks that segment: any of unet, segnet, msd."""
    classifiers: tuple[str, ...] = ("resnet18",)
    """Classifiers whose maps make masks: any of vgg16, resnet18, resnet34, resnet50, msd_classifier,
    unet_classifier."""
    classify: TrainConfig = field(default_factory=lambda: TrainConfig(loss="cross_entropy"))
    """How classifiers are trained; --train is for the networks that segment."""
    maps: tuple[str, ...] = (OURS, "cam", "grad_cam", "layer_cam_fusion")
    """Maps that masks are made of."""
    rules: tuple[str, ...] = RULES
    """Rules for the level above which a map is object: any of fixed, otsu, percentile, dataset, contour."""
    completions: tuple[str, ...] = COMPLETIONS
    """What masks are completed by on the picture: any of none, random_walk, geodesic."""
    trained: tuple[str, ...] = (f"{OURS}:contour:none", f"{OURS}:otsu:none", "grad_cam:otsu:none")
    """MAP:RULE:COMPLETION of the masks that networks are trained on; all others are only measured as masks."""
    outlines: tuple[int, ...] = (1, 2, 5, 10)
    """Numbers of outlined sites that networks are trained on for comparison; all of them always are."""
    methods: tuple[str, ...] = METHODS
    """Cheap annotations for comparison: any of points (a disc of the usual size on each site), "walked points" (a point
    that a random walk on the picture completes), boxes (an ellipse in each site's bounding box)."""
    point_radius: float = 0.0
    """Radius in pixels of the disc on a point; 0: 75 m where the ground metres are known, a twelfth of the picture
    elsewhere."""
    smallest: int = 20
    """Pixels below which a piece of a mask is dropped."""
    epoch_pictures: int = 200
    """Pictures per epoch, half with a site and half without: fewer are repeated, so that all get equally many steps."""
    map_options: MapOptions = field(default_factory=MapOptions)


SMALL = ClassifierSizes(vgg_width=8, resnet_width=8, msd_depth=20, unet_width=8, unet_levels=3)
LITTLE = MapOptions(rise_masks=400, occlusion_patch=16, gradient_samples=16, removal_steps=20)
SMALL_UNET = Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20, norm="group")
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": 1,
        "folds": 3,
        "maps": (OURS,),
        "rules": ("otsu", "dataset"),
        "completions": ("none", "random_walk"),
        "trained": (f"{OURS}:otsu:none",),
        "outlines": (1,),
        "methods": ("points",),
        "epoch_pictures": 4,
        "classify": TrainConfig(loss="cross_entropy", learning_rate=1e-2, batch_size=4, epochs=2, augment=True),
        "train": TrainConfig(loss="both", learning_rate=1e-2, batch_size=4, epochs=2, augment=True),
        "classifier_sizes": ClassifierSizes(resnet_width=2, msd_depth=3),
        "sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5, norm="group"),
        "map_options": MapOptions(rise_masks=8, occlusion_patch=16, gradient_samples=2, removal_steps=4),
    },
    "demo": {
        "seeds": 1,
        "maps": (OURS, "grad_cam"),
        "rules": ("otsu", "contour"),
        "completions": ("none",),
        "trained": (f"{OURS}:contour:none", "grad_cam:otsu:none"),
        "outlines": (1, 5),
        "methods": ("points",),
        "epoch_pictures": 48,
        "classify": TrainConfig(loss="cross_entropy", learning_rate=3e-3, batch_size=16, epochs=14, augment=True),
        "train": TrainConfig(loss="both", learning_rate=5e-3, batch_size=8, epochs=10, augment=True),
        "classifier_sizes": SMALL,
        "sizes": SMALL_UNET,
        "map_options": LITTLE,
    },
    "reduced": {
        "seeds": 5,
        "classifiers": ("unet_classifier",),
        "classify": TrainConfig(loss="cross_entropy", learning_rate=3e-3, batch_size=16, epochs=10, augment=True),
        "train": TrainConfig(loss="both", learning_rate=5e-3, batch_size=8, epochs=20, augment=True),
        "classifier_sizes": SMALL,
        "sizes": SMALL_UNET,
        "map_options": LITTLE,
    },
    "paper": {
        "seeds": 10,
        "epoch_pictures": 1000,
        "classify": TrainConfig(
            loss="cross_entropy",
            class_weights=(0.1, 0.9),
            learning_rate=1e-3,
            batch_size=8,
            epochs=1000,
            stop="plateau",
            augment=True,
        ),
        "train": TrainConfig(learning_rate=1e-3, batch_size=4, epochs=1000, stop="plateau", augment=True),
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
    check_options(resolved)
    for option, allowed in (("maps", MAPS), ("rules", RULES), ("completions", COMPLETIONS), ("methods", METHODS)):
        check_choices(option, getattr(resolved, option), allowed)
    for way in ways_of(resolved):
        for network in resolved.classifiers:
            if (reason := reason_without_map(way.map, network, resolved.classifier_sizes)) is not None:
                raise InputError(f"maps: {network} has no {way.map}: {reason}")
    for name, numbers, least in (
        ("outlines", resolved.outlines, 1),
        ("smallest", (resolved.smallest,), 1),
        ("epoch_pictures", (resolved.epoch_pictures,), 2),
        ("point_radius", (resolved.point_radius,), 0),
    ):
        for number in numbers:
            if not least <= number < float("inf"):
                raise InputError(f"{name} must be at least {least}, not {number}")
    check_choices("outlines", [str(n) for n in resolved.outlines], [str(n) for n in resolved.outlines])
    return resolved


def way_of(text: str) -> Way:
    """The way that a text like contour_cam:otsu:none stands for.

    Raises:
        InputError: not such a text, or something in it is unknown.
    """
    parts = text.split(":")
    if len(parts) != 3:
        raise InputError(f"trained: {text!r} is not MAP:RULE:COMPLETION, as in {OURS}:otsu:random_walk")
    for part, allowed in zip(parts, (MAPS, RULES, COMPLETIONS), strict=True):
        check_choices("trained", (part,), allowed)
    return Way(*parts)


def trained_ways(config: StudyConfig) -> list[Way]:
    """The ways whose masks networks are trained on.

    Raises:
        InputError: one is malformed.
    """
    return [way_of(text) for text in dict.fromkeys(config.trained)]


def ways_of(config: StudyConfig) -> list[Way]:
    """All ways whose masks are measured, those trained on among them."""
    grid = [Way(m, r, c) for m in config.maps for r in config.rules for c in config.completions]
    return list(dict.fromkeys([*trained_ways(config), *grid]))
