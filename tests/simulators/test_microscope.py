"""The microscope as a source: deterministic, lazily rendered, options refused with their names."""

import numpy as np
import pytest

from segjax.simulators import phantoms
from segjax.simulators.microscope import COARSENINGS, open_microscope, render, scaled
from segjax.types import InputError


@pytest.fixture(scope="module")
def mixed():
    return open_microscope("mixed", {"size": "sixth", "volumes": "3", "seed": "2"})


def test_names_groups_and_shapes_are_known_before_rendering(monkeypatch):
    monkeypatch.setattr(phantoms, "render_density", lambda *_: pytest.fail("a volume was rendered"))
    source = open_microscope("hl60", {"volumes": "6", "slices": "5"})
    assert source.spec == "microscope:hl60?size=quarter&volumes=6&slices=5&seed=0"
    assert len(source) == len(source.names) == len(set(source.names)) == len(source.shapes) == 30
    assert source.groups[::5] == tuple(f"volume-{volume:02d}" for volume in range(6))
    assert source.test_groups == {"volume-05"}
    assert source.class_names == ("HL60 nucleus",)
    assert source.coarsening == 4.0
    assert source.shapes[0] == (141, 201)


def test_samples_are_what_the_nouns_promise(mixed):
    assert mixed.class_names == ("HL60 nucleus", "granulocyte nucleus")
    for index in (0, len(mixed) // 2, len(mixed) - 1):
        sample = mixed[index]
        assert sample.image.shape == (*mixed.shapes[index], 1) and sample.image.dtype == np.float32
        assert sample.image.max() == 1.0 and sample.image.min() >= 0.0
        assert sample.labels.dtype == np.int32 and sample.labels.any()
        np.testing.assert_array_equal(sample.classes, [1] * 10 + [2] * 8)
        assert (sample.name, sample.group) == (mixed.names[index], mixed.groups[index])
    with pytest.raises(IndexError):
        mixed[len(mixed)]


def test_samples_are_all_slices_with_nuclei_in_order(mixed):
    for volume in range(3):
        _, labels = render("mixed", "sixth", 2, volume)
        filled = np.flatnonzero(labels.any(axis=(1, 2)))
        kept = [index for index, group in enumerate(mixed.groups) if group == f"volume-{volume:02d}"]
        assert [mixed.positions[index] for index in kept] == [(volume, number) for number in filled]
        np.testing.assert_array_equal(np.stack([mixed[index].labels for index in kept]), labels[filled])


def test_the_same_arguments_give_the_same_bits():
    first, again = (render("granulocytes", "sixth", 1, 4) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first[0] != render("granulocytes", "sixth", 2, 4)[0]).any()


def test_a_volume_does_not_depend_on_the_others(mixed):
    alone = open_microscope("mixed", {"size": "sixth", "volumes": "2", "seed": "2"})
    index = alone.groups.index("volume-01")
    assert alone.names == mixed.names[: len(alone)]
    np.testing.assert_array_equal(alone[index].image, mixed[index].image)
    assert alone.digest != mixed.digest


def test_an_object_keeps_its_id_through_the_volume(mixed):
    rows = [index for index, group in enumerate(mixed.groups) if group == "volume-00"]
    ids = np.unique(np.stack([mixed[index].labels for index in rows]))
    np.testing.assert_array_equal(ids, np.arange(19))


@pytest.mark.parametrize("volumes, tested", [(1, 0), (2, 1), (6, 1), (12, 2)])
def test_the_last_sixth_is_for_testing(volumes, tested):
    source = open_microscope("granulocytes", {"size": "sixth", "volumes": str(volumes), "slices": "1"})
    assert source.test_groups == {f"volume-{volume:02d}" for volume in range(volumes - tested, volumes)}


def test_at_paper_size_five_of_thirty_are_for_testing(monkeypatch):
    monkeypatch.setattr(phantoms, "occupied_slices", lambda *_: np.ones(129, bool))
    source = open_microscope("hl60", {"size": "paper"})
    assert source.spec == "microscope:hl60?size=paper&volumes=30&seed=0"
    assert source.test_groups == {f"volume-{volume}" for volume in range(25, 30)}
    assert source.shapes[0] == (565, 807) and source.coarsening == 1.0


def test_kept_slices_are_spread_evenly():
    options = {"size": "sixth", "volumes": "1"}
    every = [number for _, number in open_microscope("hl60", options).positions]
    kept = [number for _, number in open_microscope("hl60", {**options, "slices": "3"}).positions]
    assert set(kept) <= set(every) and len(set(np.diff(kept))) <= 2 and every[0] < kept[0] < kept[-1] < every[-1]
    assert len(open_microscope("hl60", {**options, "slices": "999"})) == len(every)


def test_a_crop_is_the_centre_of_the_same_picture():
    whole = open_microscope("hl60", {"size": "sixth", "volumes": "1"})
    crop = open_microscope("hl60", {"size": "sixth", "volumes": "1", "crop": "48"})
    volume, number = crop.positions[len(crop) // 2]
    counts, labels = whole.counts(volume, number)
    rows, columns = slice(23, 71), slice(43, 91)  # of 94 x 134
    np.testing.assert_array_equal(crop.at(volume, number).labels, labels[rows, columns])
    np.testing.assert_array_equal(crop.at(volume, number).image, scaled(counts[rows, columns]))
    assert all(crop[index].labels.any() for index in range(len(crop)))


def test_empty_slices_can_be_asked_for(mixed):
    assert not mixed.at(0, 0).labels.any()
    assert mixed.at(0, 0).name == "volume-00-slice-000"


def test_pictures_show_the_nuclei():
    counts, labels = render("mixed", "quarter", 0, 0)
    hl60, granulocytes = (np.isin(labels, ids) for ids in (np.arange(1, 11), np.arange(11, 19)))
    background = np.median(counts[labels == 0])
    for nuclei in (hl60, granulocytes):
        assert np.median(counts[nuclei]) > 4 * background
    # The haze: background near nuclei is brighter than far away.
    assert counts[16][labels[16] == 0].mean() > 1.1 * counts[0].mean()


@pytest.mark.parametrize(
    "kind, options, message",
    [
        ("yeast", {}, "microscope:yeast is unknown; choose one of hl60, granulocytes, mixed, tissue"),
        ("hl60", {"zoom": "2"}, "no option 'zoom'; its options are size, volumes, slices, crop, seed"),
        ("hl60", {"size": "huge"}, "size=huge is unknown; choose one of paper, half, quarter, sixth"),
        ("hl60", {"volumes": "0"}, "volumes=0 must be a whole number of at least 1"),
        ("hl60", {"slices": "1.5"}, "slices=1.5 must be a whole number"),
        ("hl60", {"seed": "-1"}, "seed=-1 must be a whole number of at least 0"),
        ("hl60", {"size": "sixth", "crop": "95"}, "crop=95 is larger than the 94 x 134 pixels at size=sixth"),
    ],
)
def test_wrong_options_are_refused_with_a_remedy(kind, options, message):
    with pytest.raises(InputError) as refused:
        open_microscope(kind, options)
    assert message in str(refused.value)


def test_scaling_divides_by_the_maximum():
    np.testing.assert_array_equal(scaled(np.array([[0, 500], [250, 1000]], np.uint16))[..., 0], [[0, 0.5], [0.25, 1]])
    assert not scaled(np.zeros((2, 2), np.uint16)).any()


def test_sizes_are_those_of_the_shared_table():
    shapes = {size: phantoms.grid_shape(coarsening) for size, coarsening in COARSENINGS.items()}
    assert shapes == {
        "paper": (129, 565, 807),
        "half": (64, 282, 403),
        "quarter": (32, 141, 201),
        "sixth": (21, 94, 134),
    }
