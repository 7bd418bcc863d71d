"""Upgrading cheap annotations: a network that learns from a few clean labels repairs many noisy ones."""

from segjax.upgrade.confidence import (
    Weighted,
    averaged_probability,
    confidence_weights,
    ignore_unsure,
    make_weighted_steps,
)
from segjax.upgrade.estimate import estimate_recipe
from segjax.upgrade.learning import (
    CleanLabels,
    check_masks,
    clean_pictures,
    make_upgrade_steps,
    noisy_masks,
    upgrade_network,
    with_labels,
)
from segjax.upgrade.objects import Change, Repaired, changes_of, number_objects
from segjax.upgrade.recipes import (
    MOST_RECIPES,
    PUBLISHED_ERRORS,
    borrowed_objects,
    mixture,
    recipe_table,
    rejected_objects,
)
from segjax.upgrade.repair import Upgraded, make_upgrade, upgrade_set

__all__ = [
    "MOST_RECIPES",
    "PUBLISHED_ERRORS",
    "Change",
    "CleanLabels",
    "Repaired",
    "Upgraded",
    "Weighted",
    "averaged_probability",
    "borrowed_objects",
    "changes_of",
    "check_masks",
    "clean_pictures",
    "confidence_weights",
    "estimate_recipe",
    "ignore_unsure",
    "make_upgrade",
    "make_upgrade_steps",
    "make_weighted_steps",
    "mixture",
    "noisy_masks",
    "number_objects",
    "recipe_table",
    "rejected_objects",
    "upgrade_network",
    "upgrade_set",
    "with_labels",
]
