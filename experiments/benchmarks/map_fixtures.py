"""What the test suites of torch-cam, Captum and Quantus state about small maps, beside our values.

Their inputs and expected values are typed again as facts; no code of theirs is here. Where a suite draws numbers at
random, its expectation holds for any draw, and so do ours.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from segjax.evaluation import confidence, deletion, energy_in_mask, insertion, pointing_game, roc_auc
from segjax.maps import ClassScore, positive
from segjax.maps.cam import grad_cam

TORCH_CAM = "torch-cam at f44afef, tests/test_metrics.py"
CAPTUM = "Captum at 0d273ec, tests/attr/layer/test_grad_cam.py"
QUANTUS = "Quantus at 85bc29d, tests/metrics/test_localisation_metrics.py"
QUANTUS_FAITHFULNESS = "Quantus (faithfulness) at 0029b2d, tests/metrics/test_faithfulness_metrics.py"

FIRST_OF_EQUALS = "Of equally high pixels ours takes the first, Quantus any that hits."
UNEQUAL_STEPS = "torch-cam removes 2, 2 and 1 pixels, ours equal shares, rounded to 2, 1 and 2."


class Fixture(NamedTuple):
    """A stated value and ours.

    Attributes:
        source: the test suite.
        title: what is computed of what.
        stated: number or array; as a pair in `bounds`, what it has to lie between.
        ours: computed when called.
        remark: why ours differs on purpose; empty where it has to agree.
    """

    source: str
    title: str
    stated: Any
    ours: Callable[[], Any]
    bounds: bool = False
    remark: str = ""

    @property
    def difference(self) -> float:
        """The largest of any number; of bounds, how far ours lie outside."""
        found = np.asarray(self.ours(), np.float64)
        if self.bounds:
            low, high = self.stated
            return float(max(low - found.min(), found.max() - high, 0.0))
        return float(np.abs(found - np.asarray(self.stated, np.float64)).max())


def _sum(image: jax.Array) -> jax.Array:
    return image.sum((1, 2, 3))


def _curve(measure: Callable[..., Any], values: list[list[float]], steps: int) -> Any:
    """Insertion or deletion of a picture by a map of its own values, with zeros in its place."""
    image = jnp.asarray([values], jnp.float32)[..., None]
    return measure(_sum, image, image[..., 0], jnp.zeros((1, 1, 1, 1)), steps)


def _torch_cam() -> list[Fixture]:
    square, row = [[0.4, 0.3], [0.2, 0.1]], [[0.3, 0.25, 0.2, 0.15, 0.1]]
    image = jnp.asarray([square], jnp.float32)[..., None]
    corner = jnp.asarray([[[1.0, 0.0], [0.0, 0.0]]])
    found = [
        Fixture(TORCH_CAM, "average drop", 0.6 / (1 + 1e-7), lambda: confidence(_sum, image, corner).drop.mean()),
        Fixture(TORCH_CAM, "increase in confidence", 0, lambda: confidence(_sum, image, corner).increase.mean()),
    ]
    for measure, curve, area, uneven in ((deletion, [1, 0.3, 0], 0.4, 0.41), (insertion, [0, 0.7, 1], 0.6, 0.59)):
        name = measure.__name__
        found += [
            Fixture(
                TORCH_CAM, f"{name}, scores in 2 steps", curve, lambda m=measure: _curve(m, square, 2).scores[:, 0]
            ),
            Fixture(TORCH_CAM, f"{name}, area of 2 steps", area, lambda m=measure: _curve(m, square, 2).area[0]),
            Fixture(
                TORCH_CAM,
                f"{name}, area of 5 pixels in 3 steps",
                uneven,
                lambda m=measure: _curve(m, row, 3).area[0],
                remark=UNEQUAL_STEPS,
            ),
        ]
    return found


def one_convolution(
    variables: Any, image: jax.Array, taps: dict[str, jax.Array] | None = None, features: bool = False
) -> Any:
    """Captum's network of one 3x3 convolution of ones, in the form of a probe."""
    taps = taps or {}
    picture = image + taps.get("picture", 0)
    windows = jax.lax.conv(jnp.moveaxis(picture, -1, 1), jnp.ones((2, 1, 3, 3)), (1, 1), "VALID")
    conv1 = jnp.moveaxis(windows, 1, -1) + jnp.array([-50.0, -75.0])[None, None, None] + taps.get("conv1", 0)
    relu1 = jax.nn.relu(conv1) + taps.get("relu1", 0)
    flat = jnp.moveaxis(relu1, -1, 1).reshape(len(image), 8)
    logits = jax.nn.relu(flat @ jnp.tile(jnp.array([1.0] * 5 + [-1.0] * 3)[:, None], (1, 4)))
    return (logits, {"picture": picture, "conv1": conv1, "relu1": relu1}) if features else logits


def _captum() -> list[Fixture]:
    counted = np.arange(16, dtype=np.float32).reshape(4, 4)
    dented = counted.copy()
    dented[1, 1] = -4

    def of(values: np.ndarray, layer: str) -> jax.Array:
        return grad_cam(one_convolution, {}, jnp.asarray(values)[None, ..., None], ClassScore(0), layer)[0]

    return [
        Fixture(CAPTUM, "Grad-CAM of the convolution", [[11.25, 13.5], [20.25, 22.5]], lambda: of(counted, "conv1")),
        Fixture(CAPTUM, "Grad-CAM of the ReLU", [[0.0, 4.0], [28.0, 32.5]], lambda: of(counted, "relu1")),
        Fixture(
            CAPTUM,
            "Grad-CAM of the sum of two pictures",
            [[14.5, 19.0], [32.5, 37.0]],
            lambda: of(counted + 1, "conv1"),
        ),
        Fixture(CAPTUM, "Grad-CAM of the convolution's input, signed", 0.5625 * dented, lambda: of(dented, "picture")),
        Fixture(
            CAPTUM,
            "Grad-CAM of the convolution's input, cut at 0",
            np.maximum(0.5625 * dented, 0),
            lambda: positive(of(dented, "picture")),
        ),
    ]


def _block(size: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    found = np.zeros(size)
    found[rows, columns] = 1
    return found


def _scene(
    shown: tuple[slice, slice], truth: tuple[slice, slice], background: float, height: int, value: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A map, `value` on a rectangle and random up to `background` elsewhere, and the mask of another rectangle."""
    size = (height, 224)
    noise = np.random.default_rng(0).uniform(0, background, size) if background else np.zeros(size)
    on, mask = _block(size, *shown) > 0, _block(size, *truth) > 0
    return np.where(on, value, noise), mask


def _scenes(height: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Maps and masks by their names in the suite: of 224x224 pixels, or of a row of 224."""

    def part(first: int, last: int) -> tuple[slice, slice]:
        return (slice(first, last) if height > 1 else slice(None)), slice(first, last)

    half_shown = (slice(0, 100), slice(75, 100)) if height > 1 else part(0, 100)
    return {
        "all in the mask": _scene(part(50, 150), part(50, 150), 0.1, height),
        "all in the mask, zeros elsewhere": _scene(part(50, 150), part(50, 150), 0, height),
        "all in the mask, values to 25": _scene(part(50, 150), part(50, 150), 20, height, 25),
        "all in a larger mask": _scene(part(50, 150), part(0, 150), 0.1, height),
        "none in the mask": _scene(part(100, 200), part(0, 100), 0.1, height),
        "none in the mask, zeros elsewhere": _scene(part(100, 200), part(0, 100), 0, height),
        "none in the mask of a quarter": _scene(part(112, 224), part(0, 112), 0, height),
        "half in the mask": _scene(half_shown, part(50, 100), 0.1, height),
        "half in the mask, zeros elsewhere": _scene(half_shown, part(50, 100), 0, height),
    }


def _auc(found: np.ndarray, truth: np.ndarray) -> float:
    return roc_auc(found.ravel(), truth.ravel().astype(int))


def _quantus() -> list[Fixture]:
    inside, outside = "all in the mask, zeros elsewhere", "none in the mask, zeros elsewhere"
    stated: list[tuple[str, Callable[..., float], str, Any, Any]] = [  # metric, ours, scene, of a square, of a row
        ("pointing game", pointing_game, "all in the mask", 1, 1),
        ("pointing game", pointing_game, "none in the mask", 0, 0),
        ("pointing game", pointing_game, "half in the mask", 1, 1),
        ("relevance mass accuracy", energy_in_mask, inside, 1.0, 1.0),
        ("relevance mass accuracy", energy_in_mask, "all in a larger mask", (0.5, 1.0), (0.5, 1.0)),
        ("relevance mass accuracy", energy_in_mask, outside, 0.0, 0.0),
        ("relevance mass accuracy", energy_in_mask, "half in the mask, zeros elsewhere", 0.5, 0.5),
        ("attribution localisation", energy_in_mask, inside, 1.0, 1.0),
        ("attribution localisation", energy_in_mask, "all in the mask", (0.8, 0.85), (0.8, 0.95)),
        ("attribution localisation", energy_in_mask, outside, 0.0, 0.0),
        ("area under the ROC curve", _auc, "all in the mask", 1.0, 1.0),
        ("area under the ROC curve", _auc, "all in the mask, values to 25", 1.0, 1.0),
        ("area under the ROC curve", _auc, "none in the mask of a quarter", 0.33333333333333337, 0.0),
    ]
    found = []
    for height, kind in ((224, "224x224"), (1, "row of 224")):
        scenes = _scenes(height)
        for metric, ours, scene, square, row in stated:
            value = square if height > 1 else row
            remark = FIRST_OF_EQUALS if ours is pointing_game and scene == "half in the mask" else ""
            found.append(
                Fixture(
                    QUANTUS,
                    f"{metric}, {scene}, {kind}",
                    value,
                    lambda ours=ours, given=scenes[scene]: ours(*given),
                    isinstance(value, tuple),
                    remark,
                )
            )
    return found


def _quantus_faithfulness() -> list[Fixture]:
    """Of a classifier of random numbers and pictures of 28x28 pixels; the suite has trained ones of such pictures."""
    generator = np.random.default_rng(0)
    images = jnp.asarray(generator.uniform(0, 1, (2, 28, 28, 1)), jnp.float32)
    weights = jnp.asarray(generator.normal(0, 0.1, (784, 10)), jnp.float32)
    labels = (images.reshape(2, 784) @ weights).argmax(-1)
    mean = jnp.full((1, 1, 1, 1), images.mean())

    def probability(given: jax.Array) -> jax.Array:
        return jax.nn.softmax(given.reshape(2, 784) @ weights)[jnp.arange(2), labels]

    return [
        Fixture(
            QUANTUS_FAITHFULNESS,
            f"pixel flipping, {count} of 784 pixels at a time, probability of the class",
            (0.0, 1.0),
            lambda count=count: deletion(probability, images, images[..., 0], mean, 784 // count).scores,
            bounds=True,
        )
        for count in (28, 112)
    ]


def fixtures() -> list[Fixture]:
    """All, suite by suite."""
    return [*_torch_cam(), *_captum(), *_quantus(), *_quantus_faithfulness()]
