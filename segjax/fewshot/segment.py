"""A new type of cell from a few annotated pictures: learn it, segment with it, keep it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from segjax.fewshot.bank import Extractor, FeatureBank
from segjax.fewshot.files import load_as
from segjax.fewshot.grid import best_threshold, check_shots
from segjax.fewshot.heads import Head, create_head, name_of
from segjax.fewshot.instances import DELINEATIONS, GROUPINGS, border_target, instances, type_target
from segjax.fewshot.linear import Logistic
from segjax.fewshot.moments import Params
from segjax.fewshot.streaming import fit_streamed
from segjax.models import save_weights
from segjax.ops.components import components
from segjax.types import InputError

THRESHOLDS = ("best", "zero")
SCALES = ("max", "dtype")


@dataclass(frozen=True)
class Objects:
    """How touching objects are kept apart.

    Attributes:
        delineation: "line": a line of background between touching objects is learnt; "border": their outlines are
            learnt as a class of its own; "none": neither.
        grouping: objects of a predicted mask are its "components", or parted along a "watershed".
        minimum_area: objects of fewer pixels are dropped.
        threshold: "best": the one of the highest Dice on the shots; "zero": a score above 0 (a probability above 1/2).
        most_bytes: of the shots' features held at once; above that they are computed again for every pass.
    """

    delineation: str = "line"
    grouping: str = "components"
    minimum_area: int = 1
    threshold: str = "best"
    most_bytes: int = 2**31

    def __post_init__(self) -> None:
        known = {"delineation": DELINEATIONS, "grouping": GROUPINGS, "threshold": THRESHOLDS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(f"{name}: unknown {getattr(self, name)!r}; choose one of {', '.join(values)}")
        if self.minimum_area < 1:
            raise InputError(f"minimum_area must be at least 1 pixel, not {self.minimum_area}")


@dataclass(frozen=True)
class Reading:
    """How picture files become the values that a type was learnt on; see `segjax.data.read_picture`.

    Attributes:
        scale: division by "max", the picture's own maximum, or by "dtype", the largest value of its file type.
        channels: 0 leaves them as they are, 1 makes grey, 3 repeats grey.
    """

    scale: str = "max"
    channels: int = 0

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise InputError(f"scale: unknown {self.scale!r}; choose one of {', '.join(SCALES)}")
        if self.channels not in (0, 1, 3):
            raise InputError(f"channels: {self.channels} cannot be made of a picture; choose 0 (as they are), 1 or 3")


@dataclass(frozen=True, eq=False)
class NewType:
    """A type that was learnt on the features of one bank.

    Attributes:
        head, params, threshold: a pixel whose score is above the threshold is of the type.
        border: parameters of the head for outlines, where those were learnt.
        objects: how its objects are kept apart.
        bank_digest: of the bank that the features must come from.
        reading: how files of further pictures are to be read; for the user of the type, who reads them.
    """

    head: Head
    params: Params
    threshold: float
    border: Params | None
    objects: Objects
    bank_digest: str
    reading: Reading = field(default_factory=Reading)

    def scores(self, bank: FeatureBank, image: Float32[np.ndarray, "H W C"]) -> Float32[np.ndarray, "H W"]:
        """Score of every pixel less the threshold.

        Raises:
            InputError: another bank than the one that the type was learnt on, or a picture that the bank refuses.
        """
        self._check(bank)
        return np.asarray(self.head.predict(self.params, bank.features(image))) - np.float32(self.threshold)

    def segment(self, bank: FeatureBank, image: Float32[np.ndarray, "H W C"]) -> Int32[np.ndarray, "H W"]:
        """Numbered objects of the type in one picture, 0 elsewhere. Raises InputError as `scores`."""
        mask, outline = self.scores(bank, image) > 0, None
        if self.border is not None:
            outline = np.asarray(self.head.predict(self.border, bank.features(image))) > 0
        return instances(mask, self.objects.grouping, outline, self.objects.minimum_area)

    def _check(self, bank: FeatureBank) -> None:
        if bank.digest != self.bank_digest:
            raise InputError(
                f"extractors: this type was learnt on features of the bank {self.bank_digest}, not of {bank.digest}; "
                "give the extractors it was learnt with, or learn it again"
            )

    def save(self, path: Path) -> None:
        """Write everything but the extractors to one file."""
        facts = {
            "head": name_of(self.head),
            "options": dataclasses.asdict(self.head),  # type: ignore[call-overload]
            "threshold": self.threshold,
            "objects": dataclasses.asdict(self.objects),
            "bank": self.bank_digest,
            "reading": dataclasses.asdict(self.reading),
        }
        save_weights(path, {"params": self.params, "border": self.border or {}}, facts)

    @staticmethod
    def load(path: Path, bank: FeatureBank) -> "NewType":
        """A saved type. Raises InputError where the file is not one, or belongs to another bank."""
        saved, facts = load_as("a saved type", path, ("head", "options", "threshold", "objects", "bank", "reading"))
        params, border = jax.device_put((saved["params"], saved["border"]))
        head, objects = create_head(facts["head"], **facts["options"]), Objects(**facts["objects"])
        reading = Reading(**facts["reading"])
        loaded = NewType(head, params, facts["threshold"], border or None, objects, facts["bank"], reading)
        loaded._check(bank)
        return loaded


def fit_new_type(
    bank: FeatureBank,
    images: Sequence[Float32[np.ndarray, "_ _ _"]],
    masks: Sequence[np.ndarray],
    head: Head | None = None,
    objects: Objects | None = None,
) -> NewType:
    """Learn a type from a few annotated pictures, which may differ in size.

    Args:
        masks: of each picture: numbered objects (0 background, 1..N), or a bool mask, whose pieces are the objects. In
            numbered objects -1 is "not annotated".
        head: the logistic perceptron by default.

    Raises:
        InputError: pictures and masks that do not fit each other or the extractors, NaN or infinite values, a picture
            that does not show the type, no background, only ignored pixels, or a head that needs more memory than
            `objects.most_bytes`.
    """
    head, objects = head or Logistic(), objects or Objects()
    labels = _labels(images, masks)
    for number, image in enumerate(images):
        bank.check(image, f"images: number {number}")
    targets = [type_target(np.maximum(label, 0), objects.delineation, label < 0) for label in labels]
    check_shots(targets)
    outlines = [border_target(np.maximum(label, 0), label < 0) for label in labels]
    fit = _fitter(head, bank, images, objects.most_bytes)
    params = fit(targets)
    threshold = 0.0
    if objects.threshold == "best":
        scores = [np.asarray(head.predict(params, bank.features(image))) for image in images]
        flat = [np.concatenate([part.ravel() for part in parts])[None, :, None] for parts in (scores, targets)]
        threshold = float(jax.jit(best_threshold)(flat[0], flat[1], jnp.ones(1)))
    border = fit(outlines) if objects.delineation == "border" else None
    return NewType(head, params, threshold, border, objects, bank.digest)


def segment_new_type(
    extractors: Sequence[Extractor],
    images: Sequence[Float32[np.ndarray, "_ _ _"]],
    masks: Sequence[np.ndarray],
    query: Sequence[Float32[np.ndarray, "_ _ _"]],
    head: Head | None = None,
    objects: Objects | None = None,
) -> list[Int32[np.ndarray, "_ _"]]:
    """Segment a type in some pictures after it was annotated in a few others; arguments as `fit_new_type`.

    Features are standardised by the extractors' own statistics where they have them, else by those of the annotated
    pictures.

    Returns:
        For each query picture its numbered objects, 0 elsewhere.

    Raises:
        InputError: as `fit_new_type`; a query picture that the extractors cannot take, before anything is learnt.
    """
    known = all(extractor.mean is not None for extractor in extractors)
    bank = FeatureBank(extractors) if known else FeatureBank.standardised(extractors, images)
    for number, image in enumerate(query):
        bank.check(image, f"query: number {number}")
    learnt = fit_new_type(bank, images, masks, head, objects)
    return [learnt.segment(bank, image) for image in query]


def _labels(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    if len(images) == 0:
        raise InputError("images: no annotated picture is given")
    if len(images) != len(masks):
        raise InputError(f"masks: there are {len(masks)} for {len(images)} pictures; give one each")
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if image.shape[:2] != mask.shape:
            raise InputError(f"masks: number {number} has the shape {mask.shape}, its picture {image.shape[:2]}")
    return [components(mask) if mask.dtype == bool else np.asarray(mask, np.int32) for mask in masks]


def _fitter(head: Head, bank: FeatureBank, images: Sequence[np.ndarray], most_bytes: int):
    """The function targets -> params; features of all pictures are held where they fit."""
    side = tuple(max(image.shape[axis] for image in images) for axis in (0, 1))
    if 4 * len(images) * side[0] * side[1] * len(bank) > most_bytes:
        return lambda targets: fit_streamed(head, bank, images, targets)
    features = np.zeros((len(images), *side, len(bank)), np.float32)
    for place, image in enumerate(images):
        features[place, : image.shape[0], : image.shape[1]] = bank.features(image)

    def fit(targets):
        padded = np.full(features.shape[:3], -1, np.int32)
        for place, target in enumerate(targets):
            padded[place, : target.shape[0], : target.shape[1]] = target
        return jax.jit(head.fit)(features, padded, np.ones(len(images), np.float32))

    return fit
