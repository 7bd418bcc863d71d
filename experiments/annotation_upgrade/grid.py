"""The grid of study 2: its configuration, its trials, and which trainings each of them rests on."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from experiments.annotation_upgrade.places import Place, RegionOptions
from experiments.harness import protocols
from experiments.harness.ladder_options import BaselineOptions
from experiments.harness.options import (
    AnnotationOptions,
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
from experiments.harness.recipes import RATE_ERRORS, recipe_from, spelled, strengths_of
from experiments.harness.rival_options import RivalOptions
from segjax.annotations import Recipe
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError, check_least

# "upgrade" is about the labels themselves; all others train a segmentation network on them
UPGRADE, CLEAN, RAW, UPGRADED, ALL_CLEAN = "upgrade", "clean", "raw", "upgraded", "all_clean"
PREDICTIONS, UPGRADED_PREDICTIONS = "predictions", "upgraded_predictions"
CONFIDENT, TEACHER = "confident_learning", "mean_teacher"
RobustLoss = Literal["generalized_cross_entropy", "symmetric_cross_entropy"]
LOSSES: tuple[RobustLoss, ...] = get_args(RobustLoss)  # methods that differ in their loss only
RIVALS = (CONFIDENT, TEACHER, *LOSSES)
IGNORING, WEIGHTED, ITERATED = "upgraded_ignoring", "upgraded_weighted", "upgraded_iterated"
REPAIRS = (UPGRADED, IGNORING, WEIGHTED, ITERATED)  # uses of repaired labels
AGAIN = "upgrade_again"  # of a training: an upgrade network that learns from clean and from repaired labels
REGION = "region"
QUESTIONS = ("quality", "clean_errors", "mismatch", "pays", "predictions", "rivals", REGION)


@dataclass(frozen=True)
class Config:
    """Does it pay to repair noisy labels with a network that learns from a few clean ones?

    Start it again with the same --out, and it does only the missing trials. The defaults shown are those of the chosen
    --scale and --protocol. Write an error as omission=0.5 or omission=0.3+inclusion=0.3+bias=4. Rates go from 0 to 1.
    Lengths are in published pixels.
    """

    run: Annotated[RunOptions, Flat]
    source: Annotated[DataOptions, Flat] = DataOptions()
    segmentation: Annotated[SegmentationOptions, Flat] = SegmentationOptions()
    annotations: Annotated[AnnotationOptions, Flat] = AnnotationOptions()
    elsewhere: Annotated[RivalOptions, Flat] = field(default_factory=RivalOptions)
    classical: Annotated[BaselineOptions, Flat] = field(default_factory=BaselineOptions)
    train: TrainOptions = decides(TrainOptions())
    questions: tuple[str, ...] = arranges(QUESTIONS[:-1])
    """Questions to answer. About labels: quality, clean_errors, mismatch. About networks trained on them: pays,
    predictions, rivals, region. region: for which errors and numbers of pictures repairing pays."""
    error: str = arranges("omission=0.7+inclusion=0.7+bias=6")
    """Error of the noisy labels, as omission=0.3+jitter=2, or a file recipe.json that compare_labels wrote; give
    --scope object with that."""
    errors: tuple[str, ...] = arranges(
        (
            *(f"{error}={rate}" for error in RATE_ERRORS for rate in (0.1, 0.2, 0.3, 0.5, 0.7)),
            *(f"bias={pixels}" for pixels in (2, 4, 6)),
            "omission=0.3+inclusion=0.3+bias=4",
            "omission=0.5+inclusion=0.5+bias=6",
        )
    )
    """Errors that are repaired one by one. For the question mismatch, each is also repaired by networks that learnt the
    others."""
    clean: int = arranges(10)
    """Number of pictures with clean labels. A fifth of them, at least one, choose the best epoch."""
    noisy: int = arranges(200)
    """Number of pictures with noisy labels."""
    clean_counts: tuple[int, ...] = arranges((2, 5, 10, 20, 40, 80, 160))
    """Numbers of clean pictures for the curve of the question quality."""
    compare_at: int = arranges(40)
    """Number of clean pictures in all other comparisons of upgrade networks."""
    volumes: tuple[int, ...] = arranges((1, 2, 5, 10))
    """Numbers of volumes (groups) that the clean pictures come from. Where the first ones have too few pictures, those
    with the most take their place."""
    clean_errors: tuple[str, ...] = arranges(
        (
            *(f"{error}={rate}" for error in RATE_ERRORS for rate in (0.1, 0.2, 0.3)),
            *(f"bias={pixels}" for pixels in (2, 4, 6)),
        )
    )
    """Errors of clean labels that are not quite clean, for the question clean_errors."""
    budgets: tuple[int, ...] = arranges((10, 25, 50, 100))
    """Total numbers of training pictures, for the question pays."""
    clean_shares: tuple[float, ...] = arranges((0.0, 0.1, 0.2, 0.3))
    """Shares of a budget with clean labels. The upgrade network learns from --clean pictures or more."""
    rounds: int = arranges(2)
    """How many times predictions are repaired and trained on."""
    rivals: tuple[str, ...] = arranges(RIVALS)
    """Other methods to compare with: confident_learning, mean_teacher, generalized_cross_entropy,
    symmetric_cross_entropy."""
    repairs: tuple[str, ...] = arranges((UPGRADED,))
    """How networks use the repaired labels; the first is compared with everything else, the other uses included. For
    the questions pays (budgets) and predictions, labels are used as they are. upgraded: all as they are.
    upgraded_ignoring: without the pixels that the upgrade network is not sure about. upgraded_weighted: every pixel
    counts by its confidence. upgraded_iterated: as upgraded_ignoring, repaired once more by an upgrade network that
    learns from the clean and the repaired labels."""
    region: RegionOptions = field(default_factory=RegionOptions)
    rounding: Literal["random", "down", "published"] = decides("random")
    """How a rate of few objects becomes a whole number while an upgrade network learns. random: rounded up or down at
    random. down: rounded down. published: as noisy labels are drawn, but of the foreign objects of a picture at least
    one is left out."""
    clean_choice: Literal["random", "spaced"] = decides("random")
    """How pictures that get clean labels are chosen. random: volume by volume in turn, any picture of it. spaced:
    evenly over the middle 75 pictures of the volumes, as published."""
    validation_labels: Literal["clean", "noisy"] = decides("clean")
    """Labels that choose the best epoch of a network that trains on clean and noisy ones. clean: those of --clean
    alone. noisy: also noisy labels, a quarter as many as it trains on, as published."""
    epoch_pictures: int = decides(100)
    """Pictures per epoch. Smaller training sets are repeated up to it, so that all networks get equally many steps."""

    def resolved(self) -> "Config":
        """The configuration with the source of foreign objects filled in, and checked.

        Raises:
            InputError: names the option and what it may be.
        """
        self = dataclasses.replace(self, error=spelled(self.error, "error"))
        self.segmentation.check()
        self.elsewhere.check()
        self.classical.check()
        protocols.check_protocol(self, published(self.run.scale, self.annotations.protocol, self.source.data))
        check_choices("questions", self.questions, QUESTIONS)
        check_choices("rivals", self.rivals, RIVALS)
        check_choices("repairs", self.repairs, REPAIRS)
        if self.classical.baselines and not self.asks_of_networks:
            raise InputError("baselines: they answer the questions rivals and pays; add one of them to --questions")
        if not self.repairs:
            raise InputError(f"repairs: names no use of repaired labels; give at least one of {', '.join(REPAIRS)}")
        self.region.check()
        for option, errors in self.errors_by_option().items():
            check_choices(option, errors, errors)
            for error in errors:
                strengths_of(error, option)
        counts = {"clean": (self.clean,), "clean_counts": self.clean_counts, "compare_at": (self.compare_at,)}
        for option, numbers in {**counts, "region.clean": self.region.clean}.items():
            for number in numbers:
                if number < 2:
                    why = "one picture trains and one chooses the best epoch"
                    raise InputError(f"{option}: {number} is too few; give at least 2, as {why}")
        check_least(self, noisy=1, volumes=1, budgets=1, rounds=1, epoch_pictures=1)
        for share in self.clean_shares:
            if not 0 <= share < 1:
                raise InputError(
                    f"clean_shares: {share:g} must be at least 0 and below 1; give such shares (all clean is always "
                    "compared)"
                )
        if self.segmentation.sizes.norm == "running" and "rivals" in self.questions and TEACHER in self.rivals:
            raise InputError(
                f'sizes.norm: {TEACHER} does not work with "running"; choose another norm, or other --rivals'
            )
        return dataclasses.replace(self, annotations=self.annotations.resolved(self.source.data))

    @property
    def asks_of_networks(self) -> bool:
        """Whether networks are trained on the repaired labels of the laboratory."""
        return bool({"rivals", "pays"} & {*self.questions})

    def errors_by_option(self) -> dict[str, tuple[str, ...]]:
        """Every error that is drawn, by the option that names it."""
        asked = {"region.errors": self.region.errors} if REGION in self.questions else {}
        return {"error": (self.error,), "errors": self.errors, "clean_errors": self.clean_errors, **asked}

    def drawn_errors(self) -> list[str]:
        """The errors of noisy labels in any question."""
        return [*self.all_errors(), *self.errors_by_option().get("region.errors", ())]

    def all_errors(self) -> list[str]:
        """The main error, and those that are upgraded one by one."""
        return list(dict.fromkeys((self.error, *self.errors)))

    def recipe(self, error: str, coarsening: float, option: str = "error") -> Recipe:
        """The recipe that an error's text stands for; "none" is no error.

        Raises:
            InputError: as `strengths_of`, or a bias that is no whole number of the pictures' pixels.
        """
        strengths = {} if error == "none" else strengths_of(error, option)
        return recipe_from(strengths, self.annotations.drawn, coarsening, option)

    def trials(self, groups: int) -> "list[Trial]":
        """Every trial once, seed by seed, so that an unfinished study has everything with fewer seeds.

        Args:
            groups: how many groups there are to train on; numbers of volumes up to it are compared.
        """
        settings = [list(_settings(self, network, groups)) for network in self.segmentation.networks]
        settings += [[laboratory(self, rung, method) for method in (CLEAN, RAW)] for rung in self.classical.baselines]
        seeds = range(self.run.seeds)
        return list(dict.fromkeys(replace(trial, seed=seed) for seed in seeds for some in settings for trial in some))


BASE = Config(
    RunOptions(Path(), seeds=5),
    DataOptions(simulation="microscope:size=paper"),
    SegmentationOptions(networks=("unet",)),
    train=TrainOptions(
        StepConfig(learning_rate=1e-3), LoopConfig(epochs=1000, stop="plateau", patience=10, shuffle=False)
    ),
)
SMALL = Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20, norm="group")
SEVERE = "omission=0.8+inclusion=0.8+bias=6"  # about 0.3 Dice at the reduced scales
REGION_ERRORS = ("omission=0.5", "omission=0.3+inclusion=0.3+bias=6")  # whole pixels of the reduced scales
AUGMENTED = StepConfig(loss="both", learning_rate=5e-3, augment=True)
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "run": {"seeds": 1},
        "source": {"simulation": "microscope:size=sixth&volumes=8&slices=2&crop=48"},
        "segmentation": {"sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5)},
        "train": TrainOptions(StepConfig(learning_rate=1e-3, augment=True), LoopConfig(epochs=2, batch_size=2)),
        "error": "omission=0.5+inclusion=0.5+bias=6",
        "errors": ("omission=0.5",),
        "clean": 3,
        "noisy": 4,
        "clean_counts": (2, 3),
        "compare_at": 3,
        "volumes": (1,),
        "clean_errors": ("omission=0.3",),
        "budgets": (4,),
        "clean_shares": (0.0, 0.3),
        "rounds": 1,
        "region": {"errors": ("omission=0.5",), "clean": (3,), "noisy": (4,)},
        "epoch_pictures": 4,
    },
    "demo": {
        "run": {"seeds": 2},
        "source": {"simulation": "microscope:size=sixth&volumes=15&slices=4&crop=48", "replicates": 2},
        "segmentation": {"sizes": SMALL},
        "train": TrainOptions(AUGMENTED, LoopConfig(epochs=9, batch_size=4)),
        "error": SEVERE,
        "questions": ("quality", "predictions", "rivals"),
        "errors": (),
        "noisy": 24,
        "clean_counts": (5, 20),
        "compare_at": 20,
        "volumes": (),
        "clean_errors": (),
        "budgets": (10, 25),
        "rounds": 1,
        "rivals": (CONFIDENT,),
        "region": {"errors": REGION_ERRORS, "clean": (5, 10), "noisy": (12, 24)},
        "epoch_pictures": 28,
    },
    "reduced": {
        "run": {"seeds": 8},
        "source": {"simulation": "microscope:size=sixth&volumes=30&slices=8&crop=48", "replicates": 8},
        "segmentation": {"sizes": SMALL},
        "train": TrainOptions(AUGMENTED, LoopConfig(epochs=24, batch_size=4)),
        "error": SEVERE,
        "errors": ("omission=0.5", "inclusion=0.5", "bias=6", "omission=0.3+inclusion=0.3+bias=6"),
        "noisy": 40,
        "volumes": (5, 10),
        "clean_errors": ("omission=0.3", "inclusion=0.3", "bias=6"),
        "budgets": (10, 50),
        "region": {"errors": REGION_ERRORS, "clean": (5, 20), "noisy": (20, 80)},
        "epoch_pictures": 64,
    },
    "paper": {},
}


def published(scale: str, protocol: str, data: str) -> dict[str, Any]:
    """What a protocol sets over a scale, group by group; see `experiments.harness.protocols.published`."""
    settings = protocols.published(scale, protocol, data)
    if protocol == "miccai2022":
        return {**settings, "validation_labels": "noisy", "rounding": "down"}
    if protocol == "jimaging2024":
        settings |= {"validation_labels": "noisy", "rounding": "published", "clean_choice": "spaced"}
        return {**settings, "epoch_pictures": 1} if scale == "paper" else settings
    return settings


@dataclass(frozen=True)
class Trial:
    """Labels upgraded, or a segmentation network trained on some; likewise the training that it rests on.

    Attributes:
        method: what is done with the noisy labels.
        error: what they suffer from; "predictions" where a network made them, "none" where there are none. Of the
            training of an upgrade network that learns a mixture, "any".
        learnt: what the upgrade network learnt to repair: "known" (the error), "mixture", "estimated", another error.
        clean_pictures: pictures with clean labels that the upgrade network has, those that choose its best epoch
            included.
        volumes: volumes (groups) that its training pictures come from at most; 0: any number.
        clean_error: noise of the clean labels.
        trained_clean: clean pictures that the segmentation network trains on.
        trained_total: all pictures that it trains on.
        round: how often predictions have been trained on.
    """

    network: str
    seed: int
    method: str
    error: str = "none"
    learnt: str = "none"
    clean_pictures: int = 0
    volumes: int = 0
    clean_error: str = "none"
    trained_clean: int = 0
    trained_total: int = 0
    round: int = 0


def train_part(clean: int) -> int:
    """How many of the clean pictures train; the others, a fifth and at least one, choose the best epoch."""
    return clean - max(1, round(clean / 5))


def labels_upgraded(config: Config, network: str, **changes: Any) -> Trial:
    """A trial about labels: the main error, known, learnt from the clean pictures compared at, or as `changes` say."""
    base = Trial(network, 0, UPGRADE, config.error, "known", config.compare_at)
    return replace(base, **changes)


def segmented(
    config: Config, network: str, method: str, clean: int, total: int, clean_pictures: int, number: int = 1
) -> Trial:
    """A trial of a segmentation network that is trained on some clean pictures and, by a method, on others.

    Args:
        number: the round, where the others are predicted.
    """
    trial = Trial(network, 0, method, config.error, "none", clean_pictures, trained_clean=clean, trained_total=total)
    own: dict[str, dict[str, Any]] = {
        CLEAN: {"error": "none", "trained_total": clean},
        ALL_CLEAN: {"error": "none"},
        **{repair: {"learnt": "known"} for repair in REPAIRS},
        PREDICTIONS: {"error": "predictions", "round": number},
        UPGRADED_PREDICTIONS: {"error": "predictions", "learnt": "mixture", "round": number},
    }
    return replace(trial, **own.get(method, {}))


def laboratory(config: Config, network: str, method: str, number: int = 1) -> Trial:
    """`segmented` on all that the laboratory has annotated."""
    clean = train_part(config.clean)
    return segmented(config, network, method, clean, clean + config.noisy, config.clean, number)


def at_place(config: Config, network: str, method: str, place: Place, learnt: str = "known") -> Trial:
    """The trial of `laboratory` where the laboratory has annotated as a place says."""
    error = config.error if method == TEACHER else place.error  # which has no part in what a mean teacher learns
    placed = replace(config, error=error, clean=place.clean, noisy=place.noisy)
    trial = laboratory(placed, network, method)
    return replace(trial, learnt=learnt) if method in REPAIRS else trial


def within_budget(config: Config, network: str, method: str, budget: int, share: float) -> Trial:
    """`segmented` on a budget of pictures, a share of them (rounded up, as published) with clean labels."""
    clean = min(budget, ceil(budget * share - 1e-9))
    clean_pictures = config.clean
    while train_part(clean_pictures) < clean:
        clean_pictures += 1
    return segmented(config, network, method, clean, budget, clean_pictures)


def _settings(config: Config, network: str, groups: int) -> Iterator[Trial]:
    asked = config.questions
    if "rivals" in asked:
        methods = (CLEAN, RAW, *config.repairs, ALL_CLEAN, *config.rivals)
        yield from (laboratory(config, network, method) for method in methods)
        yield replace(laboratory(config, network, config.repairs[0]), learnt="mixture")
    if REGION in asked:
        for place in config.region.places():
            yield from (at_place(config, network, method, place) for method in (CLEAN, RAW, *config.rivals, ALL_CLEAN))
            yield from (at_place(config, network, config.repairs[0], place, learnt) for learnt in config.region.learnt)
            first = config.region.learnt[0]
            yield from (at_place(config, network, repair, place, first) for repair in config.repairs[1:])
    if "predictions" in asked:
        yield laboratory(config, network, CLEAN)
        for number in range(1, config.rounds + 1):
            yield laboratory(config, network, PREDICTIONS, number)
            yield laboratory(config, network, UPGRADED_PREDICTIONS, number)
    if "quality" in asked:
        yield from _quality(config, network, groups)
    if "pays" in asked:
        yield from (laboratory(config, network, method) for method in (CLEAN, RAW, *config.repairs, ALL_CLEAN))
        places, compared = list(product(config.budgets, config.clean_shares)), (CLEAN, RAW, UPGRADED, ALL_CLEAN)
        paid = [within_budget(config, network, method, *place) for place in places for method in compared]
        yield from (trial for trial in paid if trial.trained_total)
    if "clean_errors" in asked:
        for error in ("none", *config.clean_errors):
            yield labels_upgraded(config, network, clean_error=error)
    if "mismatch" in asked:
        for error in config.all_errors():
            for learnt in (*config.all_errors(), "mixture"):
                yield labels_upgraded(config, network, error=error, learnt="known" if learnt == error else learnt)


def _quality(config: Config, network: str, groups: int) -> Iterator[Trial]:
    """Labels before and after: by clean pictures, by error, by their volumes, by what is known of the error."""
    for count in config.clean_counts:
        yield labels_upgraded(config, network, clean_pictures=count)
    for error in config.all_errors():
        yield labels_upgraded(config, network, error=error)
    for volumes in config.volumes:
        if volumes < min(groups, train_part(config.compare_at)):
            yield labels_upgraded(config, network, volumes=volumes)
    for learnt in ("mixture", "estimated"):
        yield labels_upgraded(config, network, learnt=learnt)
