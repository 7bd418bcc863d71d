"""Annotations: errors as pure keyed functions on label maps, recipes of them, the target for training, and prices."""

from segjax.annotations.errors import bias, inclusion, omission
from segjax.annotations.objects import merging, splitting
from segjax.annotations.outline import jitter, polygon, shift
from segjax.annotations.prices import Prices, Timed, fit_prices, outline_lengths
from segjax.annotations.purchase import Purchase, buy
from segjax.annotations.recipe import Recipe, degrade, degrade_groups
from segjax.annotations.target import to_target

__all__ = [
    "Prices",
    "Purchase",
    "Recipe",
    "Timed",
    "bias",
    "buy",
    "degrade",
    "degrade_groups",
    "fit_prices",
    "inclusion",
    "jitter",
    "merging",
    "omission",
    "outline_lengths",
    "polygon",
    "shift",
    "splitting",
    "to_target",
]
