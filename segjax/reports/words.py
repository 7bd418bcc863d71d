"""The words a report uses for networks, errors, strengths, metrics and ways to fail; no number comes from here."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from segjax.data.spec import parse_spec

Level = float | int
CLEAN = "none"
# Its 0 point is a run of its own: foreign objects are in the picture and none of them is annotated.
OWN_ZERO = "inclusion"


class ErrorWords(NamedTuple):
    """How an annotation error is spoken of.

    Attributes:
        thing: what the labels suffer from, plural.
        axis: label of the axis of strengths.
        amount: one strength, with the level filled in.
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
    "bias": ErrorWords("outline errors", "outline errors of up to … pixels", "up to {} px", pixels=True),
    "jitter": _length("jittered outlines"),
    "polygon": ErrorWords("polygon outlines", "polygon outlines, corners per cell", "{} corners", falling=True),
    "shift": _length("shifted labels"),
    "merge": _rate("merged touching cells"),
    "split": _rate("split cells"),
    "markov": ErrorWords("outlines with Markov noise", "outlines with Markov noise, steps", "{} steps"),
}
NETWORKS = {
    "unet": "U-Net",
    "segnet": "SegNet",
    "msd": "MSD",
    "vgg16": "VGG16",
    "vgg16_bn": "VGG16 with normalisation",
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "msd_classifier": "MSD classifier",
    "unet_classifier": "U-Net classifier",
    "otsu": "Otsu's threshold",
    "adaptive": "adaptive threshold",
    "growing": "seeded growing",
    "watershed": "watershed of the gradient",
    "kmeans": "k-means",
    "gaussian_mixture": "Gaussian mixture",
    "forest": "random forest",
}
TERMS = {"puzzle": "Puzzle-CAM term", "seam": "SEAM term"}  # that a classifier's training adds to its loss
METRIC_NAMES = {
    "dice_pooled": "Dice, all test pictures pooled",
    "dice": "Dice, mean of the test pictures",
    "iou": "Intersection over union, mean of the test pictures",
    "iou_pooled": "Intersection over union, all test pictures pooled",
    "surface_dice": "Surface Dice (agreement of outlines)",
    "hd95": "95 % Hausdorff distance of outlines, pixels",
    "aji": "Aggregated Jaccard index (objects)",
    "pq": "Panoptic quality (objects)",
    "f1": "F1 of objects",
    "label_dice": "Dice of the training labels against the clean labels",
    "dice_pooled_q25": "Dice, lower quartile of the draws",
    "dice_pooled_median": "Dice, median of the draws",
    "dice_pooled_q75": "Dice, upper quartile of the draws",
    "dice_pooled_zero": "Dice at score 0",
    "dice_first_draws": "Dice, mean of the first draws",
    "dice_zero_first_draws": "Dice at score 0, mean of the first draws",
    "upgraded_dice": "Dice of the repaired labels against the clean ones",
}
_PARTS = {
    "inside": "inside of the object",
    "rim": "rim",
    "halo": "halo",
    "surroundings": "surroundings",
    "elsewhere": "patch elsewhere",
}
METRIC_NAMES |= {  # of classifiers, their maps, and sites
    "auc": "Area under the curve (AUC)",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "blur_px": "Field of view of the deepest layer, px",
    "false_positive_rate": "False alarms",
    "detection_rate": "Sites found",
    "site_iou": "IoU of pictures with a site",
    "marked_rate": "Training pictures whose site is marked",
    "half_detection_rate": "Sites found at probability 0.5",
    "half_false_positive_rate": "False alarms at probability 0.5",
    "site_level": "Level",
    "site_pixels": "Pixels above the level",
    "site_gate": "Least probability by the classifier",
    "boundary_f_2px": "Boundary F at 2 px",
    "boundary_f_4px": "Boundary F at 4 px",
    "boundary_f_8px": "Boundary F at 8 px",
    "hd95_px": "95 % Hausdorff distance, px",
    "hd95_m": "95 % Hausdorff distance, m",
    "pxap": "Pixel average precision (PxAP)",
    "oracle_iou": "IoU at the best level of each picture",
    "contour_level_iou": "IoU at the contour level",
    "contour_level_boundary_f_4px": "Boundary F at 4 px, contour level",
    "pointing_game": "Highest value on the object",
    "energy": "Share of the map on the object",
    "brightness_correlation": "Correlation with brightness",
    "road": "ROAD",
    "insertion": "Insertion",
    "deletion": "Deletion",
    "average_drop": "Average drop",
    "increase": "Increase",
    "sanity": "Rank correlation after shuffling the weights",
    **{f"cue_lost_without_{part}": f"Evidence lost without the {name}" for part, name in _PARTS.items()},
    **{f"cue_left_with_{part}": f"Evidence left with the {name} alone" for part, name in _PARTS.items()},
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


def error_words(error: str) -> ErrorWords:
    """Words of an error; one that is not known here is called by its own name."""
    return ERRORS.get(error, ErrorWords(error, f"strength of {error}", "strength {}"))


def network_name(network: str) -> str:
    """Name of a network, or of a way to segment without one, as papers write it.

    "vgg16+puzzle" is VGG16 with the term of Puzzle-CAM, "unet+resnet18" U-Net on ResNet-18, "NAME@DIGEST" a program
    whose predictions were read from files with this digest.
    """
    name, elsewhere, _ = network.partition("@")
    if elsewhere:
        return f"{name} (predicted elsewhere)"
    name, plus, other = network.partition("+")
    if other in NETWORKS:
        return f"{NETWORKS.get(name, name)} on {NETWORKS[other]}"
    return f"{NETWORKS.get(name, name)}{plus and ' with '}{TERMS.get(other, other)}"


def shown_level(error: str, level: Level, coarsening: float = 1.0) -> float:
    """The level in the unit that people read: 0.3 omitted is 30, and pixels are those of the pictures at hand.

    Args:
        coarsening: edge of a pixel of the pictures in published pixels, which levels count.
    """
    words = error_words(error)
    return float(f"{level * words.scale / (coarsening if words.pixels else 1):.3g}")


def is_clean(error: str, level: Level) -> bool:
    """Whether the labels are the clean ones of the plain study; inclusion's 0 point is a kind of run of its own."""
    return error == CLEAN or (level == 0 and error != OWN_ZERO)


def amount(error: str, level: Level, coarsening: float = 1.0) -> str:
    """One strength alone: "30 %", "up to 4 px", "clean"; `coarsening` as in `shown_level`."""
    if is_clean(error, level):
        return "clean"
    return error_words(error).amount.format(f"{shown_level(error, level, coarsening):g}")


def amount_of(error: str, level: Level, coarsening: float = 1.0) -> str:
    """One strength and its error: "30 % omitted cells", "outline errors of up to 4 px".

    Several errors at once, such as "omission=0.3+bias=4", bring their strengths along.
    """
    if "=" in error:
        parts = (part.partition("=") for part in error.split("+"))
        return joined(amount_of(name, float(strength), coarsening) for name, _, strength in parts)
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
