"""Which errors an upgrade network learns to repair: one recipe, or many of which every read draws one."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32

from segjax.annotations import Recipe
from segjax.ops.components import components
from segjax.types import InputError

MOST_RECIPES = 64  # rows of every table, so that one compilation serves a single recipe and any mixture
PUBLISHED_ERRORS = ("omission", "inclusion", "bias")


def mixture(scope: str = "picture", **strengths: Sequence[float | int]) -> list[Recipe]:
    """Every combination of the strengths of several errors, no error included: for users who do not know theirs.

    `mixture(omission=(0.25, 0.5, 0.7), bias=(2, 4, 6))` are 16 recipes; 0 is added to the strengths of each error.

    Args:
        scope: of all recipes; see `Recipe`.
        strengths: for each error, a field of `Recipe`, the strengths beside 0.

    Raises:
        InputError: no error, an unknown one, or more than 64 combinations.

    >>> [(recipe.omission, recipe.bias) for recipe in mixture(omission=[0.3], bias=[2, 4])]
    [(0.0, 0), (0.0, 2), (0.0, 4), (0.3, 0), (0.3, 2), (0.3, 4)]
    """
    known = [field.name for field in fields(Recipe) if field.name not in Recipe().drawn]
    for name in strengths:
        if name not in known:
            raise InputError(f"mixture: unknown error {name!r}; choose from {', '.join(known)}")
    if not strengths:
        raise InputError(f"mixture: name at least one error with its strengths, from {', '.join(known)}")
    if alone := [name for name, given in strengths.items() if np.ndim(given) != 1]:
        raise InputError(f"mixture: {alone[0]} takes several strengths, as in {alone[0]}=({strengths[alone[0]]!r},)")
    levels = [sorted({0, *given}) for given in strengths.values()]
    count = int(np.prod([len(values) for values in levels]))
    if count > MOST_RECIPES:
        raise InputError(f"mixture: {count} combinations; give fewer strengths, at most {MOST_RECIPES} combinations")
    chosen: Iterator[dict[str, Any]] = (dict(zip(strengths, each, strict=True)) for each in product(*levels))
    return [Recipe(**each, scope=scope) for each in chosen]


def recipe_table(
    recipes: Sequence[Recipe], weights: Sequence[float | int] | None = None, errors: Sequence[str] = PUBLISHED_ERRORS
) -> tuple[Recipe, Float32[np.ndarray, " R"]]:
    """A recipe whose strengths are arrays over R = 64 recipes, and how likely each of them is.

    Args:
        recipes: 1 to 64, equal in scope, not all without errors.
        weights: how often each is drawn, relative to the others; equally often by default.
        errors: errors that have a place in the table although no recipe has them. Tables with the same errors and scope
            share compiled steps.

    Raises:
        InputError: too many recipes, no error in any of them, scopes that differ, or weights that do not fit.
    """
    if not 1 <= len(recipes) <= MOST_RECIPES:
        raise InputError(f"recipes: give 1 to {MOST_RECIPES}, not {len(recipes)}")
    names = [field.name for field in fields(Recipe) if field.name not in recipes[0].drawn]
    if not any(recipe.has(name) for recipe in recipes for name in names):
        raise InputError("recipes: none of them has an error, so there is nothing to repair; give a strength above 0")
    given = np.ones(len(recipes)) if weights is None else np.asarray(weights, float)
    if given.shape != (len(recipes),) or not np.all(np.isfinite(given)) or given.min() < 0 or given.sum() == 0:
        raise InputError(f"weights: give {len(recipes)} numbers from 0 on, one per recipe, not all 0")
    rows = Recipe.stack([*recipes, *[recipes[0]] * (MOST_RECIPES - len(recipes))])
    kinds = {"bias": np.int32, "polygon": np.int32, "markov": np.int32}
    absent: dict[str, Any] = {
        name: np.zeros(MOST_RECIPES, kinds.get(name, np.float32)) for name in errors if not rows.has(name)
    }
    probability = np.zeros(MOST_RECIPES, np.float32)
    probability[: len(recipes)] = given / given.sum()
    return replace(rows, **absent), probability


def borrowed_objects(labels: Int32[np.ndarray, "P H W"]) -> Int32[np.ndarray, "P H W"]:
    """Foreign objects for pictures that show none: those of the next picture, turned by 180 degrees, on the background.

    Inclusion that takes from them marks objects where the picture shows nothing of the kind, as false alarms are. Of an
    object that lies on objects of the picture by more than a half, nothing is kept.
    """
    others = np.roll(labels, -1, axis=0)[:, ::-1, ::-1]
    free = np.where(labels > 0, 0, others)
    for one, other in zip(free, others, strict=True):
        count = int(other.max()) + 1
        areas, left = np.bincount(other.ravel(), minlength=count), np.bincount(one.ravel(), minlength=count)
        one[(2 * left < areas)[one]] = 0
    return free


def rejected_objects(
    noisy: Bool[np.ndarray, "P H W"], repaired: Bool[np.ndarray, "P H W"]
) -> Int32[np.ndarray, "P H W"]:
    """Foreign objects of pictures without clean labels: the connected pieces of noisy masks that repair took out.

    Of such a piece less than half its pixels are left in the repaired mask. They are where annotators included objects
    wrongly, so a network that learns from repaired labels can be shown the same again.
    """
    pieces = np.stack([components(mask) for mask in noisy])
    for one, kept in zip(pieces, repaired, strict=True):
        count = int(one.max()) + 1
        areas, left = np.bincount(one.ravel(), minlength=count), np.bincount(one[kept], minlength=count)
        one[(2 * left >= areas)[one]] = 0
    return pieces
