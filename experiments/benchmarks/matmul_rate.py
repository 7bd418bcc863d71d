"""How fast this machine multiplies matrices, and the rates of networks beside it."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Contests, Options, Row, Scale
from experiments.cli import run_command
from segjax.training import cores

SIDES: dict[Scale, tuple[int, ...]] = {"full": (1024, 2048, 4096), "smoke": (32,)}
TRIES = 7


def matmul_rate(scale: Scale) -> float:
    """GFLOP/s of the fastest of several float32 products of square matrices, 2 n^3 operations each, by JAX and PyTorch.

    The best single time counts, because this is what the machine can do, not what it does on average.
    """
    torch.set_num_threads(cores())
    product = jax.jit(jnp.matmul)
    best = 0.0
    for side in SIDES[scale]:
        ours, theirs = jnp.ones((side, side)), torch.ones(side, side)
        fastest = min(_fastest(lambda x: product(x, x).block_until_ready(), ours), _fastest(lambda x: x @ x, theirs))
        best = max(best, 2e-9 * side**3 / fastest)
    return best


def _fastest(multiply: Callable, matrix: object) -> float:
    """Seconds, after one call that is not timed."""
    multiply(matrix)
    times = []
    for _ in range(TRIES):
        begun = time.perf_counter()
        multiply(matrix)
        times.append(time.perf_counter() - begun)
    return min(times)


def with_rates(rows: list[Row], rate: float) -> list[Row]:
    """The rows with the rate achieved, in GFLOP/s and as a share of `rate`."""

    rows_with_rates = []
    for row in rows:
        achieved = 1000 * float(row["gflop"]) / float(row["median_ms"])
        rows_with_rates.append(
            row | {"gflop_per_s": timing.rounded(achieved), "of_matmul": timing.rounded(achieved / rate)}
        )
    return rows_with_rates


def run_with_rates(name: str, description: str | None, contests: Callable[[Scale], Contests]) -> None:
    """A command whose contests know their `gflop`: as `timing.command`, with the rates beside the times."""

    def body() -> None:
        options = tyro.cli(Options, description=description)
        header = timing.begin(name, options)
        rates = [matmul_rate(options.scale)]
        rows = timing.measure(timing.chosen(contests(options.scale), options.only), options.rounds)
        rates.append(matmul_rate(options.scale))
        header["fastest matrix product, before and after"] = f"{rates[0]:.0f} and {rates[1]:.0f} GFLOP/s"
        timing.report(name, header, with_rates(rows, max(rates)), options.out)

    run_command(body)
