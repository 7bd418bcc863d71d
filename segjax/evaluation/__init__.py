"""Numbers from (prediction, truth): overlap, outlines, objects; intervals over seeds and paired tests.

Every metric is had in two steps: sums or distances of a pair of masks first, one ratio after them.
`dice(counts(p, t))`, `surface_dice(surface_distances(p, t), 2.0)`, `aji(overlaps(p, t))`.
"""

from segjax.evaluation.boundary import SurfaceDistances, hd95, surface_dice, surface_distances
from segjax.evaluation.instances import Overlaps, PanopticQuality, aji, components, f1, overlaps, panoptic_quality
from segjax.evaluation.overlap import OverlapCounts, counts, dice, iou
from segjax.evaluation.picture import METRICS, Metric, picture_metrics
from segjax.evaluation.statistics import Difference, Interval, holm, mean_interval, paired_difference, rank_sum

__all__ = [
    "METRICS",
    "Difference",
    "Interval",
    "Metric",
    "OverlapCounts",
    "Overlaps",
    "PanopticQuality",
    "SurfaceDistances",
    "aji",
    "components",
    "counts",
    "dice",
    "f1",
    "hd95",
    "holm",
    "iou",
    "mean_interval",
    "overlaps",
    "paired_difference",
    "panoptic_quality",
    "picture_metrics",
    "rank_sum",
    "surface_dice",
    "surface_distances",
]
