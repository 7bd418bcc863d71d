"""The places of the question region of study 2."""

from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, get_args

from experiments.harness.options import arranges, check_choices
from segjax.types import InputError

Learnt = Literal["known", "mixture", "estimated"]


class Place(NamedTuple):
    """An error of the noisy labels, and how many pictures have clean and noisy labels."""

    error: str
    clean: int
    noisy: int


@dataclass(frozen=True)
class RegionOptions:
    """Places of the question region: every error with every number of clean and of noisy pictures."""

    errors: tuple[str, ...] = arranges(
        ("omission=0.3", "omission=0.5", "omission=0.7", "omission=0.3+inclusion=0.3+bias=4")
    )
    """Errors of the noisy labels."""
    clean: tuple[int, ...] = arranges((5, 10, 20))
    """Numbers of pictures with clean labels."""
    noisy: tuple[int, ...] = arranges((20, 80, 200))
    """Numbers of pictures with noisy labels."""
    learnt: tuple[Learnt, ...] = arranges(("known", "mixture", "estimated"))
    """What the upgrade network learns: the known error, a mixture of errors, or an error estimated from pairs."""

    def check(self) -> None:
        """Raises InputError where nothing known is to be learnt, or a place has no noisy pictures."""
        known = get_args(Learnt)
        check_choices("region.learnt", self.learnt, known)
        if not self.learnt:
            raise InputError(f"region.learnt: give at least one of {', '.join(known)}")
        if min(self.noisy, default=1) < 1:
            raise InputError(f"region.noisy: {min(self.noisy)} is too few; give numbers of pictures from 1 on")

    def places(self) -> list[Place]:
        """Every place."""
        return [Place(*place) for place in product(self.errors, self.clean, self.noisy)]
