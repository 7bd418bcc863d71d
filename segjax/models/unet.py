"""U-Net."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from segjax.models.layers import (
    DTYPE,
    NORM,
    Convolution,
    Upsample,
    answer,
    block_maker,
    check_size,
    hourglass_receptive_field,
)
from segjax.models.options import Option, one_of, whole_number
from segjax.models.pretrained import Pretrained
from segjax.ops.pooling import max_pool, pad_to


class UNet(Pretrained):
    """U-Net: double convolutions, max pooling, transposed convolutions, skip connections by concatenation.

    Widths 64-128-256-512-512 going down and 256-128-64-64 going up with the defaults, which have 14,787,842 parameters
    for one input channel. Pictures of any size from 2**levels pixels: an odd row or column is left out by pooling and
    comes back as zeros before the skip connection is joined.

    Attributes:
        classes: channels of the output.
        norm: "batch", "running", "group" or "none"; see `Norm`.
        width: channels of the first level; they double with every level but the last.
        levels: poolings.
        remat: keep only the maps between blocks for the gradient and compute those inside again (memory for time).
        dtype: "float32" or "bfloat16"; see `segjax.models.create`.
        axis: name of a mapped axis (`jax.pmap`) that the batch is spread over; batch statistics are taken over it.

    Source: Ronneberger, Fischer and Brox, MICCAI 2015; defaults as in the annotation-error study.
    """

    classes: int = 2
    norm: str = "batch"
    width: int = 64
    levels: int = 4
    remat: bool = False
    dtype: str = "float32"
    axis: str | None = None

    OPTIONS: ClassVar[dict[str, Option]] = {
        "classes": whole_number(2, 1000),
        "norm": NORM,
        "width": whole_number(1, 1024),
        "levels": whole_number(1, 8),
        "remat": one_of(True, False),
        "dtype": DTYPE,
    }

    @property
    def stride(self) -> int:
        """Side in pixels of the finest grid on which a shift of the picture shifts the result."""
        return 2**self.levels

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the window an output pixel depends on, with norm="none" (204 with 4 levels)."""
        return hourglass_receptive_field([2] * self.levels, 2, [2] * self.levels)

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B H W K"] | tuple[Float[Array, "B H W K"], dict[str, Float[Array, "B _ _ _"]]]:
        """Logits, and with `features` also the maps "down0" (full size), ..., "down{levels}", ..., "up0" (full size).

        "down{i}" and "up{i}" have floor(H / 2**i) x floor(W / 2**i) pixels.

        `present` marks the pictures that count for batch statistics; by default all do.

        Raises:
            InputError: the picture is smaller than 2**levels pixels.
        """
        check_size("unet", image, 2**self.levels, f"{self.levels} poolings")
        widths = [self.width * 2**level for level in range(self.levels)]
        block = block_maker(self.norm, self.axis, self.remat, train, present)
        maps = {}
        x = image.astype(self.dtype)
        for level, width in enumerate(widths):
            x = maps[f"down{level}"] = block((width, width), f"down{level}", x)
            x = max_pool(x)
        bottom = f"down{self.levels}"
        x = maps[bottom] = block((widths[-1], widths[-1]), bottom, x)
        for level, width in reversed(list(enumerate(widths))):
            skip = maps[f"down{level}"]
            x = pad_to(Upsample(name=f"upsample{level}")(x), *skip.shape[1:3])
            narrow = max(width // 2, self.width)
            joined = jnp.concatenate([skip, x], axis=-1)
            x = maps[f"up{level}"] = block((narrow, narrow), f"up{level}", joined)
        logits = Convolution(self.classes, 1, name="head")(x)
        return answer(logits, maps, features)
