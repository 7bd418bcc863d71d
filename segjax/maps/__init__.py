"""Maps of what a network looks at: (apply, variables, image, target, ...) -> signed map per picture.

`create_map(name, network)(variables, images, target)` makes any of `MAPS` for many pictures, at their size; the README
beside this file has a table of them, and `overlay` shows one on its picture. They are made of the functions here:
`apply` is `segjax.models.Probe(network)`; maps that need no layers take any function (variables, image) -> logits.
A target is a function of the logits (`ClassScore(1)`, `ClassDifference(1, 0)`, a region of a segmentation network).
All are pure and may be compiled: `jax.jit(lambda v, x: grad_cam(apply, v, x, ClassScore(1), "maps"))`. Nothing is
scaled or cut at zero unless the method's definition says so; `segjax.maps.scaling` has these steps by name.

The map with accurate boundaries, and why, is in `segjax.maps.contour`.
"""

from segjax.maps.blackbox import occlusion, rise, rise_mask
from segjax.maps.cam import (
    cam,
    eigen_cam,
    elementwise_cam,
    finer_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    shapley_cam,
    x_grad_cam,
)
from segjax.maps.channels import ablation_cam, score_cam
from segjax.maps.contour import blur_of, complete, contour_cam, edge_weights
from segjax.maps.factors import Factors, deep_feature_factorisation, factorise, kpca_cam
from segjax.maps.fusion import layer_cam_fusion, poly_cam, refine_cam, zoom_cam
from segjax.maps.gradients import (
    full_grad,
    full_gradients,
    guided_backprop,
    integrated_gradients,
    min_max_magnitude,
    smooth_grad,
)
from segjax.maps.layers import layer_shapes
from segjax.maps.masks import COMPLETIONS, RULES, complete_seeds, contour_level, level_of, mask_of, seeds_of, tidied
from segjax.maps.overlays import overlay
from segjax.maps.registry import MAPS, Explainer, MapKind, create_map, reason_without
from segjax.maps.scaling import by_maximum, level_without, min_max, positive, refuse_unusable, upsample
from segjax.maps.targets import (
    LOG_ODDS,
    ClassDifference,
    ClassProbability,
    ClassScore,
    FinerScore,
    RegionScore,
    ResidualSoftmax,
)

__all__ = [
    "COMPLETIONS",
    "LOG_ODDS",
    "MAPS",
    "RULES",
    "ClassDifference",
    "ClassProbability",
    "ClassScore",
    "Explainer",
    "Factors",
    "FinerScore",
    "MapKind",
    "RegionScore",
    "ResidualSoftmax",
    "ablation_cam",
    "blur_of",
    "by_maximum",
    "cam",
    "complete",
    "complete_seeds",
    "contour_cam",
    "contour_level",
    "create_map",
    "deep_feature_factorisation",
    "edge_weights",
    "eigen_cam",
    "elementwise_cam",
    "factorise",
    "finer_cam",
    "full_grad",
    "full_gradients",
    "grad_cam",
    "grad_cam_plus_plus",
    "guided_backprop",
    "hires_cam",
    "integrated_gradients",
    "kpca_cam",
    "layer_cam",
    "layer_cam_fusion",
    "layer_shapes",
    "level_of",
    "level_without",
    "mask_of",
    "min_max",
    "min_max_magnitude",
    "occlusion",
    "overlay",
    "poly_cam",
    "positive",
    "reason_without",
    "refine_cam",
    "refuse_unusable",
    "rise",
    "rise_mask",
    "score_cam",
    "seeds_of",
    "shapley_cam",
    "smooth_grad",
    "tidied",
    "upsample",
    "x_grad_cam",
    "zoom_cam",
]
