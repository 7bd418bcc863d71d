"""What trained weights know of some pictures: whether they saw them, and whether they saw such objects."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32

from segjax.evaluation.references import median_radius
from segjax.models.pretrained import SCORED, UsedPicture
from segjax.types import IGNORED

LARGEST_FACTOR = 1.5  # by which objects may be smaller or larger; training enlarges and shrinks them about as much
CLEAR = 0.02  # least difference of values between objects and background that has a sign
LISTED = 3  # pictures that a sentence names


class Shown(NamedTuple):
    """The objects of one picture.

    Attributes:
        diameter: their median in pixels, of discs of their areas.
        above: mean of their values less that of the background, both from 0 to 1; of all channels together. NaN: the
            picture has no background.
    """

    diameter: float
    above: float


def objects_of(
    image: Float32[np.ndarray, "H W C"],
    labels: Int32[np.ndarray, "H W"],
    ignored: Bool[np.ndarray, "H W"] | None = None,
) -> Shown | None:
    """What is measured of a picture's objects; None where there are none.

    Args:
        labels: 1..N are objects, 0 is background, -1 was not judged.
        ignored: pixels that were not judged, where labels do not say it.
    """
    if ignored is not None:
        labels = np.where(ignored, np.int32(IGNORED), labels)
    if not (labels > 0).any():
        return None
    means = [float(image[side].mean(dtype=np.float64)) if side.any() else np.nan for side in (labels > 0, labels == 0)]
    return Shown(2 * median_radius(np.maximum(labels, 0)[None]), means[0] - means[1])


def told(classes: Sequence[str], learnt: Sequence[Shown]) -> dict[str, Any]:
    """What a card holds of the objects that networks learnt from.

    Args:
        classes: their names.
        learnt: of each picture that has objects.

    Returns:
        "classes"; "diameters", the smallest and the largest of a picture; "brighter" than the background: True or
        False where all pictures agree, else None.
    """
    diameters = [one.diameter for one in learnt]
    signs = {one.above > 0 for one in learnt}
    brighter = signs.pop() if len(signs) == 1 else None
    return {
        "classes": list(classes),
        "diameters": [round(min(diameters), 2), round(max(diameters), 2)],
        "brighter": brighter,
    }


def unlike(known: Mapping[str, Any], shown: Sequence[Shown]) -> list[str]:
    """How annotated objects differ from those that networks learnt from, as sentences.

    Args:
        known: as `told` gives it; {}: nothing is known.
        shown: of each annotated picture that has objects.

    >>> print(*unlike({"diameters": [9, 50], "brighter": True}, [Shown(20, -0.3)]))
    In 1 of 1 annotated pictures the objects are darker than the background, but the networks learnt from brighter ones.
    """
    said: list[str] = []
    if not known or not shown:
        return said
    sign = {True: 1, False: -1, None: 0}[known["brighter"]]
    against = sum(-sign * one.above > CLEAR for one in shown)
    if 2 * against > len(shown):
        words = ("darker", "brighter") if sign > 0 else ("brighter", "darker")
        said.append(
            f"In {against} of {len(shown)} annotated pictures the objects are {words[0]} than the background, but the "
            f"networks learnt from {words[1]} ones."
        )
    diameter, (small, large) = float(np.median([one.diameter for one in shown])), known["diameters"]
    if not small / LARGEST_FACTOR <= diameter <= large * LARGEST_FACTOR:
        said.append(
            f"The annotated objects have a median diameter of {diameter:.0f} px, but the networks learnt from pictures "
            f"with medians from {small:.0f} to {large:.0f} px."
        )
    return said


def made_of(used: Sequence[UsedPicture]) -> tuple[set[str], set[str]]:
    """Digests and names of the pictures that networks learnt from or chose their epoch on; scores alone change none."""
    kept = [one for one in used if one.side != SCORED]
    return {one.digest for one in kept}, {one.picture for one in kept}


def seen(used: Sequence[UsedPicture], given: Mapping[str, str], noun: str = "pictures") -> list[str]:
    """Which pictures networks learnt from or chose their epoch on, as sentences; those that gave scores are new.

    Parts of a picture that was cut have another content, and are known by its name.

    Args:
        used: as `segjax.models.pretrained.used_pictures` lists them.
        given: digests by the names of some pictures, as `segjax.models.pretrained.picture_digest` gives them.
        noun: what these are called.
    """
    digests, names = made_of(used)
    same = [name for name, digest in given.items() if digest in digests]
    namesakes = [name for name in given if name.partition("@")[0] in names and name not in same]  # tiles too
    said = []
    if same:
        said.append(
            f"The networks learnt from {some(same, len(given), noun)}, or chose their epoch on them. What is measured "
            "on these says nothing of new pictures."
        )
    if namesakes:
        said.append(
            f"{some(namesakes, len(given), noun)} have names of some that the networks learnt from, or chose their "
            "epoch on, but another content. If they are the same in another size or format, or parts of them, what is "
            "measured on these says nothing of new pictures."
        )
    return said


def some(names: Sequence[str], total: int, noun: str = "pictures") -> str:
    """How many of all, and the first of them: "2 of 5 pictures (a, b)"."""
    listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    return f"{len(names)} of {total} {noun} ({listed})"
