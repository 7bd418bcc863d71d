"""The rungs by name, and what they have in common."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int32, Integer

from segjax.classical.clusters import GaussianMixture, KMeans
from segjax.classical.forest import Forest
from segjax.classical.grey import Adaptive, Growing, Otsu, Watershed
from segjax.ops.instances import instances
from segjax.types import InputError


@runtime_checkable
class Baseline(Protocol):
    """A way to segment without a network: a frozen dataclass of its options, whose functions are pure.

    Every rung chooses among four strengths by default.
    """

    def fit(
        self, seed: int, images: Float[np.ndarray, "P H W C"], targets: Integer[np.ndarray, "P H W"] | None = None
    ) -> Any:
        """What is chosen and learnt on some pictures.

        Args:
            seed: of all that is random, from 0 on.
            images: in [0, 1].
            targets: 1 object, 0 background, -1 not annotated; None: nothing is annotated.

        Raises:
            InputError: arrays that are not so, or annotations are missing that it needs.
        """
        ...

    def apply(self, fitted: Any, images: Float[np.ndarray, "B H W C"], /) -> Float32[np.ndarray, "B H W 2"]:
        """Logits of background and object at every pixel, as those of a network with two classes.

        Rungs without probabilities give -6.9 and 6.9, which are those of 0.001 and 0.999.
        """
        ...


LADDER: dict[str, type[Any]] = {
    "otsu": Otsu,
    "adaptive": Adaptive,
    "growing": Growing,
    "watershed": Watershed,
    "kmeans": KMeans,
    "gaussian_mixture": GaussianMixture,
    "forest": Forest,
}
"""The rungs in the order in which they were invented: thresholds, regions, clusters, and learning from features."""


def create_baseline(name: str, **options: Any) -> Baseline:
    """A method of segmentation without networks, by name.

    Raises:
        InputError: unknown rung or option, or a value out of range.

    >>> import numpy as np
    >>> image = np.zeros((1, 4, 4, 1), np.float32)
    >>> image[0, 1:3, 1:3] = 1.0
    >>> otsu = create_baseline("otsu", sigmas=(0.0,))
    >>> fitted = otsu.fit(0, image)  # nothing is annotated: objects are what fewer pixels show
    >>> (otsu.apply(fitted, image).argmax(-1)[0] == (image[0, ..., 0] > 0)).all()
    np.True_
    """
    if not isinstance(name, str) or name not in LADDER:
        raise InputError(f"baseline: unknown {name!r}; choose one of {', '.join(LADDER)}")
    known = LADDER[name].__dataclass_fields__
    for option in options:
        if option not in known:
            raise InputError(f"baseline {name}: unknown option {option!r}; its options are {', '.join(known)}")
    try:
        return LADDER[name](**options)
    except InputError as error:
        raise InputError(f"baseline {name}: {error}") from error


def segment_objects(
    baseline: Baseline,
    fitted: Any,
    images: Float[np.ndarray, "B H W C"],
    grouping: str = "watershed",
    minimum_area: int = 1,
) -> Int32[np.ndarray, "B H W"]:
    """Numbered objects that a method without networks finds in pictures.

    Args:
        fitted: what its `fit` gave.
        grouping, minimum_area: as of `segjax.ops.instances.instances`.

    Raises:
        InputError: unknown grouping, or minimum_area below 1.

    >>> image = np.zeros((1, 4, 5, 1), np.float32)
    >>> image[0, 1:3, 0], image[0, 1:3, 3] = 1.0, 1.0
    >>> otsu = create_baseline("otsu", sigmas=(0.0,))
    >>> segment_objects(otsu, otsu.fit(0, image), image)[0, 1].tolist()
    [1, 0, 0, 2, 0]
    """
    marked = baseline.apply(fitted, images).argmax(-1) > 0
    return np.stack([instances(mask, grouping, minimum_area=minimum_area) for mask in marked])
