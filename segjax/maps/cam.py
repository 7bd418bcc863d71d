"""Maps of one layer: sums of its channels, weighted by what the target's gradient says about them.

All have the signature (apply, variables, image, target, layer) -> float32 [B, h, w], signed, at the layer's own size.
A are the layer's outputs, g the gradients dy / dA of the target y (not of a probability), N = h w, up to where noted.
The published methods end with a ReLU and a min-max scaling; both are steps of their own (`segjax.maps.scaling`).

Pictures must not influence each other in the network (no statistics of the batch).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.maps.layers import Apply, Target, layer_outputs, layer_shapes, layers_and_gradients
from segjax.maps.targets import ClassScore, FinerScore
from segjax.types import InputError

Image = Float[Array, "B H W C"]
Map = Float[Array, "B h w"]
Layer = Float[Array, "B h w K"]
Variables = Mapping[str, Any]

EPSILON = 1e-7


def cam(
    apply: Apply, variables: Variables, image: Image, target: Target, layer: str = "maps", pooled: str = "pool"
) -> Map:
    """CAM: sum over channels of W A, W the weights of the linear head that reads the pooled layer.

    With average pooling the map's mean plus the head's bias is the target, exactly.

    Args:
        layer: the layer that is pooled.
        pooled: the pooled vector [B, K], which only a linear head may read: W is dy / dpooled.

    Raises:
        InputError: a layer does not exist, or the two differ in their channels.

    Source: Zhou et al., CVPR (2016).
    """
    grid = layer_shapes(apply, variables, image, [layer])[layer]
    _, found = jax.eval_shape(lambda v, x: apply(v, x, features=True), variables, image)
    if pooled not in found or found[pooled].shape != (grid.shape[0], grid.shape[3]):
        raise InputError(
            f"layer {pooled!r} is not the pooled vector of {layer!r} ({grid.shape[3]} channels), so this network has "
            "no CAM; use Grad-CAM"
        )

    def scored(tap):
        logits, layers = apply(variables, image, taps={pooled: tap}, features=True)
        return jnp.sum(target(logits)), layers[layer]

    weights, activations = jax.grad(scored, has_aux=True)(jnp.zeros(found[pooled].shape, found[pooled].dtype))
    return jnp.einsum("bhwk,bk->bhw", activations, weights)


def grad_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """Grad-CAM: sum over channels of mean(g) A.

    Source: Selvaraju et al., ICCV (2017).
    """
    return _map_of(grad_cam_formula, apply, variables, image, target, layer)


def grad_cam_plus_plus(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """Grad-CAM++: sum over channels of w A, w = sum_xy a max(g, 0), a = g^2 / (2 g^2 + (sum_xy A) g^3), 0 where g = 0.

    Source: Chattopadhyay et al., WACV (2018), with the target's exponential as the score.
    """
    return _map_of(grad_cam_plus_plus_formula, apply, variables, image, target, layer)


def finer_cam(
    apply: Apply,
    variables: Variables,
    image: Image,
    target: Target,
    layer: str,
    references: int = 3,
    strength: float = 0.6,
) -> Map:
    """Finer-CAM: Grad-CAM of a class compared with the classes most like it; see `FinerScore`.

    Args:
        target: the class, as a `ClassScore`.
        references: with how many classes it is compared.
        strength: of the comparison, in [0, 1]; 0 is Grad-CAM.

    Raises:
        InputError: the target is no `ClassScore`.

    Source: Zhang et al., CVPR (2025).
    """
    if not isinstance(target, ClassScore):
        raise InputError(
            "target: Finer-CAM compares a class with others by itself, so name the class, as in target=ClassScore(1); "
            "where the logits are one of several outputs, make grad_cam with "
            'target=lambda output: segjax.maps.targets.FinerScore(1)(output["logits"])'
        )
    return grad_cam(apply, variables, image, FinerScore(target.index, references, strength), layer)


def shapley_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """Shapley-CAM: sum over channels of mean(g - H A / 2) A, H the second derivatives of y with respect to A.

    Of a target that is linear in the layer it is Grad-CAM. H itself is never made, only its product with A.

    Args:
        target: published with `ResidualSoftmax`.

    Raises:
        InputError: what follows the layer has no second derivatives, as 3x3 convolutions of `segjax.ops` have none.

    Source: Cai, arXiv:2501.06261 (2025): Shapley values by the second-order expansion of y around A.
    """
    _, layers, gradients = layers_and_gradients(apply, variables, image, target, [layer])

    def along(tap):
        found = jax.grad(lambda one: jnp.sum(target(apply(variables, image, taps={layer: one}))))(tap)
        return jnp.sum(found * layers[layer])

    try:
        product = jax.grad(along)(jnp.zeros_like(layers[layer]))
    except (TypeError, ValueError) as error:  # the first derivatives are there, so the second ones are what fails
        raise InputError(
            f"layer {layer!r}: Shapley-CAM needs second derivatives, which the convolutions after this layer do not "
            "have; choose a layer after the last of them, as classifiers of segjax do by default"
        ) from error
    return grad_cam_formula(layers[layer], gradients[layer] - product / 2)


def x_grad_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """XGrad-CAM: sum over channels of w A, w = sum_xy g A / sum_xy A (0 where the sum is 0).

    Source: Fu et al., BMVC (2020).
    """
    return _map_of(x_grad_cam_formula, apply, variables, image, target, layer)


def hires_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """HiResCAM: sum over channels of g A, pixel by pixel.

    Source: Draelos and Carin, arXiv:2011.08891 (2020).
    """
    return _map_of(hires_cam_formula, apply, variables, image, target, layer)


def elementwise_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """Element-wise Grad-CAM: sum over channels of max(g A, 0); never negative."""
    return _map_of(elementwise_cam_formula, apply, variables, image, target, layer)


def layer_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """LayerCAM: sum over channels of max(g, 0) A.

    At a layer directly before a pooling the gradient, and with it the map, has a grid pattern.

    Source: Jiang et al., IEEE Transactions on Image Processing 30 (2021).
    """
    return _map_of(layer_cam_formula, apply, variables, image, target, layer)


def eigen_cam(apply: Apply, variables: Variables, image: Image, target: Target, layer: str) -> Map:
    """Eigen-CAM: projection of each pixel's channels, their means removed, on the first right singular vector.

    The target is not used: the map shows what varies most. A singular vector has no sign of its own; it is turned so
    that the largest magnitude is positive.

    Source: Muhammad and Yeasin, IJCNN (2020).
    """
    return jax.vmap(_first_component)(layer_outputs(apply, variables, image, [layer])[layer])


def grad_cam_formula(activations: Layer, gradients: Layer) -> Map:
    return jnp.einsum("bhwk,bk->bhw", activations, gradients.mean((1, 2)))


def grad_cam_plus_plus_formula(activations: Layer, gradients: Layer) -> Map:
    below = 2 + activations.sum((1, 2), keepdims=True) * gradients  # both sides of a divided by g^2
    is_usable = (gradients != 0) & (jnp.abs(below) > EPSILON)
    share = jnp.where(is_usable, 1 / jnp.where(is_usable, below, 1), 0)
    return jnp.einsum("bhwk,bk->bhw", activations, jnp.sum(share * jax.nn.relu(gradients), (1, 2)))


def x_grad_cam_formula(activations: Layer, gradients: Layer) -> Map:
    total = activations.sum((1, 2))
    weights = jnp.sum(activations * gradients, (1, 2)) / jnp.where(total == 0, 1, total)
    return jnp.einsum("bhwk,bk->bhw", activations, jnp.where(total == 0, 0, weights))


def hires_cam_formula(activations: Layer, gradients: Layer) -> Map:
    return jnp.sum(activations * gradients, -1)


def elementwise_cam_formula(activations: Layer, gradients: Layer) -> Map:
    return jnp.sum(jax.nn.relu(activations * gradients), -1)


def layer_cam_formula(activations: Layer, gradients: Layer) -> Map:
    return jnp.sum(jax.nn.relu(gradients) * activations, -1)


def _map_of(formula, apply, variables, image, target, layer):
    _, layers, gradients = layers_and_gradients(apply, variables, image, target, [layer])
    return formula(layers[layer], gradients[layer])


def _first_component(activations: Float[Array, "h w K"]) -> Float[Array, "h w"]:
    height, width, channels = activations.shape
    centred = activations.reshape(-1, channels)
    centred = centred - centred.mean(0, keepdims=True)
    # the smaller of the two products of the matrix with itself has the same singular values
    if channels <= height * width:
        projection = centred @ jnp.linalg.eigh(centred.T @ centred)[1][:, -1]
    else:
        values, vectors = jnp.linalg.eigh(centred @ centred.T)
        projection = vectors[:, -1] * jnp.sqrt(jax.nn.relu(values[-1]))
    return turned(projection).reshape(height, width)


def turned(projection: Float[Array, " N"]) -> Float[Array, " N"]:
    """A projection on a component, which has no sign of its own: the largest magnitude becomes positive."""
    return jnp.where(-jnp.min(projection) > jnp.max(projection), -projection, projection)
