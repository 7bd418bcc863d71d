"""The networks of `segjax.models` written again in PyTorch, without normalisation: the rival, and the same arithmetic.

Modules have the names and the order of layers of ours, so that weights can be copied from one to the other; a test
compares logits and gradients.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segjax.models.segnet import CONVOLUTIONS


class TorchBlock(nn.Module):
    """3x3 convolutions with zero padding, each followed by ReLU."""

    def __init__(self, channels: int, *widths: int) -> None:
        super().__init__()
        self.count = len(widths)
        for layer, width in enumerate(widths):
            self.add_module(f"conv{layer}", nn.Conv2d(channels, width, 3, padding=1))
            channels = width

    def forward(self, x: Tensor) -> Tensor:
        for layer in range(self.count):
            x = F.relu(self.get_submodule(f"conv{layer}")(x), inplace=True)
        return x


class TorchUNet(nn.Module):
    """`segjax.models.unet.UNet` with norm="none"; pictures [B, C, H, W] to logits [B, K, H, W]."""

    def __init__(self, channels: int, classes: int = 2, width: int = 64, levels: int = 4) -> None:
        super().__init__()
        self.levels = levels
        widths = [width * 2**level for level in range(levels)]
        for level in range(levels):
            self.add_module(f"down{level}", TorchBlock(channels, widths[level], widths[level]))
            channels = widths[level]
        self.add_module(f"down{levels}", TorchBlock(channels, channels, channels))
        for level in reversed(range(levels)):
            narrow = max(widths[level] // 2, width)
            self.add_module(f"upsample{level}", nn.ConvTranspose2d(channels, channels, 2, stride=2))
            self.add_module(f"up{level}", TorchBlock(widths[level] + channels, narrow, narrow))
            channels = narrow
        self.head = nn.Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level in range(self.levels):
            skips.append(self.get_submodule(f"down{level}")(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.get_submodule(f"down{self.levels}")(x)
        for level in reversed(range(self.levels)):
            skip = skips[level]
            x = self.get_submodule(f"upsample{level}")(x)
            if x.shape[2:] != skip.shape[2:]:
                x = F.pad(x, (0, skip.shape[3] - x.shape[3], 0, skip.shape[2] - x.shape[2]))
            x = self.get_submodule(f"up{level}")(torch.cat([skip, x], 1))
        return self.head(x)


class TorchSegNet(nn.Module):
    """`segjax.models.segnet.SegNet` with norm="none" and the published head."""

    def __init__(self, channels: int, classes: int = 2, width: int = 64, levels: int = 5) -> None:
        super().__init__()
        self.levels = levels
        widths = [width * 2 ** min(level, 3) for level in range(levels)]
        for level in range(levels):
            self.add_module(f"down{level}", TorchBlock(channels, *(widths[level],) * CONVOLUTIONS[level]))
            channels = widths[level]
        for level in reversed(range(levels)):
            repeats = (widths[level],) * (CONVOLUTIONS[level] - 1)
            narrow = (widths[level - 1],) if level else ()
            self.add_module(f"up{level}", TorchBlock(channels, *repeats, *narrow))
            channels = (repeats + narrow)[-1]
        self.head = TorchBlock(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled = []
        for level in range(self.levels):
            x = self.get_submodule(f"down{level}")(x)
            size = x.shape[2:]
            x, places = F.max_pool2d(x, 2, return_indices=True)
            pooled.append((places, size))
        for level in reversed(range(self.levels)):
            places, size = pooled[level]
            x = F.max_unpool2d(x, places, (2, 2), output_size=size)
            x = self.get_submodule(f"up{level}")(x)
        return self.head(x)


class TorchMSD(nn.Module):
    """`segjax.models.msd.MSD` of width 1 as usually written: all maps padded for every layer, then concatenated."""

    def __init__(self, channels: int, classes: int = 2, depth: int = 100) -> None:
        super().__init__()
        self.dilations = [layer % 10 + 1 for layer in range(depth)]
        self.layers = nn.ModuleList(
            nn.Conv2d(channels + layer, 1, 3, dilation=dilation) for layer, dilation in enumerate(self.dilations)
        )
        self.head = nn.Conv2d(channels + depth, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.grow(x))

    def grow(self, stack: Tensor) -> Tensor:
        for layer, dilation in zip(self.layers, self.dilations, strict=True):
            padded = F.pad(stack, (dilation,) * 4, mode="reflect")
            stack = torch.cat([stack, F.relu(layer(padded))], 1)
        return stack


class TorchMarginMSD(TorchMSD):
    """The same, with every map padded once by the largest dilation; a layer reads the part that it needs."""

    def grow(self, stack: Tensor) -> Tensor:
        most = max(self.dilations)
        height, width = stack.shape[2:]
        stack = F.pad(stack, (most,) * 4, mode="reflect")
        for layer, dilation in zip(self.layers, self.dilations, strict=True):
            first = most - dilation
            read = stack[:, :, first : height + most + dilation, first : width + most + dilation]
            stack = torch.cat([stack, F.pad(F.relu(layer(read)), (most,) * 4, mode="reflect")], 1)
        return stack[:, :, most : height + most, most : width + most]


WAYS: dict[str, dict[str, type[nn.Module]]] = {
    "unet": {"PyTorch": TorchUNet},
    "segnet": {"PyTorch": TorchSegNet},
    "msd": {"PyTorch, concatenated": TorchMSD, "PyTorch, padded once": TorchMarginMSD},
}


def build(kind: type[nn.Module], options: Mapping[str, Any], params: Mapping[str, Any], channels: int = 1) -> nn.Module:
    """A module with our weights.

    Args:
        options: those given to `segjax.models.create`; "norm" has to be "none".
        params: parameters of our network, Flax's names.
        channels: of the picture.
    """
    module = kind(channels, **{name: value for name, value in options.items() if name != "norm"})
    with torch.no_grad():
        tensors = dict(module.named_parameters())
        ours = dict(_msd_tensors(params, channels) if isinstance(module, TorchMSD) else _tensors(params))
        if tensors.keys() != ours.keys():
            raise ValueError(f"layers differ: {sorted(tensors.keys() ^ ours.keys())}")
        for name, values in ours.items():
            if tensors[name].shape != values.shape:
                raise ValueError(f"{name} has shape {tuple(tensors[name].shape)} in PyTorch, {values.shape} in ours")
            tensors[name].copy_(torch.tensor(values))
    return module


def _tensors(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Names and layouts of PyTorch: convolution [out, in, h, w], transposed convolution [in, out, h, w]."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _tensors(value, f"{prefix}{name}.")
        elif name == "kernel":
            axes = (2, 3, 0, 1) if prefix.startswith("upsample") else (3, 2, 0, 1)
            yield f"{prefix}weight", np.asarray(value).transpose(axes)
        else:
            yield f"{prefix}{name}", np.asarray(value)


def _msd_tensors(params: Mapping[str, Any], channels: int) -> Iterator[tuple[str, np.ndarray]]:
    kernels, biases = np.asarray(params["kernels"]), np.asarray(params["biases"])
    column = 0
    for layer in range(len(biases)):
        reads = channels + layer
        yield f"layers.{layer}.weight", kernels[:, column : column + reads].T.reshape(1, reads, 3, 3)
        yield f"layers.{layer}.bias", biases[layer : layer + 1]
        column += reads
    yield "head.weight", np.asarray(params["head_kernel"]).T[:, :, None, None]
    yield "head.bias", np.asarray(params["head_bias"])
