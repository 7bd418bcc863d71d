"""Patches that vary are functions of key, epoch and step, masks go with their pictures, and held-out types are left."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.pretrain.jitter import Jittered
from experiments.pretrain.recipes import RECIPES, Jitter
from experiments.pretrain.train import Material
from segjax.data import PatchConfig, Patches
from segjax.data.patches import Batch
from segjax.types import Sample

KEY = jax.random.key(3)
STILL = Jitter(size=12, smallest=8, gamma=0, factor=0)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Four pictures whose values tell what their pixels are: class / 4."""

    spec: str = "four"
    shapes: tuple = ((20, 20),) * 4
    digest: str = "0" * 16
    names: tuple = tuple("abcd")
    groups: tuple = tuple("abcd")
    class_names: tuple = ("disc", "square", "star")
    label_names: tuple = ()
    test_groups: frozenset = frozenset()
    coarsening: float = 1.0

    def __len__(self):
        return len(self.shapes)

    def __getitem__(self, index):
        labels = np.kron(np.random.default_rng(index).permutation(4).reshape(2, 2), np.ones((10, 10))).astype(np.int32)
        return Sample((labels / 4).astype(np.float32)[..., None], labels, np.arange(1, 4, dtype=np.int32), "", "")


def feed(jitter=STILL, **options):
    return Jittered(Patches(Pictures(), (0, 1, 2, 3), PatchConfig(16, 2, augment=False, **options)), jitter)


def batches(of, epoch=0, first=0, key=KEY):
    return list(of.epoch(key, epoch, first))


def test_the_same_key_epoch_and_step_give_the_same_bits():
    jitter = Jitter(size=12, smallest=8)
    once, again = batches(feed(jitter)), batches(feed(jitter, threads=1))
    assert len(once) == feed().patches.steps >= 2
    jax.tree.map(np.testing.assert_array_equal, once, again)
    jax.tree.map(np.testing.assert_array_equal, once[1:], batches(feed(jitter), first=1))
    for other in (batches(feed(jitter), epoch=1), batches(feed(jitter), key=jax.random.key(4))):
        assert not np.array_equal(other[0].images, once[0].images)
    jax.tree.map(np.testing.assert_array_equal, feed(jitter).first(), feed(jitter).first())


def test_values_stay_from_0_to_1_and_vary():
    for images, targets in batches(feed(Jitter(size=12, smallest=8, gamma=2, factor=2))):
        assert images.shape == (2, 12, 12, 1) and images.dtype == np.float32
        assert targets.shape == (2, 12, 12) and set(np.unique(targets)) <= {0, 1, 2, 3}
        assert images.min() >= 0 and images.max() <= 1
        assert not np.isin(images, np.arange(4, dtype=np.float32) / 4).all()


def test_masks_move_with_their_pictures_by_nearest_neighbour():
    for images, targets in batches(feed()):
        assert np.issubdtype(targets.dtype, np.integer)
        inner = np.ones_like(targets, bool)  # away from edges, over which values are interpolated
        for axis in (1, 2):
            for step in (-1, 1):
                inner &= np.roll(targets, step, axis) == targets
        assert inner.mean() > 0.5
        np.testing.assert_allclose(images[..., 0][inner], targets[inner] / 4, atol=1e-6)


@pytest.mark.parametrize("side", [8, 12, 16])
def test_a_part_is_enlarged_or_shrunk_as_by_hand(side):
    of = dataclasses.replace(feed(), jitter=dataclasses.replace(STILL, smallest=side))
    target = np.arange(side * side, dtype=np.int32).reshape(side, side)
    image = np.full((side, side, 1), 0.5, np.float32)
    found = of._changed(Batch(image[None], target[None]), np.random.default_rng(0))
    places = [int((place + 0.5) * side / 12) for place in range(12)]
    np.testing.assert_array_equal(found.targets[0], target[np.ix_(places, places)])
    np.testing.assert_allclose(found.images, 0.5)


def test_types_that_are_held_out_are_not_learnt():
    recipe = dataclasses.replace(RECIPES["blood_cells"], held_out=("square",))
    source = Pictures()
    material = Material(recipe, source, source, (0,), (1,), (2,))
    assert material.classes == ("background", "disc", "star")
    sample = dataclasses.replace(source[0], ignored=np.zeros((20, 20), bool))
    sample.ignored[:3] = True
    wanted = np.array([0, 1, -1, 2])[sample.labels]
    np.testing.assert_array_equal(material.target(source[0]), wanted)
    wanted[:3] = -1
    np.testing.assert_array_equal(material.target(sample), wanted)
    assert material.objects["classes"] == ["disc", "star"] and material.objects["brighter"] is True
    diameter = 2 * np.sqrt(100 / np.pi)
    np.testing.assert_allclose(material.objects["diameters"], [diameter, diameter], atol=0.01)
