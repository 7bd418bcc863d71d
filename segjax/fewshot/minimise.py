"""Optimisers of the heads: L-BFGS in whitened coordinates, and Newton's method one pass over the pixels at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from segjax.fewshot.moments import Support

MEMORY = 10  # pairs of steps and gradient changes that L-BFGS keeps
SMALLEST_STEP = 1e-3
ARMIJO = 1e-4  # share of the fall that the slope promises which a step has to keep


def whitening(support: Support, l2: float) -> Float[Array, "F1 F1"]:
    """Coordinates v, w = W v, in which the logistic loss is nearly as curved in every direction.

    W W' is the inverse of the Hessian at guessed probabilities: p (1 - p) is 1/4 on pixels of the type and the type's
    share on the others, so both class moments suffice. On features of networks, which are nearly collinear, L-BFGS
    then needs a third of the steps, and steps of length 1.
    """
    hessian = support.type / 4 + jnp.maximum(support.share, 1e-6) * support.background
    size = hessian.shape[0]
    ridge = jnp.full(size, l2).at[-1].set(0.0) + 1e-6 * (1e-6 + jnp.trace(hessian) / size)
    lower = jnp.linalg.cholesky(hessian + jnp.diag(ridge))
    return jax.scipy.linalg.solve_triangular(lower.T, jnp.eye(size), lower=False)


class Descent(NamedTuple):
    """Where L-BFGS stands; fields as in `Newton`."""

    point: Float[Array, " N"]
    value: Float[Array, ""]
    gradient: Float[Array, " N"]
    memory: Any
    direction: Float[Array, " N"]
    scale: Float[Array, ""]
    passes: Int[Array, ""]


def lbfgs(
    evaluate: Callable[[Array], tuple[Array, Array]], start: Float[Array, " N"], most_passes: int, tolerance: float
) -> Descent:
    """Minimum of an objective whose Hessian is near the identity; `evaluate` gives its value and gradient.

    It ends when half the product of gradient and step, about the distance to the minimum, is below tolerance x the
    value at the start, or after `most_passes` evaluations. Every pass of the loop evaluates the objective once: a step
    that does not lower it (Armijo's rule) is halved in the next pass. So under `vmap` no fit waits for another one's
    line search.

    Source: Liu and Nocedal, Mathematical Programming 45 (1989); two-loop recursion by optax.
    """
    recursion = optax.scale_by_lbfgs(memory_size=MEMORY)

    def goes_on(state):
        gap = jnp.vdot(state.direction, state.gradient) / 2
        return (state.passes < most_passes) & (gap > enough) & (state.scale > SMALLEST_STEP)

    def advance(state):
        candidate = state.point - state.scale * state.direction
        value, gradient = evaluate(candidate)
        promised = state.scale * jnp.vdot(state.direction, state.gradient)
        lower = value <= state.value - ARMIJO * promised
        found, memory = recursion.update(gradient, state.memory, candidate)
        # without convexity the recursion may point uphill
        found = jnp.where(jnp.vdot(found, gradient) > 0, found, gradient)
        taken = Descent(candidate, value, gradient, memory, found, jnp.float32(1), state.passes)
        kept = state._replace(scale=state.scale / 2)
        chosen = jax.tree.map(lambda new, old: jnp.where(lower, new, old), taken, kept)
        return chosen._replace(passes=state.passes + 1)

    value, gradient = evaluate(start)
    enough = tolerance * value
    direction, memory = recursion.update(gradient, recursion.init(start), start)
    return jax.lax.while_loop(
        goes_on, advance, Descent(start, value, gradient, memory, direction, jnp.float32(1), jnp.int32(1))
    )


class Newton(NamedTuple):
    """Where Newton's method stands.

    Attributes:
        point, loss: best so far; direction: Newton's step from there; scale: what part of it is tried next.
        gap: about how far the loss lies above its minimum.
        passes: evaluations done.
    """

    point: Float[Array, " F1"]
    loss: Float[Array, ""]
    direction: Float[Array, " F1"]
    scale: Float[Array, ""]
    gap: Float[Array, ""]
    passes: Int[Array, ""]

    @property
    def candidate(self) -> Float[Array, " F1"]:
        """Point to evaluate next."""
        return self.point - self.scale * self.direction


def newton_start(point: Float[Array, " F1"]) -> Newton:
    """Before the first evaluation, which is at `point`."""
    infinite = jnp.float32(jnp.inf)
    return Newton(point, infinite, jnp.zeros_like(point), jnp.float32(1), infinite, jnp.int32(0))


def newton_advance(
    state: Newton, loss: Float[Array, ""], gradient: Float[Array, " F1"], hessian: Float[Array, "F1 F1"]
) -> Newton:
    """Take the candidate, given what was found there, or where the loss has risen try half the step."""
    direction = jax.scipy.linalg.solve(hessian, gradient, assume_a="pos")
    better = loss < state.loss

    def choose(new, old):
        return jnp.where(better, new, old)

    return Newton(
        point=choose(state.candidate, state.point),
        loss=choose(loss, state.loss),
        direction=choose(direction, state.direction),
        scale=choose(1.0, state.scale / 2),
        gap=choose(jnp.vdot(gradient, direction) / 2, state.gap),
        passes=state.passes + 1,
    )


def newton_goes_on(state: Newton, start_loss: Float[Array, ""], most_passes: int, tolerance: float) -> Array:
    """Whether another pass is worth it: the gap is above tolerance x the loss at the start."""
    return (state.passes < most_passes) & (state.gap > tolerance * start_loss) & (state.scale > SMALLEST_STEP)
