"""A trained network and what is done to pictures before it, as one file that programs without this library call.

The file holds StableHLO, weights included. A program that reads it needs the packages jax and flatbuffers only:

    from jax import export
    network = export.deserialize(bytearray(open("nuclei.stablehlo", "rb").read()))
    logits = network.call(images)  # [B, H, W, C] -> float32 [B, H, W, K], of a classifier [B, K]

`network.in_avals` says which pictures it takes: `uint8[batch,rows + 15,columns + 15,3]` are any number of them, of 16
pixels or more along each side (rows and columns count from 1), with three channels of 8 bits. Others are refused by
`call`, whose message names the size that it expected. JAX guarantees that its versions of the next six months can
read the file.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float, Float32, Num

from segjax.data.pictures.images import LUMINANCE
from segjax.types import InputError, Network

__all__ = ["export_network"]
PLATFORMS = ("cpu", "cuda", "tpu")
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_LARGEST = {"float32": 1.0, "uint8": 255.0, "uint16": 65535.0}
_CHANNELS = (1, 3, 2, *range(4, 17))  # that a network may be for, the usual ones first
_SIDE = 256  # of a picture that all networks take
_MOST = 1024  # pixels, that a network may ask for at least


def export_network(
    network: Network,
    variables: Any,
    *,
    pixels: str = "float32",
    scale: str = "dtype",
    channels: int = 0,
    size: int | tuple[int, int] = 1,
    platforms: Sequence[str] = PLATFORMS,
) -> bytes:
    """The content of a file with a network as a function of pictures, to be called by any program with JAX.

    It gives the logits of `network.apply(variables, images)`, each picture alone, so that batch statistics are those
    of the picture. The pictures are scaled and converted as `segjax.data.read_picture` does it; what else belongs to
    the network (`input_mean`) is in it already. Sums are taken in another order than by the network itself, so that
    logits differ in the last digits; GPUs and TPUs multiply with fewer digits unless
    `jax.default_matmul_precision("highest")` is set where the file is made.

    Args:
        variables: of the network, as `init` gives them.
        pixels: type of the numbers of the pictures: "float32", "uint8" or "uint16". All channels are scaled alike, so
            networks that see a mask beside the picture (`segjax.upgrade`) need "float32".
        scale: "dtype" divides by the largest value of that type, so float32 must be in [0, 1] already; "max" divides
            each picture by its own maximum. Take what the training took: `folder:` takes "max" if not told otherwise.
        channels: of the pictures: 0: as the network has; 3 for a network of 1 makes grey (ITU-R BT.601 luminance), 1
            for a network of 3 repeats grey.
        size: 1: pictures of any size that the network takes; a number: of any multiples of it; (height, width): of
            this size only.
        platforms: of "cpu", "cuda", "rocm" and "tpu", those that the file is for.

    Raises:
        InputError: variables of another network, an argument out of range, or a network that cannot be exported for
            any size; the message says what to give.

    >>> from segjax.models import create
    >>> network = create("msd", depth=1)
    >>> variables = network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    >>> content = export_network(network, variables, pixels="uint8", platforms=["cpu"])
    >>> export.deserialize(bytearray(content)).call(np.zeros((2, 12, 9, 1), np.uint8)).shape
    (2, 12, 9, 2)
    """
    _check(pixels, scale, platforms)
    own = channels_of(network, variables)
    convert = _conversion(channels or own, own)

    def look(picture: Num[Array, "H W C"]) -> Float32[Array, "*pixels K"]:
        return network.apply(variables, convert(_scaled(picture, scale))[None])[0]

    def logits(images: Num[Array, "B H W C"]) -> Float32[Array, "B *pixels K"]:
        return jax.vmap(look)(images)

    sides = _sides(network, variables, own, size)
    shape = export.symbolic_shape(f"batch, {sides[0]}, {sides[1]}, {channels or own}")
    try:
        exported = export.export(jax.jit(logits), platforms=platforms)(jax.ShapeDtypeStruct(shape, pixels))
    except (TypeError, ValueError, NotImplementedError, jax.errors.JAXTypeError) as error:
        if isinstance(size, tuple):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(
            f"size: this network cannot be exported for pictures of every size (JAX says: {reason}); give one size, "
            "for example size=(256, 256)"
        ) from error
    return bytes(exported.serialize())


def channels_of(network: Network, variables: Any) -> int:
    """The number of channels of the pictures that variables are for.

    Raises:
        InputError: they are of another network or of other options.
    """
    own = jax.tree.map(np.shape, variables)
    for channels in _CHANNELS:
        try:
            drawn = jax.eval_shape(network.init, jax.random.key(0), _blank(_SIDE, _SIDE, channels))
        except InputError:  # it is standardised by the numbers of another count of channels
            continue
        if jax.tree.map(np.shape, drawn) == own:
            return channels
    raise InputError(
        f"variables: are not those of a {type(network).__name__} with these options; give the options that it was "
        "trained with"
    )


def _check(pixels: str, scale: str, platforms: Sequence[str]) -> None:
    for name, given, known in (("pixels", pixels, tuple(_LARGEST)), ("scale", scale, ("dtype", "max"))):
        if given not in known:
            raise InputError(f"{name}: unknown {given!r}; choose one of {', '.join(known)}")
    if not platforms or isinstance(platforms, str) or set(platforms) - {*_PLATFORMS}:
        raise InputError(f"platforms: {platforms!r} must be one or more of {', '.join(_PLATFORMS)}")


def _scaled(picture: Num[Array, "H W C"], scale: str) -> Float32[Array, "H W C"]:
    """As `segjax.data.read_picture` scales; a picture that is black all over stays so."""
    numbers = picture.astype(jnp.float32)
    if scale == "dtype":
        return numbers / np.float32(_LARGEST[picture.dtype.name])
    largest = numbers.max()
    return numbers / jnp.where(largest == 0, 1.0, largest)


def _conversion(given: int, wanted: int) -> Callable[[Float[Array, "H W C"]], Float[Array, "H W K"]]:
    if given == wanted:
        return lambda picture: picture
    if (given, wanted) == (3, 1):
        return lambda picture: (picture @ LUMINANCE)[..., None]
    if (given, wanted) == (1, 3):
        return lambda picture: jnp.repeat(picture, 3, axis=-1)
    raise InputError(
        f"channels: pictures of {given} cannot be turned into the {wanted} of the network; only grey and RGB are "
        "converted"
    )


def _sides(network: Network, variables: Any, channels: int, size: int | tuple[int, int]) -> tuple[str, str]:
    """Height and width as `jax.export` writes them: numbers, or "16*rows + 16" for multiples of 16 from 32 on."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), variables)

    def check(height: int, width: int) -> None:
        jax.eval_shape(network.apply, shapes, _blank(height, width, channels))

    if isinstance(size, tuple):
        if len(size) != 2 or min(size) < 1:
            raise InputError(f"size must be (height, width) in pixels, not {size}")
        check(*size)
        return str(size[0]), str(size[1])
    if size < 1:
        raise InputError(f"size must be at least 1, not {size}")
    refusal: Exception = InputError(f"size must be at most {_MOST}, not {size}")
    for side in range(size, _MOST + 1, size):
        try:
            check(side, side)
        except (TypeError, ValueError) as error:
            refusal = error
        else:
            step, below = f"{size}*" if size > 1 else "", f" + {side - size}" if side > size else ""
            return f"{step}rows{below}", f"{step}columns{below}"
    raise refusal


def _blank(height: int, width: int, channels: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, height, width, channels), jnp.float32)
