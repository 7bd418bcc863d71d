"""Upgrading cheap annotations: a network that repairs careless masks, learnt from a few careful ones."""

from segjax.upgrade.estimate import estimate_recipe
from segjax.upgrade.learning import (
    Careful,
    careful_pictures,
    careless_masks,
    check_masks,
    make_upgrade_steps,
    upgrade_network,
    with_labels,
)
from segjax.upgrade.objects import Change, Repaired, changes_of, number_objects
from segjax.upgrade.recipes import MOST_RECIPES, PUBLISHED_ERRORS, borrowed_objects, mixture, recipe_table
from segjax.upgrade.repair import Upgraded, make_upgrade, upgrade_set

__all__ = [
    "MOST_RECIPES",
    "PUBLISHED_ERRORS",
    "Careful",
    "Change",
    "Repaired",
    "Upgraded",
    "borrowed_objects",
    "careful_pictures",
    "careless_masks",
    "changes_of",
    "check_masks",
    "estimate_recipe",
    "make_upgrade",
    "make_upgrade_steps",
    "mixture",
    "number_objects",
    "recipe_table",
    "upgrade_network",
    "upgrade_set",
    "with_labels",
]
