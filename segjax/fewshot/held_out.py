"""How well a type is segmented in pictures that it was not learnt from, when all that is annotated are its shots."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from segjax.evaluation import counts, dice, f1, overlaps
from segjax.fewshot.segment import Shots

MOST_FOLDS = 10


class HeldOut(NamedTuple):
    """One shot as it is segmented by the type that was learnt from the shots outside its fold.

    Attributes:
        place: of the shot.
        fold: of the shot.
        dice: of the pixels that are annotated.
        f1: of the objects, of which those match whose intersection over union is above 0.5.
        confidence: as that of `Found`.
        labels: what was found.
    """

    place: int
    fold: int
    dice: float
    f1: float
    confidence: float | None
    labels: Int32[np.ndarray, "H W"]


def folds_of(groups: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Places of the shots that are held out together: one group after the other, or ten folds of them where more.

    With one group there is nothing to learn from when it is held out, so there is no fold.
    """
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        return ()
    fold = {name: number % MOST_FOLDS for number, name in enumerate(names)}
    count = min(len(names), MOST_FOLDS)
    return tuple(tuple(i for i, group in enumerate(groups) if fold[group] == number) for number in range(count))


def held_out(shots: Shots, folds: Sequence[Sequence[int]]) -> Iterator[HeldOut]:
    """Each shot of each fold, segmented by what the shots of the other folds teach; learns once per fold.

    Raises:
        InputError: a fold leaves no shot with background to learn from.
    """
    for number, fold in enumerate(folds):
        learnt = shots.learn(without=fold)
        for place in fold:
            found, truth = learnt.find(shots.bank, shots.images[place]), shots.labels[place]
            known = np.where(truth < 0, 0, found.labels)  # nobody said what the rest is
            objects = np.maximum(truth, 0)
            overlap = float(dice(counts(known > 0, objects > 0)))
            yield HeldOut(place, number, overlap, f1(overlaps(known, objects)), *found[::-1])
