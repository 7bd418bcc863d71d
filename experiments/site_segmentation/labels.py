"""What networks that segment learn from: masks made of maps, discs on points, ellipses in boxes, outlines."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from experiments.classifiers import Classifiers, LabelledDomain
from experiments.harness.map_options import OURS
from experiments.site_segmentation.config import StudyConfig, Way
from experiments.site_segmentation.grid import MAPS, MASKS, classifier_in, way_in
from segjax.evaluation import fixed_discs
from segjax.maps import Explainer, complete_seeds, level_of, level_without, mask_of, refuse_unusable, tidied
from segjax.sweeps import Cell

Mask = Bool[np.ndarray, "H W"]
USUAL_METRES = 75.0  # radius of the usual site
INNER, OUTER = 1 / 3, 2.5  # radii, of the usual one: what a point says is inside, and what outside
WITHOUT = 40  # most pictures without a site that a level for the data set is taken from


class Made(NamedTuple):
    """Maps of one classifier.

    Attributes:
        maps: index of the picture -> its map; of all pictures with the label.
        level: what 99 % of the pixels of pictures without it stay under.
    """

    maps: dict[int, Float32[np.ndarray, "H W"]]
    level: float


class Labels:
    """Labels of one study, made from classifiers that are trained already."""

    def __init__(self, config: StudyConfig, domain: LabelledDomain, classifiers: Classifiers) -> None:
        """Nothing is computed before labels are asked for."""
        self._config, self._domain, self._classifiers = config, domain, classifiers
        self._map_of = functools.cache(self._create_map)
        self._made = functools.lru_cache(maxsize=4)(self._make)
        self._masks = functools.lru_cache(maxsize=4)(self._make_masks)

    @property
    def radius(self) -> float:
        """Of the usual site, in pixels."""
        if self._config.point_radius:
            return self._config.point_radius
        metres = self._domain.metres
        return USUAL_METRES / metres if metres else self._domain.images.shape[1] / 12

    def masks(self, cell: Cell, indices: Sequence[int]) -> Bool[np.ndarray, "P H W"]:
        """What a cell's network is told about some pictures; nothing is marked in those without the label."""
        classifier = classifier_in(cell)
        if cell["method"] in (MAPS, MASKS) and classifier is not None:
            made = self._masks(classifier, way_in(cell))
            blank = np.zeros(self._domain.labels.shape[1:], bool)
            return np.stack([made.get(index, blank) for index in indices])
        return np.stack([self._drawn(cell["method"], index) for index in indices])

    def _drawn(self, method: str, index: int) -> Mask:
        truth = self._domain.labels[index] > 0
        if method == "points":
            return fixed_discs(truth, self.radius)
        if method == "boxes":
            return ellipses_in_boxes(truth)
        if method == "walked points":
            inside, outside = fixed_discs(truth, INNER * self.radius), ~fixed_discs(truth, OUTER * self.radius)
            walked = complete_seeds(self._domain.images[index], inside, outside, "random_walk")
            return tidied(walked, self._config.smallest)
        return truth

    def _create_map(self, network: str, kind: str) -> Explainer:
        return self._config.map_options.create(kind, self._classifiers.network(network))

    def _make(self, classifier: Cell, kind: str) -> Made:
        domain, explain = self._domain, self._map_of(classifier["network"], kind)
        variables = self._classifiers.load(classifier).variables
        split = self._classifiers.split(classifier["seed"])
        shown = np.flatnonzero(domain.presence == 1)
        empty = np.asarray(domain.without((*split.validation, *split.train))[:WITHOUT])
        blurs = explain.blurs(variables, domain.images[shown]) if kind == OURS else None
        both = np.concatenate([shown, empty])
        maps = explain(variables, domain.images[both], key=jax.random.key(classifier["seed"]), blurs=blurs)
        refuse_unusable(maps, [domain.source.names[index] for index in both])
        found = dict(zip(shown.tolist(), maps[: len(shown)], strict=True))
        return Made(found, level_without(maps[len(shown) :]))

    def _make_masks(self, classifier: Cell, way: Way) -> dict[int, Mask]:
        made, found = self._made(classifier, way.map), {}
        for index, one in made.maps.items():
            image = self._domain.images[index]
            level = level_of(way.rule, one, image, made.level)
            found[index] = mask_of(image, one, level, way.completion, self._config.smallest)
        return found


def ellipses_in_boxes(truth: Mask) -> Mask:
    """The ellipse that fills the bounding box of every 8-connected component."""
    labels, _ = ndimage.label(truth, np.ones((3, 3)))
    rows, columns = np.indices(truth.shape)
    found = np.zeros_like(truth)
    for box in ndimage.find_objects(labels):
        centre = [(part.start + part.stop - 1) / 2 for part in box]
        half = [(part.stop - part.start) / 2 for part in box]
        found |= ((rows - centre[0]) / half[0]) ** 2 + ((columns - centre[1]) / half[1]) ** 2 <= 1
    return found
