"""What a reader of any study's page is warned of."""

from pathlib import Path

import pytest

from experiments.options import RunOptions
from experiments.running import cautions
from segjax.data import open_source


@pytest.mark.parametrize(
    ("data", "seeds", "is_warned"),
    [
        ("terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4", 5, True),
        ("terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=4", 4, False),
        ("microscope:hl60?size=sixth&volumes=6&slices=1&crop=48", 5, False),  # names its test volumes
    ],
)
def test_seeds_that_share_test_pictures_are_told(data, seeds, is_warned):
    said = " ".join(cautions(RunOptions(out=Path(), data=data, seeds=seeds, folds=4), open_source(data)))
    assert ("4 sets of test pictures for 5 seeds" in said) == is_warned
