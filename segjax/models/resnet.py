"""Residual networks, classifiers: ResNet-18, -34 and -50."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from segjax.models.layers import DTYPE, Convolution, Linear, Maps, Norm, answer, check_size, standardised
from segjax.models.options import INPUT_OPTIONS, Option, one_of, whole_number
from segjax.models.pretrained import Pretrained
from segjax.models.probe import MapLayers, Named, Relu
from segjax.ops.pooling import overlapping_max_pool

KAIMING = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
EXPANSION = 4  # channels that a bottleneck block gives, in units of its width


class ResidualBlock(nn.Module):
    """Convolutions whose result is added to their input: 3x3 twice, or with `bottleneck` 1x1, 3x3, 1x1.

    Where size or channels change, the input goes through a 1x1 convolution of the same stride ("shortcut").
    """

    width: int
    stride: int
    bottleneck: bool
    norm: str
    axis: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, present: Bool[Array, " B"] | None
    ) -> Float[Array, "B h w F"]:
        def convolved(x, width, size, stride, name):
            x = Convolution(width, size, stride, bias=False, initialise=KAIMING, name=name)(x)
            return Norm(self.norm, self.axis, name=f"{name}_norm")(x, train, present)

        given, last = x, self.width * (EXPANSION if self.bottleneck else 1)
        if self.bottleneck:
            layers = [(self.width, 1, 1), (self.width, 3, self.stride), (last, 1, 1)]
        else:
            layers = [(self.width, 3, self.stride), (last, 3, 1)]
        for index, (width, size, stride) in enumerate(layers, 1):
            x = convolved(x, width, size, stride, f"conv{index}")
            if index < len(layers):
                x = Relu(name=f"relu{index}")(x)
        if self.stride > 1 or given.shape[-1] != last:
            given = convolved(given, last, 1, self.stride, "shortcut")
        return Relu(name="relu")(x + given)


class ResNetStage(nn.Module):
    """Residual blocks "block0", "block1", ... of one width; the first has the stride."""

    blocks: int
    width: int
    stride: int
    bottleneck: bool
    norm: str
    axis: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], train: bool, present: Bool[Array, " B"] | None
    ) -> Float[Array, "B h w F"]:
        for index in range(self.blocks):
            stride = self.stride if index == 0 else 1
            block = ResidualBlock(self.width, stride, self.bottleneck, self.norm, self.axis, name=f"block{index}")
            x = block(x, train, present)
        return x


class ResNet18(Pretrained):
    """ResNet-18: a 7x7 convolution, a pooling, four stages of residual blocks, the average, one linear layer.

    Torchvision's layout and, with 1000 classes and three channels, its 11,689,512 parameters; `load_torchvision` reads
    its weights.

    Attributes:
        classes: length of the logits; 0: there is no head, and the maps alone are returned (encoder of a U-Net).
        norm: "running", "group" or "none"; see `Norm`.
        width: channels of the first stage; they double with every stage.
        input_mean: subtracted from the picture; a number, or one per channel.
        input_std: the picture is divided by it; a number, or one per channel.
        dtype: "float32" or "bfloat16"; see `segjax.models.create`.
        axis: name of a mapped axis (`jax.pmap`) that the batch is spread over; batch statistics are taken over it.
        remat: keep only the maps between stages for the gradient and compute those inside again.

    Source: He et al., CVPR 2016; the stride of a bottleneck block is that of its 3x3 convolution.
    """

    classes: int = 2
    norm: str = "running"
    width: int = 64
    input_mean: float | tuple[float, ...] = 0.0
    input_std: float | tuple[float, ...] = 1.0
    dtype: str = "float32"
    axis: str | None = None
    remat: bool = False

    BLOCKS: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)
    BOTTLENECK: ClassVar[bool] = False
    OPTIONS: ClassVar[dict[str, Option]] = {
        "classes": whole_number(2, 1000),
        "norm": one_of("running", "group", "none"),
        "width": whole_number(1, 1024),
        **INPUT_OPTIONS,
        "dtype": DTYPE,
    }

    @property
    def map_stride(self) -> int:
        """Side in pixels of the part of the picture that a pixel of the layer "maps" stands for."""
        return 32

    @property
    def map_layers(self) -> MapLayers:
        """The layers that maps of what the network looks at are made of."""
        stages = tuple(f"layer{stage}" for stage in range(1, 5))
        return MapLayers("maps", stages, stages)

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B K"] | tuple[Float[Array, "B K"], Maps] | Maps:
        """Logits, and with `features` also "layer1" (1/4 of the size) to "layer4" (1/32), "maps" (the last) and "pool".

        Without a head: "relu" (1/2 of the size) and "layer1" to "layer4".

        `present` marks the pictures that count for batch statistics; by default all do.

        Raises:
            InputError: the picture is smaller than 32 pixels, or has another number of channels than `input_mean` or
                `input_std`.
        """
        check_size("resnet", image, 32, "its maps are 1/32 of the size")
        x = standardised("resnet", image, self.input_mean, self.input_std).astype(self.dtype)
        x = Convolution(self.width, 7, 2, bias=False, initialise=KAIMING, name="conv1")(x)
        x = Relu(name="relu")(Norm(self.norm, self.axis, name="conv1_norm")(x, train, present))
        maps = {} if self.classes else {"relu": x}
        x = overlapping_max_pool(x)
        stage_of = nn.remat(ResNetStage, static_argnums=(2,)) if self.remat else ResNetStage
        for stage, blocks in enumerate(self.BLOCKS, 1):
            layout = (blocks, self.width * 2 ** (stage - 1), 1 if stage == 1 else 2, self.BOTTLENECK)
            x = stage_of(*layout, self.norm, self.axis, name=f"layer{stage}")(x, train, present)
            maps[f"layer{stage}"] = x
        if not self.classes:
            return maps
        x = maps["maps"] = Named(name="maps")(x)
        x = maps["pool"] = Named(name="pool")(x.mean((1, 2)))
        logits = Linear(self.classes, name="head")(x)
        return answer(logits, maps, features)

    def torchvision_name(self, path: tuple[str, ...]) -> str:
        """What torchvision calls the layer whose submodules have these names."""
        *outer, layer = path
        names = {"head": "fc", "shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
        if layer.startswith("conv"):
            names[layer] = f"bn{layer[4]}" if layer.endswith("_norm") else layer
        return ".".join([*(part.replace("block", "") for part in outer), names[layer]])


class ResNet34(ResNet18):
    """ResNet-34: ResNet-18 with 3, 4, 6 and 3 blocks; 21,797,672 parameters with 1000 classes and three channels."""

    BLOCKS: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)


class ResNet50(ResNet18):
    """ResNet-50: ResNet-34 with bottleneck blocks; 25,557,032 parameters with 1000 classes and three channels."""

    BLOCKS: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)
    BOTTLENECK: ClassVar[bool] = True
