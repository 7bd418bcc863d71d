"""The words a report uses for networks, errors, strengths, metrics and ways to fail; no number comes from here."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from segjax.data import parse_spec

Level = float | int
CLEAN = "none"
# Its 0 point is a run of its own: foreign objects are in the picture and none of them is annotated.
OWN_ZERO = "inclusion"


class ErrorWords(NamedTuple):
    """How an annotation error is spoken of.

    Attributes:
        thing: what the labels suffer from, plural.
        axis: label of the axis of strengths.
        amount: one strength or several ("10, 30 and 50 %"), with the levels filled in.
        scale: what the level is multiplied with before it is shown.
        falling: True where a smaller level is the worse one.
        pixels: True where levels are pixels of the published pictures.
    """

    thing: str
    axis: str
    amount: str
    scale: float = 1.0
    falling: bool = False
    pixels: bool = False


def _rate(thing: str) -> ErrorWords:
    return ErrorWords(thing, f"{thing}, %", "{} %", 100)


def _length(thing: str) -> ErrorWords:
    return ErrorWords(thing, f"{thing}, pixels", "{} px", pixels=True)


ERRORS = {
    "omission": _rate("omitted cells"),
    "inclusion": _rate("wrongly included objects"),
    "bias": ErrorWords("outline errors", "outline errors (bias): most pixels moved", "up to {} px", pixels=True),
    "jitter": _length("jittered outlines"),
    "polygon": ErrorWords("polygon outlines", "polygon outlines, corners per cell", "{} corners", falling=True),
    "shift": _length("shifted labels"),
    "merge": _rate("merged touching cells"),
    "split": _rate("split cells"),
}
NETWORKS = {
    "unet": "U-Net",
    "segnet": "SegNet",
    "msd": "MSD",
    "vgg16": "VGG16",
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "msd_classifier": "MSD classifier",
    "unet_classifier": "U-Net classifier",
}
METRIC_NAMES = {
    "dice_pooled": "Dice, all test pictures pooled",
    "dice": "Dice, mean of the test pictures",
    "iou": "Intersection over union, mean of the test pictures",
    "surface_dice": "Surface Dice (agreement of outlines)",
    "hd95": "95 % Hausdorff distance of outlines, pixels of these pictures",
    "aji": "Aggregated Jaccard index (objects)",
    "pq": "Panoptic quality (objects)",
    "f1": "F1 of found objects",
    "label_dice": "Dice of the noisy labels against the clean ones",
    "upgraded_dice": "Dice of the repaired labels against the clean ones",
}
_SIMULATED = {"hl60": "HL60", "granulocytes": "granulocyte"}


def data_name(spec: str) -> str:
    """What a data spec shows, in plain words: "simulated HL60 nuclei", "pictures in my_folder", "NAME (tfds)".

    Raises:
        InputError: the spec is malformed.
    """
    parsed = parse_spec(spec)
    if parsed.scheme == "microscope":
        return f"simulated {_SIMULATED.get(parsed.name, parsed.name)} nuclei"
    if parsed.scheme == "terrain":
        return f"simulated satellite pictures with {parsed.name}"
    if parsed.scheme == "folder":
        return f"pictures in {Path(parsed.name).name or parsed.name}"
    return f"{parsed.name} ({parsed.scheme})"


def error_words(error: str, coarsening: float = 1.0) -> ErrorWords:
    """Words of an error; one that is not known here is called by its own name.

    Args:
        coarsening: edge of a pixel of the pictures in published pixels; where it is not 1, the words say which pixels
            a strength counts.
    """
    known = ERRORS.get(error, ErrorWords(error, f"strength of {error}", "strength {}"))
    if coarsening == 1 or not known.pixels:
        return known
    return known._replace(
        axis=f"{known.axis}\n(published pixels; 1 pixel here = {coarsening:g})",
        amount=known.amount.replace("px", "published px"),
    )


def network_name(network: str) -> str:
    """Name of a network as papers write it."""
    return NETWORKS.get(network, network)


def shown_level(error: str, level: Level) -> float:
    """The level in the unit of the axis: 0.3 omitted is 30."""
    return round(level * error_words(error).scale, 9)


def is_clean(error: str, level: Level) -> bool:
    """Whether the labels are the clean ones of the plain study; inclusion's 0 point is a kind of run of its own."""
    return error == CLEAN or (level == 0 and error != OWN_ZERO)


def amount(error: str, level: Level, coarsening: float = 1.0) -> str:
    """One strength alone: "30 %", "up to 4 px", "clean"."""
    return "clean" if is_clean(error, level) else amounts(error, [level], coarsening)


def amount_here(error: str, level: Level, coarsening: float) -> str:
    """One strength, in pixels of these pictures too where they are others: "up to 6 published px (1.5 here)"."""
    said = amount(error, level, coarsening)
    converted = coarsening != 1 and error_words(error).pixels and not is_clean(error, level)
    return f"{said} ({level / coarsening:g} here)" if converted else said


def amounts(error: str, levels: Iterable[Level], coarsening: float = 1.0) -> str:
    """Several strengths together: "10, 30 and 50 %", "up to 2 and 4 px"."""
    return error_words(error, coarsening).amount.format(joined(f"{shown_level(error, level):g}" for level in levels))


def amount_of(error: str, level: Level, coarsening: float = 1.0) -> str:
    """One strength and what it is a strength of: "30 % omitted cells", "outline errors of up to 4 px"."""
    return "clean labels" if is_clean(error, level) else _of_thing(error, amount(error, level, coarsening))


def _of_thing(error: str, strength: str) -> str:
    words = error_words(error)
    return f"{strength} {words.thing}" if words.scale == 100 else f"{words.thing} of {strength}"


def in_order(errors: Collection[str]) -> list[str]:
    """The errors, without "none", in the order of the study; unknown ones last, by name."""
    known = [error for error in ERRORS if error in errors]
    return known + sorted(set(errors) - set(known) - {CLEAN})


def by_severity(error: str, levels: Iterable[Level]) -> list[Level]:
    """Different levels, mildest first; 0 is no error and comes first for every kind."""
    falling = error_words(error).falling
    return sorted(set(levels), key=lambda level: (level != 0, -level if falling else level))


def joined(parts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
