"""Arrays of examples come back by trial, or not at all."""

import numpy as np
import pytest

from experiments.harness import examples as module
from experiments.harness.examples import Examples, places_shown, ranks_shown
from segjax.models.weights import load_weights, save_weights
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


def test_pictures_that_an_earlier_version_kept_are_not_taken_for_the_worst_and_the_best(tmp_path):
    examples = Examples(tmp_path)
    examples.keep(Trial("plain", 0), ARRAYS)
    (path,) = tmp_path.iterdir()
    save_weights(path, ARRAYS)
    assert examples.load(Trial("plain", 0)) is None and path.exists()


def emptied(content):
    return b""


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("harm", [emptied, cut, flipped])
def test_a_damaged_file_is_set_aside_and_the_page_says_so(tmp_path, harm):
    examples = Examples(tmp_path)
    examples.keep(Trial("plain", 0), ARRAYS)
    assert examples.cautions() == []
    (path,) = tmp_path.iterdir()
    content = harm(path.read_bytes())
    path.write_bytes(content)
    place = path.with_name(f"{path.name}.damaged")
    with pytest.warns(UserWarning, match=f"{path} cannot be read .*kept as {place};"):
        assert examples.load(Trial("plain", 0)) is None
    assert place.read_bytes() == content
    assert examples.load(Trial("plain", 0)) is None
    assert examples.cautions() == [f"Example pictures are missing: {place} is damaged."]


def test_a_file_that_goes_while_it_is_read_counts_as_absent(tmp_path, monkeypatch):
    def gone(path, is_ours):
        path.unlink()
        return load_weights(path, is_ours)

    Examples(tmp_path).keep(Trial("plain", 0), ARRAYS)
    monkeypatch.setattr(module, "load_weights", gone)
    assert Examples(tmp_path).load(Trial("plain", 0)) is None


@pytest.mark.parametrize(
    ("scores", "places"),
    [
        ([0.5], [0]),
        ([0.9, 0.2], [1, 0]),
        ([0.9, 0.2, 0.5], [1, 2, 0]),
        ([0.1, 0.9, 0.3, 0.5, 0.7], [0, 3, 1]),
        ([0.9, np.nan, 0.5], [1, 2, 0]),
        (np.linspace(1, 0, 100), [99, 50, 0]),
        ([], []),
    ],
)
def test_the_worst_the_median_and_the_best_picture_are_kept(scores, places):
    assert places_shown(scores).tolist() == places
    assert len(ranks_shown(len(places))) == len(places)
