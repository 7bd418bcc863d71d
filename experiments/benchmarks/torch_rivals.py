"""Training steps and predictions in PyTorch, in both memory formats, as calls for a contest; and their arithmetic.

They run where ours does, on the CPU or on the GPU.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from experiments.benchmarks.networks import Precision
from experiments.benchmarks.timing import Call
from experiments.benchmarks.torch_networks import WAYS, build
from segjax.training.parallel import cores
from segjax.types import InputError

FORMATS = {"default": torch.contiguous_format, "channels-last": torch.channels_last}
Tree = Mapping[str, Any]


def torch_soft_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """`segjax.training.soft_dice` of logits [B, K, H, W] and targets [B, H, W] without ignored pixels."""
    probability = torch.softmax(logits, 1)[:, 1:]
    truth = F.one_hot(targets, logits.shape[1]).movedim(-1, 1)[:, 1:].to(logits.dtype)
    overlap = (probability * truth).sum((0, 2, 3))
    size = probability.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return (1 - 2 * overlap / (size + 1e-7)).mean()


def device() -> torch.device:
    """Where ours computes.

    Raises:
        InputError: JAX sees a GPU and PyTorch none, or computes on something else that PyTorch cannot use.
    """
    backend = jax.default_backend()
    if backend not in ("cpu", "gpu"):
        raise InputError(f"PyTorch has no {backend} to be timed on; set JAX_PLATFORMS=cpu for both")
    if backend == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError(
            "PyTorch finds no GPU, but JAX does; install PyTorch for CUDA, or set JAX_PLATFORMS=cpu for both"
        )
    return torch.device("cuda")


def computing(precision: Precision) -> torch.autocast:
    """Put the bits that products read in force, and give the context for what is computed in bfloat16."""
    torch.backends.cudnn.benchmark = True  # the fastest algorithm for each shape, as XLA chooses it
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bfloat16")


def finished(result: Tensor) -> Tensor:
    """The result, once the device has computed it."""
    if result.is_cuda:
        torch.cuda.synchronize()
    return result


def on_torch(images: np.ndarray, form: str = "default") -> Tensor:
    """Pictures [B, H, W, C] as a tensor [B, C, H, W] in a memory format, where ours computes."""
    # Copied even where it seems needless: grey pictures are in both formats at once until their strides say which.
    return torch.tensor(images).movedim(-1, 1).clone(memory_format=FORMATS[form]).to(device())


def trainings(
    network: str,
    options: Tree,
    params: Tree,
    images: np.ndarray,
    targets: np.ndarray,
    learning_rate: float,
    precision: Precision = "float32",
) -> dict[str, Call]:
    """Way -> call that takes one step of Adam on the pictures and gives the loss, which a GPU may still be computing.

    Every way has a module of its own.
    """
    truth = torch.tensor(targets, dtype=torch.int64, device=device())

    def step_of(module: nn.Module, pictures: Tensor) -> Call:
        optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate, fused=True)

        def step(number: int) -> Tensor:
            optimizer.zero_grad()
            with computing(precision):
                loss = torch_soft_dice(module(pictures), truth)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    return _ways(network, options, params, images, step_of)


def predictions(
    network: str, options: Tree, params: Tree, images: np.ndarray, precision: Precision = "float32"
) -> dict[str, Call]:
    """Way -> call that gives the class index of every pixel."""

    def predict_of(module: nn.Module, pictures: Tensor) -> Call:
        def predict(number: int) -> Tensor:
            with torch.inference_mode(), computing(precision):
                return finished(module(pictures).argmax(1))

        return predict

    return _ways(network, options, params, images, predict_of)


def _ways(
    network: str, options: Tree, params: Tree, images: np.ndarray, call_of: Callable[[nn.Module, Tensor], Call]
) -> dict[str, Call]:
    torch.set_num_threads(cores())
    calls = {}
    for way, kind in WAYS[network].items():
        for form, memory_format in FORMATS.items():
            module = build(kind, options, params, images.shape[-1]).to(device())
            module.to(memory_format=memory_format)  # type: ignore[call-overload]
            calls[f"{way}, {form}"] = call_of(module, on_torch(images, form))
    return calls


def flops(network: str, options: Tree, params: Tree, images: np.ndarray, targets: np.ndarray | None = None) -> int:
    """Floating point operations of the convolutions, a multiplication and an addition counted as two.

    Forward alone, or with `targets` also backward: the gradients of all weights and of all inputs but the pictures, as
    PyTorch's counter adds them up. Padding, ReLU, pooling, loss and optimizer are not counted.
    """
    module = build(next(iter(WAYS[network].values())), options, params, images.shape[-1]).to(device())
    with FlopCounterMode(display=False) as counter:
        logits = module(on_torch(images))
        if targets is not None:
            torch_soft_dice(logits, torch.tensor(targets, dtype=torch.int64, device=device())).backward()
    return counter.get_total_flops()
