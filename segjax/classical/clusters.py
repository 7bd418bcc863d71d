"""Rungs that divide pixels by colour and texture into clusters, and call some of these the objects."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Integer
from scipy import ndimage

from segjax.arguments import checked
from segjax.classical.choice import Annotated, annotated, log_odds, logits_of, sampled
from segjax.classical.grey import check_several
from segjax.types import check_least

_FLOOR = 1e-6  # a feature that varies less is constant


class ClusterFit(NamedTuple):
    """What was found.

    Attributes:
        model: of scikit-learn.
        sigma: of the features.
        mean, deviation: that standardise them.
        objects: the clusters that are objects.
    """

    model: Any
    sigma: float
    mean: Float[np.ndarray, " F"]
    deviation: Float[np.ndarray, " F"]
    objects: tuple[int, ...]

    def features(self, image: Float32[np.ndarray, "H W C"]) -> Float[np.ndarray, "N F"]:
        """Standardised features of all pixels, row by row."""
        found = colour_and_texture(image, self.sigma)
        return (found.reshape(-1, found.shape[-1]) - self.mean) / self.deviation


@dataclass(frozen=True)
class ClusterRung(ABC):
    """A rung of clusters, which are found in all pictures together, without their annotations.

    Features are the channels, smoothed by a Gaussian, and the deviation of the grey values under the same Gaussian.
    Clusters are ordered by the share of annotated objects among their annotated pixels, and the first of them, so many
    as give the highest Dice, are the objects. The number of clusters and the Gaussian are those with the highest Dice,
    of equals the first. Where no object is annotated, they are the first, and all clusters but the largest are objects.

    Attributes:
        clusters: their number, from 2 on, to choose from.
        sigmas: of the Gaussian in pixels, to choose from.
        pixels: most pixels that clusters are found in.
    """

    clusters: tuple[int, ...] = (3, 6)
    sigmas: tuple[float, ...] = (1.0, 3.0)
    pixels: int = 20_000

    def __post_init__(self) -> None:
        check_several(self, clusters=2, sigmas=0)
        check_least(self, pixels=100)

    @abstractmethod
    def model(self, seed: int, clusters: int) -> Any:
        """The model of scikit-learn."""

    @abstractmethod
    def membership(self, fitted: ClusterFit, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        """Probability that pixels belong to the clusters of objects."""

    @checked
    def fit(
        self, seed: int, images: Float[np.ndarray, "P H W C"], targets: Integer[np.ndarray, "P H W"] | None = None
    ) -> ClusterFit:
        """See `Baseline.fit`."""
        known = annotated(images, targets)
        return max(self._fits(seed, known), key=lambda one: one[0])[1]

    @checked
    def apply(self, fitted: ClusterFit, images: Float[np.ndarray, "B H W C"], /) -> Float32[np.ndarray, "B H W 2"]:
        """See `Baseline.apply`."""
        shown = annotated(images, None).images
        found = (self.membership(fitted, fitted.features(image)).reshape(image.shape[:2]) for image in shown)
        return logits_of(map(log_odds, found))

    def _fits(self, seed: int, known: Annotated) -> Iterator[tuple[float, ClusterFit]]:
        """What is found with each number of clusters and Gaussian, and its Dice."""
        tried = list(product(self.clusters, self.sigmas))
        for clusters, sigma in tried if known.has_objects else tried[:1]:
            sample = self._sample(np.random.default_rng(seed), known, sigma)
            mean, deviation = sample.mean(0), sample.std(0)
            deviation = np.where(deviation > _FLOOR, deviation, 1.0)
            points = (sample - mean) / deviation
            most = min(clusters, len(np.unique(points, axis=0)))
            fitted = ClusterFit(_learnt(self.model(seed, most), points), sigma, mean, deviation, ())
            counts = np.zeros((most, 2), int)  # by cluster: pixels of the background and of objects
            for image, target in zip(known.images, known.targets, strict=True):
                own = fitted.model.predict(fitted.features(image)).reshape(target.shape)
                for kind in (0, 1):
                    counts[:, kind] += np.bincount(own[(target == kind) | (not known.has_objects)], minlength=most)
            objects, value = objects_among(counts) if known.has_objects else _all_but_largest(counts)
            yield value, fitted._replace(objects=objects)

    def _sample(self, generator: np.random.Generator, known: Annotated, sigma: float) -> Float[np.ndarray, "N F"]:
        each = max(1, self.pixels // len(known.images))
        parts = []
        for image, target in zip(known.images, known.targets, strict=True):
            found = colour_and_texture(image, sigma).reshape(target.size, -1)
            parts.append(found[sampled(generator, np.full_like(target, -1), each)[0]])
        return np.concatenate(parts)


@dataclass(frozen=True)
class KMeans(ClusterRung):
    """Clusters around means, by Lloyd's algorithm.

    Source: Lloyd, IEEE Transactions on Information Theory 28 (1982), by scikit-learn, begun four times.
    """

    def model(self, seed: int, clusters: int) -> Any:
        from sklearn.cluster import KMeans as Model  # loaded where it is used: it takes a second

        return Model(clusters, n_init=4, random_state=seed)

    def membership(self, fitted: ClusterFit, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        return np.isin(fitted.model.predict(features), fitted.objects).astype(float)


@dataclass(frozen=True)
class GaussianMixture(ClusterRung):
    """Clusters that are normal distributions, by expectation maximisation.

    Source: Dempster, Laird and Rubin, Journal of the Royal Statistical Society B 39 (1977), by scikit-learn.
    """

    def model(self, seed: int, clusters: int) -> Any:
        from sklearn.mixture import GaussianMixture as Model

        return Model(clusters, random_state=seed, reg_covar=1e-4, max_iter=200)

    def membership(self, fitted: ClusterFit, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        return fitted.model.predict_proba(features)[:, list(fitted.objects)].sum(1)


def colour_and_texture(image: Float32[np.ndarray, "H W C"], sigma: float) -> Float[np.ndarray, "H W F"]:
    """Channels smoothed by a Gaussian, and the deviation of the grey values under it."""
    grey = image.mean(-1, dtype=float)
    mean, square = (ndimage.gaussian_filter(one, max(sigma, 0.5)) for one in (grey, grey**2))
    texture = np.sqrt(np.maximum(square - mean**2, 0))
    smooth = ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0))
    return np.concatenate([smooth, texture[..., None]], axis=-1)


def objects_among(counts: Int[np.ndarray, "K 2"]) -> tuple[tuple[int, ...], float]:
    """The clusters whose union has the highest Dice, and this Dice; the union is always of those with most objects.

    Args:
        counts: pixels of the background and of objects in each cluster; some object.

    >>> objects_among(np.array([[90, 10], [5, 20], [0, 30]]))
    ((2, 1), 0.8695652173913043)
    """
    shares = counts[:, 1] / np.maximum(counts.sum(1), 1)
    order = np.argsort(-shares, kind="stable")
    found, marked = np.cumsum(counts[order, 1]), np.cumsum(counts[order].sum(1))
    scores = 2 * found / (marked + found[-1])
    last = int(np.argmax(scores))
    return tuple(order[: last + 1].tolist()), float(scores[last])


def _all_but_largest(counts: Int[np.ndarray, "K 2"]) -> tuple[tuple[int, ...], float]:
    largest = int(np.argmax(counts.sum(1)))
    return tuple(number for number in range(len(counts)) if number != largest), 0.0


def _learnt(model: Any, points: Float[np.ndarray, "N F"]) -> Any:
    """The model, fitted on one core, so that sums have one order."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the best so far serves as well
        return model.fit(points)
