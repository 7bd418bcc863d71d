"""Which pictures are the shots of each draw, and which features a head may use."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, Key

from segjax.types import InputError

FEATURE_SELECTIONS = ("random", "first", "variance", "relevance")


@dataclass(frozen=True, eq=False)
class Draws:
    """Support sets of several draws and numbers of shots.

    Attributes:
        shots: numbers of shots, ascending.
        pictures: int32 [D, L], indices of the different pictures that each draw touches.
        weights: float32 [D, K, L], 1 where a picture is a shot of the K-th number of shots.
        nested: the shots of a smaller number are among those of every larger one.
    """

    shots: tuple[int, ...]
    pictures: Int32[np.ndarray, "D L"]
    weights: Float32[np.ndarray, "D K L"]
    nested: bool

    def support(self, draw: int, shots: int) -> Int32[np.ndarray, " shots"]:
        """Indices of the pictures of one support set."""
        return self.pictures[draw][self.weights[draw, self.shots.index(shots)] > 0]


def draw_support(
    key: Key[Array, ""], has_type: Bool[np.ndarray, " P"], shots: Sequence[int], draws: int, nested: bool = True
) -> Draws:
    """Draw support sets without repetition from the pictures that show the type.

    Args:
        has_type: which pictures may be shots.
        shots: numbers of shots.
        nested: one order of pictures per draw, whose first K are the K shots; otherwise every number of shots has
            pictures of its own.

    Raises:
        InputError: a number of shots below 1 or given twice, no draws, or fewer pictures with the type than shots.
    """
    shots = tuple(sorted(shots))
    if not shots or shots[0] < 1 or len(set(shots)) < len(shots):
        raise InputError(f"shots: {shots} must be different whole numbers from 1 on")
    if draws < 1:
        raise InputError(f"draws must be at least 1, not {draws}")
    candidates = np.flatnonzero(has_type)
    if len(candidates) == 0:
        raise InputError("shots: no picture shows the type; choose another type or more pictures")
    if len(candidates) < shots[-1]:
        raise InputError(
            f"shots: {shots[-1]} are too many, as only {len(candidates)} pictures show the type; give more pictures "
            "or fewer shots"
        )

    def orders(key):
        keys = jax.random.split(key, draws)
        return candidates[np.asarray(jax.vmap(lambda one: jax.random.permutation(one, len(candidates)))(keys))]

    if nested:
        pictures = orders(key)[:, : shots[-1]]
        first = np.arange(shots[-1])[None] < np.asarray(shots)[:, None]
        weights = np.broadcast_to(first, (draws, *first.shape))
    else:
        chosen = [orders(part)[:, :count] for part, count in zip(jax.random.split(key, len(shots)), shots, strict=True)]
        pictures = np.concatenate(chosen, axis=1)
        owner = np.repeat(np.arange(len(shots)), shots)
        own = owner[None] == np.arange(len(shots))[:, None]
        weights = np.broadcast_to(own, (draws, *own.shape))
    return Draws(shots, pictures.astype(np.int32), weights.astype(np.float32), nested)


def check_apart(support: Sequence[str], query: Sequence[str]) -> None:
    """Raises InputError where a group (picture, slide, volume) is in the support candidates and in the query."""
    both = set(support) & set(query)
    if both:
        raise InputError(f"query: picture {min(both)} is also a support picture; leave it out of one of the two")


def check_counts(counts: Sequence[int], features: int) -> None:
    """Raises InputError where a number of features is below 1 or above that of the bank."""
    for count in counts:
        if not 1 <= count <= features:
            raise InputError(
                f"features: {count} features cannot be chosen from a bank of {features}; give 1 to {features}"
            )


def ranking(
    selection: str, key: Key[Array, ""], variance: Float[Array, " F"], relevance: Float[Array, " F"]
) -> Int[Array, " F"]:
    """Place of each feature, 0 first, in the order in which a subset takes them.

    Args:
        selection: "random": drawn from the key; "first": in the order of the bank; "variance": the largest variance
            before standardisation first; "relevance": the best at telling the type in the support set first.
        variance, relevance: of the features; see `FeatureBank.variance` and `moments.relevance`.
    """
    count = variance.shape[0]
    if selection == "random":
        return jax.random.permutation(key, count)
    if selection == "first":
        return jnp.arange(count)
    order = jnp.argsort(-variance if selection == "variance" else -relevance, stable=True)
    return jnp.zeros(count, jnp.int32).at[order].set(jnp.arange(count, dtype=jnp.int32))
