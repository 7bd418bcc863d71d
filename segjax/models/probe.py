"""Reading and changing a network's inner layers from outside: what explanations of its decisions need.

`Probe(network)` is the network's `apply` with keywords that name layers. A layer is the output of a submodule, named by
its path: "down0", "down0/conv1", "layer4/block1". A submodule that is called several times is as many layers, numbered
in the order of its calls: "shared#1", "shared#2". Nothing is added to a network for it but names for the values that no
submodule gives (`Named`) and a ReLU that can be told to be guided (`Relu`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.types import InputError, Network

GUIDED = "guided"


class MapLayers(NamedTuple):
    """The layers of a network that maps are made of, by name; a network gives its own as `map_layers`.

    Attributes:
        deep: for maps of one layer: the deepest with many channels.
        fused: for maps of several, from shallow to deep: the last one of each size.
        evidence: for Contour-CAM, from shallow to deep: those of at most a quarter of the picture's size, and the last.
        pooled: the layer whose mean over pixels, or other pooling, is the layer "pool" that the head reads.
    """

    deep: str
    fused: tuple[str, ...]
    evidence: tuple[str, ...]
    pooled: str = "maps"


class Named(nn.Module):
    """A value under a name; by itself it changes nothing."""

    def __call__(self, value: Any, constant: Any = None, shape: tuple[Any, ...] | None = None) -> Any:
        """The value.

        Args:
            value: an array with channels last.
            constant: what of the value does not depend on the picture (a bias, already added), broadcasting with it.
            shape: that the layer is said to have where the value only broadcasts to it; numbers, or symbols of
                `jax.export`.
        """
        return value


class Relu(nn.Module):
    """max(x, 0), whose gradient a probe can make guided: only positive gradients pass, and only where x is positive.

    Source: Springenberg et al., ICLR workshop (2015).
    """

    @nn.compact
    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return guided_relu(x) if Named(name=GUIDED)(False) else nn.relu(x)


@jax.custom_vjp
def guided_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(x, 0) with the gradient max(gradient, 0) where x > 0, else 0."""
    return nn.relu(x)


def _guided_forward(x):
    return nn.relu(x), x > 0


def _guided_backward(is_open, gradient):
    return (jnp.where(is_open, nn.relu(gradient), 0),)


guided_relu.defvjp(_guided_forward, _guided_backward)


@dataclass(frozen=True)
class Probe:
    """`network.apply` in inference, with named layers that can be read, changed and differentiated with respect to.

    Probes of equal networks are equal, so that what was compiled for one serves the other.

    Attributes:
        network: a Flax module that maps pictures to logits; `remat` is switched off where it has it.
    """

    network: Network

    def __call__(
        self,
        variables: Mapping[str, Any],
        image: Float[Array, "B H W C"],
        *,
        taps: Mapping[str, Array] | None = None,
        features: bool = False,
        constants: bool = False,
        guided: bool = False,
    ) -> Any:
        """Logits; with `features` or `constants` also {name: array}, one per layer, in the order of computation.

        Args:
            variables: of the network.
            image: pictures.
            taps: layer name -> what is added to that layer's output. The gradient with respect to a tap of zeros is
                the gradient with respect to the layer; a tap of minus the output erases it.
            features: give the layers' outputs, taps included.
            constants: give instead what each layer adds that does not depend on its input (its bias), in the shape of
                its output; layers without are left out.
            guided: every `Relu` passes only positive gradients.

        Raises:
            InputError: a tap for a layer that does not exist (the message lists those that do) or that is called
                several times (it lists the calls), or `constants` of a network whose normalisation depends on the
                picture.
        """
        network: Any = self.network
        if hasattr(network, "remat"):
            network = network.clone(remat=False)
        visit = _Visit(dict(taps or {}), constants, guided)
        with nn.intercept_methods(visit):
            logits = network.apply(variables, image)
        found = visit.layers()
        if unknown := set(visit.taps) - set(found):
            raise InputError(reason_without_layer(min(unknown), found))
        if constants:
            return logits, {name: call.constant for name, call in found.items() if call.constant is not None}
        return (logits, {name: call.output for name, call in found.items()}) if features else logits


def reason_without_layer(name: str, layers: Iterable[str]) -> str:
    """Why there is no layer of this name among those that a network has, with what to name instead."""
    known = list(layers)
    if calls := [one for one in known if one.rpartition("#")[0] == name]:
        return f"layer {name!r} is called {len(calls)} times; choose one of its calls: {', '.join(calls)}"
    return f"layer {name!r} does not exist; choose one of: {', '.join(known)}"


class _Call(NamedTuple):
    """One call of a submodule: which of its calls it is, what it gave, and what of that is constant."""

    path: str
    number: int
    output: Array
    constant: Array | None


class _Visit:
    """What happens at every call of a submodule during one call of the network."""

    def __init__(self, taps: dict[str, Array], wants_constants: bool, guided: bool) -> None:
        self.taps, self.wants_constants, self.guided = taps, wants_constants, guided
        self.calls: list[_Call] = []
        self.times: Counter[str] = Counter()
        self.is_paused = False

    def layers(self) -> dict[str, _Call]:
        """All calls in order, by the names of their layers."""
        return {call.path if self.times[call.path] == 1 else f"{call.path}#{call.number}": call for call in self.calls}

    def __call__(self, next_call, args, kwargs, context):
        module = context.module
        if self.is_paused or context.method_name != "__call__" or not module.path:
            return next_call(*args, **kwargs)
        if isinstance(module, Named) and module.name == GUIDED:
            return self.guided
        value = next_call(*args, **kwargs)
        if not isinstance(value, jax.Array):
            return value
        path = "/".join(module.path)
        self.times[path] += 1
        number = self.times[path]
        _, constant, shape = _named(*args, **kwargs) if isinstance(module, Named) else (None, None, None)
        if self.wants_constants:
            constant = self._bias(module, args, kwargs) if constant is None else constant
            if constant is not None:
                constant = jnp.broadcast_to(constant, shape or value.shape)
        for name in (path, f"{path}#{number}"):
            if name in self.taps:
                value = value + self.taps[name]
        self.calls.append(_Call(path, number, jnp.broadcast_to(value, shape or value.shape), constant))
        return value

    def _bias(self, module, args, kwargs):
        """What a layer with a bias of its own gives for an input of zeros."""
        if not module.has_variable("params", "bias"):
            return None
        if getattr(module, "kind", "running") in ("batch", "group") or isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
            raise InputError(
                'norm: this needs normalisation that does not depend on the picture; choose "running" or "none"'
            )
        self.is_paused = True  # this call is not one of the network's
        try:
            return module.clone(parent=None).apply(module.variables, jnp.zeros_like(args[0]), *args[1:], **kwargs)
        finally:
            self.is_paused = False


def _named(value, constant=None, shape=None):
    return value, constant, shape
