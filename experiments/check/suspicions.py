"""What only all pictures together tell: labels that lie beside the objects, nearly equal pictures, leaks of a split."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from experiments.check.survey import REACH, Seen, small_copy
from segjax.data import Problem
from segjax.data.folders.tables import first_few
from segjax.data.splits import picture_of
from segjax.types import Source

SHIFT_RULE = (
    "Labels are moved by up to 8 rows and columns, to find where the gradient of the picture under their outlines is "
    "largest. A shift of 2 pixels or more is suspected if it yields at least half of the rise of the mean gradient "
    "over at least 5 pictures, if it helps in 4 of 5 pictures, if the rise is at least a fifth of the usual value, and "
    "if the opposite shift yields less than half as much. Nothing is said where borders are not visible."
)
TWIN_RULE = (
    "Two pictures of different groups are nearly equal if the fine detail (below 2 pixels) of their 32 x 32 copies "
    "correlates by at least 0.95, and that of copies of at most 128 x 128 pixels by at least 0.9. Turned or flipped "
    "copies are not found."
)
_FEWEST_PICTURES, _LEAST_SHIFT = 5, 2
_GAIN, _VOTES, _RISE, _OPPOSITE = 0.5, 0.8, 0.2, 0.5
_FINE, _ALIKE, _SAME, _CLOSER = 2.0, 0.95, 0.9, 128
_BLOCK, _MOST_COMPARED, _MOST_TWINS = 1024, 20_000, 200
Pair = tuple[int, int]


def shift_of(seen: Sequence[Seen]) -> tuple[int, int] | None:
    """Rows and columns by which labels seem to lie below and right of the objects; None without suspicion."""
    profiles = [one.profile for one in seen if one.profile is not None]
    if len(profiles) < _FEWEST_PICTURES:
        return None
    every = np.stack(profiles)
    mean = every.mean(0)
    best = tuple(int(place) for place in np.unravel_index(mean.argmax(), mean.shape))
    usual, here, there = float(np.median(mean)), float(mean[REACH, REACH]), float(mean[best])
    opposite = float(mean[2 * REACH - best[0], 2 * REACH - best[1]])
    rise = there - usual
    rows, columns = REACH - best[0], REACH - best[1]
    is_shifted = (
        max(abs(rows), abs(columns)) >= _LEAST_SHIFT
        and rise >= _RISE * usual
        and there - here >= _GAIN * rise
        and opposite - usual < _OPPOSITE * rise
        and (every[:, best[0], best[1]] > every[:, REACH, REACH]).mean() >= _VOTES
    )
    return (rows, columns) if is_shifted else None


def shifted_labels(place: Path, seen: Sequence[Seen]) -> list[Problem]:
    """A remark where labels seem to be shifted."""
    shift = shift_of(seen)
    if shift is None:
        return []
    where = " and ".join(
        f"{abs(pixels)} px {ways[pixels < 0]}"
        for pixels, ways in zip(shift, (("below", "above"), ("right of", "left of")), strict=True)
        if pixels
    )
    remedy = "look at the gallery of the data card (--card), and export labels and pictures with the same origin"
    return [Problem(place, f"labels seem to be shifted: they lie {where} the visible borders", remedy)]


def equal_pictures(seen: Sequence[Seen]) -> list[Pair]:
    """Pictures with the same values as an earlier one, as pairs of places; pictures of one value do not count."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(one.content, index), index) for index, one in enumerate(seen) if one.content]
    return [pair for pair in pairs if pair[0] != pair[1]]


def equal_remarks(source: Source, pairs: Sequence[Pair], sides: Mapping[str, str]) -> list[Problem]:
    """A remark per picture with the same values as an earlier one."""
    return [_pair(source, pair, "same picture as {}", "remove one of the two", sides) for pair in pairs]


def twins(source: Source, seen: Sequence[Seen]) -> list[Pair] | None:
    """Nearly equal pictures of different groups, as pairs of places; None where there are too many to compare."""
    if len(seen) > _MOST_COMPARED:
        return None
    found: list[Pair] = []
    for one, other in _alike(seen, source.groups):
        if len(found) == _MOST_TWINS:
            break
        grey = [source[index].image.mean(-1) for index in (one, other)]
        edge = min(_CLOSER, *(min(picture.shape) for picture in grey))
        first, second = (_fine(small_copy(picture, edge)) for picture in grey)
        if float(first @ second) >= _SAME:
            found.append((one, other))
    return found


def _alike(seen: Sequence[Seen], groups: Sequence[str]) -> Iterator[Pair]:
    """Pairs of pictures of different groups whose thumbnails are alike."""
    fine = np.stack([_fine(one.thumbnail) for one in seen])
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    for start in range(0, len(fine), _BLOCK):
        alike = fine[start : start + _BLOCK] @ fine[start:].T >= _ALIKE
        alike &= numbers[start : start + _BLOCK, None] != numbers[None, start:]
        for one, other in np.argwhere(np.triu(alike, 1)):
            yield start + int(one), start + int(other)


def _fine(small: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, " P"]:
    """What is finer than 2 pixels of a picture, with mean 0 and length 1; all 0 where there is nothing."""
    left = (small - ndimage.gaussian_filter(small, _FINE)).ravel()
    left = left - left.mean()
    length = float(np.linalg.norm(left))
    return (left / length if length > 1e-6 else 0 * left).astype(np.float32)


def twin_remarks(source: Source, pairs: Sequence[Pair], sides: Mapping[str, str]) -> list[Problem]:
    """A remark per pair of nearly equal pictures of different groups."""
    reason, remedy = (
        "nearly the same picture as {}, in another group",
        "put both into one group (groups=), or remove one",
    )
    return [_pair(source, pair, reason, remedy, sides) for pair in pairs]


def _pair(source: Source, pair: Pair, reason: str, remedy: str, sides: Mapping[str, str]) -> Problem:
    """About the second of two pictures, with the sides of both where the split has them on two."""
    first, second = (source.names[index] for index in pair)
    here, there = (sides.get(picture_of(name), "") for name in (first, second))
    across = f"; the split has one in {here} and one in {there}" if here and there and here != there else ""
    return Problem(Path(second), reason.format(first) + across, remedy)


def divided_groups(place: Path, source: Source, sides: Mapping[str, str]) -> list[Problem]:
    """A remark where a group has test pictures and others."""
    found: dict[str, set[str]] = {}
    for name, group in zip(source.names, source.groups, strict=True):
        if side := sides.get(picture_of(name)):
            found.setdefault(group, set()).add(side)
    divided = [group for group, those in found.items() if "test" in those and len(those) > 1]
    if not divided:
        return []
    reason = f"{len(divided)} group(s) have test pictures and other pictures in this split ({first_few(divided)})"
    return [Problem(place, reason, "make the split again, with each group on one side")]
