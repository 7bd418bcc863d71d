"""Segmentation without networks: thresholds, regions, clusters and random forests, beside which networks are judged.

The ladder of Vădineanu, Deep learning solutions for domain-specific image segmentation (2025), Figure 1.1.
"""

from segjax.classical.baseline import LADDER, create_baseline, segment_objects

__all__ = ["LADDER", "create_baseline", "segment_objects"]
