"""Perceptrons: one linear layer over the features of a pixel, fitted by logistic loss, soft Dice or least squares."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from segjax.fewshot.minimise import lbfgs, newton_advance, newton_goes_on, newton_start, whitening
from segjax.fewshot.moments import (
    PRECISION,
    Features,
    Maps,
    Moments,
    MomentsHead,
    Params,
    Subset,
    Support,
    Targets,
    Weights,
    dot,
    known_moments,
    pixel_weights,
    span,
    support_moments,
)
from segjax.types import InputError


@dataclass(frozen=True)
class LinearHead:
    """What linear heads share: parameters `weights` [F] and `bias` [], the score their sum over the features."""

    def predict(self, params: Params, features: Maps) -> Float[Array, "*B H W"]:
        """Score of every pixel; above 0 it is of the type."""
        return dot("...f,f->...", features, params["weights"]) + params["bias"]


@dataclass(frozen=True)
class Perceptron(LinearHead):
    """What fitted linear heads share.

    Attributes:
        l2: strength of the penalty l2 / 2 |weights|^2 beside a loss that is a mean over pixels; the bias is free.
        balanced: type and background count as much as each other, whatever their areas.
    """

    l2: float = 1e-3
    balanced: bool = False

    def __post_init__(self) -> None:
        check_positive("l2", self.l2)


@dataclass(frozen=True)
class Logistic(Perceptron):
    """Perceptron with logistic loss, to its optimum: the score is the log odds of the type.

    Attributes:
        solver: "lbfgs" in coordinates whitened by the class moments, which takes one product of features and weights
            per step and is the faster one; "newton" (IRLS) with the full Hessian. Both find the same optimum.
        most_steps: bound on the steps.
        tolerance: ends when the loss is about this close to its minimum, as a share of its value at the start.
    """

    solver: str = "lbfgs"
    most_steps: int = 100
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver not in ("lbfgs", "newton"):
            raise InputError(f"solver: unknown {self.solver!r}; choose lbfgs or newton")
        check_positive("most_steps", self.most_steps)
        check_positive("tolerance", self.tolerance)

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
        support = support_moments(known_moments(features, targets, moments), weights, subset, self.balanced)
        start = _start(support)
        if self.solver == "lbfgs":
            descent = self.evaluation(features, targets, weights, subset)
            return _params(_whitened(descent, support, start, self, self.most_steps, self.tolerance), subset)
        rows = pixel_weights(targets, weights, self.balanced)

        def evaluate(point):
            parts = jax.lax.map(
                lambda one: log_loss_parts(point, one[0], one[1], one[2], subset), (features, targets, rows)
            )
            return self.add_penalty(point, *(jnp.sum(part, 0) for part in parts))

        def advance(state):
            return newton_advance(state, *evaluate(state.candidate))

        first = advance(newton_start(start))

        def goes_on(state):
            return newton_goes_on(state, first.loss, self.most_steps, self.tolerance)

        return _params(jax.lax.while_loop(goes_on, advance, first).point, subset)

    def loss(
        self,
        features: Features,
        targets: Targets,
        weights: Weights,
        subset: Subset,
    ) -> Callable[[Float[Array, " F1"]], Float[Array, ""]]:
        """What is minimised, a function of the weights and the bias [F + 1]."""
        rows = pixel_weights(targets, weights, self.balanced)
        signs = (targets == 1).astype(features.dtype)

        def value(point):
            scores = dot("...f,f->...", features, point[:-1] * subset) + point[-1]
            return total(rows * (softplus(scores) - signs * scores)) + self.l2 / 2 * jnp.sum(point[:-1] ** 2)

        return value

    def evaluation(
        self,
        features: Features,
        targets: Targets,
        weights: Weights,
        subset: Subset,
    ) -> Callable[[Float[Array, " F1"]], tuple[Float[Array, ""], Float[Array, " F1"]]]:
        """`loss` with its gradient, picture by picture, from the first that has a weight to the last."""
        rows = pixel_weights(targets, weights, self.balanced)
        signs = (jnp.asarray(targets) == 1).astype(features.dtype)
        maps = jnp.asarray(features)

        def evaluate(point):
            def add(place, sums):
                def loss(point):
                    scores = dot("hwf,f->hw", maps[place], point[:-1] * subset) + point[-1]
                    return total(rows[place] * (softplus(scores) - signs[place] * scores))

                return jax.tree.map(jnp.add, sums, jax.value_and_grad(loss)(point))

            value, gradient = jax.lax.fori_loop(*span(weights), add, (jnp.zeros(()), jnp.zeros_like(point)))
            penalty = jnp.full(point.shape, self.l2).at[-1].set(0.0)
            return value + jnp.sum(penalty * point**2) / 2, gradient + penalty * point

        return evaluate

    def add_penalty(self, point, loss, gradient, hessian) -> tuple[Array, Array, Array]:
        """Loss, gradient and Hessian with those of the penalty."""
        penalty = jnp.full(point.shape, self.l2).at[-1].set(0.0)
        tiny = 1e-7 * jnp.trace(hessian) / len(point)  # where all probabilities are 0 or 1 the bias has no curvature
        loss = loss + jnp.sum(penalty * point**2) / 2
        return loss, gradient + penalty * point, hessian + jnp.diag(penalty + tiny)


def log_loss_parts(
    point: Float[Array, " F1"],
    features: Float[Array, "H W F"],
    targets: Int[Array, "H W"],
    rows: Float[Array, "H W"],
    subset: Subset,
) -> tuple[Float[Array, ""], Float[Array, " F1"], Float[Array, "F1 F1"]]:
    """Logistic loss, its gradient and its Hessian of one picture, summed over its pixels with weights `rows`."""
    pixels = features.reshape(-1, features.shape[-1]) * subset[None]
    extended = jnp.concatenate([pixels, jnp.ones((len(pixels), 1), pixels.dtype)], axis=1)
    scores = dot("nf,f->n", extended, point)
    truth, share = (targets.ravel() == 1).astype(pixels.dtype), rows.ravel()
    probability = jax.nn.sigmoid(scores)
    curvature = share * probability * (1 - probability)
    return (
        jnp.sum(share * (softplus(scores) - truth * scores)),
        dot("n,nf->f", share * (probability - truth), extended),
        dot("nf,ng->fg", extended * curvature[:, None], extended),
    )


@dataclass(frozen=True)
class SoftDice(Perceptron):
    """Perceptron with soft Dice loss, 1 - 2 sum(p y) / (sum p + sum y) over all pixels of the support.

    The loss has more than one minimum; L-BFGS starts from the optimum of the logistic loss, so that the result is
    repeatable. `balanced` is for that start alone.

    Attributes:
        most_steps: bound on the steps after the start.
    """

    l2: float = 1e-4
    most_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("most_steps", self.most_steps)

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
        found = Logistic(self.l2, self.balanced, tolerance=1e-3).fit(features, targets, weights, subset, moments)
        start = jnp.append(found["weights"], found["bias"])
        rows = pixel_weights(targets, weights)
        truth = jnp.sum(rows, where=targets == 1)

        def objective(point):
            scores = dot("...f,f->...", features, point[:-1] * subset) + point[-1]
            probability = rows * jax.nn.sigmoid(scores)
            overlap = total(jnp.where(targets == 1, probability, 0.0))
            return 1 - 2 * overlap / (total(probability) + truth) + self.l2 / 2 * jnp.sum(point[:-1] ** 2)

        support = support_moments(known_moments(features, targets, moments), weights, subset, self.balanced)
        evaluate = jax.value_and_grad(objective)
        return _params(_whitened(evaluate, support, start, self, self.most_steps, 1e-5), subset)


@dataclass(frozen=True)
class Ridge(MomentsHead, Perceptron):
    """Perceptron by least squares on the targets -1 and 1, in closed form from the class moments."""

    balanced: bool = True

    def fit_moments(self, moments: Moments, weights: Weights, subset: Subset | None = None) -> Params:
        """`fit` from the class moments of the pictures."""
        subset = jnp.ones(moments.shape[-1] - 1) if subset is None else subset
        support = support_moments(moments, weights, subset, self.balanced)
        total = support.type + support.background
        penalty = jnp.full(len(total), self.l2).at[-1].set(0.0)
        right = support.type[-1] - support.background[-1]
        point = jax.scipy.linalg.solve(total + jnp.diag(penalty), right, assume_a="pos")
        return _params(point, subset)


@jax.custom_jvp
def softplus(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 + exp(x)) to 1e-7; with its gradient written out, which XLA then shares with the value."""
    return jnp.maximum(x, 0) + jnp.log(1 + jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (change,) = primals, tangents
    below = jnp.exp(-jnp.abs(x))
    return softplus(x), jnp.where(x >= 0, 1.0, below) / (1 + below) * change


def total(values: Float[Array, "..."]) -> Float[Array, ""]:
    """Sum over all pixels; as a product, because XLA adds one by one on CPU, and computes what it adds so, too."""
    return jnp.vdot(values, jnp.ones_like(values), precision=PRECISION)


def all_of(features: Features) -> Float[Array, " F"]:
    """The subset that has every feature."""
    return jnp.ones(features.shape[-1], features.dtype)


def check_positive(name: str, value: float | int) -> None:
    """Raises InputError unless the value is above 0 and finite."""
    if not 0 < value < float("inf"):
        raise InputError(f"{name} must be a positive number, not {value}")


def _start(support: Support) -> Float[Array, " F1"]:
    """No weights, and the bias that gives every pixel the share of the type."""
    share = jnp.clip(support.share, 1e-6, 1 - 1e-6)
    return jnp.zeros(support.type.shape[0]).at[-1].set(jnp.log(share / (1 - share)))


def _whitened(evaluate, support: Support, start, head: Perceptron, most_steps: int, tolerance: float) -> Array:
    coordinates = whitening(support, head.l2)

    def point(moved):
        return start + jnp.matmul(coordinates, moved, precision=PRECISION)

    def moved_evaluate(moved):
        value, gradient = evaluate(point(moved))
        return value, jnp.matmul(gradient, coordinates, precision=PRECISION)

    found = lbfgs(moved_evaluate, jnp.zeros_like(start), most_steps, tolerance)
    return point(found.point)


def _params(point: Float[Array, " F1"], subset: Subset) -> Params:
    return {"weights": point[:-1] * subset, "bias": point[-1]}
