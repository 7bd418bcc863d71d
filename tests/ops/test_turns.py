"""Flips and quarter turns are NumPy's, and are undone."""

import jax.numpy as jnp
import numpy as np
import pytest

from segjax.ops.turns import looks, turn, turn_back

PICTURE = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
FLIPPED = [PICTURE, PICTURE[::-1], PICTURE[:, ::-1], PICTURE[::-1, ::-1]]
ROTATED = [np.rot90(PICTURE, turns) for turns in range(4)]


def found(numbers):
    return {turn(PICTURE, number).tobytes() + bytes(turn(PICTURE, number).shape) for number in numbers}


def expected(pictures):
    return {picture.tobytes() + bytes(picture.shape) for picture in pictures}


def test_looks_are_the_flips_and_the_quarter_turns():
    assert looks(False, False) == (0,)
    assert found(looks(True, False)) == expected(FLIPPED)
    assert found(looks(False, True)) == expected(ROTATED)
    assert found(looks(True, True)) == expected([*ROTATED, *(np.rot90(PICTURE[::-1], turns) for turns in range(4))])
    assert {len(looks(flips, True)) for flips in (False, True)} == {4, 8}


@pytest.mark.parametrize("number", range(8))
def test_what_was_turned_is_turned_back(number):
    np.testing.assert_array_equal(turn_back(turn(PICTURE, number), number), PICTURE)
    batch = np.stack([PICTURE, PICTURE + 1])
    np.testing.assert_array_equal(turn(batch, number)[1], turn(PICTURE, number) + 1)
    np.testing.assert_array_equal(turn(jnp.asarray(PICTURE), number), turn(PICTURE, number))
