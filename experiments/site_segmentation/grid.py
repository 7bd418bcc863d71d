"""The grid of study 4B: masks made of maps, and networks that learn from masks, cheap annotations or outlines."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from experiments.harness.classifier_options import Classifier, ClassifierOptions, ClassifierSizes
from experiments.harness.ladder_options import RUNGS, is_rung
from experiments.harness.map_options import OURS, MapOptions, reason_without_map
from experiments.harness.options import (
    DataOptions,
    Flat,
    RunOptions,
    SegmentationOptions,
    Sizes,
    TrainOptions,
    arranges,
    check_choices,
    decides,
)
from experiments.harness.rival_options import RivalOptions
from segjax.maps import MAPS
from segjax.maps.masks import COMPLETIONS, RULES
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError, check_least

BASELINES = ("points", "walked_points", "boxes")
MASKS, FROM_MAPS, OUTLINES = "masks", "maps", "outlines"  # methods beside the baselines
NONE = "none"


class Way(NamedTuple):
    """How a map becomes a mask: the map, the rule for its level, and what completes it on the picture."""

    map: str
    rule: str
    completion: str


@dataclass(frozen=True)
class Config:
    """Can activation maps replace drawn outlines of sites, and how many outlines are they worth?

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    run: Annotated[RunOptions, Flat]
    source: Annotated[DataOptions, Flat]
    segmentation: Annotated[SegmentationOptions, Flat]
    classification: Annotated[ClassifierOptions, Flat]
    classify: TrainOptions = decides(TrainOptions(StepConfig(loss="cross_entropy")))
    """How classifiers are trained; --train says it for the networks that segment."""
    train: TrainOptions = decides(TrainOptions())
    elsewhere: Annotated[RivalOptions, Flat] = field(default_factory=RivalOptions)
    maps: tuple[str, ...] = arranges((OURS, "cam", "grad_cam", "layer_cam_fusion"))
    """Maps that are made into masks: any that `python -m experiments.activation_maps --help` lists."""
    rules: tuple[str, ...] = arranges(RULES)
    """How the level is chosen above which a pixel of a map belongs to the mask. Any of fixed (a share of the maximum),
    otsu, percentile (a share of the picture), dataset (one level for all pictures), contour."""
    completions: tuple[str, ...] = arranges(COMPLETIONS)
    """How masks grow on the picture: any of none, random_walk, geodesic."""
    trained_on: tuple[str, ...] = arranges((f"{OURS}:contour:none", f"{OURS}:otsu:none", "grad_cam:otsu:none"))
    """Masks that networks are trained on, as MAP:RULE:COMPLETION. All other masks are only measured."""
    outlines: tuple[int, ...] = arranges((1, 2, 5, 10))
    """For comparison, networks are trained on these numbers of outlines, and always on all of them."""
    baselines: tuple[str, ...] = arranges(BASELINES)
    """For comparison, networks are also trained on cheap annotations: any of points (a disc of the usual size on each
    site), walked_points (a point that a random walk lets grow on the picture), boxes (an ellipse in the bounding box of
    each site). Without a network, fitted to outlines: otsu, adaptive (thresholds), growing, watershed (regions),
    kmeans, gaussian_mixture (clusters of colour and texture), forest (a random forest on features of several
    scales)."""
    point_radius: float = decides(0.0)
    """Radius of the disc on a point, in pixels. 0 stands for 75 m where the size of a pixel is known, and for a twelfth
    of the picture elsewhere."""
    minimum_area: int = decides(20)
    """Pieces of a mask with fewer pixels are dropped."""
    epoch_pictures: int = decides(200)
    """Pictures per epoch, with a site and without. Fewer are repeated, so that every training takes equally many
    steps."""
    without_share: float = decides(0.5)
    """Share of the pictures of an epoch that show no site."""
    negatives: Literal["in_order", "drawn"] = decides("in_order")
    """Which training pictures without a site an epoch takes. in_order: always the first ones. drawn: a random choice
    among all."""
    level: Literal["half", "validation", "gated"] = decides("half")
    """When a network marks a site. half: where its probability is above 0.5. validation: where a piece of the
    prediction holds enough pixels above a level; both numbers are chosen for each network on validation pictures, of
    which only the image-level labels are used. gated: as validation, but only in pictures to which the classifier
    gives a high enough probability of a site. This probability is chosen together with the two numbers."""
    false_alarms: float = decides(0.1)
    """With --level validation or gated: the share of pictures without a site in which something may be marked."""
    map_options: MapOptions = decides(make=MapOptions)

    def resolved(self) -> "Config":
        """The configuration, checked.

        Raises:
            InputError: names the option and what it may be.
        """
        self.classification.check(self.classify.loop)
        self.segmentation.check()
        self.elsewhere.check()
        check_choices("maps", self.maps, MAPS)
        check_choices("rules", self.rules, RULES)
        check_choices("completions", self.completions, COMPLETIONS)
        check_choices("baselines", self.baselines, (*BASELINES, *RUNGS))
        sizes = self.classification.classifier_sizes
        for way in self.ways():
            for network in self.classification.classifiers:
                if (reason := reason_without_map(way.map, network, sizes)) is not None:
                    raise InputError(f"maps: {network} has no {way.map}: {reason}; name other maps or classifiers")
        check_least(self, outlines=1, minimum_area=1, epoch_pictures=2, point_radius=0)
        for name in ("without_share", "false_alarms"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} must be above 0 and below 1, not {getattr(self, name)}")
        check_choices("outlines", self.outlines, self.outlines)
        return self

    def trained_ways(self) -> list[Way]:
        """The ways whose masks networks are trained on.

        Raises:
            InputError: one is malformed.
        """
        return [way_of(text) for text in dict.fromkeys(self.trained_on)]

    def ways(self) -> list[Way]:
        """All ways whose masks are measured, those trained on among them."""
        grid = [Way(m, r, c) for m in self.maps for r in self.rules for c in self.completions]
        return list(dict.fromkeys([*self.trained_ways(), *grid]))

    def trials(self) -> "list[Trial]":
        """Every trial once, seed by seed, so that an unfinished study has everything with fewer seeds."""
        settings = list(_settings(self))
        return [dataclasses.replace(trial, seed=seed) for seed in range(self.run.seeds) for trial in settings]


BASE = Config(
    RunOptions(Path()),
    DataOptions("terrain:mounds", simulation="terrain:pixels=512&metres=1.66&sheets=40&pictures=200"),
    SegmentationOptions(("unet",)),
    ClassifierOptions(("resnet18",)),
    negatives="drawn",
    level="gated",
)
SMALL = ClassifierSizes(vgg_width=8, resnet_width=8, msd_depth=20, unet_width=8, unet_levels=3)
LITTLE = MapOptions(rise_masks=400, occlusion_patch=16, gradient_samples=16, removal_steps=20)
SMALL_UNET = Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20, norm="group")


def _augmented(loss: Any, learning_rate: float, batch_size: int, epochs: int) -> TrainOptions:
    step = StepConfig(loss=loss, learning_rate=learning_rate, augment=True)
    return TrainOptions(step, LoopConfig(batch_size=batch_size, epochs=epochs))


SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "run": {"seeds": 1},
        "source": {"simulation": "terrain:pixels=64&metres=6.64&sheets=6&pictures=6&without=1", "folds": 3},
        "segmentation": {
            "sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5, norm="group")
        },
        "classification": {"classifier_sizes": ClassifierSizes(resnet_width=2, msd_depth=3)},
        "classify": _augmented("cross_entropy", 1e-2, 4, 2),
        "train": _augmented("both", 1e-2, 4, 2),
        "maps": (OURS,),
        "rules": ("otsu", "dataset"),
        "completions": ("none", "random_walk"),
        "trained_on": (f"{OURS}:otsu:none",),
        "outlines": (1,),
        "baselines": ("points",),
        "epoch_pictures": 4,
        "negatives": "in_order",
        "level": "half",
        "map_options": MapOptions(rise_masks=8, occlusion_patch=16, gradient_samples=2, removal_steps=4),
    },
    "demo": {
        "run": {"seeds": 1},
        "source": {"simulation": "terrain:pixels=64&metres=6.64&sheets=20&pictures=30&without=1"},
        "segmentation": {"sizes": SMALL_UNET},
        "classification": {"classifier_sizes": SMALL},
        "classify": _augmented("cross_entropy", 3e-3, 16, 14),
        "train": _augmented("both", 5e-3, 4, 20),
        "maps": (OURS, "grad_cam"),
        "rules": ("otsu", "contour"),
        "completions": ("none",),
        "trained_on": (f"{OURS}:contour:none", "grad_cam:otsu:none"),
        "outlines": (1, 5),
        "baselines": ("points",),
        "epoch_pictures": 48,
        "map_options": LITTLE,
    },
    "reduced": {
        "run": {"seeds": 8},
        "source": {"simulation": "terrain:pixels=64&metres=6.64&sheets=16&pictures=30&without=1", "replicates": 8},
        "segmentation": {"sizes": SMALL_UNET},
        "classification": {"classifiers": ("unet_classifier",), "classifier_sizes": SMALL},
        "classify": _augmented("cross_entropy", 3e-3, 16, 10),
        "train": _augmented("both", 5e-3, 8, 60),
        "map_options": LITTLE,
    },
    "paper": {
        "classify": TrainOptions(
            StepConfig(loss="cross_entropy", class_weights=(0.1, 0.9), learning_rate=1e-3, augment=True),
            LoopConfig(batch_size=8, epochs=1000, stop="plateau"),
        ),
        "train": TrainOptions(
            StepConfig(learning_rate=1e-3, augment=True), LoopConfig(batch_size=4, epochs=1000, stop="plateau")
        ),
        "epoch_pictures": 1000,
    },
}


@dataclass(frozen=True)
class Trial:
    """Masks of a classifier's maps, or a network that segments; the latter is its own training.

    Attributes:
        network: that segments, or a rung of the ladder; "none" where masks themselves are measured.
        method: what the network learns from: "maps", a baseline, or "outlines"; "masks" where there is none.
        classifier: whose maps make the masks.
        map, rule, completion: how masks are made.
        outlines: outlined sites that the network learns from; 0: all there are.
    """

    network: str
    seed: int
    method: str
    classifier: str = NONE
    map: str = NONE
    rule: str = NONE
    completion: str = NONE
    outlines: int = 0

    @property
    def way(self) -> Way:
        """How its masks are made."""
        return Way(self.map, self.rule, self.completion)

    @property
    def learnt(self) -> str:
        """What it learns from: "contour_cam:otsu:none", "points", "outlines:5", "outlines" (all sites)."""
        if self.method in (FROM_MAPS, MASKS):
            return ":".join(self.way)
        return f"{self.method}:{self.outlines}" if self.outlines else self.method

    @property
    def needed_classifier(self) -> Classifier | None:
        """The training of the classifier whose maps it needs; None where it needs none."""
        return None if self.classifier == NONE else Classifier(self.classifier, self.seed)

    @property
    def trainings(self) -> "list[Training]":
        """The classifier whose maps it needs, then the network that segments, where there is one."""
        classifier = [] if self.needed_classifier is None else [self.needed_classifier]
        return [*classifier, *([] if self.method == MASKS or is_rung(self.network) else [self])]


Training = Classifier | Trial


def way_of(text: str) -> Way:
    """The way that a text like contour_cam:otsu:none stands for.

    Raises:
        InputError: not such a text, or something in it is unknown.
    """
    parts = text.split(":")
    if len(parts) != 3:
        raise InputError(f"trained_on: {text!r} is not MAP:RULE:COMPLETION; write it as {OURS}:otsu:random_walk")
    for part, allowed in zip(parts, (MAPS, RULES, COMPLETIONS), strict=True):
        check_choices("trained_on", (part,), allowed)
    return Way(*parts)


def _settings(config: Config) -> Iterator[Trial]:
    for classifier in config.classification.classifiers:
        for way in config.ways():
            yield Trial(NONE, 0, MASKS, classifier, *way)
    for network in config.segmentation.networks:
        yield Trial(network, 0, OUTLINES)
        for classifier in config.classification.classifiers:
            for way in config.trained_ways():
                yield Trial(network, 0, FROM_MAPS, classifier, *way)
        for count in config.outlines:
            yield Trial(network, 0, OUTLINES, outlines=count)
        for method in config.baselines:
            if not is_rung(method):
                yield Trial(network, 0, method)
    for rung in filter(is_rung, config.baselines):
        for count in (0, *config.outlines):
            yield Trial(rung, 0, OUTLINES, outlines=count)
