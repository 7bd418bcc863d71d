"""How do time and memory of a training step grow with pixels, width of the network and size of the pack?

    python -m experiments.benchmarks.growth
    python -m experiments.benchmarks.growth --only pixels --rounds 5

One picture of 64x64 to 512x512 for U-Net (width 8, 4 levels) and MSD (depth 30); U-Nets of width 4 to 32 on 128x128;
packs of 1 to 16 small U-Nets one after the other. Writes growth.csv and the figure growth.svg. All points of a curve
are timed in turn, round by round. `planned_mb` is what XLA plans for the compiled step (arguments, results and
temporaries; MB are 10^6 bytes), for a pack together with the states of the other members. `time_exponent` and
`memory_exponent` are the a of cost ~ size^a fitted to all points of a curve: 1 is linear. Small sizes have fixed costs,
so the exponents lie below those of large sizes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import pandas as pd
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.memory import planned_bytes
from experiments.benchmarks.networks import Case, start, training_call
from experiments.benchmarks.pack_strategies import CASES, MEMBERS, STRATEGIES, pack_of
from experiments.benchmarks.timing import Call, Contest, Row, Scale, TimingOptions
from experiments.harness.start import run_command
from segjax.files import write_file
from segjax.reports.charts import svg
from segjax.reports.growth import fitted_exponent, growth

SIDES: dict[Scale, tuple[int, ...]] = {"full": (64, 128, 256, 512), "smoke": (8, 16)}
WIDTHS: dict[Scale, tuple[int, ...]] = {"full": (4, 8, 16, 32), "smoke": (2, 3)}
NETWORKS: dict[Scale, dict[str, dict[str, int]]] = {
    "full": {"unet": {"width": 8, "levels": 4}, "msd": {"depth": 30}},
    "smoke": {"unet": {"width": 2, "levels": 1}, "msd": {"depth": 2}},
}
STRATEGY = "one after the other"
COSTS = {"median_ms": "one training step, ms", "planned_mb": "planned memory, MB"}


@dataclass(frozen=True)
class Point:
    """One size of a curve: the training step there, and the bytes XLA plans for it."""

    size: int
    call: Call
    planned: int


@dataclass(frozen=True)
class GrowthCurve:
    """A cost against one kind of size."""

    name: str
    quantity: str
    make: Callable[[], list[Point]]


def curves(scale: Scale) -> list[GrowthCurve]:
    """All curves; nothing is compiled before `make` is called."""
    networks = NETWORKS[scale]
    by_side = {
        network: [Case(network, options, (side, side), 1) for side in SIDES[scale]]
        for network, options in networks.items()
    }
    size = (SIDES[scale][1],) * 2
    widths = [Case("unet", {**networks["unet"], "width": width}, size, 1) for width in WIDTHS[scale]]
    found = [
        GrowthCurve(network, "pixels", lambda cases=cases: [step_point(case, math.prod(case.size)) for case in cases])
        for network, cases in by_side.items()
    ]
    found.append(GrowthCurve("unet", "width", lambda: [step_point(case, case.options["width"]) for case in widths]))
    found.append(
        GrowthCurve("unet", "members", lambda: [pack_point(CASES[scale], members) for members in MEMBERS[scale]])
    )
    return found


def step_point(case: Case, size: int) -> Point:
    steps, state, images, targets = start(case)
    compiled = steps.train.lower(state, images, targets).compile()  # type: ignore[attr-defined]
    return Point(size, training_call(replace(steps, train=compiled), state, images, targets), planned_bytes(compiled))


def pack_point(case: Case, members: int) -> Point:
    pack = pack_of(case, members)
    compiled = pack.steps.train.lower(pack.states[0], pack.images[0], pack.targets[0]).compile()  # type: ignore[attr-defined]
    waiting = (members - 1) * sum(leaf.nbytes for leaf in jax.tree.leaves(pack.states[0]))
    pack = replace(pack, steps=replace(pack.steps, train=compiled))
    return Point(members, STRATEGIES[STRATEGY](pack), planned_bytes(compiled) + waiting)


def curve_rows(curve: GrowthCurve, rounds: int) -> list[Row]:
    """One row per point, and the exponents of the whole curve in each of them."""
    points = curve.make()
    contest = Contest({str(point.size): point.call for point in points}, {})
    times = timing.measure({f"{curve.name}, {curve.quantity}": lambda: contest}, rounds)
    rows: list[Row] = [
        {
            "curve": curve.name,
            "quantity": curve.quantity,
            "size": point.size,
            **{column: row[column] for column in ("rounds", "median_ms", "low_ms", "high_ms")},
            "planned_mb": timing.rounded(point.planned / 1e6),
        }
        for point, row in zip(points, times, strict=True)
    ]
    sizes = [point.size for point in points]
    exponents: Row = {
        name: timing.rounded(fitted_exponent(sizes, [float(row[column]) for row in rows]))
        for name, column in (("time_exponent", "median_ms"), ("memory_exponent", "planned_mb"))
    }
    return [row | exponents for row in rows]


def main() -> None:
    def body() -> None:
        options = tyro.cli(TimingOptions, description=__doc__)
        header = timing.begin("growth", options)
        named = {f"{curve.name}, {curve.quantity}": curve for curve in curves(options.scale)}
        rows = [
            row for curve in timing.chosen(named, options.only).values() for row in curve_rows(curve, options.rounds)
        ]
        path = timing.report("growth", header, rows, options.out)
        write_file(path.with_suffix(".svg"), svg(growth(pd.DataFrame(rows), COSTS)))

    run_command(body)


if __name__ == "__main__":
    main()
