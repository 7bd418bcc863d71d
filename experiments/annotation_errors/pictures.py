"""Pictures of the study with and without foreign objects pasted in, and training pictures with faulty annotations."""

from dataclasses import dataclass

import jax
import numpy as np

from experiments.annotation_errors.config import StudyConfig, levels_of, recipe_of
from experiments.pictures import Domain, faulty_targets, open_target, read_domain, stable_number
from segjax.annotations import Recipe
from segjax.data import Split, open_source, pasted
from segjax.evaluation import counts, dice
from segjax.training import Pictures
from segjax.types import InputError


@dataclass(frozen=True, eq=False)
class Study:
    """Opened data of a configuration: plain pictures and, for inclusion, those with foreign objects pasted in."""

    plain: Domain
    with_foreign: Domain | None

    @property
    def has_own_foreign(self) -> bool:
        """Whether the plain pictures show foreign objects themselves."""
        return self.with_foreign is self.plain

    def domain(self, error: str) -> Domain:
        """Pictures that the cells of an error are trained and tested on."""
        return self.with_foreign if error == "inclusion" and self.with_foreign is not None else self.plain


def open_study(config: StudyConfig) -> Study:
    """Open and read the pictures of a resolved configuration.

    Raises:
        InputError: the data cannot be used, or inclusion has no foreign objects to include.
    """
    source = open_target(config)
    plain = read_domain(source, config.target)
    if "inclusion" not in config.errors:
        return Study(plain, None)
    if config.extra is not None:
        return Study(plain, read_domain(pasted(source, open_source(config.extra)), config.target))
    if not plain.foreign.any():
        raise InputError(
            f"inclusion needs foreign objects, and {config.data} has only one class: name a source of them "
            "with --extra, as in --extra microscope:granulocytes, or leave it out: --errors omission bias"
        )
    return Study(plain, plain)


def training_pictures(domain: Domain, split: Split, recipe: Recipe, seed: int) -> tuple[Pictures, Pictures, float]:
    """Training and validation pictures with faulty targets, and the Dice of those targets against the clean ones."""
    indices = (*split.train, *split.validation)
    key = jax.random.fold_in(jax.random.key(seed), stable_number(str(recipe)))
    targets = faulty_targets(key, domain, indices, recipe)
    clean = domain.labels[np.asarray(indices)] > 0
    label_dice = float(dice(counts(targets > 0, clean).pooled()))
    cut = len(split.train)
    images = domain.images[np.asarray(indices)]
    return Pictures(images[:cut], targets[:cut]), Pictures(images[cut:], targets[cut:]), label_dice


def check_recipes(config: StudyConfig, study: Study) -> None:
    """Refuse strengths that change nothing or cannot be drawn, before anything is trained.

    Raises:
        InputError: names the strength, and what to do.
    """
    for error in config.errors:
        domain = study.domain(error)
        for level in levels_of(config, error):
            recipe_of(config, error, level, domain.source.coarsening)
            if error in ("omission", "inclusion") and config.scope != "object":
                objects = domain.labels if error == "omission" else domain.foreign
                most = _most_objects(objects, domain, per_picture=config.scope == "picture")
                if int(level * most + 1e-6) == 0:
                    raise InputError(
                        f"levels: {error} {level:g} of at most {most} objects is none in any {config.scope}; "
                        "give a higher rate, or draw over more objects with another --scope"
                    )


def _most_objects(objects: np.ndarray, domain: Domain, per_picture: bool) -> int:
    every = tuple(range(len(objects)))
    units = [np.asarray([index]) for index in every] if per_picture else domain.members(every)
    return max(len(np.setdiff1d(np.unique(objects[positions]), [0])) for positions in units)
