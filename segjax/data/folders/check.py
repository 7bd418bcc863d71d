"""Look at every file of a folder once and name each problem that would spoil a training, before one begins."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.image_labels import read_image_labels
from segjax.data.folders.inspected import NO_PLACE, UNCLASSIFIED, Inspected, inspect_picture, problem_of
from segjax.data.folders.inspection_cache import inspected_once
from segjax.data.folders.listing import Entry, Problem, fit_to_folder, list_folder, unread
from segjax.data.folders.masks import EXPORT_AGAIN, LARGEST_CLASS, judge_masks
from segjax.data.folders.stack_entries import with_planes
from segjax.data.folders.tables import first_few, read_class_names
from segjax.data.formats.polygons import UNCLASSIFIED as UNNAMED
from segjax.types import InputError


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

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, row in (("images/1.png", [0, 255]), ("labels/1.png", [0, 1, 1])):
    ...         Path(folder, name).parent.mkdir()
    ...         Image.frombytes("L", (len(row), 1), bytes(row)).save(Path(folder, name))
    ...     [problem.reason for problem in check_folder(Path(folder), {})]
    ["its size is 3 x 1 pixels, but the picture's is 2 x 1 pixels"]
    """
    return inspect_folder(path, FolderOptions.parse(options), sides).problems


def inspect_folder(path: Path, options: FolderOptions, sides: Mapping[str, str] | None = None) -> Inspection:
    """Read every picture and its annotation once, twice where the classes of objects are named in their files.

    Raises:
        InputError: as `check_folder`.
    """
    options = fit_to_folder(path, options)
    names = read_class_names(path, options.class_names)
    entries, problems = list_folder(path, options)
    if options.stacks == "planes":
        entries, unknown = with_planes(entries, options)
        problems += unknown
    pictures, unusable = _inspected(path, options, entries)
    if any(entry.format and len(found.class_values) for entry, found in pictures):
        # only now it is known which classes there are, so that they can be numbered; both readings are kept apart
        entries, names = _with_class_names(path, options, names, pictures)
        pictures, more = _inspected(path, replace(options, class_names=repr(names)), entries)
        unusable = list(dict.fromkeys(unusable + more))
    problems += dict.fromkeys(unusable)  # of a file of the whole set, every picture may have the same
    mask_problems, mask_remarks = judge_masks(pictures, options)
    remarks = unread(path, options) + mask_remarks + _losses(path, pictures) + _places(path, pictures)
    image_labels, label_names = _image_labels(path, options, entries, problems)
    inspection = Inspection(options, names, pictures, problems, image_labels, label_names, remarks)
    problems += _same_twice(pictures, sides or {})
    problems += _mixed_channels(path, pictures)
    problems += mask_problems
    problems += _class_values(inspection)
    return inspection


def _inspected(
    path: Path, options: FolderOptions, entries: Sequence[Entry]
) -> tuple[list[tuple[Entry, Inspected]], list[Problem]]:
    """Those that can be used, and the problems of all; read are only those that changed since they last were."""
    results = inspected_once(path, options, entries, lambda changed: _inspect(changed, options))
    pictures = [(entry, found) for entry, (found, _) in zip(entries, results, strict=True) if found is not None]
    # what is wrong with a stack is found in each of its planes, and said once
    return pictures, list(dict.fromkeys(problem for _, of_picture in results for problem in of_picture))


def _with_class_names(
    path: Path, options: FolderOptions, names: dict[int, str], pictures: Sequence[tuple[Entry, Inspected]]
) -> tuple[list[Entry], dict[int, str]]:
    """The entries and class names of files that name the classes of objects, in the order given or of the alphabet.

    Raises:
        InputError: names were given, and not all.
    """
    used = {name for _, found in pictures for name in found.class_names}
    if used and any(len(found.ids) and not found.class_names for _, found in pictures):
        used.add(UNNAMED)
    if used and names and (missing := sorted(used - set(names.values()))):
        remedy = "name all there, or leave class_names out"
        raise InputError(f"{path}: option class_names={options.class_names} lacks {first_few(missing)}; {remedy}")
    names = names or dict(enumerate(sorted(used), 1))
    order = tuple(names.get(number, "") for number in range(1, max(names, default=0) + 1)) if used else ()
    return [replace(entry, classes=entry.labels, class_names=order) for entry, _ in pictures], names


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
        reason = f"same picture as {other.image.name}{across}"
        problems.append(Problem(entry.image, reason, "remove one of the two", "training"))
    return problems


def _mixed_channels(path: Path, pictures: Sequence[tuple[Entry, Inspected]]) -> list[Problem]:
    counts = Counter(found.channels for _, found in pictures)
    if len(counts) < 2:
        return []
    kinds = ", ".join(f"{count} with {channels}" for channels, count in sorted(counts.items()))
    remedy = "give channels=1 (all grey) or channels=3 (all RGB), or choose one kind with groups= and keep="
    return [Problem(path, f"pictures differ in their number of channels: {kinds}", remedy, "training")]


def _losses(path: Path, pictures: Sequence[tuple[Entry, Inspected]]) -> list[Problem]:
    """What reading the annotations changed, as one remark.

    Of a file of sites of several pictures nearly all lie beyond each of them, which is no loss.
    """
    users = Counter(entry.labels for entry, _ in pictures)
    counts: Counter[str] = Counter()
    changed = []
    for entry, found in pictures:
        loss, is_shared = found.loss, entry.format == "vectors" and users[entry.labels] > 1
        of_picture = {
            "objects lost": 0 if is_shared else loss.objects_in - loss.objects_out,
            "objects partly or wholly outside the picture": 0 if is_shared else loss.outside,
            "pixels that several objects share": loss.overlapping,
            "outlines that cross themselves or have no area": loss.invalid,
        }
        if any(count > 0 for count in of_picture.values()):
            changed.append(entry.name)
            counts.update({what: max(0, count) for what, count in of_picture.items()})
    if not changed:
        return []
    told = ", ".join(f"{what}: {count}" for what, count in counts.items() if count)
    reason = (
        f"{len(changed)} of {len(pictures)} annotations change when they are read ({first_few(changed, 3)}): {told}"
    )
    return [Problem(path, reason, "convert them with python -m experiments.convert; loss.csv lists the changes")]


def _places(path: Path, pictures: Sequence[tuple[Entry, Inspected]]) -> list[Problem]:
    """What keeps masks and outlines of some pictures off the ground, a remark for each reason."""
    unplaced: dict[tuple[str, ...], list[str]] = {}
    for entry, found in pictures:
        if found.unplaced:
            unplaced.setdefault(found.unplaced, []).append(entry.image.name)
    if len(unplaced.get(NO_PLACE, ())) == len(pictures):  # plain pictures, which nobody expects to be anywhere
        return []
    shown = {
        why: f"{len(those)} of {len(pictures)} pictures ({first_few(those, 3)})" for why, those in unplaced.items()
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
            reason = f"class value {judged.max()} is above {LARGEST_CLASS} and is not {UNCLASSIFIED} (not judged)"
            remedy = EXPORT_AGAIN
        elif unnamed:
            reason = f"class value {', '.join(map(str, unnamed))} has no name in class_names"
            remedy = f"name it there, or correct the pixels ({UNCLASSIFIED} means not judged)"
        else:
            continue
        problems.append(Problem(entry.classes or entry.labels or entry.image, reason, remedy))
    return problems
