"""Shots and pictures of bright discs, with tiny extractors, for tests of `experiments.segment_new_type`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.segment_new_type.config import NewTypeOptions
from segjax.fewshot import Extractor, save_extractors
from segjax.fewshot.bank import with_statistics
from segjax.models import create


def dish(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture with two bright discs, and their labels."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :30]
    labels = np.zeros((24, 30), np.uint8)
    for index, column in enumerate((8, 21)):
        labels[(rows - generator.integers(8, 16)) ** 2 + (columns - column) ** 2 <= 20] = index + 1
    return (60 + 150 * (labels > 0) + generator.integers(0, 20, labels.shape)).astype(np.uint8), labels


def two_shots(path) -> NewTypeOptions:
    """Options for two annotated pictures and two to segment, which this writes; nothing is held out."""
    for name in ("shots/images", "shots/labels", "query"):
        (path / name).mkdir(parents=True)
    for seed in range(2):
        image, labels = dish(seed)
        Image.fromarray(image).save(path / f"shots/images/{seed}.png")
        Image.fromarray(labels).save(path / f"shots/labels/{seed}.png")
    for seed in (7, 8):
        Image.fromarray(dish(seed)[0]).save(path / f"query/{seed}.png")
    network = create("msd", depth=2)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    extractor = with_statistics(Extractor(network, variables), [dish(0)[0].astype(np.float32)[..., None] / 255])
    save_extractors(path / "extractors", [extractor])
    places = {name: path / name for name in ("query", "out")}
    return NewTypeOptions(str(path / "extractors"), **places, shots=str(path / "shots"), head="ridge", check=False)


def later(options, **changes):
    """The call that takes what an earlier one learnt."""
    usual = {"shots": None, "head": "logistic", "check": True, "learnt": options.out / "type.safetensors"}
    return dataclasses.replace(options, **{**usual, **changes})
