"""U-Net whose way down is a classifier of the zoo, so that it can start from weights of large sets of photographs."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from segjax.models.layers import DTYPE, NORM, Convolution, Maps, answer, block_maker
from segjax.models.options import INPUT_OPTIONS, Option, one_of, whole_number
from segjax.models.resnet import ResNet18, ResNet34, ResNet50
from segjax.models.torchvision import EncoderWeights, read_encoder
from segjax.models.vgg import CONVOLUTIONS, VGG16
from segjax.ops.pooling import enlarge_nearest, max_pool
from segjax.types import InputError

ENCODERS: dict[str, type[VGG16] | type[ResNet18]] = {
    "vgg16": VGG16,
    "vgg16_bn": VGG16,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
}
LEVELS = 5
IMAGENET = {"input_mean": (0.485, 0.456, 0.406), "input_std": (0.229, 0.224, 0.225)}  # as torchvision's weights expect
_HE = nn.initializers.variance_scaling(2.0, "fan_in", "uniform")
_Extent = tuple[int, int, int]  # a layer: first and last offset of its window, and its stride


class EncoderUNet(nn.Module):
    """U-Net with a ResNet or VGG16 as encoder: the layout of `Unet` of segmentation_models_pytorch (SMP).

    Maps at 1/2 to 1/32 of the size go up again in five steps: enlarged to the nearest, joined with the encoder's map of
    that size where it has one (not at full size), two 3x3 convolutions; a 3x3 convolution gives the logits. With two
    classes and three channels it has 14,328,354 parameters on ResNet-18, 24,436,514 on ResNet-34 and 32,521,250 on
    ResNet-50. Pictures of any size from 32 pixels. `create("unet", encoder="resnet18")` makes one, and `load_smp` reads
    the weights of a whole one.

    Attributes:
        encoder: "resnet18", "resnet34", "resnet50", "vgg16" or "vgg16_bn".
        encoder_weights: what the encoder starts from in `init`; `create` reads them from the file that it is given.
            Pictures then have one channel or three; for one channel, the first kernel is summed over red, green and
            blue.
        classes: channels of the output.
        norm: "running", "batch", "group" or "none"; see `Norm`. The encoder "vgg16" has none, whatever the way up has.
        width: channels of the encoder's first stage, 64 in all weights of others; the way up has 4 times as many at
            1/16 of the size and half as many at each step.
        input_mean: subtracted from the picture; a number, or one per channel, of which three are averaged for a picture
            of one channel.
        input_std: the picture is divided by it; likewise.
        remat: keep only the maps between blocks for the gradient and compute those inside again (memory for time).
        dtype: "float32" or "bfloat16"; see `segjax.models.create`.
        axis: name of a mapped axis (`jax.pmap`) that the batch is spread over; batch statistics are taken over it.

    Source: Ronneberger, Fischer and Brox, MICCAI 2015; the layout is that of segmentation_models_pytorch 0.6.
    """

    encoder: str = "resnet18"
    encoder_weights: EncoderWeights | None = None
    classes: int = 2
    norm: str = "running"
    width: int = 64
    input_mean: float | tuple[float, ...] = 0.0
    input_std: float | tuple[float, ...] = 1.0
    remat: bool = False
    dtype: str = "float32"
    axis: str | None = None

    NAME: ClassVar[str] = "unet"  # that `create` knows it by
    OPTIONS: ClassVar[dict[str, Option]] = {
        "encoder": one_of(*ENCODERS),
        "classes": whole_number(2, 1000),
        "norm": NORM,
        "width": whole_number(1, 1024),
        **INPUT_OPTIONS,
        "remat": one_of(True, False),
        "dtype": DTYPE,
    }

    @property
    def stride(self) -> int:
        """Side in pixels of the finest grid on which a shift of the picture shifts the result."""
        return 2**LEVELS

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the window around an output pixel that it depends on, at most and with norm="none"."""
        return 2 * _reach(_layers(self.encoder), self.encoder.startswith("vgg")) + 1

    @nn.nowrap
    def body(self, channels: int = 3, **place: Any) -> Any:
        """The encoder, a classifier without head, for pictures of so many channels."""
        scaling = {
            name: sum(value) / 3 if channels == 1 and isinstance(value, tuple) and len(value) == 3 else value
            for name, value in (("input_mean", self.input_mean), ("input_std", self.input_std))
        }
        norm = "none" if self.encoder == "vgg16" else self.norm
        options: dict[str, Any] = {
            "width": self.width,
            "dtype": self.dtype,
            "axis": self.axis,
            "remat": self.remat,
            **scaling,
        }
        return ENCODERS[self.encoder](classes=0, norm=norm, **options, **place)

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B H W K"] | tuple[Float[Array, "B H W K"], Maps]:
        """Logits, and with `features` also the encoder's maps "down1" (1/2 of the size) to "down5" and "up4" to "up0".

        "down{i}" and "up{i}" have ceil(H / 2**i) x ceil(W / 2**i) pixels with a ResNet, with VGG16 the floor.
        `present` marks the pictures that count for batch statistics; by default all do.

        Raises:
            InputError: the picture is smaller than 32 pixels, or has a number of channels that `encoder_weights`,
                `input_mean` or `input_std` do not go with.
        """
        if self.is_initializing() and self.encoder_weights is not None:
            self._start_encoder(self.encoder_weights, image.shape[-1])
        found = self.body(image.shape[-1], name="encoder")(image, train, present=present)
        block = block_maker(self.norm, self.axis, self.remat, train, present, bias=self.norm == "none", initialise=_HE)
        if self.encoder.startswith("vgg"):
            skips = [found[f"stage{stage}"] for stage in range(2, 6)]
            skips.append(max_pool(skips[-1]))
            x = block((skips[-1].shape[-1],) * 2, "center", skips[-1])
        else:
            skips = list(found.values())
            x = skips[-1]
        maps = {f"down{level}": skip for level, skip in enumerate(skips, 1)}
        for level in reversed(range(LEVELS)):
            size = maps[f"down{level}"].shape[1:3] if level else image.shape[1:3]
            x = enlarge_nearest(x, *size)
            if level:
                x = jnp.concatenate([x, maps[f"down{level}"]], axis=-1)
            width = max(4 * self.width >> (LEVELS - 1 - level), 1)
            x = maps[f"up{level}"] = block((width, width), f"up{level}", x)
        logits = Convolution(self.classes, 3, initialise=nn.initializers.xavier_uniform(), name="head")(x)
        return answer(logits, maps, features)

    def _start_encoder(self, weights: EncoderWeights, channels: int) -> None:
        """Put the encoder's variables where it will look for them before it draws its own."""
        if channels not in weights.variables:
            raise InputError(
                f"encoder_weights: {weights.path} is for pictures of 3 channels, or 1, but these have {channels}; give "
                "pictures of 1 or 3 channels, or leave encoder_weights out"
            )
        for collection, values in weights.variables[channels].items():
            self.put_variable(collection, "encoder", jax.tree.map(jnp.asarray, values))

    @nn.nowrap
    def smp_name(self, path: tuple[str, ...]) -> str:
        """What segmentation_models_pytorch calls the layer whose submodules have these names."""
        block, *inner = path
        if block == "encoder":
            return f"encoder.{self.body(parent=None).torchvision_name(tuple(inner))}"
        if block == "head":
            return "segmentation_head.0"
        number, is_norm = int(inner[0][-1]), int(inner[0].startswith("norm"))
        if block == "center":
            return f"decoder.center.{number}.{is_norm}"
        return f"decoder.blocks.{LEVELS - 1 - int(block.removeprefix('up'))}.conv{number + 1}.{is_norm}"


def create_encoder_unet(options: Mapping[str, Any]) -> Any:
    """The U-Net of some options that have been checked; the file `encoder_weights` is read here.

    With that file, pictures are standardised by the mean and deviation of ImageNet where no others are given.

    Raises:
        InputError: the file cannot be read or does not fit, or is given without `encoder` or with another `norm`.
    """
    own = {name: value for name, value in options.items() if name != "encoder_weights"}
    if "encoder" not in own:
        raise InputError(
            f"network unet: encoder_weights is given without encoder; give encoder too, one of {', '.join(ENCODERS)}"
        )
    if "encoder_weights" not in options:
        return EncoderUNet(**own)
    network = EncoderUNet(**{**IMAGENET, **own})
    body = network.body()
    if network.encoder != "vgg16" and body.norm != "running":
        raise InputError(
            f"network unet: encoder_weights of {network.encoder} are for norm='running', not {body.norm!r}; "
            "choose that, or leave encoder_weights out"
        )
    return network.clone(encoder_weights=read_encoder(body, options["encoder_weights"]))


def _layers(encoder: str) -> list[list[_Extent]]:
    """Layers of the encoder that look at neighbours, for each size from 1/2 on (of VGG16 from the full size on)."""
    three = (-1, 1, 1)
    if encoder.startswith("vgg"):
        pool = (0, 1, 2)
        stages = [[pool] + [three] * count for count in CONVOLUTIONS[1:]]
        return [[three] * CONVOLUTIONS[0] + stages[0], *stages[1:], [pool]]
    kind: Any = ENCODERS[encoder]
    per_block = 1 if kind.BOTTLENECK else 2
    counts = [count * per_block for count in kind.BLOCKS]
    halving = (-1, 1, 2)
    stages = [[halving] + [three] * (count - (stage > 0)) for stage, count in enumerate(counts)]
    return [[(-3, 3, 2)], *stages]


def _reach(layers: list[list[_Extent]], rounds_down: bool) -> int:
    """Pixels from an output pixel to the furthest that it depends on.

    Enlarging to the nearest takes row i from row i // 2. Where pooling rounds an odd size down, an even row i > 0 is
    taken from row i // 2 - 1.
    """

    def window(pixel: int) -> tuple[int, int]:
        first, last = pixel - 3, pixel + 3  # two convolutions and the head
        ends = []
        for level in range(1, LEVELS + 1):
            first, last = (first + 1) // 2 - 1 if rounds_down else first // 2, last // 2
            if level < LEVELS or rounds_down:  # of the lowest maps only VGG16 has convolutions
                first, last = first - 2, last + 2
            ends.append(_seen(first, last, layers[:level]))
        return min(low for low, _ in ends), max(high for _, high in ends)

    windows = [(pixel, *window(pixel)) for pixel in range(2**LEVELS)]
    return max(max(pixel - first, last - pixel) for pixel, first, last in windows)


def _seen(first: int, last: int, layers: list[list[_Extent]]) -> tuple[int, int]:
    for low, high, stride in reversed([layer for level in layers for layer in level]):
        first, last = first * stride + low, last * stride + high
    return first, last
