"""Consistency of a classifier's class activation maps: a second view of every picture must give the same map.

**The maps.** A classifier pools maps f and reads them by one linear layer W. Its evidence for class c against class 0
is M_c = sum over k of (W[k, c] - W[k, 0]) f_k: with average pooling its mean, plus the head's bias, is the log odds.

**The added loss.** L(whole) is the loss of the pictures as they are, and M their maps:

    L(whole) + weight (L(view) + alpha(t) mean over pictures, cells |T M_y - M'_y|)

"puzzle": every picture is cut into 2x2 tiles that the network sees one by one, M' is their maps put together again, and
L(view) is the loss of the mean of the four tiles' logits; T changes nothing. alpha rises from 0 to 4 over `ramp_up`
steps. "seam": the network sees the picture at half its size, T averages 2x2 cells as the view averages 2x2 pixels, and
alpha is 2 (the published sum is half of each loss, and the difference once).

Only the class y that a picture shows has a map; pictures of class 0 add L(view) alone, as pictures without any class do
in the sources. Running averages of a normalisation are those of whole pictures, which are what is tested.

Sources: Jo and Yu, Puzzle-CAM, ICIP (2021); Wang et al., SEAM, CVPR (2020), its equivariance term without the pixel
correlation module.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from segjax.training.steps import StepConfig, Steps, loss_of, make_steps
from segjax.types import InputError, Network

Consistency = Literal["puzzle", "seam"]
Maps = Float[Array, "B h w M"]
View = tuple[Float[Array, "B K"], Maps]

PUZZLE_ALPHA, SEAM_ALPHA = 4.0, 2.0


def make_consistent_steps(
    network: Network, config: StepConfig, kind: Consistency, *, ramp_up: int, weight: float = 1.0
) -> Steps:
    """Compiled steps as `make_steps` gives them, for a classifier that is also taught consistency; see the module.

    Args:
        network: a classifier with the layers "maps" and "pool" and a linear layer "head" on the latter;
            `check_consistent` says whether it is one. With `map_layers` it has a class activation map.
        config: its loss must take logits [B, K].
        kind: the second view.
        ramp_up: steps until "puzzle" counts fully, 1 or more.
        weight: of all that is added, 0 or more; 0 is plain training.

    Raises:
        InputError: a number out of range.
    """
    if not (ramp_up >= 1 and 0 <= weight < float("inf")):
        raise InputError(f"consistency: ramp_up={ramp_up} must be 1 or more, and weight={weight} 0 or more")
    if weight == 0:
        return make_steps(network, config)
    loss, view = loss_of(config), {"puzzle": tiled_view, "seam": halved_view}[kind]
    limit, rise = (PUZZLE_ALPHA, ramp_up) if kind == "puzzle" else (SEAM_ALPHA, 0)

    def added(variables, images, targets, layers, step):
        logits, seen = view(partial(_in_training, network, variables), images)
        head = variables["params"]["head"]["kernel"]
        whole = class_evidence(layers["maps"], head)
        difference = map_difference(whole if kind == "puzzle" else halved(whole), class_evidence(seen, head), targets)
        alpha = limit * (jnp.minimum(step / rise, 1.0) if rise else 1.0)
        return weight * (loss(logits, targets) + alpha * difference)

    return make_steps(network, config, added)


def check_consistent(network: Any, image_shape: Sequence[int]) -> None:
    """Refuse what has no second view.

    Args:
        image_shape: of pictures [H, W, C].

    Raises:
        InputError: the network is no classifier with a class activation map, or the maps of half a picture are not half
            a map; the message names the remedy.
    """
    height, width, channels = image_shape
    whole = _layers_of(network, (1, height, width, channels))
    head = whole.get("pool")
    if "maps" not in whole or head is None or head.shape != (1, whole["maps"].shape[-1]):
        raise InputError(
            "network: it has no class activation map, for which its head must read one number per map; give VGG16 "
            "head=average, or train it without consistency"
        )
    step = 2 * network.map_stride
    if height % step or width % step:
        raise InputError(
            f"images: half of {height}x{width} px is no whole number of cells of the network's map; give pictures "
            f"whose sides are multiples of {step} px, or another network"
        )
    try:
        _layers_of(network, (1, height // 2, width // 2, channels))
    except InputError as error:
        raise InputError(f"images: their halves are too small: {error}; give larger pictures") from None


def class_evidence(maps: Maps, head: Float[Array, "M K"]) -> Float[Array, "B h w K-1"]:
    """M_c of every class but 0, signed: sum over maps of (head[:, c] - head[:, 0]) f."""
    return jnp.einsum("bhwk,kc->bhwc", maps, head[:, 1:] - head[:, :1])


def map_difference(whole: Maps, seen: Maps, targets: Int[Array, " B"]) -> Float[Array, ""]:
    """Mean over pictures and cells of |whole - seen| of each picture's class, from 1; pictures of class 0 add 0."""
    shown = jax.nn.one_hot(targets - 1, whole.shape[-1])
    return jnp.mean(jnp.einsum("bhwc,bc->bhw", jnp.abs(whole - seen), shown))


def tiled_view(see: Callable[..., View], images: Float[Array, "B H W C"]) -> View:
    """Mean logits of the 2x2 tiles of every picture, and their maps put together."""
    tiles = [part for rows in jnp.split(images, 2, 1) for part in jnp.split(rows, 2, 2)]
    logits, maps = see(jnp.concatenate(tiles))  # one batch, so that its statistics are those of all tiles
    upper_left, upper_right, lower_left, lower_right = jnp.split(maps, 4)
    rows = [jnp.concatenate(pair, 2) for pair in ((upper_left, upper_right), (lower_left, lower_right))]
    return jnp.mean(jnp.stack(jnp.split(logits, 4)), 0), jnp.concatenate(rows, 1)


def halved_view(see: Callable[..., View], images: Float[Array, "B H W C"]) -> View:
    """Logits and maps of the pictures at half their size."""
    return see(halved(images))


def halved(x: Float[Array, "B H W C"]) -> Float[Array, "B H/2 W/2 C"]:
    """Means of 2x2 pixels."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def _in_training(network, variables, images):
    """Logits and maps with the statistics of this batch, which are forgotten."""
    kept = [name for name in variables if name != "params"]
    (logits, layers), _ = network.apply(variables, images, train=True, features=True, mutable=kept)
    return logits, layers["maps"]


def _layers_of(network, shape):
    image = jax.ShapeDtypeStruct(tuple(shape), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    return jax.eval_shape(lambda v, x: network.apply(v, x, features=True), variables, image)[1]
