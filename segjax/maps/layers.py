"""Layers of a network and gradients with respect to them: what most maps are made of."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.models.probe import reason_without_layer
from segjax.types import InputError

Apply = Callable[..., Any]
Target = Callable[[Array], Array]
Layers = dict[str, Float[Array, "B _ _ _"]]


def layers_and_gradients(
    apply: Apply, variables: Mapping[str, Any], image: Float[Array, "B H W C"], target: Target, names: Iterable[str]
) -> tuple[Float[Array, " B"], Layers, Layers]:
    """The target's values, the named layers' outputs A [B, h, w, C] and the gradients dy / dA, from one backward pass.

    Args:
        apply: as `segjax.models.probe.Probe`: with `features=True` it gives (logits, {name: output}), and it adds
            `taps[name]` to a layer's output.
        target: function of the logits; one number per picture.

    Raises:
        InputError: a layer does not exist or has no pixels; the message lists those that have.
    """
    names = tuple(names)
    shapes = layer_shapes(apply, variables, image, names)

    def scored(taps):
        logits, found = apply(variables, image, taps=taps, features=True)
        scores = target(logits)
        return jnp.sum(scores), (scores, {name: found[name] for name in names})

    taps = {name: jnp.zeros(shapes[name].shape, shapes[name].dtype) for name in names}
    gradients, (scores, layers) = jax.grad(scored, has_aux=True)(taps)
    return scores, layers, gradients


def layer_outputs(
    apply: Apply, variables: Mapping[str, Any], image: Float[Array, "B H W C"], names: Iterable[str]
) -> Layers:
    """The named layers' outputs.

    Raises:
        InputError: as `layers_and_gradients`.
    """
    names = tuple(names)
    layer_shapes(apply, variables, image, names)
    _, found = apply(variables, image, features=True)
    return {name: found[name] for name in names}


def layer_shapes(
    apply: Apply, variables: Mapping[str, Any], image: Float[Array, "B H W C"], names: Iterable[str] = ()
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of all layers that have pixels; nothing is computed.

    Raises:
        InputError: one of `names` is not among them (the message lists them, or the calls of a layer that is called
            several times), or there is none.

    >>> from segjax.models import create
    >>> network, images = create("msd_classifier", depth=3), jnp.zeros((2, 16, 12, 1))
    >>> variables = jax.eval_shape(network.init, jax.random.key(0), images)
    >>> {name: layer.shape for name, layer in layer_shapes(network.apply, variables, images).items()}
    {'maps': (2, 16, 12, 2), 'msd/dense': (2, 16, 12, 4)}
    """
    _, found = jax.eval_shape(lambda v, x: apply(v, x, features=True), variables, image)
    spatial = {name: leaf for name, leaf in found.items() if leaf.ndim == 4 and leaf.shape[1] * leaf.shape[2] > 1}
    if not spatial:
        raise InputError("network: no layer keeps the pixels apart, so it has no such map; use occlusion or RISE")
    for name in names:
        if name not in spatial:
            if name in found:
                raise InputError(f"layer {name!r} has no pixels; choose one of: {', '.join(spatial)}")
            raise InputError(reason_without_layer(name, spatial))
    return spatial


def in_chunks(function: Callable[..., Any], rows: Any, size: int) -> Any:
    """function(rows) over slices of at most `size` of the first axis of every array, one after the other.

    Memory is that of one slice. The function sees slices of one size; the last is filled up with zeros.
    """
    count = jax.tree.leaves(rows)[0].shape[0]
    size = min(size, count)
    chunks = -(-count // size)

    def divide(row):
        padded = jnp.pad(row, [(0, chunks * size - count)] + [(0, 0)] * (row.ndim - 1))
        return padded.reshape(chunks, size, *row.shape[1:])

    out = jax.lax.map(function, jax.tree.map(divide, rows))
    return jax.tree.map(lambda part: part.reshape(chunks * size, *part.shape[2:])[:count], out)
