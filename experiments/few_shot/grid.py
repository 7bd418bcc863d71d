"""The grid of study 3: its configuration, and which trials it has."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.few_shot.trials import (
    ALL,
    ALL_LABELS,
    BANKS,
    EXTRAS,
    FROM_SCRATCH,
    NONE,
    PLAIN_BANKS,
    TRAIN,
    UNSEEN,
    Trial,
    is_from_files,
)
from experiments.harness.ladder_options import RUNGS, is_rung
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
from segjax.fewshot import HEADS
from segjax.fewshot.baselines import BASELINES
from segjax.fewshot.draws import FEATURE_SELECTIONS
from segjax.ops.instances import GROUPINGS
from segjax.training import LoopConfig, StepConfig
from segjax.types import InputError


@dataclass(frozen=True)
class Config:
    """How few annotated pictures of a new cell type are enough? Every type is the new one once.

    Started again with the same --out, it does only what is missing. The defaults shown are those of the chosen --scale.
    """

    run: Annotated[RunOptions, Flat]
    source: Annotated[DataOptions, Flat] = DataOptions()
    segmentation: Annotated[SegmentationOptions, Flat] = SegmentationOptions()
    train: TrainOptions = decides(TrainOptions())
    elsewhere: Annotated[RivalOptions, Flat] = field(default_factory=RivalOptions)
    types: tuple[int, ...] = decides(())
    """Classes that take part. None: every class that enough training pictures show."""
    others: Literal["background", "ignored"] = decides("background")
    """What objects of all other classes count as. ignored: they count in no loss and no metric."""
    banks: tuple[str, ...] = arranges(("joint_ignored", "joint_background", "binary_background"))
    """Sets of extractors. joint: one network for all other types. binary: one network for each. ignored: pixels of the
    new type are left out of their training. background: they are background, which tells the networks about the new
    type. A name may end with any of these, in this order: _all_maps adds the maps of every layer; _widths adds
    extractors of half the width (MSD: depth); _turned averages features over the eight flips and quarter turns of a
    picture. The first set is used wherever there is only one."""
    maps: Literal["full", "half"] = decides("half")
    """Feature maps of sets without all_maps. full: those of the last layer of full size, as published. half: all maps
    that are at least half as wide as the picture."""
    new_together: int = decides(1)
    """Number of types that are new to an extractor at once. The larger it is, the fewer extractors are trained, and the
    fewer types each of them knows."""
    full_supervision: Literal["own", "every"] = decides("own")
    """The network with all labels. own: one for each type, which knows the labels of no other. every: one for all types
    at once, as in the calibration."""
    candidates_from: Literal["train", "unseen", "both"] = decides("train")
    """Training pictures that the annotated ones are chosen from. train: those that extractors learnt the other types
    from. unseen: a part of the groups, which is held back from the extractors. both: compares the two, with the same
    extractors."""
    shots: tuple[int, ...] = arranges((1, 2, 3, 5, 7, 10))
    """Numbers of annotated pictures of the new type."""
    features: tuple[str, ...] = arranges(())
    """Features that another model computed, such as a frozen foundation model: folder:PATH, one or several times. Each
    folder has a file NAME.npy or NAME.npz for every picture, an array [h, w, K] that covers the whole picture; it is
    enlarged bilinearly, with half-pixel centres. Each is tried beside the first set of extractors and named after its
    folder. The part "Features of another model" of experiments/README.md has a script that writes such files."""
    feature_counts: tuple[int, ...] = arranges((1, 2, 4, 8, 16, 32, 64))
    """Numbers of features that the head may use, besides all."""
    feature_selections: tuple[str, ...] = arranges(FEATURE_SELECTIONS)
    """How fewer features are chosen: random, first, variance or relevance (for the annotated pictures)."""
    draws: int = decides(50)
    """Number of random choices of the annotated pictures, and of random features."""
    nested: bool = decides(True)
    """Whether a larger number of annotated pictures includes those of the smaller ones."""
    own_draws: tyro.conf.Suppress[tuple[int, ...]] = decides(())
    """All numbers of shots where they are not nested, since the draws of each depend on the others then."""
    candidates: int = decides(40)
    """Largest number of training pictures to choose the annotated ones from."""
    queries: int = decides(60)
    """Largest number of test pictures."""
    minimum_pixels: int = decides(16)
    """Smallest number of pixels of the new type in an annotated picture."""
    head: str = decides("logistic")
    """The head that is tried with every number of annotated pictures and of features."""
    heads: tuple[str, ...] = arranges(tuple(HEADS))
    """Heads to compare. All of them use all features."""
    compare_shots: tuple[int, ...] = arranges((1, 5, 10))
    """Numbers of annotated pictures at which heads and baselines are compared and objects are counted."""
    baselines: tuple[str, ...] = arranges(BASELINES)
    """What heads are compared with. Networks trained on the annotated pictures: last_layer, whole_network (the
    extractor, in part or whole), decoupled (the whole extractor, more slowly than its new last layer), from_scratch (a
    new network, which starts as extractors do, from --sizes.encoder-weights where they are given). Without a network,
    fitted to the annotated pictures: otsu, adaptive (thresholds), growing, watershed (regions), kmeans,
    gaussian_mixture (clusters of colour and texture), forest (a random forest on features of several scales)."""
    first_draws: int = decides(10)
    """Number of draws in which baselines are trained and objects are counted: the first of --draws."""
    baseline_steps: int = decides(200)
    """Training steps of a baseline, whatever the number of annotated pictures."""
    extractor_rate: float = decides(0.1)
    """Learning rate of the extractor in the baseline decoupled, as a share of that of its last layer."""
    delineation: Literal["line", "none"] = decides("none")
    """line: in the annotated pictures, a line of background parts objects that touch."""
    grouping: Literal["components", "watershed"] = decides("watershed")
    """How predicted pixels become objects. components: connected pixels. watershed: touching objects are parted."""

    @property
    def first_candidates(self) -> str:
        """Where the annotated pictures come from wherever there is only one kind."""
        return UNSEEN if self.candidates_from == UNSEEN else TRAIN

    def resolved(self) -> "Config":
        """The configuration with the types of the simulation filled in, and checked.

        Raises:
            InputError: names the option and what it may be.
        """
        self.segmentation.check()
        self.elsewhere.check()
        types = self.types
        if not types and self.source.data.startswith("microscope:tissue"):
            types = TISSUE_TYPES[self.run.scale]
        resolved = dataclasses.replace(self, types=types, own_draws=() if self.nested else self.shots)
        _check(resolved)
        return resolved

    def trials(self, types: Mapping[str, int], counts: Mapping[tuple[str, str], int]) -> "list[Trial]":
        """Every trial once, seed by seed and type by type.

        Args:
            types: classes that take part, by name.
            counts: number of features of each (network, bank); features from files have no network.
        """
        found: dict[Trial, None] = {}
        for seed in range(self.run.seeds):
            for network in self.segmentation.networks:
                for name in types:
                    found |= dict.fromkeys(_of_type(self, whole_of(self, network, seed, name), counts))
        return list(found)


BASE = Config(
    RunOptions(Path(), seeds=5),
    DataOptions("microscope:tissue", simulation="microscope:size=half&volumes=30&slices=16"),
    SegmentationOptions(networks=("unet",)),
    TrainOptions(
        StepConfig(learning_rate=1e-3),
        LoopConfig(batch_size=1, epochs=1000, stop="plateau", patience=10),
    ),
)
STEP = StepConfig(loss="both", learning_rate=2e-3, augment=True)
SMALL = Sizes(unet_width=8, unet_levels=3, segnet_width=8, segnet_levels=3, msd_depth=20)
CALIBRATED_SIZES = Sizes(unet_width=16, unet_levels=3, segnet_width=16, segnet_levels=3, msd_depth=40)
SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "run": {"seeds": 1},
        "source": {"simulation": "microscope:size=quarter&volumes=4&slices=3&crop=48"},
        "segmentation": {"sizes": Sizes(unet_width=4, unet_levels=2, segnet_width=4, segnet_levels=2, msd_depth=5)},
        "train": TrainOptions(StepConfig(learning_rate=1e-3), LoopConfig(epochs=2, batch_size=2)),
        "maps": "full",
        "banks": ("joint_ignored", "binary_background"),
        "shots": (1, 2),
        "feature_counts": (1, 2),
        "feature_selections": ("first", "relevance"),
        "draws": 3,
        "candidates": 4,
        "queries": 3,
        "heads": ("logistic", "prototype"),
        "compare_shots": (2,),
        "baselines": ("last_layer",),
        "first_draws": 2,
        "baseline_steps": 2,
    },
    "demo": {
        "run": {"seeds": 1},
        "source": {"simulation": "microscope:size=quarter&volumes=6&slices=6&crop=80"},
        "segmentation": {"sizes": SMALL},
        "train": TrainOptions(
            dataclasses.replace(STEP, learning_rate=3e-3),
            LoopConfig(epochs=40, batch_size=4, stop="plateau", patience=5),
        ),
        "banks": ("joint_ignored",),
        "shots": (1, 3, 5, 10),
        "feature_counts": (1, 8),
        "feature_selections": ("relevance",),
        "draws": 10,
        "candidates": 12,
        "queries": 10,
        "heads": ("logistic", "cosine"),
        "compare_shots": (5,),
        "baselines": (),
        "first_draws": 2,
    },
    "reduced": {
        "run": {"seeds": 5},
        "source": {"simulation": "microscope:size=quarter&volumes=12&slices=16&crop=64", "replicates": 5},
        "segmentation": {"sizes": CALIBRATED_SIZES},
        "train": TrainOptions(STEP, LoopConfig(epochs=200, batch_size=4, stop="plateau")),
        "full_supervision": "every",
        "banks": ("joint_ignored_all_maps_turned", "joint_ignored", "joint_background"),
        "feature_counts": (1, 4, 16),
        "feature_selections": ("random", "relevance"),
        "queries": 32,
        "baselines": ("whole_network", "decoupled", "from_scratch"),
        "first_draws": 3,
    },
    "paper": {"maps": "full"},
}
# the common types of the simulated tissue; small scales show too few of the others
TISSUE_TYPES = {"smoke": (1, 2, 3), "demo": (1, 2), "reduced": (1, 2, 3, 4), "paper": ()}


def whole_of(config: Config, network: str, seed: int, name: str) -> Trial:
    """The network with all labels of a type."""
    return Trial(network, seed, name, ALL_LABELS, candidates=config.first_candidates)


def few(
    config: Config, counts: Mapping[tuple[str, str], int], whole: Trial, shots: int, method: str = "", bank: str = ""
) -> Trial:
    """A head with all features, or a baseline, where `whole` has all labels; by default the study's head and bank."""
    method, bank = method or config.head, bank or config.banks[0]
    if method == FROM_SCRATCH or is_rung(method):
        network = NONE if is_rung(method) else whole.network
        return dataclasses.replace(whole, network=network, method=method, shots=shots)
    network = NONE if is_from_files(bank) else whole.network
    selection, count = NONE if method in BASELINES else ALL, counts.get((network, bank), 0)
    return dataclasses.replace(
        whole, network=network, method=method, bank=bank, feature_selection=selection, shots=shots, features=count
    )


def _of_type(config: Config, whole: Trial, counts: Mapping[tuple[str, str], int]) -> Iterator[Trial]:
    yield whole
    for bank in config.banks:
        for shots in config.shots:
            yield few(config, counts, whole, shots, bank=bank)
    if config.candidates_from == "both":
        for shots in config.shots:
            yield few(config, counts, dataclasses.replace(whole, candidates=UNSEEN), shots)
    yield from _of_bank(config, whole, counts, config.banks[0], (*config.heads, *config.baselines))
    for bank in [bank for network, bank in counts if network == NONE]:
        for shots in config.shots:
            yield few(config, counts, whole, shots, bank=bank)
        yield from _of_bank(config, whole, counts, bank, config.heads)


def _of_bank(
    config: Config, whole: Trial, counts: Mapping[tuple[str, str], int], bank: str, methods: Sequence[str]
) -> Iterator[Trial]:
    """Fewer features, and other methods with all of them."""
    for selection in config.feature_selections:
        for count in config.feature_counts:
            for shots in config.shots:
                every = few(config, counts, whole, shots, bank=bank)
                if count < every.features:
                    yield dataclasses.replace(every, feature_selection=selection, features=count)
    for method in methods:
        for shots in config.compare_shots:
            yield few(config, counts, whole, shots, method, bank)


def _check(config: Config) -> None:
    if unknown := [bank for bank in config.banks if bank not in BANKS]:
        raise InputError(
            f"banks: unknown {unknown[0]!r}; choose from {', '.join(PLAIN_BANKS)}, followed by any of "
            f"{', '.join(f'_{extra}' for extra in EXTRAS)} in this order"
        )
    check_choices("banks", config.banks, BANKS)
    folders_by_name(config.features)
    check_choices("feature_selections", config.feature_selections, FEATURE_SELECTIONS)
    check_choices("heads", config.heads, HEADS)
    check_choices("head", (config.head,), HEADS)
    check_choices("baselines", config.baselines, (*BASELINES, *RUNGS))
    check_choices("grouping", (config.grouping,), GROUPINGS)
    if not 0 < config.extractor_rate <= 1:
        raise InputError(f"extractor_rate: {config.extractor_rate} cannot be used; give a share above 0, at most 1")
    if not config.banks or not config.feature_selections:
        raise InputError("banks, feature_selections: one is empty; give at least one value for each")
    several = {name: getattr(config, name) for name in ("shots", "feature_counts", "compare_shots", "types")}
    single = ("new_together", "draws", "candidates", "queries", "minimum_pixels", "first_draws", "baseline_steps")
    for option, numbers in (several | {name: (getattr(config, name),) for name in single}).items():
        if min(numbers, default=1) < 1 or len(set(numbers)) < len(numbers):
            shown = " ".join(map(str, numbers))
            raise InputError(f"{option}: {shown} cannot be used; give whole numbers from 1 on, each only once")
    if not config.shots:
        raise InputError("shots: no number is given; give at least one")
    if others := sorted(set(config.compare_shots) - set(config.shots)):
        shown = " ".join(map(str, config.shots))
        raise InputError(f"compare_shots: {others[0]} is not among --shots; give some of {shown}")
    if max(config.shots) > config.candidates:
        raise InputError(
            f"candidates: {config.candidates} are fewer than the {max(config.shots)} pictures of --shots; give at "
            f"least {max(config.shots)}, or fewer shots"
        )
    if config.first_draws > config.draws:
        raise InputError(f"first_draws: {config.first_draws} is more than --draws; give at most {config.draws}")
    if config.others == "ignored" and not config.types:
        raise InputError("others: ignored is of no use without --types; name the classes that take part")
    if config.types and len(config.types) < 2:
        raise InputError("types: one class is too few, since extractors learn from the others; give at least two")


def folders_by_name(specs: Sequence[str]) -> dict[str, Path]:
    """The folders of `Config.features` by the names that they have in tables and charts.

    Raises:
        InputError: not folder:PATH, a name that cannot stand in a table, or one that two folders have.
    """
    found: dict[str, Path] = {}
    for spec in specs:
        scheme, _, place = spec.partition(":")
        if scheme != "folder" or not place:
            raise InputError(
                f"features: {spec!r} is no folder of features; write folder:PATH (numbers of features have the option "
                "--feature-counts)"
            )
        folder = Path(place).expanduser()
        name = folder.resolve().name
        if not re.fullmatch(r"[\w.+-]+", name):
            raise InputError(
                f"features: {place!r} cannot name its features in tables and files; rename the folder (letters, digits "
                "and _ . + - can be used)"
            )
        if name in found:
            raise InputError(
                f"features: two folders are named {name} ({found[name]}, {folder}); rename one, since results have "
                "this name"
            )
        found[name] = folder
    return found
