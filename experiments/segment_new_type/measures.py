"""What is measured of a picture, how it differs from the shots, and how held-out shots were segmented."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from experiments.harness.weights import LARGEST_FACTOR, Shown, objects_of, seen, some, unlike
from segjax.evaluation import Interval, interval
from segjax.evaluation.references import median_radius
from segjax.fewshot import NewType, Objects
from segjax.fewshot.files import extractor_files
from segjax.fewshot.held_out import folds_of
from segjax.fewshot.segment import Shot
from segjax.models import card
from segjax.models.pretrained import picture_digest, shipped_names, used_pictures

WORDS = {  # what a picture below, or above, that range is
    "brightness": ("darker", "brighter"),
    "contrast": ("lower contrast", "higher contrast"),
    "diameter": ("smaller objects", "larger objects"),
}
POOR = 0.7  # a lower mean Dice or object F1 of held-out shots is warned of


class Measured(NamedTuple):
    """One segmented picture.

    Attributes:
        brightness, contrast: mean and standard deviation of its values, which are in [0, 1].
        objects: their number.
        diameter: median in pixels, of discs of the objects' areas; None without objects.
        covered: share of the picture that the objects cover.
        confidence: see `segjax.fewshot.Found`.
        differences: from the shots, in words.
    """

    name: str
    brightness: float
    contrast: float
    objects: int
    diameter: float | None
    covered: float
    confidence: float | None = None
    differences: tuple[str, ...] = ()


def measured(
    name: str,
    image: Float32[np.ndarray, "H W C"],
    labels: Int32[np.ndarray, "H W"],
    confidence: float | None = None,
    shots: Sequence[Shot] = (),
) -> Measured:
    """A picture with its objects 1..N (0 and less are none), compared with the shots where they are known."""
    objects = np.maximum(labels, 0)
    count = len(np.unique(objects[objects > 0]))
    diameter = 2 * median_radius(objects[None]) if count else None
    spread = float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64))
    found = Measured(name, *spread, count, diameter, float((objects > 0).mean()), confidence)
    return found._replace(differences=tuple(differences(found, shots)))


def differences(picture: Measured, shots: Sequence[Shot]) -> list[str]:
    """In what a picture lies outside the range of the shots by more than `LARGEST_FACTOR`."""
    found = []
    for name, (below, above) in WORDS.items():
        value, known = getattr(picture, name), [getattr(shot, name) for shot in shots]
        if value is None or not known:
            continue
        if value * LARGEST_FACTOR < min(known):
            found.append(below)
        elif value > max(known) * LARGEST_FACTOR:
            found.append(above)
    return found


def as_shot(
    picture: Measured, group: str, image: Float32[np.ndarray, "H W C"], labels: Int32[np.ndarray, "H W"]
) -> Shot:
    """What a type keeps of an annotated picture."""
    objects, spread = objects_of(image, labels), (picture.brightness, picture.contrast)
    return Shot(
        picture.name,
        group,
        *spread,
        picture.objects,
        picture.diameter or 0.0,
        above=None if objects is None else objects.above,
        digest=picture_digest(image),
    )


def of_weights(extractors: str, shots: Sequence[Shot], query: Mapping[str, str]) -> tuple[str, ...]:
    """What trained weights say of the pictures: which of them they saw, and how the objects differ from theirs.

    Nothing is known of extractors that a study kept, nor of the content of shots of earlier versions.

    Args:
        query: digests of the pictures to segment, by their names.
    """
    if extractor_files(extractors):
        return ()
    weights = extractors if extractors in shipped_names() else Path(extractors)
    used, facts = used_pictures(weights), card(weights).facts
    digests = {shot.name: shot.digest for shot in shots if shot.digest}
    objects = [Shown(shot.diameter, shot.above) for shot in shots if shot.above is not None]
    said = [*seen(used, digests, "shots"), *seen(used, query, "pictures to segment")]
    return (*said, *unlike(facts.get("objects", {}), objects))


class Summary(NamedTuple):
    """One metric over the held-out shots: mean, lowest, highest, and the interval over folds."""

    mean: float
    lowest: float
    highest: float
    interval: Interval


def summary(shots: Sequence[Shot], metric: str) -> Summary:
    """Of "dice" or "f1" where shots were held out.

    Folds share most of the shots that they learn from, so the interval is that of the corrected resampled t-test; with
    fewer than five folds there is none.
    """
    values: dict[int, list[float]] = {}
    for shot in shots:
        if shot.fold is not None:
            values.setdefault(shot.fold, []).append(getattr(shot, metric))
    every = [value for fold in values.values() for value in fold]
    found = interval([float(np.mean(fold)) for fold in values.values()], overlap=1 / max(len(values) - 1, 1))
    return Summary(float(np.mean(every)), min(every), max(every), found)


def is_checked(shots: Sequence[Shot]) -> bool:
    """Whether shots were held out."""
    return any(shot.fold is not None for shot in shots)


def is_poor(shots: Sequence[Shot]) -> bool:
    """Whether held-out shots were segmented so poorly that nobody should rely on the objects."""
    return is_checked(shots) and min(summary(shots, metric).mean for metric in ("dice", "f1")) < POOR


def why_unchecked(shots: Sequence[Shot]) -> str:
    """The reason why no shot was held out, as a clause."""
    if not shots:
        return "the type was learnt by an older version, which did not measure it"
    if len(shots) == 1:
        return "there is only one shot"
    if not folds_of([shot.group for shot in shots]):
        return "all shots belong to one group"
    return "the check was skipped"


def cautions(learnt: NewType, pictures: Sequence[Measured]) -> list[str]:
    """What a user has to know before relying on the objects."""
    said, shots = [], learnt.shots
    if not is_checked(shots):
        said.append(
            f"Nothing was measured on held-out shots, because {why_unchecked(shots)}. Look at the pictures before "
            "you use their objects."
        )
    else:
        if (dice := summary(shots, "dice").mean) < POOR:
            said.append(
                f"Held-out shots have a mean Dice of only {dice:.3f}. Annotate more shots, or look at every picture "
                "before you use its objects."
            )
        if (f1 := summary(shots, "f1").mean) < POOR:
            said.append(
                f"Held-out shots have a mean object F1 of only {f1:.3f}. Objects are missed, fused or broken, so do "
                f"not rely on their number and size.{_hints(learnt.objects)}"
            )
    said += [_differing(words, pictures) for words in dict.fromkeys(w for one in pictures for w in one.differences)]
    if empty := [one.name for one in pictures if not one.objects]:
        said.append(f"No object was found in {some(empty, len(pictures))}.")
    return said


def _hints(objects: Objects) -> str:
    """Options that may help and were not given, as sentences."""
    hints = {
        " --objects.grouping watershed parts objects that touch.": objects.grouping == "components",
        " --objects.minimum-area drops specks.": objects.minimum_area == 1,
    }
    return "".join(hint for hint, is_new in hints.items() if is_new)


def _differing(words: str, pictures: Sequence[Measured]) -> str:
    names = [one.name for one in pictures if words in one.differences]
    than = "than every shot" if words in WORDS["brightness"] else "than in every shot"
    return (
        f"{words.capitalize()} {than}, by a factor of more than {LARGEST_FACTOR:g}: {some(names, len(pictures))}. "
        "Look at these pictures before you use their objects."
    )


def amount(count: int, noun: str) -> str:
    """A number with its noun: "1 object", "2 objects"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
