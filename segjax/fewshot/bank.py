"""Feature maps of trained networks at the resolution of the picture: extractors, and banks of several of them."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from segjax.fewshot.moments import picture_moments
from segjax.models import CLASSIFIERS
from segjax.models.options import options_of
from segjax.ops.turns import turn, turn_back
from segjax.types import InputError

LAST_FULL_LAYER = {"unet": ("up0",), "segnet": ("up0",), "msd": ("dense",)}  # all maps at full size before the output
_MOST_CHANNELS = 16
_SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class Extractor:
    """A trained network of the zoo and the layers whose maps are taken.

    Attributes:
        network: as `segjax.models.create` gives it.
        variables: what `network.apply` takes.
        layers: names of maps, as `network.apply(..., features=True)` gives them; none: the last one of full size
            ("up0" of U-Net and SegNet, all layers of MSD).
        mean, std: float32 [F] of each feature over the pictures that it is standardised by; none: not known yet.
        turned: features are averaged over the eight flips and quarter turns of a picture (of one that is not square,
            over its four flips). A head that is fitted to them learns the same from a picture and from its turns, so
            the shots are as good as augmented by all of these.
    """

    network: Any
    variables: Any
    layers: tuple[str, ...] = ()
    mean: Float32[np.ndarray, " F"] | None = None
    std: Float32[np.ndarray, " F"] | None = None
    turned: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.network, tuple(CLASSIFIERS.values())):
            raise InputError(
                f"network: {self.kind} classifies whole pictures; give one that segments ({', '.join(LAST_FULL_LAYER)})"
            )
        known = tuple(self._shapes)
        if not self.layers:
            object.__setattr__(self, "layers", LAST_FULL_LAYER[self.kind])
        for layer in self.layers:
            if layer not in known:
                raise InputError(f"layers: network {self.kind} has no map {layer!r}; there are: {', '.join(known)}")

    @property
    def kind(self) -> str:
        """Name of the network in the zoo."""
        return getattr(self.network, "NAME", type(self.network).__name__.lower())

    @cached_property
    def channels(self) -> int:
        """Channels of the pictures that the network was trained on."""
        own = jax.tree.map(np.shape, self.variables)
        for channels in sorted(range(1, _MOST_CHANNELS + 1), key=lambda count: count not in (1, 3)):
            try:
                shapes, _ = _shapes_of(self.network, channels)
            except InputError:  # MSD knows the number of channels that it normalises
                continue
            if shapes == own:
                return channels
        raise InputError(
            f"extractor: these variables do not fit the network {self.kind} with these options; give its own variables"
        )

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return _shapes_of(self.network, self.channels)[1]

    @property
    def count(self) -> int:
        """Number of features."""
        return sum(self._shapes[layer][-1] for layer in self.layers)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature: LAYER/CHANNEL."""
        return tuple(f"{layer}/{channel}" for layer in self.layers for channel in range(self._shapes[layer][-1]))

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change with anything that the features depend on."""
        digest = hashlib.sha256()
        digest.update(f"{self.kind} {sorted(options_of(self.network).items())} {self.layers}".encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.variables):
            digest.update(f"{jax.tree_util.keystr(path)} {np.shape(leaf)}".encode() + np.asarray(leaf).tobytes())
        if self.turned:
            digest.update(b"turned")
        for part in (self.mean, self.std):
            digest.update(b"none" if part is None else np.asarray(part).tobytes())
        return digest.hexdigest()[:16]

    def raw(self, variables: Any, image: Float[Array, "H W C"]) -> Float[Array, "H W F"]:
        """The maps of one picture side by side, not standardised; lower layers are enlarged bilinearly.

        `variables` are an argument, so that a compiled function does not hold them as constants.
        """
        if not self.turned:
            return self._maps(variables, image)
        count = 8 if image.shape[0] == image.shape[1] else 4
        found = [turn_back(self._maps(variables, turn(image, number)), number) for number in range(count)]
        return jnp.mean(jnp.stack(found), axis=0)

    def _maps(self, variables: Any, image: Float[Array, "H W C"]) -> Float[Array, "H W F"]:
        _, maps = self.network.apply(variables, image[None], features=True)
        height, width = image.shape[:2]
        large = [enlarge(maps[layer][0], height, width, poolings_of(layer)) for layer in self.layers]
        return jnp.concatenate(large, axis=-1)


@lru_cache(maxsize=64)
def _shapes_of(network: Any, channels: int) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """Shapes of a network's variables and of its maps for pictures of some channels; nothing is computed."""
    side = 16 * network.stride
    blank = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), blank)
    maps = jax.eval_shape(lambda own, image: network.apply(own, image, features=True)[1], variables, blank)
    return jax.tree.map(np.shape, variables), {name: value.shape for name, value in maps.items()}


def poolings_of(layer: str) -> int | None:
    """How often the map of a layer was pooled, which is the number at the end of its name; None without one."""
    found = re.search(r"\d+$", layer)
    return None if found is None else int(found[0])


def enlarge(
    values: Float[Array, "h w F"], height: int, width: int, poolings: int | None = None
) -> Float[Array, "{height} {width} F"]:
    """A map of a pooled picture at the picture's resolution.

    Map pixel (i, j) of n poolings stands for the picture's pixels 2^n i ... 2^n i + 2^n - 1 and so on; between their
    centres values are interpolated bilinearly. Rows and columns that pooling left out repeat the last one; those that
    it added are cut off.

    Args:
        poolings: n, where the size of the map fits it. Otherwise n is the smallest number that fits: of maps of at most
            two rows two numbers may.
    """
    rows, columns, count = values.shape
    numbers = range(height.bit_length()) if poolings is None else (poolings, *range(height.bit_length()))
    factor = 2 ** next(n for n in numbers if rows in (height >> n, -(-height >> n)))
    if factor == 1:
        return values
    large = jax.image.resize(values, (rows * factor, columns * factor, count), "bilinear")
    missing = (max(height - rows * factor, 0), max(width - columns * factor, 0))
    return jnp.pad(large[:height, :width], ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")


class FeatureBank:
    """Standardised features of several extractors, side by side.

    Every picture is taken alone, so features do not depend on what else is in a batch. `stack` of the pictures of a
    study is made once, and all heads, numbers of shots, subsets and draws are fitted on it.

    Attributes:
        extractors: each with the mean and the deviation of its features.
        names: of the features: NUMBER:NETWORK/LAYER/CHANNEL.
        digest: 16 hexadecimal digits that change with anything that the features depend on.
        variance: float32 [F], of every feature before it is standardised.
    """

    def __init__(self, extractors: Sequence[Extractor]) -> None:
        """Raises InputError: no extractor, one without statistics, or different numbers of channels."""
        if not extractors:
            raise InputError("extractors: there are none, but a bank needs a trained network; give at least one")
        for number, extractor in enumerate(extractors):
            if extractor.mean is None or extractor.std is None:
                raise InputError(
                    f"extractors: number {number} has no statistics of its features; "
                    "make the bank with FeatureBank.standardised(extractors, images)"
                )
        channels = {extractor.channels for extractor in extractors}
        if len(channels) > 1:
            raise InputError(
                f"extractors: they were trained on pictures with different numbers of channels ({sorted(channels)}); "
                "use extractors of one kind"
            )
        self.extractors = tuple(extractors)
        self.channels = channels.pop()
        self.names = tuple(
            f"{number}:{extractor.kind}/{name}"
            for number, extractor in enumerate(extractors)
            for name in extractor.names
        )
        self.digest = hashlib.sha256(" ".join(each.digest for each in extractors).encode()).hexdigest()[:16]
        self._mean, std = (
            np.concatenate([np.asarray(getattr(each, name), np.float32) for each in extractors])
            for name in ("mean", "std")
        )
        self.variance = std**2
        self._scale = scale_of(std)
        self._variables = [extractor.variables for extractor in self.extractors]
        self._compiled = jax.jit(self._features)

    @staticmethod
    def standardised(extractors: Sequence[Extractor], images: Sequence[np.ndarray]) -> "FeatureBank":
        """A bank whose features have mean 0 and deviation 1 over all pixels of `images`, taken one at a time.

        Raises:
            InputError: no extractor, no picture, or one that `features` refuses.
        """
        return FeatureBank([with_statistics(extractor, images) for extractor in extractors])

    def __len__(self) -> int:
        return len(self.names)

    def features(self, image: Float32[np.ndarray, "H W C"]) -> Float[Array, "H W F"]:
        """Standardised features of one picture; compiled once per size of picture.

        Raises:
            InputError: another number of channels than the extractors', whole numbers, NaN or infinite values, or a
                picture too small for a network.
        """
        check_picture(image, self.channels)
        return self._compiled(self._variables, jnp.asarray(image, jnp.float32))

    def check(self, image: Float32[np.ndarray, "_ _ _"], name: str = "images: one") -> None:
        """Raises InputError as `features` does, without computing them; its message begins with the picture's name."""
        check_picture(image, self.channels, name)
        try:
            self._compiled.eval_shape(self._variables, jax.ShapeDtypeStruct(image.shape, jnp.float32))
        except InputError as error:
            raise InputError(f"{name} cannot be used: {error}; give larger pictures") from None

    def _features(self, variables, image):
        each = [extractor.raw(own, image) for extractor, own in zip(self.extractors, variables, strict=True)]
        raw = jnp.concatenate(each, axis=-1)
        return (raw - self._mean.reshape(1, 1, -1)) * self._scale.reshape(1, 1, -1)

    def stack(self, images: Sequence[np.ndarray]) -> Float32[np.ndarray, "P H W F"]:
        """Features of pictures of one size, on the host: 4 P H W F bytes."""
        images = list(images)
        stacked = np.empty((len(images), *images[0].shape[:2], len(self)), np.float32)
        for place, image in enumerate(images):
            check_picture(image, self.channels, f"images: number {place}")
            stacked[place] = self.features(image)
        return stacked

    def moments(
        self, images: Sequence[np.ndarray], targets: Sequence[Int32[np.ndarray, "_ _"]]
    ) -> Float32[np.ndarray, "P 2 F1 F1"]:
        """`class_moments` of pictures of any sizes; the features of one picture at a time are in memory."""
        return np.stack([np.asarray(part) for part in self._each_moments(images, targets)])

    def _each_moments(self, images, targets) -> Iterator[Array]:
        compiled = jax.jit(picture_moments)
        for place, (image, target) in enumerate(zip(images, targets, strict=True)):
            check_picture(image, self.channels, f"images: number {place}")
            yield compiled(self.features(image), jnp.asarray(target))


def with_statistics(extractor: Extractor, images: Sequence[np.ndarray]) -> Extractor:
    """The extractor with mean and deviation of its features over all pixels of some pictures, one at a time.

    Raises:
        InputError: no picture, another number of channels than the extractor's, whole numbers, or NaN or infinite
            values.
    """
    if len(images) == 0:
        raise InputError("images: there are none to standardise the features with; give at least one")

    @jax.jit
    def sums(variables, image):
        return pixel_sums(extractor.raw(variables, image))

    def each():
        for number, image in enumerate(images):
            check_picture(image, extractor.channels, f"images: number {number}")
            yield image.shape[0] * image.shape[1], sums(extractor.variables, jnp.asarray(image, jnp.float32))

    mean, std = statistics(each())
    return replace(extractor, mean=mean, std=std)


def pixel_sums(raw: Float[Array, "H W F"]) -> tuple[Float[Array, " F"], Float[Array, " F"]]:
    """Mean of each feature over the pixels of a picture, and the sum of the squares of what differs from it."""
    mean = jnp.mean(raw, axis=(0, 1), keepdims=True)
    return mean[0, 0], jnp.sum((raw - mean) ** 2, axis=(0, 1))


def statistics(parts: Iterable[tuple[int, Any]]) -> tuple[Float32[np.ndarray, " F"], Float32[np.ndarray, " F"]]:
    """Mean and deviation of each feature over pictures, from the pixels and the `pixel_sums` of each."""
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for own, found in parts:
        own_mean, own_squares = (np.asarray(part, np.float64) for part in found)
        # sums about each picture's own mean, merged in float64 (Chan, Golub and LeVeque 1983)
        moved = own_mean - mean
        squares = squares + own_squares + moved**2 * count * own / (count + own)
        mean = mean + moved * own / (count + own)
        count += own
    return mean.astype(np.float32), np.sqrt(squares / count).astype(np.float32)


def scale_of(std: Float32[np.ndarray, " F"]) -> Float32[np.ndarray, " F"]:
    """The factor that gives each feature a deviation of 1; constant features stay as they are."""
    return 1 / np.where(std > _SMALLEST_DEVIATION, std, 1.0)


def check_picture(image: np.ndarray, channels: int, name: str = "images: one") -> None:
    """Raises InputError unless a picture has the extractor's number of channels and finite floating-point values."""
    if image.ndim != 3 or image.shape[-1] != channels:
        raise InputError(
            f"{name} has the shape {image.shape}; give pictures [H, W, {channels}], as the extractors were trained on"
        )
    if not jnp.issubdtype(image.dtype, jnp.floating):  # such as a file's 0 to 255
        raise InputError(f"{name} holds {image.dtype}; give float32 from 0 to 1, as segjax.data.read_picture gives it")
    if not np.isfinite(image).all():
        raise InputError(f"{name} holds NaN or infinite values; replace them before use")
