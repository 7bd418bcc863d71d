"""From a map to one number per channel: how much each pixel counts for the score of the whole picture.

With one object on a few percent of the pixels, the average divides its evidence by the rest, so that its map spreads;
the maximum asks for one pixel only, so that its map covers too little. The others lie between.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def average(x: Float[Array, "B H W C"]) -> Float[Array, "B C"]:
    """Mean over all pixels."""
    return x.mean((1, 2))


def log_sum_exp(x: Float[Array, "B H W C"], sharpness: float) -> Float[Array, "B C"]:
    """log(mean(exp(r x))) / r with r = sharpness: the mean for r towards 0, the maximum for large r.

    Source: Pinheiro and Collobert, CVPR 2015.
    """
    pixels = x.shape[1] * x.shape[2]
    return (jax.nn.logsumexp(sharpness * x, (1, 2)) - jnp.log(jnp.asarray(pixels, x.dtype))) / sharpness


def top_share(x: Float[Array, "B H W C"], share: float) -> Float[Array, "B C"]:
    """Mean of the largest values, a share of all pixels in (0, 1] and at least one pixel."""
    values = _by_channel(x)
    count = max(1, round(share * values.shape[-1]))
    return jax.lax.top_k(values, count)[0].mean(-1)


def rank_weighted(x: Float[Array, "B H W C"], share: float) -> Float[Array, "B C"]:
    """sum_j d^j x_(j) / sum_j d^j over the values in falling order, j = 0, 1, ...

    d = exp(-1 / (share N)) for N pixels, so that weights fall by e over that share of the pixels whatever their number.

    Source: Kolesnikov and Lampert, ECCV 2016, who give d itself.
    """
    values = -jnp.sort(-_by_channel(x), axis=-1)
    weights = jnp.exp(-jnp.arange(values.shape[-1]) / (share * values.shape[-1]))
    return values @ (weights / weights.sum())


def _by_channel(x):
    return x.reshape(x.shape[0], -1, x.shape[-1]).swapaxes(1, 2)


def global_pooling(kind: str, share: float, sharpness: float) -> Callable[[Array], Array]:
    """The pooling [B, H, W, C] -> [B, C] of a name in `POOLINGS`."""
    poolings: dict[str, Callable[[Array], Array]] = {
        "average": average,
        "log_sum_exp": lambda x: log_sum_exp(x, sharpness),
        "top_share": lambda x: top_share(x, share),
        "rank": lambda x: rank_weighted(x, share),
    }
    return poolings[kind]


POOLINGS = ("average", "log_sum_exp", "top_share", "rank")
