"""What only all pictures together tell: a shift that is there is found, and nothing is said where there is none."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.segmentation import find_boundaries

from experiments.check.survey import REACH, look_at, outlines_of, profile_of
from experiments.check.suspicions import divided_groups, equal_pictures, shift_of, shifted_labels, twins
from segjax.data import open_source
from segjax.types import Sample

REAL = Path("/work/shared/data")
NEEDS_REAL = pytest.mark.skipif(not REAL.is_dir(), reason="the real picture sets are not here")


def sample(seed, contrast=0.5, grown=0, edge=64):
    """Discs on noise; `grown` pixels are added around the labels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:edge, :edge]
    labels = np.zeros((edge, edge), np.int32)
    for number in range(1, 4):
        row, column = random.integers(16, edge - 16, 2)
        labels[(np.hypot(y - row, x - column) < random.integers(5, 9)) & (labels == 0)] = number
    image = random.uniform(0, 0.4, (edge, edge)) + contrast * (labels > 0)
    mask = ndimage.binary_dilation(labels > 0, iterations=grown) if grown else labels > 0
    ids = np.unique(np.where(mask, 1, 0), return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    return Sample(image[..., None].astype(np.float32), ids, np.ones(1, np.int32), f"g{seed}", f"p{seed}")


def moved(one, rows, columns):
    return replace(one, labels=np.roll(one.labels, (rows, columns), (0, 1)))


@dataclass
class Pictures:
    samples: list
    groups: tuple = ()

    def __post_init__(self):
        self.names = tuple(one.name for one in self.samples)
        self.groups = self.groups or tuple(one.group for one in self.samples)

    def __getitem__(self, index):
        return self.samples[index]

    def seen(self):
        return [look_at(one) for one in self.samples]


@pytest.mark.parametrize("shift", [(3, 5), (-2, 0), (0, 7), (-6, -6)])
def test_a_shift_is_found(shift):
    assert shift_of(Pictures([moved(sample(seed), *shift) for seed in range(12)]).seen()) == shift


@pytest.mark.parametrize(
    "samples",
    [
        [sample(seed) for seed in range(12)],
        [moved(sample(seed), 1, 1) for seed in range(12)],
        [moved(sample(seed, contrast=0), 3, 5) for seed in range(12)],
        [sample(seed, grown=4) for seed in range(12)],
        [moved(sample(seed), 3, 5) for seed in range(4)],
        [moved(sample(seed), *np.random.default_rng(seed).integers(-8, 9, 2)) for seed in range(12)],
    ],
    ids=["none", "one pixel", "no visible border", "drawn too large", "too few pictures", "each another way"],
)
def test_no_shift_is_suspected(samples):
    assert shift_of(Pictures(samples).seen()) is None


def test_a_shift_is_said_in_words():
    [remark] = shifted_labels(Path("a"), Pictures([moved(sample(seed), 3, -5) for seed in range(12)]).seen())
    assert "3 px below and 5 px left of the visible borders" in remark.reason


@NEEDS_REAL
@pytest.mark.slow
def test_real_nuclei_as_they_are_and_shifted():
    source = open_source(f"folder:{REAL / 'cells_instances'}?channels=1")
    samples = [source[index] for index in range(0, len(source), 3)]
    assert shift_of(Pictures(samples).seen()) is None
    assert shift_of(Pictures([moved(one, 3, 5) for one in samples]).seen()) == (3, 5)


@NEEDS_REAL
@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", ["wbc_gpl?annotations=classes&labels=components", "rbc12?annotations=instances", "lunar_craters_gpl"]
)
def test_nothing_is_suspected_of_real_sets(spec):
    source = open_source(f"folder:{REAL}/{spec}")
    seen = [look_at(source[index]) for index in range(len(source))]
    assert shift_of(seen) is None and twins(source, seen) == [] and equal_pictures(seen) == []


def test_profile_against_moving_the_labels():
    one = sample(0)
    grey, inner = one.image[..., 0], np.zeros(one.labels.shape, bool)
    inner[REACH:-REACH, REACH:-REACH] = find_boundaries(one.labels, mode="inner")[REACH:-REACH, REACH:-REACH]
    gradient = ndimage.gaussian_gradient_magnitude(grey, 1.0)
    found = profile_of(grey, one.labels)
    for rows, columns in ((0, 0), (-8, 8), (3, -1)):
        expected = gradient[np.roll(inner, (rows, columns), (0, 1))].mean() / gradient.mean()
        np.testing.assert_allclose(found[REACH + rows, REACH + columns], expected, rtol=1e-5)


def test_outlines_against_scikit_image():
    labels = np.random.default_rng(0).integers(0, 3, (9, 11)).repeat(3, 0).repeat(3, 1).astype(np.int32)
    np.testing.assert_array_equal(outlines_of(labels), find_boundaries(labels, mode="inner", connectivity=1))


def test_diameters_are_those_of_the_disc_of_the_area():
    labels = np.zeros((20, 20), np.int32)
    labels[:4, :4], labels[10:12, 10:12] = 1, 3
    seen = look_at(Sample(np.zeros((20, 20, 1), np.float32), labels, np.asarray([1, 1, 2], np.int32), "g", "n"))
    np.testing.assert_allclose(np.pi * seen.diameters**2 / 4, [16, 4])
    assert seen.classes.tolist() == [1, 2]


def photograph(seed, edge=96):
    return ndimage.gaussian_filter(np.random.default_rng(seed).uniform(0, 1, (edge, edge)), 1.5) * 4 - 1.5


def pictures(*images, groups=()):
    empty = [Sample(np.clip(i, 0, 1)[..., None].astype(np.float32), np.zeros(i.shape, np.int32), np.zeros(0, np.int32),
             f"g{n}", f"p{n}") for n, i in enumerate(images)]  # fmt: skip
    return Pictures(empty, groups)


def as_jpeg(image):
    file = io.BytesIO()
    Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file)) / 255


@pytest.mark.parametrize(
    "change",
    [
        as_jpeg,
        lambda image: 0.6 * image + 0.2,
        lambda image: np.asarray(Image.fromarray(image.astype(np.float32)).resize((80, 80))),
        lambda image: image + np.random.default_rng(9).normal(0, 0.02, image.shape),
    ],
    ids=["JPEG", "brightness", "size", "noise"],
)
def test_nearly_equal_pictures_are_found(change):
    source = pictures(photograph(0), photograph(1), change(photograph(0)))
    assert twins(source, source.seen()) == [(0, 2)]
    grouped = pictures(photograph(0), photograph(1), change(photograph(0)), groups=("a", "b", "a"))
    assert twins(grouped, grouped.seen()) == []


def test_different_pictures_and_empty_ones_are_no_twins():
    source = pictures(*map(photograph, range(20)), np.zeros((96, 96)), np.zeros((96, 96)))
    assert twins(source, source.seen()) == [] and equal_pictures(source.seen()) == []


def test_equal_pictures_are_found_also_within_a_group():
    source = pictures(photograph(0), photograph(1), photograph(0), groups=("a", "a", "a"))
    assert equal_pictures(source.seen()) == [(0, 2)]


def test_groups_on_two_sides_of_a_split():
    source = pictures(*map(photograph, range(4)), groups=("a", "a", "b", "b"))
    sides = {"p0": "train", "p1": "test", "p2": "train", "p3": "validation"}
    [remark] = divided_groups(Path("x"), source, sides)
    assert "1 group(s)" in remark.reason and "(a)" in remark.reason
    assert divided_groups(Path("x"), source, sides | {"p1": "validation"}) == []
