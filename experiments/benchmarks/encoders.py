"""Do U-Nets with encoders give what PyTorch gives, with the weights that people have?

    python -m experiments.benchmarks.encoders
    python -m experiments.benchmarks.encoders --encoders resnet18

The whole network is compared with `Unet` of segmentation_models_pytorch, and the encoder alone with torchvision's
classifier of its name, whose pictures are standardised as its ImageNet weights ask. All layers have random numbers, the
running statistics too, and both sides get them from one file. The pictures have 64x96 pixels, which 32 divides, or
75x53, which are odd on the way down. A row gives the largest value of PyTorch and our largest difference from it.
PyTorch computes with 64 bits here, and we with 32. Logits then differ by rounding. A gradient can differ by more, where
a ReLU opens or closes by rounding; PyTorch's own gradients with 32 bits do so too.

Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks.timing import RESULTS, Row, Scale, header_of, report
from experiments.harness.start import run_command
from segjax.models import ENCODERS, create, load_smp, save_weights
from segjax.types import InputError

SIZES = ((64, 96), (75, 53))
QUICK = {"xla_backend_optimization_level": 0}
PACKAGES = ("torch", "torchvision", "segmentation_models_pytorch")


def encoders(encoders: tuple[str, ...] = tuple(ENCODERS), scale: Scale = "full", out: Path = RESULTS) -> None:
    """Print a row per network and quantity, and keep them as OUT/encoders.csv.

    Args:
        encoders: Which encoders to compare.
        scale: smoke: the first of them only, to see that everything runs.
        out: Folder for the table.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise InputError(f"{', '.join(missing)} not installed; run: pip install -e '.[bench]'")
    if unknown := [name for name in encoders if name not in ENCODERS]:
        raise InputError(f"encoders: unknown {unknown[0]!r}; choose from {', '.join(ENCODERS)}")
    compared = encoders[:1] if scale == "smoke" else encoders
    rows = [row for encoder in compared for row in (*_whole(encoder), *_encoder_alone(encoder))]
    report("encoders", header_of("encoders"), rows, out)


def _whole(encoder: str) -> Iterator[Row]:
    """A model of three classes, its gradient, one of grey pictures, and one of a single class."""
    import segmentation_models_pytorch as smp

    for channels, classes in ((3, 3), (1, 3), (3, 1)):
        model = _randomised(smp.Unet(encoder, encoder_weights=None, in_channels=channels, classes=classes))
        network = create("unet", encoder=encoder, classes=max(classes, 2))
        shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, channels)))
        variables = _through_a_file(model, lambda path, network=network, shapes=shapes: load_smp(network, shapes, path))
        is_usual = (channels, classes) == (3, 3)
        for size in SIZES if is_usual else SIZES[1:]:
            image = _picture(size, channels)
            about: Row = {"package": "segmentation_models_pytorch", "network": encoder, "pictures": _words(image)}
            expected, slope = _logits_and_slope(model, image)
            logits, own_slope = _own_logits_and_slope(network, variables, image, classes)
            what = f"logits of {classes} classes" if classes > 1 else "logit of 1 class"
            yield about | {"quantity": what} | _both(expected, logits[..., -classes:])
            if is_usual:
                yield about | {"quantity": "gradient with respect to the picture"} | _both(slope, own_slope)


def _encoder_alone(encoder: str) -> Iterator[Row]:
    import torch
    import torchvision
    from torchvision.transforms.functional import normalize

    model = _randomised(torchvision.models.get_model(encoder, weights=None))
    preset = torchvision.models.get_model_weights(encoder).DEFAULT.transforms()
    body = model.features if hasattr(model, "features") else torch.nn.Sequential(*list(model.children())[:-2])
    network = _through_a_file(model, lambda path: create("unet", encoder=encoder, encoder_weights=path))
    image = _picture(SIZES[1], 3)
    with torch.no_grad():
        given = normalize(torch.tensor(image, dtype=torch.float64).movedim(-1, 1), preset.mean, preset.std)
        expected = body.double()(given).movedim(1, -1).numpy()
    variables = jax.jit(network.init, compiler_options=QUICK)(jax.random.key(0), image)
    maps = jax.jit(lambda own, x: network.apply(own, x, features=True)[1], compiler_options=QUICK)(variables, image)
    about: Row = {"package": "torchvision", "network": encoder, "pictures": _words(image)}
    yield about | {"quantity": "maps at 1/32 of the size"} | _both(expected, maps["down5"])


def _randomised(model: Any) -> Any:
    """The module in inference, every number drawn at random and statistics away from 0 and 1."""
    import torch

    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if value.ndim == 1:
            is_positive = "var" in name or name.endswith("weight")
            value.copy_(torch.rand_like(value) + 0.5 if is_positive else torch.randn_like(value) / 5)
        elif value.ndim > 1:
            value.copy_(torch.randn_like(value) / value[0].numel() ** 0.5)
    return model.eval()


def _through_a_file(model: Any, read: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(path, {key: value.numpy() for key, value in model.state_dict().items()})
        return read(path)


def _picture(size: tuple[int, int], channels: int) -> np.ndarray:
    return np.random.default_rng(0).random((1, *size, channels), np.float32)


def _words(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[2]}, {'grey' if image.shape[3] == 1 else 'RGB'}"


def _logits_and_slope(model: Any, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [B, H, W, K] of a module of PyTorch, and the gradient of the mean of their squares."""
    import torch

    given = torch.tensor(image, dtype=torch.float64).movedim(-1, 1).requires_grad_()
    logits = model.double()(given)
    logits.square().mean().backward()
    return logits.detach().movedim(1, -1).numpy(), given.grad.movedim(1, -1).numpy()


def _own_logits_and_slope(network: Any, variables: Any, image: np.ndarray, classes: int) -> tuple[Any, Any]:
    def both(variables, image):
        def score(image):
            logits = network.apply(variables, image)
            return jnp.mean(jnp.square(logits[..., -classes:])), logits

        slope, logits = jax.grad(score, has_aux=True)(image)
        return logits, slope

    return jax.jit(both, compiler_options=QUICK)(variables, image)


def _both(expected: np.ndarray, found: Any) -> Row:
    largest, difference = np.abs(expected).max(), np.abs(np.asarray(found) - expected).max()
    return {
        "largest_value": float(f"{largest:.3g}"),
        "largest_difference": float(f"{difference:.2g}"),
        "relative": float(f"{difference / largest:.2g}"),
    }


if __name__ == "__main__":
    run_command(lambda: tyro.cli(encoders, description=__doc__))
