"""The command segments a folder, keeps what it learnt, and names what is wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.segment_new_type import Options, segment_folder
from segjax.data import read_labels
from segjax.fewshot import Extractor, save_extractors, with_statistics
from segjax.models import create
from segjax.types import InputError


def dish(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with two bright discs, and their labels."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :30]
    labels = np.zeros((24, 30), np.uint8)
    for index, column in enumerate((8, 21)):
        labels[(rows - generator.integers(8, 16)) ** 2 + (columns - column) ** 2 <= 20] = index + 1
    return (60 + 150 * (labels > 0) + generator.integers(0, 20, labels.shape)).astype(np.uint8), labels


@pytest.fixture
def options(tmp_path):
    for name in ("shots/images", "shots/labels", "query"):
        (tmp_path / name).mkdir(parents=True)
    for seed in range(2):
        image, labels = dish(seed)
        Image.fromarray(image).save(tmp_path / f"shots/images/{seed}.png")
        Image.fromarray(labels).save(tmp_path / f"shots/labels/{seed}.png")
    for seed in (7, 8):
        Image.fromarray(dish(seed)[0]).save(tmp_path / f"query/{seed}.png")
    network = create("msd", depth=2)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    extractor = with_statistics(Extractor(network, variables), [dish(0)[0].astype(np.float32)[..., None] / 255])
    save_extractors(tmp_path / "extractors", [extractor])
    return Options(tmp_path / "extractors", tmp_path / "query", tmp_path / "out", shots=str(tmp_path / "shots"))


def test_a_folder_is_segmented_and_again_from_what_was_learnt(options, tmp_path):
    paths = segment_folder(options)
    assert [path.name for path in paths] == ["7.tif", "8.tif"]
    for path, seed in zip(paths, (7, 8), strict=True):
        found, truth = read_labels(path) > 0, dish(seed)[1] > 0
        assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    again = dataclasses.replace(options, shots=None, learnt=options.out / "type.npz", out=tmp_path / "again")
    for one, two in zip(paths, segment_folder(again), strict=True):
        np.testing.assert_array_equal(read_labels(one), read_labels(two))
    with pytest.raises(InputError, match="there already"):
        segment_folder(options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": None}, "shots, learnt"),
        ({"head": "svm"}, "head: unknown 'svm'"),
        ({"target": 2}, "target: class 2"),
        ({"shots": "microscope:hl60"}, "is no folder"),
        ({"shots": "folder:shots?shrink=2"}, "shrink cannot be given here"),
        ({"query": "nothing"}, "there is no folder"),
        ({"query": "shots"}, "has no picture"),
        ({"extractors": "query"}, "has no file"),
    ],
)
def test_what_cannot_be_used_is_named(change, message, options, tmp_path):
    for name in ("query", "extractors"):
        if name in change:
            change = {**change, name: tmp_path / change[name]}
    if message == "has no picture":
        (tmp_path / "shots" / "images").rename(tmp_path / "shots" / "pictures")
    with pytest.raises(InputError, match=message):
        segment_folder(dataclasses.replace(options, **change))
