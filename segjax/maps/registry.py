"""Maps by name: what each needs and costs, and `create_map`, which makes them for many pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Key

from segjax.maps.blackbox import occlusion, rise
from segjax.maps.cam import (
    cam,
    eigen_cam,
    elementwise_cam,
    finer_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    shapley_cam,
    x_grad_cam,
)
from segjax.maps.channels import ablation_cam, score_cam
from segjax.maps.contour import blur_of, contour_cam
from segjax.maps.factors import FITTED, deep_feature_factorisation, kpca_cam
from segjax.maps.fusion import layer_cam_fusion, poly_cam, refine_cam, zoom_cam
from segjax.maps.gradients import full_grad, guided_backprop, integrated_gradients, smooth_grad
from segjax.maps.layers import Apply, Target, layer_shapes
from segjax.maps.scaling import upsample
from segjax.maps.targets import LOG_ODDS, ClassProbability, ClassScore, ResidualSoftmax
from segjax.models import Probe
from segjax.training.fit import in_batches
from segjax.types import InputError

Blurs = Float32[np.ndarray, " L"]
Images = Float[np.ndarray, "P H W C"] | Float[Array, "P H W C"]
Image = Float[Array, "B H W C"]
Options = Mapping[str, int | float]
Cost = Callable[[Sequence[int], int, Options], float]


class WholeNumber(NamedTuple):
    """An option of a map: what it is by default, and the least it may be."""

    default: int
    least: int = 1

    def reason_against(self, value: object) -> str | None:
        """Why the option cannot have this value; None where it can."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= self.least:
            return None
        return f"must be a whole number from {self.least} on, not {value!r}"


class Share(NamedTuple):
    """An option of a map from 0 to 1, and what it is by default."""

    default: float

    def reason_against(self, value: object) -> str | None:
        """Why the option cannot have this value; None where it can."""
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return None
        return f"must be a number from 0 to 1, not {value!r}"


def _as_a_gradient(channels: Sequence[int], side: int, options: Options) -> float:
    return 3.0


def _as_one_pass(channels: Sequence[int], side: int, options: Options) -> float:
    return 1.0


@dataclass(frozen=True)
class MapKind:
    """What is to be known about a map before it is made.

    Attributes:
        title: its name for people.
        make: the function, (apply, variables, image, target) -> map; with a key in front where it draws random numbers,
            the layer or layers behind, and the options as keywords.
        layers: which layers it is made of; see `segjax.models.probe.MapLayers`.
        draws: whether it draws random numbers.
        options: by name.
        target: what is explained in a network of two classes where nothing else is asked for.
        cost: (channels of its layers, side of the picture in pixels, options) -> forward passes per picture, about; a
            gradient counts as two. Algebra on a layer's output is not counted.
    """

    title: str
    make: Callable[..., Any]
    layers: Literal["none", "pooled", "deep", "fused", "evidence"] = "none"
    draws: bool = False
    options: Mapping[str, WholeNumber | Share] = field(default_factory=dict)
    target: Target = LOG_ODDS
    cost: Cost = _as_a_gradient


def _occlusion_by_half_steps(
    apply: Apply, variables: Any, image: Image, target: Target, patch: int
) -> Float[Array, "B H W"]:
    return occlusion(apply, variables, image, target, patch, patch // 2)


CONTOUR_CAM = "contour_cam"
MAPS: dict[str, MapKind] = {
    CONTOUR_CAM: MapKind("Contour-CAM", contour_cam, "evidence"),
    "cam": MapKind("CAM", cam, "pooled"),
    "grad_cam": MapKind("Grad-CAM", grad_cam, "deep"),
    "grad_cam_plus_plus": MapKind("Grad-CAM++", grad_cam_plus_plus, "deep"),
    "x_grad_cam": MapKind("XGrad-CAM", x_grad_cam, "deep"),
    "hires_cam": MapKind("HiResCAM", hires_cam, "deep"),
    "elementwise_cam": MapKind("element-wise Grad-CAM", elementwise_cam, "deep"),
    "layer_cam": MapKind("LayerCAM", layer_cam, "deep"),
    "finer_cam": MapKind(
        "Finer-CAM",
        finer_cam,
        "deep",
        options={"references": WholeNumber(3), "strength": Share(0.6)},
        target=ClassScore(1),
    ),
    "shapley_cam": MapKind(
        "Shapley-CAM",
        shapley_cam,
        "deep",
        target=ResidualSoftmax(1),
        cost=lambda channels, side, options: 9.0,  # the gradient of a gradient
    ),
    "eigen_cam": MapKind("Eigen-CAM", eigen_cam, "deep", cost=_as_one_pass),
    "kpca_cam": MapKind(
        "KPCA-CAM", kpca_cam, "deep", options={"fitted": WholeNumber(FITTED, least=2)}, cost=_as_one_pass
    ),
    "deep_feature_factorisation": MapKind(
        "deep feature factorisation", deep_feature_factorisation, "deep", options={"concepts": WholeNumber(4)}
    ),
    "score_cam": MapKind("Score-CAM", score_cam, "deep", cost=lambda channels, side, options: channels[0]),
    "ablation_cam": MapKind("Ablation-CAM", ablation_cam, "deep", cost=lambda channels, side, options: channels[0] / 2),
    "layer_cam_fusion": MapKind("LayerCAM, layers fused", layer_cam_fusion, "fused"),
    "zoom_cam": MapKind("Zoom-CAM", zoom_cam, "fused"),
    "refine_cam": MapKind("RefineCAM", refine_cam, "fused"),
    "poly_cam": MapKind(
        "Poly-CAM",
        poly_cam,
        "fused",
        target=ClassProbability(1),
        cost=lambda channels, side, options: 2 * sum(channels),
    ),
    "full_grad": MapKind("FullGrad", full_grad),
    "guided_backprop": MapKind("guided backpropagation", guided_backprop),
    "smooth_grad": MapKind(
        "SmoothGrad",
        smooth_grad,
        draws=True,
        options={"samples": WholeNumber(32)},
        cost=lambda channels, side, options: 3 * options["samples"],
    ),
    "integrated_gradients": MapKind(
        "integrated gradients",
        integrated_gradients,
        options={"steps": WholeNumber(64)},
        cost=lambda channels, side, options: 3 * options["steps"],
    ),
    "occlusion": MapKind(
        "occlusion",
        _occlusion_by_half_steps,
        options={"patch": WholeNumber(16, least=2)},
        cost=lambda channels, side, options: (side // (options["patch"] // 2)) ** 2,
    ),
    "rise": MapKind(
        "RISE",
        rise,
        draws=True,
        options={"masks": WholeNumber(4000)},
        cost=lambda channels, side, options: options["masks"],
    ),
}
"""All maps by name."""


class Explainer:
    """Maps of one kind of one network, made by `create_map`; compiled once for each target and size of the pictures.

    Attributes:
        kind: what is known about the map.
        layers: names of the layers it is made of.
        options: of the map, with their values.
    """

    def __init__(self, kind: MapKind, network: Any, layers: tuple[str, ...], options: Options) -> None:
        """Takes what `create_map` has checked."""
        self.kind, self.layers, self.options = kind, layers, options
        self._apply = Probe(network)
        self._compiled = jax.jit(self._map, static_argnums=4)
        self._compiled_blurs = jax.jit(self._blurs, static_argnums=2)

    def __call__(
        self,
        variables: Any,
        images: Images,
        target: Target | Any = None,
        *,
        key: Key[Array, ""] | None = None,
        blurs: Blurs | None = None,
    ) -> Float32[np.ndarray, "P H W"]:
        """Maps at the size of the pictures, signed and not scaled (but for methods that are defined with a scaling).

        Args:
            variables: of the network.
            images: what the network was trained on; taken in batches of 8.
            target: what is explained, a function of the logits such as `ClassScore(1)`. Classifiers of
                `segjax.models.create` with two classes have one by default, mostly the log odds of class 1:
                `MAPS[name].target`.
            key: decides what is drawn at random, the same for every batch. Maps that draw nothing do not look at it.
            blurs: what `blurs` gave for this network; by default it is asked about these pictures. Only Contour-CAM
                looks at it.

        Raises:
            InputError: no picture; a key or a target is missing; there is not one blur per layer; a layer does not
                exist or has no pixels; the target does not fit the network.
        """
        if self.kind.draws and key is None:
            raise InputError(f"key: {self.kind.title} needs random numbers; give key=jax.random.key(0), or another key")
        target = self._explained(target)
        _check_some(images)
        if self._needs_blurs:
            blurs = self.blurs(variables, images, target) if blurs is None else blurs
            if len(blurs) != len(self.layers):
                raise InputError(f"blurs: give one for each of {', '.join(self.layers)}, not {len(blurs)}")
        found = [np.asarray(self._compiled(variables, batch, blurs, key, target)) for batch in in_batches(images)]
        return np.concatenate(found)[: len(images)].astype(np.float32)

    def blurs(self, variables: Any, images: Images, target: Target | Any = None) -> Blurs:
        """What a cell of each layer of Contour-CAM sees, in pixels, by the first batch, as
        `segjax.maps.contour.blur_of` measures it.

        It belongs to a trained network: measured once, it serves all pictures.

        Raises:
            InputError: another map, which needs none; no picture; a target is missing; a layer does not exist or has no
                pixels.
        """
        if not self._needs_blurs:
            raise InputError(
                f"blurs: {self.kind.title} takes none, only {MAPS[CONTOUR_CAM].title} does; leave them out"
            )
        _check_some(images)
        return np.asarray(self._compiled_blurs(variables, in_batches(images)[0], self._explained(target)), np.float32)

    def cost(self, variables: Any, image: Images) -> float:
        """About how many forward passes the map of one picture takes; a gradient counts as two. Nothing is computed.

        Args:
            variables: of the network, or their shapes (`jax.eval_shape(network.init, key, image)`).
            image: one picture or several, P = 1 or more.

        Raises:
            InputError: a layer does not exist or has no pixels.
        """
        shapes = layer_shapes(self._apply, variables, jnp.asarray(image), self.layers) if self.layers else {}
        return float(self.kind.cost([shapes[name].shape[-1] for name in self.layers], image.shape[1], self.options))

    @property
    def _needs_blurs(self) -> bool:
        return self.kind.layers == "evidence"

    def _explained(self, given: Target | Any) -> Target:
        if given is None:
            network = self._apply.network
            if not hasattr(network, "map_layers") or getattr(network, "classes", None) != 2:
                raise InputError(
                    f"target: {type(network).__name__} is not a classifier of segjax with two classes; say what to "
                    "explain, as in target=ClassScore(1), or RegionScore(1, region) for a network that segments"
                )
            return self.kind.target
        if not callable(given) or given.__hash__ is None:
            raise InputError(
                f"target: give ClassScore(1), say, or another function of the logits that can be hashed, not {given!r}"
            )
        return given

    def _blurs(self, variables, image, target):
        return [blur_of(self._apply, variables, image, target, layer) for layer in self.layers]

    def _map(self, variables, image, blurs, key, target):
        first = (key,) if self.kind.draws else ()
        one_or_all = {"none": (), "pooled": self.layers, "deep": self.layers}
        last = one_or_all.get(self.kind.layers, (self.layers,))
        keywords = {**self.options, **({"blurs": list(blurs)} if self._needs_blurs else {})}
        found = self.kind.make(*first, self._apply, variables, image, target, *last, **keywords)
        return upsample(found, *image.shape[1:3])


def create_map(name: str, network: Any, *, layers: str | Sequence[str] | None = None, **options: Any) -> Explainer:
    """A map of what a network looks at: (variables, images, target) -> float32 [P, H, W] at the size of the pictures.

    >>> import jax
    >>> from segjax.maps import ClassScore, create_map
    >>> from segjax.models import create
    >>> images = jax.random.uniform(jax.random.key(2), (3, 16, 16, 1))
    >>> network = create("msd_classifier", depth=1)
    >>> variables = network.init(jax.random.key(0), images)
    >>> explain = create_map("contour_cam", network)
    >>> explain(variables, images, ClassScore(0)).shape
    (3, 16, 16)
    >>> explain.cost(variables, images[:1])
    3.0

    Args:
        name: one of `MAPS`.
        network: a Flax module that maps pictures to logits.
        layers: names of the layers that the map is made of, from shallow to deep, or of the one. Classifiers of
            `segjax.models.create` have them by default, and so has every module with an attribute `map_layers`.
        options: of the map; `MAPS[name].options` has their defaults.

    Raises:
        InputError: unknown name or option, a value out of range, a map that this network cannot have, or layers that
            have to be given; the message names the remedy.
    """
    if not isinstance(name, str) or name not in MAPS:
        raise InputError(f"map: unknown {name!r}; choose one of {', '.join(MAPS)}")
    if (reason := reason_without(name, network)) is not None:
        raise InputError(f"map {name}: {reason}")
    return Explainer(MAPS[name], network, _layers(name, network, layers), _options(name, options))


def reason_without(name: str, network: Any) -> str | None:
    """Why a network has no such map, with the remedy; None where it has, as far as its options tell."""
    if name == "cam" and getattr(network, "head", None) == "hidden":
        return 'CAM needs a linear head on pooled maps; create the network with head="average"'
    if name == "full_grad" and getattr(network, "norm", None) in ("batch", "group"):
        return (
            "FullGrad needs a normalisation that does not depend on the picture; create the network with "
            'norm="running" or norm="none"'
        )
    return None


def _layers(name, network, given):
    kind = MAPS[name]
    if kind.layers == "none":
        if given is not None:
            raise InputError(f"layers: {name} takes none; leave them out")
        return ()
    if given is None:
        known = getattr(network, "map_layers", None)
        if known is None:
            raise InputError(
                f"layers: the layers of {type(network).__name__} for {name} are unknown; name them, as in "
                'layers=("down1", "down2") (segjax.maps.layer_shapes lists all), or give the network an attribute '
                "map_layers"
            )
        given = getattr(known, kind.layers)
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or (kind.layers in ("pooled", "deep") and len(names) > 1):
        wanted = "one layer" if kind.layers in ("pooled", "deep") else "one or more layers"
        raise InputError(f"layers: {name} needs {wanted}, not {len(names)}")
    return names


def _options(name, given):
    known = MAPS[name].options
    for option, value in given.items():
        if option == "target":
            raise InputError(
                f"map {name}: the target goes with the pictures, as in "
                f"create_map({name!r}, network)(variables, images, target)"
            )
        if option not in known:
            exist = ", ".join([*known, "layers"])
            raise InputError(f"map {name}: unknown option {option!r}; its options are {exist}")
        if (reason := known[option].reason_against(value)) is not None:
            raise InputError(f"map {name}: {option} {reason}")
    return {option: one.default for option, one in known.items()} | given


def _check_some(images):
    if not len(images):
        raise InputError("images: give at least one picture")
