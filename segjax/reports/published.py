"""The published dose-response curves that a study is laid beside."""

from pathlib import Path

import pandas as pd

from segjax.types import InputError

# Attribution and a warning for every figure that shows the published curves.
SOURCE = "Vădineanu et al., MIDL 2022, PMLR 172:1251-1267 (mean of 10 runs)"
INCLUSION_NOTE = (
    "The published inclusion curves start at pictures without foreign objects; "
    "at 0 % ours have them in the picture, not annotated."
)


def published(data_kind: str) -> pd.DataFrame:
    """Published pooled Dice on clean test labels, mean and standard deviation of 10 runs per network, error and level.

    The inclusion curve's point at level 0 was measured on pictures without foreign objects, the others on pictures with
    them. Columns: data, network, error, level, dice, sd; level is a rate or, for bias, q_max in published pixels.

    Args:
        data_kind: "hl60", "granulocytes" or "epithelial".

    Source: Vădineanu et al., MIDL 2022, PMLR 172:1251-1267, Figures 2 and 3.

    Raises:
        InputError: nothing was published for that kind.
    """
    rows = pd.read_csv(Path(__file__).with_name("published.csv"), comment="#")
    if data_kind not in set(rows["data"]):
        raise InputError(f"data kind {data_kind!r} has no published curves; known: {', '.join(rows['data'].unique())}")
    return rows[rows["data"] == data_kind].reset_index(drop=True)
