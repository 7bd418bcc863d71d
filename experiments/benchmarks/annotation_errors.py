"""How long does it take to draw annotation errors in a 512x512 label map with 100 objects, once and 256 times?

    python -m experiments.benchmarks.annotation_errors
    python -m experiments.benchmarks.annotation_errors --only degrade --rounds 5

Ours runs compiled; 256 draws are one call under vmap, and 256 calls one after the other for the rivals. The rivals are
the same operations written with NumPy (lookup tables for the objects) and, for the outline, either SciPy's separable
maximum filter, which is faster than its repeated binary dilation, or OpenCV's dilate and erode; the faster one counts.
Without OpenCV (extra `bench`) SciPy is the only rival of the outline. Times are per call: of one draw, or of 256.
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache

import jax
import numpy as np
from scipy import ndimage

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Call, Contest, Contests, Scale
from segjax.annotations import Recipe, bias, degrade, inclusion, omission

SIDE, OBJECTS_PER_ROW, Q_MAX = 512, 10, 6
OMITTED, INCLUDED = 0.3, 0.3
DRAWS: dict[Scale, int] = {"full": 256, "smoke": 2}

Outline = Callable[[np.ndarray, bool, int], np.ndarray]
Rival = Callable[[np.random.Generator], np.ndarray]


def label_map(shift: int) -> np.ndarray:
    """100 discs of radius 18 on a grid, moved down and right by `shift` pixels."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - shift
    pitch = SIDE // OBJECTS_PER_ROW
    cell_row, cell_column = rows // pitch, columns // pitch
    inside = np.hypot(rows % pitch - pitch / 2, columns % pitch - pitch / 2) < 18
    on_grid = (cell_row >= 0) & (cell_column >= 0) & (cell_row < OBJECTS_PER_ROW) & (cell_column < OBJECTS_PER_ROW)
    return np.where(inside & on_grid, cell_row * OBJECTS_PER_ROW + cell_column + 1, 0).astype(np.int32)


def numpy_choice(generator, labels, rate):
    ids = np.flatnonzero(np.bincount(labels.ravel()))
    ids = ids[ids > 0]
    return generator.choice(ids, int(rate * ids.size + 1e-6), replace=False)


def numpy_omission(generator, labels, rate):
    table = np.arange(labels.max() + 1, dtype=labels.dtype)
    table[numpy_choice(generator, labels, rate)] = 0
    return table[labels]


def numpy_inclusion(generator, labels, extra, rate):
    chosen = numpy_choice(generator, extra, rate)
    table = np.zeros(extra.max() + 1, labels.dtype)
    table[chosen] = chosen + labels.max()
    return np.where(labels == 0, table[extra], labels)


def scipy_outline(mask: np.ndarray, grows: bool, q: int) -> np.ndarray:
    change = ndimage.maximum_filter if grows else ndimage.minimum_filter
    return change(mask.view(np.uint8), size=2 * q + 1).view(bool)


def opencv_outline(mask: np.ndarray, grows: bool, q: int) -> np.ndarray:
    cv2 = importlib.import_module("cv2")
    change = cv2.dilate if grows else cv2.erode
    return change(mask.view(np.uint8), np.ones((2 * q + 1, 2 * q + 1), np.uint8)).view(bool)


def outlines() -> dict[str, Outline]:
    """Ways to grow or shrink a mask by q pixels; the picture's border never shrinks it."""
    ways = {"NumPy, SciPy": scipy_outline}
    return ways | ({"NumPy, OpenCV": opencv_outline} if importlib.util.find_spec("cv2") else {})


def numpy_bias(generator, mask, q_max, outline: Outline):
    return outline(mask, generator.random() < 0.5, int(generator.integers(1, q_max + 1)))


def numpy_degrade(generator, labels, extra, outline: Outline):
    kept = numpy_omission(generator, labels, OMITTED)
    return numpy_bias(generator, numpy_inclusion(generator, kept, extra, INCLUDED) > 0, Q_MAX, outline)


RECIPE = Recipe(omission=OMITTED, inclusion=INCLUDED, bias=Q_MAX)
# Operation -> one draw from a key.
OURS: dict[str, Callable] = {
    "omission": lambda key, labels, extra, mask: omission(key, labels, OMITTED),
    "inclusion": lambda key, labels, extra, mask: inclusion(key, labels, extra, INCLUDED),
    "bias": lambda key, labels, extra, mask: bias(key, mask, Q_MAX),
    "degrade": lambda key, labels, extra, mask: degrade(key, labels, RECIPE, extra),
}


def numpy_rivals(labels, extra, mask) -> dict[str, dict[str, Rival]]:
    """Operation -> way -> one draw from a generator."""
    return {
        "omission": {"NumPy": lambda generator: numpy_omission(generator, labels, OMITTED)},
        "inclusion": {"NumPy": lambda generator: numpy_inclusion(generator, labels, extra, INCLUDED)},
        "bias": {
            way: lambda generator, outline=outline: numpy_bias(generator, mask, Q_MAX, outline)
            for way, outline in outlines().items()
        },
        "degrade": {
            way: lambda generator, outline=outline: numpy_degrade(generator, labels, extra, outline)
            for way, outline in outlines().items()
        },
    }


def operation_contest(operation: str, draws: int) -> Contest:
    """So many draws in one call of ours, one after the other by the rivals; other draws in every round."""
    labels, extra = label_map(0), label_map(OBJECTS_PER_ROW)
    maps = labels, extra, labels > 0
    on_device = [jax.device_put(array) for array in maps]
    compiled = jax.jit(jax.vmap(OURS[operation], in_axes=(0, None, None, None)) if draws > 1 else OURS[operation])

    @cache  # so that a draw is timed without the making of its key
    def keys_of(number: int) -> jax.Array:
        key = jax.random.key(number)
        return jax.random.split(key, draws) if draws > 1 else key

    def draw(number: int) -> None:
        jax.block_until_ready(compiled(keys_of(number), *on_device))

    def rival_of(one: Rival) -> Call:
        def draw_all(number: int) -> None:
            generator = np.random.default_rng(number)
            for _ in range(draws):
                one(generator)

        return draw_all

    theirs = {way: rival_of(one) for way, one in numpy_rivals(*maps)[operation].items()}
    return Contest({"segjax": draw}, theirs, {"draws": draws})


def contests(scale: Scale) -> Contests:
    def named(operation: str, draws: int) -> tuple[str, Callable[[], Contest]]:
        name = f"{operation}, {draws} at once" if draws > 1 else operation
        return name, lambda: operation_contest(operation, draws)

    return dict(named(operation, draws) for operation in OURS for draws in (1, DRAWS[scale]))


def main() -> None:
    timing.command("annotation_errors", __doc__, contests)


if __name__ == "__main__":
    main()
