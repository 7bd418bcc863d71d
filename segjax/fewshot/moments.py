"""Class-wise Gram matrices of features: sums over pixels from which ridge regression and prototypes are exact.

They are taken picture by picture, so a support set of any size needs the memory of one picture; merging pictures is
adding their matrices, leaving one out is a weight of 0, and a subset of the features is a submatrix.
"""

from abc import ABC, abstractmethod
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# S support pictures, F features
Features = Float[Array | np.ndarray, "S H W F"]
Maps = Float[Array | np.ndarray, "*B H W F"]
Targets = Int[Array | np.ndarray, "S H W"]
Weights = Float[Array | np.ndarray, " S"]
Subset = Float[Array | np.ndarray, " F"]
Moments = Float[Array | np.ndarray, "S 2 F1 F1"]  # F1 = F + 1: the features and a constant 1
Params = dict[str, Array]
PRECISION = jax.lax.Precision.HIGHEST  # of products summed over pixels; a GPU would round them to 10 bits

dot = partial(jnp.einsum, precision=PRECISION)


class Support(NamedTuple):
    """Moments of the chosen pictures and features, divided by the number of known pixels.

    Attributes:
        background, type: [F + 1, F + 1]; row and column F belong to the constant 1.
    """

    background: Float[Array, "F1 F1"]
    type: Float[Array, "F1 F1"]

    @property
    def share(self) -> Float[Array, ""]:
        """Share of the known pixels that are of the type."""
        return self.type[-1, -1]


def picture_moments(features: Float[Array, "H W F"], targets: Int[Array, "H W"]) -> Float[Array, "2 F1 F1"]:
    """Sums over the background and the type pixels of one picture of (x, 1) (x, 1)'.

    Args:
        targets: 1 the type, 0 background, -1 ignored.
    """
    pixels = features.reshape(-1, features.shape[-1])
    extended = jnp.concatenate([pixels, jnp.ones((len(pixels), 1), pixels.dtype)], axis=1)
    classes = [(targets.ravel() == index).astype(pixels.dtype)[:, None] for index in (0, 1)]
    return jnp.stack([dot("nf,ng->fg", extended * of_class, extended) for of_class in classes])


def class_moments(features: Features, targets: Targets) -> Moments:
    """`picture_moments` of every picture."""
    return jax.lax.map(lambda picture: picture_moments(*picture), (features, targets))


def known_moments(features: Features, targets: Targets, moments: Moments | None) -> Moments | Float[Array, "S 2 F1 F1"]:
    """The moments where they are given, else `class_moments`."""
    return class_moments(features, targets) if moments is None else moments


def support_moments(moments: Moments, weights: Weights, subset: Subset, balanced: bool = False) -> Support:
    """Moments of a support set.

    Args:
        weights: of the pictures; 0 leaves one out.
        subset: 1 for features that are used, 0 for others, whose rows and columns become 0.
        balanced: both classes count as much as each other, whatever their areas.
    """
    used = jnp.append(subset, 1.0)
    sums = jnp.einsum("s,scfg->cfg", weights, moments, precision=PRECISION) * used[None, :, None] * used[None, None, :]
    pixels = sums[:, -1, -1]
    total = 2 * pixels if balanced else jnp.sum(pixels) * jnp.ones(2)
    return Support(*(sums / jnp.maximum(total, 1e-30)[:, None, None]))


def pixel_weights(targets: Targets, weights: Weights, balanced: bool = False) -> Float[Array, "S H W"]:
    """Weight of every pixel in a mean over the support: sum 1, ignored pixels 0; see `support_moments`."""
    of_class = [jnp.where(targets == index, weights[:, None, None], 0.0) for index in (0, 1)]
    if not balanced:
        known = of_class[0] + of_class[1]
        return known / jnp.maximum(jnp.sum(known), 1e-30)
    background, of_type = (part / jnp.maximum(2 * jnp.sum(part), 1e-30) for part in of_class)
    return background + of_type


def span(weights: Weights) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Place of the first picture that has a weight, and the place after the last: bounds of a loop over pictures."""
    places = jnp.arange(len(weights))
    return jnp.min(jnp.where(weights > 0, places, len(weights))), jnp.max(jnp.where(weights > 0, places + 1, 0))


def relevance(support: Support) -> Float[Array, " F"]:
    """How well each feature alone tells the type: squared distance of the two class means over the variance within.

    Unused features, and those that are constant, have 0.

    Source: Fisher's criterion, Annals of Eugenics 7 (1936).
    """
    means, squares, spreads = [], [], []
    for matrix in support:
        pixels = jnp.maximum(matrix[-1, -1], 1e-30)
        mean = matrix[-1, :-1] / pixels
        means.append(mean)
        squares.append(jnp.diagonal(matrix)[:-1])
        spreads.append(squares[-1] - pixels * mean**2)
    within = spreads[0] + spreads[1]
    varies = within > 1e-5 * (squares[0] + squares[1])  # below, it is rounding
    return jnp.where(varies, (means[1] - means[0]) ** 2 / jnp.where(varies, within, 1.0), 0.0)


class MomentsHead(ABC):
    """A head that needs no more of the support than its class moments."""

    @abstractmethod
    def fit_moments(self, moments: Moments, weights: Weights, subset: Subset | None = None) -> Params:
        """Parameters from the class moments of the support pictures; the other arguments as in `Head.fit`."""

    def fit(
        self,
        features: Features,
        targets: Targets,
        weights: Weights,
        subset: Subset | None = None,
        moments: Moments | None = None,
    ) -> Params:
        """See `Head.fit`."""
        return self.fit_moments(known_moments(features, targets, moments), weights, subset)
