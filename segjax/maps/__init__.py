"""Maps of what a network looks at: (apply, variables, image, target, ...) -> signed map per picture.

`create_map(name, network)(variables, images, target)` makes any of `MAPS` for many pictures, at their size; the README
beside this file has a table of them, and `overlay` shows one on its picture. `MAPS[name].make` is the function behind
each: its `apply` is `segjax.models.Probe(network)`; maps that need no layers take any (variables, image) -> logits.
A target is a function of the logits (`ClassScore(1)`, `ClassDifference(1, 0)`, a region of a segmentation network).
All are pure and may be compiled: `jax.jit(lambda v, x: make(apply, v, x, ClassScore(1), "maps"))`. Nothing is
scaled or cut at zero unless the method's definition says so; `segjax.maps.scaling` has these steps by name.

The map with accurate boundaries, and why, is in `segjax.maps.contour`.
"""

from segjax.maps.layers import layer_shapes
from segjax.maps.overlays import overlay
from segjax.maps.registry import MAPS, Explainer, create_map
from segjax.maps.scaling import by_maximum, min_max, positive, upsample
from segjax.maps.targets import ClassDifference, ClassProbability, ClassScore, RegionScore

__all__ = [
    "MAPS",
    "ClassDifference",
    "ClassProbability",
    "ClassScore",
    "Explainer",
    "RegionScore",
    "by_maximum",
    "create_map",
    "layer_shapes",
    "min_max",
    "overlay",
    "positive",
    "upsample",
]
