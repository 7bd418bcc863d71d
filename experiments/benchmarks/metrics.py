"""How long do metrics take on label maps of 512x512 pixels with 200 objects, compared with NumPy and scikit-image?

    python -m experiments.benchmarks.metrics
    python -m experiments.benchmarks.metrics --only objects

Pooled Dice: 16 pictures, summed first. Objects: aggregated Jaccard index, panoptic quality and F1 of one pair of label
maps, alone and all three from one table. Rivals: "masks of objects", the loop over objects that is found in most code,
each true object's mask against the predicted objects under it; "contingency table", the areas of
`skimage.metrics.contingency_table`, dense, and the formulas on it; for Dice sums of boolean NumPy arrays and of floats.
The fastest counts. Before anything is timed, all have to agree to 1e-12.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from skimage.metrics import contingency_table

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Call, Contest, Contests, Scale
from segjax.evaluation import aji, counts, dice, f1, overlaps, panoptic_quality

SIZES: dict[Scale, tuple[int, int, int]] = {
    "full": (512, 15, 200),
    "smoke": (48, 3, 8),
}  # side, objects per row, objects
POOLED = 16


class Areas(NamedTuple):
    """Pixels that true and predicted objects share [N, M], and pixels of each true [N] and predicted [M] object."""

    shared: np.ndarray
    true: np.ndarray
    predicted: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        return self.shared / (self.true[:, None] + self.predicted[None] - self.shared)


def label_maps(side: int, per_row: int, objects: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth int32 [H, W]: discs on a grid; predicted: moved, resized, renamed, a tenth missing."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    pitch = side // per_row
    truth, prediction = np.zeros((2, side, side), np.int32)
    names = generator.permutation(objects) + 1
    for index in range(objects):
        row, column = (np.array(divmod(index, per_row)) + 0.5) * pitch
        truth[np.hypot(rows - row, columns - column) < 0.4 * pitch] = index + 1
        down, right = generator.normal(0, 0.1 * pitch, 2)
        if generator.random() < 0.9:
            radius = generator.uniform(0.3, 0.5) * pitch
            prediction[np.hypot(rows - row - down, columns - column - right) < radius] = names[index]
    return prediction, truth


def by_masks(prediction: np.ndarray, truth: np.ndarray) -> Areas:
    """Object by object: the mask of each true one against the masks of the predicted ones under it."""
    true_masks = [truth == name for name in np.unique(truth)[1:]]
    names = np.unique(prediction)[1:]
    masks = [prediction == name for name in names]
    position = {name: index for index, name in enumerate(names)}
    shared = np.zeros((len(true_masks), len(masks)))
    for index, true_mask in enumerate(true_masks):
        for name in np.unique(prediction[true_mask]):
            if name > 0:
                shared[index, position[name]] = (true_mask & masks[position[name]]).sum()
    return Areas(shared, np.array([mask.sum() for mask in true_masks]), np.array([mask.sum() for mask in masks]))


def by_table(prediction: np.ndarray, truth: np.ndarray) -> Areas:
    """All at once, from scikit-image's table of how often two labels meet."""
    table = contingency_table(truth, prediction).toarray()
    true, predicted = table.sum(1), table.sum(0)
    is_true, is_predicted = true > 0, predicted > 0
    is_true[0] = is_predicted[0] = False
    return Areas(table[is_true][:, is_predicted], true[is_true], predicted[is_predicted])


def their_aji(areas: Areas) -> float:
    best = areas.iou.argmax(1)
    rows = np.flatnonzero(areas.iou.max(1) > 0)
    partner = best[rows]
    shared = areas.shared[rows, partner]
    unions = areas.true[rows] + areas.predicted[partner] - shared
    alone = np.delete(areas.true, rows).sum() + np.delete(areas.predicted, partner).sum()
    return float(shared.sum() / (unions.sum() + alone))


def their_pq(areas: Areas) -> float:
    matched = areas.iou[areas.iou > 0.5]
    return float(matched.sum() / (0.5 * (len(areas.true) + len(areas.predicted))))


def their_f1(areas: Areas) -> float:
    return float((areas.iou > 0.5).sum() / (0.5 * (len(areas.true) + len(areas.predicted))))


OURS: dict[str, Callable] = {"aji": aji, "pq": lambda table: panoptic_quality(table).pq, "f1": f1}
THEIRS: dict[str, Callable] = {"aji": their_aji, "pq": their_pq, "f1": their_f1}
TABLES = {"masks of objects": by_masks, "contingency table": by_table}


def objects(scale: Scale, names: tuple[str, ...]) -> Contest:
    """Metrics of one pair of label maps, from one table of areas."""
    maps = label_maps(*SIZES[scale])

    def call(table_of: Callable, formulas: Mapping[str, Callable]) -> Call:
        def metrics(number: int) -> list[float]:
            table = table_of(*maps)
            return [formulas[name](table) for name in names]

        return metrics

    rivals = {way: call(areas_of, THEIRS) for way, areas_of in TABLES.items()}
    return agreeing(Contest({"segjax": call(overlaps, OURS)}, rivals))


def pooled(scale: Scale) -> Contest:
    """Dice of the masks of several pictures, summed before the ratio."""
    maps = [label_maps(*SIZES[scale], seed) for seed in range(POOLED)]
    predictions, truths = (np.stack(part) > 0 for part in zip(*maps, strict=True))
    on_device = jax.device_put(predictions), jax.device_put(truths)
    compiled = jax.jit(counts)

    def by_sums(number: int) -> float:
        shared = sum(np.logical_and(p, t).sum() for p, t in zip(predictions, truths, strict=True))
        return 2 * shared / (predictions.sum() + truths.sum())

    def by_products(number: int) -> float:
        p, t = predictions.astype(np.float32), truths.astype(np.float32)
        return float(2 * (p * t).sum(dtype=np.float64) / (p.sum(dtype=np.float64) + t.sum(dtype=np.float64)))

    ours = {
        "segjax, on NumPy arrays": lambda number: float(dice(counts(predictions, truths).pooled())),
        "segjax, compiled": lambda number: float(dice(compiled(*on_device).pooled())),
    }
    return agreeing(Contest(ours, {"NumPy, booleans": by_sums, "NumPy, floats": by_products}))


def agreeing(contest: Contest) -> Contest:
    """The contest, after every way has given the same numbers."""
    results = {way: np.asarray(call(0)) for way, call in {**contest.ours, **contest.rivals}.items()}
    first = next(iter(results.values()))
    for way, result in results.items():
        np.testing.assert_allclose(result, first, rtol=1e-12, err_msg=way)
    return contest


def contests(scale: Scale) -> Contests:
    sets = [("aji",), ("pq",), ("f1",), ("aji", "pq", "f1")]
    return {f"pooled Dice, {POOLED} pictures": lambda: pooled(scale)} | {
        f"objects: {', '.join(names)}": lambda names=names: objects(scale, names) for names in sets
    }


def main() -> None:
    timing.command("metrics", __doc__, contests)


if __name__ == "__main__":
    main()
