"""Draws of shots and orders of features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.fewshot.draws import check_apart, draw_support, ranking
from segjax.types import InputError

HAS_TYPE = np.array([True, False, True, True, True, False, True, True])


@pytest.mark.parametrize("nested", [True, False])
def test_shots_are_different_pictures_with_the_type(nested):
    draws = draw_support(jax.random.key(0), HAS_TYPE, (3, 1, 2), 60, nested)
    assert draws.shots == (1, 2, 3) and draws.nested == nested
    supports = [[set(draws.support(draw, shots)) for shots in draws.shots] for draw in range(60)]
    for of_draw in supports:
        assert [len(support) for support in of_draw] == [1, 2, 3]
        assert all(HAS_TYPE[list(support)].all() for support in of_draw)
        assert not nested or of_draw[0] < of_draw[1] < of_draw[2]
    assert nested or any(not of_draw[0] < of_draw[2] for of_draw in supports)
    assert set().union(*(of_draw[0] for of_draw in supports)) == set(np.flatnonzero(HAS_TYPE))


def test_draws_depend_on_the_key_alone():
    first, same, other = (draw_support(jax.random.key(seed), HAS_TYPE, (2,), 5).pictures for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("has_type", "shots", "draws", "message"),
    [
        (HAS_TYPE, (7,), 1, "only 6 pictures show the type"),
        (HAS_TYPE & False, (1,), 1, "no picture shows"),
        (HAS_TYPE, (0, 1), 1, "from 1 on"),
        (HAS_TYPE, (2, 2), 1, "different"),
        (HAS_TYPE, (), 1, "shots"),
        (HAS_TYPE, (1,), 0, "draws"),
    ],
)
def test_impossible_draws_are_refused(has_type, shots, draws, message):
    with pytest.raises(InputError, match=message):
        draw_support(jax.random.key(0), has_type, shots, draws)


def test_support_and_query_share_no_picture():
    check_apart(["a", "b"], ["c"])
    with pytest.raises(InputError, match="picture b is also a support picture"):
        check_apart(["a", "b"], ["b", "c"])


def test_rankings():
    variance, relevance = jnp.float32([1, 3, 2, 3]), jnp.float32([0, 1, 5, 2])

    def of(selection, seed=0):
        return np.asarray(ranking(selection, jax.random.key(seed), variance, relevance)).tolist()

    assert of("first") == [0, 1, 2, 3]
    assert of("variance") == [3, 0, 2, 1]
    assert of("relevance") == [3, 2, 0, 1]
    assert sorted(of("random")) == [0, 1, 2, 3] and of("random") == of("random")
    assert len({tuple(of("random", seed)) for seed in range(20)}) > 5
