"""Augmentation moves picture and target alike and invents nothing."""

import jax
import jax.numpy as jnp
import numpy as np

from segjax.training.augment import flip_and_turn


def turns(picture):
    return {np.rot90(flipped, n).tobytes() for flipped in (picture, picture[::-1]) for n in range(4)}


def test_square_pictures_take_all_eight_positions_with_their_target():
    target = jnp.arange(9, dtype=jnp.int32).reshape(1, 3, 3)
    targets = jnp.repeat(target, 64, 0)
    images, moved = flip_and_turn(jax.random.key(0), targets[..., None].astype(jnp.float32), targets)
    np.testing.assert_array_equal(images[..., 0], moved)
    assert {np.asarray(one).tobytes() for one in moved} == turns(np.asarray(target[0]))


def test_other_pictures_only_flip():
    targets = jnp.repeat(jnp.arange(6, dtype=jnp.int32).reshape(1, 2, 3), 64, 0)
    _, moved = flip_and_turn(jax.random.key(1), targets[..., None].astype(jnp.float32), targets)
    assert moved.shape == (64, 2, 3)
    assert len({np.asarray(one).tobytes() for one in moved}) == 4


def test_targets_of_whole_pictures_stay():
    images = jax.random.normal(jax.random.key(0), (4, 3, 3, 1))
    labels = jnp.arange(4)
    turned, kept = flip_and_turn(jax.random.key(1), images, labels)
    np.testing.assert_array_equal(kept, labels)
    assert (np.asarray(turned) != np.asarray(images)).any()
