"""Checkpoints where several processes are connected; `tests/launch/test_multihost.py` has two real ones."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from segjax.training.checkpoints import restore_checkpoint, save_checkpoint
from segjax.training.processes import told_by_first


def tree(seed):
    draw = np.random.default_rng(seed)
    return {
        "weights": jnp.asarray(draw.normal(size=(3, 2)), jnp.float32),
        "key": jax.random.key(seed),
        "loss": np.full((), draw.normal()),  # float64, which JAX would round
        "epoch": np.full((), 2**40 + seed),
    }


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder with two checkpoints as one of several processes writes them."""
    with monkeypatch.context() as patch:
        patch.setattr(jax, "process_count", lambda: 2)
        for number in (1, 2, 3):
            save_checkpoint(tmp_path, tree(number), {"code": "a"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.safetensors", "3.safetensors"]
    return tmp_path


def test_one_process_goes_on_from_what_several_saved(saved):
    found = restore_checkpoint(saved, tree(0), {"code": "a"})
    chex.assert_trees_all_equal(found, tree(3))
    assert jax.tree.map(lambda leaf: leaf.dtype, found) == jax.tree.map(lambda leaf: leaf.dtype, tree(3))


def test_a_damaged_one_is_set_aside_and_the_one_before_it_taken(saved):
    content = bytearray((saved / "3.safetensors").read_bytes())
    content[-1] ^= 1
    (saved / "3.safetensors").write_bytes(content)
    with pytest.warns(UserWarning, match=r"3\.safetensors is damaged .*going back to the one before it"):
        chex.assert_trees_all_equal(restore_checkpoint(saved, tree(0), {"code": "a"}), tree(2))
    assert not (saved / "3.safetensors").exists()


def test_one_of_another_maker_is_not_taken(saved):
    with pytest.warns(UserWarning, match=r"another code \(a, not b\)"):
        assert restore_checkpoint(saved, tree(0), {"code": "b"}) is None


def test_one_with_other_arrays_is_not_taken(saved):
    with pytest.warns(UserWarning, match="it has other arrays"):
        assert restore_checkpoint(saved, {**tree(0), "weights": jnp.zeros(5)}, {"code": "a"}) is None


def test_what_the_first_process_has_keeps_its_bits():
    chex.assert_trees_all_equal(told_by_first(tree(4), tree(0)), tree(4))
    assert told_by_first(None, tree(0)) is None
