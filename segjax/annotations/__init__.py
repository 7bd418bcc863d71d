"""Annotation errors: pure keyed functions on label maps, recipes that combine them, and the target for training."""

from segjax.annotations.errors import MAX_OBJECTS, bias, inclusion, omission
from segjax.annotations.objects import merging, splitting
from segjax.annotations.outline import MAX_VERTICES, jitter, polygon, shift
from segjax.annotations.recipe import InclusionRounding, OmissionRounding, Recipe, Scope, degrade, degrade_groups
from segjax.annotations.target import to_target

__all__ = [
    "MAX_OBJECTS",
    "MAX_VERTICES",
    "InclusionRounding",
    "OmissionRounding",
    "Recipe",
    "Scope",
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
