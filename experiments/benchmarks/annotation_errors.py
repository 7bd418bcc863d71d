"""How long it takes to draw annotation errors: one 512x512 label map with 100 objects, and 256 draws of it at once.

    python -m experiments.benchmarks.annotation_errors

Ours runs compiled; the rival is the same operation written with NumPy and SciPy (lookup tables for the objects, the
separable maximum filter for the outline, which is faster than repeated binary dilation). All are timed in turn, round
by round, in one process; the median over the rounds is reported, per draw.
"""

import csv
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from scipy import ndimage

from experiments.provenance import comment, provenance
from segjax.annotations import Recipe, bias, degrade, inclusion, omission

SIDE, OBJECTS_PER_ROW, Q_MAX, KEYS, CALLS = 512, 10, 6, 256, 5
OMITTED, INCLUDED = 0.3, 0.3


@dataclass(frozen=True)
class Config:
    """Timing of the annotation errors.

    Attributes:
        rounds: every operation is timed once per round, with a key of its own.
        out: where the table is written.
    """

    rounds: int = 21
    out: Path = Path("experiments/results/benchmarks/annotation_errors.csv")


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


def numpy_bias(generator, mask, q_max):
    change = ndimage.maximum_filter if generator.random() < 0.5 else ndimage.minimum_filter
    return change(mask.view(np.uint8), size=2 * generator.integers(1, q_max + 1) + 1).view(bool)


def numpy_degrade(generator, labels, extra):
    kept = numpy_omission(generator, labels, OMITTED)
    return numpy_bias(generator, numpy_inclusion(generator, kept, extra, INCLUDED) > 0, Q_MAX)


def operations(rounds: int) -> dict[str, tuple[Callable, Callable, int]]:
    """Name -> (ours, the rival's, draws per call of ours); both are called with the number of the round."""
    labels, extra = label_map(0), label_map(OBJECTS_PER_ROW)
    mask = labels > 0
    recipe = Recipe(omission=OMITTED, inclusion=INCLUDED, bias=Q_MAX)
    on_device = [jax.device_put(array) for array in (labels, extra, mask)]
    drawn = {
        "omission": lambda key, labels, extra, mask: omission(key, labels, OMITTED),
        "inclusion": lambda key, labels, extra, mask: inclusion(key, labels, extra, INCLUDED),
        "bias": lambda key, labels, extra, mask: bias(key, mask, Q_MAX),
        "degrade": lambda key, labels, extra, mask: degrade(key, labels, recipe, extra),
    }
    rivals = {
        "omission": lambda generator: numpy_omission(generator, labels, OMITTED),
        "inclusion": lambda generator: numpy_inclusion(generator, labels, extra, INCLUDED),
        "bias": lambda generator: numpy_bias(generator, mask, Q_MAX),
        "degrade": lambda generator: numpy_degrade(generator, labels, extra),
    }
    keys = [jax.random.key(number) for number in range(rounds)]
    key_sets = [jax.random.split(key, KEYS) for key in keys]
    table: dict[str, tuple[Callable, Callable, int]] = {}
    for name, draw in drawn.items():
        one, many = jax.jit(draw), jax.jit(jax.vmap(draw, in_axes=(0, None, None, None)))
        rival = rivals[name]
        table[name] = (
            lambda i, one=one: jax.block_until_ready(one(keys[i], *on_device)),
            lambda i, rival=rival: rival(np.random.default_rng(i)),
            1,
        )
        table[f"{name}, vmap over {KEYS} keys"] = (
            lambda i, many=many: jax.block_until_ready(many(key_sets[i], *on_device)),
            table[name][1],
            KEYS,
        )
    return table


def microseconds(call: Callable, number: int, calls: int) -> float:
    """Mean over consecutive calls, after one that is not timed: what ran before has emptied the caches."""
    call(number)
    start = time.perf_counter()
    for _ in range(calls):
        call(number)
    return 1e6 * (time.perf_counter() - start) / calls


def measure(rounds: int) -> list[dict[str, str | float]]:
    timed = operations(rounds)
    for ours, _, _ in timed.values():
        ours(0)
    ours_us: dict[str, list[float]] = {name: [] for name in timed}
    rival_us: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds):
        for name, (ours, rival, draws) in timed.items():
            ours_us[name].append(microseconds(ours, number, CALLS if draws == 1 else 1) / draws)
            rival_us[name].append(microseconds(rival, number, CALLS))
    rows: list[dict[str, str | float]] = []
    for name in timed:
        mine, other = float(np.median(ours_us[name])), float(np.median(rival_us[name]))
        rows.append(
            {
                "operation": name,
                "ours_us": round(mine, 1),
                "numpy_scipy_us": round(other, 1),
                "ratio": round(other / mine, 2),
            }
        )
    return rows


def main(config: Config) -> None:
    rows = measure(config.rounds)
    print(f"{'operation':32}{'ours us':>12}{'NumPy/SciPy us':>18}{'ratio':>9}")
    for row in rows:
        print(f"{row['operation']:32}{row['ours_us']:12}{row['numpy_scipy_us']:18}{row['ratio']:9}")
    facts = provenance(" ".join(["python -m experiments.benchmarks.annotation_errors", *sys.argv[1:]]))
    facts["unit"] = (
        f"microseconds per draw of {SIDE}x{SIDE} pixels with {OBJECTS_PER_ROW**2} objects, medians; "
        "ratio is numpy_scipy_us / ours_us; machine shared with other work while timing"
    )
    print(comment(facts), end="")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    with config.out.open("w", newline="") as file:
        file.write(comment(facts))
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(tyro.cli(Config))
