import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from segjax.annotations import Recipe, degrade, markov
from segjax.annotations.outline import _blurred, draw_markov
from segjax.types import InputError

IDS = 31
NO_FLIPS = tuple(map(np.float32, (0.8, 0.3, 0.0)))


def discs() -> np.ndarray:
    rows, columns = np.mgrid[:48, :48]
    labels = np.zeros((48, 48), np.int32)
    labels[np.hypot(rows - 16, columns - 16) < 9] = 5
    labels[np.hypot(rows - 34, columns - 34) < 7] = 9
    labels[24:30, 38:44] = 7  # touches the second disc
    return labels


LABELS = discs()


def oracle(key, labels, steps, growth, rate, flips):
    """The published process a pixel at a time, with the same random numbers; ids spread to new pixels."""
    for_steps, for_flips = jax.random.split(key)
    height, width = labels.shape
    for count in range(steps):
        for_kind, for_pixels = jax.random.split(jax.random.fold_in(for_steps, count))
        moves = np.asarray(jax.random.bernoulli(for_pixels, rate, labels.shape))
        grows = bool(jax.random.bernoulli(for_kind, growth))
        before, labels = labels, labels.copy()
        for y, x in np.ndindex(height, width):
            near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            around = [before[a, b] for a, b in near if 0 <= a < height and 0 <= b < width]
            if moves[y, x] and grows and before[y, x] == 0:
                labels[y, x] = max(around)
            if moves[y, x] and not grows and 0 in around:
                labels[y, x] = 0
    mask = (labels > 0) ^ np.asarray(jax.random.bernoulli(for_flips, flips, labels.shape))
    blurred = ndimage.gaussian_filter(mask.astype(float), 2, mode="mirror", radius=2)
    return labels, blurred > 0.5, np.abs(blurred - 0.5) < 1e-5


@pytest.mark.parametrize(("seed", "growth", "flips"), [(0, 0.8, 0.2), (1, 0.2, 0.1), (2, 0.5, 0.0)])
def test_equals_the_published_process_drawn_a_pixel_at_a_time(seed, growth, flips):
    labels = LABELS[8:32, 8:34]
    key = jax.random.key(seed)
    drawn = np.asarray(markov(key, labels, 7, growth=growth, rate=0.3, flips=flips, max_objects=IDS))
    owners, marked, is_even = oracle(key, labels, 7, growth, 0.3, flips)
    np.testing.assert_array_equal((drawn > 0)[~is_even], marked[~is_even])
    stays = (drawn > 0) & (owners > 0)
    np.testing.assert_array_equal(drawn[stays], owners[stays])
    new = np.argwhere((drawn > 0) & (owners == 0))
    assert len(new) > 0
    for y, x in new:
        distance = np.where(owners > 0, np.abs(np.indices(owners.shape) - [[[y]], [[x]]]).sum(0), 999)
        assert drawn[y, x] in owners[distance == distance.min()]


def test_the_blur_is_that_of_scipy():
    mask = np.random.default_rng(0).random((2, 9, 3)) < 0.5
    expected = [ndimage.gaussian_filter(one.astype(float), 2, mode="mirror", radius=2) for one in mask]
    np.testing.assert_allclose(_blurred(jnp.asarray(mask)), expected, atol=1e-6)


def test_no_step_changes_nothing_and_growth_decides_the_side():
    np.testing.assert_array_equal(markov(jax.random.key(0), LABELS, 0, max_objects=IDS), LABELS)
    areas = [int((markov(jax.random.key(0), LABELS, 40, growth=g, max_objects=IDS) > 0).sum()) for g in (0.1, 0.9)]
    assert areas[0] < (LABELS > 0).sum() < areas[1]


def test_ids_neither_change_the_mask_nor_come_from_nowhere():
    key = jax.random.key(3)
    drawn = np.asarray(markov(key, LABELS, 30, max_objects=IDS))
    assert set(np.unique(drawn)) == {0, 5, 7, 9}
    mask = markov(key, (LABELS > 0).astype(np.int32), 30, max_objects=1)
    np.testing.assert_array_equal(drawn > 0, mask)
    np.testing.assert_array_equal(degrade(key, LABELS * 0, Recipe(markov=30), max_objects=IDS), False)


def test_slices_of_a_volume_move_alike_and_neighbours_err_alike():
    drawn = np.asarray(markov(jax.random.key(0), np.stack([LABELS, LABELS]), 20, max_objects=IDS))
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_vmap_over_keys_and_strengths_equals_the_loop_and_jit_equals_eager():
    keys, steps = jax.random.split(jax.random.key(1), 3), jnp.array([0, 5, 12])
    draw = lambda key, count: draw_markov(key, jnp.asarray(LABELS), count, NO_FLIPS, max_objects=IDS)  # noqa: E731
    for key, count, drawn in zip(keys, steps, jax.vmap(draw)(keys, steps), strict=True):
        np.testing.assert_array_equal(drawn, draw(key, count))
    with jax.disable_jit():
        np.testing.assert_array_equal(draw(keys[1], 2), jax.jit(draw)(keys[1], 2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": -1}, "steps: -1 is not a whole number"),
        ({"growth": 1.2}, "growth: 1.2 is not a rate"),
        ({"rate": -0.1}, "rate: -0.1"),
        ({"flips": 0.5}, "flips: 0.5 turns objects into background"),
        ({"max_objects": 8}, "labels: label id 9 is above max_objects=8"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given, message):
    with pytest.raises(InputError, match=message):
        markov(jax.random.key(0), LABELS, **{"steps": 3, **given})
