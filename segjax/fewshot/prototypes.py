"""Heads without training: the features of a pixel beside the mean features of the type and of the background."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from segjax.fewshot.linear import LinearHead, all_of, check_positive
from segjax.fewshot.moments import Features, Maps, Moments, MomentsHead, Params, Subset, Targets, Weights, dot

SHARPNESS = 20.0  # factor of every cosine, as published
_TINY = 1e-6
_BLOCK_BYTES = 2**22  # of similarities held at once; a CPU's caches hold about as much


@dataclass(frozen=True)
class Prototype(MomentsHead, LinearHead):
    """Squared distances to the mean features of the background and of the type, the nearer one wins.

    The score, |x - m0|^2 - |x - m1|^2, is linear in x: weights 2 (m1 - m0), bias |m0|^2 - |m1|^2.

    Source: Snell, Swersky and Zemel, NIPS (2017), for pixels.
    """

    def fit_moments(self, moments: Moments, weights: Weights, subset: Subset | None = None) -> Params:
        """`fit` from the class moments of the pictures; a mean is over the pixels of all of them."""
        sums = jnp.einsum("s,scf->cf", weights, moments[:, :, -1])
        means = sums[:, :-1] / jnp.maximum(sums[:, -1:], _TINY) * (1.0 if subset is None else subset[None])
        squares = jnp.sum(means**2, axis=1)
        return {"weights": 2 * (means[1] - means[0]), "bias": squares[0] - squares[1]}


@dataclass(frozen=True)
class CosinePrototype(MomentsHead):
    """Cosines with the mean features of the background and of the type, 20 times their difference.

    A mean is taken over the pixels of each picture, then over the pictures that have any (masked average pooling).

    Source: Wang et al., ICCV (2019), without its training.
    """

    def fit_moments(self, moments: Moments, weights: Weights, subset: Subset | None = None) -> Params:
        """`fit` from the class moments of the pictures."""
        subset = jnp.ones(moments.shape[-1] - 1) if subset is None else subset
        sums, pixels = moments[:, :, -1, :-1], moments[:, :, -1, -1]
        shares = weights[:, None] * (pixels > 0)
        means = jnp.einsum("sc,scf->cf", shares, sums / jnp.maximum(pixels, 1.0)[..., None])
        means = means / jnp.maximum(jnp.sum(shares, 0), _TINY)[:, None]
        return {"prototypes": _unit(means * subset[None]), "subset": jnp.asarray(subset)}

    def predict(self, params: Params, features: Maps) -> Float[Array, "*B H W"]:
        """Score of every pixel; above 0 it is of the type."""
        near = cosines(features, params["prototypes"], params["subset"])
        return SHARPNESS * (near[..., 1] - near[..., 0])


@dataclass(frozen=True)
class LocalPrototypes:
    """Cosines with the means of many small windows; the windows most like a pixel speak for it.

    A window of the support is a prototype of the type, or of the background, where more than `purity` of its known
    pixels are; the type has its mean over the whole support besides. With similarity s = 20 cosine to each prototype, a
    class has the score sum(softmax(s) s). The class without any prototype has the similarity -20. Pixels are scored in
    blocks, so that memory does not grow with pixels x windows.

    Attributes:
        window: side of the windows in pixels.
        purity: share in (0, 1).

    Source: adaptive local prototypes of Ouyang et al., ECCV (2020), without its training.
    """

    window: int = 8
    purity: float = 0.95

    def __post_init__(self) -> None:
        check_positive("window", self.window)
        check_positive("purity", self.purity)

    def fit(
        self,
        features: Features,
        targets: Targets,
        weights: Weights,
        subset: Subset | None = None,
        moments: Moments | None = None,
    ) -> Params:
        """See `Head.fit`."""
        subset = all_of(features) if subset is None else subset
        features, targets = jnp.asarray(features), jnp.asarray(targets)
        of_type, known = ((targets == 1).astype(features.dtype), (targets >= 0).astype(features.dtype))
        pixels = self._sums(known[..., None])[..., 0]
        means = self._sums(features * known[..., None]) / jnp.maximum(pixels, 1.0)[..., None]
        share = self._sums(of_type[..., None])[..., 0] / jnp.maximum(pixels, 1.0)
        present = (weights > 0)[:, None, None] & (pixels > 0)
        pure = jnp.stack([present & (1 - share > self.purity), present & (share > self.purity)])
        whole = dot("s,shw,shwf->f", weights, of_type, features) / jnp.maximum(dot("s,shw->", weights, of_type), _TINY)
        local = means.reshape(-1, features.shape[-1])
        is_local = pure.reshape(2, -1)
        return {
            "prototypes": _unit(jnp.concatenate([local, whole[None]]) * subset[None]),
            "is_background": jnp.append(is_local[0], False),
            "is_type": jnp.append(is_local[1], True),
            "subset": jnp.asarray(subset),
        }

    def _sums(self, maps: Float[Array, "S H W F"]) -> Float[Array, "S h w F"]:
        """Sums over windows; those that the border cuts hold fewer pixels."""
        pictures, height, width, count = maps.shape
        maps = jnp.pad(maps, ((0, 0), (0, -height % self.window), (0, -width % self.window), (0, 0)))
        rows, columns = maps.shape[1] // self.window, maps.shape[2] // self.window
        return jnp.sum(maps.reshape(pictures, rows, self.window, columns, self.window, count), axis=(2, 4))

    def predict(self, params: Params, features: Maps) -> Float[Array, "*B H W"]:
        """Score of every pixel; above 0 it is of the type."""
        pixels = jnp.asarray(features).reshape(-1, features.shape[-1])
        most = max(1, _BLOCK_BYTES // (4 * len(params["prototypes"])))
        if len(pixels) <= most:
            return _local_scores(params, pixels).reshape(features.shape[:-1])
        blocks = -(-len(pixels) // most)
        padded = jnp.pad(pixels, ((0, -len(pixels) % blocks), (0, 0))).reshape(blocks, -1, pixels.shape[1])
        scores = jax.lax.map(lambda block: _local_scores(params, block), padded)
        return scores.ravel()[: len(pixels)].reshape(features.shape[:-1])


def _local_scores(params: Params, pixels: Float[Array, "P F"]) -> Float[Array, " P"]:
    """Scores of `LocalPrototypes`, holding the similarity of every pixel with every prototype."""
    similarity = SHARPNESS * cosines(pixels, params["prototypes"], params["subset"])

    def of_class(is_class):
        found = jnp.where(jnp.broadcast_to(is_class, similarity.shape), similarity, -jnp.inf)
        # without any prototype every entry is -inf and the softmax would be NaN
        found = jnp.where(jnp.any(is_class), found, -SHARPNESS)
        return jnp.sum(jax.nn.softmax(found) * jnp.where(jnp.isfinite(found), found, 0.0), axis=-1)

    return of_class(params["is_type"]) - of_class(params["is_background"])


@dataclass(frozen=True)
class ThresholdPrototype:
    """Cosine with the mean features of the type alone, against a threshold that is fitted; no model of the background.

    With anomaly S = -20 cosine, the probability of the type is 1 - sigmoid((S - T) / 2). T minimises the mean negative
    log likelihood of the support, in which background pixels count `background` and type pixels 1, plus T / 20.

    Attributes:
        background: weight of a background pixel.

    Source: Hansen et al., Medical Image Analysis 78 (2022), with the threshold fitted to the support.
    """

    background: float = 0.1

    def __post_init__(self) -> None:
        check_positive("background", self.background)

    def fit(
        self,
        features: Features,
        targets: Targets,
        weights: Weights,
        subset: Subset | None = None,
        moments: Moments | None = None,
    ) -> Params:
        """See `Head.fit`."""
        subset = all_of(features) if subset is None else subset
        of_type = (targets == 1).astype(features.dtype)
        rows = weights[:, None, None] * jnp.where(targets == 0, self.background, of_type)
        rows = rows / jnp.maximum(jnp.sum(rows), _TINY)
        pixels = jnp.sum(of_type, axis=(1, 2))
        means = dot("shw,shwf->sf", of_type, features) / jnp.maximum(pixels, 1.0)[:, None]
        prototype = _unit((dot("s,sf->f", weights * (pixels > 0), means) * subset)[None])
        anomaly = -SHARPNESS * cosines(features, prototype, subset)[..., 0]

        def slope(threshold):
            """Derivative by T, which rises with T."""
            return jnp.sum(rows * (jax.nn.sigmoid((threshold - anomaly) / 2) - of_type)) / 2 + 1 / SHARPNESS

        def halve(_, bounds):
            low, high = bounds
            middle = (low + high) / 2
            rising = slope(middle) > 0
            return jnp.where(rising, low, middle), jnp.where(rising, middle, high)

        low, high = jax.lax.fori_loop(0, 24, halve, (-2 * SHARPNESS, 2 * SHARPNESS))
        return {"prototypes": prototype, "threshold": (low + high) / 2, "subset": jnp.asarray(subset)}

    def predict(self, params: Params, features: Maps) -> Float[Array, "*B H W"]:
        """Log odds of the type for every pixel."""
        near = cosines(features, params["prototypes"], params["subset"])[..., 0]
        return (params["threshold"] + SHARPNESS * near) / 2


def cosines(
    features: Float[Array | np.ndarray, "*B F"], prototypes: Float[Array, "N F"], subset: Subset
) -> Float[Array, "*B N"]:
    """Cosine of every pixel with prototypes of length 1 over the chosen features; 0 where a pixel has none."""
    length = jnp.sqrt(dot("...f,f->...", features**2, subset))
    return dot("...f,nf->...n", features, prototypes) / jnp.maximum(length, _TINY)[..., None]


def _unit(vectors: Float[Array, "N F"]) -> Float[Array, "N F"]:
    return vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), _TINY)
