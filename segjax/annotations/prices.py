"""What annotations cost in seconds of an annotator: prices, what a picture costs, prices fitted to measured times."""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64, Integer
from scipy import optimize

from segjax.arguments import checked
from segjax.types import InputError

Kind = Literal["careful", "quick", "points", "boxes", "image_label"]
KINDS: tuple[str, ...] = get_args(Kind)
Seconds = int | float
# The price per object, and per pixel of its outline, of the annotations that are drawn along the outline.
_DRAWN = {"careful": ("outline", "outline_per_px"), "quick": ("quick", "quick_per_px")}
_EACH = {"points": "point", "boxes": "box"}
_ROWS = 3  # measured times that a price is fitted to, at least


@dataclass(frozen=True)
class Prices:
    """Seconds of an annotator for one annotation of each kind.

    Published times differ by a factor of five and more between kinds of pictures, tools and people, so that your own
    (`fit_prices`) are worth more than these defaults.

    Attributes:
        outline: careful outline of one object. 79.2: the mean over COCO (Lin et al., ECCV 2014), photographs, which
            Cheng et al. (CVPR 2022) and Point2Mask (MIUA 2022) also count with, the latter for the cells of LIVECell.
        outline_per_px: added for every pixel of the outline's length. 0: an assumption, as published times are means
            over objects.
        quick: quick outline of one object. 20: an assumption, a quarter of a careful one. Zhang et al. (arXiv
            2312.10600) find rough traces cheaper than precise ones; we know of no published time for cells.
        quick_per_px: added for every pixel of the outline's length. 0: an assumption, as above.
        point: point in one object. 2.4: the first click on a class (Bearman et al., ECCV 2016); they give 0.9 for
            every further one.
        box: box around one object. 7: four clicks on its extremes (Papadopoulos et al., ICCV 2017); boxes drawn from
            corner to corner took 35.
        image_label: label of one picture. 1: one class (Bearman et al.: 20 for the 20 classes of PASCAL). Gamazo
            Tejero et al. (CVPR 2023) count a mask as 12 labels, which with these outlines is 6.6.
        correction: outline redrawn over a proposal that was wrong. 20: an assumption, as a quick outline.
        look: proposed object looked at, and kept or removed. 2: an assumption; a box is verified in about that time
            (Papadopoulos et al., CVPR 2016).
        picture: picture opened, whatever is then done with it. 10: an assumption.

    Raises:
        InputError: a price is negative, not finite or no number; the message names it.

    >>> Prices(outline=30, box=5).of("boxes", np.array([[1, 1, 0, 2]]))
    20.0
    """

    outline: Seconds = 79.2
    outline_per_px: Seconds = 0.0
    quick: Seconds = 20.0
    quick_per_px: Seconds = 0.0
    point: Seconds = 2.4
    box: Seconds = 7.0
    image_label: Seconds = 1.0
    correction: Seconds = 20.0
    look: Seconds = 2.0
    picture: Seconds = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            price = getattr(self, field.name)
            is_number = isinstance(price, numbers.Real) and not isinstance(price, bool)
            if not is_number or not 0 <= price < math.inf:
                raise InputError(f"{field.name}: {price!r} is not a price; give seconds, 0 or more")
            object.__setattr__(self, field.name, float(price))

    @checked
    def of(self, kind: str, labels: Integer[np.ndarray, "H W"]) -> float:
        """Seconds for annotating one picture in one way, opening it included.

        Args:
            kind: "careful" or "quick" outlines, "points", "boxes" (each per object), "image_label" (one).
            labels: ids of the objects, 0 background.

        Raises:
            InputError: unknown kind.
        """
        if kind == "image_label":
            return self.picture + self.image_label
        if kind in _EACH:
            return self.picture + getattr(self, _EACH[kind]) * len(np.unique(labels[labels > 0]))
        if kind in _DRAWN:
            each, per_px = (getattr(self, name) for name in _DRAWN[kind])
            _, lengths = outline_lengths(labels)
            return self.picture + each * len(lengths) + per_px * float(lengths.sum())
        raise InputError(f"kind: unknown {kind!r}; choose from {', '.join(KINDS)}")

    @checked
    def of_correction(self, looked: int, redrawn: int, drawn: Integer[np.ndarray, "H W"]) -> float:
        """Seconds for correcting the proposed objects of one picture, opening it included.

        Args:
            looked: proposed objects; each is looked at, and kept, removed or redrawn.
            redrawn: how many of them got another outline.
            drawn: ids of the objects that nobody had proposed, which get careful outlines.
        """
        return self.of("careful", drawn) + self.look * looked + self.correction * redrawn


@checked
def outline_lengths(
    labels: Integer[np.ndarray, "H W"],
) -> tuple[Int64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """Ids above 0 in rising order, and the length of the outline of each in pixels, holes and the border included.

    The length is pi / 4 times the number of pixel edges between the object and anything else: the Cauchy-Crofton
    formula with lines in two directions, exact on the average over all directions of a straight outline.

    >>> ids, lengths = outline_lengths(np.array([[3, 3, 0, 1]]))
    >>> ids.tolist(), (lengths / (np.pi / 4)).tolist()
    ([1, 3], [4.0, 6.0])
    """
    padded = np.pad(labels, 1)
    ends = [(padded[1:], padded[:-1]), (padded[:, 1:], padded[:, :-1])]
    sides = np.concatenate([own[(own != other) & (own > 0)] for a, b in ends for own, other in ((a, b), (b, a))])
    ids, edges = np.unique(sides, return_counts=True)
    return ids.astype(np.int64), np.pi / 4 * edges


@dataclass(frozen=True)
class Timed:
    """One measured time of an annotator.

    Attributes:
        kind: which price it tells of: a field of `Prices` other than the parts per pixel.
        seconds: how long it took.
        objects: how many objects (or pictures, labels) it took that long for.
        length: of all their outlines together, in pixels (`outline_lengths`); None where it was not measured. Needed
            for the part per pixel of outlines alone.
    """

    kind: str
    seconds: Seconds
    objects: int | float = 1
    length: int | float | None = None


def fit_prices(times: Sequence[Timed], defaults: Prices | None = None) -> Prices:
    """Prices that explain measured times best: non-negative least squares, a kind at a time.

    seconds = price x objects, and for outlines whose length was measured seconds = price x objects + price per pixel x
    length. A kind without measured times keeps its price in `defaults`; where outlines have no length, their price per
    pixel is 0. Source of the method: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.

    Raises:
        InputError: no times; an unknown kind; fewer than three times of one; a time, number or length that is negative
            or not finite; lengths for some outlines of a kind only; or lengths that are all in one proportion to the
            numbers of objects, which leave price and part per pixel undecided.

    >>> fit_prices([Timed("box", 4), Timed("box", 6), Timed("box", 10, objects=2)]).box
    5.0
    """
    defaults = defaults or Prices()
    if not times:
        raise InputError("times: there is none; give at least three of a kind, or leave the file out")
    of_length = {each: per_px for each, per_px in _DRAWN.values()}
    known = [field.name for field in fields(Prices) if field.name not in of_length.values()]
    found: dict[str, float] = {}
    for place, one in enumerate(times, start=1):
        if one.kind not in known:
            raise InputError(f"times: row {place}: unknown kind {one.kind!r}; choose from {', '.join(known)}")
        _check_row(place, one)
    for kind in dict.fromkeys(one.kind for one in times):
        rows = [one for one in times if one.kind == kind]
        if len(rows) < _ROWS:
            raise InputError(f"times: {kind} has {len(rows)}; give at least {_ROWS}, or leave {kind} out")
        columns = [[one.objects for one in rows]]
        if kind in of_length:
            found[of_length[kind]] = 0.0
            lengths = [one.length for one in rows if one.length is not None]
            if 0 < len(lengths) < len(rows):
                raise InputError(f"times: {kind} has a length in {len(lengths)} of {len(rows)} rows; give all, or none")
            columns += [lengths] if lengths else []
        design = np.array(columns, np.float64).T
        if np.linalg.matrix_rank(design) < len(columns):
            raise InputError(
                f"times: the lengths of {kind} are all alike per object, so their part per pixel is unknown; time "
                "objects of different sizes, or leave length empty"
            )
        solution, _ = optimize.nnls(design, np.array([one.seconds for one in rows], np.float64))
        names = (kind, of_length.get(kind, ""))
        found |= dict(zip(names, map(float, solution), strict=False))
    return replace(defaults, **found)


def _check_row(place: int, one: Timed) -> None:
    values = {"seconds": one.seconds, "objects": one.objects}
    if one.length is not None:
        if one.kind not in (each for each, _ in _DRAWN.values()):
            raise InputError(f"times: row {place}: {one.kind} has a length, but only outlines have one; leave it empty")
        values["length"] = one.length
    for name, value in values.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or value < 0 or (value == 0 and name == "objects"):
            least = "above 0" if name == "objects" else "0 or more"
            raise InputError(f"times: row {place}: {name} is {value!r}; give a number, {least}")
