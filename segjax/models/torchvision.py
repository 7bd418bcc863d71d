"""Weights that networks of torchvision and segmentation_models_pytorch were trained to, from files of numbers alone.

PyTorch is not needed, and nothing is unpickled: a file of PyTorch (`.pth`) is turned once, where PyTorch is, into
`.safetensors`: `safetensors.torch.save_file(network.state_dict(), path)`.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

    >>> network = create("resnet18", classes=3)  # doctest: +SKIP
    >>> variables = network.init(jax.random.key(0), images)  # doctest: +SKIP
    >>> variables = load_torchvision(network, variables, "resnet18.safetensors", new_head=True)  # doctest: +SKIP
    """
    if not hasattr(network, "torchvision_name"):
        raise InputError(f"{type(network).__name__} has no torchvision weights; use VGG16 or a ResNet")
    kinds = ("none", "running") if hasattr(network, "head") else ("running",)
    if network.norm not in kinds:
        raise InputError(f"norm: torchvision's weights are for norm={' or '.join(kinds)}, not {network.norm!r}")
    is_average = getattr(network, "head", "") == "average"
    head = "classifier." if is_average else network.torchvision_name(("head",))
    hint = '; give new_head=True with head="average"' if is_average else ""
    file = _File(path, load_weights(path).variables, (head,) if new_head else (), hint)
    return jax.tree.map(jnp.asarray, file.fitted(variables, network.torchvision_name))


def load_smp(network: Any, variables: Mapping[str, Any], path: str | Path, *, new_head: bool = False) -> dict[str, Any]:
    """The variables of a U-Net with an encoder, with the numbers of a `Unet` of segmentation_models_pytorch (SMP).

    The SMP model has to have five levels, the widths 256, 128, 64, 32 and 16 going up, and no attention, as by default.
    Its logits are then ours, for pictures that are standardised equally: give `create` the `input_mean` and `input_std`
    that the model was trained with. Where the file has one class, whose sigmoid is the probability of an object, and
    the network two, class 1 gets that logit and class 0 a logit of zero, so that the softmax is that sigmoid. A network
    of one channel gets the first kernel of a model of three as with `load_torchvision`. A head that classifies whole
    pictures is left out.

    Args:
        network: from `create("unet", encoder=...)`, of width 64.
        variables: from its `init`.
        path: `.safetensors` with SMP's names ("encoder.conv1.weight", "decoder.blocks.0.conv1.0.weight", ...).
        new_head: the last convolution stays as initialised; needed where the classes are others than the file's.

    Raises:
        InputError: not such a network or file, or names or shapes that do not fit.

    >>> network = create("unet", encoder="resnet34")  # doctest: +SKIP
    >>> variables = network.init(jax.random.key(0), images)  # doctest: +SKIP
    >>> variables = load_smp(network, variables, "unet.safetensors")  # doctest: +SKIP
    """
    if not hasattr(network, "smp_name"):
        raise InputError(
            f"{type(network).__name__} has no weights of segmentation_models_pytorch; use a U-Net with an encoder, "
            'as create("unet", encoder="resnet34") gives'
        )
    kinds = ("running", "none") if network.encoder == "vgg16" else ("running",)
    if network.norm not in kinds:
        raise InputError(f"norm: weights of SMP are for norm={' or '.join(kinds)}, not {network.norm!r}")
    arrays, head = load_weights(path).variables, network.smp_name(("head",))
    if network.classes == 2 and not new_head:
        arrays = {name: _two_classes(value) if name.startswith(head) else value for name, value in arrays.items()}
    file = _File(path, arrays, (head,) if new_head else (), left_out=("classification_head.",))
    return jax.tree.map(jnp.asarray, file.fitted(variables, network.smp_name))


def _two_classes(value: np.ndarray) -> np.ndarray:
    """The numbers of the one class of a file behind zeros."""
    return np.concatenate([np.zeros_like(value), value]) if value.shape[:1] == (1,) else value


@dataclass(frozen=True)
class EncoderWeights:
    """What the encoder of a U-Net starts from; equal where the numbers are.

    Attributes:
        path: the file that they were read from.
        digest: 16 hexadecimal digits of the numbers.
        variables: number of channels of the picture, 1 or 3 -> variables of the encoder, in NumPy.
    """

    path: str = field(compare=False)
    digest: str
    variables: Mapping[int, Mapping[str, Any]] = field(compare=False, repr=False)


def read_encoder(encoder: Any, path: str | Path) -> EncoderWeights:
    """Weights of torchvision's VGG16 or ResNet for an encoder; the head of the file is left out.

    Args:
        encoder: a classifier with classes=0.
        path: as of `load_torchvision`.

    Raises:
        InputError: not such a file, or names or shapes that do not fit.
    """
    arrays = load_weights(path).variables
    is_smp = any(name.startswith("encoder.") for name in arrays)
    hint = "; a whole U-Net of segmentation_models_pytorch is read by segjax.models.load_smp" if is_smp else ""
    file = _File(path, arrays, left_out=("fc.", "classifier."), hint=hint)
    found = {}
    for channels in (1, 3):
        blank = jax.ShapeDtypeStruct((1, 32, 32, channels), np.float32)
        shapes = jax.eval_shape(encoder.clone(input_mean=0.0, input_std=1.0).init, jax.random.key(0), blank)
        found[channels] = file.fitted(shapes, encoder.torchvision_name)
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(found[3]):
        digest.update(np.ascontiguousarray(leaf).data)
    return EncoderWeights(str(path), digest.hexdigest()[:16], found)


@dataclass(frozen=True)
class _File:
    """Arrays of a file under the names of PyTorch.

    Attributes:
        kept: beginnings of the names of layers that keep their own numbers.
        hint: ends a refusal.
        left_out: beginnings of names that need no place in the network.
    """

    path: Any
    arrays: Mapping[str, Any]
    kept: tuple[str, ...] = ()
    hint: str = ""
    left_out: tuple[str, ...] = ()

    def fitted(self, variables: Mapping[str, Any], name_of: Callable[[tuple[str, ...]], str]) -> dict[str, Any]:
        """Variables, or their shapes, with the arrays in their places, in NumPy.

        Raises:
            InputError: an array is missing, has another shape, or has no place.
        """
        used = set()

        def value_at(place, leaf):
            *modules, last = [key.key for key in place][1:]
            name = f"{name_of(tuple(modules))}.{_LEAVES[last]}"
            used.add(name)
            if self.kept and name.startswith(self.kept):
                return leaf
            if name not in self.arrays:
                raise InputError(f"{self.path}: has no {name}, so it holds the weights of another network{self.hint}")
            return _in_our_layout(self.path, name, self.arrays[name], leaf)

        found = jax.tree_util.tree_map_with_path(value_at, dict(variables))
        free = (*self.kept, *self.left_out)
        unused = [n for n in self.arrays if n not in used and not n.endswith(".num_batches_tracked")]
        if unused := [n for n in unused if not (free and n.startswith(free))]:
            more = f" (and {len(unused) - 1} more)" if len(unused) > 1 else ""
            raise InputError(f"{self.path}: {unused[0]}{more} has no place in the network{self.hint}")
        return found


def _in_our_layout(path: Any, name: str, value: np.ndarray, leaf: Any) -> np.ndarray:
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
    return np.asarray(value.reshape(ours), leaf.dtype)
