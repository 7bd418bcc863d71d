"""Rungs of the ladder beside direct calls of scikit-image and scikit-learn, and truths worked out by hand."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_local, threshold_otsu

from segjax.classical import LADDER, create_baseline, segment_objects
from segjax.classical.baseline import Baseline
from segjax.classical.choice import annotated, best_level, sampled
from segjax.classical.clusters import colour_and_texture, objects_among
from segjax.classical.grey import two_levels
from segjax.types import InputError

rows, columns = np.mgrid[:40, :40]
DISC = np.hypot(rows - 20, columns - 18) < 8


def pictures(contrast: float, count: int = 2, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Discs with noise, brighter or darker than the background, and their masks."""
    generator = np.random.default_rng(0)
    masks = np.stack([np.roll(DISC, 3 * number, (0, 1)) for number in range(count)])
    images = 0.5 + contrast * masks[..., None] + generator.normal(0, 0.02, (*masks.shape, channels))
    return images.astype(np.float32), masks


def marked(name: str, fitted_on: tuple, shown: np.ndarray, **options) -> np.ndarray:
    baseline = create_baseline(name, **options)
    return baseline.apply(baseline.fit(0, *fitted_on), shown).argmax(-1) > 0


@pytest.mark.parametrize("name", LADDER)
@pytest.mark.parametrize(("contrast", "channels"), [(0.3, 1), (-0.3, 3)])
def test_every_rung_finds_bright_and_dark_discs_and_is_deterministic(name, contrast, channels):
    images, masks = pictures(contrast, channels=channels)
    options = {"trees": 20, "pixels": 1000} if name == "forest" else {}
    known = images, masks.astype(np.int32)
    found = marked(name, known, images, **options)
    assert 2 * (found & masks).sum() / (found.sum() + masks.sum()) > 0.9
    baseline = create_baseline(name, **options)
    assert isinstance(baseline, Baseline)
    logits = baseline.apply(baseline.fit(0, *known), images)
    assert logits.dtype == np.float32 and logits.shape == (*masks.shape, 2) and np.isfinite(logits).all()
    np.testing.assert_array_equal(logits, baseline.apply(baseline.fit(0, *known), images))
    alone = baseline.apply(baseline.fit(0, *known), images[1:])
    np.testing.assert_array_equal(logits[1:], alone)  # each picture is treated alone


@pytest.mark.parametrize("name", [name for name in LADDER if name != "forest"])
def test_without_annotations_objects_are_what_fewer_pixels_show(name):
    for contrast in (0.3, -0.3):
        images, masks = pictures(contrast)
        found = marked(name, (images,), images)
        assert (found & masks).sum() > 0.7 * masks.sum() and found.mean() < 0.5
        nothing = np.full(masks.shape, -1, np.int32)
        np.testing.assert_array_equal(found, marked(name, (images, nothing), images))


def test_otsu_is_that_of_scikit_image():
    images, masks = pictures(0.3)
    smooth = ndimage.gaussian_filter(images[0, ..., 0], 2.0)
    expected = smooth > threshold_otsu(smooth)
    np.testing.assert_array_equal(marked("otsu", (images, masks.astype(int)), images[:1], sigmas=(2.0,))[0], expected)


def test_the_adaptive_threshold_is_that_of_scikit_image():
    images, masks = pictures(0.3)
    smooth = ndimage.gaussian_filter(images[0, ..., 0], 1.0)
    expected = smooth > threshold_local(smooth, 21, "gaussian", offset=-0.5 * smooth.std())
    options = {"windows": (21,), "offsets": (0.5,)}
    np.testing.assert_array_equal(marked("adaptive", (images, masks.astype(int)), images[:1], **options)[0], expected)


def test_regions_grow_from_seeds_that_touch_them_only():
    grey = np.zeros((30, 60), np.float32)
    grey[5:25, 5:25], grey[5:25, 35:55] = 0.5, 0.5  # two dim squares
    grey[10:20, 10:20] = 1.0  # a bright seed in one of them
    low, high = two_levels(ndimage.gaussian_filter(grey, 1.0))
    assert low < 0.4 and high > 0.5
    found = create_baseline("growing").mask(grey, 0.25)
    assert found[6:24, 6:24].all() and not found[:, 30:].any()


def test_the_watershed_meets_where_the_picture_is_steepest():
    grey = np.tile(np.r_[np.zeros(10), 0.05, 0.5, 0.95, np.ones(10)], (12, 1))
    found = create_baseline("watershed").mask(grey, 0.0)
    assert not found[:, :10].any() and found[:, 13:].all()


def test_k_means_is_that_of_scikit_learn():
    from sklearn.cluster import KMeans

    images, masks = pictures(0.3, channels=3)
    found = marked("kmeans", (images, masks.astype(int)), images, clusters=(2,), sigmas=(1.0,), pixels=10_000)
    features = np.concatenate([colour_and_texture(image, 1.0).reshape(-1, 4) for image in images])
    features = (features - features.mean(0)) / features.std(0)
    own = KMeans(2, n_init=10, random_state=1).fit_predict(features).reshape(masks.shape)
    np.testing.assert_array_equal(found, own == own[0, 20, 18])


def test_a_forest_is_that_of_scikit_learn_on_the_annotated_pixels():
    from sklearn.ensemble import RandomForestClassifier

    images, masks = pictures(0.3, count=1)
    targets = np.where(columns[None] < 30, masks, -1).astype(np.int32)
    forest = create_baseline("forest", leaves=(1,), trees=10, pixels=100_000)
    fitted = forest.fit(3, images, targets)
    features, known = forest.features(images[0]), targets.ravel() != -1
    kinds = [np.flatnonzero(targets.ravel() == kind) for kind in (1, 0)]  # the rarer kind first
    order = np.concatenate(kinds)
    assert sorted(order) == np.flatnonzero(known).tolist()
    answers, weights = targets.ravel()[order] == 1, np.ones(len(order))  # with weights, trees are drawn otherwise
    own = RandomForestClassifier(10, random_state=3).fit(features[order], answers, weights)
    np.testing.assert_allclose(fitted.probability(features), own.predict_proba(features)[:, 1])
    assert 0 < fitted.level < 1
    scores = forest.apply(fitted, images)[0, ..., 1].ravel()
    np.testing.assert_array_equal(scores > 0, fitted.probability(features) > fitted.level)


def test_what_is_not_annotated_decides_nothing():
    images, masks = pictures(0.3)
    targets = masks.astype(np.int32)
    targets[:, :, 30:] = -1
    wrong = np.where(targets == -1, 1 - masks, targets)
    known = annotated(images, targets)
    assert known.dice(masks) == 1.0 and annotated(images, wrong.astype(np.int32)).dice(masks) < 1
    for name in ("otsu", "kmeans"):
        found = marked(name, (images, targets), images)
        np.testing.assert_array_equal(found, marked(name, (images, np.where(targets == -1, -1, masks)), images))


def test_pictures_without_objects_or_contrast():
    flat = np.full((2, 16, 16, 1), 0.25, np.float32)
    for name in LADDER:
        options = {"trees": 5} if name == "forest" else {}
        found = marked(name, (flat, np.zeros((2, 16, 16), np.int32)), flat, **options)
        assert found.shape == (2, 16, 16)
        if name not in ("kmeans", "gaussian_mixture"):
            assert not found.any(), name


@pytest.mark.parametrize("seed", range(20))
def test_the_best_level_and_the_best_union_are_those_of_all(seed):
    generator = np.random.default_rng(seed)
    probability, truth = generator.integers(0, 6, 30) / 5, generator.random(30) < 0.4
    weights = generator.integers(1, 5, 30).astype(float)
    truth[0] = True

    def dice(chosen, is_object, own):
        return 2 * own[chosen & is_object].sum() / (own[chosen].sum() + own[is_object].sum())

    level, value = best_level(probability, truth, weights)
    every = [dice(probability > cut, truth, weights) for cut in np.arange(0.1, 1, 0.2)]
    assert value == pytest.approx(max(every)) == pytest.approx(dice(probability > level, truth, weights))
    counts = generator.integers(1, 20, (5, 2))
    objects, value = objects_among(counts)
    unions = [[k for k in range(5) if bits >> k & 1] for bits in range(1, 32)]
    scores = [2 * counts[one, 1].sum() / (counts[one].sum() + counts[:, 1].sum()) for one in unions]
    assert value == pytest.approx(max(scores)) and sorted(objects) in unions


def test_a_sample_stands_for_all_annotated_pixels():
    target = np.where(DISC, 1, 0).astype(np.int32)
    target[:5] = -1
    places, weights = sampled(np.random.default_rng(0), target, 100)
    is_object = target.ravel()[places] == 1
    assert len(places) == 100 and is_object.sum() == 50 and (target.ravel()[places] != -1).all()
    assert weights[is_object].sum() == pytest.approx((target == 1).sum())
    assert weights[~is_object].sum() == pytest.approx((target == 0).sum())
    places, weights = sampled(np.random.default_rng(0), target, 10_000)
    assert len(places) == (target != -1).sum() and (weights == 1).all()


def test_two_levels_of_few_values():
    assert two_levels(np.float32([[0, 0, 1, 1]]))[0] == two_levels(np.float32([[0, 0, 1, 1]]))[1]
    low, high = two_levels(np.float32([[0, 0, 1, 1, 2, 2]]))
    assert 0 <= low < 1 <= high < 2


def test_objects_are_told_apart():
    images = np.zeros((1, 30, 50, 1), np.float32)
    for centre in (15, 33):
        images[0, np.hypot(*(np.mgrid[:30, :50] - np.array([15, centre]).reshape(2, 1, 1))) <= 10] = 1.0
    otsu = create_baseline("otsu", sigmas=(0.0,))
    fitted = otsu.fit(0, images)
    assert segment_objects(otsu, fitted, images).max() == 2
    assert segment_objects(otsu, fitted, images, "components").max() == 1
    with pytest.raises(InputError, match="grouping"):
        segment_objects(otsu, fitted, images, "snakes")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("canny", {}, "baseline: unknown 'canny'; choose one of otsu"),
        ("otsu", {"window": 3}, "baseline otsu: unknown option 'window'; its options are sigmas"),
        ("otsu", {"sigmas": (-1.0,)}, "baseline otsu: sigmas must be at least 0"),
        ("otsu", {"sigmas": ()}, "sigmas must be one or several numbers"),
        ("adaptive", {"windows": (10,)}, "windows: 10 is not an odd number of pixels; give 11"),
        ("growing", {"stops": (2.0,)}, "stops: 2 is more than 1"),
        ("kmeans", {"clusters": (1,)}, "clusters must be at least 2"),
        ("gaussian_mixture", {"pixels": 1}, "pixels must be at least 100"),
        ("forest", {"trees": 0}, "trees must be at least 1"),
    ],
)
def test_wrong_options_are_refused(name, options, said):
    with pytest.raises(InputError) as refused:
        create_baseline(name, **options)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", LADDER)
def test_wrong_pictures_are_refused(name):
    baseline, images = create_baseline(name), np.zeros((1, 8, 8, 1), np.float32)
    with pytest.raises(InputError, match="images must be floating-point numbers"):
        baseline.fit(0, images[0])
    with pytest.raises(InputError, match="targets must be whole numbers"):
        baseline.fit(0, images, np.zeros((1, 8, 9), np.int32))
    with pytest.raises(InputError, match="targets: 2 is none of 1"):
        baseline.fit(0, images, np.full((1, 8, 8), 2))
    with pytest.raises(InputError, match="no picture"):
        baseline.fit(0, images[:0])


def test_a_forest_needs_annotated_pixels():
    with pytest.raises(InputError, match="a forest learns from annotated pixels"):
        create_baseline("forest").fit(0, np.zeros((1, 8, 8, 1), np.float32))


@pytest.mark.slow
def test_scikit_learn_is_loaded_where_it_is_used_alone():
    code = "import sys, segjax.classical; print('sklearn' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told == "False\n"
