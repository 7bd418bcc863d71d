"""Connected components, on the host: the one place where labelling is called.

It must be right for every size, dtype and memory layout, so it stands on scikit-image, which hands masks to SciPy.
(connected-components-3d 4.0.0 to 4.1.1 is twice as fast and invents components in boolean pictures of odd width.)
"""

import numpy as np
from jaxtyping import Bool, Int32, Integer
from skimage.measure import label


def components(
    labels: Bool[np.ndarray, "*shape"] | Integer[np.ndarray, "*shape"],
) -> Int32[np.ndarray, "*shape"]:
    """Pieces of equal value whose pixels touch, corners included: 8-connected in a picture, 26-connected in a volume.

    Of a mask these are its objects. They are numbered from 1, in pictures and masks in row-major order of their first
    pixels; 0 (False) is background.
    """
    return label(np.ascontiguousarray(labels), background=0, connectivity=labels.ndim).astype(np.int32, copy=False)


def largest_component(mask: Bool[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """The component of a mask with the most pixels, of equals the first in row-major order; empty of an empty mask."""
    pieces = components(mask)
    areas = np.bincount(pieces.ravel())
    return mask.copy() if areas.size <= 2 else pieces == areas[1:].argmax() + 1
