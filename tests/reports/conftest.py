"""Hand-made tables of results in the long form of studies."""

import pandas as pd
import pytest

COLUMNS = ["study", "data", "network", "seed", "error", "level", "picture", "metric", "value", "status"]


def row(network, seed, error, level, value, metric="dice_pooled", status="ok", picture=""):
    return ("annotation_errors", "microscope:hl60", network, seed, error, level, picture, metric, value, status)


@pytest.fixture
def make_table():
    """Rows (network, error, level, values by seed from 0 on, ...) to a table; a value of None is a failed run."""

    def make(*cells, metric="dice_pooled"):
        rows = [
            row(network, seed, error, level, value, metric, "failed" if value is None else "ok")
            for network, error, level, values in cells
            for seed, value in enumerate(values)
        ]
        return pd.DataFrame(rows, columns=COLUMNS).astype({"value": float, "level": float})

    return make
