"""Contour-CAM: its formula solved densely, its exact properties, and its boundary on discs seen through a blur."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from segjax.evaluation import surface_dice, surface_distances
from segjax.maps import ClassDifference, upsample
from segjax.maps.cam import cam
from segjax.maps.contour import blur_of, complete, contour_cam
from segjax.maps.masks import contour_level
from segjax.types import InputError

SIZE, STRIDE, BLUR = 64, 16, 10.0
compiled = jax.jit(complete)


def scene(seed, radius=11, centre=(36, 27), lit=lambda rows, columns: True):
    """A brighter disc among other edges and grain, and evidence for it: blurred, in cells of 16 pixels."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    disc = np.hypot(rows - centre[0], columns - centre[1]) < radius
    grain = 0.05 * np.random.default_rng(seed).standard_normal(disc.shape)
    picture = (0.3 + 0.2 * disc + 0.15 * (columns > 54) + grain).astype(np.float32)
    blurred = ndimage.gaussian_filter((disc & lit(rows, columns)).astype(float), BLUR, mode="reflect")
    evidence = blurred.reshape(SIZE // STRIDE, STRIDE, SIZE // STRIDE, STRIDE).mean((1, 3)).astype(np.float32)
    return disc, picture[None, ..., None], evidence[None]


def solve(evidence, picture, blur=BLUR):
    return np.asarray(compiled([jnp.asarray(evidence)], [jnp.asarray(picture)], [jnp.float32(blur)]))


def densely(evidence, picture, blurs):
    """The formula of the module with matrices, in float64, for one picture of one channel."""
    height, width = picture.shape
    smooth = ndimage.gaussian_filter(picture.astype(float), 1, truncate=3, mode="nearest")
    pairs = [((r, c), (r, c + 1)) for r in range(height) for c in range(width - 1)]
    pairs += [((r, c), (r + 1, c)) for r in range(height - 1) for c in range(width)]
    squares = np.array([(smooth[a] - smooth[b]) ** 2 for a, b in pairs])
    weights = np.maximum(np.exp(-squares / squares.mean() / 2), 1e-3)
    laplacian = np.zeros((picture.size, picture.size))
    for (a, b), weight in zip(pairs, weights, strict=True):
        i, j = np.ravel_multi_index(a, picture.shape), np.ravel_multi_index(b, picture.shape)
        laplacian[[i, j], [i, j]] += weight
        laplacian[[i, j], [j, i]] -= weight
    matrix, right = np.zeros_like(laplacian), np.zeros(picture.size)
    for one, blur in zip(evidence, blurs, strict=True):
        seen = []
        for unit in np.eye(picture.size).reshape(-1, height, width):
            blurred = ndimage.gaussian_filter(unit, blur, mode="reflect", truncate=12)
            h, w = one.shape
            seen.append(blurred.reshape(h, height // h, w, width // w).mean((1, 3)).ravel())
        seen = np.array(seen).T
        area = picture.size / one.size
        matrix += (area * seen.T @ seen + (area + blur**2) * laplacian) / len(evidence)
        right += area * seen.T @ one.ravel() / len(evidence)
    return np.linalg.solve(matrix, right).reshape(height, width)


def mask_of(maps, picture):
    found = np.asarray(maps)[0]
    return found > contour_level(found, picture[0])


def overlap(mask, other):
    return np.sum(mask & other) / np.sum(mask | other)


def test_the_map_solves_its_formula():
    rng = np.random.default_rng(1)
    picture, evidence = rng.uniform(0, 1, (8, 6)).astype(np.float32), rng.standard_normal((4, 3)).astype(np.float32)
    found = solve(evidence[None], picture[None, ..., None], 0.8)[0]
    np.testing.assert_allclose(found, densely([evidence], picture, [0.8]), atol=2e-3)


def test_evidence_may_be_as_fine_as_the_picture():
    rng = np.random.default_rng(2)
    picture, evidence = rng.uniform(0, 1, (6, 5)).astype(np.float32), rng.standard_normal((6, 5)).astype(np.float32)
    found = solve(evidence[None], picture[None, ..., None], 0.8)[0]
    np.testing.assert_allclose(found, densely([evidence], picture, [0.8]), atol=2e-3)


def test_evidence_of_several_layers_counts_alike():
    rng = np.random.default_rng(9)
    picture = rng.uniform(0, 1, (8, 6)).astype(np.float32)
    evidence, blurs = (
        [rng.standard_normal(size).astype(np.float32) for size in ((2, 3), (4, 3), (8, 6))],
        [1.5, 0.8, 0.6],
    )
    found = compiled([one[None] for one in evidence], [picture[None, ..., None]], blurs)[0]
    np.testing.assert_allclose(found, densely(evidence, picture, blurs), atol=2e-3)
    np.testing.assert_allclose(np.mean(found), np.mean([one.mean() for one in evidence]), atol=2e-3)


def test_the_boundary_is_that_of_the_picture_where_the_evidence_is_blurred():
    for seed, radius, centre in ((0, 11, (36, 27)), (1, 7, (30, 35)), (2, 15, (30, 30))):
        disc, picture, evidence = scene(seed, radius, centre)
        mask, enlarged = mask_of(solve(evidence, picture), picture), upsample(jnp.asarray(evidence), SIZE, SIZE)[0]
        assert overlap(mask, disc) > 0.9 and surface_dice(surface_distances(mask, disc), 2.0) > 0.95
        assert max(overlap(np.asarray(enlarged > share * enlarged.max()), disc) for share in (0.3, 0.5, 0.7)) < 0.9


def test_evidence_on_a_part_spreads_to_the_edges():
    disc, picture, evidence = scene(3, lit=lambda rows, columns: rows < 34)
    assert overlap(mask_of(solve(evidence, picture), picture), disc) > 0.9


def test_no_evidence_gives_an_empty_map_whatever_the_picture_shows():
    _, picture, evidence = scene(4)
    assert not solve(0 * evidence, picture).any()
    np.testing.assert_allclose(solve(0 * evidence + 0.3, picture), 0.3, atol=1e-3)
    blank = solve(evidence, 0 * picture + 0.5)
    assert np.isfinite(blank).all() and np.ptp(blank) < np.ptp(solve(evidence, picture))


def test_the_mean_is_that_of_the_evidence_and_the_map_is_linear_in_it():
    _, picture, evidence = scene(5)
    other = np.random.default_rng(6).standard_normal(evidence.shape).astype(np.float32)
    first, second = solve(evidence, picture), solve(other, picture)
    np.testing.assert_allclose(first.mean(), evidence.mean(), rtol=1e-3)
    both = solve(2 * evidence - other, picture)
    np.testing.assert_allclose(both, 2 * first - second, atol=4e-3 * np.abs(both).max())


def test_turning_flipping_and_brightening_change_nothing_else():
    _, picture, evidence = scene(7)
    found = solve(evidence, picture)
    tolerance = {"atol": 2e-3 * found.max()}
    for turn in (
        lambda x: np.flip(x, 1),
        lambda x: np.flip(x, 2),
        lambda x: np.rot90(x, axes=(1, 2)),
    ):
        np.testing.assert_allclose(solve(turn(evidence), turn(picture)), turn(found), **tolerance)
    np.testing.assert_allclose(solve(evidence, 3 * picture - 1), found, **tolerance)


def test_a_shift_by_a_cell_shifts_the_map():
    disc, picture, evidence = scene(8, radius=6, centre=(24, 24))
    moved, moved_evidence = (np.roll(x, (n, n), (1, 2)) for x, n in ((picture, STRIDE), (evidence, 1)))
    masks = [mask_of(solve(e, p, 4.0), p) for e, p in ((evidence, picture), (moved_evidence, moved))]
    assert overlap(masks[1], np.roll(disc, (STRIDE, STRIDE), (0, 1))) > 0.85
    assert overlap(masks[1], np.roll(masks[0], (STRIDE, STRIDE), (0, 1))) > 0.9


@pytest.mark.slow
def test_on_a_network_it_keeps_the_score(tiny):
    apply, variables, image, _ = tiny
    target = ClassDifference(1, 0)
    bias = variables["params"]["head"]["bias"]
    maps = []
    for guides in ((), ("first",)):
        maps.append(jax.jit(lambda x, g=guides: contour_cam(apply, variables, x, target, ["maps"], g))(image))
        mean = maps[-1].mean((1, 2))
        np.testing.assert_allclose(mean + bias[1] - bias[0], target(apply(variables, image)), rtol=2e-3, atol=2e-3)
    assert not np.allclose(*maps, atol=1e-3)
    assert maps[0].shape == (2, 8, 6) and cam(apply, variables, image, target).shape == (2, 4, 3)


def test_blur_is_that_of_the_window_that_a_cell_sees():
    kernel = np.exp(-0.5 * (np.arange(-9, 10) / 2.5) ** 2)
    kernel = jnp.asarray(np.outer(kernel, kernel), jnp.float32)[..., None, None]

    def apply(variables, image, taps=None, features=False):
        layer = jax.lax.conv_general_dilated(image, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        layer = layer + (taps or {}).get("maps", 0)
        logits = layer.mean((1, 2))
        return (logits, {"maps": layer}) if features else logits

    found = blur_of(apply, {}, jnp.ones((2, 40, 40, 1)), lambda logits: logits[:, 0], "maps")
    np.testing.assert_allclose(found, 2.5, rtol=0.02)


def test_it_asks_for_a_layer(tiny):
    apply, variables, image, _ = tiny
    with pytest.raises(InputError, match="name at least one layer"):
        contour_cam(apply, variables, image, ClassDifference(1, 0), [])
