"""How networks of study 5 learn from what was bought: as it is, repaired, through maps, or by corrected proposals."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int32

from experiments.annotation_budget.grid import COUNT, Config, Training, trainings_of
from experiments.annotation_budget.purchases import SECONDS, Purchases
from experiments.harness.annotating import Counts, Labels, counts_of_correction, sum_of
from experiments.harness.map_options import OURS
from experiments.harness.networks import blank_pictures, network_of, pooled_dice, standardisation
from experiments.harness.options import zoo_name
from experiments.harness.pictures import Domain
from experiments.harness.store import Extent, Job, Load, Trainer
from segjax.annotations.annotators import correct
from segjax.maps import create_map
from segjax.maps.masks import level_of, mask_of
from segjax.ops.components import components
from segjax.training import LoopConfig, Pictures, Steps, make_steps, predict
from segjax.training.losses import balanced_weights
from segjax.types import IGNORED
from segjax.upgrade import clean_pictures, make_upgrade_steps, upgrade_network, upgrade_set

DRAWS = 2  # of quick outlines of each picture that chooses the best epoch of a network that repairs them
UPGRADER, CLASSIFIER = "upgrader", "classifier"


class Learnt(NamedTuple):
    """What a network learns: pictures as indices, a target for each, and how many things with a price they took."""

    pictures: list[int]
    targets: Int32[np.ndarray, "P H W"]
    counts: Counts


class BudgetTrainer(Trainer[Training]):
    """How networks are trained on purchases; every kind of steps is compiled once."""

    def __init__(self, config: Config, domain: Domain, bought: Purchases) -> None:
        self._config, self._domain, self._bought = config, domain, bought
        self.network = functools.cache(self._network)
        self._presence = np.asarray(domain.labels.any((1, 2)), np.int32)

    def needs(self, training: Training) -> Sequence[Training]:
        every = trainings_of(self._config, training)
        return [] if training.arm == "mixture" else every[: every.index(training)]

    def kind(self, training: Training) -> str:
        part = training.part if training.part in (UPGRADER, CLASSIFIER) else "segmentation"
        return f"{training.network}-{part}"

    def make_steps(self, kind: str) -> Steps:
        part, config, network = kind.partition("-")[2], self._config, self.network(kind)
        if part == CLASSIFIER:
            weights = balanced_weights(self._presence, 2)
            return make_steps(network, dataclasses.replace(config.classify.step, class_weights=weights))
        if part == UPGRADER:
            return make_upgrade_steps(network, config.train.step, max_objects=self._domain.largest_id)
        return make_steps(network, config.train.step)

    def _network(self, kind: str) -> Any:
        """The module of a kind."""
        (name, _, part), config, domain = kind.partition("-"), self._config, self._domain
        if part == CLASSIFIER:
            return config.classifier_sizes.create(config.classifier, **standardisation(domain))
        if part == UPGRADER:
            options = dataclasses.replace(config.segmentation.sizes, encoder_weights="").options(name)
            return upgrade_network(zoo_name(name), domain.images, domain.labels, **options)
        return network_of(config.segmentation.sizes, name, domain)

    def loop(self, kind: str) -> LoopConfig:
        return (self._config.classify if kind.endswith(CLASSIFIER) else self._config.train).loop

    def extent(self, training: Training) -> Extent:
        draws = DRAWS if training.part == UPGRADER else 1
        return Extent(self._length(training.seed), draws * len(self._bought.validation(training.seed)))

    def _length(self, seed: int) -> int:
        return max(self._config.epoch_pictures, len(self._bought.pool(seed)))

    def blank(self, kind: str) -> Pictures:
        rows = list(range(min(self.loop(kind).batch_size, len(self._domain.images))))
        if kind.endswith(CLASSIFIER):
            return Pictures(self._domain.images[rows], self._presence[rows])
        if kind.endswith(UPGRADER):
            rows = list(np.flatnonzero(self._presence)[: len(rows)])
            return self._to_repair(np.resize(rows, self.loop(kind).batch_size), 1)
        return blank_pictures(self._domain, len(rows))

    def _to_repair(self, rows: Sequence[int] | np.ndarray, draws: int) -> Pictures:
        chosen, domain, recipe = np.asarray(rows), self._domain, self._bought.recipe
        return clean_pictures(domain.images[chosen], domain.labels[chosen], recipe, draws=draws)

    def job(self, training: Training, load: Load) -> Job:
        validation, length = self._bought.validation(training.seed), self._length(training.seed)
        if training.part == UPGRADER:
            rows = np.resize(self._bought.of(training)[0].pictures, length)
            return Job(self._to_repair(rows, 1), self._to_repair(validation, DRAWS))
        if training.part == CLASSIFIER:
            rows = np.resize(self._bought.of(training)[0].pictures, length)
            learnt, choosing = (Pictures(self._domain.images[i], self._presence[i]) for i in (rows, validation))
            return Job(learnt, choosing)
        found = self.learnt(training, load)
        rows, images = np.resize(np.arange(len(found.pictures)), length), self._domain.images
        careful = np.stack([self._bought.target("careful", training.seed, index) for index in validation])
        taught = Pictures(images[found.pictures][rows], found.targets[rows])
        return Job(taught, Pictures(images[validation], careful), self.facts(found))

    def facts(self, learnt: Learnt) -> dict[str, float]:
        """Numbers of what is learnt: the Dice of its labels where they are not open, pictures, and what they took."""
        truth = (self._domain.labels[learnt.pictures] > 0) & (learnt.targets != IGNORED)
        counted = {f"{COUNT}{name}": count for name, count in learnt.counts.items()}
        label_dice = pooled_dice(learnt.targets == 1, truth)
        return {"label_dice": label_dice, "pictures": float(len(learnt.pictures)), **counted}

    def pictures(self, training: Training, load: Load) -> list[int]:
        """What was bought, as indices into the source."""
        if training.arm == "corrected":
            return self._corrected(training, load).pictures
        return [index for part in self._bought.of(training) for index in part.pictures]

    def learnt(self, training: Training, load: Load) -> Learnt:
        """What the network that is judged learns from."""
        if training.arm == "corrected":
            return self._corrected(training, load)
        parts, bought, seed = self._bought.of(training), self._bought, training.seed
        pictures = self.pictures(training, load)
        counts = sum_of([bought.counts(part.kind, seed, index) for part in parts for index in part.pictures])
        if training.arm == "image_labels":
            return Learnt(pictures, self._through_maps(training, pictures, load), counts)
        targets = {part.kind: [bought.target(part.kind, seed, index) for index in part.pictures] for part in parts}
        if training.arm == "repaired" and (quick := parts[1].pictures):
            targets["quick"] = self._repaired(training, quick, load)
        return Learnt(pictures, np.stack([one for part in parts for one in targets[part.kind]]), counts)

    def _repaired(self, training: Training, pictures: Sequence[int], load: Load) -> list[Labels]:
        upgrader = dataclasses.replace(training, part=UPGRADER)
        masks = [self._bought.labels("quick", training.seed, index) > 0 for index in pictures]
        images, variables = self._domain.images[list(pictures)], load(upgrader).variables
        found = upgrade_set(self.network(self.kind(upgrader)), variables, images, masks)
        return [self._judged(one.mask, index) for one, index in zip(found, pictures, strict=True)]

    def _judged(self, mask: np.ndarray, index: int) -> Labels:
        return np.where(self._domain.ignored[index], IGNORED, mask).astype(np.int32)

    def _through_maps(self, training: Training, pictures: list[int], load: Load) -> Int32[np.ndarray, "P H W"]:
        """Masks made of maps where the label says that there is an object; a map that shows none leaves all open."""
        classifier, domain = dataclasses.replace(training, part=CLASSIFIER), self._domain
        explain = create_map(self._config.map, self.network(self.kind(classifier)))
        variables, shown = load(classifier).variables, [index for index in pictures if self._presence[index]]
        found = {index: np.zeros(domain.labels.shape[1:], bool) for index in pictures}
        blurs = explain.blurs(variables, domain.images[shown]) if shown and self._config.map == OURS else None
        maps = explain(variables, domain.images[shown], key=jax.random.key(0), blurs=blurs) if shown else ()
        for index, one in zip(shown, maps, strict=True):
            image = domain.images[index]
            found[index] = mask_of(image, one, level_of("contour", one, image, 0.0), "none")
        targets = [self._judged(found[index], index) for index in pictures]
        is_open = [self._presence[index] and not found[index].any() for index in pictures]
        return np.where(np.asarray(is_open)[:, None, None], IGNORED, np.stack(targets)).astype(np.int32)

    def _corrected(self, training: Training, load: Load) -> Learnt:
        """Careful outlines of the first round, and corrected proposals of the others."""
        seed, share = training.seed, training.budget * SECONDS / self._config.rounds
        coarsening = self._domain.source.coarsening
        first = self._bought.of(training)[0]
        labels = {index: self._domain.labels[index] for index in first.pictures}
        counts = [self._bought.counts("careful", seed, index) for index in first.pictures]
        for number in range(2, training.round + 1):
            before = dataclasses.replace(training, part=f"round-{number - 1}")
            free = [index for index in self._bought.pool(seed) if index not in labels]
            if not free:
                break
            masks = predict(self.steps(self.kind(before)), load(before).variables, self._domain.images[free]) > 0
            made = {
                index: correct(
                    components(mask & ~self._domain.ignored[index]),
                    self._domain.labels[index],
                    self._config.redrawn_below,
                )
                for index, mask in zip(free, masks, strict=True)
            }
            costs = {index: counts_of_correction(one, coarsening) for index, one in made.items()}
            left = number * share - self._bought.seconds(sum_of(counts))
            pictures = self._bought.take(seed, number, left, costs)
            labels |= {index: made[index].labels for index in pictures}
            counts += [costs[index] for index in pictures]
        targets = [self._judged(one > 0, index) for index, one in labels.items()]
        return Learnt(list(labels), np.stack(targets), sum_of(counts))
