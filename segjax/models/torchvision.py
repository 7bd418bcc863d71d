"""Weights that torchvision's networks were trained to, from files that hold numbers and nothing else.

PyTorch is not needed, and nothing is unpickled: a file of torchvision (`.pth`) is turned once, where PyTorch is, into
`.safetensors`: `safetensors.torch.save_file(network.state_dict(), path)`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from segjax.models.weights import load_weights
from segjax.types import InputError

_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def load_torchvision(
    network: Any, variables: Mapping[str, Any], path: str | Path, *, new_head: bool = False
) -> dict[str, Any]:
    """The variables of a VGG16 or ResNet with the numbers of a file in their places.

    A network of one channel gets the first kernel summed over red, green and blue, which answers grey pictures as the
    original answers them repeated three times.

    Args:
        network: from `create`, of torchvision's width.
        variables: from its `init`.
        path: `.safetensors` with torchvision's names ("layer1.0.conv1.weight", "features.0.bias", ...).
        new_head: the last linear layer (with head="average" the whole head) stays as initialised; needed where the
            classes are others than the file's.

    Raises:
        InputError: not such a network or file, or names or shapes that do not fit.
    """
    if not hasattr(network, "torchvision_name"):
        raise InputError(f"{type(network).__name__} has no torchvision weights; use VGG16 or a ResNet")
    kinds = ("none", "running") if hasattr(network, "head") else ("running",)
    if network.norm not in kinds:
        raise InputError(f"norm: torchvision's weights are for norm={' or '.join(kinds)}, not {network.norm!r}")
    arrays = load_weights(path).variables
    head = network.torchvision_name(("head",))
    if new_head and getattr(network, "head", "") == "average":
        head = "classifier."
    used = set()

    def fitted(place, leaf):
        *modules, last = [key.key for key in place][1:]
        name = f"{network.torchvision_name(tuple(modules))}.{_LEAVES[last]}"
        used.add(name)
        if new_head and name.startswith(head):
            return leaf
        if name not in arrays:
            raise InputError(f"{path}: has no {name}, so it holds the weights of another network{_hint(network)}")
        return _in_our_layout(path, name, arrays[name], leaf)

    loaded = jax.tree_util.tree_map_with_path(fitted, dict(variables))
    unused = [n for n in arrays if n not in used and not n.endswith(".num_batches_tracked")]
    unused = [n for n in unused if not (new_head and n.startswith(head))]
    if unused:
        more = f" (and {len(unused) - 1} more)" if len(unused) > 1 else ""
        raise InputError(f"{path}: {unused[0]}{more} has no place in the network{_hint(network)}")
    return loaded


def _hint(network: Any) -> str:
    return '; give new_head=True with head="average"' if getattr(network, "head", "") == "average" else ""


def _in_our_layout(path: Any, name: str, value: np.ndarray, leaf: Any) -> jax.Array:
    """An array of PyTorch (outputs first, then channels) in the shape of ours (channels, then outputs last)."""
    ours = tuple(leaf.shape)
    if name.endswith("weight") and len(ours) > 1:
        is_flattened = len(ours) == 4 and value.ndim == 2
        if is_flattened and value.shape[1] == math.prod(ours[:3]):
            value = value.reshape(value.shape[0], ours[2], *ours[:2])
        value = np.moveaxis(value, (0, 1), (-1, -2))
        if value.ndim == 4 and value.shape[2] == 3 and ours[2] == 1:
            value = value.astype(np.float32).sum(2, keepdims=True)
    if value.shape != ours and not (value.ndim == 1 and value.size == math.prod(ours)):
        raise InputError(
            f"{path}: {name} has the shape {value.shape}, but the network needs {ours}; use the width, channels and "
            "classes of the file (new_head=True for other classes)"
        )
    if not np.isfinite(value.astype(np.float32)).all():
        raise InputError(f"{path}: {name} has values that are not finite; the file is damaged, so get it again")
    return jnp.asarray(value.reshape(ours), leaf.dtype)
