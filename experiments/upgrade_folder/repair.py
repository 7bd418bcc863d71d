"""Training the upgrade network of a folder, and repairing its noisy labels picture by picture."""

import dataclasses
import functools
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import segjax
from experiments.harness import networks
from experiments.harness.provenance import opening, sources_of
from experiments.upgrade_folder.config import PAIRS, SCRATCH, FolderConfig, facts_of, recipes_of
from experiments.upgrade_folder.held_out import HeldOut, judge
from experiments.upgrade_folder.pictures import Folder, divide, stacked
from experiments.upgrade_folder.starts import Choice, Start, of_weights, start_of, tuning
from segjax.annotations import Recipe
from segjax.data import write_labels
from segjax.evaluation.references import median_radius
from segjax.files import Damaged, set_aside, write_file
from segjax.models import card, load_weights, save_weights
from segjax.models.pretrained import check_version
from segjax.sweeps import Outcome, Row
from segjax.sweeps.trials import fingerprint
from segjax.training import Fit, Pictures, Steps, fit
from segjax.training.state import Variables
from segjax.types import InputError
from segjax.upgrade import (
    clean_pictures,
    estimate_recipe,
    make_upgrade_steps,
    number_objects,
    upgrade_network,
    upgrade_set,
)
from segjax.upgrade.learning import noisy_masks
from segjax.upgrade.recipes import borrowed_objects

STUDY = "upgrade_folder"
BATCH = 8
KINDS = ("added", "removed", "moved", "kept")


@dataclass(frozen=True)
class Unit:
    """What is done at once: training the network, or one picture, named after the file that is written."""

    file: str


NETWORK = Unit("network")


def units_of(folder: Folder) -> list[Unit]:
    """One per picture with noisy labels."""
    return [Unit(f"labels/{name}.tif") for name in folder.noisy.names]


def folder_plan(config: FolderConfig, folder: Folder) -> dict[str, Any]:
    """What `plan.json` holds; the fingerprint covers all that decides what is written."""
    facts = json.loads(json.dumps(facts_of(config), default=dataclasses.asdict))
    del facts["data"]  # however the folder is named, the digests say what is in it
    facts |= {"clean": folder.clean.digest, "noisy": folder.noisy.digest, "segjax": segjax.__version__}
    if config.start != SCRATCH:
        facts["weights"] = [own["sha256"] for own in card(config.start).facts["networks"].values()]
    if folder.pairs is not None:
        facts["pairs"] = folder.pairs.digest
    sources = sources_of(STUDY)
    return {
        "study": STUDY,
        "data": config.data.partition("?")[0],
        "fingerprint": fingerprint(facts),
        "facts": facts,
        "config": json.loads(json.dumps(dataclasses.asdict(config), default=str)),
        "sources": sources,
        "opening": opening(STUDY, sources),
    }


def trained(
    config: FolderConfig,
    folder: Folder,
    steps: Steps,
    train: Pictures,
    validation: Pictures,
    checkpoints: Path,
    on_share: Callable[[float], None],
) -> Fit:
    """A training with the options of the command; one that was stopped goes on from its checkpoint."""
    plan = folder_plan(config, folder)
    return fit(
        jax.random.key(config.seed),
        steps,
        train,
        validation,
        config.train.loop,
        checkpoints=checkpoints,
        checkpoint_seconds=20.0,
        made_by={"configuration": plan["fingerprint"], "code": plan["opening"]["code"]},
        on_epoch=on_share,
    )


class Repair:
    """The network of a folder: `learn` trains it, `upgrade` applies it."""

    def __init__(self, config: FolderConfig, folder: Folder, among: Sequence[int] | None = None) -> None:
        """Read the pictures with clean labels and the errors to learn.

        Args:
            among: pictures with clean labels that take part; all by default.

        Raises:
            InputError: they cannot be learnt from.
        """
        self._config, self._folder = config, folder
        images, labels = stacked(folder.clean)
        self._start: Start | None = None
        if config.start != SCRATCH:
            self._start = start_of(config.start, images.shape[-1])
            images = self._seen(images)
        self._among = tuple(range(len(labels))) if among is None else tuple(among)
        self.train_rows, self.validation_rows = divide(folder, labels, config.seed, self._among)
        own, foreign = list(self._among), None
        if config.foreign == "borrowed":
            foreign = np.zeros_like(labels)
            foreign[own] = borrowed_objects(labels[own])
        radius = median_radius(labels[own])
        self._minimum_area = round(config.minimum_relative_area * np.pi * radius**2)
        self.recipes = self._recipes(labels, foreign, radius)
        if foreign is not None and not any(recipe.inclusion for recipe in self.recipes):
            foreign = None
        highest = max(int(labels[own].max()), 0 if foreign is None else int(foreign.max()), 62)
        self._max_objects = (1 << highest.bit_length()) - 1

        def pictures(rows: np.ndarray, draws: int) -> Pictures:
            others = None if foreign is None else foreign[rows]
            return clean_pictures(
                images[rows], labels[rows], self.recipes, foreign=others, draws=draws, seed=config.seed
            )

        self._train, self._validation = pictures(self.train_rows, 1), pictures(self.validation_rows, config.draws)
        if self._start is not None:
            self.network = self._start.network
        else:
            sizes = {"width": config.width, "levels": config.levels, "norm": "running"}
            options = {"depth": config.depth} if config.network == "msd" else sizes
            self.network = upgrade_network(config.network, images[self.train_rows], labels[self.train_rows], **options)
        self._steps: Steps = make_upgrade_steps(self.network, config.train.step, max_objects=self._max_objects)
        self._variables: Variables | None = None
        self._held_out: HeldOut | None = None
        self.choice: Choice | None = None  # between trained weights as they are and what they learnt here
        self.seconds: float | None = None  # that this process trained for

    def _recipes(self, labels: np.ndarray, foreign: np.ndarray | None, radius: float) -> list[Recipe]:
        if self._config.mistakes != "pairs":
            return recipes_of(self._config, radius)
        pairs = self._folder.pairs
        assert pairs is not None  # `open_folder` has refused
        place = {name: index for index, name in enumerate(self._folder.clean.names)}
        rows = np.array([place[name] for name in pairs.names])
        taking_part = np.isin(rows, self._among)
        if not taking_part.any():
            raise InputError(
                f"folds: all pictures of {PAIRS}/ are in one fold, so that no error can be estimated without it; give "
                "more pairs, or fewer folds"
            )
        rows, noisy = rows[taking_part], stacked(pairs)[1][taking_part] > 0
        return [estimate_recipe(labels[rows], noisy, foreign=None if foreign is None else foreign[rows])]

    @functools.cached_property
    def of_weights(self) -> list[str]:
        """What the trained weights say of the pictures, as sentences."""
        return [] if self._start is None else of_weights(self._config.start, self._start, self._folder)

    @property
    def _saved(self) -> Path:
        return self._config.out / "network.safetensors"

    def learn(self, units: Sequence[Unit], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Train the network and keep it in OUT; a training that was stopped goes on from its checkpoint."""
        began = time.monotonic()
        result = self.train(self._config.out / "checkpoints", on_share)
        if result.status != "ok":
            problem = "predicts background only" if result.status == "collapsed" else "diverges"
            raise InputError(
                f"the network {problem} after {result.restarts + 1} starts; give more clean labels, or other "
                "--train options (a smaller learning rate, more epochs)"
            )
        facts = {"choice": self.choice._asdict()} if self.choice else {}
        save_weights(self._saved, self._variables or {}, networks.facts_of(self.network) | facts)
        self.seconds = time.monotonic() - began
        before, after = self.held_out().means
        rows = [Row("dice_before", before), Row("dice_after", after), Row("epochs", len(result.losses))]
        if self.choice is not None:
            rows += [Row("dice_as_they_are", self.choice.as_they_are), Row("dice_tuned", self.choice.tuned)]
        summary = f"held-out labels with drawn errors: Dice {before:.3f} before, {after:.3f} after"
        yield 0, Outcome(rows, summary, restarts=result.restarts)

    def train(self, checkpoints: Path, on_share: Callable[[float], None] = lambda share: None) -> Fit:
        """Train the network, or go on from its checkpoint; of trained weights what repairs held-out labels better."""
        if self._start is None:
            result = self._fit(self._config, checkpoints, on_share)
            self._variables = result.variables
            return result
        self._variables = self._start.variables
        result = Fit(self._variables, "ok", np.zeros((0, 2)), 0)
        as_they_are, tuned = self._judged(), float("nan")
        if self._config.tune:
            result = self._fit(tuning(self._config), checkpoints, on_share)
        if self._config.tune and result.status == "ok":
            self._variables = result.variables
            tuned = self._judged().means[1]
        self.choice = Choice(self._config.start, self._config.tune, as_they_are.means[1], tuned)
        if not self.choice.is_tuned:
            self._variables, self._held_out = self._start.variables, as_they_are
        return dataclasses.replace(result, variables=self._variables, status="ok")

    def _fit(self, config: FolderConfig, checkpoints: Path, on_share: Callable[[float], None]) -> Fit:
        return trained(config, self._folder, self._steps, self._train, self._validation, checkpoints, on_share)

    def _seen(self, images: Sequence[np.ndarray] | np.ndarray) -> Any:
        """Pictures as the network takes them."""
        if self._start is None:
            return images
        seen = [self._start.seen(image) for image in images]
        return np.stack(seen) if isinstance(images, np.ndarray) else seen

    def masks(self, images: np.ndarray, noisy: np.ndarray) -> np.ndarray:
        """Repaired masks bool [P, H, W] of pictures of one size, [P, H, W, C], and their noisy masks."""
        found = upgrade_set(self.network, self._variables or {}, self._seen(images), noisy)
        return np.stack([one.mask for one in found])

    def held_out(self) -> HeldOut:
        """What the network does to labels of held-out pictures with drawn errors; needs `learn` or `restore`."""
        if self._held_out is None:
            self._held_out = self._judged()
        return self._held_out

    def _judged(self) -> HeldOut:
        images, clean = self._validation.images, self._validation.targets
        noisy = np.asarray(noisy_masks(None, clean, max_objects=self._max_objects))
        repaired = self.masks(images, noisy)
        groups = [self._folder.clean.groups[row] for row in self.validation_rows for _ in range(self._config.draws)]
        return judge(groups, images, np.asarray(clean.labels), noisy, repaired)

    def restore(self) -> None:
        """Take the network from OUT, where an earlier run has left it; one that is missing or damaged is trained again.

        Raises:
            InputError: it cannot be read, or not be trained.
        """
        if self._variables is not None:
            return
        reason = f"{self._saved}: is missing"
        if self._saved.exists():
            try:
                found = load_weights(self._saved, is_ours=True)
                check_version(self._saved, found.facts)
                self._variables = jax.device_put(found.variables)
                self.choice = Choice(**found.facts["choice"]) if "choice" in found.facts else None
                return
            except Damaged as error:
                reason = f"{error}; the old file is kept as {set_aside(self._saved)}"
        warnings.warn(f"{reason}; the network is trained again", stacklevel=2)
        for _ in self.learn((), lambda share: None):
            pass

    def kind(self, unit: Unit) -> str:
        """Pictures of one size are upgraded together."""
        return "x".join(map(str, self._shape_of(unit)))

    def _index(self, unit: Unit) -> int:
        return self._folder.noisy.names.index(Path(unit.file).name.removesuffix(".tif"))

    def _shape_of(self, unit: Unit) -> tuple[int, int]:
        return self._folder.noisy.shapes[self._index(unit)]

    def upgrade(self, units: Sequence[Unit], on_share: Callable[[float], None]) -> Iterator[tuple[int, Outcome]]:
        """Upgrade some pictures of one size and write their labels and changes."""
        samples = [self._folder.noisy[self._index(unit)] for unit in units]
        window = self._config.window if max(self._shape_of(units[0])) > self._config.window else None
        results = upgrade_set(
            self.network,
            self._variables or {},
            self._seen([sample.image for sample in samples]),
            [sample.labels > 0 for sample in samples],
            batch=min(BATCH, len(samples)),
            tile=window,
        )
        for index, (unit, sample, found) in enumerate(zip(units, samples, results, strict=True)):
            before = np.append(np.int32(0), self._folder.noisy.values_of(self._index(unit)))[sample.labels]
            repaired = number_objects(found.mask, found.probability, before, minimum_area=self._minimum_area)
            changes = [change._asdict() for change in repaired.changes]
            write_file(self._config.out / "changes" / f"{sample.name}.json", json.dumps(changes) + "\n")
            write_labels(self._config.out / unit.file, repaired.labels)
            numbers = {kind: sum(change.change == kind for change in repaired.changes) for kind in KINDS}
            changed = int(((repaired.labels > 0) != (before > 0)).sum())
            rows = [Row(name, value) for name, value in {**numbers, "changed_pixels": changed}.items()]
            summary = ", ".join(f"{count} {kind}" for kind, count in numbers.items())
            on_share((index + 1) / len(units))
            yield index, Outcome(rows, summary)
