"""What a map explains: a number per picture, as a function of the logits.

Any function from logits to float32 [B] is a target; these are the usual ones. They compare equal when they mean the
same, so that a function compiled for one serves the other. Of a network that returns several arrays, in a tuple or a
dict, a target takes the logits: `lambda output: ClassScore(1)(output["logits"])`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from segjax.types import InputError

Logits = Float[Array, "B K"] | Float[Array, "B H W K"] | Any  # anything else is refused, with what to do


@dataclass(frozen=True)
class ClassScore:
    """The logit of one class of a classifier.

    Explain logits rather than probabilities: a probability's gradient vanishes where the classifier is sure.

    Raises:
        InputError: when called with logits that do not have that class, with those of a segmentation network, or with
            what is no single array.
    """

    index: int

    def __call__(self, logits: Logits) -> Float[Array, " B"]:
        return _of_class(logits, self.index)


@dataclass(frozen=True)
class ClassDifference:
    """The logit of one class minus that of another: above 0 where the classifier prefers the first.

    With two classes it is the log odds of softmax, and its map has a zero of its own: evidence for, or against.

    Raises:
        InputError: as `ClassScore`.
    """

    index: int
    other: int

    def __call__(self, logits: Logits) -> Float[Array, " B"]:
        return _of_class(logits, self.index) - _of_class(logits, self.other)


LOG_ODDS = ClassDifference(1, 0)
"""Of class 1 against class 0: what a classifier of two classes is asked by default."""


@dataclass(frozen=True)
class ClassProbability:
    """The softmax probability of one class, in [0, 1]: what Poly-CAM and the faithfulness metrics were published with.

    Raises:
        InputError: as `ClassScore`.
    """

    index: int

    def __call__(self, logits: Logits) -> Float[Array, " B"]:
        return jnp.exp(_of_class(logits, self.index) - jax.nn.logsumexp(logits, -1))


@dataclass(frozen=True)
class FinerScore:
    """What Finer-CAM explains: y_c - strength mean(y_d), d the classes whose logits are nearest to y_c, the logit of c.

    Attributes:
        index: c.
        references: how many classes d there are at most; with two classes there is one.
        strength: how much of what the classes share is taken away, in [0, 1].

    Raises:
        InputError: as `ClassScore`, or there is no other class.

    Source: Zhang et al., CVPR (2025), equation of section 3 with the mean over similar classes.
    """

    index: int
    references: int = 3
    strength: float = 0.6

    def __call__(self, logits: Logits) -> Float[Array, " B"]:
        own = _of_class(logits, self.index)
        others = jnp.delete(logits, self.index, -1)
        if not others.shape[-1]:
            raise InputError("target: the network has one class only, and Finer-CAM compares a class with others")
        _, nearest = jax.lax.top_k(-jnp.abs(others - own[:, None]), min(self.references, others.shape[-1]))
        return own - self.strength * jnp.take_along_axis(others, nearest, -1).mean(-1)


@dataclass(frozen=True)
class ResidualSoftmax:
    """The logit of one class plus the logarithm of its softmax probability (ReST): what Shapley-CAM explains.

    Of a logit alone the second derivatives vanish where the layers that follow are linear.

    Raises:
        InputError: as `ClassScore`.

    Source: Cai, arXiv:2501.06261 (2025).
    """

    index: int

    def __call__(self, logits: Logits) -> Float[Array, " B"]:
        own = _of_class(logits, self.index)
        return 2 * own - jax.nn.logsumexp(logits, -1)


@dataclass(frozen=True, eq=False)
class RegionScore:
    """The logits of one class of a segmentation network, summed over a region.

    Attributes:
        index: the class.
        region: weight of each pixel, the same for all pictures; a mask, usually.

    Raises:
        InputError: when called with logits that do not have that class, with those of a classifier, or with what is no
            single array.
    """

    index: int
    region: Float[Array, "H W"]

    def __call__(self, logits: Logits) -> Float[Array, " B"]:
        _check_array(logits)
        if logits.ndim != 4:
            raise InputError("target: a region needs the logits of a segmentation network; use ClassScore")
        _check_class(logits, self.index)
        return jnp.einsum("bhw,hw->b", logits[..., self.index], self.region)


def _of_class(logits, index):
    _check_array(logits)
    if logits.ndim != 2:
        raise InputError("target: a segmentation network has no score per picture; use RegionScore with some pixels")
    _check_class(logits, index)
    return logits[:, index]


def _check_class(logits, index):
    if not 0 <= index < logits.shape[-1]:
        raise InputError(f"target: class {index} does not exist; the network has classes 0 to {logits.shape[-1] - 1}")


def _check_array(output):
    if hasattr(output, "ndim"):
        return
    names = [*output] if isinstance(output, Mapping) else [*range(len(output))] if isinstance(output, Sequence) else []
    places = [f"output[{name!r}]" for name in names] or ["output.logits"]
    raise InputError(
        f"network: it returns a {type(output).__name__}, not one array of logits; let the target take them, as in "
        f"target=lambda output: ClassScore(1)({places[0]})" + (f" (there are: {', '.join(places)})" if names else "")
    )
