"""Study 5: the pictures, what networks learn from each purchase, and the values that are measured."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from jaxtyping import Bool

from experiments.annotation_budget import grid
from experiments.annotation_budget.analysis import analyse, way_name
from experiments.annotation_budget.grid import ARMS, COUNT, NONE, TRAINS_NONE, Config, Training, Trial, trainings_of
from experiments.annotation_budget.purchases import SECONDS, purchases_of
from experiments.annotation_budget.trainings import BudgetTrainer, Learnt
from experiments.harness.annotating import sum_of
from experiments.harness.examples import places_shown, ranks_shown
from experiments.harness.extractors import reason_without_extractors
from experiments.harness.ladder import fitted
from experiments.harness.networks import check_trainable, pooled_dice, prediction_rows
from experiments.harness.pictures import Domain, Opener, Splitting, open_target, read_domain
from experiments.harness.store import Trained, TrainingStore
from experiments.harness.study import Context, Study
from segjax.data import Split, open_source
from segjax.data.splits import SIDES
from segjax.evaluation import counts, dice
from segjax.fewshot import FeatureBank, fit_new_type, load_extractors
from segjax.reports import Gallery, look
from segjax.reports.gallery import LABEL_LEGEND, PREDICTION_LEGEND, label_layer, prediction_look
from segjax.reports.words import joined
from segjax.sweeps import Outcome, Row
from segjax.training import Pictures, predict
from segjax.types import IGNORED, InputError

Here = Context[Config, "BudgetDomain", Training]


@dataclass(frozen=True, eq=False)
class BudgetDomain(Domain):
    """Pictures, of which those that nobody outlined take no part, and by arm why they cannot feed it."""

    withheld: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def outlined(self) -> Bool[np.ndarray, " P"]:
        """Which pictures somebody outlined, if only as empty."""
        return np.asarray(~self.ignored.all((1, 2)), bool)

    @functools.cached_property
    def split(self) -> Callable[[int], Split]:
        """Train, validation and test pictures by seed.

        Raises:
            InputError: a side has no picture that is outlined.
        """
        return functools.cache(self._split)

    def _split(self, seed: int) -> Split:
        every = self.splitting.split(self.source, seed)
        sides = {side: tuple(i for i in getattr(every, side) if self.outlined[i]) for side in SIDES}
        for side, kept in sides.items():
            if not kept:
                raise InputError(f"data: none of the pictures to {side} with seed {seed} is outlined; outline some")
        return Split(**sides, validation_by=every.validation_by)


def read(config: Config, opener: Opener = open_source) -> BudgetDomain:
    """Open and read the pictures of a resolved configuration.

    Raises:
        InputError: the data cannot be used, an arm that was asked for lacks what it needs, or a budget buys nothing.
    """
    source = open_target(config.source, config.target, opener)
    read_plain = read_domain(source, Splitting.of(config.source), config.target)
    plain = BudgetDomain(**{name: getattr(read_plain, name) for name in Domain.__dataclass_fields__})
    check_trainable(config.segmentation, plain, config.run.seeds)
    withheld = {
        "few_shot": reason_without_extractors(config.extractors, source, plain.images),
        "image_labels": _reason_without_labels(config, plain),
        "repaired": _reason_without_repairs(config, plain),
    }
    domain = replace(plain, withheld={arm: reason for arm, reason in withheld.items() if reason})
    for arm in config.arms:
        if arm in domain.withheld:
            raise InputError(f"arms: {arm}: {domain.withheld[arm]}; or leave {arm} out")
    _check_budgets(config, domain)
    return domain


def _check_budgets(config: Config, domain: "BudgetDomain") -> None:
    """Raises InputError where a budget buys nothing, or none is enough for an arm that was asked for."""
    bought, purchases = affordable(config, domain), purchases_of(config, domain)
    used = {hours for own in bought.values() for hours in own}
    useless = [
        f"{hours:g} h buy nothing with one seed or more, whatever they are spent on"
        for hours in config.budgets
        if hours not in used
    ]
    useless += [f"no budget is enough for {arm} with every seed" for arm in config.arms if not bought[arm]]
    if useless:
        cheapest = min(purchases.seconds(purchases.counts("careful", 0, index)) for index in purchases.pool(0))
        raise InputError(
            f"budgets: {useless[0]}; careful outlines of the cheapest picture take "
            f"{cheapest / SECONDS:.2g} h; give larger budgets, or leave out what they are too small for"
        )


def _reason_without_labels(config: Config, domain: Domain) -> str:
    for seed in range(min(config.run.seeds, domain.splitting.distinct)):
        shown = domain.labels[list(domain.split(seed).train)].any((1, 2))
        if shown.all() or not shown.any():
            which = "all training pictures show" if shown.any() else "no training picture shows"
            add = "without it (of a folder, by empty=keep or smaller tiles)" if shown.any() else "with it"
            return f"{which} the object, so that labels of whole pictures tell nothing of it; add pictures {add}"
    return ""


def _reason_without_repairs(config: Config, domain: BudgetDomain) -> str:
    """A network that repairs takes every pixel of the careful pictures for annotated, and needs objects to judge it."""
    if domain.ignored[domain.outlined].any():
        return "a network that repairs cannot learn from pictures with pixels that nobody judged; annotate these too"
    for seed in range(min(config.run.seeds, domain.splitting.distinct)):
        if not domain.labels[list(domain.split(seed).validation)].any():
            return f"no validation picture of seed {seed} shows the object; add pictures with it"
    return ""


def affordable(config: Config, domain: BudgetDomain) -> dict[str, list[float]]:
    """The budgets that buy something in every seed, by arm."""
    purchases = purchases_of(config, domain)
    seeds = range(min(config.run.seeds, domain.splitting.distinct))
    return {
        arm: [hours for hours in config.budgets if all(purchases.buys(Trial(NONE, seed, arm, hours)) for seed in seeds)]
        for arm in config.arms or [arm for arm in ARMS if arm not in domain.withheld]
    }


def list_trials(config: Config, domain: BudgetDomain) -> list[Trial]:
    """Every trial once, seed by seed; an arm that has bought the whole pool has no larger budgets."""
    found, purchases = [], purchases_of(config, domain)
    for seed in range(config.run.seeds):
        for arm, budgets in affordable(config, domain).items():
            ended = [hours for hours in budgets if purchases.is_at_end(Trial(NONE, seed, arm, hours))]
            for network in (NONE,) if arm in TRAINS_NONE else config.segmentation.networks:
                found += [Trial(network, seed, arm, h) for h in budgets if not ended or h <= ended[0]]
    return found


def measure(context: Here, trial: Trial) -> Outcome:
    """What is learnt from a purchase, on the test pictures."""
    config, domain, trainer = context.config, context.data, cast(BudgetTrainer, context.store.trainer)
    bought, test = purchases_of(config, domain), np.asarray(domain.split(trial.seed).test)
    training = Training(**vars(trial))
    if trial.arm in TRAINS_NONE:
        shots = trainer.learnt(training, context.store.load)
        trained = Trained({}, "ok", 0, trainer.facts(shots))
        predicted = _without_training(config, domain, trial, shots, test)
    else:
        training = _best(context, trial)
        trained = context.store.load(training)
        predicted = predict(trainer.steps(trainer.kind(training)), trained.variables, domain.images[test]) > 0
    rows, pooled = prediction_rows(predicted, domain, test, config.segmentation.tolerance)
    cost = {name.removeprefix(COUNT): n for name, n in trained.facts.items() if name.startswith(COUNT)}
    facts = {**trained.facts, "hours": bought.seconds(cost) / SECONDS, "at_end": float(bought.is_at_end(trial))}
    if trial.arm == "mixture":
        facts |= {f"share_of_{kind}": share for kind, share in training.shares.items()}
    pictures = trainer.pictures(training, context.store.load)
    rows += [Row("bought", 1.0, domain.source.names[index]) for index in pictures]
    rows += [Row("dice_pooled", pooled), *(Row(name, float(value)) for name, value in facts.items())]
    said = f"Dice {pooled:.3f}, pictures: {facts['pictures']:.0f}, hours: {facts['hours']:.2f} ({trained.status})"
    learnt = trainer.learnt(training, context.store.load) if trial.seed == 0 else None
    examples = {} if learnt is None else _examples(domain, test, predicted, learnt)
    return Outcome(rows, said, trained.status, trained.restarts, examples)


def _best(context: Here, trial: Trial) -> Training:
    """The training that is judged: of several mixtures, that with the highest Dice on the validation pictures."""
    *others, last = trainings_of(context.config, trial)
    if trial.arm != "mixture":
        return last
    rows, trainer = purchases_of(context.config, context.data).validation(trial.seed), context.store.trainer

    def validated(training: Training) -> float:
        variables = context.store.load(training).variables
        masks = predict(trainer.steps(trainer.kind(training)), variables, context.data.images[rows]) > 0
        return np.nan_to_num(pooled_dice(masks & ~context.data.ignored[rows], context.data.labels[rows] > 0))

    return max([*others, last], key=validated)


def _without_training(
    config: Config, domain: Domain, trial: Trial, learnt: Learnt, test: np.ndarray
) -> Bool[np.ndarray, "P H W"]:
    """What a head on features, or a baseline, finds after the pictures bought; nothing where those show no object."""
    shots = [index for index in learnt.pictures if domain.labels[index].any()]
    if not shots:
        return np.zeros(domain.labels[test].shape, bool)
    if trial.arm == "classical":
        pictures = Pictures(domain.images[learnt.pictures], learnt.targets)
        return fitted(config.baseline, trial.seed, pictures).masks(domain.images[test])
    bank, masks = bank_of(config.extractors), np.where(domain.ignored[shots], IGNORED, domain.labels[shots])
    found = fit_new_type(bank, list(domain.images[shots]), list(masks))
    return np.stack([found.segment(bank, domain.images[index]) > 0 for index in test])


@functools.lru_cache(maxsize=1)
def bank_of(extractors: str) -> FeatureBank:
    """Their features, compiled once."""
    return FeatureBank(load_extractors(extractors))


def _examples(
    domain: Domain, test: np.ndarray, predicted: Bool[np.ndarray, "P H W"], learnt: Learnt
) -> dict[str, np.ndarray]:
    """Three predictions, and the annotation of the last picture with an object that was bought."""
    shown = places_shown(dice(counts(predicted & ~domain.ignored[test], domain.labels[test] > 0)))
    place = max((place for place, index in enumerate(learnt.pictures) if domain.labels[index].any()), default=0)
    annotated = {"annotated": np.asarray(learnt.pictures[place]), "target": learnt.targets[place]}
    return {"indices": test[shown], "masks": predicted[shown], **annotated}


def gallery(context: Here) -> list[Gallery]:
    """Annotations as each arm buys them, and predictions, of seed 0 with the largest budget."""
    domain, annotated, found = context.data, [], {}
    last = {(trial.network, trial.arm): trial for trial in list_trials(context.config, domain) if trial.seed == 0}
    for trial in last.values():
        if (kept := context.examples.load(trial)) is None:
            continue
        index, name = int(kept["annotated"]), way_name(trial, context.config)
        layer = label_layer(domain.labels[index], kept["target"] == 1)
        annotated.append(look(f"{name}: {domain.source.names[index]}", domain.images[index], layer))
        masks = zip(ranks_shown(len(kept["indices"])), kept["indices"], kept["masks"], strict=True)
        found[f"{name}, {trial.budget:g} h"] = [
            prediction_look(rank, domain.images[i], domain.labels[i], mask & ~domain.ignored[i])
            for rank, i, mask in masks
        ]
    steps = ("picture", "ground truth", "prediction")
    return [
        Gallery("What was bought", "A training picture of each.", ("picture", "labels"), LABEL_LEGEND, {"": annotated}),
        Gallery("Worst, median and best test picture", "Of seed 0.", steps, PREDICTION_LEGEND, found),
    ] if annotated else []  # fmt: skip


def cautions(config: Config, domain: BudgetDomain) -> list[str]:
    """What the first seed's validation pictures would cost, and why arms are not offered."""
    bought = purchases_of(config, domain)
    rows = bought.validation(0)
    hours = bought.seconds(sum_of([bought.counts("careful", 0, index) for index in rows])) / SECONDS
    kept = f"The validation pictures are {len(rows)} with careful outlines, the same for all"
    offered = affordable(config, domain)
    few = {arm: "no budget is enough" for arm, budgets in offered.items() if not budgets}
    lacking = few | ({} if config.arms else dict(domain.withheld))
    lacking |= {arm: "--arms leaves it out" for arm in ARMS if config.arms and arm not in config.arms}
    why = [f"Not compared: {_arm_name(arm, config)}. Reason: {reason}." for arm, reason in lacking.items()]
    for arm, budgets in offered.items():
        if budgets and (gone := [f"{hours:g}" for hours in config.budgets if hours not in budgets]):
            said = f"{joined(gone)} h, which buy nothing with one seed or more"
            why.append(f"Not compared: {_arm_name(arm, config)} at {said}.")
    blank = len(domain.outlined) - int(domain.outlined.sum())
    left_out = [f"Left out, as nobody outlined them: {blank} of {len(domain.outlined)} pictures."] if blank else []
    return [f"{kept}; their {hours:.2g} h are not counted.", *left_out, *why]


def _arm_name(arm: str, config: Config) -> str:
    return way_name(Trial(NONE, 0, arm, config.budgets[0]), config)


def passes(context: Here, trial: Trial) -> dict[tuple[Training, str], float]:
    """Forward passes over the pool that proposals, repairs and the choice of a mixture take."""
    count = float(len(context.data.split(trial.seed).train))
    return {(training, "pool"): count for training in trainings_of(context.config, trial)[:-1]}


STUDY = Study(
    name="annotation_budget",
    config=Config,
    base=grid.BASE,
    scales=grid.SCALES,
    trial=Trial,
    resolve=Config.resolved,
    read=read,
    trials=list_trials,
    trainings=lambda config, domain: TrainingStore(
        config.run, BudgetTrainer(config, domain, purchases_of(config, domain))
    ),
    needs=lambda context, trial: trainings_of(context.config, trial),
    measure=measure,
    analyse=analyse,
    gallery=gallery,
    cautions=cautions,
    passes=passes,
)
