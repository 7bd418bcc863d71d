"""How long one step of several small U-Nets takes that share shapes but not weights: a pack of members.

    python -m experiments.benchmarks.packs
    python -m experiments.benchmarks.packs --only "pack of 8,"

1, 2, 4, 8 and 16 U-Nets of width 8 with 3 levels, each on its own 4 pictures of 64x64: one after the other through one
compiled step, the same spread over cores as `fit_pack` does, jax.vmap of the step with our convolutions, plain jax.vmap
with the library's convolution (on CPU a trap: it becomes grouped convolutions); PyTorch
one after the other in both memory formats. Times are for one step of the whole pack. `ratio` is the faster PyTorch over
each way, above 1 faster than PyTorch. Needs the extra `bench`: make bench, or pip install -e '.[bench]'.
"""

from experiments.benchmarks import timing
from experiments.benchmarks.networks import LEARNING_RATE, Case
from experiments.benchmarks.pack_strategies import CASES, MEMBERS, STRATEGIES, Pack, pack_of
from experiments.benchmarks.timing import Call, Contest, Contests, Scale
from experiments.benchmarks.torch_rivals import trainings


def contests(scale: Scale) -> Contests:
    case = CASES[scale]
    return {
        f"pack of {members}, {case.name}": lambda members=members: contest(case, members) for members in MEMBERS[scale]
    }


def contest(case: Case, members: int) -> Contest:
    ours = {way: strategy(pack_of(case, members)) for way, strategy in STRATEGIES.items()}
    return Contest(ours, rivals(pack_of(case, members), case), {"members": members})


def rivals(pack: Pack, case: Case) -> dict[str, Call]:
    """PyTorch, one member after the other."""
    per_member = [
        trainings(case.network, case.all_options, state.params, images, targets, learning_rate=LEARNING_RATE)
        for state, images, targets in zip(pack.states, pack.images, pack.targets, strict=True)
    ]
    return {
        way: lambda number, calls=[ways[way] for ways in per_member]: [call(number) for call in calls]
        for way in per_member[0]
    }


def main() -> None:
    timing.command("packs", __doc__, contests)


if __name__ == "__main__":
    main()
