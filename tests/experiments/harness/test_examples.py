"""Arrays of examples come back by trial, or not at all."""

import numpy as np
import pytest

from experiments.harness.examples import Examples, places_shown
from tests.experiments.harness.tiny import Trial

ARRAYS = {"masks": np.array([[True, False]]), "indices": np.array([3, 5])}


def test_arrays_come_back_by_trial(tmp_path):
    examples = Examples(tmp_path / "examples")
    examples.keep(Trial("plain", 0), ARRAYS)
    examples.keep(Trial("careful", 0, 1.0), {"indices": np.array([7])})
    found = examples.load(Trial("plain", 0))
    assert found.keys() == ARRAYS.keys() and all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert examples.load(Trial("careful", 0, 1.0))["indices"].tolist() == [7]
    assert examples.load(Trial("careful", 0, 2.0)) is None
    examples.keep(Trial("plain", 0), {"indices": np.array([9])})
    assert examples.load(Trial("plain", 0)).keys() == {"indices"}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_file_gives_none(tmp_path, share):
    examples = Examples(tmp_path)
    examples.keep(Trial("plain", 0), ARRAYS)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert examples.load(Trial("plain", 0)) is None


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5, 0.6, 0.7])
def test_a_file_whose_content_was_changed_gives_none(tmp_path, share):
    examples = Examples(tmp_path)
    examples.keep(Trial("plain", 0), {"smooth": np.sin(np.arange(4000) / 50)})
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 0xFF
    path.write_bytes(content)
    assert examples.load(Trial("plain", 0)) is None


@pytest.mark.parametrize(
    ("count", "places"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (5, [0, 2, 4]), (100, [0, 49, 99])]
)
def test_places_are_spread_evenly(count, places):
    assert places_shown(count).tolist() == places
