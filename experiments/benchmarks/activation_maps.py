"""How long do activation maps and ROAD take on VGG16 and ResNet-18, compared with grad-cam on PyTorch?

    python -m experiments.benchmarks.activation_maps
    python -m experiments.benchmarks.activation_maps --only resnet18 --rounds 3

The input is 16 pictures of 224x224 random numbers with three channels. Score-CAM, Ablation-CAM and ROAD get one
picture, because grad-cam takes minutes for 16. Both networks have the same random weights in torchvision's layout and
1000 classes. All maps are of the last layer, those of LayerCAM too. ROAD takes nine shares of pixels, most and least
important first, from the same map. Maps of both packages are scaled and enlarged. Before anything is timed, the maps of
Grad-CAM and LayerCAM must correlate by more than 0.999.

Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

import tempfile
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Call, Contest, Contests, Scale
from segjax.evaluation import road
from segjax.maps import ClassScore, min_max, positive, upsample
from segjax.maps.cam import grad_cam, layer_cam
from segjax.maps.channels import ablation_cam, score_cam
from segjax.models import Probe, create, load_torchvision, save_weights
from segjax.types import InputError

PICTURES: dict[Scale, tuple[int, int]] = {"full": (16, 224), "smoke": (1, 64)}
LONG = ("Score-CAM", "Ablation-CAM", "ROAD")  # of one picture
LAYERS = {"vgg16": "maps", "resnet18": "maps"}
MAPS: dict[str, Callable[..., jax.Array]] = {
    "Grad-CAM": grad_cam,
    "LayerCAM": layer_cam,
    "Score-CAM": score_cam,
    "Ablation-CAM": ablation_cam,
}
RIVALS = {"Grad-CAM": "GradCAM", "LayerCAM": "LayerCAM", "Score-CAM": "ScoreCAM", "Ablation-CAM": "AblationCAM"}


def check_installed() -> None:
    """Stop where the rival is missing.

    Raises:
        InputError: names the packages.
    """
    missing = [name for name in ("torch", "torchvision", "pytorch_grad_cam") if find_spec(name) is None]
    if missing:
        raise InputError(f"{', '.join(missing)} not installed; run: pip install -e '.[bench]' (grad-cam is among it)")


@cache
def networks(name: str) -> tuple[Any, Probe, Any]:
    """A torchvision network with random weights, and ours with the same."""
    import torch
    import torchvision

    torch.manual_seed(0)
    rival = torchvision.models.get_model(name, weights=None).eval()
    return rival, *equal_network(name, rival)


def equal_network(name: str, rival: Any) -> tuple[Probe, Any]:
    """Our network with the weights of torchvision's."""
    network = create(name, classes=1000)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(path, {key: value.numpy() for key, value in rival.state_dict().items()})
        return Probe(network), jax.device_put(load_torchvision(network, variables, path))


def random_pictures(scale: Scale, method: str = "") -> np.ndarray:
    count, side = PICTURES[scale]
    count = 1 if method in LONG else count
    return np.random.default_rng(0).standard_normal((count, side, side, 3)).astype(np.float32)


@cache
def class_of(network: str, scale: Scale) -> int:
    """The class with the highest mean score: other classes of random weights may have maps without a positive value."""
    _, apply, variables = networks(network)
    return int(np.argmax(np.mean(apply(variables, jnp.asarray(random_pictures(scale))), 0)))


def rival_map(method: str, network: str, scale: Scale) -> Callable[[], np.ndarray]:
    """The package's maps, [B, H, W] in [0, 1]."""
    import pytorch_grad_cam
    import torch
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, _, _ = networks(network)
    layer = model.features[29] if network == "vgg16" else model.layer4[-1]
    explain = getattr(pytorch_grad_cam, RIVALS[method])(model=model, target_layers=[layer])
    images = random_pictures(scale, method)
    tensor = torch.tensor(images).movedim(-1, 1).contiguous()
    targets = [ClassifierOutputTarget(class_of(network, scale))] * len(images)
    return partial(explain, input_tensor=tensor, targets=targets)


def our_map(method: str, network: str, scale: Scale) -> Callable[[], jax.Array]:
    """Our maps, scaled and enlarged as the package does."""
    _, apply, variables = networks(network)
    images, target = random_pictures(scale, method), ClassScore(class_of(network, scale))
    size = images.shape[1:3]

    @jax.jit
    def explain(variables, image):
        found = MAPS[method](apply, variables, image, target, LAYERS[network])
        return upsample(min_max(positive(found)), *size)

    on_device = jax.device_put(images)
    return lambda: explain(variables, on_device).block_until_ready()


def maps_contest(method: str, network: str, scale: Scale) -> Contest:
    ours, rival = our_map(method, network, scale), rival_map(method, network, scale)
    if method in ("Grad-CAM", "LayerCAM"):
        for one, other in zip(ours(), rival(), strict=True):
            correlation = np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]
            if not correlation > 0.999:
                raise AssertionError(f"{method} on {network}: maps correlate by {correlation:.4f} only")
    facts = {"pictures": len(random_pictures(scale, method))}
    return Contest({"segjax": lambda number: ours()}, {"grad-cam": lambda number: rival()}, facts)


def road_contest(network: str, scale: Scale) -> Contest:
    import torch
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    images = random_pictures(scale, "ROAD")
    maps = np.asarray(our_map("Grad-CAM", network, scale)())[: len(images)]
    model, apply, variables = networks(network)
    chosen = class_of(network, scale)
    target = ClassScore(chosen)

    @jax.jit
    def ours(key, variables, image, maps):
        return road(key, lambda x: target(apply(variables, x)), image, maps).combined

    metric = ROADCombined(percentiles=[10, 20, 30, 40, 50, 60, 70, 80, 90])
    tensor = torch.tensor(images).movedim(-1, 1).contiguous()
    targets = [ClassifierOutputTarget(chosen)] * len(images)

    def rival(number: int) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(metric(tensor, maps, targets, model))

    on_device = jax.device_put((images, maps))
    call: Call = lambda number: ours(jax.random.key(number), variables, *on_device).block_until_ready()  # noqa: E731
    return Contest({"segjax": call}, {"grad-cam": rival}, {"pictures": len(images)})


def contests(scale: Scale) -> Contests:
    check_installed()
    found: dict[str, Callable[[], Contest]] = {}
    for network in LAYERS:
        for method in MAPS:
            found[f"{method}, {network}"] = partial(maps_contest, method, network, scale)
        found[f"ROAD, {network}"] = partial(road_contest, network, scale)
    return found


def main() -> None:
    timing.command("activation_maps", __doc__, contests)


if __name__ == "__main__":
    main()
