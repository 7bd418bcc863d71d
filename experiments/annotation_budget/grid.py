"""The grid of study 5: what seconds can be spent on, how many there are, and the trials."""

import dataclasses
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

from experiments.harness.classifier_options import ClassifierSizes
from experiments.harness.ladder_options import RUNGS
from experiments.harness.map_options import OURS, reason_without_map
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
from experiments.harness.prices import PriceOptions
from experiments.harness.recipes import spelled, strengths_of
from segjax.maps import MAPS
from segjax.models import CLASSIFIERS
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError, check_least

COUNT = "count_"  # before the name of a price: how often it was paid, among the values of a trial
NONE = "none"  # the network of an arm that trains none
ARMS = {
    "careful": "careful outlines",
    "quick": "quick outlines",
    "mixture": "a mixture",
    "repaired": "careful and repaired quick outlines",
    "corrected": "corrected proposals",
    "points": "points",
    "boxes": "boxes",
    "image_labels": "image labels",
    "few_shot": "careful outlines for a few-shot head",
    "classical": "careful outlines for a random forest",
}
MIXABLE = ("careful", "quick", "points", "boxes")  # kinds that a mixture may be of
NOT_BY_OBJECT = ("bias", "inclusion")  # errors that are not drawn object by object
TRAINS_NONE = ("few_shot", "classical")  # networks of their own


@dataclass(frozen=True)
class Config:
    """What should the next hour of an annotator be spent on? Trains networks on what equal budgets of seconds buy.

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    run: Annotated[RunOptions, Flat]
    source: Annotated[DataOptions, Flat] = DataOptions()
    segmentation: Annotated[SegmentationOptions, Flat] = SegmentationOptions(("unet",))
    prices: Annotated[PriceOptions, Flat] = decides(PriceOptions())
    train: TrainOptions = decides(TrainOptions())
    """How networks that segment, and those that repair labels, are trained."""
    classify: TrainOptions = decides(TrainOptions(StepConfig(loss="cross_entropy")))
    """How the classifiers are trained that image labels need."""
    target: int = decides(1)
    """Class of the objects to segment."""
    budgets: tuple[float, ...] = arranges((0.25, 0.5, 1.0, 2.0, 5.0, 20.0))
    """Hours of annotation to compare."""
    arms: tuple[str, ...] = arranges(())
    """What the budgets are spent on: any of careful and quick (outlines), mixture (of two kinds), repaired (quick
    outlines repaired by a network that learnt from careful ones), corrected (proposals of a network), points, boxes,
    image_labels (through the maps of a classifier), few_shot (careful outlines for a head on features of other
    networks), classical (for --baseline, without a network). None: all that the pictures can feed; the page says why
    others are not."""
    order: Literal["lot", "foreground"] = decides("lot")
    """How pictures are drawn from the pool. lot: all are as likely. foreground: those in which more stands out by
    Otsu's threshold are likelier."""
    validation_pictures: int = decides(8)
    """Most pictures that choose the best epoch. They are outlined carefully, the same ones for every arm, and cost
    nothing."""
    quick: str | None = decides(None)
    """What goes wrong with quick outlines, such as omission=0.1+jitter=4 (a rate, and published pixels), or a file
    recipe.json that compare_labels wrote, of which wrongly included objects are left out. None: 5 % of the objects are
    overlooked, and outlines are off by a tenth of the usual radius."""
    careful_share: float = decides(0.4)
    """Share of the budget for the careful outlines of the arm repaired; the rest goes to quick ones."""
    shares: tuple[float, ...] = decides((0.25, 0.5, 0.75))
    """Shares of the budget for the first kind of the arm mixture; the validation pictures choose one."""
    mixed: tuple[str, ...] = decides(("careful", "quick"))
    """The kinds of the arm mixture: careful, quick, points or boxes. Of more than two, every pair is tried, and the
    validation pictures choose one: --mixed careful quick boxes."""
    rounds: int = decides(2)
    """Rounds of the arm corrected, which share the budget evenly. In the first, careful outlines are drawn; in later
    ones, proposals of the network of the round before are corrected."""
    redrawn_below: float = decides(0.7)
    """Intersection over union with the true object below which a proposed outline is redrawn."""
    extractors: str = decides("nuclei")
    """Networks of the arm few_shot: the name of trained weights that come with segjax, or a folder of extractors."""
    baseline: str = decides("forest")
    """What the arm classical fits to careful outlines: otsu, adaptive (thresholds), growing, watershed (regions),
    kmeans, gaussian_mixture (clusters of colour and texture) or forest (a random forest on features of several
    scales)."""
    classifier: str = decides("resnet18")
    """Classifier of the arm image_labels."""
    classifier_sizes: ClassifierSizes = decides(make=ClassifierSizes)
    map: str = decides(OURS)
    """Map of the arm image_labels; its level is chosen along the edges of the picture."""
    epoch_pictures: int = decides(100)
    """Pictures per epoch at least, and never fewer than the pool has. Smaller purchases are repeated, so that all
    networks get equally many steps."""

    def resolved(self) -> "Config":
        """The configuration, checked.

        Raises:
            InputError: names the option and what it may be.
        """
        self.segmentation.check()
        self.prices.prices()
        check_choices("arms", self.arms, ARMS)
        check_choices("budgets", self.budgets, self.budgets)
        check_choices("mixed", self.mixed, MIXABLE)
        if len(self.mixed) < 2:
            raise InputError("mixed: a mixture takes two kinds or more, such as --mixed careful quick")
        check_choices("baseline", (self.baseline,), RUNGS)
        check_choices("classifier", (self.classifier,), CLASSIFIERS)
        check_choices("map", (self.map,), MAPS)
        check_least(self, target=1, validation_pictures=1, rounds=2, epoch_pictures=1)
        for hours in self.budgets:
            if not 0 < hours < float("inf"):
                raise InputError(f"budgets: {hours} is not a budget; give hours, above 0")
        if not self.budgets:
            raise InputError("budgets: there are none; give hours, such as --budgets 1 5 20")
        quick = self.quick and spelled(self.quick, "quick", NOT_BY_OBJECT)
        for name in strengths_of(quick, "quick") if quick is not None else ():
            if name in NOT_BY_OBJECT:
                raise InputError(f"quick: {name} is not drawn object by object; give omission, jitter or another error")
        for name in ("careful_share", "shares", "redrawn_below"):
            for value in given if isinstance(given := getattr(self, name), tuple) else (given,):
                if not 0 < value < 1:
                    raise InputError(f"{name}: {value} is not a share; give a number above 0 and below 1")
        if not self.shares:
            raise InputError("shares: there are none; give some, such as --shares 0.25 0.5 0.75")
        if (reason := reason_without_map(self.map, self.classifier, self.classifier_sizes)) is not None:
            raise InputError(f"map: {self.classifier} has no {self.map}: {reason}; name another map or classifier")
        return dataclasses.replace(self, budgets=tuple(sorted(self.budgets)), quick=quick)


def _small(volumes: int, slices: int, sheets: int, pictures: int) -> str:
    microscope = f"microscope:size=sixth&volumes={volumes}&slices={slices}&crop=48"
    return f"{microscope} terrain:pixels=64&metres=6.64&sheets={sheets}&pictures={pictures}&without=1"


PUBLISHED = "microscope:size=paper terrain:pixels=512&metres=1.66&sheets=40&pictures=200"
BASE = Config(RunOptions(Path(), seeds=5), DataOptions("microscope:mixed", simulation=PUBLISHED))
SMALL = Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20, norm="group")
SMALL_CLASSIFIER = ClassifierSizes(vgg_width=8, resnet_width=8, msd_depth=20, unet_width=8, unet_levels=3)


def _augmented(loss: Any, learning_rate: float, batch_size: int, epochs: int) -> TrainOptions:
    step = StepConfig(loss=loss, learning_rate=learning_rate, augment=True)
    return TrainOptions(step, LoopConfig(batch_size=batch_size, epochs=epochs))


SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "run": {"seeds": 1},
        "source": {"simulation": _small(6, 2, 6, 6)},
        "segmentation": {"sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5)},
        "train": _augmented("both", 1e-2, 2, 2),
        "classify": _augmented("cross_entropy", 1e-2, 4, 2),
        "classifier_sizes": ClassifierSizes(resnet_width=2, msd_depth=3),
        "budgets": (0.1, 0.3),
        "shares": (0.5,),
        "validation_pictures": 2,
        "epoch_pictures": 4,
    },
    "demo": {
        "run": {"seeds": 2},
        "source": {"simulation": _small(15, 4, 10, 6), "replicates": 2},
        "segmentation": {"sizes": SMALL},
        "train": _augmented("both", 5e-3, 4, 9),
        "classify": _augmented("cross_entropy", 3e-3, 8, 9),
        "classifier_sizes": SMALL_CLASSIFIER,
        "budgets": (0.1, 0.4, 1.6),
        "arms": ("careful", "quick", "points", "boxes", "few_shot"),
        "epoch_pictures": 32,
    },
    "reduced": {
        "run": {"seeds": 8},
        "source": {"simulation": _small(40, 8, 20, 16), "replicates": 8},
        "segmentation": {"sizes": SMALL},
        "train": _augmented("both", 5e-3, 4, 24),
        "classify": _augmented("cross_entropy", 3e-3, 16, 12),
        "classifier_sizes": SMALL_CLASSIFIER,
        "budgets": (0.25, 0.5, 1.0, 2.0, 5.0, 20.0),
        "epoch_pictures": 64,
    },
    "paper": {
        "train": TrainOptions(
            StepConfig(learning_rate=1e-3, augment=True), LoopConfig(batch_size=4, epochs=1000, stop="plateau")
        ),
        "classify": TrainOptions(
            StepConfig(loss="cross_entropy", learning_rate=1e-3, augment=True),
            LoopConfig(batch_size=8, epochs=1000, stop="plateau"),
        ),
    },
}


@dataclass(frozen=True)
class Trial:
    """What a budget buys in one arm, and what is learnt from it.

    Attributes:
        network: that segments; "none" for arms that train none.
        arm: what the budget is spent on.
        budget: hours.
    """

    network: str
    seed: int
    arm: str
    budget: float


@dataclass(frozen=True)
class Training(Trial):
    """A network that a trial rests on.

    Attributes:
        part: "" the one that is judged, if there is one only; "upgrader", "classifier", "round-R", or for a share S of
            the first kind and the rest for the second "KIND-KIND-S".
    """

    part: str = ""

    @property
    def shares(self) -> dict[str, float]:
        """Of the budget by kind, in an arm mixture; in the order in which pictures are bought."""
        first, second, share = self.part.split("-")
        return {first: float(share), second: 1 - float(share)}

    @property
    def round(self) -> int:
        """Its round, in an arm corrected."""
        return int(self.part.removeprefix("round-"))


def trainings_of(config: Config, trial: Trial) -> list[Training]:
    """The trainings that a trial rests on, in their order; the last is the one that is judged."""
    if trial.arm in TRAINS_NONE:
        return []
    mixed = combinations(config.mixed, 2)
    parts = {
        "mixture": [f"{one}-{other}-{share:g}" for one, other in mixed for share in config.shares],
        "repaired": ["upgrader", ""],
        "corrected": [f"round-{number}" for number in range(1, config.rounds + 1)],
        "image_labels": ["classifier", ""],
    }
    return [Training(trial.network, trial.seed, trial.arm, trial.budget, part) for part in parts.get(trial.arm, [""])]
