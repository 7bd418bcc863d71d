"""SegNet."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from segjax.models.layers import DTYPE, NORM, Convolution, answer, block_maker, check_size, hourglass_receptive_field
from segjax.models.options import Option, one_of, whole_number
from segjax.models.pretrained import Pretrained
from segjax.ops.pooling import max_pool_with_indices, unpool

CONVOLUTIONS = (2, 2, 3, 3, 3)


class SegNet(Pretrained):
    """SegNet: pooling that remembers where each maximum lay, and a mirrored decoder that puts values back there.

    Widths 64-128-256-512-512 with (2, 2, 3, 3, 3) convolutions with the defaults, which have 29,443,014 parameters for
    one input channel. Pictures of any size from 2**levels pixels.

    Attributes:
        classes: channels of the output.
        norm: "batch", "running", "group" or "none"; see `Norm`.
        width: channels of the first level; they double with every level up to 8 times.
        levels: poolings, 1 to 5.
        published_head: the last convolution is followed by normalisation and ReLU like every other one, so that logits
            are never negative, as in the annotation-error study; without it they are the plain convolution.
        remat: keep only the maps between blocks for the gradient and compute those inside again (memory for time).
        dtype: "float32" or "bfloat16"; see `segjax.models.create`.
        axis: name of a mapped axis (`jax.pmap`) that the batch is spread over; batch statistics are taken over it.

    Source: Badrinarayanan, Kendall and Cipolla, PAMI 39 (2017); defaults as in the annotation-error study.
    """

    classes: int = 2
    norm: str = "batch"
    width: int = 64
    levels: int = 5
    published_head: bool = True
    remat: bool = False
    dtype: str = "float32"
    axis: str | None = None

    OPTIONS: ClassVar[dict[str, Option]] = {
        "classes": whole_number(2, 1000),
        "norm": NORM,
        "width": whole_number(1, 1024),
        "levels": whole_number(1, len(CONVOLUTIONS)),
        "published_head": one_of(True, False),
        "remat": one_of(True, False),
        "dtype": DTYPE,
    }

    @property
    def stride(self) -> int:
        """Side in pixels of the finest grid on which a shift of the picture shifts the result."""
        return 2**self.levels

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the window an output pixel depends on, with norm="none" (404 with 5 levels)."""
        convolutions = CONVOLUTIONS[: self.levels]
        return hourglass_receptive_field(convolutions, 0, convolutions)

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B H W K"] | tuple[Float[Array, "B H W K"], dict[str, Float[Array, "B _ _ _"]]]:
        """Logits, and with `features` also the maps "down0" (full size), "down1", ..., "up1", "up0" (full size).

        "down{i}" and "up{i}" have floor(H / 2**i) x floor(W / 2**i) pixels.

        `present` marks the pictures that count for batch statistics; by default all do.

        Raises:
            InputError: the picture is smaller than 2**levels pixels.
        """
        check_size("segnet", image, 2**self.levels, f"{self.levels} poolings")
        widths = [self.width * 2 ** min(level, 3) for level in range(self.levels)]
        block = block_maker(self.norm, self.axis, self.remat, train, present)
        maps, places = {}, []
        x = image.astype(self.dtype)
        for level, width in enumerate(widths):
            x = maps[f"down{level}"] = block((width,) * CONVOLUTIONS[level], f"down{level}", x)
            x, index = max_pool_with_indices(x)
            places.append(index)
        for level, width in reversed(list(enumerate(widths))):
            x = unpool(x, places[level], *maps[f"down{level}"].shape[1:3])
            narrow = (widths[level - 1],) if level else ()
            repeats = (width,) * (CONVOLUTIONS[level] - 1)
            x = maps[f"up{level}"] = block(repeats + narrow, f"up{level}", x)
        if self.published_head:
            logits = block((self.classes,), "head", x)
        else:
            logits = Convolution(self.classes, 3, name="head")(x)
        return answer(logits, maps, features)
