"""How fast this machine multiplies matrices, and the rates of networks beside it."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.networks import NetworkOptions, Precision, set_products
from experiments.benchmarks.timing import Contests, Row
from experiments.benchmarks.torch_rivals import computing, device, finished
from experiments.harness.start import run_command
from segjax.training.parallel import cores

TRIES = 7


def matrix_sides(options: NetworkOptions) -> tuple[int, ...]:
    """Sides of the matrices, large enough for the machine that the options speak of."""
    if options.published:
        return 4096, 8192
    return (1024, 2048, 4096) if options.scale == "full" else (32,)


def matmul_rate(sides: tuple[int, ...], precision: Precision) -> float:
    """GFLOP/s of the fastest of several products of square matrices, 2 n^3 operations each, by JAX and PyTorch.

    The best single time counts, because this is what the machine can do, not what it does on average.
    """
    torch.set_num_threads(cores())
    set_products(precision)
    product = jax.jit(jnp.matmul)
    number = jnp.bfloat16 if precision == "bfloat16" else jnp.float32

    def theirs(x: torch.Tensor) -> None:
        with computing(precision):
            finished(x @ x)

    best = 0.0
    for side in sides:
        matrix = jax.random.normal(jax.random.key(0), (side, side), number)
        rival = torch.randn(side, side, device=device())
        if precision == "bfloat16":
            rival = rival.bfloat16()
        fastest = min(_fastest(lambda x: product(x, x).block_until_ready(), matrix), _fastest(theirs, rival))
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


def with_rates(rows: list[Row], rates: dict[Precision, float]) -> list[Row]:
    """The rows with the rate achieved, in GFLOP/s and as a share of the machine's rate in their precision."""
    rows_with_rates = []
    for row in rows:
        achieved = 1000 * float(row["gflop"]) / float(row["median_ms"])
        share = achieved / rates[row["precision"]]  # type: ignore[index]
        rows_with_rates.append(row | {"gflop_per_s": timing.rounded(achieved), "of_matmul": timing.rounded(share)})
    return rows_with_rates


def run_with_rates(name: str, description: str | None, contests: Callable[[NetworkOptions], Contests]) -> None:
    """A command whose contests know their `precision` and `gflop`: times, and the rates beside them."""

    def body() -> None:
        options = tyro.cli(NetworkOptions, description=description)
        header = timing.begin(name, options)

        def measured_rates() -> list[float]:
            return [matmul_rate(matrix_sides(options), precision) for precision in options.precision]

        before = measured_rates()
        keep = timing.unfinished(name, header, options.out)
        rows = timing.measure(timing.chosen(contests(options), options.only), options.rounds, keep)
        rates = list(zip(before, measured_rates(), strict=True))
        for precision, pair in zip(options.precision, rates, strict=True):
            header[f"fastest matrix product, {precision}, before and after"] = "{:.0f} and {:.0f} GFLOP/s".format(*pair)
        fastest = dict(zip(options.precision, map(max, rates), strict=True))
        timing.report(name, header, with_rates(rows, fastest), options.out)

    run_command(body)
