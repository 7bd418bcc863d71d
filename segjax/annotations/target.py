"""Label map or mask -> what a network is trained on."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int32

from segjax.arguments import checked
from segjax.ops.morphology import maximum_3x3, minimum_3x3
from segjax.types import IGNORED


@checked
def to_target(
    labels: Int[Array | np.ndarray, "*slices H W"] | Bool[Array | np.ndarray, "*slices H W"],
    *,
    classes: Int[Array | np.ndarray, " N"] | None = None,
    ignore: Bool[Array | np.ndarray, "*slices H W"] | None = None,
    separate: bool = False,
) -> Int32[Array, "*slices H W"]:
    """Class index per pixel: 0 background, 1 (or the object's class) inside objects, -1 where ignored.

    Args:
        labels: ids of the objects, or a mask (one object).
        classes: class of object i at position i - 1, as in `Sample`; every object is of class 1 without it.
        ignore: pixels that are not to count in the loss.
        separate: object pixels with another object in their 3x3 neighbourhood become background: a line two
            pixels wide divides touching objects.

    >>> to_target(np.array([[1, 1, 2, 2, 0]]), separate=True).tolist()
    [[1, 0, 0, 1, 0]]
    """
    labels = jnp.asarray(labels).astype(jnp.int32)
    target = (labels > 0).astype(jnp.int32)
    if classes is not None:
        of_id = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.asarray(classes).astype(jnp.int32)])
        target = jnp.take(of_id, labels, mode="clip")
    if separate:
        highest = maximum_3x3(labels)
        lowest = minimum_3x3(jnp.where(labels > 0, labels, np.iinfo(np.int32).max))
        target = jnp.where(highest != lowest, 0, target)
    return target if ignore is None else jnp.where(jnp.asarray(ignore), IGNORED, target)
