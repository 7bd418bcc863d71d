"""Maps whose channel weights come from trying: what the score does when a channel masks the picture, or is erased."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.maps.layers import Apply, Target, in_chunks, layer_outputs
from segjax.maps.scaling import min_max, upsample

CHUNK = 16  # pictures, or erased channels, that the network sees at once
Variables = Mapping[str, Any]


def score_cam(
    apply: Apply,
    variables: Variables,
    image: Float[Array, "B H W C"],
    target: Target,
    layer: str,
    chunk: int = CHUNK,
) -> Float[Array, "B h w"]:
    """Score-CAM: sum over channels of w A, w = softmax over channels of y(x m), m the channel scaled to [0, 1].

    m is at the picture's size; a constant channel masks everything. One forward pass per channel and picture, `chunk`
    of them at once. Signed; published with a ReLU at the end, and with a score from which that of a baseline picture
    is subtracted, which softmax does not see.

    Raises:
        InputError: the layer does not exist or has no pixels.

    Source: Wang et al., CVPR workshops (2020).
    """
    activations = layer_outputs(apply, variables, image, [layer])[layer]

    def masks_of(channels):
        return upsample(min_max(channels), *image.shape[1:3])

    scores = _per_picture(
        lambda x, channels: in_chunks(
            lambda some: target(apply(variables, x * masks_of(some)[..., None])), channels, chunk
        ),
        image,
        jnp.moveaxis(activations, -1, 1),
    )
    return jnp.einsum("bhwk,bk->bhw", activations, jax.nn.softmax(scores, -1))


def ablation_cam(
    apply: Apply,
    variables: Variables,
    image: Float[Array, "B H W C"],
    target: Target,
    layer: str,
    chunk: int = CHUNK,
) -> Float[Array, "B h w"]:
    """Ablation-CAM: sum over channels of w A, w = y - y with the channel erased.

    What comes before the layer is computed once per chunk of erased channels, what comes after once per channel. The
    published weights are divided by y, which turns all of them where y is negative; here they are not.

    Raises:
        InputError: the layer does not exist or has no pixels.

    Source: Desai and Ramaswamy, WACV (2020).
    """
    activations = layer_outputs(apply, variables, image, [layer])[layer]
    channels = activations.shape[-1]

    def erased_scores(x, activation):
        def score(erased):
            return target(apply(variables, x, taps={layer: -(activation * erased)[None]}))[0]

        # mapped over what is erased alone, so that the layers before it are not computed once per channel
        return in_chunks(jax.vmap(score), jnp.eye(channels, dtype=activation.dtype)[:, None, None], chunk)

    scores = _per_picture(erased_scores, image, activations)
    weights = target(apply(variables, image))[:, None] - scores
    return jnp.einsum("bhwk,bk->bhw", activations, weights)


def masked_scores(
    apply: Apply,
    variables: Variables,
    image: Float[Array, "B H W C"],
    target: Target,
    masks: Float[Array, "B K H W"],
    chunk: int = CHUNK,
) -> Float[Array, "B K"]:
    """The target for each picture times each of its masks."""
    return _per_picture(
        lambda x, some: in_chunks(lambda mask: target(apply(variables, x * mask[..., None])), some, chunk), image, masks
    )


def _per_picture(function, image, *rows):
    """function(picture [1, H, W, C], its rows) for one picture after the other."""
    return jax.lax.map(lambda given: function(given[0][None], *given[1:]), (image, *rows))
