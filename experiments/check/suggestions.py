"""Options that would make more of the pictures, and why."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from experiments.check.survey import Seen
from segjax.data.folders.check import Inspection
from segjax.data.spec import parse_spec

LARGE = 512  # pixels; larger pictures are better cut
TILE_OBJECTS = 8  # diameters of the median object that a tile is wide
SMALLEST_TILE = 64
LARGEST_OBJECT = 128  # pixels; networks see little more at once
_COMPONENTS = "give labels=components"


@dataclass(frozen=True)
class Suggestion:
    """An option of the spec, its value, why, and whether the pictures need it (or would do without)."""

    option: str
    value: str
    why: str
    is_needed: bool

    def __str__(self) -> str:
        return f"{self.option}={self.value}"


def suggest(spec: str, seen: Sequence[Seen], inspection: Inspection | None) -> list[Suggestion]:
    """What to add to a spec; options that it has are never suggested again.

    Args:
        spec: as given.
        seen: its pictures, those that can be read.
        inspection: of a folder.
    """
    given = parse_spec(spec)
    found = [] if inspection is None else [*_channels(inspection), *_components(inspection)]
    if seen:
        found += _sizes(seen, is_cut="tile" in given.options or "crop" in given.options)
    return [suggestion for suggestion in found if suggestion.option not in given.options]


def with_suggestions(spec: str, suggestions: Sequence[Suggestion]) -> str:
    """The spec with these options added."""
    added = "&".join(str(suggestion) for suggestion in suggestions)
    return f"{spec}{'&' if '?' in spec else '?'}{added}" if added else spec


def _channels(inspection: Inspection) -> list[Suggestion]:
    counts = Counter(found.channels for _, found in inspection.pictures)
    if len(counts) < 2:
        return []
    value = "3" if counts[3] > counts.total() / 2 else "1"
    kinds = ", ".join(f"{count} with {channels}" for channels, count in sorted(counts.items()))
    return [Suggestion("channels", value, f"pictures have different numbers of channels ({kinds})", True)]


def _components(inspection: Inspection) -> list[Suggestion]:
    for problems, is_needed in ((inspection.problems, True), (inspection.remarks, False)):
        for problem in problems:
            if re.search(rf"{_COMPONENTS}$", problem.remedy):
                return [Suggestion("labels", "components", problem.reason, is_needed)]
    return []


def _sizes(seen: Sequence[Seen], is_cut: bool) -> list[Suggestion]:
    """A factor to shrink by and an edge of tiles that suit the objects."""
    found = []
    diameters = np.concatenate([one.diameters for one in seen])
    median, factor = float(np.median(diameters)) if len(diameters) else 0.0, 1
    if median > LARGEST_OBJECT:
        factor = ceil(median / LARGEST_OBJECT)
        why = f"the median object is {median:.0f} pixels wide, more than a network sees at once"
        found.append(Suggestion("shrink", str(factor), why, False))
    shapes = {one.shape[:2] for one in seen}
    is_mixed, largest = len(shapes) > 1, max(max(shape) for shape in shapes) // factor
    if not is_cut and (is_mixed or largest > LARGE):
        smallest = min(min(shape) for shape in shapes) // factor
        edge = _tile(median / factor, smallest)
        why = "pictures differ in size" if is_mixed else f"pictures are {largest} pixels wide"
        if median:
            why += f"; {edge} pixels are {edge / (median / factor):.0f} times the median object"
        found.append(Suggestion("tile", str(edge), why, is_mixed))
    return found


def _tile(diameter: float, smallest: int) -> int:
    """A power of two near 8 diameters, from 64 to 512, that fits into the smallest picture where this can be."""
    wanted = 2 ** round(np.log2(max(TILE_OBJECTS * diameter, 1))) if diameter else LARGE // 2
    fitting = 2 ** int(np.log2(max(smallest, 32)))
    return int(min(max(wanted, SMALLEST_TILE), LARGE, fitting))
