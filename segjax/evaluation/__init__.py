"""Numbers from (prediction, truth), pixels to whole pictures and activation maps, and when a difference is decided.

Every metric is had in two steps: sums or distances of a pair of masks first, one ratio after them.
`dice(counts(p, t))`, `surface_dice(surface_distances(p, t), 2.0)`, `aji(overlaps(p, t))`.
"""

from segjax.evaluation.boundary import boundary_f, hd95, surface_dice, surface_distances
from segjax.evaluation.classification import accuracy, balanced_accuracy, roc_auc
from segjax.evaluation.decision import Decision, Interval, decide, interval
from segjax.evaluation.faithfulness import confidence, deletion, insertion, road
from segjax.evaluation.instances import aji, f1, overlaps, panoptic_quality
from segjax.evaluation.localisation import energy_in_mask, pixel_average_precision, pointing_game
from segjax.evaluation.overlap import counts, dice, iou
from segjax.evaluation.sanity import map_similarity, shuffled_parameters

__all__ = [
    "Decision",
    "Interval",
    "accuracy",
    "aji",
    "balanced_accuracy",
    "boundary_f",
    "confidence",
    "counts",
    "decide",
    "deletion",
    "dice",
    "energy_in_mask",
    "f1",
    "hd95",
    "insertion",
    "interval",
    "iou",
    "map_similarity",
    "overlaps",
    "panoptic_quality",
    "pixel_average_precision",
    "pointing_game",
    "road",
    "roc_auc",
    "shuffled_parameters",
    "surface_dice",
    "surface_distances",
]
