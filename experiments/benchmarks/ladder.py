"""How good is segmentation without networks, and up to how many annotated pictures does a forest beat a network?

    python -m experiments.benchmarks.ladder
    python -m experiments.benchmarks.ladder --data 'folder:my_nuclei?crop=96' --annotated 1 5 20

Of each set, pictures are chosen by lot among those of the training groups that show an object of class 1; fewer are
among more. The forest and a U-Net learn from the same ones. The U-Net (width 8, 3 levels, GroupNorm, both losses, turns
and flips) trains until its loss on a fifth of the pictures, at least one, has stopped gaining for 10 epochs of at least
16 pictures; with one annotated picture, this one has both parts. The other rungs of the ladder are fitted to
`RUNGS_AT` of them. Dice is that of all test pictures pooled. Every test set of a simulated set has pictures of its own
to learn from, too; those of a folder are folds of its groups. A row gives the mean over test sets with its 95 %
interval. The rows of the forest also have its Dice minus that of the U-Net, in points, with the verdict of the rule of
decisions; the numbers of pictures of one set are one family.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

from experiments.benchmarks.timing import RESULTS, Row, Scale, header_of, report, rounded, unfinished
from experiments.harness.ladder import fitted
from experiments.harness.networks import pooled_dice
from experiments.harness.options import DataOptions
from experiments.harness.pictures import Domain, Splitting, open_target, read_domain
from experiments.harness.start import run_command
from segjax.classical import LADDER
from segjax.evaluation import decide, interval
from segjax.models import create
from segjax.training import LoopConfig, Pictures, StepConfig, Steps, fit, make_steps, predict
from segjax.types import InputError

DATA = (
    "microscope:mixed?size=quarter&volumes=10&slices=6&crop=96",
    "folder:../shared/data/cells_instances?groups=experiments/cells_instances_kinds.csv&keep=fluorescence&channels=1&crop=96",
    "microscope:tissue?size=quarter&volumes=10&slices=6&crop=96",
    "terrain:mounds?pixels=96&metres=4.43&sheets=10&pictures=6&without=0",
)
TEST_SETS = 5
RUNGS_AT = 10
EPOCH = 16  # fewest pictures of an epoch
UNET, FOREST = "unet", "forest"


@dataclass(frozen=True)
class LadderOptions:
    data: tuple[str, ...] = DATA
    """Data specs of the pictures."""
    annotated: tuple[int, ...] = (1, 2, 5, 10, 20, 40)
    """Numbers of annotated pictures."""
    out: Path = RESULTS
    """Folder for the table, ladder.csv."""
    scale: Scale = "full"
    """smoke: two test sets of the first pictures and a few epochs, to see that everything runs."""


Values = dict[tuple[int, str], list[float]]  # by number of annotated pictures and method: Dice of each test set


def main(options: LadderOptions) -> None:
    """Print the rows, and keep them as OUT/ladder.csv.

    Raises:
        InputError: pictures that cannot be read, or too few of them.
    """
    is_smoke, header = options.scale == "smoke", header_of("ladder")
    keep, rows = unfinished("ladder", header, options.out), list[Row]()
    for spec in options.data[:1] if is_smoke else options.data:
        source = DataOptions(spec, folds=TEST_SETS, replicates=2 if is_smoke else TEST_SETS)
        domain = read_domain(open_target(source, 1), Splitting.of(source), 1)
        found: Values = {}
        for seed in range(source.replicates):
            for count, method, value in values(domain, seed, options.annotated, 2 if is_smoke else 400):
                found.setdefault((count, method), []).append(value)
            keep([*rows, *rows_of(spec, domain, found)])
        rows += rows_of(spec, domain, found)
    report("ladder", header, rows, options.out)


def values(domain: Domain, seed: int, numbers: Sequence[int], epochs: int) -> Iterator[tuple[int, str, float]]:
    """Number of annotated pictures, method and Dice of one test set."""
    split = domain.split(seed)
    shown = [index for index in (*split.train, *split.validation) if domain.labels[index].any()]
    if len(shown) < max(numbers):
        raise InputError(
            f"annotated: {domain.source.spec} has {len(shown)} pictures of the training groups that show an object, "
            f"fewer than {max(numbers)}; give fewer"
        )
    order, test = np.random.default_rng(seed).permutation(shown), np.asarray(split.test)
    targets = np.where(domain.ignored, -1, domain.labels > 0).astype(np.int32)
    images, truth = domain.images[test], (targets[test] == 1)
    steps = unet_steps()
    for count in numbers:
        chosen = order[:count]
        pictures = Pictures(domain.images[chosen], targets[chosen])
        for rung in LADDER if count == RUNGS_AT else (FOREST,):
            masks = fitted(rung, seed, pictures).masks(images)
            yield count, rung, pooled_dice(masks & (targets[test] != -1), truth)
        yield count, UNET, pooled_dice(by_unet(steps, seed, pictures, epochs, images) & (targets[test] != -1), truth)


def unet_steps() -> Steps:
    """Steps of the U-Net; one compilation serves all of one size."""
    network = create("unet", classes=2, width=8, levels=3, norm="group")
    return make_steps(network, StepConfig(loss="both", learning_rate=5e-3, augment=True))


def by_unet(steps: Steps, seed: int, pictures: Pictures, epochs: int, images: np.ndarray) -> np.ndarray:
    """What the U-Net marks after training on all but a fifth of the pictures, which say when it has stopped gaining."""
    count = len(pictures.images)
    cut = max(1, count - max(1, round(count / 5)))
    train, validation = np.arange(cut), np.arange(min(cut, count - 1), count)
    listed = np.resize(train, max(EPOCH, cut))
    learnt, choosing = (Pictures(pictures.images[side], pictures.targets[side]) for side in (listed, validation))
    loop = LoopConfig(batch_size=4, epochs=epochs, stop="plateau", patience=10)
    return predict(steps, fit(jax.random.key(seed), steps, learnt, choosing, loop).variables, images) > 0


def rows_of(spec: str, domain: Domain, found: Values) -> list[Row]:
    """A row per number of annotated pictures and method of one set, and beside the forest what the U-Net reaches."""
    splits = [domain.split(seed) for seed in range(len(next(iter(found.values()))))]
    is_apart = domain.splitting.replicates > 1
    overlap = 0.0 if is_apart else float(np.mean([len(one.test) / len(one.train) for one in splits]))
    numbers = sorted({count for count, _ in found})
    differences = [100 * np.subtract(found[count, FOREST], found[count, UNET]) for count in numbers]
    verdicts = dict(zip(numbers, decide(differences, overlap=overlap), strict=True))
    rows: list[Row] = []
    for (count, method), dice in sorted(found.items(), key=lambda one: (one[0][0], -np.mean(one[1]))):
        mean = interval(np.asarray(dice), overlap=overlap)
        row: Row = {"data": spec.partition("?")[0], "annotated": count, "method": method}
        row |= {"dice": rounded(mean.mean), "low": rounded(mean.low), "high": rounded(mean.high), "test_sets": mean.n}
        if method == FOREST:
            names = {"mean": "over_unet", "low": "over_unet_low", "high": "over_unet_high", "p": "p"}
            row |= {name: rounded(getattr(verdicts[count], part)) for part, name in names.items()}
            row["verdict"] = verdicts[count].verdict
        rows.append(row)
    return rows


if __name__ == "__main__":
    run_command(lambda: main(tyro.cli(LadderOptions, description=__doc__)))
