"""Foreign objects for the inclusion error: the pictures of another source pasted into those of the first.

The rule is that of Vadineanu et al. 2022 (MIDL): both pictures are divided by their own maximum, and the foreign one
replaces the first wherever it shows an object or is brighter than a threshold, and the first has no object.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from segjax.data.pictures.images import LUMINANCE, convert_channels
from segjax.data.tiles import picture_shapes
from segjax.types import InputError, Sample, Source, digest_of


def paste(sample: Sample, foreign: Sample, *, foreign_class: int, threshold: float = 0.8) -> Sample:
    """The sample with the foreign picture where (foreign object or foreign intensity > threshold) and no own object.

    Own objects hide foreign ones, which are cut at their border and may touch them. Foreign object i gets the id
    N + i, N the length of the sample's `classes`, so that ids agree over the slices of a volume; all foreign objects
    get `foreign_class`. A foreign picture of another size is cropped to its upper left corner or continued by mirror
    images, whose objects are further foreign objects. The sample's ignored pixels stay so where nothing is pasted; its
    image-level label and its georeference stay.

    Args:
        sample: the picture that is pasted into.
        foreign: the picture that is pasted; grey becomes RGB or RGB grey (luminance) as the sample needs.
        foreign_class: class index of the pasted objects, one above those of the sample's source.
        threshold: in units of the foreign picture's maximum; 1.0 pastes the objects alone, which bright-field and
            stained pictures need, whose background is bright.
    """
    height, width = sample.labels.shape
    rows, row_copies = _mirrored(foreign.labels.shape[0], height)
    columns, column_copies = _mirrored(foreign.labels.shape[1], width)
    copy = row_copies[:, None] * (column_copies[-1] + 1) + column_copies[None, :]
    copies = int(copy[-1, -1]) + 1

    own_image, foreign_image = _by_maximum(sample.image), _by_maximum(foreign.image)[np.ix_(rows, columns)]
    foreign_labels = foreign.labels[np.ix_(rows, columns)]
    intensity = foreign_image @ LUMINANCE if foreign_image.shape[-1] == 3 else foreign_image.max(-1)
    is_pasted = ((foreign_labels > 0) | (intensity > threshold)) & (sample.labels == 0)
    foreign_ids = len(sample.classes) + copy * len(foreign.classes) + foreign_labels
    own_channels = own_image.shape[-1]
    return replace(
        sample,
        image=np.where(is_pasted[..., None], convert_channels(foreign_image, own_channels), own_image),
        labels=np.where(is_pasted & (foreign_labels > 0), foreign_ids, sample.labels).astype(np.int32),
        classes=np.concatenate([sample.classes, np.full(copies * len(foreign.classes), foreign_class, np.int32)]),
        ignored=None if sample.ignored is None else sample.ignored & ~is_pasted,
    )


def _mirrored(length: int, wanted: int) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
    """Positions 0, 1, .., length - 1, length - 1, .., 0, 0, 1, .. up to `wanted`, and which copy each belongs to."""
    copy, inside = np.divmod(np.arange(wanted), length)
    return np.where(copy % 2 == 0, inside, length - 1 - inside), copy


def _by_maximum(image: np.ndarray) -> np.ndarray:
    return image / np.float32(image.max() or 1.0)


class PastedSource:
    """A source with the pictures of another pasted in; see `pasted`."""

    def __init__(self, source: Source, foreign: Source, threshold: float) -> None:
        self._source, self._foreign, self._threshold = source, foreign, threshold
        self._read_partner = _same_slice(source, foreign) or _same_place(source, foreign)
        self.spec = f"{source.spec} + {foreign.spec}"
        self.digest = digest_of(source.digest, "pasted at the middle", foreign.digest, threshold)
        self.names = source.names
        self.groups = source.groups
        self.shapes = picture_shapes(source)
        self.class_names = (*source.class_names, f"foreign: {', '.join(foreign.class_names)}")
        self.label_names = source.label_names
        self.test_groups = source.test_groups
        self.coarsening = source.coarsening

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        foreign = self._read_partner(index)
        if not foreign.labels.any():  # scaled by its own maximum, a slice without objects would paste mere background
            foreign = replace(foreign, image=np.zeros_like(foreign.image))
        return paste(
            self._source[index], foreign, foreign_class=len(self._source.class_names) + 1, threshold=self._threshold
        )


def pasted(source: Source, foreign: Source, threshold: float = 0.8) -> PastedSource:
    """Every picture with a foreign one pasted in, read on demand; class names end with "foreign: ...".

    Virtual microscopes of one size: the foreign picture has the same volume and slice number. All other sources: the
    k-th group goes with the k-th foreign group (from the start again where there are fewer), and the relative position
    within the group decides. A foreign picture without objects adds nothing. Paste first and tile then, so that
    positions fit.

    Raises:
        InputError: no foreign pictures, threshold outside 0..1.
    """
    if not len(foreign):
        raise InputError(f"{foreign.spec}: has no pictures to paste in; give another source of foreign objects")
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold={threshold} must be from 0 to 1")
    return PastedSource(source, foreign, threshold)


def _same_slice(source: Source, foreign: Source) -> Callable[[int], Sample] | None:
    """The foreign slice of the same volume and number, if both sources are microscopes of one size."""
    positions, read_slice = getattr(source, "positions", None), getattr(foreign, "at", None)
    if positions is None or read_slice is None or source.coarsening != foreign.coarsening:
        return None
    return lambda index: read_slice(*positions[index])


def _same_place(source: Source, foreign: Source) -> Callable[[int], Sample]:
    """The foreign picture at the same relative position of the group with the same rank."""
    foreign_members = list(_members(foreign).values())
    partners = [0] * len(source)
    for rank, members in enumerate(_members(source).values()):
        candidates = foreign_members[rank % len(foreign_members)]
        for place, index in enumerate(members):
            # the middles of equal stretches, so that a picture alone goes with the middle slice, not with an end
            partners[index] = candidates[(2 * place + 1) * len(candidates) // (2 * len(members))]
    return lambda index: foreign[partners[index]]


def _members(source: Source) -> dict[str, list[int]]:
    """Picture indices of each group, groups in the order in which they first appear."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(source.groups):
        members.setdefault(group, []).append(index)
    return members
