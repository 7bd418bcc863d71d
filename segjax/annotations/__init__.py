"""Annotations: errors as pure keyed functions on label maps, recipes of them, the target for training, and prices."""

from segjax.annotations.annotators import annotate
from segjax.annotations.errors import bias, inclusion, omission
from segjax.annotations.objects import confusion, merging, splitting
from segjax.annotations.outline import jitter, markov, polygon, shift
from segjax.annotations.prices import Prices
from segjax.annotations.purchase import buy
from segjax.annotations.recipe import Recipe, degrade, degrade_groups
from segjax.annotations.target import to_target

__all__ = [
    "Prices",
    "Recipe",
    "annotate",
    "bias",
    "buy",
    "confusion",
    "degrade",
    "degrade_groups",
    "inclusion",
    "jitter",
    "markov",
    "merging",
    "omission",
    "polygon",
    "shift",
    "splitting",
    "to_target",
]
