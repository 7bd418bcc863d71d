import gc
from dataclasses import dataclass, field
from itertools import islice

import chex
import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from segjax.data.patches import Batch, PatchConfig, Patches, class_target, on_devices
from segjax.training import LoopConfig, Pictures, StepConfig, fit, make_steps
from segjax.types import InputError, Sample

KEY = jax.random.key(3)


@dataclass
class Numbered:
    """Pictures whose every pixel tells which picture it is (channel 0), its row and its column."""

    shapes: tuple[tuple[int, int], ...]
    read: list[int] = field(default_factory=list)
    spec: str = "numbered"
    test_groups: frozenset[str] = frozenset()
    class_names: tuple[str, ...] = ("object",)
    label_names: tuple[str, ...] = ()
    coarsening: float = 1.0
    digest: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, range(len(self.shapes))))

    groups = names

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        height, width = self.shapes[index]
        y, x = np.mgrid[:height, :width]
        image = np.stack([np.full((height, width), index), y, x], -1).astype(np.float32)
        return Sample(image, (y % 2).astype(np.int32), np.ones(1, np.int32), str(index), str(index))


def patches_of(shapes, **options) -> Patches:
    options = {"size": 4, "batch_size": 3, "augment": False, **options}
    return Patches(Numbered(shapes), tuple(range(len(shapes))), PatchConfig(**options))


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_picture_gives_as_many_patches_as_its_area_holds_and_at_least_one():
    patches = patches_of(((4, 4), (8, 8), (2, 2), (6, 4)))
    assert patches.shares.tolist() == [1, 4, 1, 2]
    assert (len(patches), patches.steps) == (8, 3)


def test_an_epoch_shows_every_patch_once_and_the_next_in_another_order():
    patches = patches_of(((8, 8),) * 40, window=7)
    first, second = patches.order(1, 0), patches.order(1, 1)
    assert sorted(map(tuple, first)) == [(picture, number) for picture in range(40) for number in range(4)]
    assert sorted(map(tuple, second)) == sorted(map(tuple, first)) and not np.array_equal(first, second)


def test_the_order_mixes_the_pictures_of_a_window_and_no_others():
    pictures = patches_of(((8, 8),) * 6, window=2).order(0, 0)[:, 0].reshape(3, 8)
    assert [len(set(window)) for window in pictures.tolist()] == [2, 2, 2]
    assert any(list(window) != sorted(window) and list(window) != sorted(window)[::-1] for window in pictures.tolist())


def test_a_patch_is_a_part_of_its_picture_with_its_target():
    for batch in islice(patches_of(((9, 7), (5, 8))).stream(KEY), 6):
        for image, target in zip(*batch, strict=True):
            _, rows, columns = np.moveaxis(image, -1, 0)
            assert (np.diff(rows, axis=0) == 1).all() and (np.diff(columns, axis=1) == 1).all()
            np.testing.assert_array_equal(target, rows % 2)


def test_augmentation_moves_picture_and_target_alike_and_gives_all_eight():
    patches = patches_of(((4, 4),), augment=True, batch_size=1)
    seen = set()
    for image, target in (tuple(part[0] for part in batch) for batch in islice(patches.stream(KEY), 80)):
        np.testing.assert_array_equal(target, image[..., 1] % 2)
        seen.add(image[..., 1:].tobytes())
    assert len(seen) == 8


def test_small_pictures_are_filled_up_by_reflection_and_not_judged_there():
    image, target = (part[0] for part in next(patches_of(((3, 4),), batch_size=1).stream(KEY)))
    np.testing.assert_array_equal(image[3, :, 1], image[1, :, 1])
    assert (target[3] == -1).all() and (target[:3] >= 0).all()


def test_a_stream_begun_in_the_middle_goes_on_with_the_same_batches():
    patches = patches_of(((8, 8),) * 5, augment=True, window=2)
    whole = list(islice(patches.stream(KEY), 16))
    for start in (1, 7, 13):
        for one, other in zip(whole[start:], patches.stream(KEY, start), strict=False):
            assert equal(one, other)


@pytest.mark.parametrize("options", [{"threads": 4}, {"threads": 1}])
def test_threads_and_what_is_read_ahead_do_not_change_a_batch(options):
    shapes = ((8, 8),) * 5
    reference = list(islice(patches_of(shapes, augment=True).stream(KEY), 8))
    other = islice(patches_of(shapes, augment=True, **options).stream(KEY, ahead=5), 8)
    assert all(equal(one, two) for one, two in zip(reference, other, strict=True))


def test_hosts_read_the_parts_of_one_batch():
    whole = list(islice(patches_of(((8, 8),) * 5, batch_size=4, augment=True).stream(KEY), 9))
    parts = [patches_of(((8, 8),) * 5, batch_size=4, augment=True, host=host, hosts=2).stream(KEY) for host in (0, 1)]
    for batch, one, two in zip(whole, *parts, strict=False):
        assert equal(batch, Batch(*(np.concatenate(pair) for pair in zip(one, two, strict=True))))


def test_a_picture_is_decoded_once_an_epoch():
    patches = patches_of(((8, 8),) * 20, window=4, batch_size=8)
    list(patches.epoch(KEY, 0))
    assert sorted(patches.source.read) == list(range(20))


def test_memory_holds_two_windows_whatever_the_size_of_the_set():
    patches = patches_of(((4, 4),) * 200, window=3, batch_size=5)
    stream = patches.stream(KEY)
    for _ in islice(stream, 120):
        pass
    kept = [thing for thing in gc.get_objects() if type(thing).__name__ == "_Pictures" and thing._patches is patches]
    assert len(kept) == 1 and len(kept[0]._kept) <= 6


def test_batches_lie_on_the_devices_of_a_mesh():
    sharding = NamedSharding(Mesh(np.array(jax.devices()[:2]), ("data",)), PartitionSpec("data"))
    patches = patches_of(((8, 8),) * 3, batch_size=4)
    for batch, placed in zip(patches.epoch(KEY, 0), on_devices(patches.epoch(KEY, 0), sharding), strict=False):
        assert placed.images.sharding == sharding
        assert equal(batch, placed)


def test_every_batch_reaches_the_device():
    patches = patches_of(((8, 8),) * 3, batch_size=4)
    assert len(list(on_devices(patches.epoch(KEY, 0)))) == len(list(patches.epoch(KEY, 0))) == 3


def test_an_epoch_begins_at_any_of_its_steps():
    patches = patches_of(((4, 8), (9, 4), (3, 4)), batch_size=2, augment=True)
    whole = list(patches.epoch(KEY, 1))
    for first in range(len(whole) + 1):
        rest = list(patches.epoch(KEY, 1, first))
        assert len(rest) == len(whole) - first
        for batch, expected in zip(rest, whole[first:], strict=True):
            chex.assert_trees_all_equal(batch, expected)


def test_class_target_is_the_class_of_each_object():
    labels = np.array([[0, 1, 2]], np.int32)
    sample = Sample(np.zeros((1, 3, 1), np.float32), labels, np.array([2, 1], np.int32), "g", "n")
    np.testing.assert_array_equal(class_target(sample), [[0, 2, 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size"),
        ({"host": 2, "hosts": 2, "batch_size": 4}, "host must be from 0 to"),
        ({"hosts": 2, "batch_size": 3}, "multiple"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        patches_of(((4, 4),), **options)


def test_no_pictures_are_refused():
    with pytest.raises(InputError, match="no pictures"):
        Patches(Numbered(((4, 4),)), (), PatchConfig())


def test_an_unreadable_picture_stops_the_stream_with_its_own_message():
    class Broken(Numbered):
        def __getitem__(self, index):
            raise InputError("a.png: cannot be read; save it again")

    with pytest.raises(InputError, match=r"a\.png"):
        next(Patches(Broken(((4, 4),)), (0,), PatchConfig(size=4, batch_size=1)).stream(KEY))


class Threshold(nn.Module):
    """Logits from the pixel alone."""

    @nn.compact
    def __call__(self, image, *, train=False, features=False):
        return nn.Dense(2)(nn.tanh(nn.Dense(8)(image)))


def test_a_network_learns_from_patches_and_goes_on_to_the_same_bits(tmp_path):
    patches = patches_of(((4, 8), (9, 4), (3, 4)), batch_size=2, augment=True)
    validation, config = Pictures(*patches.first()), LoopConfig(epochs=4, restarts=0)
    steps = make_steps(Threshold(), StepConfig(learning_rate=0.01))
    whole = fit(KEY, steps, patches, validation, config)
    assert whole.losses[-1, 0] < whole.losses[0, 0]

    def stop(share):
        if share == 0.5:
            raise KeyboardInterrupt

    kept = {"checkpoints": tmp_path, "checkpoint_epochs": 1}
    with pytest.raises(KeyboardInterrupt):
        fit(KEY, steps, patches, validation, config, on_epoch=stop, **kept)
    resumed = fit(KEY, steps, patches, validation, config, **kept)
    np.testing.assert_array_equal(resumed.losses, whole.losses)
