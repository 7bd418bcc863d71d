"""Perceptrons with one or two hidden layers: what the linear one leaves out."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from segjax.fewshot.linear import all_of, check_positive, softplus, total
from segjax.fewshot.minimise import lbfgs, whitening
from segjax.fewshot.moments import (
    PRECISION,
    Features,
    Maps,
    Moments,
    Params,
    Subset,
    Targets,
    Weights,
    dot,
    known_moments,
    pixel_weights,
    support_moments,
)


@dataclass(frozen=True)
class HiddenLayer:
    """Features -> `units` hidden units (tanh) -> log odds of the type; logistic loss, L-BFGS on all pixels at once.

    The loss has many minima: where the search starts is drawn from `seed`, so that the result is repeatable. Hidden
    units see the features in the whitened coordinates of `whitening`.

    Attributes:
        units: hidden units.
        l2: strength of the penalty l2 / 2 (sum of all squared weights, in whitened coordinates).
        seed: of the start.
        most_steps: bound on the steps.
    """

    units: int = 16
    l2: float = 1e-4
    seed: int = 0
    most_steps: int = 100
    layers: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name in ("units", "l2", "most_steps"):
            check_positive(name, getattr(self, name))

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
        support = support_moments(known_moments(features, targets, moments), weights, subset, balanced=True)
        coordinates = whitening(support, 1e-3) * jnp.append(subset, 1.0)[:, None]
        rows, truth = pixel_weights(targets, weights), (targets == 1).astype(features.dtype)
        inputs, units = len(coordinates), self.units
        inner = (units + 1) * units * (self.layers - 1)

        def unpack(point):
            first, between, second, bias = jnp.split(point, np.cumsum([inputs * units, inner, units]))
            first = jnp.matmul(coordinates, first.reshape(inputs, units), precision=PRECISION)
            params = {"first": first, "second": second, "bias": bias[0]}
            return {**params, "between": between.reshape(units + 1, units)} if inner else params

        def objective(point):
            scores = self.predict(unpack(point), features)
            return total(rows * (softplus(scores) - truth * scores)) + self.l2 / 2 * jnp.sum(point[:-1] ** 2)

        first, second = jax.random.split(jax.random.key(self.seed))
        start = jnp.concatenate(
            [
                jax.random.normal(first, (inputs * units,)) / jnp.sqrt(inputs),
                jax.random.normal(jax.random.fold_in(first, 1), (inner,)) / jnp.sqrt(units),
                jax.random.normal(second, (units,)) / jnp.sqrt(units),
                jnp.zeros(1),
            ]
        )
        return unpack(lbfgs(jax.value_and_grad(objective), start, self.most_steps, 1e-6).point)

    def predict(self, params: Params, features: Maps) -> Float[Array, "*B H W"]:
        """Log odds of the type for every pixel."""
        values = features
        for layer in [params[name] for name in ("first", "between") if name in params]:
            sums = dot("...f,fu->...u", values, layer[:-1])
            values = jnp.tanh(sums + jnp.broadcast_to(layer[-1], sums.shape))
        return dot("...u,u->...", values, params["second"]) + params["bias"]


@dataclass(frozen=True)
class TwoHiddenLayers(HiddenLayer):
    """Features -> `units` hidden units -> `units` more -> log odds of the type; otherwise as `HiddenLayer`."""

    layers: ClassVar[int] = 2
