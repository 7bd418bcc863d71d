"""How long does it take to predict the class of every pixel, compared with PyTorch on the same network?

    python -m experiments.benchmarks.inference
    python -m experiments.benchmarks.inference --only segnet --threads 1
    python -m experiments.benchmarks.inference --published --precision float32 tf32 bfloat16    # on a GPU

Networks, shapes and columns are those of the benchmark training_step, operations counted for the forward pass alone.
Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

import jax

from experiments.benchmarks import timing
from experiments.benchmarks.matmul_rate import run_with_rates
from experiments.benchmarks.networks import Case, NetworkOptions, cases, start
from experiments.benchmarks.timing import Contest, Contests
from experiments.benchmarks.torch_rivals import flops, predictions


def contests(options: NetworkOptions) -> Contests:
    return {case.name: lambda case=case: prediction_contest(case) for case in cases(options)}


def prediction_contest(case: Case) -> Contest:
    steps, state, images, _ = start(case)
    given = (case.network, case.all_options, state.params, images)
    pictures, variables = jax.device_put(images), state.variables
    ours = {"segjax": lambda number: steps.predict(variables, pictures).block_until_ready()}
    facts = {"precision": case.precision, "gflop": timing.rounded(1e-9 * flops(*given))}
    return Contest(ours, predictions(*given, case.precision), facts)


def main() -> None:
    run_with_rates("inference", __doc__, contests)


if __name__ == "__main__":
    main()
