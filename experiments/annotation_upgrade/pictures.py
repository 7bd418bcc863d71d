"""Pictures of study 2: which of them have clean or noisy labels in a seed, and what the labels look like."""

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Int, Int32
from scipy import ndimage

from experiments.annotation_upgrade.grid import AGAIN, TEACHER, UPGRADE, Config, Trial, train_part
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
from experiments.harness.recipes import strengths_of
from segjax.data import Split, open_source
from segjax.data.paste import pasted
from segjax.types import InputError, Source

CLEAN_VALIDATION = 0.2  # share of the groups that validate, and of the clean pictures
MIDDLE_SLICES = 75  # of a volume, from which the authors chose those with clean labels


@dataclass(frozen=True, eq=False)
class AnnotatedPictures:
    """The pictures, and who annotates which of them how."""

    config: Config
    domain: Domain

    @property
    def source(self) -> Source:
        """Where the pictures come from."""
        return self.domain.source

    @property
    def split(self) -> Callable[[int], Split]:
        """Train, validation and test pictures by seed."""
        return self.domain.split

    @property
    def groups(self) -> int:
        """Groups to train on."""
        return len(self.domain.members(self.split(0).train))

    @functools.cached_property
    def annotations(self) -> "Callable[[int], Annotations]":
        """Pictures and labels by seed."""
        return functools.cache(lambda seed: Annotations(self.config, self.domain, seed))


def read(config: Config, opener: Opener = open_source) -> AnnotatedPictures:
    """Open the pictures of a resolved configuration.

    Raises:
        InputError: they cannot be used, an error cannot be drawn, or a set of pictures is too large.
    """
    data = AnnotatedPictures(config, domain_with_foreign(config, opener))
    check_trainable(config.segmentation, data.domain, config.run.seeds)
    check_sets(data)
    return data


def domain_with_foreign(config: Config, opener: Opener = open_source) -> Domain:
    """All pictures, with foreign objects pasted in where an error needs them.

    Raises:
        InputError: the data cannot be used, an error cannot be drawn, or inclusion has no foreign objects to include.
    """
    options, splitting = config.annotations, Splitting.of(config.source, CLEAN_VALIDATION)
    source = open_target(config.source, options.target, opener)
    check_errors(config, source.coarsening)  # before the pictures are read, which can take minutes
    errors = [error for some in config.errors_by_option().values() for error in some]
    needs_foreign = [error for error in errors if "inclusion" in strengths_of(error, "error")]
    if needs_foreign and options.extra is not None:
        source = pasted(source, open_source(options.extra))
    domain = read_domain(source, splitting, options.target)
    if domain.ignored.any():
        raise InputError(
            f"{source.spec}: some pixels are not judged (class 255, or beyond the border of a tile), but this study "
            "needs labels of every pixel; cut the pictures with crop=, and with a tile= that divides it"
        )
    if needs_foreign and options.extra is None and not domain.foreign.any():
        raise InputError(
            f"error: {needs_foreign[0]!r} includes foreign objects, but {config.source.data} has only one class; name "
            "a source of such objects, as in --extra microscope:granulocytes, or give errors without inclusion, as in "
            "--error omission=0.5 --errors omission=0.5 --clean-errors omission=0.1"
        )
    return domain


def check_errors(config: Config, coarsening: float) -> None:
    """Raises InputError where an error cannot be drawn on pictures with so coarse pixels; names the option."""
    for option, errors in config.errors_by_option().items():
        for error in errors:
            config.recipe(error, coarsening, option)


def check_sets(data: AnnotatedPictures) -> None:
    """Raises InputError where sets are too large, before anything is trained; names the option and what to do."""
    for trial in data.config.trials(data.groups):
        annotations = data.annotations(trial.seed)
        annotations.clean(trial.clean_pictures, trial.volumes)
        annotations.noisy(trial.clean_pictures, trial.trained_total - trial.trained_clean)
        annotations.noisy_validation(trial)


class Annotations:
    """The pictures and labels of one seed.

    Attributes:
        test: the test pictures; they are never annotated. Here and below those without a single object of the target
            class are left out, as published: most are background that nobody annotates.
        order: training pictures in the order in which they are annotated, int [P]: volume by volume in turn, both in an
            order drawn by the seed. The first ones have clean labels, those after them noisy ones: the sets cannot
            overlap.
        validation_order: likewise of the validation pictures; they have clean labels and choose the best epoch.
    """

    def __init__(self, config: Config, domain: Domain, seed: int) -> None:
        self._config, self._domain, self._seed = config, domain, seed
        split = domain.split(seed)
        self.test = np.asarray(self._showing(split.test))
        if not len(self.test):
            raise InputError(f"data: no test picture of seed {seed} has an object; give more pictures or other --folds")
        self.order = self._in_turn(split.train)
        self.validation_order = self._in_turn(split.validation)
        self.masks = functools.lru_cache(maxsize=8)(self._masks)

    def clean(self, count: int, volumes: int = 0) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
        """Training and validation pictures of a clean set; the training ones from at most so many volumes (0: all).

        Raises:
            InputError: there are not so many pictures.
        """
        train = train_part(count)
        order = self._chosen_first(self.order, train, volumes)
        choosing = self._chosen_first(self.validation_order, count - train)
        for name, wanted, there in (
            ("training", train, len(order)),
            ("validation", count - train, len(choosing)),
        ):
            if wanted > there:
                raise InputError(
                    f"clean_counts: {count} clean pictures need {wanted} {name} pictures, but seed {self._seed} has "
                    f"only {there}; give more pictures or groups, or lower --clean, --clean-counts, --compare-at or "
                    "--region.clean"
                )
        return order[:train], choosing[: count - train]

    def noisy(self, clean: int, count: int) -> Int[np.ndarray, " P"]:
        """Pictures with noisy labels: those after the training pictures of the clean set.

        Raises:
            InputError: there are not so many.
        """
        left = self._chosen_first(self.order, train_part(clean))[train_part(clean) :]
        if count > len(left):
            raise InputError(
                f"noisy: {count} noisy and {train_part(clean)} clean pictures are more than the {len(self.order)} "
                f"training pictures of seed {self._seed}; give more pictures, or lower --noisy, --budgets or "
                "--region.noisy"
            )
        return left[:count]

    def noisy_validation(self, training: Trial) -> Int[np.ndarray, " P"]:
        """Pictures whose noisy labels choose the best epoch of a network beside the clean ones, if the options say so.

        A quarter as many as it trains on, so that a fifth of its pictures validate; none where it has no noisy labels.
        """
        wanted = round((training.trained_total - training.trained_clean) / 4)
        without = (UPGRADE, AGAIN, TEACHER)  # no noisy labels
        is_noisy = training.error not in ("none", "predictions") and training.method not in without
        if self._config.validation_labels == "clean" or not is_noisy:
            return self.validation_order[:0]
        clean = training.clean_pictures - train_part(training.clean_pictures)
        left = self._chosen_first(self.validation_order, clean)[clean:]
        if wanted > len(left):
            raise InputError(
                f"noisy: {wanted} noisy and {clean} clean pictures are more than the {len(self.validation_order)} "
                f"validation pictures of seed {self._seed}; give more pictures, or lower --noisy, --budgets or "
                "--region.noisy"
            )
        return left[:wanted]

    def labels(self, error: str) -> Int32[np.ndarray, "P H W"]:
        """Clean labels, ids of objects, of all pictures; with an error, they are not quite clean."""
        domain = self._domain
        if error == "none":
            return domain.labels
        parts = zip(self.masks(error, noisy=False), domain.labels, domain.foreign, strict=True)
        return np.stack([labels_of(mask, own, foreign) for mask, own, foreign in parts])

    def _masks(self, error: str, noisy: bool = True) -> Bool[np.ndarray, "P H W"]:
        """Labels with an error, drawn once per seed, of all pictures.

        Noisy labels are drawn apart from the noise of clean ones, so that equal errors do not hit the same objects.
        """
        recipe = self._config.recipe(error, self._domain.source.coarsening)
        text = f"{recipe}{'' if noisy else ', careful'}"  # this spelling decides published draws
        key = jax.random.fold_in(jax.random.key(self._seed), stable_number(text))
        return faulty_targets(key, self._domain, tuple(range(len(self._domain.source))), recipe) > 0

    def _showing(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(index for index in indices if self._domain.labels[index].any())

    def _chosen_first(self, order: Int[np.ndarray, " P"], count: int, volumes: int = 0) -> Int[np.ndarray, " P"]:
        """The pictures of an order with those that get clean labels first; from the first `volumes` alone (0: all).

        Where these have too few, the volumes with the most pictures take their place.
        Chosen "spaced", picture i of N lies nearest to the middle of block i of N equal ones of the middle 75 pictures
        of its volume, and the volumes take turns. A picture that is taken gives way to the nearest free one.
        """
        groups = np.asarray(self._domain.source.groups)
        sizes = Counter(groups[order].tolist())  # in the order of their first pictures
        turns = list(sizes)[: volumes or None]
        if sum(sizes[group] for group in turns) < count:
            turns = [group for group, _ in sizes.most_common(len(turns))]
        order = order[np.isin(groups[order], turns)]
        if self._config.clean_choice == "random":
            return order
        middle = {group: _middle(np.sort(order[groups[order] == group])) for group in turns}
        free = {group: set(rows.tolist()) for group, rows in middle.items()}
        taken: list[int] = []
        for place in range(min(count, sum(map(len, free.values())))):
            group = next(one for one in (*turns[place % len(turns) :], *turns) if free[one])
            wanted = middle[group][int((place + 0.5) * len(middle[group]) / count)]
            taken.append(min(sorted(free[group]), key=lambda row: abs(row - wanted)))
            free[group].remove(taken[-1])
        return np.concatenate([np.asarray(taken, int), order[~np.isin(order, taken)]])

    def _in_turn(self, indices: tuple[int, ...]) -> Int[np.ndarray, " P"]:
        """The pictures one volume after the other and round again, volumes and their pictures in random order."""
        generator = np.random.default_rng(np.random.SeedSequence([self._seed, 1]))
        indices = self._showing(indices)
        members = [generator.permutation(np.asarray(indices)[rows]) for rows in self._domain.members(indices)]
        turns = [(turn, place) for place, rows in enumerate(members) for turn in range(len(rows))]
        rank = generator.permutation(len(members))
        turns.sort(key=lambda pair: (pair[0], rank[pair[1]]))
        return np.asarray([members[place][turn] for turn, place in turns], int)


def _middle(rows: Int[np.ndarray, " P"]) -> Int[np.ndarray, " P"]:
    """The middle ones of a volume's pictures."""
    first = max(0, len(rows) - MIDDLE_SLICES) // 2
    return rows[first : first + MIDDLE_SLICES]


def labels_of(
    mask: Bool[np.ndarray, "H W"], own: Int32[np.ndarray, "H W"], foreign: Int32[np.ndarray, "H W"]
) -> Int32[np.ndarray, "H W"]:
    """Ids for a degraded mask: those of the own or foreign object at the pixel, else of the nearest one."""
    true = np.where(own > 0, own, np.where(foreign > 0, foreign, 0)).astype(np.int32)
    if not mask.any() or not (true > 0).any():
        return np.zeros_like(own)
    rows, columns = ndimage.distance_transform_edt(true == 0, return_distances=False, return_indices=True)
    return np.where(mask, true[rows, columns], 0).astype(np.int32)
