"""Annotations: errors as pure keyed functions on label maps, recipes of them, the target for training, and prices."""

from segjax.annotations.annotators import annotate, boxes, correct, image_label, points, quick_recipe
from segjax.annotations.errors import bias, inclusion, omission
from segjax.annotations.objects import confusion, merging, splitting
from segjax.annotations.outline import jitter, markov, polygon, shift
from segjax.annotations.prices import Prices, Timed, fit_prices, outline_lengths
from segjax.annotations.purchase import Purchase, buy
from segjax.annotations.recipe import Recipe, degrade, degrade_groups
from segjax.annotations.target import to_target

__all__ = [
    "Prices",
    "Purchase",
    "Recipe",
    "Timed",
    "annotate",
    "bias",
    "boxes",
    "buy",
    "confusion",
    "correct",
    "degrade",
    "degrade_groups",
    "fit_prices",
    "image_label",
    "inclusion",
    "jitter",
    "markov",
    "merging",
    "omission",
    "outline_lengths",
    "points",
    "polygon",
    "quick_recipe",
    "shift",
    "splitting",
    "to_target",
]
