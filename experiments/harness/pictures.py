"""Pictures of a study as arrays, their splits, and faulty annotations drawn for them."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Literal

import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Key

from experiments.harness.options import DataOptions
from segjax.annotations import Recipe, degrade_groups
from segjax.data import Split, make_split, open_source
from segjax.data.spec import parse_spec
from segjax.simulators.phantoms import last_sixth
from segjax.types import IGNORED, InputError, Sample, Source

UNITS = {"microscope": "volumes", "terrain": "sheets"}  # the option that says how many groups a simulated set has
Opener = Callable[[str], Source]  # spec -> source; `experiments.check` gives one that has the pictures in memory


@dataclass(frozen=True)
class Splitting:
    """How pictures are divided: the test groups are those of the data, or fold `seed`.

    Attributes:
        folds: test groups, where the data do not name them.
        validation: whether groups or single pictures are held out for choosing the best epoch.
        share: of the groups or pictures that remain, those that are held out.
        replicates: parts of equally many groups that the source consists of; each seed uses one of them alone.
    """

    folds: int
    validation: Literal["group", "slice"]
    share: float = 0.3
    replicates: int = 1

    @classmethod
    def of(cls, options: DataOptions, share: float = 0.3) -> "Splitting":
        """As the options say."""
        replicates = options.replicates if parse_spec(options.data).scheme in UNITS else 1
        return cls(options.folds, options.validation, share, replicates)

    @property
    def distinct(self) -> int:
        """Seeds after which the test sets come again."""
        return lcm(self.folds, self.replicates)

    def split(self, source: Source, seed: int) -> Split:
        """Train, validation and test pictures of a seed.

        Raises:
            InputError: the groups cannot be divided so.
        """
        groups: list[str] = []
        if self.replicates > 1:
            every = list(dict.fromkeys(source.groups))
            size, place = len(every) // self.replicates, seed % self.replicates
            groups = every[place * size : (place + 1) * size]
        return make_split(
            source,
            groups=groups,
            test_groups=last_sixth(groups) if groups and source.test_groups else None,
            fold=seed % self.folds,
            folds=self.folds,
            validation=self.validation,
            validation_share=self.share,
            seed=seed,
        )


@dataclass(frozen=True, eq=False)
class PictureSet:
    """All pictures of a source, of one size.

    Attributes:
        source: where they come from.
        splitting: how they are divided.
        images: float32 [P, H, W, C].
    """

    source: Source
    splitting: Splitting
    images: Float32[np.ndarray, "P H W C"]

    @functools.cached_property
    def split(self) -> Callable[[int], Split]:
        """Train, validation and test pictures by seed."""
        return functools.cache(lambda seed: self.splitting.split(self.source, seed))


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
        """A power of two above every id, so that few sizes are ever compiled."""
        return 1 << int(max(self.labels.max(), self.foreign.max(), 62)).bit_length()


def open_pictures(options: DataOptions, opener: Opener = open_source) -> Source:
    """The source of a study's pictures; of a simulated set, all its replicates.

    Raises:
        InputError: it cannot be opened.
    """
    source, scheme = opener(options.data), parse_spec(options.data).scheme
    if options.replicates == 1 or scheme not in UNITS:
        return source
    whole = parse_spec(source.spec)  # names the options that were left at their defaults, too
    several = str(int(whole.options[UNITS[scheme]]) * options.replicates)
    return opener(str(dataclasses.replace(whole, options={**whole.options, UNITS[scheme]: several})))


def open_target(options: DataOptions, target: int, opener: Opener = open_source) -> Source:
    """The source of a study's pictures.

    Raises:
        InputError: it cannot be opened, or has no such class as the target.
    """
    source = open_pictures(options, opener)
    check_target(source, target)
    return source


def check_target(source: Source, target: int) -> None:
    """Raises InputError where a source has no such class."""
    if target > len(source.class_names):
        raise InputError(f"target: class {target} is not among those of {source.spec}: {', '.join(source.class_names)}")


def read_samples(source: Source) -> Iterator[Sample]:
    """Every picture of a source in turn.

    Raises:
        InputError: pictures differ in size or channels.
    """
    first: tuple[str, tuple[int, ...]] | None = None
    for index in range(len(source)):
        sample = source[index]
        first = first or (sample.name, sample.image.shape)
        if sample.image.shape != first[1]:
            sizes = ", ".join(f"{n} {'x'.join(map(str, s))}" for n, s in (first, (sample.name, sample.image.shape)))
            raise InputError(
                f"{source.spec}: pictures differ in size ({sizes}, ...); cut them into tiles of one size with the "
                "option tile=256"
            )
        yield sample


def unjudged(samples: Sequence[Sample]) -> Bool[np.ndarray, "P H W"]:
    """The pixels that nobody judged."""
    judged = np.zeros(samples[0].labels.shape, bool)
    return np.stack([judged if sample.ignored is None else sample.ignored for sample in samples])


def check_shown(source: Source, samples: Iterable[Sample], target: int) -> None:
    """Raises InputError where none of a source's pictures shows an object of a class; all are looked at."""
    if not sum(int(sample.of_class(target).any()) for sample in samples):
        raise InputError(
            f"{source.spec}: no picture shows an object of class {target}; give another target, or pictures that do"
        )


def read_domain(source: Source, splitting: Splitting, target: int) -> Domain:
    """Read every picture of a source.

    Raises:
        InputError: pictures differ in size or channels, or none shows an object of the target class.
    """
    samples = list(read_samples(source))
    check_shown(source, samples, target)
    labels = np.stack([sample.of_class(target) for sample in samples])
    everything = np.stack([sample.labels for sample in samples])
    images = np.stack([sample.image for sample in samples])
    return Domain(source, splitting, images, labels, np.where(labels == 0, everything, 0), unjudged(samples))


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
