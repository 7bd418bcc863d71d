"""The published curves, against single values typed in by hand."""

import numpy as np
import pytest

from segjax.reports.published import published
from segjax.types import InputError

# data, network, error, level, dice: from the project's page of published numbers, rounded there to three digits.
SPOTS = [
    ("hl60", "unet", "omission", 0.0, 0.959),
    ("hl60", "unet", "omission", 0.7, 0.454),
    ("hl60", "segnet", "omission", 0.3, 0.796),
    ("hl60", "msd", "omission", 0.5, 0.931),
    ("hl60", "msd", "omission", 0.7, 0.881),
    ("hl60", "segnet", "inclusion", 0.7, 0.872),
    ("hl60", "unet", "bias", 2, 0.943),
    ("hl60", "msd", "bias", 6, 0.926),
    ("granulocytes", "unet", "inclusion", 0.3, 0.569),
    ("granulocytes", "msd", "inclusion", 0.7, 0.282),
    ("granulocytes", "segnet", "bias", 6, 0.722),
    ("granulocytes", "msd", "omission", 0.7, 0.752),
    ("epithelial", "unet", "omission", 0.5, 0.663),
    ("epithelial", "msd", "bias", 4, 0.686),
]


@pytest.mark.parametrize(("data", "network", "error", "level", "dice"), SPOTS)
def test_published_value(data, network, error, level, dice):
    rows = published(data)
    here = rows[(rows["network"] == network) & (rows["error"] == error) & np.isclose(rows["level"], level)]
    assert len(here) == 1
    assert abs(here["dice"].iloc[0] - dice) <= 0.00051


@pytest.mark.parametrize("data", ["hl60", "granulocytes", "epithelial"])
def test_every_published_cell_is_there(data):
    rows = published(data)
    assert list(rows.columns) == ["data", "network", "error", "level", "dice", "sd"]
    assert rows.groupby("network").size().to_dict() == {"unet": 16, "segnet": 16, "msd": 16}
    assert sorted(rows.loc[rows["error"] == "bias", "level"].unique()) == [0, 2, 4, 6]
    assert sorted(rows.loc[rows["error"] == "omission", "level"].unique()) == [0, 0.1, 0.2, 0.3, 0.5, 0.7]
    assert rows["sd"].between(0.0005, 0.15).all()


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match=r"yeast.*hl60, granulocytes"):
        published("yeast")
