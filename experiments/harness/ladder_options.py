"""Options of the ladder of ways to segment without a network; they load nothing heavy."""

from dataclasses import dataclass

from experiments.harness.options import arranges, check_choices

# the names of `segjax.classical.LADDER`, which takes long to load
RUNGS = ("otsu", "adaptive", "growing", "watershed", "kmeans", "gaussian_mixture", "forest")


@dataclass(frozen=True)
class BaselineOptions:
    """Ways to segment without a network."""

    baselines: tuple[str, ...] = arranges(())
    """Ways to segment without a network to compare with, each fitted to the same annotated pictures and labels as the
    networks: any of otsu, adaptive (thresholds), growing, watershed (regions), kmeans, gaussian_mixture (clusters of
    colour and texture), forest (a random forest on features of several scales)."""

    def check(self) -> None:
        """Raises InputError where a baseline is unknown or given twice."""
        check_choices("baselines", self.baselines, RUNGS)


def is_rung(network: str) -> bool:
    """Whether a factor `network` or a method is a rung of the ladder, not a network."""
    return network in RUNGS
