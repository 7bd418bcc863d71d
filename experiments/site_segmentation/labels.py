"""What networks that segment learn from: masks made of maps, discs on points, ellipses in boxes, outlines."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32

from experiments.harness.annotating import ellipses_in_boxes
from experiments.harness.classifier_options import Classifier
from experiments.harness.classifiers import LabelledDomain
from experiments.harness.map_options import OURS
from experiments.harness.store import Load
from experiments.site_segmentation.grid import BASELINES, FROM_MAPS, OUTLINES, Config, Trial, Way
from segjax.evaluation.references import fixed_discs
from segjax.maps import Explainer
from segjax.maps.masks import complete_seeds, level_of, mask_of, tidied
from segjax.maps.scaling import level_without, refuse_unusable
from segjax.types import InputError

Mask = Bool[np.ndarray, "H W"]
VALIDATING = 4  # outlined sites to learn from for each one that chooses the best epoch
USUAL_METRES = 75.0  # radius of the usual site
INNER, OUTER = 1 / 3, 2.5  # radii, of the usual one: what a point says is inside, and what outside
WITHOUT = 40  # most pictures without a site that a level for the data set is taken from


class Sides(NamedTuple):
    """Pictures of a training, as indices: with and without a site, to learn from and to choose the best epoch by."""

    train: tuple[int, ...]
    train_without: tuple[int, ...]
    validation: tuple[int, ...]
    validation_without: tuple[int, ...]


def sides_of(domain: LabelledDomain, trial: Trial) -> Sides:
    """Which pictures a trial's network sees; fewer outlined sites are among those of more."""
    split, generator = domain.split(trial.seed), np.random.default_rng([trial.seed, 4])
    shown = {}
    for side in ("train", "validation"):
        indices = list(getattr(split, side))
        labelled = [index for index in indices if domain.presence[index]]
        usable = labelled if trial.method == FROM_MAPS else domain.with_object(indices)
        shown[side] = [usable[place] for place in generator.permutation(len(usable))]
    if trial.outlines:
        shown["train"] = shown["train"][: trial.outlines]
        shown["validation"] = shown["validation"][: max(1, trial.outlines // VALIDATING)]
    without = domain.without(split.validation)[: len(shown["validation"])]
    return Sides(tuple(shown["train"]), tuple(domain.without(split.train)), tuple(shown["validation"]), tuple(without))


def check_outlines(config: Config, domain: LabelledDomain) -> None:
    """Refuse pictures without outlines to score on, and numbers of outlined sites that there are not.

    Raises:
        InputError: names the option and how many there are.
    """
    for seed in range(min(config.run.seeds, domain.splitting.distinct)):
        if not domain.with_object(domain.split(seed).test):
            raise InputError(
                f"{config.source.data}: no test picture of seed {seed} has an outline, so nothing can be scored; give "
                "outlines (labels) of some pictures of every group"
            )
    for trial in config.trials():
        if trial.method in (OUTLINES, *BASELINES) and trial.seed < domain.splitting.distinct:
            sides = sides_of(domain, trial)
            if not (sides.train and sides.validation) or len(sides.train) < trial.outlines:
                raise InputError(
                    f"outlines: seed {trial.seed} has {len(sides.train)} outlined pictures with a site for training "
                    f"and {len(sides.validation)} for validation; ask for fewer, or give more outlines"
                )


class Made(NamedTuple):
    """Maps of one classifier.

    Attributes:
        maps: index of the picture -> its map; of all pictures of a split with the label.
        level: what 99 % of the pixels of pictures without it stay under.
    """

    maps: dict[int, Float32[np.ndarray, "H W"]]
    level: float


class Labels:
    """Labels of one study, made from classifiers that are trained already; the latest few maps and masks are kept."""

    def __init__(self, config: Config, domain: LabelledDomain, network: Callable[[str], Any]) -> None:
        """`network` gives the module of a classifier by its name. Nothing is computed before labels are asked for."""
        self._config, self._domain, self._network = config, domain, network
        self._map_of = functools.cache(self._create_map)
        self._cost = functools.cache(self._cost_of)
        self._made = functools.lru_cache(maxsize=4)(self._make)
        self._masks = functools.lru_cache(maxsize=4)(self._make_masks)

    @property
    def radius(self) -> float:
        """Of the usual site, in pixels."""
        if self._config.point_radius:
            return self._config.point_radius
        metres = self._domain.metres
        return USUAL_METRES / metres if metres else self._domain.images.shape[1] / 12

    def masks(self, trial: Trial, indices: Sequence[int], load: Load) -> Bool[np.ndarray, "P H W"]:
        """What a trial's network is told about some pictures; nothing is marked in those without the label."""
        if trial.needed_classifier is None:
            return np.stack([self._drawn(trial.method, index) for index in indices])
        masks = self._masks(trial.needed_classifier, trial.way, load)
        blank = np.zeros(self._domain.labels.shape[1:], bool)
        return np.stack([masks.get(index, blank) for index in indices])

    def _drawn(self, method: str, index: int) -> Mask:
        truth = self._domain.labels[index] > 0
        if method == "points":
            return fixed_discs(truth, self.radius)
        if method == "boxes":
            return ellipses_in_boxes(truth)
        if method == "walked_points":
            inside, outside = fixed_discs(truth, INNER * self.radius), ~fixed_discs(truth, OUTER * self.radius)
            walked = complete_seeds(self._domain.images[index], inside, outside, "random_walk")
            return tidied(walked, self._config.minimum_area)
        return truth

    def _create_map(self, network: str, kind: str) -> Explainer:
        return self._config.map_options.create(kind, self._network(network))

    def _make(self, classifier: Classifier, kind: str, load: Load) -> Made:
        domain, explain = self._domain, self._map_of(classifier.network, kind)
        variables = load(classifier).variables
        shown, empty = self._mapped(classifier.seed)
        blurs = explain.blurs(variables, domain.images[shown]) if kind == OURS else None
        both = np.concatenate([shown, empty])
        maps = explain(variables, domain.images[both], key=jax.random.key(classifier.seed), blurs=blurs)
        refuse_unusable(maps, [domain.source.names[index] for index in both])
        found = dict(zip(shown.tolist(), maps[: len(shown)], strict=True))
        return Made(found, level_without(maps[len(shown) :]))

    def _mapped(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Pictures that maps are made of: all of the split with the label, and some without, for a level."""
        split, domain = self._domain.split(seed), self._domain
        used = sorted((*split.train, *split.validation, *split.test))
        return np.asarray([index for index in used if domain.presence[index]]), np.asarray(
            domain.without((*split.validation, *split.train))[:WITHOUT]
        )

    def passes(self, classifier: Classifier, kind: str) -> float:
        """Forward passes of making the maps of a classifier."""
        return sum(map(len, self._mapped(classifier.seed))) * self._cost(classifier.network, kind)

    def _cost_of(self, network: str, kind: str) -> float:
        image = jnp.asarray(self._domain.images[:1])
        shapes = jax.eval_shape(self._network(network).init, jax.random.key(0), image)
        return self._map_of(network, kind).cost(shapes, image)

    def _make_masks(self, classifier: Classifier, way: Way, load: Load) -> dict[int, Mask]:
        made, found = self._made(classifier, way.map, load), {}
        for index, one in made.maps.items():
            image = self._domain.images[index]
            level = level_of(way.rule, one, image, made.level)
            found[index] = mask_of(image, one, level, way.completion, self._config.minimum_area)
        return found
