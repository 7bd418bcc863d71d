"""What two papers found of annotations at equal cost, judged here at every budget that is not more than enough."""

from collections.abc import Mapping

import pandas as pd

from experiments.annotation_budget.grid import ARMS, Trial
from experiments.harness.statements import Judged, judged_family
from segjax.sweeps import ResultTable

# Zhang et al., J Imaging Inform Med 2025 (arXiv 2312.10600): 4 sets, none of cells; boxes were filled in by SAM.
# Gamazo Tejero et al., CVPR 2023 (arXiv 2303.11678): 4 sets, a mask counted as 12 labels; they train one network on
# both, and here a network learns from maps of a classifier of labels alone.
STATEMENTS: Mapping[str, tuple[str, ...]] = {
    "While time is short, exact outlines are hardly ever best: quick ones or boxes are ahead (Zhang et al. 2025)": (
        "quick",
        "boxes",
    ),
    "Labels of pictures, which Gamazo Tejero et al. 2023 mix with masks, are ahead alone (no claim of theirs)": (
        "image_labels",
    ),
}
Table = ResultTable[Trial]


def judged(table: Table) -> list[Judged]:
    """The statements that a study has the arms for; a statement's budgets and arms are one family.

    Budgets from the one on that pays for careful outlines of the whole pool are left out: time is not short there.

    Args:
        table: with the values of arms that used up their pool at larger budgets, as `analysis.carried` makes it.
    """
    careful = {(one.network, one.budget): one for one in table.trials() if one.arm == "careful"}
    short = {place: one for place, one in careful.items() if not table.interval("at_end", one).mean}
    found: list[Judged] = []
    for said, arms in STATEMENTS.items():
        cases = [
            (f"{ARMS[one.arm]} against careful ones, {one.budget:g} h", _points(table, one, short[place]))
            for one in table.trials()
            if one.arm in arms and (place := (one.network, one.budget)) in short
        ]
        found += judged_family(said, cases, table.replicates.overlap)
    return found


def _points(table: Table, one: Trial, other: Trial) -> pd.Series:
    return 100 * table.differences("dice_pooled", one, other)
