"""Upgrading cheap annotations: a network that learns from a few clean labels repairs many noisy ones."""

from segjax.upgrade.estimate import estimate_recipe
from segjax.upgrade.learning import clean_pictures, make_upgrade_steps, upgrade_network
from segjax.upgrade.objects import number_objects
from segjax.upgrade.recipes import mixture
from segjax.upgrade.repair import Upgraded, upgrade_set

__all__ = [
    "Upgraded",
    "clean_pictures",
    "estimate_recipe",
    "make_upgrade_steps",
    "mixture",
    "number_objects",
    "upgrade_network",
    "upgrade_set",
]
