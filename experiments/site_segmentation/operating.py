"""When a piece of what a network finds counts as a site: a level that is chosen on validation pictures.

Only image-level labels are asked for, so the same rule serves networks that learn from maps, points or outlines.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from segjax.maps.masks import tidied
from segjax.ops.components import components

HALF = 0.5
POINT = ("site_level", "site_pixels", "site_gate")  # metrics: the parts of a chosen point
LEVELS = (HALF, 0.35, 0.7, 0.2, 0.8, 0.1, 0.9, 0.95, 0.98, 0.99)  # of equals the first is taken
PASSED = (8, 4, 2, 1, 0.5, 0.25)  # gates let so many times the pictures pass that may be false alarms in the end

Probability = Float32[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]


class Point(NamedTuple):
    """When a piece counts as a site.

    Attributes:
        level: of the probability, from 0 to below 1. A piece is 8-connected pixels above `outline`.
        pixels: of the piece that must be above the level.
        gate: least probability of a site in the whole picture by the classifier; below it nothing counts.
        is_outline: whether the level is that of the outlines too.
    """

    level: float = HALF
    pixels: float = 1.0
    gate: float = 0.0
    is_outline: bool = False

    @property
    def outline(self) -> float:
        """The probability above which a pixel belongs to a piece: a half, or the level where that is lower."""
        return self.level if self.is_outline else min(HALF, self.level)

    def keeps(self, pieces: Int32[np.ndarray, "H W"], probability: Probability) -> Bool[np.ndarray, " N"]:
        """Which of the pieces, numbered from 1 in `pieces`, count as sites; the first entry, the ground, never does."""
        found = sure_pixels(pieces, probability, self.level) >= self.pixels
        found[0] = False
        return found

    def mask(self, probability: Probability, minimum_area: int, presence: float = 1.0) -> Mask:
        """The pixels of a picture that belong to sites; holes are filled.

        Args:
            minimum_area: smaller pieces are dropped first.
            presence: probability of a site in the picture by the classifier.
        """
        if presence < self.gate:
            return np.zeros(probability.shape, bool)
        pieces = components(tidied(probability > self.outline, minimum_area))
        return self.keeps(pieces, probability)[pieces]


def sure_pixels(pieces: Int32[np.ndarray, "H W"], probability: Probability, level: float) -> Int[np.ndarray, " N"]:
    """Number of pixels above a level in each piece; the first entry is the ground."""
    return np.bincount(pieces[probability > level], minlength=int(pieces.max(initial=0)) + 1)


def chosen_point(
    probability: Float32[np.ndarray, "P H W"],
    has_site: Bool[np.ndarray, " P"],
    minimum_area: int,
    false_alarms: float,
    presence: Float[np.ndarray, " P"] | None = None,
) -> Point:
    """The point at which few enough pictures without a site are marked, and nearly as many with one as possible.

    Counting one more picture without a site in which something is marked, at most the share `false_alarms` of those
    without are marked, as in conformal prediction. Where there are too few pictures for that, none of those without is
    marked. Of such points it is the one with the fewest false alarms among those that mark as many pictures with a site
    as any, within one standard error of that share.

    Args:
        probability: of a site at every pixel of the validation pictures.
        has_site: what is known of each picture as a whole.
        minimum_area: smaller pieces are dropped first.
        presence: probability of a site in each picture by a classifier, which may then empty pictures too.

    Source: Angelopoulos et al., Conformal risk control, ICLR (2024), for counting one more; Breiman et al.,
    Classification and regression trees (1984), for the standard error.
    """
    if not has_site.any() or has_site.all():
        return Point()
    allowed = max(int(false_alarms * (np.count_nonzero(~has_site) + 1) + 1e-9) - 1, 0)
    sure = np.stack([_largest(one, minimum_area) for one in probability], 1)
    found: list[tuple[float, float, Point]] = []
    for gate in [0.0] if presence is None else [0.0, *_gates(presence[~has_site], allowed)]:
        passed = np.ones(len(has_site), bool) if presence is None else presence >= gate
        for level, counts in zip(LEVELS, sure * passed, strict=True):
            pixels = int(np.sort(counts[~has_site])[::-1][allowed]) + 1
            sites, alarms = (float(np.mean(counts[kind] >= pixels)) for kind in (has_site, ~has_site))
            found.append((sites, alarms, Point(level, pixels, gate)))
    most = max(sites for sites, *_ in found)
    least = most - np.sqrt(most * (1 - most) / np.count_nonzero(has_site)) - 1e-9
    return min((one for one in found if one[0] >= least), key=lambda one: (one[1], -one[0]))[2]


def _gates(presence: Float[np.ndarray, " N"], allowed: int) -> list[float]:
    """Just above the presence of pictures without a site, so that more and more of them are emptied."""
    ordered = np.sort(presence)[::-1]
    return [float(np.nextafter(ordered[min(int(allowed * times), len(ordered) - 1)], np.inf)) for times in PASSED]


def _largest(probability: Probability, minimum_area: int) -> Int[np.ndarray, " L"]:
    """For each level the pixels above it of the piece that has most."""
    pieces = {
        outline: components(tidied(probability > outline, minimum_area))
        for outline in {Point(level).outline for level in LEVELS}
    }
    counts = [sure_pixels(pieces[Point(level).outline], probability, level) for level in LEVELS]
    return np.array([count[1:].max(initial=0) for count in counts])
