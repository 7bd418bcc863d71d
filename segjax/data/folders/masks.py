"""What label images look like as a whole: masks taken for ids, smoothed or inverted ones, 255 with two meanings."""

from collections.abc import Sequence
from pathlib import Path

from segjax.data.folders.folder_options import FolderOptions
from segjax.data.folders.inspected import UNCLASSIFIED, Inspected
from segjax.data.folders.listing import Entry, Problem
from segjax.data.folders.tables import first_few

LARGEST_CLASS = 64
EXPORT_AGAIN = "a mask smoothed, scaled or once saved as JPEG has such values: export it again without"
_PIECES_OF_A_MASK = 4.0  # mean pieces per value from which ids are taken for a mask; lobed nuclei stay below
_DOUBTFUL_PIECES = 2.0  # from here on it is worth a remark
_MOST = 0.5  # share of the picture and of its border from which an object is taken for the background
_Pictures = Sequence[tuple[Entry, Inspected]]


def judge_masks(pictures: _Pictures, options: FolderOptions) -> tuple[list[Problem], list[Problem]]:
    """Problems and remarks of all label images together; pictures without objects do not count."""
    shown = [(entry, found) for entry, found in pictures if entry.labels and not entry.format and len(found.ids)]
    if not shown:
        return [], []
    folder = next(entry.labels.parent for entry, _ in shown if entry.labels)
    problems = _two_meanings(folder, shown)
    remarks: list[Problem] = []
    problems += _smoothed(shown)
    is_mask = False
    if options.labels == "instances" and options.volumes == "false" and not problems:
        for problem, is_mask in _taken_for_ids(folder, shown):
            (problems if is_mask else remarks).append(problem)
    if not is_mask:
        problems += _truncated(shown)
    for problem, is_sure in _without_background(folder, shown, options):
        (problems if is_sure else remarks).append(problem)
    return problems, remarks


def _two_meanings(folder: Path, pictures: _Pictures) -> list[Problem]:
    """Masks of 0 and 255 beside masks of 0 and 1: in class images 255 is not judged, so their objects would be lost."""
    full = [entry.name for entry, found in pictures if found.class_values.tolist() == [UNCLASSIFIED]]
    others = [found.class_values for _, found in pictures if found.class_values.tolist() != [UNCLASSIFIED]]
    if not full or not others or any(UNCLASSIFIED in values for values in others):
        return []
    values = first_few(sorted({int(value) for some in others for value in some}))
    reason = (
        f"{len(full)} of {len(pictures)} masks have only 0 and {UNCLASSIFIED} ({first_few(full)}), but the others have "
        f"{values}; {UNCLASSIFIED} would mean not judged, so objects would be lost"
    )
    return [Problem(folder, reason, "use the same value for objects in all masks")]


def _smoothed(pictures: _Pictures) -> list[Problem]:
    return [
        Problem(
            entry.labels or entry.image,
            f"values between 0 and {found.ids.max()} along the borders: this is a smoothed mask, not ids",
            "export it without smoothing (antialiasing), or set it to 0 below half of the maximum and to 1 above it, "
            "and give labels=components",
        )
        for entry, found in pictures
        if found.is_smoothed
    ]


def _truncated(pictures: _Pictures) -> list[Problem]:
    return [
        Problem(
            entry.labels or entry.image,
            f"8-bit labels hold {found.pieces} separate objects; ids above 255 were cut off or wrapped around",
            "export ids again as 16- or 32-bit PNG or TIFF",
        )
        for entry, found in pictures
        if found.has_truncated_ids
    ]


def _taken_for_ids(folder: Path, pictures: _Pictures) -> list[tuple[Problem, bool]]:
    """Masks given where instances are expected, and whether that is sure."""
    values = {int(i) for _, found in pictures for i in found.ids}
    per_value = sum(found.pieces for _, found in pictures) / sum(len(found.ids) for _, found in pictures)
    what = f"{len(values)} label value(s), each in {per_value:.1f} pieces per picture"
    if per_value > _PIECES_OF_A_MASK and len(values) > LARGEST_CLASS:
        remedy = f"export ids as 16- or 32-bit PNG or TIFF; {EXPORT_AGAIN}"
        return [(Problem(folder, f"{what}: these are not ids of objects", remedy), True)]
    if per_value > _PIECES_OF_A_MASK:
        return [(Problem(folder, f"{what}: these are masks, not instances", "give labels=components"), True)]
    has_one_value = all(len(found.ids) == 1 for _, found in pictures)
    if has_one_value and per_value > 1 and UNCLASSIFIED in values:
        reason = f"these are masks of 0 and 255, not instances; {what} would be one object"
        return [(Problem(folder, reason, "give labels=components"), True)]
    if (has_one_value and per_value > 1) or per_value > _DOUBTFUL_PIECES:
        remedy = "if the pieces are separate objects, give labels=components"
        return [(Problem(folder, f"{what}, which count as one object", remedy), False)]
    return []


def _without_background(folder: Path, pictures: _Pictures, options: FolderOptions) -> list[tuple[Problem, bool]]:
    """Label images whose background is an object, or that have none, and whether that is sure."""
    classes = {int(value) for _, found in pictures for value in found.class_values}
    is_classed = options.labels == "components" and len(classes) > 1
    full = [entry.name for entry, found in pictures if not found.has_background]
    everything = f"no pixel is background (0) in {len(full)} of {len(pictures)} label images ({first_few(full)})"
    invert = "if it is the background, set it to 0 (invert the mask)"
    if is_classed:
        remedy = "if one of the values means background, change it to 0"
        return [(Problem(folder, everything, remedy), False)] if len(full) == len(pictures) else []
    if all(len(found.ids) == 1 for _, found in pictures) and len(full) == len(pictures):
        return [(Problem(folder, everything, "set the background to 0"), True)]
    inverted = [entry.name for entry, found in pictures if found.covers > _MOST and found.on_border > _MOST]
    found = []
    if inverted:
        reason = (
            f"one object covers most of the picture and of its border in {len(inverted)} of {len(pictures)} label "
            f"images ({first_few(inverted)})"
        )
        is_sure = options.labels == "instances" and 2 * len(inverted) >= len(pictures)
        unless = "; if it is an object, give labels=components" if is_sure else ""
        found.append((Problem(folder, reason, invert + unless), is_sure))
    if set(full) - set(inverted):
        found.append((Problem(folder, everything, "if one of the values means background, change it to 0"), False))
    return found
