"""Networks by name, and `create`, which makes them."""

from pathlib import Path
from typing import Any

from segjax.models.encoder_unet import EncoderUNet, create_encoder_unet
from segjax.models.map_classifiers import MSDClassifier, UNetClassifier
from segjax.models.msd import MSD
from segjax.models.options import Option, check_options
from segjax.models.pretrained import check_agreement, pretrained_options
from segjax.models.resnet import ResNet18, ResNet34, ResNet50
from segjax.models.segnet import SegNet
from segjax.models.unet import UNet
from segjax.models.vgg import VGG16
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
_FILE = Option("the path of a .safetensors file", lambda value: isinstance(value, str | Path))


def create(name: str, pretrained: str | Path | None = None, **options: Any) -> Network:
    """A network by name, a Flax module; without options as published.

    It maps float32 pictures [B, H, W, C] to logits: [B, H, W, K] for those in `NETWORKS`, which segment; [B, K]
    for those in `CLASSIFIERS`. `variables = module.init(key, image)`, then `module.apply(variables, image)`. With
    norm="running" training needs `apply(variables, image, train=True, mutable=["batch_stats"])`, and the hidden layers
    of `vgg16` also `rngs={"dropout": key}`. With `features=True` the result is (logits, {name: feature map}).

    With `pretrained`, `module.init` gives trained variables, whatever the key: `create("unet", pretrained="nuclei")` is
    configured as its weights are. `card("nuclei")` says for what pictures they are and how good they are. Of the
    options only remat and dtype may differ from the weights'. There are nuclei (unet, msd, segnet), blood_cells,
    simulated_tissue, stained_nuclei and upgrader (unet), and mounds (unet, unet_classifier).

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

    >>> import jax, jax.numpy as jnp
    >>> network = create("msd", depth=5)
    >>> images = jnp.zeros((2, 32, 32, 1))
    >>> variables = network.init(jax.random.key(0), images)
    >>> network.apply(variables, images).shape
    (2, 32, 32, 2)

    Networks, with their options as they are by default, and their parameters for two classes and pictures of one
    channel. The receptive field is the side of the window that a pixel of the result depends on, in pixels. A value
    that an option cannot have is answered with those that it can have.

    unet: classes=2, norm="batch", width=64, levels=4, remat=False, dtype="float32"
        14,787,842 parameters, receptive field 204 px
    segnet: classes=2, norm="batch", width=64, levels=5, published_head=True, remat=False, dtype="float32"
        29,443,014 parameters, receptive field 404 px
    msd: classes=2, norm="none", depth=100, width=1, input_mean=0.0, input_std=1.0, remat=False, dtype="float32"
        45,754 parameters, receptive field 1101 px
    vgg16: classes=2, norm="none", width=64, head="hidden", dropout=0.5, input_mean=0.0, input_std=1.0, dtype="float32"
        134,267,586 parameters, receptive field the whole picture
    resnet18: classes=2, norm="running", width=64, input_mean=0.0, input_std=1.0, dtype="float32"
        11,171,266 parameters, receptive field the whole picture
    resnet34: classes=2, norm="running", width=64, input_mean=0.0, input_std=1.0, dtype="float32"
        21,279,426 parameters, receptive field the whole picture
    resnet50: classes=2, norm="running", width=64, input_mean=0.0, input_std=1.0, dtype="float32"
        23,505,858 parameters, receptive field the whole picture
    msd_classifier: classes=2, norm="none", depth=50, width=1, input_mean=0.0, input_std=1.0, remat=False,
        dtype="float32", pooling="average", share=0.1, sharpness=4.0
        11,633 parameters, receptive field the whole picture
    unet_classifier: classes=2, norm="running", width=64, levels=4, remat=False, dtype="float32", pooling="average",
        share=0.1, sharpness=4.0, input_mean=0.0, input_std=1.0
        14,787,846 parameters, receptive field the whole picture
    unet with encoder="resnet18": encoder_weights=None, classes=2, norm="running", width=64, input_mean=0.0,
        input_std=1.0, remat=False, dtype="float32"
        vgg16: 23,747,234 parameters, receptive field 559 px
        vgg16_bn: 23,755,682 parameters, receptive field 559 px
        resnet18: 14,322,082 parameters, receptive field 623 px
        resnet34: 24,430,242 parameters, receptive field 1087 px
        resnet50: 32,514,978 parameters, receptive field 615 px

    Args:
        name: of the network.
        options: of the network.
        pretrained: name of trained weights that come with the package, or a folder of weights (a `Path`, or "./mine").

    Raises:
        InputError: unknown network, option or weights, or a value out of range; the message lists what exists. Weights
            of another network, or an option that contradicts them.
    """
    networks: dict[str, Any] = {**NETWORKS, **CLASSIFIERS}
    if "encoder_weights" in options and options["encoder_weights"] is None:
        del options["encoder_weights"]
    if not isinstance(name, str) or name not in networks:
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
