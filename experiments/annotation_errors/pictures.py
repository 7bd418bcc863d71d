"""Pictures of study 1 with and without foreign objects pasted in, and targets with drawn errors."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32

from experiments.annotation_errors.grid import Config, includes, strengths_at
from experiments.harness.networks import check_trainable
from experiments.harness.pictures import (
    Domain,
    Opener,
    Splitting,
    faulty_targets,
    open_target,
    read_domain,
    stable_number,
)
from segjax.annotations import Recipe
from segjax.annotations.ids import count_of
from segjax.data import Split, open_source
from segjax.data.paste import pasted
from segjax.types import InputError, Source


@dataclass(frozen=True, eq=False)
class ErrorDomains:
    """Plain pictures and, for inclusion, those with foreign objects pasted in."""

    plain: Domain
    with_foreign: Domain | None

    @property
    def source(self) -> Source:
        """That of the plain pictures."""
        return self.plain.source

    @property
    def split(self) -> Callable[[int], Split]:
        """Pictures with foreign objects pasted in are divided like the plain ones."""
        return self.plain.split

    @property
    def has_own_foreign(self) -> bool:
        """Whether the plain pictures show foreign objects themselves."""
        return self.with_foreign is self.plain

    def domain(self, error: str) -> Domain:
        """Pictures that the trials of an error are trained and tested on."""
        return self.with_foreign if includes(error) and self.with_foreign is not None else self.plain


def read(config: Config, opener: Opener = open_source) -> ErrorDomains:
    """Open and read the pictures of a resolved configuration.

    Raises:
        InputError: the data cannot be used, inclusion has no foreign objects to include, or a strength changes nothing
            or cannot be drawn.
    """
    data = _read(config, opener)
    for error in config.errors:
        for level in config.levels_of(error):
            for name, strength in strengths_at(error, level).items():
                _check_changes(config, data.domain(error), name, strength)
    check_trainable(config.segmentation, data.plain, config.run.seeds)
    return data


def drawn_targets(domain: Domain, split: Split, recipe: Recipe, seed: int) -> Int32[np.ndarray, "P H W"]:
    """Targets of the training pictures and then the validation pictures, with the errors of a seed."""
    key = jax.random.fold_in(jax.random.key(seed), stable_number(str(recipe)))
    return faulty_targets(key, domain, (*split.train, *split.validation), recipe)


def _read(config: Config, opener: Opener) -> ErrorDomains:
    options, splitting = config.annotations, Splitting.of(config.source)
    source = open_target(config.source, options.target, opener)
    for error in config.errors:  # before the pictures are read, which can take minutes
        for level in config.levels_of(error):
            config.recipe(error, level, source.coarsening)
    plain = read_domain(source, splitting, options.target)
    if not any(map(includes, config.errors)):
        return ErrorDomains(plain, None)
    if options.extra is not None:
        return ErrorDomains(plain, read_domain(pasted(source, open_source(options.extra)), splitting, options.target))
    if not plain.foreign.any():
        raise InputError(
            f"errors: inclusion needs foreign objects, and {config.source.data} has only one class; give a source of "
            "them, such as --extra microscope:granulocytes, or leave inclusion out, as in --errors omission bias"
        )
    return ErrorDomains(plain, plain)


def _check_changes(config: Config, domain: Domain, error: str, level: float) -> None:
    scope = config.annotations.scope
    if error in ("omission", "inclusion") and scope != "object":
        objects = domain.labels if error == "omission" else domain.foreign
        most = _most_objects(objects, domain, scope)
        if count_of(level, most, config.annotations.drawn[f"{error}_rounding"]) == 0:
            units = "the data set has no" if scope == "dataset" else f"no {scope} has"
            raise InputError(
                f"levels: {error} at a rate of {level:g} changes nothing, since {units} more than {most} "
                "objects; give a higher rate, leave the error out, or draw over more objects with another --scope"
            )


def _most_objects(objects: np.ndarray, domain: Domain, scope: str) -> int:
    every = tuple(range(len(objects)))
    of_pictures = [np.asarray([index]) for index in every]
    units = {"dataset": [np.asarray(every)], "picture": of_pictures}.get(scope) or domain.members(every)
    return max(len(np.setdiff1d(np.unique(objects[positions]), [0])) for positions in units)
