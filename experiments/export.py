"""Save a trained network as one file that any program with JAX calls, without this project's code.

    python -m experiments.export repaired/network.safetensors repair.stablehlo
    python -m experiments.export nuclei/unet nuclei.stablehlo --pixels uint8
    python -m experiments.export weights.safetensors nuclei.stablehlo --network unet --options width=16 norm=running \\
        --pixels uint8 --scale max

The file holds the weights and what is done to pictures before the network sees them, as StableHLO. A program that reads
it needs the packages jax and flatbuffers and three lines, which the command prints. It gives logits for every pixel, or
of a classifier for every picture.

Which weights. NAME/NETWORK are trained weights that come with the package, such as nuclei/unet. The studies few_shot,
activation_maps and site_segmentation keep their networks in OUT/networks, few_shot also extractors in OUT/extractors,
and upgrade_folder keeps OUT/network.safetensors. These files say which network they are for. For others, and for files
of earlier versions, give --network and the --options that it was trained with.

Which pictures. By default the network takes what it was trained on, float32 in [0, 1]. With --pixels uint8 or uint16
the file takes the numbers as a camera stores them, and --scale says what they are divided by. Weights of the package
know their scale. For others give the scale that the training had: pictures of folder: are divided by their own maximum
unless the option scale=dtype was given. Networks that repair labels see the noisy mask, 0 or 1, as one more channel;
leave the pixels of these at float32.

Pictures of any size are taken, from the smallest that the network can see. The file refuses others, and says which size
it expected. --size 256 256 makes a file for one size.
"""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro
from jax import export

from experiments.harness.networks import network_from
from experiments.harness.start import run_command
from segjax.export import PLATFORMS, export_network
from segjax.files import write_file
from segjax.models import create, load_weights
from segjax.models.pretrained import card, check_version, load_pretrained, pretrained_options, shipped_names
from segjax.types import InputError


@dataclass(frozen=True)
class ExportOptions:
    """Weights, the file to write, and the pictures that it takes."""

    weights: Annotated[Path, tyro.conf.Positional]
    """Weights of a network: a .safetensors file, or NAME/NETWORK of those that come with the package."""
    out: Annotated[Path, tyro.conf.Positional]
    """The new file, for example nuclei.stablehlo."""
    network: str = ""
    """Name of the network, such as unet, for weights that do not tell it."""
    options: tuple[str, ...] = ()
    """Options of that network, such as width=16 norm=running input_mean=0.1,0.2,0.3."""
    pixels: Literal["float32", "uint8", "uint16"] = "float32"
    """Type of the numbers of the pictures."""
    scale: Literal["dtype", "max"] | None = None
    """What they are divided by. dtype: the largest number of that type (float32: 1). max: the picture's own maximum.
    None: what the card of weights of the package says where pixels are uint8 or uint16 (mounds: dtype; all others:
    max); else dtype."""
    channels: int = 0
    """Channels of the pictures: 3, made grey for a network of 1; 1, repeated for one of 3. 0: as the network has."""
    size: tuple[int, ...] = (1,)
    """Height and width of the pictures, or one number, of which they are multiples."""
    platforms: tuple[str, ...] = PLATFORMS
    """What the file is for: cpu, cuda, rocm, tpu."""


def is_shipped(weights: Path) -> bool:
    """Whether they are NAME/NETWORK of the package, and no file."""
    return str(weights.parent) in shipped_names() and not weights.exists()


def read_network(options: ExportOptions) -> tuple[Any, Any]:
    """The network and its variables, in float32.

    Raises:
        InputError: the file cannot be read, or it is not known which network it is for.
    """
    name, kind = str(options.weights.parent), options.weights.name
    if is_shipped(options.weights):
        if options.network or options.options:
            raise InputError(f"network, options: {options.weights} decides both; leave them out")
        if options.pixels != "float32" and "errors" in card(name).facts["about"]:
            raise InputError(
                f"pixels: {options.weights} repairs labels, and sees them as a channel of 0 and 1; leave it at float32"
            )
        return create(kind, **pretrained_options(kind, name)), load_pretrained(kind, name).variables["variables"]
    variables, facts = load_weights(options.weights)
    if facts:  # files of other programs have none
        check_version(options.weights, facts)
    if options.network:
        network = create(options.network, **dict(_option(text) for text in options.options))
    elif options.options:
        raise InputError("options: are given without a network; give --network too")
    elif {"network", "options"} <= facts.keys():
        network = network_from(facts)
    else:
        raise InputError(
            f"{options.weights}: does not say which network it is for; give --network and its --options, for example "
            "--network unet --options width=64 norm=batch"
        )
    own = variables.get("variables", variables)  # of an extractor, beside what its features are standardised by
    return network, jax.tree.map(lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float16 else leaf, own)


def _option(text: str) -> tuple[str, Any]:
    """NAME=VALUE; what is no number, tuple or truth value is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"options: {text!r} is not of the form NAME=VALUE; give for example width=16")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main() -> None:
    """Write the file, and say how it is read.

    Raises:
        InputError: an option or the weights cannot be used, or the file is there already.
    """
    options = tyro.cli(ExportOptions, prog="python -m experiments.export", description=__doc__)
    if options.out.exists():
        raise InputError(f"{options.out}: is there already; give another name, or move it away")
    if len(options.size) not in (1, 2):
        raise InputError(f"size: {len(options.size)} numbers are given; give height and width, or one number")
    network, variables = read_network(options)
    own = card(str(options.weights.parent)).scale if is_shipped(options.weights) else "dtype"
    file = export_network(
        network,
        variables,
        pixels=options.pixels,
        scale=options.scale or (own if options.pixels != "float32" else "dtype"),
        channels=options.channels,
        size=(options.size[0], options.size[1]) if len(options.size) == 2 else options.size[0],
        platforms=options.platforms,
    )
    write_file(options.out, file)
    exported = export.deserialize(bytearray(file))
    print(f"{options.out}: {len(file) / 1e6:.3g} MB, SHA-256 {hashlib.sha256(file).hexdigest()}")
    print(f"  takes {exported.in_avals[0].str_short()}, gives {exported.out_avals[0].str_short()}")
    print(f"  runs on {', '.join(exported.platforms)}")
    print("call it in any program with the packages jax and flatbuffers:")
    print("  from jax import export")
    print(f'  network = export.deserialize(bytearray(open("{options.out}", "rb").read()))')
    print("  logits = network.call(images)")


if __name__ == "__main__":
    run_command(main)
