"""How long does one training step of a pack take: several small U-Nets with the same shapes but their own weights?

    python -m experiments.benchmarks.packs
    python -m experiments.benchmarks.packs --only "pack of 8,"
    python -m experiments.benchmarks.packs --precision float32 tf32 bfloat16    # on a GPU

1, 2, 4, 8 and 16 U-Nets of width 8 with 3 levels, each on its own 4 pictures of 64x64 (`--published`: of width 64 with
4 levels, 128x128): one after the other through one compiled step, the same spread over cores or devices as `fit_pack`
does, jax.vmap of the step with our convolutions, plain jax.vmap with the library's convolution (on CPU a trap: it
becomes grouped convolutions); PyTorch one after the other in both memory formats, its losses read at the end like ours.
Times are for one step of the whole pack. `ratio` is the faster PyTorch over each way, above 1 faster than PyTorch.
Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

import tyro

from experiments.benchmarks import timing
from experiments.benchmarks.networks import LEARNING_RATE, Case, NetworkOptions
from experiments.benchmarks.pack_strategies import MEMBERS, STRATEGIES, Pack, pack_cases, pack_of
from experiments.benchmarks.timing import Call, Contest, Contests
from experiments.benchmarks.torch_rivals import trainings
from experiments.harness.start import run_command


def contests(options: NetworkOptions) -> Contests:
    return {
        f"pack of {members}, {case.name}": lambda case=case, members=members: pack_contest(case, members)
        for case in pack_cases(options)
        for members in MEMBERS[options.scale]
    }


def pack_contest(case: Case, members: int) -> Contest:
    ours = {way: strategy(pack_of(case, members)) for way, strategy in STRATEGIES.items()}
    return Contest(ours, torch_packs(pack_of(case, members), case), {"members": members, "precision": case.precision})


def torch_packs(pack: Pack, case: Case) -> dict[str, Call]:
    """PyTorch, one member after the other."""
    per_member = [
        trainings(
            case.network, case.all_options, state.params, images, targets, LEARNING_RATE, precision=case.precision
        )
        for state, images, targets in zip(pack.states, pack.images, pack.targets, strict=True)
    ]
    return {way: step_of_all([ways[way] for ways in per_member]) for way in per_member[0]}


def step_of_all(steps: list[Call]) -> Call:
    """A step of every member, then their losses."""

    def step(number: int) -> list[float]:
        losses = [member(number) for member in steps]
        return [float(loss) for loss in losses]  # type: ignore[arg-type]

    return step


def main() -> None:
    def body() -> None:
        options = tyro.cli(NetworkOptions, description=__doc__)
        header = timing.begin("packs", options)
        keep = timing.unfinished("packs", header, options.out)
        rows = timing.measure(timing.chosen(contests(options), options.only), options.rounds, keep)
        timing.report("packs", header, rows, options.out)

    run_command(body)


if __name__ == "__main__":
    main()
