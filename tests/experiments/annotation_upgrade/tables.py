"""Tables of results of study 2, written by hand."""

import dataclasses

import pandas as pd

from experiments.annotation_upgrade.grid import Trial
from segjax.sweeps import Replicates, ResultTable

SEEDS = 5


def rows(trial, status="ok", **values):
    """Rows of results of a trial: by metric one number for all seeds, or one per seed."""
    for metric, given in {**values, "restarts": 0}.items():
        for seed, value in enumerate(given if isinstance(given, list) else [given] * SEEDS):
            factors = dataclasses.asdict(dataclasses.replace(trial, seed=seed))
            yield {**factors, "picture": "", "metric": metric, "value": value, "status": status, "code": "abc"}


def table_of(*parts, coarsening=4.0):
    frame = pd.DataFrame([row for part in parts for row in part])
    return ResultTable.from_rows(frame, Trial, Replicates(tuple("abcde")), coarsening)
