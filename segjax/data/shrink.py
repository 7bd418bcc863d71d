"""Any source at a lower resolution: fewer pixels for objects that are larger than a network can see at once."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from segjax.data.tiles import picture_shapes
from segjax.types import InputError, Sample, Source, digest_of


class ShrunkSource:
    """A source whose pictures have fewer pixels than another one's; see `shrunk`."""

    def __init__(self, source: Source, factor: int) -> None:
        """See `shrunk`."""
        self._source, self._factor = source, factor
        self.shapes = tuple((height // factor, width // factor) for height, width in picture_shapes(source))
        for name, shape in zip(source.names, self.shapes, strict=True):
            if 0 in shape:
                raise InputError(f"shrink={factor}: nothing would be left of picture {name}; give a smaller number")
        self.spec = f"{source.spec}{'&' if '?' in source.spec else '?'}shrink={factor}"
        self.digest = digest_of(source.digest, "shrink", factor)
        self.names, self.groups = source.names, source.groups
        self.class_names, self.test_groups = source.class_names, source.test_groups
        self.label_names = source.label_names
        self.coarsening = source.coarsening

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        sample, factor = self._source[index], self._factor
        height, width = self.shapes[index]
        middle = np.s_[factor // 2 : height * factor : factor, factor // 2 : width * factor : factor]
        return replace(
            sample,
            image=_block_means(sample.image, factor),
            labels=sample.labels[middle],
            ignored=None if sample.ignored is None else sample.ignored[middle],
            georeference=None if sample.georeference is None else sample.georeference.coarser(factor),
        )


def shrunk(source: Source, factor: int) -> ShrunkSource:
    """Every factor x factor pixels become one: their mean in the picture, the label of the middle one in the labels.

    Rows and columns that are left over at the lower and right border are cut off. Errors in outlines count the new
    pixels.

    Raises:
        InputError: factor below 1, or a picture of which nothing would be left.
    """
    if factor < 1:
        raise InputError(f"shrink={factor}: must be at least 1; give for example shrink=2")
    return ShrunkSource(source, factor)


def _block_means(image: Float32[np.ndarray, "H W C"], factor: int) -> Float32[np.ndarray, "h w C"]:
    height, width = (length // factor for length in image.shape[:2])
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, -1)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
