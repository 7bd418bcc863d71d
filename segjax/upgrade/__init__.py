"""Upgrading cheap annotations: a network that repairs careless masks, learnt from a few careful ones."""

from segjax.upgrade.learning import (
    Careful,
    careful_pictures,
    check_masks,
    make_upgrade_steps,
    upgrade_network,
    with_labels,
)
from segjax.upgrade.recipes import MOST_RECIPES, PUBLISHED_ERRORS, mixture, recipe_table
from segjax.upgrade.repair import Upgraded, make_upgrade, upgrade_set

__all__ = [
    "MOST_RECIPES",
    "PUBLISHED_ERRORS",
    "Careful",
    "Upgraded",
    "careful_pictures",
    "check_masks",
    "make_upgrade",
    "make_upgrade_steps",
    "mixture",
    "recipe_table",
    "upgrade_network",
    "upgrade_set",
    "with_labels",
]
