"""Which pictures train, validate and test; groups (volumes, patients, map sheets) are never divided by accident."""

import hashlib
import json
import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import floor, isclose
from pathlib import Path
from typing import Literal

from segjax.files import PATIENCE, read_file, set_aside, write_file
from segjax.types import InputError, Source

SIDES = ("train", "validation", "test")
_TILE = re.compile(r"@[0-9]+,[0-9]+$")  # what tiles add to a picture's name


def split_groups(groups: Sequence[str], seed: int, fractions: Sequence[float]) -> tuple[tuple[int, ...], ...]:
    """Pictures divided by group, the numbers of groups as near to the fractions as whole groups allow.

    Groups are put in an order that depends on nothing but their names and the seed, and cut at the rounded
    cumulative fractions; every part gets at least one group. So more pictures of known groups change nothing, and a new
    group moves at most one other group over each cut.

    Args:
        groups: the group of each picture.
        seed: another seed, another order.
        fractions: positive, sum 1.

    Returns:
        For each fraction the indices of its pictures, ascending.

    Raises:
        InputError: fractions that are not positive or do not sum to 1, fewer groups than fractions.
    """
    if min(fractions) <= 0 or not isclose(sum(fractions), 1):
        raise InputError(f"fractions {tuple(fractions)} must be positive and add up to 1")
    ordered = sorted(set(groups), key=lambda group: _shuffled(group, seed))
    parts, count = len(fractions), len(ordered)
    if count < parts:
        raise InputError(f"{count} group(s) cannot be divided into {parts} parts; give more groups or divide by slice")
    cuts = [0]
    for part in range(1, parts):
        wanted = floor(sum(fractions[:part]) * count + 0.5)
        cuts.append(min(max(wanted, cuts[-1] + 1), count - (parts - part)))
    cuts.append(count)
    part_of = {group: part for part in range(parts) for group in ordered[cuts[part] : cuts[part + 1]]}
    return tuple(tuple(i for i, group in enumerate(groups) if part_of[group] == part) for part in range(parts))


def group_folds(groups: Sequence[str], count: int) -> tuple[tuple[int, ...], ...]:
    """`count` folds of picture indices; no group is divided.

    Groups, largest first and then by name, go to the fold with the fewest pictures so far (the first of equals).

    Raises:
        InputError: count below 2 or above the number of groups, or there is only one group.
    """
    sizes = {group: 0 for group in groups}
    if len(sizes) < 2:
        raise InputError(
            "folds: all pictures belong to one group; give pictures of several volumes, patients or map sheets"
        )
    if not 2 <= count <= len(sizes):
        raise InputError(
            f"folds={count} must be from 2 to {len(sizes)}, the number of groups; give --folds {len(sizes)}"
        )
    for group in groups:
        sizes[group] += 1
    pictures, fold_of = [0] * count, {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], name)):
        fold_of[group] = pictures.index(min(pictures))
        pictures[fold_of[group]] += sizes[group]
    return tuple(tuple(i for i, group in enumerate(groups) if fold_of[group] == fold) for fold in range(count))


@dataclass(frozen=True)
class Split:
    """Indices of the pictures of each side.

    Attributes:
        train, validation, test: indices into the source, ascending.
        validation_by: "group", or "slice" where train and validation may share groups (test never does).
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    validation_by: Literal["slice", "group"] = "group"

    def check(self, source: Source) -> None:
        """Raises InputError where a side is empty, a picture is on two sides, or a group is divided or not there whole.

        Groups without any picture on a side belong to other splits.
        """
        sides = {side: getattr(self, side) for side in SIDES}
        for side, indices in sides.items():
            if not indices:
                raise InputError(f"the split has no {side} pictures; give more groups or another fold")
        used = [index for indices in sides.values() for index in indices]
        if len(set(used)) < len(used):
            twice = next(index for index in used if used.count(index) > 1)
            raise InputError(f"picture {source.names[twice]} is in the split twice; keep it on one side")
        taking_part = {source.groups[index] for index in used}
        there = sum(group in taking_part for group in source.groups)
        if len(used) < there:
            raise InputError(
                f"the split has {len(used)} pictures, {source.spec} has {there} of these groups; make the split again"
            )
        groups = {side: {source.groups[index] for index in indices} for side, indices in sides.items()}
        divided = (groups["train"] | groups["validation"]) & groups["test"]
        if self.validation_by == "group":
            divided |= groups["train"] & groups["validation"]
        if divided:
            raise InputError(f"group {sorted(divided)[0]} is on two sides of the split; keep its pictures together")

    def write(self, path: Path, source: Source) -> None:
        """The split as JSON by picture names; a damaged or another split there is set aside with a warning.

        Raises:
            InputError: the split does not fit the source, the disk stays full, or the place cannot be written.
        """
        self.check(source)
        sides = {side: [source.names[index] for index in getattr(self, side)] for side in SIDES}
        text = json.dumps({"data": source.spec, "validation_by": self.validation_by, **sides}, indent=1) + "\n"
        if path.exists():
            try:
                if Split.read(path, source) == self:
                    return
                reason = f"{path}: holds another split than that of this run"
            except InputError as error:
                reason = str(error)
            if path.exists():  # another process may have set it aside just now
                kept = set_aside(path)
                warnings.warn(f"{reason}; the old file is kept as {kept}; a new one was written", stacklevel=2)
        write_file(path, text, PATIENCE)

    @staticmethod
    def read(path: Path, source: Source) -> "Split":
        """A split from JSON, checked against the source.

        Raises:
            InputError: unreadable file, a name twice or unknown to the source, pictures missing, a group divided.
        """
        content = _read_json(path)
        index_of = {name: index for index, name in enumerate(source.names)}
        unknown = [name for side in SIDES for name in content[side] if name not in index_of]
        if unknown:
            raise InputError(f"{path}: picture {unknown[0]} is not in {source.spec}; make the split again")
        train, validation, test = (tuple(sorted(index_of[name] for name in content[side])) for side in SIDES)
        split = Split(train, validation, test, content["validation_by"])
        try:
            split.check(source)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return split


def picture_of(name: str) -> str:
    """The name of the picture that a tile NAME@y,x was cut from; any other name as it is."""
    return _TILE.sub("", name)


def read_sides(path: Path) -> dict[str, str]:
    """Picture name (of tiles NAME@y,x only NAME) to side of a written split.

    Raises:
        InputError: the file is unreadable, or has a picture on two sides. Only tiles of a picture that train may
            validate, where the validation pictures were picked one by one.
    """
    content = _read_json(path)
    sides: dict[str, str] = {}
    for side in SIDES:
        for name in content[side]:
            picture = picture_of(name)
            other = sides.setdefault(picture, side)
            is_apart = side == "test" or content["validation_by"] == "group" or name == picture
            if other != side and is_apart:
                raise InputError(f"{path}: picture {picture} is in {other} and in {side}; make the split again")
    return sides


def make_split(
    source: Source,
    *,
    fold: int = 0,
    folds: int = 5,
    validation: Literal["slice", "group"] = "group",
    validation_share: float = 0.3,
    seed: int = 0,
    groups: Collection[str] = (),
    test_groups: Collection[str] | None = None,
) -> Split:
    """Test pictures first, then validation pictures out of the rest.

    Args:
        source: where the pictures are.
        fold: which fold is the test set, 0..folds - 1.
        folds: number of folds (see `group_folds`); the folds do not depend on the seed.
        validation: "slice" picks validation pictures one by one, as Vadineanu et al. 2022 did, so that slices of one
            volume train and validate; "group" keeps groups whole.
        validation_share: share of the pictures (slice) or groups (group) that validate.
        seed: order in which validation pictures are picked.
        groups: those that take part; none: all.
        test_groups: those that test, where there are any; `fold` and `folds` are then ignored. None: the source's own.

    Raises:
        InputError: fold or folds out of range, a share outside 0..1, too few groups.

    >>> from segjax.data import open_source
    >>> source = open_source("terrain:mounds?sheets=5&pictures=2")  # five groups of two pictures
    >>> split = make_split(source, fold=1)
    >>> split.test, len(split.train), len(split.validation)
    ((2, 3), 6, 2)
    """
    if not 0 < validation_share < 1:
        raise InputError(f"validation_share={validation_share} must be between 0 and 1")
    tested = source.test_groups if test_groups is None else test_groups
    pool = [i for i, group in enumerate(source.groups) if not groups or group in groups]
    if tested:
        test = tuple(i for i in pool if source.groups[i] in tested)
    else:
        parts = group_folds([source.groups[i] for i in pool], folds)
        if not 0 <= fold < folds:
            raise InputError(f"fold={fold} must be from 0 to {folds - 1}")
        test = tuple(pool[i] for i in parts[fold])
    rest = sorted(set(pool) - set(test))
    units = source.groups if validation == "group" else source.names
    train, held_out = split_groups([units[i] for i in rest], seed, (1 - validation_share, validation_share))
    split = Split(tuple(rest[i] for i in train), tuple(rest[i] for i in held_out), test, validation)
    split.check(source)
    return split


def _shuffled(name: str, seed: int) -> str:
    """A sorting key that looks random and depends on nothing but name and seed."""
    return hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest()


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(read_file(path))
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"split file {path} cannot be read ({error})") from None
    lists = [content.get(side) if isinstance(content, dict) else None for side in SIDES]
    are_names = all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
    if not are_names or content.get("validation_by") not in ("slice", "group"):
        raise InputError(
            f"{path} is not a split: needs validation_by (slice or group) and the lists of names "
            f"{', '.join(SIDES)}; name the split.json of a study"
        )
    return content
