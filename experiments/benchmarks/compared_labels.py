"""Does `compare_labels` find the errors that were made? Estimated against true strengths on degraded simulated labels.

    python -m experiments.benchmarks.compared_labels

Round cells of two classes, most of which touch others, are drawn at random. Each study degrades its own set of pictures
with a known recipe, a coin per object, and estimates the recipe from both. `true` is what was set, `estimate` the mean
of the estimates over the studies, `covered` the share of studies whose 95 % interval holds the true value. `alone` has
one error at a time, `together` has all of them but inclusion, for which every other cell is a foreign one. Below 0.95,
less the chance of few studies, an interval is too narrow or its centre is off: errors that hide each other, such as a
cell that is missing and merged, do so.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Row, Scale
from experiments.compare_labels.estimate import Found, compare
from experiments.harness.start import run_command
from segjax.annotations import Recipe, annotate
from segjax.evaluation import Interval
from segjax.types import Sample

SIDE, CELLS, RADII = 160, 60, (7, 11)  # pixels, cells tried per picture, pixels
STUDIES: dict[Scale, tuple[int, int]] = {"full": (10, 6), "smoke": (1, 5)}  # studies, pictures of each
ALONE: dict[str, tuple[float, ...]] = {
    "omission": (0.02, 0.1, 0.3),
    "inclusion": (0.02, 0.1, 0.3),
    "merge": (0.05, 0.2, 0.5),
    "split": (0.02, 0.1, 0.3),
    "confusion": (0.05, 0.2),
    "jitter": (0.5, 1.0, 2.0),
}
TOGETHER: dict[str, Any] = {"omission": 0.1, "merge": 0.1, "split": 0.05, "confusion": 0.1, "jitter": 1.0}
KINDS = {
    "omission": "missing",
    "inclusion": "additional",
    "merge": "merged",
    "split": "split",
    "confusion": "other_class",
}


@dataclass(frozen=True)
class ComparedOptions:
    out: Path = timing.RESULTS
    """Folder for the table, compared_labels.csv."""
    scale: Scale = "full"
    """smoke: a few studies, to see that everything runs."""


def picture(draws: np.random.Generator, name: str) -> Sample:
    """Discs at random places; a later one takes what earlier ones left, if that is most of it."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    labels, count = np.zeros((SIDE, SIDE), np.int32), 0
    for _ in range(CELLS):
        row, column = draws.integers(0, SIDE, 2)
        disc = np.hypot(rows - row, columns - column) < draws.uniform(*RADII)
        if (labels[disc] == 0).mean() > 0.85:
            count += 1
            labels[disc & (labels == 0)] = count
    classes = draws.integers(1, 3, count).astype(np.int32)
    return Sample(np.zeros((SIDE, SIDE, 1), np.float32), labels, classes, name, name)


def study(seed: int, pictures: int, recipe: Recipe) -> Found:
    """What is found in one set of pictures and their degraded annotation."""
    draws, pairs = np.random.default_rng(seed), []
    for index in range(pictures):
        clean = picture(draws, f"{index}")
        if recipe.inclusion:
            pairs.append(included(draws, clean, recipe.inclusion))
            continue
        key = jax.random.fold_in(jax.random.key(seed), index)
        drawn = annotate(key, clean.labels, recipe, clean.classes, class_count=2, max_objects=CELLS)
        other: dict[str, Any] = drawn._asdict()
        pairs.append((clean, dataclasses.replace(clean, **other)))
    return compare(pairs, has_classes=not recipe.inclusion)


def included(draws: np.random.Generator, whole: Sample, rate: float) -> tuple[Sample, Sample]:
    """A picture of which only the cells with odd ids are clean labels, and the same with some of the others marked."""
    foreign = (whole.labels > 0) & (whole.labels % 2 == 0)
    marked = draws.random(whole.labels.max() + 1)[whole.labels] < rate
    clean = dataclasses.replace(whole, labels=np.where(foreign, 0, whole.labels))
    return clean, dataclasses.replace(whole, labels=np.where(foreign & ~marked, 0, whole.labels))


def of_error(found: Found, error: str) -> Interval:
    """What was estimated of an error of a recipe."""
    return found.jitter if error == "jitter" else found.rates[KINDS[error]]


def rows(studies: int, pictures: int) -> list[Row]:
    """One row per error and true strength."""
    cases: list[tuple[str, dict[str, Any]]] = [
        ("alone", {error: level}) for error, levels in ALONE.items() for level in levels
    ]
    found: list[Row] = []
    for case, strengths in [*cases, ("together", TOGETHER)]:
        recipe = Recipe(**strengths, scope="object")
        results = [study(seed, pictures, recipe) for seed in range(studies)]
        for error, true in strengths.items():
            estimates = [of_error(one, error) for one in results]
            covered = np.mean([one.low <= true <= one.high for one in estimates])
            means = {
                name: float(np.mean([getattr(one, name) for one in estimates])) for name in ("mean", "low", "high")
            }
            shown = {name: timing.rounded(value) for name, value in means.items()}
            row: Row = {"case": case, "error": error, "true": true, "estimate": shown["mean"]}
            row |= {"low": shown["low"], "high": shown["high"], "covered": timing.rounded(float(covered))}
            found.append({**row, "studies": studies, "pictures": pictures})
    return found


def main() -> None:
    def body() -> None:
        options = tyro.cli(ComparedOptions, description=__doc__)
        header = timing.header_of("compared_labels")
        timing.report("compared_labels", header, rows(*STUDIES[options.scale]), options.out)

    run_command(body)


if __name__ == "__main__":
    main()
