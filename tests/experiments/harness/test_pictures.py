"""Pixels that nobody judged stay out of targets and of scores."""

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.harness.networks import prediction_rows
from experiments.harness.options import DataOptions
from experiments.harness.pictures import (
    Splitting,
    faulty_targets,
    open_pictures,
    open_target,
    read_domain,
    stable_number,
)
from segjax.annotations import Recipe
from segjax.data import open_source
from segjax.types import InputError

HL60 = "microscope:hl60?size=sixth&volumes=6&slices=1&crop=48"


def test_pixels_that_nobody_judged_count_in_no_target_and_no_score(tmp_path):
    labels = np.zeros((12, 12), np.uint8)
    labels[2:5, 2:5], labels[2:5, 8:11] = 1, 2
    classes = np.where(labels > 0, 1, 0).astype(np.uint8)
    classes[7:] = 255
    for folder, picture in (("images", 9 * labels + 1), ("labels", labels), ("classes", classes)):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / folder / "a.png")
    domain = read_domain(open_source(f"folder:{tmp_path}"), Splitting(2, "group"), 1)
    targets = faulty_targets(jax.random.key(0), domain, (0,), Recipe(bias=3))
    assert (targets[0, 7:] == -1).all() and set(np.unique(targets[0, :7])) <= {0, 1}

    truth = domain.labels[0] > 0
    spoilt = truth | (classes == 255)
    (rows, pooled), (clean_rows, clean) = (
        prediction_rows(mask[None], domain, np.array([0]), 2.0) for mask in (spoilt, truth)
    )
    assert pooled == clean == 1.0 and rows == clean_rows


@pytest.fixture
def mixed():
    """Twelve slices in six volumes, with objects of two classes."""
    return open_source("microscope:mixed?size=sixth&volumes=6&slices=2&crop=60")


def test_target_and_foreign_objects_are_apart_and_together_all_objects(mixed):
    domain = read_domain(mixed, Splitting(3, "group"), 1)
    assert (
        domain.labels.any() and domain.foreign.any() and not (domain.labels.astype(bool) & (domain.foreign > 0)).any()
    )
    whole = np.stack([mixed[index].labels for index in range(len(mixed))])
    np.testing.assert_array_equal(domain.labels + domain.foreign, whole)
    assert whole.max() <= domain.largest_id and domain.largest_id.bit_count() == 1
    other = read_domain(mixed, Splitting(3, "group"), 2)
    np.testing.assert_array_equal(other.labels, domain.foreign)


def test_a_split_is_made_once_per_seed_and_reserved_groups_test_every_seed(mixed):
    domain = read_domain(mixed, Splitting(3, "slice"), 1)
    assert domain.split(1) is domain.split(1) and domain.split(0) != domain.split(1)
    reserved = {index for index in range(12) if mixed.groups[index] in mixed.test_groups}
    assert reserved and all(set(domain.split(seed).test) == reserved for seed in range(3))


def test_members_are_the_positions_of_each_group(mixed):
    domain = read_domain(mixed, Splitting(3, "group"), 1)
    parts = domain.members((5, 4, 0, 1, 2))
    assert [part.tolist() for part in parts] == [[0, 1], [2, 3], [4]]


def test_what_cannot_be_read_is_refused(tmp_path, mixed):
    with pytest.raises(InputError, match=r"target: class 3 is not among those of microscope:mixed"):
        open_target(DataOptions("microscope:mixed?size=sixth&volumes=4&slices=1"), 3)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for name, side in (("a", 8), ("b", 12)):
            Image.fromarray(np.eye(side, dtype=np.uint8)).save(tmp_path / folder / f"{name}.png")
    with pytest.raises(InputError, match=r"pictures differ in size \(a 8x8x1, b 12x12x1, ...\); cut them into tiles"):
        read_domain(open_source(f"folder:{tmp_path}"), Splitting(2, "group"), 1)


def test_a_number_of_a_text_is_the_same_everywhere():
    # the first four bytes of the SHA-256 of "abc" are ba7816bf, which is halved
    assert stable_number("abc") == 0xBA7816BF >> 1
    assert stable_number("abd") != stable_number("abc") and 0 <= stable_number("x" * 1000) < 2**31


@pytest.mark.parametrize("data", [HL60, "terrain:mounds?pixels=64&metres=6.64&sheets=4&pictures=2&without=1"])
def test_replicates_of_a_simulated_set_share_no_picture(data):
    options = DataOptions(data, replicates=3)
    source, alone = open_pictures(options), open_source(data)
    splits = [Splitting.of(options).split(source, seed) for seed in range(4)]
    parts = [{*split.train, *split.validation, *split.test} for split in splits]
    assert len(source) == 3 * len(alone) and set.union(*parts[:3]) == set(range(len(source)))
    assert sum(map(len, parts[:3])) == len(source) and parts[3] == parts[0]
    first = Splitting.of(DataOptions(data)).split(alone, 0)
    assert splits[0] == first and all(source.names[index] == alone.names[index] for index in first.test)


def test_the_last_volumes_of_every_replicate_test():
    options = DataOptions(HL60, replicates=2)
    source = open_pictures(options)
    tested = [Splitting.of(options).split(source, seed).test for seed in range(2)]
    assert [{source.groups[index] for index in test} for test in tested] == [{"volume-05"}, {"volume-11"}]


def test_a_volume_is_the_same_alone_and_among_replicates():
    source, alone = open_pictures(DataOptions(HL60, replicates=2)), open_source(HL60)
    np.testing.assert_array_equal(source[3].image, alone[3].image)


def test_a_folder_has_no_replicates(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / folder / "a.png")
    options = DataOptions(f"folder:{tmp_path}", replicates=8)
    assert Splitting.of(options).replicates == 1 and len(open_pictures(options)) == 1
