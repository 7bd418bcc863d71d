"""Mixed-scale dense network (MSD)."""

import math
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from segjax.models.layers import DTYPE, IN_32_BITS, answer, check_size, standardised
from segjax.models.options import INPUT_OPTIONS, Option, one_of, whole_number
from segjax.models.pretrained import Pretrained
from segjax.models.probe import GUIDED, Named
from segjax.ops.dense_stack import dense_dilated_stack, dense_stack_columns


class MSD(Pretrained):
    """Mixed-scale dense network: thin layers that read all channels before them, dilations instead of poolings.

    The defaults have 45,754 parameters for one input channel and 47,558 for three. Kernels start from a normal
    distribution of standard deviation sqrt(2 / n), n = 9 (C + width (depth - 1)) + classes, everything else from zero.

    Attributes:
        classes: channels of the output.
        norm: "none": the network has no normalisation layers.
        depth: layers.
        width: channels that each layer adds.
        input_mean: subtracted from the picture; a number, or one per channel.
        input_std: the picture is divided by it; a number, or one per channel.
        remat: keep only the picture for the gradient and compute the layers again; lowers the peak only of a larger
            program, because the gradient of the layers needs all of them at once.
        dtype: "float32" or "bfloat16"; see `segjax.models.create`.

    Source: Pelt and Sethian, PNAS 115 (2018); defaults as in the annotation-error study.
    """

    classes: int = 2
    norm: str = "none"
    depth: int = 100
    width: int = 1
    input_mean: float | tuple[float, ...] = 0.0
    input_std: float | tuple[float, ...] = 1.0
    remat: bool = False
    dtype: str = "float32"

    OPTIONS: ClassVar[dict[str, Option]] = {
        "classes": whole_number(2, 1000),
        "norm": one_of("none"),
        "depth": whole_number(1, 1000),
        "width": whole_number(1, 64),
        **INPUT_OPTIONS,
        "remat": one_of(True, False),
        "dtype": DTYPE,
    }

    @property
    def dilations(self) -> tuple[int, ...]:
        """Distance in pixels between the taps of each layer: 1, 2, ..., 10, 1, 2, ..."""
        return tuple(layer % 10 + 1 for layer in range(self.depth))

    @property
    def stride(self) -> int:
        """Side in pixels of the finest grid on which a shift of the picture shifts the result."""
        return 1

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the window an output pixel depends on, away from the border (1101 with depth 100)."""
        return 2 * sum(self.dilations) + 1

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "B H W C"],
        train: bool = False,
        features: bool = False,
        present: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B H W K"] | tuple[Float[Array, "B H W K"], dict[str, Float[Array, "B H W _"]]]:
        """Logits, and with `features` also the map "dense": the normalised picture and all layers, at full size.

        `present` is taken for the interface's sake: the network has no batch statistics.

        Raises:
            InputError: the picture is smaller than the largest dilation + 1, or has another number of channels than
                `input_mean` or `input_std`.
        """
        check_size("msd", image, max(self.dilations) + 1, f"largest dilation {max(self.dilations)} + 1")
        channels = image.shape[-1]
        total = channels + self.depth * self.width
        deviation = math.sqrt(2 / (9 * (total - self.width) + self.classes))
        columns = dense_stack_columns(channels, self.depth, self.width)
        kernels = self.param("kernels", nn.initializers.normal(deviation), (9 * self.width, columns))
        biases = self.param("biases", nn.initializers.zeros, (self.depth * self.width,))
        head_kernel = self.param("head_kernel", nn.initializers.zeros, (total, self.classes))
        head_bias = self.param("head_bias", nn.initializers.zeros, (self.classes,))

        kernels, biases, head_kernel = (value.astype(self.dtype) for value in (kernels, biases, head_kernel))
        picture = standardised("msd", image, self.input_mean, self.input_std).astype(self.dtype)
        constants = biases.reshape(1, 1, 1, -1)
        before_relu = Named(name="layers")(constants, constants, (*image.shape[:3], biases.size))
        grow = partial(dense_dilated_stack, dilations=self.dilations, guided=Named(name=GUIDED)(False))
        stack = (jax.checkpoint(grow) if self.remat else grow)(
            picture.transpose(3, 0, 1, 2), kernels, before_relu.transpose(3, 0, 1, 2)
        )
        dense = Named(name="dense")(stack.transpose(1, 2, 3, 0))
        head_bias = head_bias.reshape(1, 1, 1, -1)
        logits = Named(name="head")(
            jnp.einsum("bhwc,ck->bhwk", dense, head_kernel, **IN_32_BITS) + head_bias, head_bias
        )
        return answer(logits, {"dense": dense}, features)
