"""How long one training step takes: forward, soft Dice, backward, Adam; ours against PyTorch on the same network.

    python -m experiments.benchmarks.training_step
    python -m experiments.benchmarks.training_step --only unet --rounds 21

U-Net, SegNet and MSD, three shapes each, float32, no normalisation, the same weights at the start, the same pictures,
the same cores. PyTorch runs in both memory formats, MSD in two ways of writing it, and the fastest counts: `ratio` is
its median over ours, so above 1 we are faster.

`gflop` are the operations of the convolutions forward and backward, counted by PyTorch's counter on its network (two
per multiplication and addition; the backward pass has the gradients of all weights and of all inputs but the pictures).
`gflop_per_s` is what a way achieves, `of_matmul` its share of the fastest float32 matrix product of this machine in
this run. Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

from experiments.benchmarks import timing
from experiments.benchmarks.matmul_rate import run_with_rates
from experiments.benchmarks.networks import CASES, LEARNING_RATE, Case, start, training
from experiments.benchmarks.timing import Contest, Contests, Scale
from experiments.benchmarks.torch_rivals import flops, trainings


def contests(scale: Scale) -> Contests:
    return {case.name: lambda case=case: contest(case) for case in CASES[scale]}


def contest(case: Case) -> Contest:
    steps, state, images, targets = start(case)
    given = (case.network, case.all_options, state.params, images, targets)
    rivals = trainings(*given, learning_rate=LEARNING_RATE)
    gflop = 1e-9 * flops(*given)
    return Contest({"segjax": training(steps, state, images, targets)}, rivals, {"gflop": timing.rounded(gflop)})


def main() -> None:
    run_with_rates("training_step", __doc__, contests)


if __name__ == "__main__":
    main()
