"""Maps of several layers in one: fine layers for detail, deep layers for what belongs to the class.

Layers are given from shallow to deep. Layers can only be compared once each is scaled, so the published scaling of
every layer is part of these maps: they are not linear in the target, never negative, and a picture without the class
has a map too. Results have the picture's size.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.maps.cam import grad_cam_plus_plus_formula, hires_cam_formula, layer_cam_formula
from segjax.maps.channels import CHUNK, masked_scores
from segjax.maps.layers import Apply, Target, layer_outputs, layers_and_gradients
from segjax.maps.scaling import by_maximum, min_max, positive, upsample
from segjax.types import InputError

Image = Float[Array, "B H W C"]
FullMap = Float[Array, "B H W"]
Variables = Mapping[str, Any]


def layer_cam_fusion(
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    layers: Sequence[str],
    lifted: Sequence[str] | None = None,
) -> FullMap:
    """LayerCAM of several layers, each over its maximum, joined by the largest value, in [0, 1].

    Args:
        lifted: shallow layers whose weak responses are lifted by tanh(2 M); all but the last two by default.

    Source: Jiang et al., IEEE Transactions on Image Processing 30 (2021), equation 9 and the authors' remarks.
    """
    is_lifted = set(layers[:-2] if lifted is None else lifted)
    maps = {}
    for name, one in _maps_of(layer_cam_formula, apply, variables, image, target, layers).items():
        scaled = by_maximum(positive(one))
        maps[name] = jnp.tanh(2 * scaled) if name in is_lifted else scaled
    return reduce(jnp.maximum, _full_size(maps, image))


def zoom_cam(apply: Apply, variables: Variables, image: Image, target: Target, layers: Sequence[str]) -> FullMap:
    """Zoom-CAM: max(sum over channels of g A, 0) of every layer, scaled to [0, 1], joined by the largest value.

    Source: Shi et al., ICPR (2020); meant for all convolutional layers.
    """
    maps = _maps_of(hires_cam_formula, apply, variables, image, target, layers)
    return reduce(jnp.maximum, _full_size({name: min_max(positive(one)) for name, one in maps.items()}, image))


def refine_cam(apply: Apply, variables: Variables, image: Image, target: Target, layers: Sequence[str]) -> FullMap:
    """RefineCAM: product of the layers' Grad-CAM++, each over its maximum, over its own maximum, in [0, 1].

    A layer that sees nothing empties the map.

    Source: arXiv:2605.14641 (2026).
    """
    maps = _maps_of(grad_cam_plus_plus_formula, apply, variables, image, target, layers)
    scaled = {name: by_maximum(positive(one)) for name, one in maps.items()}
    return by_maximum(reduce(jnp.multiply, _full_size(scaled, image)))


def poly_cam(
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    layers: Sequence[str],
    kind: Literal["+", "-", "+-"] = "+-",
    chunk: int = CHUNK,
) -> FullMap:
    """Poly-CAM: activation maps of ever finer layers, each relative to its surroundings, times what is deeper.

    act_l = max(sum over channels of w A, 0); relative_l = act_l / up(down(act_l)), down to the size of the next deeper
    layer; P = act of the deepest layer; P_l = max(relative_l up(P_deeper), 0). With m a channel at the picture's size,
    clipped at its 0.1 and 99.9 percentiles and divided by the latter, the weight of a channel is
    "+": y(x m); "-": max(y(x) - y(x (1 - m)), 0); "+-": max(y(x m) + y(x) - y(x (1 - m)), 0).

    Args:
        target: published with `ClassProbability`.
        layers: the last one before every change of size.
        kind: which weights.
        chunk: pictures that the network sees at once.

    Source: Englebert, Cornu and De Vleeschouwer, ICPR (2022).
    """
    _check_some(layers)
    found = layer_outputs(apply, variables, image, layers)
    whole = target(apply(variables, image))[:, None]

    def act_of(name):
        masks = _percentile_scaled(found[name], image.shape[1:3])
        weights = 0.0 if kind == "-" else masked_scores(apply, variables, image, target, masks, chunk)
        if kind != "+":
            removed = masked_scores(apply, variables, image, target, 1 - masks, chunk)
            weights = jax.nn.relu(weights + whole - removed)
        return jax.nn.relu(jnp.einsum("bhwk,bk->bhw", found[name], weights))

    def finer(deeper, act):
        around = upsample(upsample(act, *deeper.shape[1:]), *act.shape[1:])
        return jax.nn.relu(act / jnp.maximum(around, 1e-12) * upsample(deeper, *act.shape[1:]))

    return upsample(reduce(finer, map(act_of, reversed(layers))), *image.shape[1:3])


def _maps_of(formula, apply, variables, image, target, names):
    _check_some(names)
    _, layers, gradients = layers_and_gradients(apply, variables, image, target, names)
    return {name: formula(layers[name], gradients[name]) for name in names}


def _check_some(names):
    if not names:
        raise InputError("layers: there are none to fuse; give at least one")


def _full_size(maps, image):
    return [upsample(one, *image.shape[1:3]) for one in maps.values()]


def _percentile_scaled(layer, size):
    """Every channel at the picture's size, clipped at two percentiles and divided by the upper; [B, K, H, W]."""
    channels = upsample(jnp.moveaxis(layer, -1, 1), *size)
    low, high = jnp.percentile(channels, jnp.array([0.1, 99.9]), (-2, -1), keepdims=True)
    return jnp.where(high > 0, jnp.clip(channels, low, high) / jnp.where(high > 0, high, 1), 0)
