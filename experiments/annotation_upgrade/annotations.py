"""Who annotates which pictures of a seed, carefully or carelessly, and what the annotations look like."""

from collections.abc import Sequence
from functools import lru_cache

import jax
import numpy as np
from jaxtyping import Bool, Int, Int32
from scipy import ndimage

from experiments.annotation_upgrade.config import StudyConfig, recipe_of, strengths_of, train_part
from experiments.pictures import Domain, faulty_targets, open_target, read_domain, stable_number
from segjax.data import Split, make_split, open_source, pasted
from segjax.sweeps import Cell
from segjax.types import InputError

CAREFUL_VALIDATION = 0.2  # share of the groups that validate, and of the careful pictures


def open_pictures(config: StudyConfig) -> Domain:
    """Read the pictures of a resolved configuration, with foreign objects pasted in where an error needs them.

    Raises:
        InputError: the data cannot be used, or inclusion has no foreign objects to include.
    """
    source = open_target(config)
    errors = (config.error, *config.errors, *config.imperfections)
    needs_foreign = [error for error in errors if "inclusion" in strengths_of(error)]
    if needs_foreign and config.extra is not None:
        return _judged(read_domain(pasted(source, open_source(config.extra)), config.target))
    domain = _judged(read_domain(source, config.target))
    if needs_foreign and not domain.foreign.any():
        raise InputError(
            f"error: inclusion in {needs_foreign[0]!r} needs foreign objects, and {config.data} has only one class: "
            "name a source of them with --extra, as in --extra microscope:granulocytes, or give errors without "
            "inclusion, as in --error omission=0.5 --errors omission=0.5 --imperfections omission=0.1"
        )
    return domain


def _judged(domain: Domain) -> Domain:
    if domain.ignored.any():
        raise InputError(
            f"{domain.source.spec}: some pixels are not judged (class 255, or beyond the border of a tile), but "
            "repairing annotations needs every pixel; cut the pictures with crop=, and with a tile= that divides it"
        )
    return domain


def split_of(domain: Domain, config: StudyConfig, seed: int) -> Split:
    """Pictures of a seed: a fifth of the groups (or pictures) validate, the test groups are as in every study."""
    return make_split(
        domain.source,
        fold=seed % config.folds,
        folds=config.folds,
        validation=config.validation,
        validation_share=CAREFUL_VALIDATION,
        seed=seed,
    )


class Annotations:
    """The pictures and annotations of one seed.

    Attributes:
        split: test pictures are never annotated; validation pictures are careful ones that choose the best epoch.
        test: the test pictures. Here and below those without a single object of the target class are left out, as
            published: most are background that nobody annotates.
        order: training pictures in the order in which they are annotated, int [P]: volume by volume in turn, both in an
            order drawn by the seed. The first ones are careful, those after them careless: the sets cannot overlap.
        validation_order: likewise.
    """

    def __init__(self, config: StudyConfig, domain: Domain, seed: int) -> None:
        self._config, self._domain, self._seed = config, domain, seed
        self.split = split_of(domain, config, seed)
        self.test = np.asarray(self._showing(self.split.test))
        if not len(self.test):
            raise InputError(
                f"data: no test picture of seed {seed} shows an object; give more pictures or other --folds"
            )
        self.order = self._in_turn(self.split.train)
        self.validation_order = self._in_turn(self.split.validation)
        self.masks = lru_cache(maxsize=8)(self._masks)

    def careful(self, count: int, volumes: int = 0) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
        """Training and validation pictures of a careful set; the training ones from at most so many volumes (0: all).

        Raises:
            InputError: there are not so many pictures.
        """
        order = self.order
        if volumes:
            groups = np.asarray(self._domain.source.groups)
            order = order[np.isin(groups[order], list(dict.fromkeys(groups[order]))[:volumes])]
        train = train_part(count)
        for name, wanted, there in (
            ("train", train, len(order)),
            ("validate", count - train, len(self.validation_order)),
        ):
            if wanted > there:
                raise InputError(
                    f"careful_counts: of {count} careful pictures {wanted} {name}, but seed {self._seed} has only "
                    f"{there} to draw them from; give more pictures or groups, or lower numbers of --careful, "
                    "--careful-counts and --compare-at"
                )
        return order[:train], self.validation_order[: count - train]

    def careless(self, careful: int, count: int) -> Int[np.ndarray, " P"]:
        """Pictures that are annotated carelessly: those after the training pictures of the careful set.

        Raises:
            InputError: there are not so many.
        """
        left = self.order[train_part(careful) :]
        if count > len(left):
            raise InputError(
                f"careless: {count} careless pictures beside {train_part(careful)} careful ones are more than the "
                f"{len(self.order)} training pictures of seed {self._seed}; give more pictures, or a lower number of "
                "--careless and --budgets"
            )
        return left[:count]

    def labels(self, error: str) -> Int32[np.ndarray, "P H W"]:
        """Careful annotations, ids of objects, of all pictures; with `error`, careful is not quite careful."""
        if error == "none":
            return self._domain.labels
        masks = self.masks(error, careless=False)
        return np.stack(
            [
                labels_of(mask, own, foreign)
                for mask, own, foreign in zip(masks, self._domain.labels, self._domain.foreign, strict=True)
            ]
        )

    def _masks(self, error: str, careless: bool = True) -> Bool[np.ndarray, "P H W"]:
        """Annotations with an error, drawn once per seed, of all pictures.

        Careless ones are drawn apart from imperfect careful ones, so that equal errors do not hit the same objects.
        """
        recipe = recipe_of(self._config, error, self._domain.source.coarsening)
        key = jax.random.fold_in(
            jax.random.key(self._seed), stable_number(f"{recipe}{'' if careless else ', careful'}")
        )
        every = tuple(range(len(self._domain.source)))
        return faulty_targets(key, self._domain, every, recipe) > 0

    def _showing(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(index for index in indices if self._domain.labels[index].any())

    def _in_turn(self, indices: tuple[int, ...]) -> Int[np.ndarray, " P"]:
        """The pictures one volume after the other and round again, volumes and their pictures in random order."""
        generator = np.random.default_rng(np.random.SeedSequence([self._seed, 1]))
        indices = self._showing(indices)
        members = [generator.permutation(np.asarray(indices)[rows]) for rows in self._domain.members(indices)]
        turns = [(turn, place) for place, rows in enumerate(members) for turn in range(len(rows))]
        rank = generator.permutation(len(members))
        turns.sort(key=lambda pair: (pair[0], rank[pair[1]]))
        return np.asarray([members[place][turn] for turn, place in turns], int)


def labels_of(
    mask: Bool[np.ndarray, "H W"], own: Int32[np.ndarray, "H W"], foreign: Int32[np.ndarray, "H W"]
) -> Int32[np.ndarray, "H W"]:
    """Ids for a degraded mask: those of the own or foreign object at the pixel, else of the nearest one."""
    true = np.where(own > 0, own, np.where(foreign > 0, foreign, 0)).astype(np.int32)
    if not mask.any() or not (true > 0).any():
        return np.zeros_like(own)
    rows, columns = ndimage.distance_transform_edt(true == 0, return_distances=False, return_indices=True)
    return np.where(mask, true[rows, columns], 0).astype(np.int32)


def check_sets(config: StudyConfig, domain: Domain, cells: Sequence[Cell]) -> None:
    """Refuse errors that cannot be drawn and sets that are too large, before anything is trained.

    Raises:
        InputError: names the option, and what to do.
    """
    for option, errors in (
        ("error", (config.error,)),
        ("errors", config.errors),
        ("imperfections", config.imperfections),
    ):
        for error in errors:
            recipe_of(config, error, domain.source.coarsening, option)
    seeds = {seed: Annotations(config, domain, seed) for seed in range(config.seeds)}
    for cell in cells:
        annotations = seeds[cell["seed"]]
        annotations.careful(cell["careful"], cell["volumes"])
        annotations.careless(cell["careful"], cell["total"] - cell["clean"])
