"""Flips and quarter turns, the same for a picture and its target of pixels; a target of the whole picture stays."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


def flip_and_turn(
    key: Key[Array, ""], images: Float[Array, "B H W C"], targets: Int[Array, "B *pixels"] | Float[Array, "B *pixels"]
) -> tuple[Float[Array, "B H W C"], Int[Array, "B *pixels"] | Float[Array, "B *pixels"]]:
    """Each picture left-right and up-down with probability 1/2 and, where square, transposed with probability 1/2.

    The eight results are equally likely, so quarter turns are among them; a picture that is not square only flips.
    """
    square = images.shape[1] == images.shape[2]
    choices = jax.random.bernoulli(key, 0.5, (images.shape[0], 3))

    def one(choice, picture):
        picture = jnp.where(choice[0], picture[::-1], picture)
        picture = jnp.where(choice[1], picture[:, ::-1], picture)
        return jnp.where(choice[2], jnp.swapaxes(picture, 0, 1), picture) if square else picture

    return jax.vmap(one)(choices, images), targets if targets.ndim == 1 else jax.vmap(one)(choices, targets)
