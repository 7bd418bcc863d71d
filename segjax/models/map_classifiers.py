"""Classifiers that pool full-resolution class maps: an MSD network or a U-Net, a pooling, a linear layer without bias.

With the average, the class activation map sum_k W[c, k] f_k of class c has the size of the picture and its mean is the
class's logit: nothing is ever scaled up.
"""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from segjax.models.layers import Linear, standardised
from segjax.models.msd import MSD
from segjax.models.options import INPUT_OPTIONS, Option, number, one_of
from segjax.models.pretrained import Pretrained
from segjax.models.probe import MapLayers, Named
from segjax.models.unet import UNet
from segjax.ops.global_pooling import POOLINGS, global_pooling

POOLING_OPTIONS: dict[str, Option] = {
    "pooling": one_of(*POOLINGS),
    "share": number(0.0, 1.0, above=True),
    "sharpness": number(0.0, 1000.0, above=True),
}


class MSDClassifier(Pretrained):
    """MSD network whose class maps are pooled; 11,633 parameters with the defaults and one input channel.

    Attributes:
        classes: length of the logits, and number of maps.
        pooling: how a map becomes a number: "average", "log_sum_exp", "top_share" or "rank"; see
            `segjax.ops.global_pooling`.
        share: share of the pixels that "top_share" averages, or over which the weights of "rank" fall.
        sharpness: of "log_sum_exp".
        norm, depth, width, input_mean, input_std, remat, dtype: those of `MSD`.

    Source: Pelt and Sethian, PNAS 115 (2018), for the network; Zhou et al., CVPR 2016, for the head.
    """

    classes: int = 2
    pooling: str = "average"
    share: float = 0.1
    sharpness: float = 4.0
    norm: str = "none"
    depth: int = 50
    width: int = 1
    input_mean: float | tuple[float, ...] = 0.0
    input_std: float | tuple[float, ...] = 1.0
    remat: bool = False
    dtype: str = "float32"

    OPTIONS: ClassVar[dict[str, Option]] = MSD.OPTIONS | POOLING_OPTIONS

    @property
    def map_stride(self) -> int:
        """Side in pixels of the part of the picture that a pixel of the layer "maps" stands for."""
        return 1

    @property
    def map_layers(self) -> MapLayers:
        """The layers that maps of what the network looks at are made of."""
        return MapLayers("msd/dense", ("msd/dense",), ("maps",))

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B K"] | tuple[Float[Array, "B K"], dict[str, Float[Array, "B *rest"]]]:
        """Logits, and with `features` also, full size, "msd/dense" (all layers) and "maps" (one per class), and "pool".

        Raises:
            InputError: as `MSD` does.
        """
        options = {name: getattr(self, name) for name in MSD.OPTIONS}
        maps, inner = MSD(**options, name="msd")(image, train, features=True, present=present)
        return _classified(self, maps, {f"msd/{name}": value for name, value in inner.items()}, features)


class UNetClassifier(Pretrained):
    """U-Net whose class maps are pooled.

    Attributes:
        classes: length of the logits, and number of maps.
        pooling, share, sharpness: as of `MSDClassifier`.
        norm: "running", "group" or "none"; see `Norm`.
        width, levels, remat, dtype, axis: those of `UNet`.
        input_mean: subtracted from the picture; a number, or one per channel.
        input_std: the picture is divided by it; a number, or one per channel.

    Source: Ronneberger, Fischer and Brox, MICCAI 2015, for the network; Zhou et al., CVPR 2016, for the head.
    """

    classes: int = 2
    pooling: str = "average"
    share: float = 0.1
    sharpness: float = 4.0
    norm: str = "running"
    width: int = 64
    levels: int = 4
    input_mean: float | tuple[float, ...] = 0.0
    input_std: float | tuple[float, ...] = 1.0
    remat: bool = False
    dtype: str = "float32"
    axis: str | None = None

    OPTIONS: ClassVar[dict[str, Option]] = (
        UNet.OPTIONS | POOLING_OPTIONS | INPUT_OPTIONS | {"norm": one_of("running", "group", "none")}
    )

    @property
    def map_stride(self) -> int:
        """Side in pixels of the part of the picture that a pixel of the layer "maps" stands for."""
        return 1

    @property
    def map_layers(self) -> MapLayers:
        """The layers that maps of what the network looks at are made of."""
        down = tuple(f"unet/down{level}" for level in range(self.levels + 1))
        return MapLayers("unet/up0", down, (*down[2:], "maps"))

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B K"] | tuple[Float[Array, "B K"], dict[str, Float[Array, "B *rest"]]]:
        """Logits, and with `features` also "unet/down0", ... (as `UNet`), "maps" (one per class, full size) and "pool".

        Raises:
            InputError: as `UNet` does, or the picture has another number of channels than `input_mean` or `input_std`.
        """
        x = standardised("unet_classifier", image, self.input_mean, self.input_std)
        options = {name: getattr(self, name) for name in (*UNet.OPTIONS, "axis")}
        maps, inner = UNet(**options, name="unet")(x, train, features=True, present=present)
        return _classified(self, maps, {f"unet/{name}": value for name, value in inner.items()}, features)


def _classified(network, maps, inner, features):
    """The head of a network, made inside its call: layers "maps", "pool", "head"."""
    pooling = global_pooling(network.pooling, network.share, network.sharpness)
    maps = Named(name="maps")(maps)
    pooled = Named(name="pool")(pooling(maps))
    logits = Linear(network.classes, bias=False, name="head")(pooled)
    return (logits, inner | {"maps": maps, "pool": pooled}) if features else logits
