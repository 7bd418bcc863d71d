"""Which labels to train on: networks trained on clean, noisy and repaired labels, tested on clean pictures held out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from experiments.harness.networks import pooled_dice
from experiments.harness.noisy_labels import AS_THEY_ARE, REPAIRED, TOO_FEW, UNDECIDED, Compared, points_of
from experiments.upgrade_folder.config import CLEAN, NOISY, SCRATCH, FolderConfig
from experiments.upgrade_folder.pictures import VALIDATION_SHARE, Folder, noisy_tiles, stacked
from experiments.upgrade_folder.repair import Repair, Unit, trained
from segjax.data.splits import group_folds
from segjax.evaluation import decide
from segjax.evaluation.claims import Claim, format_test_sets
from segjax.models import create
from segjax.sweeps import Outcome, Row
from segjax.training import Pictures, make_steps, predict
from segjax.types import IGNORED, InputError

TAUGHT = ("clean", "noisy", "repaired")  # labels that a network is trained on; clean ones always
NAMES = {"clean": "clean labels alone", "noisy": "clean and noisy labels", "repaired": "clean and repaired labels"}


class TrainingSets(NamedTuple):
    """What the folds say.

    Attributes:
        dice: by the labels trained on, the Dice of each fold; NaN where a network learnt nothing.
        overlap: test pictures per training picture of the networks that have the fewest.
    """

    dice: dict[str, Float[np.ndarray, " F"]]
    overlap: float

    @property
    def claims(self) -> list[Claim]:
        """Repaired labels against clean ones alone and noisy ones, and these against clean ones alone; one family."""
        pairs = [("repaired", "clean"), ("repaired", "noisy"), ("noisy", "clean")]
        decisions = decide([100 * (self.dice[one] - self.dice[other]) for one, other in pairs], overlap=self.overlap)
        return [
            Claim(NAMES[one], NAMES[other], "Dice", found, "Dice points")
            for (one, other), found in zip(pairs, decisions, strict=True)
        ]

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        compared = Compared(*(claim.decision for claim in self.claims))
        over_clean, over_noisy, gain = map(points_of, compared)
        if compared.look == TOO_FEW:
            means = {name: float(np.nanmean(dice)) for name, dice in self.dice.items() if not np.isnan(dice).all()}
            best = max(means, key=lambda name: means[name], default="")
            sets = format_test_sets(min(one.n for one in compared))
            if not best:
                return "No network learnt to segment, so that nothing says which labels to train on."
            return f"In {sets}, a network trained on {NAMES[best]} scored highest: Dice {means[best]:.3f}."
        if compared.look == REPAIRED:
            return (
                f"Repairing is ahead here: trained on the repaired labels too, a network scores {over_clean} Dice "
                f"points more than with clean labels alone, and {over_noisy} more than with the noisy labels as they "
                "are."
            )
        if compared.look == AS_THEY_ARE:
            return (
                f"Train on the noisy labels too, as they are: they add {gain} Dice points to clean labels alone. "
                f"Repairing them is not ahead of that: {over_noisy} Dice points."
            )
        noisy = f"the noisy labels add {gain} Dice points to clean labels alone"
        if compared.look == UNDECIDED:
            return (
                f"It is not decided which labels to train on: {noisy}, and the repaired ones {over_clean} "
                f"({over_noisy} over the noisy ones)."
            )
        return f"Train on the clean labels alone: {noisy}, and the repaired ones {over_clean}."


def folds_of(config: FolderConfig, folder: Folder) -> list[tuple[int, ...]]:
    """The pictures with clean labels that test in each fold; groups stay whole.

    Raises:
        InputError: too few pictures or groups, pictures of other sizes, or a fold without noisy labels to train on.
    """
    if not config.folds:
        return []
    groups = len(set(folder.clean.groups))
    if groups < max(3, config.folds):
        raise InputError(
            f"folds: {config.folds} folds need as many pictures or groups in {CLEAN}/, and at least 3; there are "
            f"{groups}; give fewer folds, or 0"
        )
    folds = list(group_folds(folder.clean.groups, config.folds))
    if not all(noisy_rows(folder, test) for test in folds):
        raise InputError(
            f"folds: all pictures in {NOISY}/ belong to groups of one fold; give other groups=, or --folds 0"
        )
    return folds


def noisy_rows(folder: Folder, test: Sequence[int]) -> list[int]:
    """The tiles with noisy labels of no group that is tested."""
    tested = {folder.clean.groups[row] for row in test}
    return [row for row, group in enumerate(noisy_tiles(folder).groups) if group not in tested]


def units_of(config: FolderConfig) -> list[Unit]:
    """One per fold; those of another number of folds have other names."""
    return [Unit(f"training_sets/{config.folds}-folds/fold-{fold}") for fold in range(config.folds)]


def warning(config: FolderConfig, folder: Folder, seconds: float | None) -> str:
    """What the comparison will take, from what the network of the folder took."""
    words = f"comparing training sets: {config.folds} folds of {1 + len(TAUGHT)} trainings"
    if seconds is None or config.start != SCRATCH:  # trained weights learn faster than the networks compared
        return words
    clean = len(folder.clean) * (1 - 1 / config.folds)
    noisy = np.mean([len(noisy_rows(folder, test)) for test in folds_of(config, folder)])
    longer = (clean + noisy) / clean  # every epoch lists as many pictures as there are in all
    minutes = max(1, round(config.folds * seconds * (1 + len(TAUGHT) * longer) / 60))
    return f"{words}, about {minutes} min"


class Comparison:
    """The trainings of the folds."""

    def __init__(self, config: FolderConfig, folder: Folder) -> None:
        self._config, self._folder = config, folder
        self._folds = folds_of(config, folder)
        if self._folds:
            self._images, self._labels = stacked(folder.clean)
            self._clean = self._targets(folder.clean, self._labels > 0)

    @staticmethod
    def _targets(source: Any, masks: np.ndarray, rows: Sequence[int] | None = None) -> np.ndarray:
        """Targets of the masks of some pictures (default: all), -1 where a tile reaches beyond its picture."""
        unknown = [source[index].ignored for index in (range(len(source)) if rows is None else rows)]
        ignored = np.stack([np.zeros(masks.shape[1:], bool) if one is None else one for one in unknown])
        return np.where(ignored, IGNORED, masks).astype(np.int32)

    def compare(self, units: Sequence[Unit], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Train and test the networks of a fold."""
        for index, unit in enumerate(units):
            test = self._folds[int(unit.file.rpartition("-")[2])]
            found = self._of_fold(unit, test, on_share)
            said = ", ".join(f"{value:.3f} with {NAMES[name]}" for name, value in found.items())
            yield index, Outcome([Row(f"dice_{name}", value) for name, value in found.items()], f"Dice {said}")

    def _of_fold(self, unit: Unit, test: tuple[int, ...], on_share: Callable[[float], None]) -> dict[str, float]:
        config, folder, folder_of = self._config, self._folder, self._config.out / "checkpoints" / unit.file
        repair = Repair(config, folder, sorted(set(range(len(folder.clean))) - set(test)))
        noisy, is_taught = noisy_tiles(folder), repair.train(folder_of / "upgrade").status == "ok"
        kept = noisy_rows(folder, test)
        images, labels = (values[kept] for values in stacked(noisy))
        masks = {"noisy": labels > 0, "repaired": repair.masks(images, labels > 0)}
        others = {name: self._targets(noisy, given, kept) for name, given in masks.items()}
        train, tested = repair.train_rows, np.asarray(test)
        listed = len(train) + len(kept)
        validation = Pictures(self._images[repair.validation_rows], self._clean[repair.validation_rows])
        network = create(config.network, **self._options())
        steps, dice = make_steps(network, config.train.step), {}
        for number, name in enumerate(TAUGHT):
            seen, targets = self._images[train], self._clean[train]
            if name in others:
                seen, targets = np.concatenate([seen, images]), np.concatenate([targets, others[name]])
            rows = np.resize(np.arange(len(seen)), listed)  # equally many steps for all
            taught = Pictures(seen[rows], targets[rows])
            found = trained(config, folder, steps, taught, validation, folder_of / name, lambda share: None)
            if found.status != "ok" or (name == "repaired" and not is_taught):
                dice[name] = float("nan")
                continue
            predicted = predict(steps, found.variables, self._images[tested]) > 0
            dice[name] = pooled_dice(predicted & (self._clean[tested] >= 0), self._labels[tested] > 0)
            on_share((number + 2) / (1 + len(TAUGHT)))
        return dice

    def _options(self) -> dict[str, Any]:
        if self._config.network != "msd":
            return {"width": self._config.width, "levels": self._config.levels, "norm": "running"}
        channels = np.moveaxis(self._images.astype(np.float64), -1, 0)
        return {
            "depth": self._config.depth,
            "input_mean": tuple(float(channel.mean()) for channel in channels),
            "input_std": tuple(float(max(channel.std(), 1e-6)) for channel in channels),
        }

    def found(self, results: pd.DataFrame) -> TrainingSets | None:
        """What the folds that have ended say; None without any."""
        files = [unit.file for unit in units_of(self._config)]
        own = results[results["file"].isin(files) & (results["status"] == "ok")]
        if own.empty:
            return None
        values = own.pivot(index="file", columns="metric", values="value").astype(float)
        tested = np.mean([len(test) for test in self._folds])
        overlap = tested / ((1 - VALIDATION_SHARE) * (len(self._folder.clean) - tested))
        return TrainingSets({name: values[f"dice_{name}"].to_numpy() for name in TAUGHT}, float(overlap))
