"""Annotation errors: pure keyed functions on label maps, recipes that combine them, and the target for training."""

from segjax.annotations.errors import bias, inclusion, omission
from segjax.annotations.objects import merging, splitting
from segjax.annotations.outline import jitter, polygon, shift
from segjax.annotations.recipe import Recipe, degrade, degrade_groups
from segjax.annotations.target import to_target

__all__ = [
    "Recipe",
    "bias",
    "degrade",
    "degrade_groups",
    "inclusion",
    "jitter",
    "merging",
    "omission",
    "polygon",
    "shift",
    "splitting",
    "to_target",
]
