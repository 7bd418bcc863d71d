"""Shots and queries are written apart, and label files are compared with the truth where the type was judged."""

import numpy as np
import pytest
from PIL import Image

from experiments.benchmarks import new_type
from segjax.data import open_source, write_labels
from segjax.types import InputError


@pytest.fixture
def sets(tmp_path):
    """A set of eight pictures with a disc of each of two types."""
    for name in ("images", "classes"):
        (tmp_path / "sets/dishes" / name).mkdir(parents=True)
    rows, columns = np.mgrid[:24, :30]
    for seed in range(8):
        classes = np.zeros((24, 30), np.uint8)
        classes[(rows - 10) ** 2 + (columns - 8) ** 2 <= 16] = 1
        classes[(rows - 12 - seed % 3) ** 2 + (columns - 21) ** 2 <= 20] = 2
        Image.fromarray((60 + seed + 70 * classes).astype(np.uint8)).save(tmp_path / f"sets/dishes/images/{seed}.png")
        Image.fromarray(classes).save(tmp_path / f"sets/dishes/classes/{seed}.png")
    return tmp_path / "sets"


def test_dice_is_that_of_the_label_files_where_the_type_was_judged(sets, monkeypatch):
    options = new_type.NewTypeBenchmark("nuclei", sets, shots=2, queries=4)
    truth = {one.name: one for one in open_source(f"folder:{sets}/dishes")}
    wrong, seen = {}, {}

    def command(options, folder):
        shots = open_source(f"folder:{folder}/given/shots")
        seen["shots"], seen["queries"] = set(shots.names), {path.stem for path in (folder / "given/query").iterdir()}
        for shot in shots:  # the other type is left out, the type is class 1
            own = truth[shot.name]
            np.testing.assert_array_equal(shot.of_class(1) > 0, own.of_class(2) > 0)
            np.testing.assert_array_equal(shot.ignored, own.of_class(1) > 0)
            np.testing.assert_allclose(shot.image, own.image, atol=1 / 255)
        for name in seen["queries"]:
            labels = (truth[name].labels > 0).astype(np.int32)  # the other type too, which counts nowhere
            labels[0, : wrong.get("pixels", 0)] = 1
            write_labels(folder / f"out/{name}.tif", labels)
        return 1.5

    monkeypatch.setattr(new_type, "_timed", command)
    assert new_type.one_draw(options, "dishes", 2, 0) == (1.5, 1.0)
    assert len(seen["shots"]) == 2 and len(seen["queries"]) == 4 and not seen["shots"] & seen["queries"]
    wrong["pixels"] = 5
    areas = sum(int((truth[name].of_class(2) > 0).sum()) for name in seen["queries"])
    assert new_type.one_draw(options, "dishes", 2, 0)[1] == pytest.approx(2 * areas / (2 * areas + 4 * 5))
    with pytest.raises(InputError, match=r"shots: dishes has too few pictures of class 2"):
        new_type.one_draw(new_type.NewTypeBenchmark("nuclei", sets, shots=9), "dishes", 2, 0)
