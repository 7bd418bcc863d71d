"""Annotation errors by name and strength, as they are given on command lines, and the recipes they stand for."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from segjax.annotations import Recipe
from segjax.files import read_file
from segjax.types import InputError

RATE_ERRORS = ("omission", "inclusion")
PIXEL_ERRORS = ("bias", "jitter", "shift")  # strengths in published pixels; they scale with coarser pixels
COUNT_ERRORS = ("polygon", "markov")  # corners, and steps, which move an outline by pixels of the pictures at hand
ERRORS = (*RATE_ERRORS, *PIXEL_ERRORS, *COUNT_ERRORS)


def recipe_from(strengths: Mapping[str, float], drawn: Mapping[str, Any], coarsening: float, option: str) -> Recipe:
    """The recipe of some errors; strengths in pixels are divided by `coarsening`, and those of 0 left out.

    Args:
        drawn: how errors are drawn, as `AnnotationOptions.drawn`.
        option: the name of the command line's option that the strengths came from.

    Raises:
        InputError: a bias strength that is not a whole number of the pictures' pixels.
    """
    fields: dict[str, Any] = {}
    for error, level in strengths.items():
        if level == 0:
            continue
        fields[error] = level / coarsening if error in PIXEL_ERRORS else level
        if error in COUNT_ERRORS:
            fields[error] = int(level)
        if error == "bias":
            pixels = fields[error]
            if abs(pixels - round(pixels)) > 1e-6 or round(pixels) < 1:
                raise InputError(
                    f"{option}: bias {level:g} is {pixels:.2f} pixels of these pictures, whose pixels are "
                    f"{coarsening:g} times as coarse as published; give multiples of {coarsening:g}, or finer pictures "
                    "(size=paper)"
                )
            fields[error] = round(pixels)
    return Recipe(**fields, **drawn)


def is_combined(error: str) -> bool:
    """Whether it is a text with strengths, as omission=0.3+bias=4, and not the name of an error."""
    return "=" in error


def spelled(error: str, option: str, without: Collection[str] = ()) -> str:
    """An error's text; of a file NAME.json, such as `compare_labels` writes, the text of what masks show of its recipe.

    Merged and split objects and confused classes leave no trace in masks and are left out.

    Args:
        without: further errors that are left out of a file.

    Raises:
        InputError: there is no such file, it is no recipe, or masks show nothing of it; names the option.
    """
    if not error.endswith(".json"):
        return error
    try:
        recipe = Recipe.from_json(read_file(Path(error)).decode())
    except FileNotFoundError:
        raise InputError(f"{option}: {error} is not a file; correct the name") from None
    except ValueError as reason:  # of the encoding, or of the recipe
        raise InputError(f"{option}: {error} is not a recipe ({reason}); give one that compare_labels wrote") from None
    offered = [name for name in ERRORS if name not in without]
    strengths = [f"{name}={getattr(recipe, name):g}" for name in offered if recipe.has(name)]
    if not strengths:
        raise InputError(f"{option}: the recipe in {error} has no error that is used here; give {', '.join(offered)}")
    return "+".join(strengths)


def strengths_of(error: str, option: str) -> dict[str, float]:
    """The strengths by name that a text like omission=0.3+bias=4 stands for.

    Args:
        option: the name of the command line's option that the text came from.

    Raises:
        InputError: not such a text, an unknown error, or a strength out of range; names the option.
    """
    strengths: dict[str, float] = {}
    for part in error.split("+"):
        name, _, number = part.partition("=")
        try:
            level = float(number)
        except ValueError:
            raise InputError(
                f"{option}: {part!r} in {error!r} is not ERROR=STRENGTH, such as omission=0.3+inclusion=0.3+bias=4"
            ) from None
        if name not in ERRORS or name in strengths:
            raise InputError(
                f"{option}: {name!r} in {error!r} is unknown or given twice; choose from {', '.join(ERRORS)}"
            )
        if not (0 < level <= 1 if name in RATE_ERRORS else 0 < level < float("inf")):
            kind = "a rate above 0 and up to 1" if name in RATE_ERRORS else "a number above 0"
            raise InputError(f"{option}: {name} in {error!r} must be {kind}, not {number}")
        if name in COUNT_ERRORS and level != int(level):
            raise InputError(f"{option}: {name} in {error!r} must be a whole number, not {number}")
        strengths[name] = level
    return strengths
