"""Look at every file of a folder once and name each problem that would spoil a training, before one begins."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from segjax.data.georeference import read_georeference
from segjax.data.image_labels import read_image_labels
from segjax.data.inspected import UNCLASSIFIED, Inspected, inspect_picture, problem_of
from segjax.data.inspection_cache import inspected_once
from segjax.data.listing import Entry, FolderOptions, Problem, fit_to_folder, list_folder
from segjax.data.masks import EXPORT_AGAIN, LARGEST_CLASS, judge_masks
from segjax.data.tables import first_few, read_class_names
from segjax.types import InputError

_NO_PLACE = (
    "no georeference, which others have",
    "write them as GeoTIFF, or go without their masks and outlines on maps",
)


@dataclass(frozen=True)
class Inspection:
    """The pictures of a folder that could be read, and everything that is wrong with the folder.

    `options` are those given, fitted to the folder; `names` are the class names given; `image_labels` are the classes
    of whole pictures, `label_names` their names; `remarks` are what one should know, but can be used.
    """

    options: FolderOptions
    names: dict[int, str]
    pictures: list[tuple[Entry, Inspected]]
    problems: list[Problem]
    image_labels: tuple[int | None, ...]
    label_names: tuple[str, ...]
    remarks: list[Problem] = field(default_factory=list)

    def has_classes(self) -> bool:
        """Whether classes are told apart: by class images, or by masks with more than one value beside 0 in all."""
        values = {int(value) for _, picture in self.pictures for value in picture.class_values}
        is_class_mask = self.options.labels == "components" and len(values) > 1
        return is_class_mask or any(entry.classes for entry, _ in self.pictures)


def check_folder(path: Path, options: Mapping[str, str], sides: Mapping[str, str] | None = None) -> list[Problem]:
    """Every problem of the folder; empty when it can be used.

    Args:
        path: the folder.
        options: as in a `folder:` spec.
        sides: picture name to "train", "validation" or "test", where a split is there already.

    Raises:
        InputError: there is nothing to check (missing folder, no pictures, no labels, unknown option), or the groups
            or class names cannot be used.
    """
    return inspect_folder(path, FolderOptions.parse(options), sides).problems


def inspect_folder(path: Path, options: FolderOptions, sides: Mapping[str, str] | None = None) -> Inspection:
    """Read every picture and label image of the folder once, several files at a time.

    Raises:
        InputError: as `check_folder`.
    """
    options = fit_to_folder(path, options)
    names = read_class_names(path, options.class_names)
    entries, problems = list_folder(path, options)
    results = inspected_once(path, options, entries, lambda changed: _inspect(changed, options))
    pictures = [(entry, found) for entry, (found, _) in zip(entries, results, strict=True) if found is not None]
    problems += [problem for _, of_picture in results for problem in of_picture]
    mask_problems, mask_remarks = judge_masks(pictures, options)
    remarks = mask_remarks + _places(path, [entry.image for entry, _ in pictures])
    image_labels, label_names = _image_labels(path, options, entries, problems)
    inspection = Inspection(options, names, pictures, problems, image_labels, label_names, remarks)
    problems += _same_twice(pictures, sides or {})
    problems += _mixed_channels(path, pictures)
    problems += mask_problems
    problems += _class_values(inspection)
    return inspection


def _image_labels(
    path: Path, options: FolderOptions, entries: Sequence[Entry], problems: list[Problem]
) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
    try:
        return read_image_labels(path, options, [entry.name for entry in entries])
    except InputError as error:
        problems.append(problem_of(path, error))
        return (None,) * len(entries), ()


def _inspect(entries: Sequence[Entry], options: FolderOptions) -> list[tuple[Inspected | None, list[Problem]]]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(lambda entry: inspect_picture(entry, options), entries))


def _same_twice(pictures: Sequence[tuple[Entry, Inspected]], sides: Mapping[str, str]) -> list[Problem]:
    first: dict[str, Entry] = {}
    problems = []
    for entry, found in pictures:
        other = first.setdefault(found.content, entry)
        if other is entry:
            continue
        here, there = sides.get(entry.name, ""), sides.get(other.name, "")
        across = f", and the split has one in {there} and one in {here}" if here and there and here != there else ""
        problems.append(Problem(entry.image, f"same picture as {other.image.name}{across}", "remove one of the two"))
    return problems


def _mixed_channels(path: Path, pictures: Sequence[tuple[Entry, Inspected]]) -> list[Problem]:
    counts = Counter(found.channels for _, found in pictures)
    if len(counts) < 2:
        return []
    kinds = ", ".join(f"{count} with {channels}" for channels, count in sorted(counts.items()))
    remedy = "give channels=1 (all grey) or channels=3 (all RGB), or choose one kind with groups= and keep="
    return [Problem(path, f"pictures of different channel numbers: {kinds}", remedy)]


def _places(path: Path, images: Sequence[Path]) -> list[Problem]:
    """What keeps masks and outlines of some pictures off the ground, a remark for each reason."""
    unplaced: dict[tuple[str, str], list[Path]] = {}
    for image in images:
        try:
            found = read_georeference(image)
        except InputError as error:
            problem = problem_of(image, error)
            unplaced.setdefault((problem.reason, problem.remedy), []).append(image)
        else:
            if found is None:
                unplaced.setdefault(_NO_PLACE, []).append(image)
    if len(unplaced.get(_NO_PLACE, ())) == len(images):  # plain pictures, which nobody expects to be anywhere
        return []
    shown = {
        why: f"{len(those)} of {len(images)} pictures ({first_few([path.name for path in those], 3)})"
        for why, those in unplaced.items()
    }
    return [Problem(path, f"{which}: {reason}", remedy) for (reason, remedy), which in shown.items()]


def _class_values(inspection: Inspection) -> list[Problem]:
    """Values of class images and masks that cannot be classes, or that have no name where names are given."""
    if not inspection.has_classes():
        return []
    problems = []
    for entry, found in inspection.pictures:
        judged = found.class_values[found.class_values != UNCLASSIFIED]
        unnamed = [int(value) for value in judged if inspection.names and int(value) not in inspection.names]
        if len(judged) and judged.max() > LARGEST_CLASS:
            reason = f"class value {judged.max()}; classes are 1..{LARGEST_CLASS}, {UNCLASSIFIED} not judged"
            remedy = EXPORT_AGAIN
        elif unnamed:
            reason = f"class value {', '.join(map(str, unnamed))} is not among those that class_names names"
            remedy = f"name it there, or correct the pixels ({UNCLASSIFIED} not judged)"
        else:
            continue
        problems.append(Problem(entry.classes or entry.labels or entry.image, reason, remedy))
    return problems
