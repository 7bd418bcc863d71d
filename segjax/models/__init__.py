"""Networks: `create("unet", width=16)` is a Flax module; `init(key, image)`, `apply(variables, image)` -> logits."""

from pathlib import Path
from typing import Any

from segjax.models.encoder_unet import ENCODERS, EncoderUNet, create_encoder_unet
from segjax.models.map_classifiers import MSDClassifier, UNetClassifier
from segjax.models.msd import MSD
from segjax.models.options import Option, check_options
from segjax.models.pretrained import card, check_agreement, pretrained_options
from segjax.models.probe import MapLayers, Probe
from segjax.models.resnet import ResNet18, ResNet34, ResNet50
from segjax.models.segnet import SegNet
from segjax.models.torchvision import load_smp, load_torchvision
from segjax.models.unet import UNet
from segjax.models.vgg import VGG16
from segjax.models.weights import Weights, load_weights, save_weights
from segjax.types import InputError, Network

NETWORKS: dict[str, type[UNet] | type[SegNet] | type[MSD]] = {"unet": UNet, "segnet": SegNet, "msd": MSD}
CLASSIFIERS: dict[str, type[VGG16] | type[ResNet18] | type[MSDClassifier] | type[UNetClassifier]] = {
    "vgg16": VGG16,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "msd_classifier": MSDClassifier,
    "unet_classifier": UNetClassifier,
}

__all__ = [
    "CLASSIFIERS",
    "ENCODERS",
    "MSD",
    "NETWORKS",
    "VGG16",
    "MSDClassifier",
    "MapLayers",
    "Probe",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "SegNet",
    "UNet",
    "UNetClassifier",
    "Weights",
    "card",
    "create",
    "load_smp",
    "load_torchvision",
    "load_weights",
    "save_weights",
]
_FILE = Option("the path of a .safetensors file", lambda value: isinstance(value, str | Path))


def create(name: str, pretrained: str | Path | None = None, **options: Any) -> Network:
    """A network by name, a Flax module; without options as published.

    It maps float32 pictures [B, H, W, C] to logits: [B, H, W, K] for those in `NETWORKS`, which segment; [B, K]
    for those in `CLASSIFIERS`. `variables = module.init(key, image)`, then `module.apply(variables, image)`. With
    norm="running" training needs `apply(variables, image, train=True, mutable=["batch_stats"])`, and the hidden layers
    of `vgg16` also `rngs={"dropout": key}`. With `features=True` the result is (logits, {name: feature map}).

    With `pretrained`, `module.init` gives trained variables, whatever the key: `create("unet", pretrained="nuclei")` is
    configured as its weights are. `card("nuclei")` says for what pictures they are and how good they are. Of the
    options only remat and dtype may differ from the weights'.

    With dtype="bfloat16" products and maps have 16 bits: faster on GPUs and TPUs, slower on CPU. Weights, sums over
    pixels and everything that is returned are float32 all the same, and pictures are standardised in float32.

    A U-Net may have a classifier as its way down: `create("unet", encoder="resnet18")`, an `EncoderUNet` with options
    of its own. With encoder_weights="file.safetensors", weights of torchvision's classifier of that name, `init` starts
    from these, and pictures are standardised by ImageNet's mean and deviation unless you give input_mean and input_std.

    In Flax NNX, `nnx.bridge.ToNNX(create("unet"), rngs=nnx.Rngs(0)).lazy_init(image)` is a module of NNX: call it with
    pictures, and differentiate its loss with `nnx.grad`. Where running statistics are to move, call it with
    `train=True, mutable=["batch_stats"]`. The trap: only calling is passed on; properties such as
    `receptive_field` are at `.to_nnx__module`, methods run inside of an `apply`, and parameters are nested dicts
    instead of submodules.

    On CPU, XLA takes longer to optimise the random draws of `init` than they ever run; compile them with
    `jax.jit(module.init, compiler_options={"xla_backend_optimization_level": 0})`.

    Args:
        pretrained: name of trained weights that come with the package, or a folder of weights (a `Path`, or "./mine").

    Raises:
        InputError: unknown network, option or weights, or a value out of range; the message lists what exists. Weights
            of another network, or an option that contradicts them.
    """
    networks: dict[str, Any] = {**NETWORKS, **CLASSIFIERS}
    if name not in networks:
        raise InputError(f"unknown network {name!r}; choose one of {', '.join(networks)}")
    if name == "unet" and (own := options.keys() & {"encoder", "encoder_weights"}):
        if pretrained is not None:
            raise InputError(f"network unet: trained weights have no {' or '.join(sorted(own))}; give one or the other")
        check_options(name, options, EncoderUNet.OPTIONS | {"encoder_weights": _FILE})
        return create_encoder_unet(options)
    check_options(name, options, networks[name].OPTIONS)
    if pretrained is not None:
        stored = pretrained_options(name, pretrained)
        check_agreement(name, networks[name](**stored), pretrained, options)
        options = stored | options
    return networks[name](**options, pretrained=pretrained)
