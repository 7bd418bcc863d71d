"""Which tiles are cut: properties of every plan; skipped where the extra `geo` is not installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segjax.data.ground.geofiles import missing_packages
from segjax.data.ground.site_tiles import FOREIGN, NO_DATA, SHOWN_BEFORE, Cutting, Ground, plan_tiles
from segjax.types import InputError

pytestmark = pytest.mark.skipif(bool(missing_packages()), reason="the extra geo is not installed")


def ground(labels, known=None, edges=(2.0, 2.0), **more):
    """A scene whose sites are squares of pixels."""
    import shapely

    boxes = [box for box in ndimage.find_objects(labels) if box is not None]
    shapes = [shapely.box(x.start, y.start, x.stop, y.stop) for y, x in boxes]
    known = np.ones(labels.shape, bool) if known is None else known
    return Ground(labels, known, edges, np.array(shapes, object), **more)


def squares(shape, *places, side=6):
    labels = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate(places, 1):
        labels[y : y + side, x : x + side] = number
    return labels


def plan(seed, *arguments):
    return plan_tiles(np.random.default_rng(seed), *arguments)


@given(
    st.integers(0, 2**31),
    st.tuples(st.integers(50, 230), st.integers(50, 230)),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8),
    st.integers(1, 3),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.floats(0, 80),
)
@settings(max_examples=60, deadline=None)
def test_every_tile_keeps_the_rules(seed, shape, places, block, hole, distance):
    cutting = Cutting(tile=24, block=block, per_site=2, without=3, distance=distance)
    labels = squares(shape, *((int(y * (shape[0] - 6)), int(x * (shape[1] - 6))) for y, x in places))
    known = np.ones(shape, bool)
    known[int(hole[0] * shape[0]) :, int(hole[1] * shape[1]) :][:20, :20] = False
    made = ground(labels, known, (2.0, 3.0))
    found = plan(seed, made, cutting)
    edges = [np.round(np.linspace(0, side, max(1, side // (24 * block)) + 1)) for side in shape]
    metres = ndimage.distance_transform_edt(labels == 0, (3.0, 2.0)) if labels.any() else np.full(shape, np.inf)
    seen: dict[int, set] = {}
    for tile in found.tiles:
        square = np.s_[tile.y : tile.y + 24, tile.x : tile.x + 24]
        assert labels[square].shape == (24, 24) and known[square].all()
        for side, low in enumerate((tile.y, tile.x)):
            assert edges[side][tile.block[side]] <= low and low + 24 <= edges[side][tile.block[side] + 1]
        for site in set(np.unique(labels[square]).tolist()) - {0}:
            seen.setdefault(site, set()).add(tile.block)
        if tile.site is None:
            # centres of pixels are nearer than that by at most the edges of one
            assert metres[square].min() >= distance and not labels[square].any()
        else:
            assert (labels[square] == tile.site).any()
    assert all(len(blocks) == 1 for blocks in seen.values())
    with_site = [tile for tile in found.tiles if tile.site is not None]
    others = [tile for tile in found.tiles if tile.site is None]
    assert len(others) <= found.wanted == 3 * len(with_site)
    assert {tile.site for tile in with_site} | set(found.lost) == set(np.unique(labels).tolist()) - {0}
    assert not {tile.site for tile in with_site} & set(found.lost)
    covered = np.zeros(shape, int)
    for tile in others:
        covered[tile.y : tile.y + 24, tile.x : tile.x + 24] += 1
    assert covered.max() <= 1
    assert plan(seed, made, cutting) == found


def test_sites_lie_anywhere_in_their_tiles_but_wholly():
    labels = squares((400, 400), (200, 220))
    cutting = Cutting(tile=40, block=10, per_site=60, jitter=0.25, without=0)
    tiles = plan(0, ground(labels), cutting).tiles
    offsets = np.array([(203 - tile.y - 20, 223 - tile.x - 20) for tile in tiles])
    assert len(set(map(tuple, offsets))) == 60
    assert np.abs(offsets).max() in (9, 10, 11) and np.abs(offsets.mean(0)).max() < 3
    assert all((labels[tile.y : tile.y + 40, tile.x : tile.x + 40] == 1).sum() == 36 for tile in tiles)


def test_a_distance_is_measured_to_sites_beyond_the_scene():
    import shapely

    cutting = Cutting(tile=20, block=2, per_site=1, without=100, distance=100.0)
    made = ground(squares((200, 200), (5, 5)))
    beyond = shapely.box(200, 0, 210, 200)  # along the right border
    near = plan(0, Ground(made.labels, made.known, made.edges, np.array([*made.shapes, beyond, None], object)), cutting)
    others = [tile for tile in near.tiles if tile.site is None]
    assert others and max(tile.x + 20 for tile in others) <= 150  # 50 pixels of 2 m
    assert max(tile.x + 20 for tile in plan(0, made, cutting).tiles) > 150


def test_blocks_with_a_site_give_the_tiles_without_first():
    labels = squares((400, 400), (30, 30), (330, 330))
    cutting = Cutting(tile=20, block=5, per_site=1, without=4, distance=0.0)
    found = plan(0, ground(labels), cutting)
    assert {tile.block for tile in found.tiles} == {(0, 0), (3, 3)} and len(found.tiles) == 10
    many = plan(0, ground(labels), Cutting(tile=20, block=5, per_site=1, without=100, distance=0.0))
    assert len({tile.block for tile in many.tiles}) == 16 and len(many.tiles) == 202


def test_why_sites_are_lost():
    # a site whose block is full of missing pixels; two that lie at the same border of two blocks; one of no fault
    labels = squares((80, 160), (10, 10), (30, 75), (30, 82), (60, 110))
    known = np.ones(labels.shape, bool)
    known[12, 12] = False
    cutting = Cutting(tile=40, block=2, per_site=1, without=0)
    found = plan(0, ground(labels, known), cutting)
    assert found.lost == {1: NO_DATA, 3: FOREIGN} or found.lost == {1: NO_DATA, 2: FOREIGN, 3: FOREIGN}
    assert [tile.site for tile in found.tiles][-1] == 4


def test_ground_of_an_earlier_scene_is_left_alone():
    import shapely

    labels = squares((80, 80), (10, 10), (60, 60))
    taken = np.array([shapely.box(0, 0, 30, 30), shapely.box(50, 0, 80, 30)], object)
    cutting = Cutting(tile=20, block=4, per_site=1, without=50, distance=0.0)
    found = plan(0, ground(labels, taken=taken), cutting)
    assert found.lost == {1: SHOWN_BEFORE}
    assert all(tile.y >= 30 or (tile.x >= 30 and tile.x + 20 <= 50) for tile in found.tiles)
    elsewhere = plan(0, ground(labels, elsewhere=frozenset({2})), cutting)
    assert {tile.site for tile in elsewhere.tiles} == {1, None} and elsewhere.lost == {}
    assert not any((labels[t.y : t.y + 20, t.x : t.x + 20] == 2).any() for t in elsewhere.tiles)


def test_a_site_larger_than_a_tile_fills_it():
    labels = squares((100, 100), (20, 20), side=60)
    (tile,) = plan(0, ground(labels), Cutting(tile=20, block=5, per_site=1, without=0)).tiles
    assert (labels[tile.y : tile.y + 20, tile.x : tile.x + 20] == 1).all()


def test_what_is_refused():
    with pytest.raises(InputError, match="is 30 x 100 pixels, smaller than a tile of 40"):
        plan(0, ground(squares((100, 30))), Cutting(tile=40))
    for change, message in (
        ({"tile": 8}, "tile"),
        ({"jitter": 0.6}, "jitter must be"),
        ({"distance": -1.0}, "distance"),
        ({"distance": float("nan")}, "distance"),
        ({"per_site": 0}, "per_site"),
    ):
        with pytest.raises(InputError, match=message):
            Cutting(**change)
