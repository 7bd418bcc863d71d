"""Predictions by tiles are those of the whole picture, or the weighted means of what windows say; turned ones too."""

import tracemalloc
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from segjax.models import create
from segjax.training import exact_tiling, predict_tiled
from segjax.training.tiles import _cut, _overlapping
from segjax.types import InputError

NETWORKS = [
    ("unet", {"width": 2, "levels": 2, "norm": "none"}),
    ("unet", {"width": 2, "levels": 1, "norm": "running"}),
    ("segnet", {"width": 2, "levels": 2, "norm": "none", "published_head": False}),
    ("msd", {"depth": 4}),
]
KERNEL = np.random.default_rng(7).random((5, 5))
KERNEL[4], KERNEL[:, 4] = 0, 0  # it sees 2 pixels up and left, 1 down and right

FLAT = np.zeros((9, 9), np.float32)


def blur(images):
    """A network of which every pixel sees a few around it, more on one side; outside the picture is 0."""
    seen = [ndimage.correlate(image[..., 0], KERNEL, mode="constant") for image in images]
    return np.stack([np.stack([one, -2 * one], -1) for one in seen]).astype(np.float32)


def picture(*shape):
    return np.random.default_rng(0).random((*shape, 1), np.float32)


def looked_at_from_all_sides(apply, image, flips, rotations):
    """The mean over whole pictures that NumPy turns."""
    found = []
    for turns in range(4) if rotations else [0]:
        axes = [(), (0,)] if rotations else [(), (0,), (1,), (0, 1)]
        for flipped in axes if flips else [()]:
            seen = np.rot90(np.flip(image, flipped), turns)
            found.append(np.flip(np.rot90(np.asarray(apply(seen[None].copy()))[0], -turns), flipped))
    return np.mean(found, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=str)
@pytest.mark.parametrize("shape", [(97, 130), (64, 111)])
def test_tiles_give_the_logits_of_the_whole_picture(name, options, shape):
    network = create(name, **options)
    image = np.random.default_rng(0).random((*shape, 2), np.float32)
    drawn = network.init(jax.random.key(0), jnp.asarray(image[None]))
    variables = jax.tree.map(lambda leaf: leaf + 0.1, drawn)  # MSD starts with zeros in its last layer
    apply = partial(jax.jit(network.apply), variables)
    whole = np.asarray(apply(image[None])[0])
    assert whole.std() > 0
    for batch in (1, 4):
        tiled = predict_tiled(apply, image, tile=24, batch=batch, **exact_tiling(network))
        np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-5)
    looks = {"flips": shape[0] == 64, "rotations": shape[0] == 97}
    turned = predict_tiled(apply, image, tile=24, **looks, **exact_tiling(network))
    expected = looked_at_from_all_sides(apply, image, **looks)
    assert np.abs(expected - whole).max() > 1e-3
    np.testing.assert_allclose(turned, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 40), (33, 57), (7, 64), (5, 5)])
@pytest.mark.parametrize(("flips", "rotations"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_halo_as_wide_as_the_network_sees_gives_the_whole_picture(shape, flips, rotations):
    image = picture(*shape)
    expected = looked_at_from_all_sides(blur, image, flips, rotations)
    looks = {"flips": flips, "rotations": rotations}
    for options in ({}, {"tile": 8, "halo": 2}, {"tile": 5, "halo": 3, "stride": 4, "batch": 3}):
        found = predict_tiled(blur, image, **options, **looks)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_halo_has_two_sides_and_must_be_wide_enough_on_each():
    image = picture(30, 41)
    whole = blur(image[None])[0]
    np.testing.assert_array_equal(predict_tiled(blur, image, tile=6, halo=(2, 1), stride=1), whole)
    for halo in ((0, 0), 0):  # the stride leaves some margin: one pixel on each side
        assert (predict_tiled(blur, image, tile=6, halo=halo) != whole).any()


@pytest.mark.parametrize("options", [{}, {"tile": 8, "halo": 2}, {"tile": 16, "blend": True}], ids=str)
def test_a_turned_picture_gives_the_turned_result(options):
    """Windows of 16 pixels lie alike from all sides of 32."""
    image = picture(32, 32)
    both = partial(predict_tiled, blur, flips=True, rotations=True, **options)
    found = both(image)
    for turned in (np.rot90, np.flipud, np.fliplr, lambda values: values.swapaxes(0, 1)):
        np.testing.assert_allclose(both(turned(image).copy()), turned(found), atol=1e-5)
    plain = predict_tiled(blur, image, **options)
    assert np.abs(predict_tiled(blur, np.rot90(image).copy(), **options) - np.rot90(plain)).max() > 0.1


def test_flips_and_rotations_are_of_each_its_own():
    image = picture(16, 16)
    flips, rotations = (partial(predict_tiled, blur, **{name: True}) for name in ("flips", "rotations"))
    np.testing.assert_allclose(flips(np.flipud(image).copy()), np.flipud(flips(image)), atol=1e-5)
    np.testing.assert_allclose(rotations(np.rot90(image).copy()), np.rot90(rotations(image)), atol=1e-5)
    assert np.abs(flips(np.rot90(image).copy()) - np.rot90(flips(image))).max() > 0.1
    assert np.abs(rotations(np.flipud(image).copy()) - np.flipud(rotations(image))).max() > 0.1


@pytest.mark.parametrize("shape", [(16, 31), (30, 23), (9, 40)])
@pytest.mark.parametrize(("tile", "halo", "flips"), [(10, 3, False), (8, (2, 3), True), (16, 0, False), (3, 6, False)])
def test_blended_windows_are_the_weighted_mean_worked_out_pixel_by_pixel(shape, tile, halo, flips):
    side = tile + (sum(halo) if isinstance(halo, tuple) else 2 * halo)
    image = picture(*shape)
    whole = np.pad(image, [(0, max(0, side - length)) for length in shape] + [(0, 0)], mode="reflect")
    starts = [[span.window.start for span in _overlapping(length, side, tile)] for length in whole.shape[:2]]
    sums, weights = np.zeros((*whole.shape[:2], 2)), np.zeros((*whole.shape[:2], 1))
    for y in starts[0]:
        for x in starts[1]:
            values = looked_at_from_all_sides(blur, whole[y : y + side, x : x + side], flips, False)
            for row in range(side):
                for column in range(side):
                    weight = min(row + 1, side - row, column + 1, side - column)
                    sums[y + row, x + column] += weight * values[row, column]
                    weights[y + row, x + column] += weight
    expected = (sums / weights)[: shape[0], : shape[1]]
    for batch in (1, 4):
        shares = []
        found = predict_tiled(
            blur, image, tile=tile, halo=halo, blend=True, flips=flips, batch=batch, on_share=shares.append
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        assert shares[-1] == 1 and shares == sorted(shares)


@pytest.mark.parametrize("options", [{}, {"blend": True}], ids=str)
def test_large_pictures_are_read_and_written_window_by_window(tmp_path, options):
    """100 MB in and out, of which memory holds a stripe of weights and a few windows."""
    shape = (3200, 4000)
    image = np.memmap(tmp_path / "picture", np.float32, "w+", shape=(*shape, 1))
    image[1000:1200, 2000:2100] = 1
    out = np.memmap(tmp_path / "result", np.float32, "w+", shape=(*shape, 1))
    out[:] = 5  # what was there before does not matter
    tracemalloc.start()
    found = predict_tiled(lambda seen: 2 * seen, image, tile=400, halo=20, flips=True, out=out, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is out and peak < 15e6
    assert out[1100, 2050] == 2 and out[1100, 2150] == 0 and out.max() == 2
    assert out.sum(dtype=np.float64) == pytest.approx(2 * 200 * 100, rel=1e-6)


def test_more_than_the_halo_is_needed():
    """One pixel far away changes no logit of a tile; one within the receptive field may."""
    network = create("msd", depth=4)
    assert exact_tiling(network) == {"halo": 11, "stride": 1} and network.receptive_field == 21
    for window, kept in _cut(200, 24, 11, 11, 1):
        assert window.start == 0 or kept.start - window.start >= 10
        assert window.stop == 200 or window.stop - kept.stop >= 10


@pytest.mark.parametrize("length", [30, 61, 64, 97, 200, 257])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_windows_have_one_size_start_on_the_grid_and_cover_everything_once(length, stride):
    windows = list(_cut(length, 20, 9, 7, stride))
    assert len({window.stop - window.start for window, _ in windows}) == 1
    assert all(window.start % stride == 0 and window.start >= 0 and window.stop <= length for window, _ in windows)
    assert all((length - window.stop) % stride == 0 for window, _ in windows)  # on the grid of the flipped picture too
    covered = np.concatenate([np.arange(kept.start, kept.stop) for _, kept in windows])
    np.testing.assert_array_equal(covered, np.arange(length))
    for window, kept in windows:
        assert window.start == 0 or kept.start - window.start >= 9
        assert window.stop == length or window.stop - kept.stop >= 7


@pytest.mark.parametrize(("length", "side", "step"), [(64, 64, 64), (65, 64, 64), (200, 64, 48), (130, 64, 1)])
def test_overlapping_windows_cover_the_picture_and_share_enough(length, side, step):
    starts = [window.start for window, _ in _overlapping(length, side, step)]
    assert starts[0] == 0 and starts[-1] == length - side
    assert all(later - earlier <= step for earlier, later in pairwise(starts))
    assert len(starts) == 1 or len(starts) - 1 < (length - side) / step + 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tile": 0}, "tile must be at least 1 pixel, not 0"),
        ({"tile": 8, "batch": 0}, "batch must be at least 1, not 0"),
        ({"tile": 8, "halo": -1}, "halo must be at least 0 pixels, not -1"),
        ({"tile": 8, "halo": (0, -2)}, "halo must be at least 0 pixels"),
        ({"tile": 8, "stride": 0}, "stride must be at least 1 pixel, not 0"),
        ({"tile": 8, "stride": 2, "blend": True}, "stride: blended windows begin anywhere"),
        ({"blend": True}, "blend: there is nothing to blend without tiles; give a tile"),
        ({"image": FLAT}, r"image must have the shape \[H, W, C\], not \(9, 9\)"),
        ({"image": FLAT[:, :0, None]}, r"not \(9, 0, 1\)"),
        ({"out": FLAT[..., None]}, r"out: has the shape \(9, 9, 1\), but the result has \(9, 9, 2\)"),
        ({"apply": lambda seen: seen.mean((1, 2))}, r"apply: gives \(1, 1\) for pictures \(1, 9, 9, 1\)"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_tiled_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        predict_tiled(**{"apply": blur, "image": picture(9, 9), **options})


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (create("unet", norm="batch"), "norm: tiles do not give the values of the whole picture"),
        (create("unet", norm="group"), "norm='group'"),
        (create("resnet18"), "network: ResNet18 tells no receptive_field"),
    ],
    ids=str,
)
def test_networks_of_which_tiles_are_not_exact_are_refused(network, said):
    with pytest.raises(InputError, match=said):
        exact_tiling(network)
