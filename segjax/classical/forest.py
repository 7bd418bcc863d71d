"""The rung that learns: a random forest on hand-made features of several scales."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Integer
from skimage.feature import multiscale_basic_features

from segjax.arguments import checked
from segjax.classical.choice import Annotated, annotated, best_level, log_odds, logits_of, sampled
from segjax.classical.grey import check_several
from segjax.types import InputError, check_least

_FINEST = 0.5  # sigma in pixels


class ForestFit(NamedTuple):
    """What was learnt.

    Attributes:
        model: of scikit-learn.
        leaf: least pixels of a leaf that was chosen.
        level: of the probability, above which a pixel is marked.
    """

    model: Any
    leaf: int
    level: float

    def probability(self, features: Float32[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        """Of an object."""
        places = np.flatnonzero(self.model.classes_ == 1)
        return self.model.predict_proba(features)[:, places].sum(1)


class Sample(NamedTuple):
    """Annotated pixels.

    Attributes:
        weights: how many pixels each stands for.
        is_first: which of two halves each belongs to: every other picture, or the left of a single one.
    """

    features: Float32[np.ndarray, "N F"]
    is_object: Bool[np.ndarray, " N"]
    weights: Float[np.ndarray, " N"]
    is_first: Bool[np.ndarray, " N"]


@dataclass(frozen=True)
class Forest:
    """Trees that vote on intensity, edges and texture of a pixel at several scales.

    It learns from a sample of the annotated pixels, as many of objects as of background where there are, weighted by
    the pixels they stand for. The smallest leaf, and the level of the probability above which a pixel is marked, are
    those with the highest Dice where each half of the pictures (of a single picture) is predicted by a forest of the
    other half; these forests have a quarter of the trees. Where one of the halves shows only one class, it is the
    first leaf, and the level is 0.5.

    Source: Breiman, Machine Learning 45 (2001), by scikit-learn; features by scikit-image's
    `multiscale_basic_features`, as in ilastik and the Trainable Weka Segmentation (Arganda-Carreras et al.,
    Bioinformatics 33, 2017).

    Attributes:
        leaves: fewest pixels of a leaf, to choose from.
        trees: their number.
        coarsest: sigma of the coarsest features in pixels; those in between double from 0.5.
        pixels: most annotated pixels that are learnt from.
    """

    leaves: tuple[int, ...] = (4, 1, 16, 64)
    trees: int = 100
    coarsest: float = 16.0
    pixels: int = 10_000

    def __post_init__(self) -> None:
        check_several(self, leaves=1)
        check_least(self, trees=1, coarsest=1, pixels=100)

    @checked
    def fit(
        self, seed: int, images: Float[np.ndarray, "P H W C"], targets: Integer[np.ndarray, "P H W"] | None = None
    ) -> ForestFit:
        """See `Baseline.fit`.

        Raises:
            InputError: no pixel is annotated.
        """
        known = annotated(images, targets)
        if (known.targets == -1).all():
            raise InputError("targets: a forest learns from annotated pixels, and there are none; annotate some")
        sample = self._sample(np.random.default_rng(seed), known)
        leaf, level = self._chosen(seed, sample)
        return ForestFit(self._learnt(seed, leaf, self.trees, sample), leaf, level)

    @checked
    def apply(self, fitted: ForestFit, images: Float[np.ndarray, "B H W C"], /) -> Float32[np.ndarray, "B H W 2"]:
        """See `Baseline.apply`."""
        shown, shift = annotated(images, None).images, log_odds(fitted.level)
        found = (fitted.probability(self.features(image)).reshape(image.shape[:2]) for image in shown)
        return logits_of(log_odds(one) - shift for one in found)

    def features(self, image: Float32[np.ndarray, "H W C"]) -> Float32[np.ndarray, "N F"]:
        """Of all pixels, row by row: intensity, edges and texture at sigmas 0.5, 1, 2, ... of every channel."""
        found = multiscale_basic_features(image, sigma_min=_FINEST, sigma_max=self.coarsest, channel_axis=-1)
        return found.reshape(-1, found.shape[-1]).astype(np.float32)

    def _sample(self, generator: np.random.Generator, known: Annotated) -> Sample:
        used = np.flatnonzero((known.targets != -1).any((1, 2)))
        parts = []
        for number, picture in enumerate(used):
            target = known.targets[picture]
            places, weights = sampled(generator, target, max(2, self.pixels // len(used)))
            is_first = np.full(len(places), number % 2 == 0)
            if len(used) == 1:
                is_first = places % target.shape[1] < target.shape[1] / 2
            own = self.features(known.images[picture])[places]
            parts.append(Sample(own, target.ravel()[places] == 1, weights, is_first))
        return Sample(*map(np.concatenate, zip(*parts, strict=True)))  # type: ignore[arg-type]

    def _chosen(self, seed: int, sample: Sample) -> tuple[int, float]:
        halves = [sample.is_first, ~sample.is_first]
        if any(len(np.unique(sample.is_object[half])) < 2 for half in halves):
            return self.leaves[0], 0.5
        found: list[tuple[float, int, float]] = []
        for leaf in self.leaves:
            probability = np.zeros(len(sample.weights))
            for own, other in (halves, halves[::-1]):
                part = Sample(*(array[own] for array in sample))
                learnt = ForestFit(self._learnt(seed, leaf, -(-self.trees // 4), part), leaf, 0.5)
                probability[other] = learnt.probability(sample.features[other])
            level, value = best_level(probability, sample.is_object, sample.weights)
            found.append((value, leaf, level))
        _, leaf, level = max(found, key=lambda one: one[0])
        return leaf, level

    def _learnt(self, seed: int, leaf: int, trees: int, sample: Sample) -> Any:
        from sklearn.ensemble import RandomForestClassifier  # loaded where it is used: it takes a second

        model = RandomForestClassifier(trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
        answers: Int[np.ndarray, " N"] = sample.is_object.astype(int)
        return model.fit(sample.features, answers, sample.weights)
