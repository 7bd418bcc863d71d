"""A new type of cell from a few annotated pictures: learn it, segment with it, keep it."""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32
from scipy.special import expit

from segjax.fewshot.bank import Extractor, FeatureBank
from segjax.fewshot.files import load_as
from segjax.fewshot.grid import best_threshold, check_shots
from segjax.fewshot.heads import GIVE_LOG_ODDS, Head, create_head, name_of
from segjax.fewshot.linear import Logistic
from segjax.fewshot.moments import Params
from segjax.fewshot.streaming import fit_streamed
from segjax.fewshot.targets import DELINEATIONS, border_target, type_target
from segjax.models import save_weights
from segjax.models.pretrained import VERSION
from segjax.ops.components import components
from segjax.ops.instances import GROUPINGS, instances
from segjax.types import IGNORED, InputError, check_least

THRESHOLDS = ("best", "zero")
SCALES = ("max", "dtype")


@dataclass(frozen=True)
class Objects:
    """How touching objects are kept apart.

    Attributes:
        delineation: "line": a line of background is learnt between touching objects; "border": outlines are learnt as a
            class of their own; "none": neither is learnt.
        grouping: "components": connected pieces of the predicted mask are the objects; "watershed": pieces are parted
            where they are narrow.
        minimum_area: smallest object in pixels; smaller ones are dropped.
        threshold: of a pixel's score. "best": the threshold with the highest Dice on the shots; "zero": 0, which is a
            probability of 1/2.
        most_bytes: memory for the features of the shots; where they take more, they are computed again for every pass.
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
        check_least(self, minimum_area=1)


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


class Shot(NamedTuple):
    """One annotated picture that a type was learnt from, for whoever uses the type later; None: not measured.

    Attributes:
        name, group: of the picture.
        brightness, contrast: mean and standard deviation of its values as they were read.
        objects: their number.
        diameter: median over the objects, each as a disc of its area, in pixels.
        fold: shots of one fold were held out together; the type was then learnt from all others.
        dice, f1, confidence: of the shot as that type segmented it; confidence as that of `Found`.
        above: mean of the values of its objects less that of the background.
        digest: of its content, as `segjax.models.pretrained.picture_digest` gives it.
    """

    name: str
    group: str
    brightness: float
    contrast: float
    objects: int
    diameter: float
    fold: int | None = None
    dice: float | None = None
    f1: float | None = None
    confidence: float | None = None
    above: float | None = None
    digest: str | None = None


class Found(NamedTuple):
    """What a type finds in a picture.

    Attributes:
        labels: int32 [H, W], numbered objects, 0 elsewhere.
        confidence: mean over the objects' pixels of 1 / (1 + exp(-score)), with scores counted from the threshold: 0.5
            is a guess, 1 is certain. None without objects, and for heads whose scores are no log odds.
    """

    labels: Int32[np.ndarray, "H W"]
    confidence: float | None


@dataclass(frozen=True, eq=False)
class NewType:
    """A type that was learnt on the features of one bank.

    Attributes:
        head, params, threshold: a pixel whose score is above the threshold is of the type.
        border: parameters of the head for outlines, where those were learnt.
        objects: how its objects are kept apart.
        bank_digest: of the bank that the features must come from.
        reading: how files of further pictures are to be read; for the user of the type, who reads them.
        shots: the pictures that it was learnt from; () where they are not known.
    """

    head: Head
    params: Params
    threshold: float
    border: Params | None
    objects: Objects
    bank_digest: str
    reading: Reading = field(default_factory=Reading)
    shots: tuple[Shot, ...] = ()

    def scores(self, bank: FeatureBank, image: Float32[np.ndarray, "H W C"]) -> Float32[np.ndarray, "H W"]:
        """Score of every pixel less the threshold.

        Raises:
            InputError: another bank than the one that the type was learnt on, or a picture that the bank refuses.
        """
        self._check(bank, "extractors")
        return np.asarray(self.head.predict(self.params, bank.features(image))) - np.float32(self.threshold)

    def find(self, bank: FeatureBank, image: Float32[np.ndarray, "H W C"]) -> Found:
        """The objects of the type in one picture, and how clear they are. Raises InputError as `scores`."""
        scores, outline = self.scores(bank, image), None
        if self.border is not None:
            outline = np.asarray(self.head.predict(self.border, bank.features(image))) > 0
        labels = instances(scores > 0, self.objects.grouping, outline, self.objects.minimum_area)
        if not labels.any() or not isinstance(self.head, GIVE_LOG_ODDS):
            return Found(labels, None)
        return Found(labels, float(expit(scores[labels > 0].astype(np.float64)).mean()))

    def segment(self, bank: FeatureBank, image: Float32[np.ndarray, "H W C"]) -> Int32[np.ndarray, "H W"]:
        """Numbered objects of the type in one picture, 0 elsewhere. Raises InputError as `scores`."""
        return self.find(bank, image).labels

    def _check(self, bank: FeatureBank, name: str) -> None:
        """Raises InputError for another bank; its message begins with the name."""
        if bank.digest != self.bank_digest:
            raise InputError(
                f"{name}: this type was learnt on features of the bank {self.bank_digest}, not of {bank.digest}; the "
                "extractors have changed since, or are others: give those that it was learnt with, or learn again from "
                "the shots"
            )

    def save(self, path: Path) -> None:
        """Write everything but the extractors to one file."""
        facts = {
            "version": VERSION,
            "head": name_of(self.head),
            "options": dataclasses.asdict(self.head),  # type: ignore[call-overload]
            "threshold": self.threshold,
            "objects": dataclasses.asdict(self.objects),
            "bank": self.bank_digest,
            "reading": dataclasses.asdict(self.reading),
            "shots": [shot._asdict() for shot in self.shots],
        }
        save_weights(path, {"params": self.params, "border": self.border or {}}, facts)

    @staticmethod
    def load(path: Path, bank: FeatureBank) -> "NewType":
        """A saved type. Raises InputError where the file is not one, or belongs to another bank or version."""
        saved, facts = load_as("a saved type", path, ("head", "options", "threshold", "objects", "bank", "reading"))
        params, border = jax.device_put((saved["params"], saved["border"]))
        head, objects = create_head(facts["head"], **facts["options"]), Objects(**facts["objects"])
        reading, shots = Reading(**facts["reading"]), tuple(Shot(**shot) for shot in facts.get("shots", ()))
        loaded = NewType(head, params, facts["threshold"], border or None, objects, facts["bank"], reading, shots)
        loaded._check(bank, str(path))
        return loaded


class Shots:
    """Annotated pictures, ready to learn a type from all of them, or from some to check it on the others.

    Their features are computed once and held where they fit.

    Attributes:
        bank, images, objects: as they were given.
        labels: of each picture int32 [H, W]: 0 background, 1..N objects, -1 not annotated.
    """

    def __init__(
        self,
        bank: FeatureBank,
        images: Sequence[Float32[np.ndarray, "_ _ _"]],
        masks: Sequence[np.ndarray],
        head: Head | None = None,
        objects: Objects | None = None,
    ) -> None:
        """Arguments and errors as those of `fit_new_type`."""
        self.bank, self.images, self.objects = bank, images, objects or Objects()
        self.labels = _labels(images, masks)
        for number, image in enumerate(images):
            bank.check(image, f"images: number {number}")
        self._head = head or Logistic()
        self._targets = [
            type_target(np.maximum(label, 0), self.objects.delineation, label < 0) for label in self.labels
        ]
        check_shots(self._targets)
        self._outlines = [border_target(np.maximum(label, 0), label < 0) for label in self.labels]
        self._held = self._features_if_they_fit()
        self._fit, self._best_threshold = jax.jit(self._head.fit), jax.jit(best_threshold)

    def __len__(self) -> int:
        return len(self.images)

    def learn(self, without: Collection[int] = ()) -> NewType:
        """The type as all shots but some show it. Raises InputError where none is left, or none with background."""
        used = [place for place in range(len(self)) if place not in without]
        if not used:
            raise InputError("without: no shot is left to learn from; leave out fewer")
        check_shots([self._targets[place] for place in used])
        params, threshold = self._fitted(self._targets, used), 0.0
        if self.objects.threshold == "best":
            scores = [np.asarray(self._head.predict(params, self._features(place))).ravel() for place in used]
            left_out = [np.zeros(self._targets[place].size, np.float32) for place in without]
            known = [self._targets[place].ravel() for place in used]
            ignored = [np.full(self._targets[place].size, IGNORED, np.int32) for place in without]
            # as many pixels whatever is left out, so that one program serves
            flat = [np.concatenate(parts)[None, :, None] for parts in (scores + left_out, known + ignored)]
            threshold = float(self._best_threshold(*flat, jnp.ones(1)))
        border = self._fitted(self._outlines, used) if self.objects.delineation == "border" else None
        return NewType(self._head, params, threshold, border, self.objects, self.bank.digest)

    def _features_if_they_fit(self) -> Float32[np.ndarray, "S H W F"] | None:
        side = tuple(max(image.shape[axis] for image in self.images) for axis in (0, 1))
        if 4 * len(self) * side[0] * side[1] * len(self.bank) > self.objects.most_bytes:
            return None
        held = np.zeros((len(self), *side, len(self.bank)), np.float32)
        for place, image in enumerate(self.images):
            held[place, : image.shape[0], : image.shape[1]] = self.bank.features(image)
        return held

    def _features(self, place: int) -> np.ndarray | jax.Array:
        height, width = self.images[place].shape[:2]
        return self.bank.features(self.images[place]) if self._held is None else self._held[place, :height, :width]

    def _fitted(self, targets: Sequence[Int32[np.ndarray, "_ _"]], used: Sequence[int]) -> Params:
        if self._held is None:
            parts = [[every[place] for place in used] for every in (self.images, targets)]
            return fit_streamed(self._head, self.bank, *parts)
        padded = np.full(self._held.shape[:3], IGNORED, np.int32)
        for place, target in enumerate(targets):
            padded[place, : target.shape[0], : target.shape[1]] = target
        weights = np.isin(np.arange(len(self)), used).astype(np.float32)
        return self._fit(self._held, padded, weights)


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

    >>> from segjax.models import create
    >>> network, image = create("msd", depth=1), np.zeros((8, 8, 1), np.float32)
    >>> image[2:5, 2:5] = 1.0
    >>> extractor = Extractor(network, network.init(jax.random.key(0), jnp.asarray(image)[None]))
    >>> bank = FeatureBank.standardised([extractor], [image])
    >>> learnt = fit_new_type(bank, [image], [image[..., 0] > 0], create_head("ridge"))
    >>> learnt.segment(bank, np.roll(image, 3, axis=1))[3].tolist()  # what is bright, in another picture
    [0, 0, 0, 0, 0, 1, 1, 1]
    """
    return Shots(bank, images, masks, head, objects).learn()


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

    >>> from segjax.models import create
    >>> network, image = create("msd", depth=1), np.zeros((8, 8, 1), np.float32)
    >>> image[2:5, 2:5] = 1.0
    >>> extractor = Extractor(network, network.init(jax.random.key(0), jnp.asarray(image)[None]))
    >>> shots = [image], [image[..., 0] > 0]
    >>> (found,) = segment_new_type([extractor], *shots, query=[image[:, ::-1]], head=create_head("ridge"))
    >>> found[3].tolist()  # what is bright, in another picture
    [0, 0, 0, 1, 1, 1, 0, 0]
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
