import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.draw import polygon2mask

from segjax.annotations import jitter, polygon, shift
from segjax.annotations.outline import _nearest_id, _smooth_field
from segjax.types import InputError

IDS, SIDE = 31, 64


def discs() -> np.ndarray:
    """Two slices with the same disc, and a smaller one beside it."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((2, SIDE, SIDE), np.int32)
    labels[:, np.hypot(rows - 26, columns - 24) < 18] = 5
    labels[:, np.hypot(rows - 50, columns - 50) < 10] = 9
    return labels


LABELS = discs()


def test_polygon_of_a_disc_has_the_area_of_the_inscribed_polygon():
    for vertices in (3, 4, 6, 12):
        drawn = np.asarray(polygon(jax.random.key(vertices), LABELS, vertices, max_objects=IDS))
        share = vertices / (2 * np.pi) * np.sin(2 * np.pi / vertices)
        assert (drawn == 5).sum() / (LABELS == 5).sum() == pytest.approx(share, abs=0.06)
        assert set(np.unique(drawn)) == {0, 5, 9}
        # One slice is the copy of the other, and so is what is drawn.
        np.testing.assert_array_equal(drawn[0], drawn[1])


def test_polygon_equals_one_filled_by_scikit_image():
    key, vertices = jax.random.key(0), 5
    drawn = np.asarray(polygon(key, LABELS, vertices, max_objects=IDS))[0] == 5
    start = float(jax.random.uniform(key, (IDS + 2,), maxval=2 * jnp.pi)[5])
    centre = np.argwhere(LABELS[0] == 5).mean(axis=0)
    corners = []
    for angle in start + 2 * np.pi * np.arange(vertices) / vertices:
        ray = np.array([np.sin(angle), np.cos(angle)])
        from_centre = np.argwhere(LABELS[0] == 5) - centre
        near = np.abs(from_centre @ [ray[1], -ray[0]]) <= 0.75
        corners.append(centre + ((from_centre @ ray)[near].max() + 0.5) * ray)
    filled = polygon2mask((SIDE, SIDE), np.array(corners))
    assert (drawn ^ filled).sum() <= 2


def test_many_vertices_give_the_object_back_and_fill_a_dent():
    labels = LABELS.copy()
    labels[:, 24:29, 34:60] = 0
    drawn = np.asarray(polygon(jax.random.key(1), LABELS, 64, max_objects=IDS))
    assert (drawn != LABELS).mean() < 0.02
    dented = np.asarray(polygon(jax.random.key(1), labels, 4, max_objects=IDS))
    assert (dented[labels == 0] == 5).any()


def test_polygons_take_nothing_from_a_neighbour():
    labels = np.zeros_like(LABELS)
    labels[:, 5:60, 5:20], labels[:, 5:20, 20:60], labels[:, 25:50, 25:50] = 1, 2, 3
    drawn = np.asarray(polygon(jax.random.key(0), labels, 8, max_objects=IDS))
    assert ((drawn == labels) | (drawn == 0) | (labels == 0)).all()


def test_nearest_object_by_brute_force():
    ids = np.zeros((17, 23), np.int32)
    ids[3, 4], ids[10:12, 15], ids[16, 0] = 1, 2, 3
    places = np.argwhere(ids)
    rows, columns = np.mgrid[:17, :23]
    distances = np.abs(rows[..., None] - places[:, 0]) + np.abs(columns[..., None] - places[:, 1])
    code = (distances * 10 + ids[tuple(places.T)]).min(axis=-1)
    nearest = jax.jit(lambda ids: _nearest_id(ids, 3))
    np.testing.assert_array_equal(nearest(ids), code % 10)
    assert not np.asarray(nearest(np.zeros((17, 23), np.int32))).any()


def test_displacements_are_smooth_and_have_unit_variance():
    keys = jax.random.split(jax.random.key(0), 200)
    fields = np.asarray(jax.jit(jax.vmap(lambda key: _smooth_field(key, 40, 40, 8.0)))(keys))
    assert fields.var() == pytest.approx(1, abs=0.06)
    for distance in (4, 8):
        correlation = (fields[..., distance:] * fields[..., :-distance]).mean() / fields.var()
        assert correlation == pytest.approx(np.exp(-((distance / 8) ** 2) / 4), abs=0.05)


def test_jitter_moves_the_outline_by_its_amplitude():
    half = np.zeros((SIDE, SIDE), np.int32)
    half[:, : SIDE // 2] = 1
    keys = jax.random.split(jax.random.key(0), 100)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: jitter(key, half, 2.0)))(keys))
    # Width of the object in every row: its variance is that of the displacement (and of rounding).
    assert drawn.sum(axis=-1).std() == pytest.approx(2, rel=0.25)
    assert set(np.unique(jitter(jax.random.key(0), LABELS, 3))) == {0, 5, 9}


def test_shift_moves_by_the_length_and_lets_background_in():
    labels = np.zeros_like(LABELS)
    labels[:, 30, 30] = 7
    directions = set()
    for seed in range(12):
        moved = np.asarray(shift(jax.random.key(seed), labels, 10))[0]
        (place,) = np.argwhere(moved == 7)
        assert np.hypot(*(place - 30)) == pytest.approx(10, abs=0.75)
        directions.add(tuple(np.sign(place - 30)))
    assert len(directions) >= 4
    assert not np.asarray(shift(jax.random.key(0), labels, 200)).any()
    full = np.asarray(shift(jax.random.key(0), np.ones_like(LABELS), 10))[0]
    assert 0 < (full == 0).sum() < 2 * 10 * SIDE


@pytest.mark.parametrize(("error", "strengths"), [(jitter, [0.0, 1.0, 3.0]), (shift, [0.0, 2.0, 9.0])])
def test_vmap_over_keys_and_lengths_equals_loop(error, strengths):
    keys = jax.random.split(jax.random.key(1), 3)
    mapped = jax.jit(jax.vmap(lambda key, strength: error(key, LABELS, strength)))(keys, jnp.array(strengths))
    np.testing.assert_array_equal(mapped[0], LABELS)
    for key, strength, result in zip(keys, strengths, mapped, strict=True):
        np.testing.assert_array_equal(result, error(key, LABELS, strength))


def test_vmap_over_keys_and_vertices_equals_loop():
    keys, vertices = jax.random.split(jax.random.key(1), 3), jnp.array([0, 4, 9])
    mapped = jax.jit(jax.vmap(lambda key, count: polygon(key, LABELS, count, max_objects=IDS)))(keys, vertices)
    np.testing.assert_array_equal(mapped[0], LABELS)
    for key, count, result in zip(keys, vertices.tolist(), mapped, strict=True):
        np.testing.assert_array_equal(result, polygon(key, LABELS, count, max_objects=IDS))


def test_wrong_strengths_are_refused():
    key = jax.random.key(0)
    with pytest.raises(InputError, match="amplitude: -1"):
        jitter(key, LABELS, -1)
    with pytest.raises(InputError, match="length: inf"):
        shift(key, LABELS, float("inf"))
    with pytest.raises(InputError, match=r"vertices: 2 .* at least 3 and at most 64"):
        polygon(key, LABELS, 2)
