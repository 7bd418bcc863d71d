"""Networks: `create("unet", width=16)` is a Flax module; `init(key, image)`, `apply(variables, image)` -> logits."""

from typing import Any

import flax.linen as nn

from segjax.models.msd import MSD
from segjax.models.options import check_options
from segjax.models.probe import Probe
from segjax.models.segnet import SegNet
from segjax.models.unet import UNet
from segjax.types import InputError

NETWORKS: dict[str, type[UNet] | type[SegNet] | type[MSD]] = {"unet": UNet, "segnet": SegNet, "msd": MSD}

__all__ = ["NETWORKS", "Probe", "create"]


def create(name: str, **options: Any) -> nn.Module:
    """A network by name; without options as published.

    The module maps float32 pictures [B, H, W, C] to logits [B, H, W, K]: `variables = module.init(key, image)`, then
    `module.apply(variables, image)`. With norm="running" training needs `apply(variables, image, train=True,
    mutable=["batch_stats"])`. With `features=True` the result is (logits, {name: feature map}).

    On CPU, XLA takes longer to optimise the random draws of `init` than they ever run; compile them with
    `jax.jit(module.init, compiler_options={"xla_backend_optimization_level": 0})`.

    Raises:
        InputError: unknown network or option, or a value out of range; the message lists what exists.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network {name!r}; choose one of {', '.join(NETWORKS)}")
    check_options(name, options, NETWORKS[name].OPTIONS)
    return NETWORKS[name](**options)
