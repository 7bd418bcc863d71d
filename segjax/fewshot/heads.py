"""The heads by name, and what they have in common."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float

from segjax.fewshot.hidden import HiddenLayer, TwoHiddenLayers
from segjax.fewshot.linear import Logistic, Ridge, SoftDice
from segjax.fewshot.moments import Features, Maps, Moments, Params, Subset, Targets, Weights
from segjax.fewshot.prototypes import CosinePrototype, LocalPrototypes, Prototype, ThresholdPrototype
from segjax.types import InputError


@runtime_checkable
class Head(Protocol):
    """What tells a new type from everything else, pixel by pixel, given features of a few annotated pictures.

    A head is a frozen dataclass of its options, its functions are pure: they work under `jit` and under `vmap` over
    weights and subsets.
    """

    def fit(
        self,
        features: Features,
        targets: Targets,
        weights: Weights,
        subset: Subset | None = None,
        moments: Moments | None = None,
    ) -> Params:
        """Parameters from a support set.

        Args:
            features: of the support pictures, standardised.
            targets: 1 the type, 0 background, -1 ignored.
            weights: of the pictures; 0 leaves one out as if it were not there.
            subset: 1 for features that are used, 0 for others; all without it.
            moments: `class_moments` of the pictures where they are known; heads that need them compute them otherwise.
        """
        ...

    def predict(self, params: Params, features: Maps) -> Float[Array, "*B H W"]:
        """Score of every pixel: above 0 it is of the type; the log odds of it for heads with a logistic loss."""
        ...


HEADS: dict[str, type[Any]] = {
    "logistic": Logistic,
    "soft_dice": SoftDice,
    "hidden_layer": HiddenLayer,
    "two_hidden_layers": TwoHiddenLayers,
    "ridge": Ridge,
    "prototype": Prototype,
    "cosine": CosinePrototype,
    "local_prototypes": LocalPrototypes,
    "threshold_prototype": ThresholdPrototype,
}

GIVE_LOG_ODDS = (Logistic, SoftDice, HiddenLayer, TwoHiddenLayers)
"""The heads whose scores are the log odds of the type."""


def create_head(name: str, **options: Any) -> Head:
    """A head by name.

    Raises:
        InputError: unknown head or option, or a value out of range.

    >>> import numpy as np
    >>> features = np.float32([[[[1.0], [1.0], [-1.0], [-1.0]]]])  # one picture of 1x4 pixels, one feature
    >>> head = create_head("ridge")
    >>> params = head.fit(features, np.int32([[[1, 1, 0, 0]]]), np.float32([1.0]))
    >>> (head.predict(params, features) > 0).tolist()
    [[[True, True, False, False]]]
    """
    if not isinstance(name, str) or name not in HEADS:
        raise InputError(f"head: unknown {name!r}; choose one of {', '.join(HEADS)}")
    known = HEADS[name].__dataclass_fields__
    for option in options:
        if option not in known:
            raise InputError(f"head {name}: unknown option {option!r}; its options are {', '.join(known) or 'none'}")
    return HEADS[name](**options)


def name_of(head: Head) -> str:
    """The name of a head in `HEADS`."""
    return next(name for name, kind in HEADS.items() if type(head) is kind)
