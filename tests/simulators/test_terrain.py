"""Simulated satellite pictures: sizes of sites, exact outlines, labels, groups, georeference, options."""

import numpy as np
import pytest
from scipy import ndimage

from segjax.data import open_source
from segjax.simulators.terrain import open_terrain
from segjax.simulators.terrain_film import exposure_of, respond, shading
from segjax.simulators.terrain_ground import distance_to, draw_sheet, fractal, line
from segjax.simulators.terrain_site import draw_area, draw_layer, draw_site
from segjax.types import InputError

SMALL = {"pixels": "96", "metres": "6.64", "sheets": "3", "pictures": "20", "seed": "3"}


@pytest.fixture(scope="module")
def source():
    return open_terrain("mounds", SMALL)


@pytest.fixture(scope="module")
def sites(source):
    return [source[i] for i in range(len(source)) if source.has_site(*divmod(i, 20))]


def test_one_picture_in_ten_shows_a_site(source):
    shown = np.array([source.has_site(sheet, number) for sheet in range(3) for number in range(20)])
    np.testing.assert_array_equal(shown.reshape(-1, 10).sum(1), 1)
    assert len({tuple(block) for block in shown.reshape(-1, 10)}) > 1
    every = open_terrain("mounds", SMALL | {"without": "0"})
    assert all(every.has_site(0, number) for number in range(20))


def test_samples_are_what_the_nouns_promise(source, sites):
    without = source[next(i for i in range(20) if not source.has_site(0, i))]
    assert without.label == 0 and not without.labels.any() and len(without.classes) == 0
    assert len(sites) == 6 and source.label_names == ("no site", "site") and source.class_names == ("site",)
    for sample in sites:
        assert sample.label == 1 and sample.labels.max() == 1
        np.testing.assert_array_equal(sample.classes, [1])
        assert sample.image.shape == (96, 96, 1) and sample.image.dtype == np.float32
        assert 0 <= sample.image.min() < sample.image.max() <= 1
        np.testing.assert_allclose(sample.image * 255, np.rint(sample.image * 255), atol=1e-4)
    assert source.groups[::20] == ("sheet-00", "sheet-01", "sheet-02")
    assert len(set(source.names)) == len(source) == len(source.shapes) == 60


def test_the_same_seed_gives_the_same_bits_whatever_else_there_is(source, sites):
    other = open_terrain("mounds", SMALL | {"sheets": "1", "pictures": "40"})
    for index in (0, 7):
        np.testing.assert_array_equal(source[index].image, other[index].image)
    assert source.digest != other.digest
    again = open_terrain("mounds", SMALL | {"seed": "4"})
    assert (again[0].image != source[0].image).any() and again.digest != source.digest
    assert open_source("terrain:mounds?" + "&".join(f"{k}={v}" for k, v in SMALL.items())).digest == source.digest


def test_areas_have_the_quantiles_of_outlined_sites():
    generator = np.random.default_rng(0)
    areas = np.array([draw_area(generator) for _ in range(20_000)])
    # the largest, 44 ha, cuts a little off the top
    np.testing.assert_allclose(np.quantile(areas, (0.1, 0.5, 0.9)), (0.42, 1.89, 9.7), rtol=0.06)
    assert areas.max() <= 44


def test_the_mask_has_the_area_of_the_outline():
    generator = np.random.default_rng(1)
    centres = np.arange(400) + 0.5
    for _ in range(5):
        site = draw_site(generator, 400.0)
        layer = draw_layer(site, centres[:, None], centres[None], np.zeros((400, 400), np.float32))
        inside = np.hypot(centres[:, None] - site.centre[0], centres[None] - site.centre[1]) < 400
        np.testing.assert_allclose((layer.inside & inside).sum() / 1e4, site.area, rtol=0.03)
        assert layer.height[~layer.inside].max() == 0 and layer.height.max() > 0.7 * site.height


def test_soil_is_dark_or_bright_inside_and_sites_lie_anywhere():
    generator = np.random.default_rng(2)
    drawn = [draw_site(generator, 850.0) for _ in range(300)]
    soil = np.array([site.soil for site in drawn])
    assert 0.4 < np.mean(soil < 0) < 0.6 and np.abs(soil).min() >= 0.3
    y, x = np.array([site.centre for site in drawn]).T / 850
    assert min(y.min(), x.min()) < 0.15 and max(y.max(), x.max()) > 0.85 and abs(y.mean() - 0.5) < 0.05
    centres = (np.arange(128) + 0.5) * 850 / 128
    site = next(site for site in drawn if site.soil < 0 and len(site.hollow_ways) > 3 and site.area < 3)
    layer = draw_layer(site, centres[:, None], centres[None], np.zeros((128, 128), np.float32))
    assert np.median(layer.tone[layer.inside]) < -0.25
    away = np.hypot(centres[:, None] - site.centre[0], centres[None] - site.centre[1])
    radius = np.sqrt(site.area * 1e4 / np.pi)
    beyond = layer.tone[(away > 2.8 * radius)]
    assert beyond.min() < -0.05 and np.median(np.abs(beyond)) < 0.05  # hollow ways, and plain ground between them


def test_most_mounds_stand_out_from_the_ground_around():
    source = open_terrain("mounds", {"pixels": "96", "metres": "4.98", "sheets": "10", "pictures": "4", "without": "0"})
    contrasts = []
    for index in range(len(source)):
        sample = source[index]
        inside, around = (
            sample.labels > 0,
            ndimage.binary_dilation(sample.labels > 0, iterations=8) & (sample.labels == 0),
        )
        grey = sample.image[..., 0]
        contrasts.append(abs(grey[inside].mean() - grey[around].mean()) / grey[around].std())
    assert np.median(contrasts) > 1.8  # 1.1 is too faint: classifiers stay at chance


def test_slopes_towards_the_sun_are_bright():
    sheet = draw_sheet(np.random.default_rng(0))
    y, x = np.mgrid[:20, :20].astype(np.float32)
    towards = (-(y * np.sin(sheet.sun) + x * np.cos(sheet.sun)) * 0.2).astype(np.float32)
    level = shading(np.zeros((20, 20), np.float32), sheet, 1.0)
    np.testing.assert_allclose(level, 0.0, atol=1e-6)
    # Lambert: (1 + slope / tan(height of the sun)) / sqrt(1 + slope^2) of the light on level ground
    expected = np.log((1 + 0.2 / sheet.sun_height) / np.sqrt(1.04))
    np.testing.assert_allclose(shading(towards, sheet, 1.0), expected, rtol=1e-4)
    assert (shading(-towards, sheet, 1.0) < 0).all()


def test_the_film_can_be_turned_back_into_light():
    grey = np.linspace(0.05, 0.95, 7, dtype=np.float32)[None]
    np.testing.assert_allclose(respond(exposure_of(grey), 0.5, 1.0), grey, rtol=1e-5)
    assert respond(np.zeros((1, 1), np.float32), 0.3, 1.7) == np.float32(0.3)


def test_distance_to_a_line_is_exact_between_pixels():
    away = distance_to(line([np.array([0.0, 7.3]), np.array([40.0, 7.3])], 2.0), 20, 2.0)
    expected = np.abs((np.arange(20) + 0.5) * 2.0 - 7.3)
    np.testing.assert_allclose(away, np.broadcast_to(expected, (20, 20)), atol=0.15)
    assert np.isinf(distance_to(np.array([[500.0, 500.0]]), 20, 2.0)).all()


def test_noise_is_standardised_and_smoother_with_a_steeper_slope():
    rough, smooth = (fractal(np.random.default_rng(0), 64, 3.0, slope) for slope in (0.5, 2.0))
    for noise in (rough, smooth):
        np.testing.assert_allclose((noise.mean(), noise.std()), (0, 1), atol=1e-4)
    assert np.diff(smooth, axis=0).std() < 0.3 * np.diff(rough, axis=0).std()


def test_pictures_of_a_sheet_lie_side_by_side(source):
    first, second, below = (source[index].georeference for index in (0, 1, 10))
    assert first.crs == "EPSG:32637"
    a, b, left, d, e, top = first.transform
    assert (a, b, d, e) == (6.64, 0.0, 0.0, -6.64)
    np.testing.assert_allclose(first.at(0, 96).transform, second.transform)
    np.testing.assert_allclose(first.at(96, 0).transform, below.transform)
    np.testing.assert_allclose(first.at(2, 3).transform, (a, b, left + 3 * a, d, e, top + 2 * e))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("craters", {}, "terrain:craters is unknown; use terrain:mounds"),
        (
            "mounds",
            {"size": "half"},
            "no option 'size'; its options are pixels, sheets, pictures, without, seed, metres",
        ),
        ("mounds", {"pixels": "32"}, "pixels=32 must be a whole number from 64 to 1024"),
        ("mounds", {"without": "-1"}, "without=-1 must be a whole number from 0"),
        ("mounds", {"metres": "fine"}, "metres=fine must be a number from 0.5 to 10"),
        ("mounds", {"pixels": "64", "metres": "2"}, "of 128 m are too narrow"),
        ("mounds", {"backgrounds": "tiles"}, "no option 'backgrounds'"),
    ],
)
def test_wrong_options_are_refused_with_a_remedy(name, options, message):
    with pytest.raises(InputError) as refused:
        open_terrain(name, options)
    assert message in str(refused.value)
