"""Numbers from (prediction, truth), pixels to whole pictures and activation maps, and when a difference is decided.

Every metric is had in two steps: sums or distances of a pair of masks first, one ratio after them.
`dice(counts(p, t))`, `surface_dice(surface_distances(p, t), 2.0)`, `aji(overlaps(p, t))`.
"""

from segjax.evaluation.boundary import SurfaceDistances, boundary_f, hd95, surface_dice, surface_distances
from segjax.evaluation.claims import Claim, format_interval
from segjax.evaluation.classification import accuracy, balanced_accuracy, mean_roc_auc, roc_auc
from segjax.evaluation.decision import REPLICATES_FOR_VERDICT, Decision, Interval, Verdict, decide, holm, interval
from segjax.evaluation.faithfulness import Confidence, Curve, Road, confidence, deletion, insertion, road
from segjax.evaluation.instances import Overlaps, PanopticQuality, aji, f1, overlaps, panoptic_quality
from segjax.evaluation.localisation import (
    Threshold,
    choose_threshold,
    energy_in_mask,
    oracle_threshold,
    pixel_average_precision,
    pointing_game,
)
from segjax.evaluation.overlap import OverlapCounts, counts, dice, iou
from segjax.evaluation.picture import METRICS, Metric, picture_metrics
from segjax.evaluation.references import (
    area_matched_discs,
    brightness_correlation,
    coarse_map,
    disc,
    fixed_discs,
    median_radius,
)
from segjax.evaluation.sanity import map_similarity, shuffled_parameters
from segjax.evaluation.sites import area_in_hectares, outline_metrics, size_class
from segjax.ops.components import components

__all__ = [
    "METRICS",
    "REPLICATES_FOR_VERDICT",
    "Claim",
    "Confidence",
    "Curve",
    "Decision",
    "Interval",
    "Metric",
    "OverlapCounts",
    "Overlaps",
    "PanopticQuality",
    "Road",
    "SurfaceDistances",
    "Threshold",
    "Verdict",
    "accuracy",
    "aji",
    "area_in_hectares",
    "area_matched_discs",
    "balanced_accuracy",
    "boundary_f",
    "brightness_correlation",
    "choose_threshold",
    "coarse_map",
    "components",
    "confidence",
    "counts",
    "decide",
    "deletion",
    "dice",
    "disc",
    "energy_in_mask",
    "f1",
    "fixed_discs",
    "format_interval",
    "hd95",
    "holm",
    "insertion",
    "interval",
    "iou",
    "map_similarity",
    "mean_roc_auc",
    "median_radius",
    "oracle_threshold",
    "outline_metrics",
    "overlaps",
    "panoptic_quality",
    "picture_metrics",
    "pixel_average_precision",
    "pointing_game",
    "road",
    "roc_auc",
    "shuffled_parameters",
    "size_class",
    "surface_dice",
    "surface_distances",
]
