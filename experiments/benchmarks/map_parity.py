"""How far are activation maps of VGG16 and ResNet-18 from those of the package grad-cam, with equal weights?

    python -m experiments.benchmarks.map_parity
    python -m experiments.benchmarks.map_parity --only resnet18 KPCA-CAM

Both networks have the same random weights, biases and statistics in torchvision's layout and 1000 classes. Two pictures
of random numbers are explained, 64x64 in VGG16 and 96x96 in ResNet-18, for the class with the highest score. Score-CAM
and Ablation-CAM get one, because grad-cam takes minutes. Maps of one layer are of the last one. They are cut at 0,
scaled to [0, 1], enlarged and scaled again, as the package does it. Maps with a sign of their own (guided
backpropagation) or with none (Eigen-CAM, KPCA-CAM) are divided by their largest magnitude. `largest_difference` is that
of any pixel. Where the package takes a step in another way than ours, a second row has ours with that step taken its
way, and `way` says which. Deep feature factorisation has many solutions: the relative errors with which both describe
the layer are compared. `python -m experiments.benchmarks.map_pages` writes the page of the values.

Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

import copy
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks.activation_maps import check_installed, equal_network
from experiments.benchmarks.timing import RESULTS, Row, Scale, chosen, header_of, report, rounded
from experiments.harness.start import run_command
from segjax.maps import MAPS, ClassScore, min_max, positive, upsample
from segjax.maps.cam import grad_cam
from segjax.maps.factors import factorise
from segjax.maps.gradients import full_gradients
from segjax.maps.layers import layers_and_gradients
from segjax.maps.targets import ResidualSoftmax

SIDES: dict[Scale, dict[str, int]] = {"full": {"vgg16": 64, "resnet18": 96}, "smoke": {"vgg16": 32, "resnet18": 64}}
LONG = ("score_cam", "ablation_cam")  # of one picture
LAYERS = {"vgg16": ("stage3", "stage4", "stage5"), "resnet18": ("layer1", "layer2", "layer3", "layer4")}
CONCEPTS = 4
OF_PACKAGE = {  # our name -> class of the package, for maps that are made and scaled alike
    "grad_cam": "GradCAM",
    "grad_cam_plus_plus": "GradCAMPlusPlus",
    "x_grad_cam": "XGradCAM",
    "hires_cam": "HiResCAM",
    "elementwise_cam": "GradCAMElementWise",
    "layer_cam": "LayerCAM",
    "finer_cam": "FinerCAM",
    "shapley_cam": "ShapleyCAM",
    "score_cam": "ScoreCAM",
    "ablation_cam": "AblationCAM",
    "refine_cam": "RefineCAM",
    "full_grad": "FullGrad",
}
WITHOUT_SIGN = {"eigen_cam": "EigenCAM", "kpca_cam": "KPCA_CAM"}


class Side(NamedTuple):
    """A network of both packages and what is explained of it."""

    name: str
    model: Any
    apply: Any
    variables: Any
    image: np.ndarray
    class_index: int

    @property
    def tensor(self) -> Any:
        import torch

        return torch.tensor(self.image).movedim(-1, 1).contiguous()

    @property
    def modules(self) -> list[Any]:
        """The package's layers for `LAYERS`."""
        model = self.model
        if self.name == "vgg16":
            return [model.features[15], model.features[22], model.features[29]]
        return [model.layer1, model.layer2, model.layer3, model.layer4]


@functools.cache
def side_of(name: str, scale: Scale) -> Side:
    size = SIDES[scale][name]
    image = np.random.default_rng(0).standard_normal((2, size, size, 3)).astype(np.float32)
    model = random_model(name)
    apply, variables = equal_network(name, model)
    index = int(np.argmax(np.mean(apply(variables, jnp.asarray(image)), 0)))
    return Side(name, model, apply, variables, image, index)


def random_model(name: str) -> Any:
    """A torchvision network whose biases and statistics are random too: as they come they are 0 and 1."""
    import torch
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).eval()
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "bias", None) is not None:
                module.bias.normal_(0, 0.1)
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model


def by_magnitude(found: Any) -> np.ndarray:
    """Each map divided by its largest magnitude."""
    values = np.asarray(found)
    return values / np.abs(values).max((1, 2), keepdims=True)


def our_map(name: str, side: Side) -> np.ndarray:
    """As `segjax.maps` makes it, at its own size."""
    target = {"finer_cam": ClassScore(side.class_index), "shapley_cam": ResidualSoftmax(side.class_index)}
    more: tuple[Any, ...] = {"refine_cam": (LAYERS[side.name],), "full_grad": (), "guided_backprop": ()}.get(
        name, (LAYERS[side.name][-1],)
    )
    make = functools.partial(MAPS[name].make, side.apply)
    explained = target.get(name, ClassScore(side.class_index))
    return np.asarray(jax.jit(lambda variables, x: make(variables, x, explained, *more))(side.variables, side.image))


def shown(found: Any, side: Side) -> jax.Array:
    """Cut at 0, scaled, enlarged and scaled again."""
    return min_max(upsample(min_max(positive(jnp.asarray(found))), *side.image.shape[1:3]))


def their_map(name: str, side: Side) -> np.ndarray:
    """As the package makes it, [B, H, W] in [0, 1]."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST, ClassifierOutputTarget

    layers = side.modules if name == "refine_cam" else [] if name == "full_grad" else side.modules[-1:]
    explain = getattr(pytorch_grad_cam, OF_PACKAGE[name])(model=side.model, target_layers=layers)
    if name == "finer_cam":  # it chooses the classes to compare with when it is given no target
        return explain(input_tensor=side.tensor, target_idx=side.class_index)
    target = ClassifierOutputReST if name == "shapley_cam" else ClassifierOutputTarget
    return explain(input_tensor=side.tensor, targets=[target(side.class_index)] * len(side.image))


def _plus_plus(side: Side, layer: str) -> np.ndarray:
    """Grad-CAM++ with what the package adds to the denominator."""
    _, layers, gradients = layers_and_gradients(
        side.apply, side.variables, jnp.asarray(side.image), ClassScore(side.class_index), [layer]
    )
    a, g = (np.asarray(part[layer]) for part in (layers, gradients))
    share = np.where(g != 0, g**2 / (2 * g**2 + a.sum((1, 2), keepdims=True) * g**3 + np.float32(1e-6)), 0)
    return np.einsum("bhwk,bk->bhw", a, (share * np.maximum(g, 0)).sum((1, 2)))


def _divided(found: jax.Array) -> jax.Array:
    """The package's scaling to [0, 1], which adds 1e-7 to the largest value."""
    moved = found - found.min((-2, -1), keepdims=True)
    return moved / (moved.max((-2, -1), keepdims=True) + 1e-7)


def _shown_their_way(found: Any, side: Side) -> jax.Array:
    return _divided(upsample(_divided(positive(jnp.asarray(found))), *side.image.shape[1:3]))


def finer_their_way(side: Side) -> Any:
    """Finer-CAM of the mean difference from the three classes most like it, each weighted by its probability."""

    def target(logits: jax.Array) -> jax.Array:
        own = logits[:, [side.class_index]]
        nearest = jnp.argsort(jnp.abs(logits - own), -1)[:, 1:4]
        weights = jnp.take_along_axis(jax.nn.softmax(logits), nearest, -1)
        differences = own - jnp.take_along_axis(logits, nearest, -1)
        return (weights * differences).sum(-1) / (weights.sum(-1) + 1e-9)

    return shown(grad_cam(side.apply, side.variables, jnp.asarray(side.image), target, LAYERS[side.name][-1]), side)


def plus_plus_their_way(side: Side) -> Any:
    return _shown_their_way(_plus_plus(side, LAYERS[side.name][-1]), side)


def refined_their_way(side: Side) -> Any:
    layers = [_shown_their_way(_plus_plus(side, layer), side) for layer in LAYERS[side.name]]
    return _divided(jnp.prod(jnp.stack(layers), 0))


def scored_their_way(side: Side) -> Any:
    """Score-CAM whose masks have the corners of the layer in the corners of the picture."""
    _, layers = side.apply(side.variables, jnp.asarray(side.image), features=True)
    found = []
    score = jax.jit(lambda variables, x: side.apply(variables, x)[:, side.class_index])
    for image, layer in zip(side.image, np.asarray(layers[LAYERS[side.name][-1]]), strict=True):
        rows, columns = (_from_corner_to_corner(len(image), size) for size in layer.shape[:2])
        masks = np.asarray(min_max(jnp.asarray(np.einsum("yh,hwk,xw->kyx", rows, layer, columns))))
        parts = np.array_split(masks, -(-len(masks) // 32))
        scores = np.concatenate([score(side.variables, jnp.asarray(image * part[..., None])) for part in parts])
        found.append(np.einsum("hwk,k->hw", layer, jax.nn.softmax(scores)))
    return shown(np.stack(found), side)


def _from_corner_to_corner(size: int, cells: int) -> np.ndarray:
    """Weights [size, cells] of linear interpolation whose ends are the centres of the first and the last cell."""
    at = np.linspace(0, cells - 1, size, dtype=np.float32)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(cells, dtype=np.float32)), 0)


def full_grad_their_way(side: Side) -> Any:
    """Our parts of FullGrad, each channel and each colour scaled to [0, 1] by itself."""
    image, target = jnp.asarray(side.image), ClassScore(side.class_index)
    _, layers = full_gradients(side.apply, side.variables, image, target)
    by_colour = image * jax.grad(lambda x: jnp.sum(target(side.apply(side.variables, x))))(image)

    def of(part: jax.Array) -> jax.Array:
        return upsample(_divided(jnp.moveaxis(jnp.abs(part), -1, 1)), *image.shape[1:3]).sum(1)

    return min_max(of(by_colour) + sum(of(part) for part in layers.values() if part.ndim == 4))


THEIR_WAY: dict[str, tuple[str, Callable[[Side], Any]]] = {
    "grad_cam_plus_plus": ("1e-6 and 1e-7 added to divisors", plus_plus_their_way),
    "finer_cam": ("strength 1, classes weighted by their probability", finer_their_way),
    "refine_cam": ("layers scaled from their minimum, 1e-6 and 1e-7 added to divisors", refined_their_way),
    "score_cam": ("masks enlarged from corner to corner", scored_their_way),
    "full_grad": ("every channel and colour scaled by itself, 1e-7 added to divisors", full_grad_their_way),
}


def scaled_alike(name: str, side: Side) -> list[Row]:
    theirs = their_map(name, side)
    rows = [_row(np.abs(shown(our_map(name, side), side) - theirs).max())]
    if name in THEIR_WAY:
        way, ours = THEIR_WAY[name]
        rows.append(_row(np.abs(np.asarray(ours(side)) - theirs).max(), way))
    return rows


def _row(difference: Any, way: str = "") -> Row:
    return {"way": way, "largest_difference": rounded(float(difference))}


def up_to_sign(name: str, side: Side) -> list[Row]:
    import pytorch_grad_cam
    import torch

    explain = getattr(pytorch_grad_cam, WITHOUT_SIGN[name])(model=side.model, target_layers=side.modules[-1:])
    with torch.no_grad():
        explain.activations_and_grads(side.tensor)
    layer = explain.activations_and_grads.activations[0].numpy()
    ours = by_magnitude(our_map(name, side))
    theirs = by_magnitude(explain.get_cam_image(None, None, None, layer, None, False))
    turned = theirs * np.sign(np.sum(ours * theirs, (1, 2), keepdims=True))
    return [_row(np.abs(ours - turned).max())]


def guided(name: str, side: Side) -> list[Row]:
    from pytorch_grad_cam import GuidedBackpropReLUModel

    explain = GuidedBackpropReLUModel(copy.deepcopy(side.model))  # it replaces the model's activations
    theirs = [explain(side.tensor[row : row + 1], side.class_index).sum(-1) for row in range(len(side.image))]
    return [_row(np.abs(by_magnitude(our_map(name, side)) - by_magnitude(theirs)).max())]


def factorisation(name: str, side: Side) -> list[Row]:
    from pytorch_grad_cam.feature_factorization.deep_feature_factorization import dff

    _, layers = side.apply(side.variables, jnp.asarray(side.image), features=True)
    errors = []
    for layer in np.asarray(layers[LAYERS[side.name][-1]]):
        ours = np.einsum("hwn,nk->hwk", *factorise(jnp.asarray(layer), CONCEPTS))
        directions, found = dff(np.moveaxis(layer, -1, 0)[None].copy(), CONCEPTS)
        theirs = np.einsum("nhw,kn->hwk", found[0], directions)
        errors.append([np.linalg.norm(layer - one) / np.linalg.norm(layer) for one in (ours, theirs)])
    ours, theirs = (rounded(float(one)) for one in np.mean(errors, 0))
    difference = max(abs(one - other) for one, other in errors)
    return [{**_row(difference), "error_ours": ours, "error_theirs": theirs}]


METHODS: dict[str, Callable[[str, Side], list[Row]]] = {
    **dict.fromkeys(OF_PACKAGE, scaled_alike),
    **dict.fromkeys(WITHOUT_SIGN, up_to_sign),
    "guided_backprop": guided,
    "deep_feature_factorisation": factorisation,
}


def map_parity(only: tuple[str, ...] = (), scale: Scale = "full", out: Path = RESULTS) -> None:
    """Print a row per network and map, and keep them as OUT/map_parity.csv.

    Args:
        only: Only networks and maps whose names contain one of these words, for example: resnet18 KPCA-CAM.
        scale: smoke: tiny pictures, to see that everything runs.
        out: Folder for the table.
    """
    check_installed()
    pairs = {f"{MAPS[name].title}, {network}": (network, name) for network in LAYERS for name in METHODS}
    rows: list[Row] = []
    for network, name in chosen(pairs, only).values():
        side = side_of(network, scale)
        side = side._replace(image=side.image[:1]) if name in LONG else side
        rows += [{"network": network, "map": name, **row} for row in METHODS[name](name, side)]
        print(f"measured {name} of {network}", file=sys.stderr)
    report("map_parity", header_of("map_parity"), rows, out)


if __name__ == "__main__":
    run_command(lambda: tyro.cli(map_parity, description=__doc__))
