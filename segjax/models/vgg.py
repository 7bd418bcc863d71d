"""VGG16, a classifier."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from segjax.models.layers import DTYPE, Convolution, Linear, Maps, Norm, answer, check_size, standardised
from segjax.models.options import INPUT_OPTIONS, Option, number, one_of, whole_number
from segjax.models.pretrained import Pretrained
from segjax.models.probe import MapLayers, Named, Relu
from segjax.ops.pooling import average_pool_to, max_pool

CONVOLUTIONS = (2, 2, 3, 3, 3)
KAIMING = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class VGGConvolution(nn.Module):
    """3x3 convolution, normalisation, ReLU."""

    width: int
    norm: str
    axis: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, present: Bool[Array, " B"] | None
    ) -> Float[Array, "B H W F"]:
        x = Convolution(self.width, 3, initialise=KAIMING, name="convolution")(x)
        return Relu(name="relu")(Norm(self.norm, self.axis, name="norm")(x, train, present))


class VGGStage(nn.Module):
    """Convolutions "conv0", "conv1", ... of one width."""

    count: int
    width: int
    norm: str
    axis: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, present: Bool[Array, " B"] | None
    ) -> Float[Array, "B H W F"]:
        for index in range(self.count):
            x = VGGConvolution(self.width, self.norm, self.axis, name=f"conv{index}")(x, train, present)
        return x


class VGG16(Pretrained):
    """VGG16: 13 convolutions in five stages with poolings between them, then a head.

    Torchvision's layout and, with 1000 classes and three channels, its 138,357,544 parameters (138,365,992 with
    norm="running", its `vgg16_bn`); `load_torchvision` reads its weights.

    Attributes:
        classes: length of the logits; 0: there is no head, and the maps alone are returned (encoder of a U-Net).
        norm: "none", "running" or "group"; see `Norm`. Without normalisation the network hardly learns from scratch.
        width: channels of the first stage; they double with every stage up to 8 times.
        head: "hidden": a fifth pooling, 7x7 means and two hidden layers of 64 `width`, as published; "average": the
            last stage averaged over the picture and one linear layer, which class activation maps (CAM) need.
        dropout: share of the hidden layers that is dropped in training; `apply` then needs `rngs={"dropout": key}`.
        input_mean: subtracted from the picture; a number, or one per channel.
        input_std: the picture is divided by it; a number, or one per channel.
        dtype: "float32" or "bfloat16"; see `segjax.models.create`.
        axis: name of a mapped axis (`jax.pmap`) that the batch is spread over; batch statistics are taken over it.
        remat: keep only the maps between stages for the gradient and compute those inside again.

    Source: Simonyan and Zisserman, ICLR 2015; the head "average" as in Zhou et al., CVPR 2016.
    """

    classes: int = 2
    norm: str = "none"
    width: int = 64
    head: str = "hidden"
    dropout: float = 0.5
    input_mean: float | tuple[float, ...] = 0.0
    input_std: float | tuple[float, ...] = 1.0
    dtype: str = "float32"
    axis: str | None = None
    remat: bool = False

    OPTIONS: ClassVar[dict[str, Option]] = {
        "classes": whole_number(2, 1000),
        "norm": one_of("none", "running", "group"),
        "width": whole_number(1, 1024),
        "head": one_of("hidden", "average"),
        "dropout": number(0.0, 0.99),
        **INPUT_OPTIONS,
        "dtype": DTYPE,
    }

    @property
    def map_stride(self) -> int:
        """Side in pixels of the part of the picture that a pixel of the layer "maps" stands for."""
        return 16

    @property
    def map_layers(self) -> MapLayers:
        """The layers that maps of what the network looks at are made of."""
        return MapLayers("maps", tuple(f"stage{n}" for n in range(1, 6)), ("stage3", "stage4", "maps"))

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B K"] | tuple[Float[Array, "B K"], Maps] | Maps:
        """Logits, and with `features` also "stage1" (full size), ..., "stage5" (1/16), "maps" (the last stage) and,
        with the head "average", "pool".

        `present` marks the pictures that count for batch statistics; by default all do.

        Raises:
            InputError: the picture is smaller than 32 pixels, or has another number of channels than `input_mean` or
                `input_std`.
        """
        check_size("vgg16", image, 32, "5 poolings")
        x = standardised("vgg16", image, self.input_mean, self.input_std).astype(self.dtype)
        maps, stage_of = {}, nn.remat(VGGStage, static_argnums=(2,)) if self.remat else VGGStage
        for stage, count in enumerate(CONVOLUTIONS, 1):
            width = self.width * 2 ** min(stage - 1, 3)
            x = max_pool(x) if stage > 1 else x
            x = stage_of(count, width, self.norm, self.axis, name=f"stage{stage}")(x, train, present)
            maps[f"stage{stage}"] = x
        if not self.classes:
            return maps
        x = maps["maps"] = Named(name="maps")(x)
        normal = nn.initializers.normal(0.01)
        if self.head == "average":
            x = maps["pool"] = Named(name="pool")(x.mean((1, 2)))
        else:
            x = average_pool_to(max_pool(x), 7, 7)
            for layer in range(2):
                x = Relu(name=f"relu{layer}")(Linear(64 * self.width, initialise=normal, name=f"hidden{layer}")(x))
                x = nn.Dropout(self.dropout, deterministic=not train, name=f"dropout{layer}")(x)
        logits = Linear(self.classes, initialise=normal, name="head")(x)
        return answer(logits, maps, features)

    def torchvision_name(self, path: tuple[str, ...]) -> str:
        """What torchvision calls the layer whose submodules have these names."""
        linear = {"hidden0": "classifier.0", "hidden1": "classifier.3", "head": "classifier.6"}
        if len(path) == 1:
            return linear[path[0]]
        stage, place = int(path[0].removeprefix("stage")) - 1, int(path[1].removeprefix("conv"))
        per_convolution = 2 if self.norm == "none" else 3
        before = sum(count * per_convolution + 1 for count in CONVOLUTIONS[:stage])
        return f"features.{before + place * per_convolution + (path[2] == 'norm')}"
