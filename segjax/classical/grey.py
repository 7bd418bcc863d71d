"""Rungs that look at grey values: thresholds and regions, of what is brighter or darker than its surroundings."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, sobel, threshold_local, threshold_multiotsu, threshold_otsu
from skimage.segmentation import watershed

from segjax.arguments import checked
from segjax.classical.choice import SURE, annotated, logits_of
from segjax.types import InputError, check_least

Grey = Float[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]
Strengths = tuple[int | float, ...]
_BINS = 256


class GreyFit(NamedTuple):
    """What was chosen: strengths, and whether objects are brighter than the background."""

    strengths: Strengths
    is_bright: bool


class GreyRung(ABC):
    """A rung that marks what is bright in a grey picture, or in its negative what is dark.

    The grey value is the mean of the channels. Strengths and side are those with the highest Dice on all annotated
    pixels, of equals the first. Where no object is annotated, the strengths are the first, and the side is the one that
    marks fewer pixels (of equals the bright one).
    """

    @abstractmethod
    def strengths(self) -> Sequence[Strengths]:
        """All that are tried."""

    @abstractmethod
    def mask(self, grey: Grey, *strengths: int | float) -> Mask:
        """What is bright in a picture; nothing where all pixels are equal."""

    @checked
    def fit(
        self, seed: int, images: Float[np.ndarray, "P H W C"], targets: Integer[np.ndarray, "P H W"] | None = None
    ) -> GreyFit:
        """See `Baseline.fit`; nothing is random."""
        known = annotated(images, targets)
        greys = known.images.mean(-1)
        tried = self.strengths() if known.has_objects else self.strengths()[:1]
        found: list[tuple[float, GreyFit]] = []
        for strengths, is_bright in product(tried, (True, False)):
            masks = np.stack([self._marked(grey, GreyFit(strengths, is_bright)) for grey in greys])
            value = known.dice(masks) if known.has_objects else -float(masks.mean())
            found.append((value, GreyFit(strengths, is_bright)))
        return max(found, key=lambda one: one[0])[1]

    @checked
    def apply(self, fitted: GreyFit, images: Float[np.ndarray, "B H W C"], /) -> Float32[np.ndarray, "B H W 2"]:
        """See `Baseline.apply`."""
        greys = annotated(images, None).images.mean(-1)
        return logits_of(np.where(self._marked(grey, fitted), SURE, -SURE) for grey in greys)

    def _marked(self, grey: Grey, fitted: GreyFit) -> Mask:
        if grey.min() == grey.max():
            return np.zeros(grey.shape, bool)
        return self.mask(grey if fitted.is_bright else -grey, *fitted.strengths)


def check_several(rung: Any, **least: int) -> None:
    """Raises InputError where an option of strengths to try is empty, or one is below its least."""
    for name in least:
        if not isinstance(getattr(rung, name), tuple | list) or not getattr(rung, name):
            raise InputError(f"{name} must be one or several numbers, not {getattr(rung, name)!r}; give them as (1, 2)")
    check_least(rung, **least)


@dataclass(frozen=True)
class SmoothedRung(GreyRung):
    """A rung whose strength is how much it smooths the picture beforehand.

    Attributes:
        sigmas: of the Gaussian that smooths the picture, in pixels, to choose from.
    """

    sigmas: tuple[float, ...] = (1.0, 0.0, 2.0, 4.0)

    def __post_init__(self) -> None:
        check_several(self, sigmas=0)

    def strengths(self) -> Sequence[Strengths]:
        return [(sigma,) for sigma in self.sigmas]


@dataclass(frozen=True)
class Otsu(SmoothedRung):
    """A threshold for each picture that parts its smoothed grey values into two classes of least variance.

    Source: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1979), by scikit-image.
    """

    def mask(self, grey: Grey, *strengths: int | float) -> Mask:
        smooth = ndimage.gaussian_filter(grey, strengths[0])
        return smooth > threshold_otsu(smooth, _BINS)


@dataclass(frozen=True)
class Adaptive(GreyRung):
    """A threshold for each pixel: the mean of a window around it, weighted by a Gaussian, and an offset.

    The picture is smoothed by a Gaussian of 1 pixel first. By scikit-image's `threshold_local`.

    Attributes:
        windows: edges of the window in pixels, odd numbers from 3 on, to choose from.
        offsets: to choose from, in standard deviations of the picture's grey values.
    """

    windows: tuple[int, ...] = (51, 101)
    offsets: tuple[float, ...] = (0.5, 0.0)

    def __post_init__(self) -> None:
        check_several(self, windows=3, offsets=0)
        if even := [window for window in self.windows if window % 2 != 1]:
            raise InputError(f"windows: {even[0]} is not an odd number of pixels; give {even[0] + 1:.0f}")

    def strengths(self) -> Sequence[Strengths]:
        return list(product(self.windows, self.offsets))

    def mask(self, grey: Grey, *strengths: int | float) -> Mask:
        window, offset = strengths
        smooth = ndimage.gaussian_filter(grey, 1.0)
        return smooth > threshold_local(smooth, int(window), "gaussian", offset=-offset * float(smooth.std()))


@dataclass(frozen=True)
class Growing(GreyRung):
    """Regions that grow from seeds into pixels that touch them, as long as these are bright enough.

    Two levels part the grey values, smoothed by a Gaussian of 1 pixel, into three classes (Otsu's method for several).
    Seeds are the pixels above the upper one. A region takes in what is above a level between the two.

    Source: growing from seeds after Adams and Bischof, IEEE TPAMI 16 (1994), with a fixed level to stop at, which is
    scikit-image's `apply_hysteresis_threshold`.

    Attributes:
        stops: where between the lower level (0) and the upper one (1) growing stops, to choose from.
    """

    stops: tuple[float, ...] = (0.5, 0.0, 0.25, 0.75)

    def __post_init__(self) -> None:
        check_several(self, stops=0)
        if max(self.stops) > 1:
            raise InputError(f"stops: {max(self.stops):g} is more than 1, the upper level; give numbers from 0 to 1")

    def strengths(self) -> Sequence[Strengths]:
        return [(stop,) for stop in self.stops]

    def mask(self, grey: Grey, *strengths: int | float) -> Mask:
        smooth = ndimage.gaussian_filter(grey, 1.0)
        low, high = two_levels(smooth)
        return apply_hysteresis_threshold(smooth, low + strengths[0] * (high - low), high)


@dataclass(frozen=True)
class Watershed(SmoothedRung):
    """Regions of the sure objects and the sure background, grown until they meet where the picture is steepest.

    Two levels part the smoothed grey values into three classes (Otsu's method for several). What is above the upper one
    is surely object, what is below the lower one surely background. The rest is divided along the watershed of the
    gradient (Sobel).

    Source: Beucher and Lantuéjoul (1979) and Meyer and Beucher (1990), by scikit-image.
    """

    def mask(self, grey: Grey, *strengths: int | float) -> Mask:
        smooth = ndimage.gaussian_filter(grey, strengths[0])
        low, high = two_levels(smooth)
        markers = np.where(smooth > high, 2, np.where(smooth <= low, 1, 0))
        return watershed(sobel(smooth), markers) == 2


def two_levels(grey: Grey) -> tuple[float, float]:
    """Otsu's levels of three classes; of grey values in two classes only, twice the level between these."""
    if np.count_nonzero(np.histogram(grey, _BINS)[0]) < 3:
        level = float(threshold_otsu(grey, _BINS))
        return level, level
    low, high = threshold_multiotsu(grey, 3, _BINS)
    return float(low), float(high)
