"""How often is a difference called decided where there is none? Compares the project's rule with an earlier one.

    python -m experiments.benchmarks.decisions

A simulated study draws one data set and divides it into folds. For each seed, fold `seed modulo folds` is the test
set, 30 % of the other folds are for validation, and our method and every rival are trained on the rest. A method is
least squares on its own random half of the features. All features are equally informative, so no method is truly better
than another. The metric is minus the mean squared error. Two rules judge the same values:

- decide: `segjax.evaluation.decide` of ours against all rivals, seeds that share a test set averaged first;
- best rival afterwards: the rival with the highest mean over the seeds, 95 % Student interval of the differences over
  the seeds, not corrected.

`ahead` and `behind` are the shares of the studies in which ours is called that against at least one rival, `either` the
share with one or the other, `too_few` the share without a verdict. A sound rule keeps `either` to 0.05.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from scipy import special

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Row, Scale
from experiments.harness.start import run_command
from segjax.evaluation import decide

PICTURES, FEATURES, USED = 200, 20, 10
VALIDATION = 0.3
STUDIES: dict[Scale, int] = {"full": 2000, "smoke": 20}
CASES = [(folds, 10, rivals) for rivals in (20, 1) for folds in (4, 8, 10)]  # folds, seeds, rivals


class Rates(NamedTuple):
    """Shares of the simulated studies, in [0, 1]; see the module."""

    ahead: float
    behind: float
    either: float
    too_few: float


@dataclass(frozen=True)
class DecisionOptions:
    out: Path = timing.RESULTS
    """Folder for the table, decisions.csv."""
    scale: Scale = "full"
    """smoke: a few studies, to see that everything runs."""


def simulate(seed: int, studies: int, folds: int, seeds: int, rivals: int) -> dict[str, Rates]:
    """Rule -> how often it calls a difference decided in studies without one.

    Args:
        seed: of the simulation.
        studies: how many are simulated.
        folds: of each study's data set.
        seeds: trainings of every method, on fold `seed modulo folds`.
        rivals: methods beside ours.
    """
    values = scores(np.random.default_rng(seed), studies, folds, seeds, rivals + 1)
    fold = np.arange(seeds) % folds
    replicates = np.stack([values[:, fold == one].mean(1) for one in np.unique(fold)], 1)
    differences = replicates[..., :1] - replicates[..., 1:]
    ratio = overlap(folds)
    verdicts = np.array([[found.verdict for found in decide(list(one.T), overlap=ratio)] for one in differences])
    low, high = _best_rival_afterwards(values)
    return {
        "decide": _rates(*((verdicts == verdict).any(1) for verdict in ("ahead", "behind", "too few"))),
        "best rival afterwards": _rates(low > 0, high < 0, np.zeros(studies, bool)),
    }


def overlap(folds: int) -> float:
    """n_test / n_train of a simulated split."""
    train, test = fold_split(0, folds)
    return len(test) / len(train)


def _rates(ahead: np.ndarray, behind: np.ndarray, too_few: np.ndarray) -> Rates:
    return Rates(*(float(np.mean(share)) for share in (ahead, behind, ahead | behind, too_few)))


def fold_split(seed: int, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and of test pictures; pictures are alike, so all studies may be cut in the same places."""
    is_test = np.arange(PICTURES) % folds == seed % folds
    rest = np.random.default_rng(seed).permutation(np.flatnonzero(~is_test))
    return rest[round(VALIDATION * len(rest)) :], np.flatnonzero(is_test)


def scores(generator: np.random.Generator, studies: int, folds: int, seeds: int, methods: int) -> np.ndarray:
    """Minus the mean squared error [studies, seeds, methods] on the seed's test set."""
    features = generator.standard_normal((studies, PICTURES, FEATURES))
    truth = features.mean(2) * np.sqrt(FEATURES) + generator.standard_normal((studies, PICTURES))
    chosen = generator.random((studies, methods, FEATURES)).argsort(2)[..., :USED]
    study = np.arange(studies)[:, None, None]
    values = np.empty((studies, seeds, methods))
    for seed in range(seeds):
        train, test = fold_split(seed, folds)
        x, y = features[:, train], truth[:, train]
        products, targets = x.transpose(0, 2, 1) @ x, np.einsum("spf,sp->sf", x, y)
        own = products[study[..., None], chosen[..., :, None], chosen[..., None, :]]
        weights = np.zeros((studies, methods, FEATURES))
        np.put_along_axis(weights, chosen, np.linalg.solve(own, targets[study, chosen][..., None])[..., 0], 2)
        errors = weights @ features[:, test].transpose(0, 2, 1) - truth[:, None, test]
        values[:, seed] = -np.mean(errors**2, 2)
    return values


def _best_rival_afterwards(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds [studies] of the interval over the seeds of ours minus the rival that has turned out best."""
    best = 1 + values[..., 1:].mean(1).argmax(1)
    differences = values[..., 0] - values[np.arange(len(values)), :, best]
    seeds = differences.shape[1]
    half = special.stdtrit(seeds - 1, 0.975) * differences.std(1, ddof=1) / np.sqrt(seeds)
    return differences.mean(1) - half, differences.mean(1) + half


def rows(studies: int) -> list[Row]:
    """One row per case and rule."""
    found: list[Row] = []
    for folds, seeds, rivals in CASES:
        case: Row = {"rivals": rivals, "folds": folds, "seeds": seeds, "replicates": min(folds, seeds)}
        case |= {"overlap": timing.rounded(overlap(folds)), "studies": studies}
        for rule, rates in simulate(0, studies, folds, seeds, rivals).items():
            found.append({**case, "rule": rule, **rates._asdict()})
    return found


def main() -> None:
    def body() -> None:
        options = tyro.cli(DecisionOptions, description=__doc__)
        header = timing.header_of("decisions")
        timing.report("decisions", header, rows(STUDIES[options.scale]), options.out)

    run_command(body)


if __name__ == "__main__":
    main()
