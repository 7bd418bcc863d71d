"""The trials of study 3, the trainings that they rest on, and the banks of features by name."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, product

JOINT, BINARY, EVERY = "joint", "binary", "every"
IGNORED, BACKGROUND = "ignored", "background"
ALL_MAPS, WIDTHS, TURNED = "all_maps", "widths", "turned"
PLAIN_BANKS = tuple(f"{task}_{unseen}" for task in (JOINT, BINARY) for unseen in (IGNORED, BACKGROUND))
EXTRAS = (ALL_MAPS, WIDTHS, TURNED)
_RICHER = ["".join(f"_{one}" for one in compress(EXTRAS, chosen)) for chosen in product((False, True), repeat=3)]
BANKS = tuple(f"{bank}{richer}" for richer in _RICHER for bank in PLAIN_BANKS)
ALL_LABELS = "all_labels"
TRAIN, UNSEEN = "train", "unseen"
CALIBRATED = 0.75  # least Dice of a type under full supervision in `experiments.calibration`
NONE, ALL = "none", "all"
FROM_SCRATCH = "from_scratch"


@dataclass(frozen=True)
class Trial:
    """One way to segment a type, over all draws of its shots.

    Attributes:
        network: of the extractors, or the one that is trained; "none" of features from files and of rungs.
        type: the new one, by name.
        method: a head, a baseline trained on the shots, a rung of the ladder fitted to them, or "all_labels".
        bank: which extractors; "none" without any; NAME@DIGEST of features from files.
        feature_selection: how the features of a head were selected; "all" where none was left out.
        shots: their number; 0 with all labels.
        features: their number; 0 without extractors.
        candidates: where the annotated pictures come from: "train", "unseen"; see `Config.candidates_from`.
    """

    network: str
    seed: int
    type: str
    method: str
    bank: str = NONE
    feature_selection: str = NONE
    shots: int = 0
    features: int = 0
    candidates: str = TRAIN


@dataclass(frozen=True)
class Training:
    """One network.

    Attributes:
        task: "joint", of all types but those held out, "binary", of the class `own` alone, or "every", of all types.
        own: the class; 0 without.
        held: the classes that are held out, such as "2" or "2+5".
        unseen: what their pixels are: "ignored" or "background".
        halvings: of the width.
        pictures: "train", or "seen", those that are not held back.
    """

    network: str
    seed: int
    task: str
    own: int
    held: str
    unseen: str
    halvings: int = 0
    pictures: str = TRAIN


def bank_from_files(name: str, digest: str) -> str:
    """The bank of features from files; other files are another bank, so that no results are mixed."""
    return f"{name}@{digest[:8]}"


def is_from_files(bank: str) -> bool:
    """Whether a bank's features come from files, and not from extractors that the study trains."""
    return "@" in bank


def group_of(trial: Trial) -> Trial:
    """What trials that share a program and its fits have in common: all but the numbers of shots and features."""
    return dataclasses.replace(trial, shots=0, features=0)


def extractors_of(
    bank: str,
    network: str,
    seed: int,
    new: int,
    classes: Sequence[int],
    pictures: str = TRAIN,
    together: int = 1,
) -> list[Training]:
    """The trainings of a bank's extractors while one of the classes is the new one."""
    task, unseen, *_ = bank.split("_")
    groups = -(-len(classes) // together)
    held = classes[classes.index(new) % groups :: groups]
    named = "+".join(map(str, held))
    owns = [0]
    if task == BINARY:
        owns = [own for own in classes if own not in held]
        named = named if unseen == IGNORED else ""  # as background they are among the others: one training serves all
    halvings = (0, 1) if WIDTHS in bank else (0,)
    return [Training(network, seed, task, own, named, unseen, number, pictures) for number in halvings for own in owns]


def all_labels(network: str, seed: int, new: int, supervision: str = "own") -> Training:
    """The training that has all labels of a class, of its own: that of a binary extractor that leaves nothing out."""
    task, own = (EVERY, 0) if supervision == EVERY else (BINARY, new)
    return Training(network, seed, task, own, "", BACKGROUND)
