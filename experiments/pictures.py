"""Pictures of a study as arrays, their splits, and faulty annotations drawn for them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Key

from experiments.options import AnnotationOptions, RunOptions
from segjax.annotations import Recipe, degrade_groups
from segjax.data import Split, make_split, open_source
from segjax.types import IGNORED, InputError, Sample, Source


@dataclass(frozen=True, eq=False)
class PictureSet:
    """All pictures of a source, of one size.

    Attributes:
        source: where they come from.
        images: float32 [P, H, W, C].
    """

    source: Source
    images: Float32[np.ndarray, "P H W C"]


@dataclass(frozen=True, eq=False)
class Domain(PictureSet):
    """Pictures with the target objects and the foreign ones apart.

    Attributes:
        labels, foreign: int32 [P, H, W], objects of the target class and the others.
        ignored: bool [P, H, W], pixels that nobody judged; `labels` and `foreign` are 0 there.
    """

    labels: Int32[np.ndarray, "P H W"]
    foreign: Int32[np.ndarray, "P H W"]
    ignored: Bool[np.ndarray, "P H W"]

    def members(self, indices: tuple[int, ...]) -> list[np.ndarray]:
        """Of these pictures, the positions (in `indices`) that belong to each group."""
        groups = np.asarray([self.source.groups[index] for index in indices])
        return [np.flatnonzero(groups == group) for group in dict.fromkeys(groups)]

    @property
    def largest_id(self) -> int:
        """A power of two (less one) above every id, so that few sizes are ever compiled."""
        return 1 << int(max(self.labels.max(), self.foreign.max(), 62)).bit_length()


def open_target(config: AnnotationOptions) -> Source:
    """The source of a study's pictures.

    Raises:
        InputError: it cannot be opened, or has no such class as the target.
    """
    source = open_source(config.data)
    if config.target > len(source.class_names):
        raise InputError(
            f"target: class {config.target} is not among those of {config.data}: {', '.join(source.class_names)}"
        )
    return source


def read_samples(source: Source) -> list[Sample]:
    """Every picture of a source.

    Raises:
        InputError: pictures differ in size or channels.
    """
    samples = [source[index] for index in range(len(source))]
    shapes = {sample.image.shape for sample in samples}
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:4])
        raise InputError(
            f"{source.spec}: pictures differ in size ({sizes}, ...); cut them alike with the option tile=256"
        )
    return samples


def unjudged(samples: Sequence[Sample]) -> Bool[np.ndarray, "P H W"]:
    """The pixels that nobody judged."""
    judged = np.zeros(samples[0].labels.shape, bool)
    return np.stack([judged if sample.ignored is None else sample.ignored for sample in samples])


def read_domain(source: Source, target: int) -> Domain:
    """Read every picture of a source.

    Raises:
        InputError: pictures differ in size or channels, or none shows an object of the target class.
    """
    samples = read_samples(source)
    labels = np.stack([sample.of_class(target) for sample in samples])
    if not labels.any():
        raise InputError(f"{source.spec}: no picture shows an object of class {target}")
    everything = np.stack([sample.labels for sample in samples])
    images = np.stack([sample.image for sample in samples])
    return Domain(source, images, labels, np.where(labels == 0, everything, 0), unjudged(samples))


def split_of(pictures: PictureSet, config: RunOptions, seed: int) -> Split:
    """Train, validation and test pictures of a seed; the test groups are those of the data, or fold `seed`."""
    return make_split(
        pictures.source, fold=seed % config.folds, folds=config.folds, validation=config.validation, seed=seed
    )


def faulty_targets(
    key: Key[Array, ""], domain: Domain, indices: tuple[int, ...], recipe: Recipe
) -> Int32[np.ndarray, "P H W"]:
    """Targets (1 object, 0 background, -1 ignored) of pictures with the recipe's errors, drawn group by group."""
    members = domain.members(indices)
    labels = [domain.labels[np.asarray(indices)[positions]] for positions in members]
    foreign = [domain.foreign[np.asarray(indices)[positions]] for positions in members]
    masks = degrade_groups(key, labels, recipe, foreign if recipe.inclusion else None, max_objects=domain.largest_id)
    targets = np.zeros((len(indices), *domain.labels.shape[1:]), np.int32)
    for positions, mask in zip(members, masks, strict=True):
        targets[positions] = np.asarray(mask)
    return np.where(domain.ignored[np.asarray(indices)], IGNORED, targets)


def stable_number(text: str) -> int:
    """A number below 2**31 from a text, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
