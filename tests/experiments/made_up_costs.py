"""Made-up results of study 1."""

import pandas as pd

from experiments.annotation_errors.grid import Trial
from segjax.sweeps import Replicates, ResultTable


def made_up(values, coarsening=1.0):
    """A table of pooled Dice: values by seed for every (network, error, level)."""
    rows = [
        ("annotation_errors", "microscope:hl60", network, seed, error, level, "", metric, value, "ok", "c0de")
        for (network, error, level), by_seed in values.items()
        for seed, dice in enumerate(by_seed)
        for metric, value in (("dice_pooled", dice), ("label_dice", 1 - level / 100), ("restarts", 0.0))
    ]
    columns = ["study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status", "code"]
    replicates = Replicates(tuple("abcdef"))
    return ResultTable.from_rows(pd.DataFrame(rows, columns=columns), Trial, replicates, coarsening)
