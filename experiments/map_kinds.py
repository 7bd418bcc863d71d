"""The maps of the studies by name: which layers of which classifier they are made of, and how much they may cost."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from experiments.classifiers import ClassifierSizes
from segjax.maps import (
    LAYER_MAPS,
    ClassDifference,
    ClassProbability,
    ablation_cam,
    blur_of,
    cam,
    contour_cam,
    full_grad,
    guided_backprop,
    integrated_gradients,
    layer_cam_fusion,
    layer_shapes,
    occlusion,
    poly_cam,
    refine_cam,
    rise,
    score_cam,
    smooth_grad,
    upsample,
    zoom_cam,
)
from segjax.models import Probe
from segjax.training.fit import in_batches
from segjax.types import InputError

TARGET, PROBABILITY = ClassDifference(1, 0), ClassProbability(1)
EVIDENCE = "maps"  # the layer that every classifier pools
Blurs = Float32[np.ndarray, " L"]
OURS = "contour_cam"
MAPS = (
    OURS,
    "cam",
    *LAYER_MAPS,
    "score_cam",
    "ablation_cam",
    "layer_cam_fusion",
    "zoom_cam",
    "refine_cam",
    "poly_cam",
    "full_grad",
    "guided_backprop",
    "smooth_grad",
    "integrated_gradients",
    "occlusion",
    "rise",
)
MAP_NAMES = {
    OURS: "Contour-CAM (ours)",
    "cam": "CAM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "x_grad_cam": "XGrad-CAM",
    "hires_cam": "HiResCAM",
    "elementwise_cam": "element-wise Grad-CAM",
    "layer_cam": "LayerCAM",
    "eigen_cam": "Eigen-CAM",
    "score_cam": "Score-CAM",
    "ablation_cam": "Ablation-CAM",
    "layer_cam_fusion": "LayerCAM, layers fused",
    "zoom_cam": "Zoom-CAM",
    "refine_cam": "RefineCAM",
    "poly_cam": "Poly-CAM",
    "full_grad": "FullGrad",
    "guided_backprop": "guided backpropagation",
    "smooth_grad": "SmoothGrad",
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
    "rise": "RISE",
}


@dataclass(frozen=True)
class Effort:
    """How much maps that try things out may cost.

    Attributes:
        rise_masks: random masks of RISE.
        occlusion_patch: side in pixels of the square that occlusion moves by half of it.
        gradients: gradients that SmoothGrad and integrated gradients average.
        steps: steps of insertion and deletion.
    """

    rise_masks: int = 4000
    occlusion_patch: int = 16
    gradients: int = 32
    steps: int = 50

    def __post_init__(self) -> None:
        for name, least in (("rise_masks", 1), ("occlusion_patch", 2), ("gradients", 1), ("steps", 1)):
            if getattr(self, name) < least:
                raise InputError(f"effort: {name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Layers:
    """Where the maps of a classifier are made.

    Attributes:
        deep: for maps of one layer.
        fused: for maps of several, from shallow to deep.
        evidence: for our own, from shallow to deep: those of at most a quarter of the picture's size, and the last.
    """

    deep: str
    fused: tuple[str, ...]
    evidence: tuple[str, ...]


def layers_of(name: str, sizes: ClassifierSizes) -> Layers:
    """The layers of a classifier: the last one of each size on the way down, and the deepest with many channels."""
    if name == "vgg16":
        return Layers(EVIDENCE, tuple(f"stage{n}" for n in range(1, 6)), ("stage3", "stage4", EVIDENCE))
    if name == "msd_classifier":
        return Layers("msd/dense", ("msd/dense",), (EVIDENCE,))
    if name == "unet_classifier":
        down = tuple(f"unet/down{level}" for level in range(sizes.unet_levels + 1))
        return Layers("unet/up0", down, (*down[2:], EVIDENCE))
    stages = tuple(f"layer{stage}" for stage in range(1, 5))
    return Layers(EVIDENCE, stages, stages)


def reason_without(map_name: str, network: str, sizes: ClassifierSizes) -> str | None:
    """Why a classifier has no such map; None where it has."""
    if map_name == "cam" and network == "vgg16" and sizes.vgg_head == "hidden":
        return "CAM needs a linear head on pooled maps (classifier-sizes.vgg-head average)"
    if map_name == "full_grad" and network != "msd_classifier" and sizes.norm == "group":
        return "FullGrad needs a normalisation that does not depend on the picture (classifier-sizes.norm running)"
    return None


def passes_of(kind: str, apply: Probe, variables: Any, image: Any, layers: Layers, effort: Effort) -> float:
    """About how many forward passes a map of one picture takes; a gradient counts as two more. Nothing is computed."""
    shapes = layer_shapes(apply, variables, image, [layers.deep, *layers.fused])
    side, half = image.shape[1], effort.occlusion_patch // 2
    counts = {
        "score_cam": shapes[layers.deep].shape[-1],
        "ablation_cam": shapes[layers.deep].shape[-1] / 2,
        "poly_cam": 2 * sum(shapes[name].shape[-1] for name in layers.fused),
        "smooth_grad": 3 * effort.gradients,
        "integrated_gradients": 3 * effort.gradients,
        "occlusion": (side // half) ** 2,
        "rise": effort.rise_masks,
    }
    return float(counts.get(kind, 3))


class MapMaker:
    """Maps of one classifier at the size of the picture, signed; each kind is compiled once."""

    def __init__(self, name: str, network: Any, sizes: ClassifierSizes, effort: Effort) -> None:
        """`name` is that of the classifier, `network` the module."""
        self.apply = Probe(network)
        self.layers, self._effort = layers_of(name, sizes), effort
        self._compiled = functools.cache(self._compile)
        self._blurs = jax.jit(
            lambda variables, image: [
                blur_of(self.apply, variables, image, TARGET, layer) for layer in self.layers.evidence
            ]
        )

    def blurs(self, variables: Any, images: Float32[np.ndarray, "P H W C"]) -> Blurs:
        """What a cell of each layer of our map sees, in pixels, by some pictures; see `segjax.maps.blur_of`."""
        return np.asarray(self._blurs(variables, in_batches(images)[0]), np.float32)

    def maps(
        self, kind: str, variables: Any, images: Float32[np.ndarray, "P H W C"], blurs: Blurs, seed: int = 0
    ) -> Float32[np.ndarray, "P H W"]:
        """Maps of one kind for some pictures; `seed` decides the random masks and the noise of those that draw them."""
        key, compiled = jax.random.key(seed), self._compiled(kind)
        found = [np.asarray(compiled(variables, batch, blurs, key)) for batch in in_batches(images)]
        return np.concatenate(found)[: len(images)].astype(np.float32)

    def _compile(self, kind: str) -> Callable[..., Any]:
        def explain(variables, image, blurs, key):
            return upsample(self._map(kind, variables, image, blurs, key), *image.shape[1:3])

        return jax.jit(explain)

    def _map(self, kind: str, variables: Any, image: Any, blurs: Any, key: Any) -> Any:
        given = (self.apply, variables, image)
        one_layer = {**LAYER_MAPS, "score_cam": score_cam, "ablation_cam": ablation_cam}
        fusions = {"layer_cam_fusion": layer_cam_fusion, "zoom_cam": zoom_cam, "refine_cam": refine_cam}
        if kind == OURS:
            return contour_cam(*given, TARGET, self.layers.evidence, blurs=list(blurs))
        if kind == "cam":
            return cam(*given, TARGET, EVIDENCE)
        if kind in one_layer:
            return one_layer[kind](*given, TARGET, self.layers.deep)
        if kind in fusions:
            return fusions[kind](*given, TARGET, self.layers.fused)
        if kind == "poly_cam":
            return poly_cam(*given, PROBABILITY, self.layers.fused)
        if kind in ("smooth_grad", "rise"):
            drawn: dict[str, Callable[..., Any]] = {
                "smooth_grad": functools.partial(smooth_grad, samples=self._effort.gradients),
                "rise": functools.partial(rise, masks=self._effort.rise_masks),
            }
            return drawn[kind](key, *given, TARGET)
        patch = self._effort.occlusion_patch
        whole: dict[str, Callable[..., Any]] = {
            "full_grad": full_grad,
            "guided_backprop": guided_backprop,
            "integrated_gradients": functools.partial(integrated_gradients, steps=self._effort.gradients),
            "occlusion": functools.partial(occlusion, patch=patch, stride=patch // 2),
        }
        return whole[kind](*given, TARGET)
