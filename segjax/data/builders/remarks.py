"""What is wrong with a set as a whole, told from what was written of it: said and kept, never mended silently."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from segjax.data.folders.tables import first_few
from segjax.data.formats.annotation import Loss

_NEARLY_NOTHING = 0.1  # of the median number of objects of pictures alike


class Written(NamedTuple):
    """What is known of a picture once it is written.

    Attributes:
        split, name, group: as in `Entry`.
        height, width: in pixels.
        objects: number of objects that it shows.
        commonest: class of most of them, 0 where there are none.
        image, annotation: hashes of their pixels.
        remarks: what is wrong with it.
    """

    split: str
    name: str
    group: str
    height: int
    width: int
    objects: int
    commonest: int
    image: str
    annotation: str
    remarks: tuple[str, ...] = ()


def remarks_on(
    written: Sequence[Written],
    published: Mapping[str, int],
    is_evenly_filled: bool,
    others: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Everything that a user of the set should know.

    Args:
        written: its pictures.
        published: number of pictures by split ("all": of all together), as the owners tell it.
        is_evenly_filled: whether pictures of one class show about as many objects.
        others: what sets in the same folder tell of themselves, by name.
    """
    found = [*_counts(written, published), *_of_pictures(written), *_empty(written)]
    if is_evenly_filled:
        found += _sparse(written)
    return [*found, *_divided(written), *_twice(written), *_shared(written, others)]


def remarks_on_loss(loss: Loss) -> tuple[str, ...]:
    """What reading a picture's annotation changed, in words that are the same for every picture."""
    said = {
        "objects that overlap, where the smaller one has the pixels": loss.overlapping,
        "outlines that cross themselves or have no area, which were repaired or left out": loss.invalid,
        "outlines that leave the picture, which were cut off": loss.outside,
        "objects without a pixel of their own, which were left out": loss.objects_out < loss.objects_in,
        "holes, which were filled": loss.holes_filled,
    }
    return tuple(text for text, count in said.items() if count)


def _counts(written: Sequence[Written], published: Mapping[str, int]) -> Iterator[str]:
    found = Counter([row.split for row in written] + ["all"] * len(written))
    for split, count in published.items():
        if found[split] != count:
            like = [other for other, size in published.items() if size == found[split]]
            hint = f", as many as there are in {like[0]}: were files mixed up?" if like else ""
            whole = "the set" if split == "all" else split
            yield f"{whole} holds {_many(found[split], 'picture')}, published are {count:,}{hint}"


def _of_pictures(written: Sequence[Written]) -> Iterator[str]:
    by_remark = defaultdict(list)
    for row in written:
        for remark in row.remarks:
            by_remark[remark].append(row.name)
    for remark, names in by_remark.items():
        yield f"{remark}: in {len(names)} of {_many(len(written), 'picture')}, {first_few(names)}"


def _empty(written: Sequence[Written]) -> Iterator[str]:
    if names := [row.name for row in written if row.objects == 0]:
        yield (
            f"no object is annotated in {len(names)} of {_many(len(written), 'picture')} "
            f"(least_objects=1 leaves them out): {first_few(names)}"
        )


def _sparse(written: Sequence[Written]) -> Iterator[str]:
    """Pictures with less than a tenth of the objects that others of their class show: mostly not annotated."""
    counts = defaultdict(list)
    for row in written:
        counts[row.commonest].append(row.objects)
    usual = {index: float(np.median(found)) for index, found in counts.items()}
    few = [row for row in written if 0 < row.objects < _NEARLY_NOTHING * usual[row.commonest]]
    if few:
        named = [f"{row.name} ({row.objects}, usual {usual[row.commonest]:g})" for row in few]
        yield (
            f"nearly nothing is annotated in {len(named)} of {_many(len(written), 'picture')} "
            f"(least_objects={max(row.objects for row in few) + 1} leaves them out): {first_few(named)}"
        )


def _divided(written: Sequence[Written]) -> Iterator[str]:
    splits = defaultdict(set)
    for row in written:
        splits[row.group].add(row.split)
    if divided := [f"{group} ({', '.join(sorted(of))})" for group, of in splits.items() if len(of) > 1]:
        count = _many(len(divided), "group")
        yield f"{count} with pictures in several splits, so none counts as test: {first_few(divided)}"


def _twice(written: Sequence[Written]) -> Iterator[str]:
    alike = defaultdict(list)
    for row in written:
        alike[row.image].append(row)
    named = [" = ".join(f"{row.name} ({row.split})" for row in rows) for rows in alike.values() if len(rows) > 1]
    if named:
        yield f"{_many(len(named), 'picture')} there more than once, pixel by pixel: {first_few(named)}"


def _shared(written: Sequence[Written], others: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Pictures and names that this set shares with another one in the folder."""
    for other, described in others.items():
        theirs = [row for rows in described["pictures"].values() for row in rows]
        images = {row[5]: row[0] for row in theirs}
        if same := [f"{row.name} = {images[row.image]}" for row in written if row.image in images]:
            yield (
                f"{_many(len(same), 'picture')} also in {other}, pixel by pixel "
                f"(never train on the one and test on the other): {first_few(same)}"
            )
        if groups := sorted({row.group for row in written} & {row[1] for row in theirs}):
            yield f"{_many(len(groups), 'group')} of the same name in {other}, perhaps the same: {first_few(groups)}"
        by_name = {row[0]: row[5] for row in theirs}
        if named := [row.name for row in written if by_name.get(row.name, row.image) != row.image]:
            yield f"{_many(len(named), 'name')} also in {other}, where other pictures have them: {first_few(named)}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
