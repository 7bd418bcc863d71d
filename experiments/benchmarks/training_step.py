"""How long does a training step take (forward, soft Dice, backward, Adam), compared with PyTorch on the same network?

    python -m experiments.benchmarks.training_step
    python -m experiments.benchmarks.training_step --only unet --rounds 21
    python -m experiments.benchmarks.training_step --published --precision float32 tf32 bfloat16    # on a GPU

U-Net, SegNet and MSD, three shapes each, no normalisation, the same weights at the start, the same pictures, the same
cores or the same GPU. PyTorch runs in both memory formats, MSD in two ways of writing it, and the fastest counts:
`ratio` is its median over ours, so above 1 we are faster. With `--published` networks have their published sizes and
pictures 256x256, 512x512 and 565x807 pixels.

`gflop` are the operations of the convolutions forward and backward, counted by PyTorch's counter on its network (two
per multiplication and addition; the backward pass has the gradients of all weights and of all inputs but the pictures).
`gflop_per_s` is what a way achieves, `of_matmul` its share of the fastest matrix product of this machine in this run
and precision. Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

from experiments.benchmarks import timing
from experiments.benchmarks.matmul_rate import run_with_rates
from experiments.benchmarks.networks import LEARNING_RATE, Case, NetworkOptions, cases, start, training_call
from experiments.benchmarks.timing import Contest, Contests
from experiments.benchmarks.torch_rivals import flops, trainings


def contests(options: NetworkOptions) -> Contests:
    return {case.name: lambda case=case: training_contest(case) for case in cases(options)}


def training_contest(case: Case) -> Contest:
    steps, state, images, targets = start(case)
    given = (case.network, case.all_options, state.params, images, targets)
    rivals = {
        way: lambda number, step=step: float(step(number))
        for way, step in trainings(*given, learning_rate=LEARNING_RATE, precision=case.precision).items()
    }
    facts = {"precision": case.precision, "gflop": timing.rounded(1e-9 * flops(*given))}
    return Contest({"segjax": training_call(steps, state, images, targets)}, rivals, facts)


def main() -> None:
    run_with_rates("training_step", __doc__, contests)


if __name__ == "__main__":
    main()
