"""Perceptrons against SciPy's optimiser in float64, closed forms, and the losses of training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from segjax.fewshot.linear import Logistic, Ridge, SoftDice, softplus
from segjax.training import soft_dice
from segjax.types import InputError


def optimum(features, targets, l2, balanced):
    """Loss and minimiser of the regularised logistic loss by BFGS in float64."""
    known = targets >= 0
    x, y = features[known].astype(np.float64), (targets[known] == 1).astype(np.float64)
    rows = np.full(len(y), 1 / len(y))
    if balanced:
        rows = np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum())

    def loss(point):
        scores = x @ point[:-1] + point[-1]
        residual = rows * (1 / (1 + np.exp(-scores)) - y)
        value = np.sum(rows * (np.logaddexp(0, scores) - y * scores)) + l2 / 2 * np.sum(point[:-1] ** 2)
        return value, np.append(x.T @ residual + l2 * point[:-1], residual.sum())

    return minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="BFGS", options={"gtol": 1e-9}), loss


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_logistic_reaches_the_optimum(support, solver, balanced):
    features, targets = support
    best, loss = optimum(features, targets, 1e-3, balanced)
    head = Logistic(1e-3, balanced, solver, tolerance=1e-6)
    found = jax.jit(head.fit)(features, targets, jnp.ones(4))
    value, _ = loss(np.append(found["weights"], found["bias"]).astype(np.float64))
    assert abs(value - best.fun) < 1e-5
    np.testing.assert_allclose(found["weights"], best.x[:-1], atol=0.02)
    np.testing.assert_allclose(
        head.loss(features, targets, jnp.ones(4), jnp.ones(5))(jnp.append(found["weights"], found["bias"])),
        value,
        rtol=1e-5,
    )


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_logistic_ends_where_the_type_can_be_told_without_error(solver):
    targets = np.zeros((1, 8, 8), np.int32)
    targets[0, :3] = 1
    features = np.stack([targets * 4.0 - 1, np.ones(targets.shape)], -1).astype(np.float32)
    head = Logistic(1e-5, solver=solver)
    found = jax.jit(head.fit)(features, targets, jnp.ones(1))
    best, loss = optimum(features, targets, 1e-5, False)
    assert loss(np.append(found["weights"], found["bias"]).astype(np.float64))[0] - best.fun < 1e-4
    np.testing.assert_array_equal(np.asarray(head.predict(found, features)) > 0, targets == 1)


def test_ridge_is_the_least_squares_solution(support):
    features, targets = support
    known = targets >= 0
    x, y = features[known].astype(np.float64), np.where(targets[known] == 1, 1.0, -1.0)
    extended = np.concatenate([x, np.ones((len(x), 1))], 1)
    penalty = np.diag([0.01] * 5 + [0])
    for balanced in (False, True):
        rows = np.full(len(y), 1 / len(y))
        if balanced:
            rows = np.where(y > 0, 0.5 / (y > 0).sum(), 0.5 / (y < 0).sum())
        expected = np.linalg.solve(extended.T @ (extended * rows[:, None]) + penalty, extended.T @ (rows * y))
        found = Ridge(0.01, balanced).fit(features, targets, jnp.ones(4))
        np.testing.assert_allclose(np.append(found["weights"], found["bias"]), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_soft_dice_ends_in_a_minimum_of_the_loss_of_training(support):
    features, targets = support
    head = SoftDice(1e-4)
    found = jax.jit(head.fit)(features, targets, jnp.ones(4))

    def loss(params):
        scores = head.predict(params, features)
        logits = jnp.stack([jnp.zeros_like(scores), scores], -1)
        return soft_dice(logits, jnp.asarray(targets)) + 1e-4 / 2 * jnp.sum(params["weights"] ** 2)

    value, gradient = jax.value_and_grad(loss)(found)
    start = jax.jit(Logistic(1e-4).fit)(features, targets, jnp.ones(4))
    assert value < loss(start) - 0.01
    assert max(float(jnp.abs(part).max()) for part in jax.tree.leaves(gradient)) < 3e-3


def test_softplus_and_its_gradient():
    x = jnp.linspace(-30, 30, 41)
    np.testing.assert_allclose(softplus(x), jax.nn.softplus(x), atol=2e-7, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(softplus))(x), jax.nn.sigmoid(x), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Logistic(l2=0.0), "l2"),
        (lambda: Logistic(solver="sgd"), "solver"),
        (lambda: Logistic(tolerance=-1.0), "tolerance"),
        (lambda: SoftDice(most_steps=0), "most_steps"),
        (lambda: Ridge(l2=float("nan")), "l2"),
    ],
)
def test_options_out_of_range_are_refused(make, word):
    with pytest.raises(InputError, match=word):
        make()
