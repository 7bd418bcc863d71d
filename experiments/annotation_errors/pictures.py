"""Pictures of the study as arrays, their splits, and faulty annotations drawn for them."""

import hashlib
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float32, Int32, Key

from experiments.annotation_errors.config import StudyConfig, levels_of, recipe_of
from segjax.annotations import Recipe, degrade_groups
from segjax.data import Split, make_split, open_source, pasted
from segjax.evaluation import counts, dice
from segjax.training import Pictures
from segjax.types import InputError, Source


@dataclass(frozen=True, eq=False)
class Domain:
    """All pictures of a source, of one size, with the target objects and the foreign ones apart.

    Attributes:
        source: where they come from.
        images: float32 [P, H, W, C]; labels, foreign: int32 [P, H, W], objects of the target class and the others.
    """

    source: Source
    images: Float32[np.ndarray, "P H W C"]
    labels: Int32[np.ndarray, "P H W"]
    foreign: Int32[np.ndarray, "P H W"]

    def members(self, indices: tuple[int, ...]) -> list[np.ndarray]:
        """Of these pictures, the positions (in `indices`) that belong to each group."""
        groups = np.asarray([self.source.groups[index] for index in indices])
        return [np.flatnonzero(groups == group) for group in dict.fromkeys(groups)]


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
    source = open_source(config.data)
    if config.target > len(source.class_names):
        raise InputError(
            f"target: class {config.target} is not among those of {config.data}: {', '.join(source.class_names)}"
        )
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


def read_domain(source: Source, target: int) -> Domain:
    """Read every picture of a source.

    Raises:
        InputError: pictures differ in size or channels, or none shows an object of the target class.
    """
    samples = [source[index] for index in range(len(source))]
    shapes = {sample.image.shape for sample in samples}
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:4])
        raise InputError(
            f"{source.spec}: pictures differ in size ({sizes}, ...); cut them alike with the option tile=256"
        )
    labels = np.stack([sample.of_class(target) for sample in samples])
    if not labels.any():
        raise InputError(f"{source.spec}: no picture shows an object of class {target}")
    everything = np.stack([sample.labels for sample in samples])
    return Domain(source, np.stack([sample.image for sample in samples]), labels, np.where(labels == 0, everything, 0))


def split_of(domain: Domain, config: StudyConfig, seed: int) -> Split:
    """Train, validation and test pictures of a seed; the test groups are those of the data, or fold `seed`."""
    return make_split(
        domain.source, fold=seed % config.folds, folds=config.folds, validation=config.validation, seed=seed
    )


def faulty_targets(
    key: Key[Array, ""], domain: Domain, indices: tuple[int, ...], recipe: Recipe
) -> Int32[np.ndarray, "P H W"]:
    """Targets (1 object, 0 background) of some pictures with the recipe's errors, drawn group by group."""
    members = domain.members(indices)
    labels = [domain.labels[np.asarray(indices)[positions]] for positions in members]
    foreign = [domain.foreign[np.asarray(indices)[positions]] for positions in members]
    masks = degrade_groups(key, labels, recipe, foreign if recipe.inclusion else None, max_objects=_largest_id(domain))
    targets = np.zeros((len(indices), *domain.labels.shape[1:]), np.int32)
    for positions, mask in zip(members, masks, strict=True):
        targets[positions] = np.asarray(mask)
    return targets


def _largest_id(domain: Domain) -> int:
    """A power of two above every id, so that few sizes are ever compiled."""
    return 1 << int(max(domain.labels.max(), domain.foreign.max(), 62)).bit_length()


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


def stable_number(text: str) -> int:
    """A number below 2**31 from a text, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


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
