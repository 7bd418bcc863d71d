"""Study 3: extractors of the abundant types, heads and baselines on the shots of a new one, and what is measured."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int

from experiments.few_shot import grid
from experiments.few_shot.analysis import analyse
from experiments.few_shot.gallery import gallery
from experiments.few_shot.grid import Config
from experiments.few_shot.pictures import (
    HeldOutType,
    TypedPictures,
    extracted_from,
    layers_of,
    learnt_from,
    learnt_types,
    map_shapes,
    read,
    sizes_of,
    training_targets,
)
from experiments.few_shot.trials import (
    ALL,
    ALL_LABELS,
    FROM_SCRATCH,
    NONE,
    TRAIN,
    TURNED,
    Training,
    Trial,
    all_labels,
    extractors_of,
    group_of,
    is_from_files,
)
from experiments.harness.examples import places_shown
from experiments.harness.ladder import fitted
from experiments.harness.ladder_options import is_rung
from experiments.harness.networks import blank_pictures, network_of
from experiments.harness.pictures import stable_number
from experiments.harness.rival_options import ELSEWHERE
from experiments.harness.rivals import Rival
from experiments.harness.store import Extent, Job, Load, Trainer, TrainingStore
from experiments.harness.study import Context, RivalPart, Study
from segjax.evaluation import counts, dice, f1, iou, overlaps
from segjax.evaluation.overlap import OverlapCounts
from segjax.fewshot import Extractor, FeatureBank, create_head
from segjax.fewshot.bank import with_statistics
from segjax.fewshot.baselines import BASELINES, shot_steps
from segjax.fewshot.draws import Draws, draw_support
from segjax.fewshot.files import kept_extractors
from segjax.fewshot.grid import FeatureSet, Grid, fit_grid
from segjax.fewshot.stored import StoredBank
from segjax.ops.instances import instances
from segjax.sweeps import Outcome, Row
from segjax.sweeps.trials import described
from segjax.training import LoopConfig, Pictures, Steps, fit, make_steps, predict
from segjax.types import IGNORED

Here = Context[Config, TypedPictures, Training]


class Extractors(Trainer[Training]):
    """How extractors and networks with all labels are trained; each task of a network is compiled once."""

    def __init__(self, config: Config, pictures: TypedPictures) -> None:
        self._config, self._pictures = config, pictures

    def kind(self, training: Training) -> str:
        return f"{training.network}-{len(learnt_types(self._pictures, training)) + 1}-{training.halvings}"

    def make_steps(self, kind: str) -> Steps:
        return make_steps(network_for(self._config, self._pictures, kind), self._config.train.step)

    def loop(self, kind: str) -> LoopConfig:
        return self._config.train.loop

    def job(self, training: Training, load: Load) -> Job:
        """Clean labels of the types that it learns."""
        train, validation = (
            Pictures(self._pictures.images[list(side)], training_targets(self._pictures, side, training))
            for side in self._sides(training)
        )
        return Job(train, validation)

    def extent(self, training: Training) -> Extent:
        return Extent(*map(len, self._sides(training)))

    def _sides(self, training: Training) -> tuple[tuple[int, ...], tuple[int, ...]]:
        train = learnt_from(self._config, self._pictures, training)
        return train, self._pictures.split(training.seed).validation

    def blank(self, kind: str) -> Pictures:
        return blank_pictures(self._pictures, self._config.train.loop.batch_size)


def network_for(config: Config, pictures: TypedPictures, kind: str) -> Any:
    """The network of a kind of training: one output per type that it learns and one for the rest."""
    name, outputs, halvings = kind.split("-")
    return network_of(sizes_of(config, int(halvings)), name, pictures, int(outputs))


def needs(context: Here, trial: Trial) -> list[Training]:
    """The network with all labels of the type, or the extractors of the trial's bank; none where it is from files."""
    classes, new = tuple(context.data.types.values()), context.data.types[trial.type]
    if trial.method == ALL_LABELS:
        return [all_labels(trial.network, trial.seed, new, context.config.full_supervision)]
    if is_from_files(trial.bank) or is_rung(trial.method):
        return []
    seen = TRAIN if context.config.candidates_from == TRAIN else "seen"
    bank, together = _bank_name(context, trial), context.config.new_together
    return extractors_of(bank, trial.network, trial.seed, new, classes, seen, together)


def measure(context: Here, trial: Trial) -> Outcome:
    """The trial's masks of the query pictures, draw by draw, beside the true ones."""
    new = _new_type(context, trial)
    if trial.method == ALL_LABELS:
        return _with_all_labels(context, trial, new)
    if trial.method in BASELINES:
        return _baseline(context, trial, new)
    if is_rung(trial.method):
        return _rung(context, trial, new)
    return _head(context, trial, new)


def _with_all_labels(context: Here, trial: Trial, new: HeldOutType) -> Outcome:
    (training,) = needs(context, trial)
    trained, trainer = context.store.load(training), context.store.trainer
    found = predict(trainer.steps(trainer.kind(training)), trained.variables, new.pictures.images[new.query])
    masks = found == learnt_types(context.data, training).index(new.new) + 1
    rows, examples = _mask_rows(new, masks), _examples(new, masks, new.support[:0])
    return Outcome(rows, _summary(rows), trained.status, trained.restarts, examples)


def rival_trials(config: Config, pictures: TypedPictures, network: str) -> list[Trial]:
    """A program from elsewhere on every type, on the test pictures of the network with all labels."""
    wholes = [grid.whole_of(config, network, 0, name) for name in pictures.types]
    return [dataclasses.replace(whole, method=ELSEWHERE) for whole in wholes]


def judged(config: Config, pictures: TypedPictures, seed: int) -> list[int]:
    """The query pictures of all types."""
    candidates = config.first_candidates
    types = (HeldOutType(config, pictures, seed, new, candidates) for new in pictures.types.values())
    return sorted({int(index) for each in types for index in each.query})


def measure_rival(context: Here, trial: Trial, rival: Rival) -> Outcome:
    """What another program predicted for the query pictures."""
    new = _new_type(context, trial)
    masks = rival.masks(new.query, new.new)
    rows = _mask_rows(new, masks)
    return Outcome(rows, _summary(rows), examples=_examples(new, masks, new.support[:0]))


def _baseline(context: Here, trial: Trial, new: HeldOutType) -> Outcome:
    """A network trained on the shots of each of the first few draws, for equally many steps, to the end."""
    config, images, steps = context.config, context.data.images, baseline_steps(context, group_of(trial))
    draws = _draws(new, trial.method)
    key = jax.random.key(stable_number(f"{trial.seed} {new.new}"))
    epochs = -(-config.baseline_steps // -(-trial.shots // config.train.loop.batch_size))
    loop = dataclasses.replace(config.train.loop, epochs=epochs, stop="fixed")
    rows: list[Row] = []
    examples: dict[str, np.ndarray] = {}
    status, restarts = "ok", 0
    for draw in range(config.first_draws):
        chosen = new.support[draws.support(draw, trial.shots)]
        shots = Pictures(images[chosen], new.targets(chosen))
        found = fit(jax.random.fold_in(key, draw), steps, shots, shots, loop)
        status, restarts = found.status if status == "ok" else status, restarts + found.restarts
        masks = predict(steps, found.variables, images[new.query]) > 0
        rows += _mask_rows(new, masks, _name(draw))
        examples = examples or _examples(new, masks, chosen)
    return Outcome(rows, _summary(rows), status, restarts, examples)


def _rung(context: Here, trial: Trial, new: HeldOutType) -> Outcome:
    """A rung of the ladder fitted to the shots of each of the first few draws."""
    images, draws = context.data.images, _draws(new, trial.method)
    rows: list[Row] = []
    examples: dict[str, np.ndarray] = {}
    for draw in range(context.config.first_draws):
        chosen = new.support[draws.support(draw, trial.shots)]
        shots = Pictures(images[chosen], new.targets(chosen))
        masks = fitted(trial.method, stable_number(f"{trial.seed} {draw}"), shots).masks(images[new.query])
        rows += _mask_rows(new, masks, _name(draw))
        examples = examples or _examples(new, masks, chosen)
    return Outcome(rows, _summary(rows), examples=examples)


def _head(context: Here, trial: Trial, new: HeldOutType) -> Outcome:
    """A head; its group is fitted once. Objects are counted where all features are compared."""
    fits = fits_of(context, group_of(trial))
    place = fits.draws.shots.index(trial.shots), fits.features.index(trial.features)
    rows = grid_rows(fits.grid, *place, context.config.first_draws)
    examples: dict[str, np.ndarray] = {}
    if trial.feature_selection == ALL and trial.shots in context.config.compare_shots:
        learn, answer = compiled_head(trial.method)
        for draw in range(context.config.first_draws):
            own, weights = fits.draws.pictures[draw], fits.draws.weights[draw, place[0]]
            params = learn(*fits.support.full_size(own), weights)
            limit = fits.grid.thresholds[draw, *place]
            query = (fits.query.full_size([number]).features for number in range(len(fits.query.targets)))
            masks = np.stack([np.asarray(answer(params, one))[0] > limit for one in query])
            rows.append(Row("f1", _objects_found(new, masks), _name(draw)))
            examples = examples or _examples(new, masks, new.support[fits.draws.support(draw, trial.shots)])
    return Outcome(rows, _summary(rows), examples=examples)


@dataclass(frozen=True, eq=False)
class Fits:
    """All fits of a group of trials, for every draw, number of shots and number of features, and what they rest on."""

    support: FeatureSet
    query: FeatureSet
    draws: Draws
    features: list[int]
    grid: Grid


@lru_cache(maxsize=1)
def fits_of(context: Here, group: Trial) -> Fits:
    """The fits of a head in one program: all numbers of shots and features of the study, whichever of them are missing,
    so that a study that goes on has the same bits."""
    config, new = context.config, context.data.types[group.type]
    variance, support, query = cached_features(context, dataclasses.replace(group, method="", feature_selection=NONE))
    draws = _draws(_new_type(context, group), group.method)
    features, selection = [len(variance)], "first"
    if group.feature_selection != ALL:
        features, selection = sorted(n for n in config.feature_counts if n < len(variance)), group.feature_selection
    key, head = jax.random.key(stable_number(f"features {group.seed} {new}")), create_head(group.method)
    found = fit_grid(key, head, support, query, draws, features, selection, variance)
    return Fits(support, query, draws, features, found)


@lru_cache(maxsize=1)
def cached_features(context: Here, trial: Trial) -> tuple[Float32[np.ndarray, " F"], FeatureSet, FeatureSet]:
    """Of a trial's bank the variance of each feature, and features and targets of candidates and query pictures."""
    new = _new_type(context, trial)
    if is_from_files(trial.bank):
        stored = stored_bank(context, trial.bank, trial.seed)
        variance, stacked = stored.variance, [stored.stack(indices.tolist()) for indices in (new.support, new.query)]
    else:
        bank, images = bank_of(context, trial), context.data.images
        variance, stacked = bank.variance, [bank.stack([*images[indices]]) for indices in (new.support, new.query)]
    support, query = map(FeatureSet, stacked, (new.targets(new.support), new.truth))
    return variance, support, query


@lru_cache(maxsize=8)
def stored_bank(context: Here, bank: str, seed: int) -> StoredBank:
    """Features from files, standardised over the training pictures that our extractors learn from."""
    pictures = context.data
    seen = extracted_from(context.config, pictures, seed)
    return StoredBank.standardised(pictures.files[bank], pictures.images.shape[1:3], seen)


def bank_of(context: Here, trial: Trial) -> FeatureBank:
    """The bank of a trial, standardised over all training pictures; kept in OUT/extractors."""
    config, pictures, trainings = context.config, context.data, needs(context, trial)
    new, bank = pictures.types[trial.type], _bank_name(context, trial)
    folder = config.run.out / "extractors" / f"{trial.network}-{bank}-seed-{trial.seed}-new-{new}"

    def make() -> list[Extractor]:
        images = [pictures.images[index] for index in learnt_from(config, pictures, trainings[0])]
        found = []
        for training in trainings:
            network = network_for(config, pictures, context.store.trainer.kind(training))
            layers = layers_of(config, trial.network, bank, map_shapes(network, pictures))
            variables = context.store.load(training).variables
            found.append(Extractor(network, variables, layers, turned=TURNED in bank))
        return [with_statistics(one, images) for one in found]

    with context.store.locked(trainings):
        return FeatureBank(kept_extractors(folder, len(trainings), make))


@lru_cache(maxsize=1)
def baseline_steps(context: Here, group: Trial) -> Steps:
    """The compiled steps of a baseline, from the weights of its extractor where it uses them."""
    extractor, config = bank_of(context, group).extractors[0], context.config
    if group.method == FROM_SCRATCH:  # a kept extractor does not tell which weights its own training started from
        kind = context.store.trainer.kind(needs(context, group)[0])
        extractor = dataclasses.replace(extractor, network=network_for(config, context.data, kind))
    return shot_steps(extractor, config.train.step, group.method, config.extractor_rate)


@cache
def compiled_head(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A head's `fit` and `predict`."""
    head = create_head(name)
    return jax.jit(head.fit), jax.jit(head.predict)


def grid_rows(found: Grid, shots: int, features: int, first: int) -> list[Row]:
    """Values of every draw, for one place among the numbers of shots and one among those of features, and over draws.

    Predicted is what scores above the threshold of the highest Dice on the shots; "zero" is what scores above 0. The
    means over the `first` draws stand beside baselines, which have only these.
    """
    rows: list[Row] = []
    best, zero = [], []
    for draw in range(len(found.thresholds)):
        at_best, at_zero = (
            OverlapCounts(*(part[draw, shots, features].astype(np.int64) for part in (way.tp, way.fp, way.fn)))
            for way in (found.at_best, found.at_zero)
        )
        best.append(float(dice(at_best.pooled())))
        zero.append(float(dice(at_zero.pooled())))
        rows += [*count_rows(at_best, _name(draw)), Row("dice_pooled_zero", zero[-1], _name(draw))]
    quartiles = zip(("q25", "median", "q75"), np.percentile(best, (25, 50, 75)), strict=True)
    rows += [Row(f"dice_pooled_{part}", float(value)) for part, value in quartiles]
    first_draws = {"dice_first_draws": best, "dice_zero_first_draws": zero}
    return rows + [Row(name, float(np.mean(values[:first]))) for name, values in first_draws.items()]


def count_rows(found: OverlapCounts, name: str = "") -> list[Row]:
    """Pooled Dice and IoU and the mean Dice of pictures (those without the type in either left out)."""
    per_picture, pooled = np.asarray(dice(found), float), found.pooled()
    mean = float(np.nanmean(per_picture)) if np.isfinite(per_picture).any() else float("nan")
    values = {"dice_pooled": float(dice(pooled)), "iou_pooled": float(iou(pooled)), "dice": mean}
    return [Row(metric, value, name) for metric, value in values.items()]


def _draws(new: HeldOutType, method: str) -> Draws:
    """The draws of the study, for the numbers of shots that a method is tried with; every method has the same ones."""
    config, key = new.config, jax.random.key(stable_number(f"draws {new.seed} {new.new}"))
    candidates = np.ones(len(new.support), bool)
    whole = draw_support(key, candidates, config.shots, config.draws, config.nested)
    shots = tuple(sorted(config.shots if method == config.head else config.compare_shots))
    places = [whole.shots.index(count) for count in shots]
    return dataclasses.replace(whole, shots=shots, weights=whole.weights[:, places])


def _mask_rows(new: HeldOutType, masks: Bool[np.ndarray, "Q H W"], name: str = "") -> list[Row]:
    return [*count_rows(counts(masks, new.truth), name), Row("f1", _objects_found(new, masks), name)]


def _objects_found(new: HeldOutType, masks: Bool[np.ndarray, "Q H W"]) -> float:
    """Mean over pictures of the F1 of objects; pictures without any in either are left out."""
    scores = []
    for mask, truth, index in zip(masks, new.truth, new.query, strict=True):
        predicted = instances(mask & (truth != IGNORED), new.config.grouping)
        scores.append(f1(overlaps(predicted, new.objects(index))))
    known = [score for score in scores if score == score]
    return float(np.mean(known)) if known else float("nan")


def _examples(
    new: HeldOutType, masks: Bool[np.ndarray, "Q H W"], shots: Int[np.ndarray, " K"]
) -> dict[str, np.ndarray]:
    """Masks of the worst, the median and the best query picture that shows the type, and which shots they come from."""
    showing = np.flatnonzero(new.pictures.areas[new.query, new.new])
    shown = showing[places_shown(dice(counts(masks[showing], new.truth[showing])))]
    return {"indices": new.query[shown], "masks": masks[shown], "shots": shots}


def _new_type(context: Here, trial: Trial) -> HeldOutType:
    new = context.data.types[trial.type]
    return HeldOutType(context.config, context.data, trial.seed, new, trial.candidates)


def _bank_name(context: Here, trial: Trial) -> str:
    """A network from scratch has the form of those of the first bank."""
    return context.config.banks[0] if trial.bank == NONE else trial.bank


def _name(draw: int) -> str:
    return f"draw-{draw:03d}"


def _summary(rows: Sequence[Row]) -> str:
    pooled = [row.value for row in rows if row.metric == "dice_pooled"]
    return f"Dice {np.median(pooled):.3f}" + (f", median of {len(pooled)} draws" if len(pooled) > 1 else "")


STUDY = Study(
    name="few_shot",
    config=Config,
    base=grid.BASE,
    scales=grid.SCALES,
    trial=Trial,
    resolve=Config.resolved,
    read=read,
    trials=lambda config, pictures: config.trials(pictures.types, pictures.counts),
    trainings=lambda config, pictures: TrainingStore(config.run, Extractors(config, pictures)),
    needs=needs,
    measure=measure,
    analyse=analyse,
    gallery=gallery,
    together=lambda trial: described(group_of(trial)),
    keeps_networks=True,
    rivals=RivalPart(rival_trials, measure_rival, needs_classes=True, judged=judged),
)
