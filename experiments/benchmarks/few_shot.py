"""How long does the whole grid of one new type take, compared with scikit-learn, and how much memory do moments need?

    python -m experiments.benchmarks.few_shot
    python -m experiments.benchmarks.few_shot --rival-draws 2 --only grid

Grid: every draw x {1, 2, 3, 5, 7, 10} shots x 8 numbers of features, one logistic perceptron each, on cached features
of four untrained networks (96 maps) of simulated pictures with two kinds of nuclei; fitted to the shots, predicted and
counted on the query pictures. scikit-learn's LogisticRegression does the same fits one by one: the same penalty, the
chosen features only, float32, the solvers lbfgs and newton-cholesky with their own tolerance, and the latter with
1e-8, which is as good as the optimum. With fewer rival draws its time is scaled up. `dice` is the mean Dice of all
query pixels over the fits of the draws that both have; `difference` how far a fit of scikit-learn is from ours, on
average, and `largest_difference` at most.

Memory: class moments of 10 pictures of 512x512 pixels with 300 features, in a process of its own: `peak_mb` is what
was added to what the process held before, `stacked_mb` what the features together would take. Needs Linux, for /proc.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.memory import peak_bytes, resident_bytes
from experiments.benchmarks.timing import Row, Scale
from experiments.harness.start import run_command
from segjax.data import open_source
from segjax.evaluation import counts, dice
from segjax.evaluation.overlap import OverlapCounts
from segjax.fewshot import Extractor, FeatureBank
from segjax.fewshot.draws import Draws, draw_support
from segjax.fewshot.grid import FeatureSet, Grid, fit_grid
from segjax.fewshot.linear import Logistic
from segjax.models import create
from segjax.types import InputError

DATA = "microscope:mixed?size=sixth&volumes=16&slices=4&crop=64&seed=1"
TYPE = 2  # granulocytes
HEAD = Logistic(tolerance=1e-6)
SOLVERS: dict[str, dict[str, Any]] = {
    "lbfgs": {"solver": "lbfgs", "max_iter": 1000},
    "newton-cholesky": {"solver": "newton-cholesky"},
    "newton-cholesky to the optimum": {"solver": "newton-cholesky", "tol": 1e-8},
}


class Size(NamedTuple):
    """Pictures that may be shots, query pictures, networks, and the grid."""

    support: int
    query: int
    unet_width: int
    msd_depth: int
    shots: tuple[int, ...]
    features: tuple[int, ...]


SIZES: dict[Scale, Size] = {
    "full": Size(24, 8, 32, 15, (1, 2, 3, 5, 7, 10), (1, 2, 4, 8, 16, 32, 64, 96)),
    "smoke": Size(4, 2, 2, 5, (1, 2), (1, 16)),
}
MEMORY: dict[Scale, tuple[int, int, int]] = {"full": (10, 512, 299), "smoke": (2, 32, 5)}  # pictures, side, MSD layers


@dataclass(frozen=True)
class FewShotOptions:
    draws: int = 50
    """Number of draws of the shots."""
    rival_draws: int | None = None
    """Number of draws that scikit-learn fits. Default: all."""
    rounds: int = 3
    """Number of times that ours is timed, after a call that compiles; the median counts. scikit-learn is timed once."""
    threads: int | None = None
    """Number of cores for both. Default: all cores that this process may use."""
    out: Path = timing.RESULTS
    """Folder for the tables, few_shot.csv and few_shot_memory.csv."""
    only: Literal["both", "grid", "memory"] = "both"
    """Part to run. Default: both."""
    scale: Scale = "full"
    """smoke: tiny sizes, to see that everything runs; its times mean nothing."""

    def __post_init__(self) -> None:
        if self.draws < 1 or self.rounds < 1 or not 1 <= (self.rival_draws or 1) <= self.draws:
            raise InputError("draws and rounds must be at least 1, rival_draws from 1 to draws")


def untrained(name: str, seed: int, **options: Any) -> Extractor:
    """An extractor with the weights that training would start from, whose maps are as collinear as trained ones."""
    network = create(name, **options)
    quick = {"xla_backend_optimization_level": 0}
    init = jax.jit(network.init, compiler_options=quick)
    return Extractor(network, init(jax.random.key(seed), np.zeros((1, 64, 64, 1), np.float32)))


def cached(size: Size) -> tuple[FeatureBank, FeatureSet, FeatureSet]:
    """The bank, and features and targets of the support candidates and of the query."""
    source = open_source(DATA)
    samples = (source[index] for index in range(len(source)))
    shown = [sample for sample in samples if (sample.of_class(TYPE) > 0).sum() >= 20]
    wanted = size.support + size.query
    if len(shown) < wanted:
        raise InputError(f"{DATA}: only {len(shown)} pictures show the type, but {wanted} are needed")
    images = [sample.image for sample in shown[:wanted]]
    targets = np.stack([(sample.of_class(TYPE) > 0).astype(np.int32) for sample in shown[:wanted]])
    extractors = [untrained("unet", seed, width=size.unet_width, levels=2) for seed in (0, 1)]
    extractors += [untrained("msd", seed, depth=size.msd_depth) for seed in (2, 3)]
    bank = FeatureBank.standardised(extractors, images[: size.support])
    features = bank.stack(images)
    cut = size.support
    return bank, FeatureSet(features[:cut], targets[:cut]), FeatureSet(features[cut:], targets[cut:])


def fit_rows(options: FewShotOptions) -> list[Row]:
    """Rows of few_shot.csv."""
    from sklearn.linear_model import LogisticRegression

    size = SIZES[options.scale]
    bank, support, query = cached(size)
    draws = draw_support(jax.random.key(0), np.ones(size.support, bool), size.shots, options.draws)
    support_there, query_there = jax.device_put((support, query))

    def ours() -> Grid:
        key = jax.random.key(1)
        return fit_grid(key, HEAD, support_there, query_there, draws, size.features, "first", bank.variance)

    began = time.perf_counter()
    grid = ours()
    compiling = time.perf_counter() - began
    seconds = float(np.median([_seconds(ours) for _ in range(options.rounds)]))
    found = _dice(grid.at_zero)
    fits, timed = found.size, options.rival_draws or options.draws
    common: Row = {"fits": fits, "pictures": size.support, "features": len(bank)}
    first: Row = {
        "way": "segjax",
        "timed_fits": fits,
        "seconds": timing.rounded(seconds),
        "ms_per_fit": _ms(seconds, fits),
    }
    first |= {"ratio": 1.0, "dice": timing.rounded(float(np.nanmean(found[:timed])))}
    first |= {"difference": 0.0, "largest_difference": 0.0}
    rows = [first | {"first_call_seconds": timing.rounded(compiling)} | common]
    for solver, solving in SOLVERS.items():

        def fit(x, y, solving=solving):
            return LogisticRegression(C=1 / (HEAD.l2 * len(y)), **solving).fit(x, y)

        began = time.perf_counter()
        theirs = _loop(fit, support, query, draws, size, timed)
        taken = time.perf_counter() - began
        far = np.abs(theirs - found[:timed])
        row: Row = {"way": f"scikit-learn {solver}", "timed_fits": theirs.size, "seconds": timing.rounded(taken)}
        row |= {"ms_per_fit": _ms(taken, theirs.size), "ratio": timing.rounded(taken / theirs.size / seconds * fits)}
        row |= {"dice": timing.rounded(float(np.nanmean(theirs)))}
        row |= {"difference": timing.rounded(np.nanmean(far)), "largest_difference": timing.rounded(np.nanmax(far))}
        rows.append(row | common)
    return rows


def _loop(fit: Callable, support: FeatureSet, query: FeatureSet, draws: Draws, size: Size, timed: int) -> np.ndarray:
    """Dice [D, K, N] of the fits done one by one."""
    found = np.empty((timed, len(size.shots), len(size.features)))
    pixels = query.features.reshape(-1, query.features.shape[-1])
    for draw in range(timed):
        for place, shots in enumerate(size.shots):
            chosen = draws.support(draw, shots)
            x = support.features[chosen].reshape(-1, pixels.shape[1])
            y = support.targets[chosen].ravel()
            for number, count in enumerate(size.features):
                model = fit(np.ascontiguousarray(x[:, :count]), y)
                predicted = model.decision_function(pixels[:, :count]) > 0
                merged = counts(predicted.reshape(query.targets.shape), query.targets).pooled()
                found[draw, place, number] = float(dice(merged))
    return found


def _dice(found: OverlapCounts) -> np.ndarray:
    """Pooled Dice [D, K, N] of the query pictures."""
    return np.asarray(dice(OverlapCounts(*(part.astype(np.int64).sum(-1) for part in (found.tp, found.fp, found.fn)))))


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _ms(seconds: float, fits: int) -> float:
    return timing.rounded(1000 * seconds / fits)


def memory_row(scale: Scale) -> Row:
    """A row of few_shot_memory.csv; in a process that should have done nothing else before."""
    count, side, depth = MEMORY[scale]
    generator = np.random.default_rng(0)
    images = [generator.random((side, side, 1), np.float32) for _ in range(count)]
    targets = [(image[..., 0] > 0.9).astype(np.int32) for image in images]
    bank = FeatureBank.standardised([untrained("msd", 0, depth=depth)], images[:1])
    before = resident_bytes()
    began = time.perf_counter()
    moments = bank.moments(images, targets)
    row: Row = {"pictures": count, "side": side, "features": len(bank)}
    row |= {"seconds": timing.rounded(time.perf_counter() - began), "before_mb": timing.rounded(before / 1e6)}
    row |= {
        "peak_mb": timing.rounded((peak_bytes() - before) / 1e6),
        "moments_mb": timing.rounded(moments.nbytes / 1e6),
    }
    return row | {"stacked_mb": timing.rounded(4 * count * side * side * len(bank) / 1e6)}


def main() -> None:
    def body() -> None:
        options = tyro.cli(FewShotOptions, description=__doc__)
        timing.limit_cores(options.threads)
        header = timing.header_of("few_shot")
        if options.only != "memory":
            timing.report("few_shot", header, fit_rows(options), options.out)
        if options.only != "grid":
            if not sys.platform.startswith("linux"):
                raise InputError("memory: it is read from /proc, which only Linux has; give --only grid")
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                row = pool.submit(memory_row, options.scale).result()
            timing.report("few_shot_memory", header, [row], options.out)

    run_command(body)


if __name__ == "__main__":
    main()
